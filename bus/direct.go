package bus

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"berth/schema"
)

// stored is a message as it lies in a stream.
type stored struct {
	subject string
	seq     uint64
	data    []byte
}

// batchSize and batchBytes bound what one batched read puts into memory.
const (
	batchSize  = 256
	batchBytes = 8 << 20
)

// read calls fn with every stored message of the subject (wildcards allowed) from
// the sequence on, in order, by batched direct get: no consumer is created.
func (c *Conn) read(ctx context.Context, stream, subject string, from uint64, fn func(stored) error) error {
	return c.readFrom(ctx, stream, subject, start{seq: from}, fn)
}

// start says where a read begins: at a sequence, or at what was stored at a time.
type start struct {
	seq uint64
	at  time.Time
	few int // messages per batch, when only few are wanted
}

func (s start) request(subject string) ([]byte, error) {
	req := map[string]any{"next_by_subj": subject, "batch": cmp.Or(s.few, batchSize), "max_bytes": batchBytes}
	if s.at.IsZero() {
		req["seq"] = max(s.seq, 1)
	} else {
		req["start_time"] = s.at.UTC()
	}
	return json.Marshal(req)
}

// readFrom is read that may begin at a time.
func (c *Conn) readFrom(ctx context.Context, stream, subject string, from start, fn func(stored) error) error {
	inbox := c.nc.NewInbox()
	sub, err := c.nc.SubscribeSync(inbox)
	if err != nil {
		return unreachable(err, "read "+stream)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return fmt.Errorf("read %s: %w", stream, err)
	}
	for more := true; more; {
		req, err := from.request(subject)
		if err != nil {
			return fmt.Errorf("read %s: %w", stream, err)
		}
		if err := c.nc.PublishRequest(subjDirect(stream), inbox, req); err != nil {
			return unreachable(err, "read "+stream)
		}
		if from.seq, more, err = readBatch(ctx, sub, from.seq, fn); err != nil {
			return fmt.Errorf("read %s: %w", stream, err)
		}
		from.at = time.Time{} // from here on by sequence
	}
	return nil
}

// readBatch hands one batch to fn and says where the next one starts.
func readBatch(ctx context.Context, sub *nats.Subscription, from uint64, fn func(stored) error) (uint64, bool, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, defaultWait)
		defer cancel()
	}
	next := from
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return next, false, unreachable(err, "wait for the store")
		}
		switch status := m.Header.Get("Status"); status {
		case "":
		case "204": // end of batch
			pending, _ := strconv.ParseUint(m.Header.Get("Nats-Num-Pending"), 10, 64)
			return next, pending > 0 && next > from, nil
		case "404":
			return next, false, nil
		case "503":
			return next, false, schema.Wrap(schema.Unavailable, nats.ErrNoResponders, "the store does not answer")
		default:
			return next, false, fmt.Errorf("status %s %s", status, m.Header.Get("Description"))
		}
		seq, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
		if err != nil {
			return next, false, fmt.Errorf("sequence of a message: %w", err)
		}
		if err := fn(stored{subject: m.Header.Get("Nats-Subject"), seq: seq, data: m.Data}); err != nil {
			return next, false, err
		}
		next = seq + 1
	}
}
