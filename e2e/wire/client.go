// Package wire speaks Komodo's HTTP form as the clients out there do: it shares no
// code with the server, so that what it proves is the wire.
//
// A Client may be used from any number of goroutines.
package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Client calls a core with the key it holds, or with none.
type Client struct {
	URL, Key, Secret string
	JWT              string
}

// AnswerError is an answer other than 200.
type AnswerError struct {
	Status int      `json:"-"`
	Text   string   `json:"error"`
	Trace  []string `json:"trace"`
}

// Error implements error.
func (p *AnswerError) Error() string {
	return fmt.Sprintf("%d: %s", p.Status, strings.Join(append([]string{p.Text}, p.Trace...), "\n  "))
}

// Params are the parameters of a request.
type Params map[string]any

// Call sends a request in the path form, POST /door/Request, and reads the answer
// into result unless that is nil. An answer other than 200 is a *AnswerError.
func (c *Client) Call(ctx context.Context, door, request string, params, result any) error {
	if params == nil {
		params = Params{}
	}
	return c.post(ctx, "/"+door+"/"+request, params, result)
}

// CallBody is Call in the body form, POST /door with type and params.
func (c *Client) CallBody(ctx context.Context, door, request string, params, result any) error {
	if params == nil {
		params = Params{}
	}
	return c.post(ctx, "/"+door, Params{"type": request, "params": params}, result)
}

func (c *Client) post(ctx context.Context, path string, body, result any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	answer, err := c.do(req)
	if err != nil || result == nil {
		return err
	}
	if err := json.Unmarshal(answer, result); err != nil {
		return fmt.Errorf("read the answer to %s: %w: %.300s", path, err, answer)
	}
	return nil
}

// Get fetches a path of core's, with the client's key.
func (c *Client) Get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL+path, nil)
	if err != nil {
		return nil, err
	}
	return c.do(req)
}

func (c *Client) do(req *http.Request) ([]byte, error) {
	if c.Key != "" {
		req.Header.Set("x-api-key", c.Key)
		req.Header.Set("x-api-secret", c.Secret)
	} else if c.JWT != "" {
		req.Header.Set("authorization", c.JWT)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read the answer to %s: %w", req.URL.Path, err)
	}
	if resp.StatusCode != http.StatusOK {
		p := &AnswerError{Status: resp.StatusCode}
		if json.Unmarshal(answer, p) != nil || p.Text == "" {
			p.Text = string(answer)
		}
		return nil, fmt.Errorf("%s %s: %w", req.Method, req.URL.Path, p)
	}
	return answer, nil
}

// Ready waits until core answers, at most until ctx ends.
func (c *Client) Ready(ctx context.Context) error {
	return poll(ctx, 20*time.Millisecond, func() (bool, error) {
		_, err := c.Get(ctx, "/version")
		return err == nil, nil
	})
}

// Login signs a user in, makes an API key for them and returns a client that uses
// it: the way a script gets its key.
func Login(ctx context.Context, url, user, password string) (*Client, error) {
	c := &Client{URL: url}
	var in struct {
		Type string `json:"type"`
		Data struct {
			JWT string `json:"jwt"`
		} `json:"data"`
	}
	if err := c.Call(ctx, "auth/login", "LoginLocalUser", Params{"username": user, "password": password}, &in); err != nil {
		return nil, err
	}
	c.JWT = in.Data.JWT
	var key struct{ Key, Secret string }
	if err := c.Call(ctx, "auth/manage", "CreateApiKey", Params{"name": "e2e"}, &key); err != nil {
		return nil, err
	}
	return &Client{URL: url, Key: key.Key, Secret: key.Secret}, nil
}

// ID is a document's id as Komodo writes it.
type ID struct {
	OID string `json:"$oid"`
}

// Target names a resource.
type Target struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

// Update is the record of an execution.
type Update struct {
	ID         ID     `json:"_id"`
	Operation  string `json:"operation"`
	Status     string `json:"status"` // Queued, InProgress, Complete
	Success    bool   `json:"success"`
	Operator   string `json:"operator"`
	Target     Target `json:"target"`
	StartTS    int64  `json:"start_ts"`
	EndTS      *int64 `json:"end_ts"`
	CommitHash string `json:"commit_hash"`
	Logs       []Log  `json:"logs"`
}

// Log is one stage of an update.
type Log struct {
	Stage   string `json:"stage"`
	Command string `json:"command"`
	Stdout  string `json:"stdout"`
	Stderr  string `json:"stderr"`
	Success bool   `json:"success"`
}

// Await follows an update to its end, as execute_and_poll of Komodo's client does.
func (c *Client) Await(ctx context.Context, id string) (Update, error) {
	var u Update
	err := poll(ctx, 100*time.Millisecond, func() (bool, error) {
		err := c.Call(ctx, "read", "GetUpdate", Params{"id": id}, &u)
		return u.Status == "Complete", err
	})
	return u, err
}

// Execute starts an execution and follows it to its end.
func (c *Client) Execute(ctx context.Context, request string, params any) (Update, error) {
	var u Update
	if err := c.Call(ctx, "execute", request, params, &u); err != nil {
		return u, err
	}
	if u.ID.OID == "" {
		return u, errors.New("execute " + request + ": the answer has no id")
	}
	return c.Await(ctx, u.ID.OID)
}

// poll asks until done, an error or the end of ctx.
func poll(ctx context.Context, every time.Duration, done func() (bool, error)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
