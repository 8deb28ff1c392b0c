package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"berth/e2e/wire"
)

const (
	manyStacks  = 1000
	permissions = 200
	lists       = 400 // how often the list is asked for
	clients     = 8   // at once, for the rate
	rateFor     = 10 * time.Second
)

// measureAPI compares what a user with permissions on single stacks waits for, and
// how many requests a second core answers, with a bare HTTP server that answers the
// same bytes.
func (s *stage) measureAPI(ctx context.Context) error {
	reader, err := s.reader(ctx)
	if err != nil {
		return err
	}
	var list []json.RawMessage
	body, err := reader.raw(ctx, "/read/ListStacks", `{"limit":0}`)
	if err == nil {
		err = json.Unmarshal(body, &list)
	}
	if err != nil || len(list) != permissions {
		return fmt.Errorf("the user sees %d stacks, want %d: %w", len(list), permissions, err)
	}
	floor, err := openPlain(ctx, body)
	if err != nil {
		return err
	}
	defer floor.close()
	var ours, theirs sample
	for range lists {
		for _, one := range []struct {
			who  *caller
			into *sample
		}{{reader, &ours}, {floor.caller, &theirs}} {
			began := time.Now()
			if _, err := one.who.raw(ctx, "/read/ListStacks", `{"limit":0}`); err != nil {
				return err
			}
			*one.into = append(*one.into, time.Since(began))
		}
	}
	for _, q := range []struct {
		name string
		at   float64
		goal time.Duration
	}{{"p50", 0.5, 0}, {"p99", 0.99, 20 * time.Millisecond}} {
		l := line{
			what:     fmt.Sprintf("list of %d of %d stacks as their reader (%d kB), %s", permissions, manyStacks, len(body)>>10, q.name),
			measured: ms(ours.at(q.at)), floor: ms(theirs.at(q.at)), ratio: fmt.Sprintf("%.1f", float64(ours.at(q.at))/float64(theirs.at(q.at))),
		}
		if q.goal > 0 {
			l.goal, l.good = "≤ "+ms(q.goal), ours.at(q.at) <= q.goal
		}
		s.add(l)
	}
	return s.measureRate(ctx, reader, floor)
}

// measureRate asks as fast as it goes, core and the bare server in turns.
func (s *stage) measureRate(ctx context.Context, who *caller, floor *plainServer) error {
	ours, err := who.rate(ctx, "/read/GetStack", `{"stack":"many-0000"}`)
	if err != nil {
		return err
	}
	theirs, err := floor.rate(ctx, "/read/GetStack", `{"stack":"many-0000"}`)
	if err != nil {
		return err
	}
	m, err := resident(s.core.cmd.Process.Pid)
	if err != nil {
		return err
	}
	s.add(line{
		what: fmt.Sprintf("authenticated requests a second, %d clients on the same %s", clients, "processors"), goal: "≥ 2000 /s",
		measured: fmt.Sprintf("%.0f /s", ours), floor: fmt.Sprintf("%.0f /s", theirs), ratio: fmt.Sprintf("%.2f", ours/theirs), good: ours >= 2000,
	})
	s.plain("core after that, with 1,000 stacks: resident memory", mb(m.all), "≤ 100 MB", m.all*1024 <= 100*1e6)
	return nil
}

// reader makes many stacks, and a user who may read some of them.
func (s *stage) reader(ctx context.Context) (*caller, error) {
	var toml strings.Builder
	for i := range manyStacks {
		fmt.Fprintf(&toml, "[[stack]]\nname = \"many-%04d\"\ntags = [\"t%d\"]\n[stack.config]\nserver = %q\nfile_contents = \"services: {app: {image: 'nginx:1.%d'}}\"\n\n", i, i%10, server, i)
	}
	files := []wire.Params{{"name": "many.toml", "text": toml.String()}}
	if err := s.api.Call(ctx, "write", "ApplyResources", wire.Params{"files": files}, nil); err != nil {
		return nil, err
	}
	const password = "a-password-for-the-reader"
	var u struct {
		ID struct {
			OID string `json:"$oid"`
		} `json:"_id"`
	}
	if err := s.api.Call(ctx, "write", "CreateLocalUser", wire.Params{"username": "reader", "password": password}, &u); err != nil {
		return nil, err
	}
	for i := range permissions {
		err := s.api.Call(ctx, "write", "UpdatePermissionOnTarget", wire.Params{
			"user_target": wire.Params{"type": "User", "id": u.ID.OID}, "permission": "Read",
			"resource_target": wire.Params{"type": "Stack", "id": fmt.Sprintf("many-%04d", i*manyStacks/permissions)},
		}, nil)
		if err != nil {
			return nil, err
		}
	}
	c, err := wire.Login(ctx, s.url, "reader", password)
	if err != nil {
		return nil, err
	}
	return newCaller(s.url, c.Key, c.Secret), nil
}

// caller asks over connections that stay open, as programs do.
type caller struct {
	url, key, secret string
	http             *http.Client
}

func newCaller(url, key, secret string) *caller {
	return &caller{url: url, key: key, secret: secret, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}}
}

func (c *caller) raw(ctx context.Context, path, params string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+path, bytes.NewReader([]byte(params)))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Api-Key", c.key)
	req.Header.Set("X-Api-Secret", c.secret)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %d %s", path, resp.StatusCode, body)
	}
	return body, err
}

// rate returns how many answers a second all clients get together.
func (c *caller) rate(ctx context.Context, path, params string) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var count atomic.Int64
	errs := make([]error, clients)
	began := time.Now()
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			for time.Since(began) < rateFor && errs[i] == nil {
				_, errs[i] = c.raw(ctx, path, params)
				count.Add(1)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return 0, err
		}
	}
	return float64(count.Load()) / time.Since(began).Seconds(), nil
}

// plainServer answers everything with the same bytes.
type plainServer struct {
	*caller
	server *http.Server
}

func openPlain(ctx context.Context, body []byte) (*plainServer, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	srv := &http.Server{ReadHeaderTimeout: 10 * time.Second, ErrorLog: quiet(), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "ListStacks") {
			_, _ = w.Write(body)
			return
		}
		_, _ = w.Write(body[:min(len(body), 2<<10)])
	})}
	go func() { _ = srv.Serve(l) }()
	return &plainServer{newCaller("http://"+l.Addr().String(), "", ""), srv}, nil
}

func (p *plainServer) close() { _ = p.server.Close() }
