package bus

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"berth/schema"
)

// Sizes of the outbox. A chunk's JSON may be six times its text (control
// characters), and must stay below the server's 1 MiB.
const (
	chunkBytes  = 128 << 10
	outboxBytes = 8 << 20
	ackWait     = 5 * time.Second
	resendMax   = 3 * time.Second
	// emitPatience is how long Emit waits for room.
	emitPatience = time.Second
)

// outbox sends chunks of output in order: one is under way at a time, what piles
// up meanwhile is merged per command. One goroutine, started by the first chunk,
// ended and awaited by Conn.Close.
type outbox struct {
	c *Conn

	mu      sync.Mutex // guards what follows
	queue   []*chunk   // oldest first; queue[0] is under way when sending
	sending bool
	bytes   int
	running bool
	wake    chan struct{} // capacity 1: there is something to send
	changed chan struct{} // closed and replaced when something was sent
}

type chunk struct {
	out  schema.Output
	size int
}

func newOutbox(c *Conn) *outbox {
	return &outbox{c: c, wake: make(chan struct{}, 1), changed: make(chan struct{})}
}

func entrySize(e schema.Entry) int {
	return 96 + len(e.Text) + len(e.ID) + len(e.Service) + len(e.Phase)
}

func (o *outbox) put(ctx context.Context, out schema.Output) error {
	patience := time.NewTimer(emitPatience)
	defer patience.Stop()
	size := 64
	for _, e := range out.Entries {
		size += entrySize(e)
	}
	for {
		o.mu.Lock()
		if o.bytes+size > outboxBytes {
			o.dropProgressLocked(o.bytes + size - outboxBytes)
		}
		if o.bytes+size <= outboxBytes || len(o.queue) == 0 {
			o.addLocked(out)
			ok := o.startLocked()
			o.mu.Unlock()
			if !ok {
				return schema.Errorf(schema.Unavailable, "emit output: the connection is closed")
			}
			return nil
		}
		changed := o.changed
		o.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-patience.C:
			return schema.Errorf(schema.TooMany, "emit output: core does not take it and the buffer of %d MiB is full", outboxBytes>>20)
		}
	}
}

// addLocked queues out, in pieces that fit, merged with what waits for the same
// command.
func (o *outbox) addLocked(out schema.Output) {
	rest, first := out.Entries, out.First
	for {
		n, size := 0, 64
		for n < len(rest) && (n == 0 || size+entrySize(rest[n]) <= chunkBytes) {
			size += entrySize(rest[n])
			n++
		}
		piece := out
		piece.First, piece.Entries, piece.End = first, rest[:n:n], out.End && n == len(rest)
		o.appendLocked(&chunk{out: piece, size: size})
		rest, first = rest[n:], first+n
		if len(rest) == 0 {
			return
		}
	}
}

func (o *outbox) appendLocked(ch *chunk) {
	from := 0
	if o.sending {
		from = 1
	}
	for i := len(o.queue) - 1; i >= from; i-- {
		q := o.queue[i]
		if q.out.Command != ch.out.Command || q.out.Run != ch.out.Run {
			continue
		}
		if q.out.First+len(q.out.Entries) == ch.out.First && q.size+ch.size <= chunkBytes && !q.out.End {
			q.out.Entries = append(q.out.Entries, ch.out.Entries...)
			q.out.End = ch.out.End
			q.size += ch.size
			o.bytes += ch.size
			return
		}
		break
	}
	o.queue = append(o.queue, ch)
	o.bytes += ch.size
}

// dropProgressLocked frees up to want bytes of progress entries, oldest first.
func (o *outbox) dropProgressLocked(want int) {
	from := 0
	if o.sending {
		from = 1
	}
	for _, q := range o.queue[min(from, len(o.queue)):] {
		if want <= 0 {
			return
		}
		q.out.Entries = slices.DeleteFunc(q.out.Entries, func(e schema.Entry) bool {
			if e.Kind != schema.EntryProgress || want <= 0 {
				return false
			}
			n := entrySize(e)
			want, q.size, o.bytes = want-n, q.size-n, o.bytes-n
			return true
		})
	}
}

func (o *outbox) startLocked() bool {
	if !o.running {
		if !o.c.start(o.run) {
			return false
		}
		o.running = true
	}
	select {
	case o.wake <- struct{}{}:
	default:
	}
	return true
}

// run sends until the connection is closed.
func (o *outbox) run() {
	ctx, cancel := o.c.life()
	defer cancel()
	for {
		o.mu.Lock()
		var head *chunk
		if len(o.queue) > 0 {
			head, o.sending = o.queue[0], true
		}
		o.mu.Unlock()
		if head == nil {
			select {
			case <-o.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		if !o.deliver(ctx, head) {
			return
		}
		o.mu.Lock()
		o.queue[0] = nil
		o.queue, o.sending, o.bytes = o.queue[1:], false, o.bytes-head.size
		close(o.changed)
		o.changed = make(chan struct{})
		o.mu.Unlock()
	}
}

// deliver repeats one chunk until core has it; false when ctx ended.
func (o *outbox) deliver(ctx context.Context, ch *chunk) bool {
	data, err := json.Marshal(ch.out)
	if err == nil && int64(len(data)) > o.c.nc.MaxPayload()-1024 && o.c.nc.IsConnected() {
		cut := ch.out
		cut.Entries = []schema.Entry{{Kind: schema.EntryCut, Text: "an entry larger than 1 MiB was dropped"}}
		data, err = json.Marshal(cut)
	}
	if err != nil {
		o.c.log.Error("encode output", "err", err)
		return true
	}
	m := &nats.Msg{Subject: subjOutput(o.c.source(), ch.out.Run, ch.out.Command), Data: data}
	wait := 50 * time.Millisecond
	for {
		try, cancel := context.WithTimeout(ctx, ackWait)
		_, err := o.c.js.PublishMsg(try, m)
		cancel()
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		if o.c.nc.IsConnected() {
			o.c.log.Warn("output is sent again", "command", ch.out.Command, "err", err)
		}
		o.await(ctx, wait)
		wait = min(2*wait, resendMax)
	}
}

// await waits for a connection, or for d.
func (o *outbox) await(ctx context.Context, d time.Duration) {
	if o.c.nc.IsConnected() {
		_ = Sleep(ctx, d)
		return
	}
	changed := o.c.nc.StatusChanged(nats.CONNECTED)
	defer o.c.nc.RemoveStatusListener(changed)
	if o.c.nc.IsConnected() {
		return
	}
	select {
	case <-ctx.Done():
	case <-changed:
	case <-time.After(resendMax):
	}
}

func (o *outbox) flush(ctx context.Context) error {
	for {
		o.mu.Lock()
		empty, changed := len(o.queue) == 0, o.changed
		o.mu.Unlock()
		if empty {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return schema.Wrap(schema.CodeOf(ctx.Err()), ctx.Err(), "flush output")
		}
	}
}
