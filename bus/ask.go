package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"berth/schema"
)

// Ask puts a question to an agent and waits for the answer, 15 seconds if ctx has
// no deadline. An absent agent is schema.Unavailable at once. An error of the
// handler arrives with its code and safe text.
func Ask[Req, Resp any](ctx context.Context, c *Conn, agent string, q schema.Query[Req, Resp], req Req) (Resp, error) {
	var resp Resp
	if err := checkTokens(agent); err != nil {
		return resp, err
	}
	if err := checkVerb(q.Name); err != nil {
		return resp, err
	}
	return resp, c.request(ctx, subjCmd(agent, q.Name), "ask server for "+q.Name, req, &resp)
}

// Request puts an agent's question to core, as Ask does the other way round.
func Request[Req, Resp any](ctx context.Context, c *Conn, a schema.Ask[Req, Resp], req Req) (Resp, error) {
	var resp Resp
	if err := checkTokens(c.agent, a.Name); err != nil {
		return resp, err
	}
	return resp, c.request(ctx, subjAsk(c.agent, a.Name), "ask core for "+a.Name, req, &resp)
}

// Answer lets the agent of c answer a question. fn's ctx ends when the asker has
// given up or c is closed.
func Answer[Req, Resp any](c *Conn, q schema.Query[Req, Resp], fn func(ctx context.Context, req Req) (Resp, error)) error {
	if err := checkTokens(c.agent); err != nil {
		return err
	}
	if err := checkVerb(q.Name); err != nil {
		return err
	}
	svc, err := c.agentService()
	if err != nil {
		return err
	}
	h := func(r micro.Request) {
		if r.Reply() == "" { // not a question; an ack sent astray has none
			return
		}
		c.handle(call{subject: r.Subject(), reply: r.Reply(), left: r.Headers().Get(headerLeft), data: r.Data()}, erase(fn))
	}
	// Endpoint names refuse dots.
	err = svc.AddEndpoint(strings.ReplaceAll(q.Name, ".", "-"), micro.HandlerFunc(h), micro.WithEndpointSubject(subjCmd(c.agent, q.Name)))
	if err != nil {
		return fmt.Errorf("answer %s: %w", q.Name, err)
	}
	return nil
}

// Serve lets core answer a question of agents; several cores share the work. The
// agent's id is taken from the subject, which the server guards.
func Serve[Req, Resp any](c *Conn, a schema.Ask[Req, Resp], fn func(ctx context.Context, agent string, req Req) (Resp, error)) error {
	if err := checkTokens(a.Name); err != nil {
		return err
	}
	_, err := c.nc.QueueSubscribe(subjAsk("*", a.Name), queueCore, func(m *nats.Msg) {
		agent := agentOf(m.Subject)
		// Core may publish anywhere, an agent not: never let it choose where the
		// answer goes outside of its own inbox.
		if !strings.HasPrefix(m.Reply, Inbox(agent)+".") {
			c.log.Warn("refused a reply address outside of the agent's inbox", "agent", agent, "subject", m.Subject)
			return
		}
		c.handle(call{subject: m.Subject, reply: m.Reply, left: m.Header.Get(headerLeft), data: m.Data},
			erase(func(ctx context.Context, req Req) (Resp, error) { return fn(ctx, agent, req) }))
	})
	if err != nil {
		return fmt.Errorf("serve %s: %w", a.Name, err)
	}
	return nil
}

// agentService starts the micro service of an agent's connection once.
func (c *Conn) agentService() (micro.Service, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.service != nil {
		return c.service, nil
	}
	meta := map[string]string{"agent": c.agent}
	maps.Copy(meta, c.meta)
	svc, err := micro.AddService(c.nc, micro.Config{
		Name: ServiceAgent, Version: "1.0.0", Description: "Berth agent", Metadata: meta, QueueGroupDisabled: true,
	})
	if err != nil {
		return nil, fmt.Errorf("start the agent's service: %w", err)
	}
	c.service = svc
	return svc, nil
}

