package periphery

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"berth/bus"
	"berth/periphery/secrets"
	"berth/schema"
)

const (
	flushEvery   = 100 * time.Millisecond
	flushEntries = 256
	flushBytes   = 48 << 10
	maxLines     = 100_000
	maxBytes     = 16 << 20
	maxLine      = 16 << 10
)

// output collects the entries of a command and sends them in chunks, masked and
// bounded. It is safe for concurrent use.
type output struct {
	conn *bus.Conn
	mask *secrets.Masker
	base schema.Output // run, step, command

	mu       sync.Mutex
	entries  []schema.Entry
	progress map[string]int // id → index in entries, so that only the newest is sent
	size     int
	next     int // index of the first entry in entries
	lines    int
	bytes    int
	cut      int
	timer    *time.Timer
	phase    string
}

func newOutput(conn *bus.Conn, mask *secrets.Masker, cmd schema.Command) *output {
	return &output{conn: conn, mask: mask, base: schema.Output{Run: cmd.Run, Step: cmd.Step, Command: cmd.ID}, progress: map[string]int{}}
}

// add takes an entry: masks it, bounds it, and sends it soon.
func (o *output) add(e schema.Entry) {
	if e.At == 0 {
		e.At = time.Now().UnixMilli()
	}
	e.Text = o.mask.Mask(e.Text)
	if len(e.Text) > maxLine {
		e.Text = strings.ToValidUTF8(e.Text[:maxLine], "") + fmt.Sprintf(" … (%d bytes more)", len(e.Text)-maxLine)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if e.Phase == "" {
		e.Phase = o.phase
	}
	if o.excess(e) {
		return
	}
	if e.Kind == schema.EntryProgress && e.ID != "" {
		if i, ok := o.progress[e.ID]; ok {
			o.entries[i] = e
			return
		}
		o.progress[e.ID] = len(o.entries)
	}
	o.entries = append(o.entries, e)
	o.size += len(e.Text) + len(e.ID) + 64
	switch {
	case len(o.entries) >= flushEntries || o.size >= flushBytes:
		o.send(false)
	case o.timer == nil:
		o.timer = time.AfterFunc(flushEvery, o.flush)
	}
}

// excess counts an entry against the bounds; beyond them only phases pass.
func (o *output) excess(e schema.Entry) bool {
	if e.Kind == schema.EntryPhase || e.Kind == schema.EntryCut {
		return false
	}
	if o.lines >= maxLines || o.bytes >= maxBytes {
		o.cut++
		return true
	}
	o.lines++
	o.bytes += len(e.Text)
	return false
}

func (o *output) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.send(false)
}

// send hands what is collected to the connection. The caller holds the lock.
func (o *output) send(end bool) {
	if o.timer != nil {
		o.timer.Stop()
		o.timer = nil
	}
	if len(o.entries) == 0 && !end {
		return
	}
	chunk := o.base
	chunk.First, chunk.Entries, chunk.End = o.next, o.entries, end
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second) //nolint:forbidigo // output outlives the work's own ctx: how it ended must be seen
	defer cancel()
	if err := o.conn.Emit(ctx, chunk); err != nil {
		if len(o.entries) < 4*flushEntries && !end {
			o.timer = time.AfterFunc(time.Second, o.flush) // core is away: keep and try again
			return
		}
		o.cut += len(o.entries)
	}
	o.next += len(o.entries)
	o.entries, o.size, o.progress = nil, 0, map[string]int{}
}

// finish says how the work ended and how much was cut, sends the rest, and waits a
// moment until core has it.
func (o *output) finish(ctx context.Context, err error) (lines, cut int) {
	if err != nil {
		o.add(schema.Entry{Kind: schema.EntryLine, Err: true, Text: schema.SafeText(err)})
	}
	o.mu.Lock()
	if o.cut > 0 {
		o.entries = append(o.entries, schema.Entry{Kind: schema.EntryCut, At: time.Now().UnixMilli(), Text: fmt.Sprintf("output was cut here: %d entries beyond the limit of %d lines or %d MiB were dropped", o.cut, maxLines, maxBytes>>20)})
	}
	o.send(true)
	lines, cut = o.next, o.cut
	o.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	_ = o.conn.Flush(ctx) // core is away: the outbox sends it later
	return lines, cut
}
