package api

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"time"

	"berth/core/access"
	"berth/schema"
)

// StreamItem is one thing that happened to a run or to one it started: its
// record, or a chunk of output with the sequence number to go on after.
type StreamItem struct {
	Run    *schema.Run    `json:"run,omitempty"`
	Seq    uint64         `json:"seq,omitempty"`
	Output *schema.Output `json:"output,omitempty"`
}

// Timing of streams.
const (
	streamBeat    = 15 * time.Second // a comment, so that proxies do not hang up
	streamSettle  = 50 * time.Millisecond
	streamTimeout = 10 * time.Second // per write
)

// streamRun follows a run with all it started until it has ended: one JSON object
// per line, or server-sent events when the client accepts those. ?after= or
// Last-Event-ID continues.
func (a *API) streamRun(w http.ResponseWriter, r *http.Request) {
	row, note := &Row{Group: GroupRead, Name: "StreamRun", Needs: access.CanRead}, &auditNote{}
	who, err := a.caller(r, row)
	if err != nil {
		who.Peer = a.deps.Peers.Of(r)
	}
	ctx := context.WithValue(access.WithCaller(r.Context(), who), auditKey{}, note)
	var root *schema.Run
	if err == nil {
		root, err = a.readRun(ctx, r.PathValue("id"))
	}
	if err != nil {
		a.audit(ctx, row, nil, note, err)
		a.fail(w, r, err)
		return
	}
	after, _ := strconv.ParseUint(r.Header.Get("Last-Event-Id"), 10, 64)
	if s := r.URL.Query().Get("after"); s != "" {
		after, _ = strconv.ParseUint(s, 10, 64)
	}
	out := newStreamWriter(w, strings.Contains(r.Header.Get("Accept"), "text/event-stream"))
	f := &follower{a: a, root: root.ID, after: after, sent: map[string]uint64{}, known: map[string]int{}, send: out.send}
	if err := f.follow(ctx, out.beat); err != nil && ctx.Err() == nil {
		a.deps.Log.Warn("follow a run", "err", err, "run", root.ID)
	}
}

// streamWriter writes items as lines or as events.
type streamWriter struct {
	w   http.ResponseWriter
	ctl *http.ResponseController
	sse bool
}

func newStreamWriter(w http.ResponseWriter, sse bool) *streamWriter {
	h := w.Header()
	h.Set("Content-Type", "application/x-ndjson")
	if sse {
		h.Set("Content-Type", "text/event-stream")
	}
	h.Set("X-Accel-Buffering", "no")
	secure(w)
	return &streamWriter{w: w, ctl: http.NewResponseController(w), sse: sse}
}

func (s *streamWriter) send(i StreamItem) error {
	b, err := json.Marshal(i)
	if err != nil {
		return err
	}
	if !s.sse {
		return s.write(string(b) + "\n")
	}
	id := ""
	if i.Seq != 0 {
		id = fmt.Sprintf("id: %d\n", i.Seq)
	}
	return s.write(id + "data: " + string(b) + "\n\n")
}

func (s *streamWriter) beat() error {
	if s.sse {
		return s.write(":\n\n")
	}
	return s.write("\n")
}

func (s *streamWriter) write(text string) error {
	_ = s.ctl.SetWriteDeadline(time.Now().Add(streamTimeout)) // not every writer has deadlines
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.ctl.Flush()
}

// follower forwards a run, the runs it started, and their output.
type follower struct {
	a     *API
	root  string
	after uint64
	sent  map[string]uint64 // newest sequence sent, by run
	known map[string]int    // events of the record last sent, by run
	send  func(StreamItem) error
}

// follow returns when the root run has ended and everything is sent. Live output
// is taken from before the stored one is read, so that nothing falls between.
func (f *follower) follow(ctx context.Context, beat func() error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changes := pump(ctx, f.a.deps.Engine.Watch(ctx))
	chunks := pump(ctx, func(yield func(Chunk) bool) {
		for seq, out := range f.a.deps.Tail(ctx) {
			if !yield(Chunk{seq, out}) {
				return
			}
		}
	})
	ended, err := f.look(ctx)
	tick := time.NewTicker(streamBeat)
	defer tick.Stop()
	var settled <-chan time.Time // what changes within a moment is looked at once
	for err == nil && !ended {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			err = beat()
		case c, ok := <-chunks:
			if !ok {
				return nil // the hub broke or core stops: the client comes again
			}
			err = f.forward(c)
		case <-settled:
			settled = nil
			ended, err = f.look(ctx)
		case c, ok := <-changes:
			switch {
			case !ok:
				return nil
			case c.ID == f.root && f.over(ctx):
				ended, err = f.look(ctx) // nobody is kept waiting for the end
			case settled == nil:
				settled = time.After(streamSettle)
			}
		}
	}
	return err
}

// over reports whether the root run has ended.
func (f *follower) over(ctx context.Context) bool {
	r, err := f.a.deps.Engine.Get(ctx, f.root)
	return err == nil && r.State.Terminal()
}

// pump turns a sequence into a channel that is closed at its end. Its goroutine
// ends with ctx.
func pump[T any](ctx context.Context, seq iter.Seq[T]) <-chan T {
	ch := make(chan T, 256)
	go func() {
		defer close(ch)
		seq(func(v T) bool {
			select {
			case ch <- v:
				return true
			case <-ctx.Done():
				return false
			}
		})
	}()
	return ch
}

// look sends what is new of the run and of all it started, children before their
// parent, so that the end of the root comes last.
func (f *follower) look(ctx context.Context) (ended bool, err error) {
	r, err := f.a.readRun(ctx, f.root) // again: what one may can change meanwhile
	if err != nil {
		return false, err
	}
	return r.State.Terminal(), f.tree(ctx, r)
}

func (f *follower) tree(ctx context.Context, r *schema.Run) error {
	for _, s := range r.Steps {
		if s.Child == "" {
			continue
		}
		child, err := f.a.deps.Engine.Get(ctx, s.Child)
		if schema.CodeOf(err) == schema.NotFound {
			continue // scheduled, not begun
		}
		if err == nil && access.Permit(ctx, access.CanRead, child.Target) != nil {
			continue // a procedure may work on what its reader may not see
		}
		if err == nil {
			err = f.tree(ctx, child)
		}
		if err != nil {
			return err
		}
	}
	if n, seen := f.known[r.ID]; seen && n == r.Events {
		return nil
	}
	_, seen := f.known[r.ID]
	if !seen {
		f.sent[r.ID] = f.after
	}
	if !seen || r.State.Terminal() { // what came before we listened, and what may have been missed
		if err := f.stored(ctx, r.ID); err != nil {
			return err
		}
	}
	f.known[r.ID] = r.Events
	return f.send(StreamItem{Run: r})
}

func (f *follower) stored(ctx context.Context, run string) error {
	return f.a.output(ctx, run, f.sent[run]+1, func(seq uint64, out schema.Output) error {
		return f.forward(Chunk{seq, out})
	})
}

// forward sends a chunk of a run that is followed, once.
func (f *follower) forward(c Chunk) error {
	last, followed := f.sent[c.Run]
	if !followed || c.Seq <= last {
		return nil
	}
	f.sent[c.Run] = c.Seq
	return f.send(StreamItem{Seq: c.Seq, Output: &c.Output})
}
