package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"berth/schema"
)

// Client calls a core's API with an API key.
type Client struct {
	base, key, secret string
	http              *http.Client
	agent             string
}

// NewClient makes a client of the core at base ("https://host:9120").
func NewClient(base, key, secret string, h *http.Client, version string) *Client {
	return &Client{base: strings.TrimRight(base, "/"), key: key, secret: secret, http: h, agent: "berth-cli/" + version}
}

// Call posts a request and decodes its answer into out, which may be nil. Errors
// of core come as *schema.Error with core's code; Unavailable when it cannot be
// reached.
func (c *Client) Call(ctx context.Context, g Group, name string, params, out any) error {
	if params == nil {
		params = None{}
	}
	body, err := json.Marshal(params)
	if err != nil {
		return fmt.Errorf("encode parameters of %s: %w", name, err)
	}
	res, err := c.send(ctx, http.MethodPost, "/"+string(g)+"/"+name, body)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return schema.Wrap(schema.Unavailable, err, "read the answer of %s: %v", c.base, err)
	}
	if raw, ok := out.(*json.RawMessage); ok {
		*raw = text
		return nil
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return schema.Wrap(schema.Internal, err, "read the answer of %s: %v: is %s a Berth core?", name, err, c.base)
	}
	return nil
}

// send makes a request and turns a failure into an error.
func (c *Client) send(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, schema.Wrap(schema.Invalid, err, "host %q is not an URL: %v", c.base, err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", c.agent)
	req.Header.Set("X-Api-Key", c.key)
	req.Header.Set("X-Api-Secret", c.secret)
	res, err := c.http.Do(req)
	if err != nil {
		return nil, schema.Wrap(schema.Unavailable, err, "reach core at %s: %v", c.base, err)
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer func() { _ = res.Body.Close() }()
	var p problem
	text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if json.Unmarshal(text, &p) != nil || p.Error == "" {
		return nil, schema.Errorf(schema.Unavailable, "%s answers %s: is it a Berth core?", c.base, res.Status)
	}
	if p.Code == "" {
		p.Code = schema.Failed
	}
	return nil, schema.Errorf(p.Code, "%s", strings.Join(append([]string{p.Error}, p.Trace...), ": "))
}

// Follow calls fn with what happens to a run and all it started, from its
// beginning to its end, going on where it was when the connection breaks. run is
// an id or a number. It ends with the run, with fn's error, or with ctx.
func (c *Client) Follow(ctx context.Context, run string, fn func(StreamItem) error) error {
	f := &followed{fn: fn}
	for {
		err := c.followOnce(ctx, run, f)
		switch {
		case f.ended || f.err != nil:
			return f.err
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && schema.CodeOf(err) != schema.Unavailable:
			return err
		case err != nil && f.root == "": // never got through
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// followed is how far a client is.
type followed struct {
	fn    func(StreamItem) error
	root  string // id of the run
	after uint64
	ended bool
	err   error // of fn
}

func (c *Client) followOnce(ctx context.Context, run string, f *followed) error {
	res, err := c.send(ctx, http.MethodGet, fmt.Sprintf("/stream/runs/%s?after=%d", run, f.after), nil)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	lines := bufio.NewReader(res.Body)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return schema.Wrap(schema.Unavailable, err, "follow run %s", run)
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue // a heartbeat
		}
		var item StreamItem
		if err := json.Unmarshal(line, &item); err != nil {
			return schema.Wrap(schema.Internal, err, "follow run %s", run)
		}
		f.take(run, item)
		if f.err != nil || f.ended {
			return nil
		}
	}
}

func (f *followed) take(run string, item StreamItem) {
	f.after = max(f.after, item.Seq)
	f.err = f.fn(item)
	if r := item.Run; r != nil && (r.ID == run || fmt.Sprint(r.Number) == strings.TrimPrefix(run, "#")) {
		f.root, f.ended = r.ID, r.State.Terminal()
	}
}
