package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/nats-io/nats.go"

	"berth/schema"
)

// Audit keeps a record of what somebody did. On disk when it returns.
func (c *Conn) Audit(ctx context.Context, a schema.Audit) error {
	data, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("audit: encode: %w", err)
	}
	_, err = c.js.PublishMsg(ctx, &nats.Msg{Subject: subjAudit, Data: data})
	return published(err, "audit")
}

// auditWindow is how many records are read at once.
const auditWindow = 512

var errWindow = errors.New("beyond the window")

// Audits calls fn with the records before a sequence number, newest first, until it
// returns false; before 0 is from the newest one.
func (c *Conn) Audits(ctx context.Context, before uint64, fn func(schema.Audit) bool) error {
	s, err := c.js.Stream(ctx, StreamAudit)
	if err != nil {
		return published(err, "read the audit")
	}
	first, to := s.CachedInfo().State.FirstSeq, s.CachedInfo().State.LastSeq
	if before > 0 {
		to = min(to, before-1)
	}
	for to > 0 && to >= first {
		from := max(first, 1)
		if to >= auditWindow {
			from = max(from, to-auditWindow+1)
		}
		var window []schema.Audit
		err := c.read(ctx, StreamAudit, subjAudit, from, func(m stored) error {
			if m.seq > to {
				return errWindow
			}
			var a schema.Audit
			if err := json.Unmarshal(m.data, &a); err != nil {
				return fmt.Errorf("decode record %d: %w", m.seq, err)
			}
			a.Seq = m.seq
			window = append(window, a)
			return nil
		})
		if err != nil && !errors.Is(err, errWindow) {
			return err
		}
		for _, a := range slices.Backward(window) {
			if !fn(a) {
				return nil
			}
		}
		to = from - 1
	}
	return nil
}

// FollowAudit yields records as they come, from now on, until ctx ends. One that is
// slow loses the connection's patience: it ends early.
func (c *Conn) FollowAudit(ctx context.Context) iter.Seq[schema.Audit] {
	return func(yield func(schema.Audit) bool) {
		sub, err := c.nc.SubscribeSync(subjAudit)
		if err != nil {
			return
		}
		defer func() { _ = sub.Unsubscribe() }()
		for {
			m, err := sub.NextMsgWithContext(ctx)
			if err != nil {
				return
			}
			var a schema.Audit
			if json.Unmarshal(m.Data, &a) == nil && !yield(a) {
				return
			}
		}
	}
}