// request is the untyped body of Ask and Request.
func (c *Conn) request(ctx context.Context, subject, what string, req, resp any) error {
	data, err := json.Marshal(req)
	if err != nil {
		return fmt.Errorf("%s: encode: %w", what, err)
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, defaultWait)
		defer cancel()
	}
	m := &nats.Msg{Subject: subject, Data: data, Header: nats.Header{}}
	if dl, ok := ctx.Deadline(); ok {
		m.Header.Set(headerLeft, strconv.FormatInt(time.Until(dl).Milliseconds(), 10))
	}
	bound, done := c.line.bound(ctx)
	defer done()
	r, err := c.nc.RequestMsgWithContext(bound, m)
	if err != nil {
		return unreachable(whyEnded(bound, err), what)
	}
	if r.Header.Get(headerCode) != "" {
		p := schema.Problem{}
		if err := json.Unmarshal(r.Data, &p); err != nil || p.Code == "" {
			p = schema.Problem{Code: schema.Code(r.Header.Get(headerCode)), Text: r.Header.Get(headerErr)}
		}
		return p.Err()
	}
	if err := json.Unmarshal(r.Data, resp); err != nil {
		return fmt.Errorf("%s: decode the answer: %w", what, err)
	}
	return nil
}

// call is one question that came in.
type call struct {
	subject, reply, left string
	data                 []byte
	problem              func(error) any // body of an answer that says what went wrong; schema.ProblemOf when nil
}

type handler func(ctx context.Context, data []byte) (any, error)

// erase hides the types of a handler behind JSON.
func erase[Req, Resp any](fn func(ctx context.Context, req Req) (Resp, error)) handler {
	return func(ctx context.Context, data []byte) (any, error) {
		var req Req
		if len(data) > 0 {
			if err := json.Unmarshal(data, &req); err != nil {
				return nil, schema.Errorf(schema.Invalid, "decode the question: %v", err)
			}
		}
		return fn(ctx, req)
	}
}

// handle answers one call on a goroutine of its own, or refuses it when too many
// are under way.
func (c *Conn) handle(q call, h handler) {
	select {
	case c.slots <- struct{}{}:
	default:
		c.reply(q, nil, schema.Errorf(schema.TooMany, "too many questions at once: try again"))
		return
	}
	ok := c.start(func() {
		defer func() { <-c.slots }()
		ctx, cancel := c.life()
		defer cancel()
		if ms, err := strconv.ParseInt(q.left, 10, 64); err == nil && ms > 0 {
			var stop context.CancelFunc
			ctx, stop = context.WithTimeout(ctx, time.Duration(ms)*time.Millisecond)
			defer stop()
		}
		v, err := c.guard(ctx, q, h)
		c.reply(q, v, err)
	})
	if !ok {
		<-c.slots
	}
}

// guard turns a panic of a handler into an internal error.
func (c *Conn) guard(ctx context.Context, q call, h handler) (v any, err error) {
	defer func() {
		if p := recover(); p != nil {
			c.log.Error("panic while answering", "subject", q.subject, "panic", p, "stack", string(debug.Stack()))
			err = schema.Errorf(schema.Internal, "internal error")
		}
	}()
	return h(ctx, q.data)
}

func (c *Conn) reply(q call, v any, err error) {
	m := &nats.Msg{Subject: q.reply}
	if err == nil {
		m.Data, err = json.Marshal(v)
	}
	if err != nil {
		p := schema.ProblemOf(err)
		if p.Code == schema.Internal {
			c.log.Error("answer", "subject", q.subject, "err", err)
		}
		m.Header = nats.Header{headerCode: {string(p.Code)}, headerErr: {oneLine(p.Text)}}
		m.Data, _ = json.Marshal(p) // two strings
		if q.problem != nil {
			m.Data, _ = json.Marshal(q.problem(err)) // strings
		}
	}
	if int64(len(m.Data)) > c.nc.MaxPayload()-1024 {
		c.reply(q, nil, schema.Errorf(schema.TooLarge, "the answer is larger than 1 MiB"))
		return
	}
	if err := c.nc.PublishMsg(m); err != nil {
		c.log.Warn("send an answer", "subject", q.subject, "err", err)
	}
}

func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, s)
	return s[:min(len(s), 512)]
}
