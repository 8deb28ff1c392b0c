// Package docker talks to one Docker engine in schema's terms: its version, its
// containers, their events, images and logs.
//
// A Client is safe for concurrent use and holds no goroutine of its own; streams
// (Watch, Logs) end with their context. Nothing here reads the environment: the
// host is an argument.
package docker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"berth/schema"
)

// DefaultHost is where an engine listens unless told otherwise.
const DefaultHost = "unix:///var/run/docker.sock"

// Client is a connection to one engine. Open it once and share it.
type Client struct {
	host string
	api  *client.Client

	mu    sync.Mutex // guards what follows
	info  schema.EngineInfo
	asked time.Time // when the engine said info
}

// infoAge is how long an engine that answers is taken for the version it was: to
// say its version it starts two programs, which takes it ten milliseconds.
const infoAge = 5 * time.Minute

// Open prepares a client for the engine at host ("unix:///var/run/docker.sock",
// "tcp://10.0.0.7:2375"; empty is DefaultHost). It does not connect: an engine
// that is down is seen by the first call. A host that cannot be parsed is
// schema.Invalid.
func Open(host string) (*Client, error) {
	if host == "" {
		host = DefaultHost
	}
	api, err := client.New(client.WithHost(host), client.WithUserAgent("berth"))
	if err != nil {
		return nil, schema.Errorf(schema.Invalid, "open Docker engine %q: not a host like %s", host, DefaultHost)
	}
	return &Client{host: host, api: api}, nil
}

// Close drops idle connections.
func (c *Client) Close() error { return c.api.Close() }

// Host is the host the client was opened with.
func (c *Client) Host() string { return c.host }

// API is the engine's whole API, for packages that hand it to a library.
func (c *Client) API() *client.Client { return c.api }

// Ping asks whether the engine answers; schema.Unavailable says that it does not.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.api.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true})
	return c.Explain(err, "ask Docker engine")
}

// Info returns the engine's version, or in Error why there is none. An engine
// that was replaced without a moment's silence is noticed after infoAge.
func (c *Client) Info(ctx context.Context) schema.EngineInfo {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if info, ok := c.known(ctx); ok {
		return info
	}
	v, err := c.api.ServerVersion(ctx, client.ServerVersionOptions{})
	if err != nil {
		return schema.EngineInfo{Error: schema.SafeText(c.Explain(err, "ask Docker engine"))}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.info, c.asked = schema.EngineInfo{Version: v.Version, API: v.APIVersion}, time.Now()
	return c.info
}

// known returns what the engine said not long ago, if it answers still.
func (c *Client) known(ctx context.Context) (schema.EngineInfo, bool) {
	c.mu.Lock()
	info, fresh := c.info, time.Since(c.asked) < infoAge
	c.mu.Unlock()
	if !fresh {
		return info, false
	}
	p, err := c.api.Ping(ctx, client.PingOptions{})
	if err == nil && p.APIVersion == info.API {
		return info, true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = time.Time{}
	return info, false
}

// Explain gives err, an answer of the engine, a code and a text that a user may
// see, after the words of doing ("start container web-1"). A context's end and
// an error that has a code already keep theirs. Explain(nil) is nil.
func (c *Client) Explain(err error, doing string) error {
	var known *schema.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case errors.Is(err, context.Canceled):
		return schema.Wrap(schema.Canceled, err, "%s: canceled", doing)
	case errors.Is(err, context.DeadlineExceeded):
		return schema.Wrap(schema.Expired, err, "%s: took longer than its deadline", doing)
	case client.IsErrConnectionFailed(err):
		return schema.Wrap(schema.Unavailable, err,
			"%s: the Docker engine at %s does not answer; is dockerd running, and may this process use its socket?", doing, c.host)
	case errdefs.IsPermissionDenied(err):
		return schema.Wrap(schema.Denied, err, "%s: %s", doing, Text(err))
	case errdefs.IsNotFound(err):
		return schema.Wrap(schema.NotFound, err, "%s: %s", doing, Text(err))
	case errdefs.IsConflict(err):
		return schema.Wrap(schema.Conflict, err, "%s: %s", doing, Text(err))
	}
	return schema.Wrap(schema.Failed, err, "%s: %s", doing, Text(err))
}

// Text is an engine's error as one line, without the client's own prefix.
func Text(err error) string {
	text := err.Error()
	for _, prefix := range []string{"Error response from daemon: ", "error from daemon: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return strings.Join(strings.Fields(text), " ")
}

// Says reports whether an error's text has one of the words, which are in lower case.
func Says(text string, words ...string) bool {
	low := strings.ToLower(text)
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(low, w) })
}
