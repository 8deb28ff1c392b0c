package run_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"berth/bus"
	"berth/bus/bustest"
	"berth/bus/hub"
	"berth/core/run"
	"berth/core/store"
	"berth/schema"
)

// fragile is a connection of core's that dies at its k-th write, before or after
// it is done, as a killed process does: nothing it does later reaches anybody.
type fragile struct {
	*bus.Conn
	k     int
	after bool

	mu   sync.Mutex
	n    int
	dead bool
	died chan struct{}
}

var errDead = errors.New("killed")

func (f *fragile) write(do func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead {
		return errDead
	}
	f.n++
	if f.n != f.k {
		return do()
	}
	if f.after {
		_ = do()
	}
	f.dead = true
	f.Conn.NATS().Close()
	close(f.died)
	return errDead
}

func (f *fragile) Append(ctx context.Context, run string, seq uint64, ev schema.Event) (out uint64, err error) {
	err = f.write(func() error { out, err = f.Conn.Append(ctx, run, seq, ev); return err })
	return out, err
}

func (f *fragile) Enqueue(ctx context.Context, agent string, cmd schema.Command, ttl time.Duration) error {
	return f.write(func() error { return f.Conn.Enqueue(ctx, agent, cmd, ttl) })
}

func (f *fragile) Dequeue(ctx context.Context, agent, cmd string) error {
	return f.write(func() error { return f.Conn.Dequeue(ctx, agent, cmd) })
}

func (f *fragile) Notify(ctx context.Context, agent, what string, payload any) error {
	return f.write(func() error { return f.Conn.Notify(ctx, agent, what, payload) })
}

// incarnation is one life of core.
type incarnation struct {
	*run.Engine
	conn *fragile
	stop func()
}

func incarnate(t *testing.T, b *bustest.Bus, k int, after bool, actions []run.Action) incarnation {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	conn, err := b.Hub.Dial(ctx, "core life")
	must(t, err)
	states, err := store.Open[schema.Run](ctx, conn, bus.BucketRunState, store.Options{})
	must(t, err)
	meta, err := store.Open[run.Checkpoint](ctx, conn, bus.BucketActive, store.Options{})
	must(t, err)
	leases, err := store.OpenLeases(ctx, conn, 1)
	must(t, err)
	f := &fragile{Conn: conn, k: k, after: after, died: make(chan struct{})}
	e := run.New(run.Config{
		Conn: f, States: states, Meta: meta, Leases: leases, Actions: actions, Log: quiet(),
		Resolve: func(_ context.Context, kind, name string) (schema.Target, schema.Target, error) {
			return schema.Target{Kind: kind, ID: name, Name: name}, server, nil
		},
		Online: func(string) (bool, time.Time) { return true, time.Now() },
	})
	done := make(chan struct{})
	go func() { defer close(done); _ = e.Run(ctx) }()
	must(t, bus.Serve(conn, schema.AskPending, e.Pending))
	must(t, bus.Serve(conn, schema.AskBegin, e.Begin))
	must(t, bus.Serve(conn, schema.AskRenew, e.Renew))
	return incarnation{Engine: e, conn: f, stop: func() { cancel(); <-done; conn.Close() }}
}

// family is a procedure of two stages: one deploy, then two at once.
func family() run.Action {
	return run.Action{
		Name: "Family", Kind: "procedure", Param: "procedure", Queue: func(t schema.Target) string { return "procedure:" + t.ID },
		Body: func(ctx context.Context, r *run.Run) (run.Outcome, error) {
			stages, err := run.Plan(ctx, r, func(context.Context) ([][]string, error) { return [][]string{{"a"}, {"b", "c"}}, nil })
			if err != nil {
				return run.Outcome{}, err
			}
			for i, stage := range stages {
				var g errgroup.Group
				for _, s := range stage {
					g.Go(func() error {
						c, err := r.Child(ctx, "child "+s, run.StartReq{Action: "Deploy", Target: schema.Target{ID: s + r.ID()}, Stage: fmt.Sprint(i)})
						if err == nil && c.State != schema.StateSucceeded {
							err = schema.Errorf(schema.Failed, "%s %s %s", s, c.State, c.Note)
						}
						return err
					})
				}
				if err := g.Wait(); err != nil {
					return run.Outcome{}, err
				}
			}
			return run.Outcome{}, nil
		},
	}
}

// worker is an agent that keeps, as the real one does, what it has begun for good,
// and what it was told is not wanted for as long as it is offered.
type worker struct {
	conn *bus.Conn
	mu   sync.Mutex
	did  map[string]int // by command
}

