package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"berth/schema"
)

// Report hands the result of a command to core. It is on core's disk when Report
// returns nil; reporting it again within seven days is nil as well. The caller
// repeats until then.
func (c *Conn) Report(ctx context.Context, cmd string, res schema.Result) error {
	if err := checkTokens(c.agent, cmd); err != nil {
		return err
	}
	data, err := json.Marshal(res)
	if err != nil {
		return fmt.Errorf("report %s: encode: %w", cmd, err)
	}
	bound, done := c.line.bound(ctx)
	defer done()
	_, err = c.js.PublishMsg(bound, &nats.Msg{Subject: subjResult(c.agent, cmd), Data: data})
	if err == nil || hasCode(err, codePerSubjectLimit) {
		return nil
	}
	return published(whyEnded(bound, err), "report result")
}

// Result returns what an agent has reported for a command; ok is false when it has
// not yet. It is for who comes late: Results hands out what comes.
func (c *Conn) Result(ctx context.Context, agent, cmd string) (res schema.Result, ok bool, err error) {
	if err := checkTokens(agent, cmd); err != nil {
		return res, false, err
	}
	err = c.read(ctx, StreamResults, subjResult(agent, cmd), 1, func(m stored) error {
		ok = true
		return json.Unmarshal(m.data, &res)
	})
	return res, ok && err == nil, err
}

// Results calls fn with every result, one after the other, until ctx ends; then
// it returns nil. A result counts as taken only after fn returned nil: otherwise
// it comes again, to this core or another. The agent is taken from the subject,
// which the server guards: compare it with the one that was asked.
// schema.Unavailable when the connection is closed.
func (c *Conn) Results(ctx context.Context, fn func(ctx context.Context, agent string, res schema.Result) error) error {
	return c.follow(ctx, follower{
		stream: StreamResults,
		open: func(ctx context.Context) (jetstream.Consumer, error) {
			return c.js.Consumer(ctx, StreamResults, DurableEngine)
		},
		take: func(m jetstream.Msg) error {
			c.result(ctx, m, fn)
			return nil
		},
		opts: []jetstream.PullMessagesOpt{jetstream.PullMaxMessages(64)},
	})
}

func (c *Conn) result(ctx context.Context, m jetstream.Msg, fn func(ctx context.Context, agent string, res schema.Result) error) {
	var res schema.Result
	if err := json.Unmarshal(m.Data(), &res); err != nil {
		c.log.Error("drop a result that is not one", "subject", m.Subject(), "err", err)
		_ = m.Term() // it would never decode
		return
	}
	err := fn(ctx, agentOf(m.Subject()), res)
	if err == nil {
		err = m.Ack()
	} else {
		c.log.Warn("result comes again", "command", res.Command, "err", err)
		err = m.NakWithDelay(nakDelay(m))
	}
	if err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		c.log.Warn("acknowledge a result", "command", res.Command, "err", err)
	}
}

// nakDelay grows with the deliveries, so that one result that cannot be taken
// does not starve the others.
func nakDelay(m jetstream.Msg) time.Duration {
	meta, err := m.Metadata()
	if err != nil {
		return time.Second
	}
	return min(time.Duration(meta.NumDelivered)*500*time.Millisecond, 30*time.Second)
}
