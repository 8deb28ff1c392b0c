package run

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"berth/schema"
)

// Bounds of the output of a step of core, as agents have them.
const (
	outputEvery   = 100 * time.Millisecond
	outputEntries = 256 // that make a chunk
	outputHeld    = 8 * outputEntries
	outputLines   = 100_000
	outputBytes   = 16 << 20
	outputLine    = 16 << 10
	outputEnd     = 3 * time.Second // for the last chunk to be stored
)

// Output is what a step of core writes. It is safe for concurrent use. One
// goroutine, begun by newOutput and ended by finish, stores it in chunks; who
// writes faster than that waits.
type Output struct {
	conn Emitter
	base schema.Output // run, step, command
	wake chan struct{} // there is a chunk to send, or it is the end
	done chan struct{} // the sender has ended

	mu      sync.Mutex // guards what follows
	room    *sync.Cond // entries were taken
	entries []schema.Entry
	next    int // index of the first of entries in the step
	lines   int
	bytes   int
	cut     int
	ended   bool
}

func newOutput(ctx context.Context, conn Emitter, base schema.Output) *Output {
	o := &Output{conn: conn, base: base, wake: make(chan struct{}, 1), done: make(chan struct{})}
	o.room = sync.NewCond(&o.mu)
	go o.run(context.WithoutCancel(ctx)) // how the step ended must be seen although its ctx has
	return o
}

// Line writes a line; errs says that it is one of standard error. Beyond the
// bounds lines are dropped, and a mark says so. The caller masks secrets.
func (o *Output) Line(text string, errs bool) {
	if len(text) > outputLine {
		text = strings.ToValidUTF8(text[:outputLine], "") + fmt.Sprintf(" … (%d bytes more)", len(text)-outputLine)
	}
	e := schema.Entry{Kind: schema.EntryLine, At: time.Now().UnixMilli(), Err: errs, Text: text}
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.entries) >= outputHeld && !o.ended {
		o.poke()
		o.room.Wait()
	}
	if o.ended {
		return
	}
	if o.lines >= outputLines || o.bytes >= outputBytes {
		if o.cut++; o.cut == 1 {
			o.entries = append(o.entries, schema.Entry{
				Kind: schema.EntryCut, At: e.At,
				Text: fmt.Sprintf("output is cut here: the limit of %d lines or %d MiB is reached", outputLines, outputBytes>>20),
			})
		}
		return
	}
	o.lines++
	o.bytes += len(text)
	if o.entries = append(o.entries, e); len(o.entries) >= outputEntries {
		o.poke()
	}
}

func (o *Output) poke() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// run stores what was written until finish.
func (o *Output) run(ctx context.Context) {
	defer close(o.done)
	tick := time.NewTicker(outputEvery)
	defer tick.Stop()
	for {
		select {
		case <-o.wake:
		case <-tick.C:
		}
		chunk, last := o.chunk()
		if len(chunk.Entries) > 0 || last {
			if err := o.conn.Emit(ctx, chunk); err != nil { // waits a second when there is no room
				o.lost(len(chunk.Entries))
			}
		}
		if last {
			return
		}
	}
}

// chunk takes what is written; last says that nothing comes after it.
func (o *Output) chunk() (chunk schema.Output, last bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	chunk = o.base
	chunk.First, chunk.Entries, chunk.End = o.next, o.entries, o.ended
	o.next += len(o.entries)
	o.entries = nil
	o.room.Broadcast()
	return chunk, o.ended
}

// lost counts lines that could not be stored.
func (o *Output) lost(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.cut += n
}

// finish stores the rest and waits a moment until it is. What is written later is
// dropped.
func (o *Output) finish(ctx context.Context) (lines, cut int) {
	o.mu.Lock()
	if o.cut > 0 {
		o.entries = append(o.entries, schema.Entry{Kind: schema.EntryCut, At: time.Now().UnixMilli(), Text: fmt.Sprintf("%d lines were dropped in all", o.cut)})
	}
	o.ended = true
	o.room.Broadcast()
	lines, cut = o.next+len(o.entries), o.cut
	o.mu.Unlock()
	o.poke()
	<-o.done
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), outputEnd)
	defer cancel()
	_ = o.conn.Flush(ctx) // the outbox goes on by itself
	return lines, cut
}