func newWorker(t *testing.T, b *bustest.Bus) *worker {
	t.Helper()
	w := &worker{conn: b.Agent(t, server.ID), did: map[string]int{}}
	nudge := make(chan struct{}, 1)
	must(t, w.conn.OnNotify(bus.NoticeNudge, func(json.RawMessage) {
		select {
		case nudge <- struct{}{}:
		default:
		}
	}))
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		gone := map[string]bool{}
		for ctx.Err() == nil {
			w.round(ctx, gone)
			select {
			case <-ctx.Done():
			case <-nudge:
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return w
}

func (w *worker) round(ctx context.Context, gone map[string]bool) {
	ask, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	p, err := bus.Request(ask, w.conn, schema.AskPending, struct{}{})
	if err != nil {
		return
	}
	for _, cmd := range p.Commands {
		if gone[cmd.ID] || w.count(cmd.ID, 0) > 0 {
			continue
		}
		b, err := bus.Request(ask, w.conn, schema.AskBegin, schema.BeginReq{Command: cmd.ID})
		switch {
		case err != nil:
		case b.Verdict == schema.VerdictGo:
			w.count(cmd.ID, 1)
			if r, err := bus.Request(ask, w.conn, schema.AskRenew, schema.BeginReq{Command: cmd.ID, Fence: b.Fence}); err == nil && r.Verdict != schema.VerdictGo {
				w.count(cmd.ID, 100) // work that is wanted was called off
			}
			res := schema.Result{Command: cmd.ID, Run: cmd.Run, Step: cmd.Step, Value: json.RawMessage(`"ok"`)}
			for ctx.Err() == nil && w.conn.Report(ctx, cmd.ID, res) != nil {
				continue
			}
		case b.Verdict == schema.VerdictGone:
			gone[cmd.ID] = true
		}
	}
}

func (w *worker) count(cmd string, add int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.did[cmd] += add
	return w.did[cmd]
}

// TestCrashAtEveryWrite kills core before and after each of its writes while a
// procedure with three deploys of two steps runs. Every time the next core brings
// it to the same end, and every step is done once.
func TestCrashAtEveryWrite(t *testing.T) {
	actions := []run.Action{deploy("one", "two"), family()}
	const lanes = 4
	for lane := range lanes {
		t.Run(fmt.Sprint("lane ", lane), func(t *testing.T) {
			t.Parallel()
			b := bustest.Open(t, hub.Options{Dir: t.TempDir(), Log: quiet()})
			w := newWorker(t, b)
			k := lane + 1
			for reached := true; reached; k += lanes {
				for _, after := range []bool{false, true} {
					if reached = crashOnce(t, b, w, k, after, actions); t.Failed() {
						t.Fatalf("killed at write %d, after it: %t", k, after)
					}
				}
			}
			if k < 40 {
				t.Fatalf("only %d writes", k)
			}
		})
	}
}

func crashOnce(t *testing.T, b *bustest.Bus, w *worker, k int, after bool, actions []run.Action) (reached bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	id := schema.NewID()
	req := run.StartReq{ID: id, Action: "Family", Target: schema.Target{ID: "p" + id}}
	first := incarnate(t, b, k, after, actions)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if _, err := first.Start(ctx, req); err == nil {
			_, _ = first.Wait(ctx, id)
		}
	}()
	select {
	case <-first.conn.died:
	case <-ended:
	case <-ctx.Done():
		t.Error("neither killed nor done")
	}
	first.stop()
	<-ended
	reached = first.conn.n >= k
	second := incarnate(t, b, 0, false, actions)
	defer second.stop()
	if _, err := second.Start(ctx, req); err != nil { // who got no answer asks again
		t.Errorf("start again: %v", err)
		return reached
	}
	r, err := second.Wait(ctx, id)
	if err != nil || r.State != schema.StateSucceeded {
		got, _ := second.Get(ctx, id)
		t.Errorf("%v: %+v", err, got)
		return reached
	}
	kids, err := second.Children(ctx, id)
	must(t, err)
	if len(kids) != 3 || kids[2].Parent != id || kids[2].Root != id || kids[2].Stage != "1" {
		t.Errorf("children %+v", kids)
	}
	for _, kid := range append(kids, r) {
		verifyLog(t, b, w, kid)
	}
	if p, err := b.Core.Pending(ctx, server.ID); err != nil || len(p) > 0 {
		bustest.Eventually(t, 20*time.Second, "commands are taken off the queue", func() bool {
			p, err := b.Core.Pending(ctx, server.ID)
			return err == nil && len(p) == 0
		})
	}
	return reached
}

// verifyLog checks that a run has one end, and each of its steps one beginning and
// one end.
func verifyLog(t *testing.T, b *bustest.Bus, w *worker, r *schema.Run) {
	t.Helper()
	events, _, err := b.Core.History(t.Context(), r.ID)
	must(t, err)
	seen := map[string]int{}
	for _, ev := range events {
		name := ev.Name
		if ev.Step != nil {
			name = ev.Step.Name
		}
		seen[string(ev.Type)+" "+name]++
	}
	for what, n := range seen {
		if n != 1 {
			t.Errorf("run %s: %s %d times", r.Target.Name, what, n)
		}
	}
	if events[len(events)-1].Type != schema.RunEnded {
		t.Errorf("run %s: the last event is %s", r.Target.Name, events[len(events)-1].Type)
	}
	for _, s := range r.Steps {
		if n := w.count(s.Command, 0); s.Kind == schema.StepJob && n != 1 {
			t.Errorf("run %s: step %s was done %d times", r.Target.Name, s.Name, n)
		}
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
