package run_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"berth/bus/bustest"
	"berth/core/run"
	"berth/core/store"
	"berth/schema"
)

// far is a server that nobody is on.
var far = schema.Target{Kind: "server", ID: "srv9", Name: "faraway"}

// procedure runs deploys of the given targets at once; a target "far/x" is on a
// server that is away, "self" is the procedure itself.
func procedure(name string, targets ...string) run.Action {
	return run.Action{
		Name: name, Kind: "procedure", Param: "procedure", Supersede: true,
		Queue: func(t schema.Target) string { return "procedure:" + t.ID },
		Body: func(ctx context.Context, r *run.Run) (run.Outcome, error) {
			var g errgroup.Group
			for _, target := range targets {
				req := run.StartReq{Action: "Deploy", Target: schema.Target{ID: target}}
				switch {
				case strings.HasPrefix(target, "far/"):
					req.Action = "DeployFar"
				case target == "self":
					req = run.StartReq{Action: name, Target: r.Record().Target}
				case strings.HasPrefix(target, "nested/"):
					req = run.StartReq{Action: strings.TrimPrefix(target, "nested/"), Target: schema.Target{ID: target}}
				}
				g.Go(func() error {
					c, err := r.Child(ctx, "child "+target, req)
					if err == nil && c.Problem != nil {
						err = c.Problem.Err()
					}
					return err
				})
			}
			return run.Outcome{}, g.Wait()
		},
	}
}

func deployFar() run.Action {
	a := deploy()
	a.Name = "DeployFar"
	a.Body = func(ctx context.Context, r *run.Run) (run.Outcome, error) {
		_, err := run.Do(ctx, r, run.Job{Step: "up", Server: far, Key: "stack-" + r.Record().Target.ID}, echo, "x")
		return run.Outcome{}, err
	}
	return a
}

// tree returns the states of a run and of all that it started.
func (w *world) tree(id string) string {
	w.t.Helper()
	r, err := w.engine.Get(w.t.Context(), id)
	must(w.t, err)
	out := string(r.State)
	kids, err := w.engine.Children(w.t.Context(), id)
	must(w.t, err)
	slices.SortFunc(kids, func(a, b *schema.Run) int { return strings.Compare(a.Target.ID, b.Target.ID) })
	for _, k := range kids {
		out += " " + k.Target.ID + ":" + w.tree(k.ID)
	}
	return out
}

func TestParentThatOnlyWaitsIsSuperseded(t *testing.T) {
	w := newWorld(t, deploy("up"), deployFar(), procedure("Run", "near", "far/x"), procedure("Outer", "nested/Run"))
	began, release := make(chan struct{}, 9), make(chan struct{})
	w.agent(func(context.Context, schema.Command) (any, error) { began <- struct{}{}; <-release; return "ok", nil })
	first := w.begin("Outer", "p")
	<-began
	second := w.begin("Outer", "p") // the first works: it must be left alone
	bustest.Eventually(t, 20*time.Second, "the second waits", func() bool {
		r, err := w.engine.Get(t.Context(), second.ID)
		return err == nil && r.State == schema.StateWaiting
	})
	if r, _ := w.engine.Get(t.Context(), first.ID); r.State.Terminal() {
		t.Fatalf("first %s %s", r.State, r.Note)
	}
	close(release) // now only the far one is left
	r := w.wait(first.ID)
	if r.State != schema.StateSuperseded || r.Note != fmt.Sprintf("superseded by run #%d", second.Number) {
		t.Fatalf("first %s %q", r.State, r.Note)
	}
	if got := w.tree(first.ID); got != "superseded nested/Run:superseded far/x:superseded near:succeeded" {
		t.Fatal(got)
	}
	bustest.Eventually(t, 20*time.Second, "the second takes its place", func() bool {
		r, err := w.engine.Get(t.Context(), second.ID)
		return err == nil && r.State == schema.StateRunning && r.Started >= 0
	})
	must(t, w.engine.Cancel(t.Context(), second.ID, schema.Actor{Name: "mira"}))
	if r := w.wait(second.ID); r.State != schema.StateCanceled || r.Note != "canceled by mira" {
		t.Fatalf("second %s %q", r.State, r.Note)
	}
	if p, err := w.bus.Core.Pending(t.Context(), far.ID); err != nil || len(p) != 0 {
		t.Fatalf("commands left: %v %v", p, err)
	}
}

func TestRunThatStartsItselfIsRefused(t *testing.T) {
	w := newWorld(t, procedure("Run", "self"), procedure("Outer", "nested/Inner"), procedure("Inner", "nested/Outer2"), procedure("Outer2", "self"))
	w.agent(echoes)
	r := w.wait(w.begin("Run", "p").ID)
	if r.State != schema.StateFailed || !strings.Contains(r.Note, `procedure "p" would start itself`) {
		t.Fatalf("%s %q", r.State, r.Note)
	}
}

func TestStormOfTwenty(t *testing.T) {
	w := newWorld(t, deploy("up"), procedure("Run", "a", "b"))
	gate := make(chan struct{})
	a := w.agent(func(context.Context, schema.Command) (any, error) { <-gate; return "ok", nil })
	first := w.begin("Run", "p")
	bustest.Eventually(t, 20*time.Second, "the first works", func() bool { return len(a.done()) == 1 })
	var mu sync.Mutex
	var ids []string
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			r := w.begin("Run", "p")
			mu.Lock()
			defer mu.Unlock()
			ids = append(ids, r.ID)
		})
	}
	wg.Wait()
	close(gate)
	good := 0
	for _, id := range ids {
		switch r := w.wait(id); {
		case r.State == schema.StateSucceeded:
			good++
		case r.State != schema.StateSuperseded || r.Note == "":
			t.Errorf("%s %q", r.State, r.Note)
		}
	}
	if r := w.wait(first.ID); r.State != schema.StateSucceeded || good != 1 || len(a.done()) != 4 {
		t.Fatalf("first %s, %d of 20 done, %d commands", r.State, good, len(a.done()))
	}
}

func TestOneAtATimeAfterRestart(t *testing.T) {
	var mu sync.Mutex
	running, most := 0, 0
	solo := run.Action{
		Name: "Solo", Kind: "stack", Param: "stack", Queue: func(t schema.Target) string { return t.ID },
		Body: func(ctx context.Context, r *run.Run) (run.Outcome, error) {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			defer func() { mu.Lock(); running--; mu.Unlock() }()
			return run.Outcome{}, r.Sleep(ctx, "nap", 30*time.Millisecond)
		},
	}
	w := newWorld(t, solo)
	var ids []string
	for range 8 {
		ids = append(ids, w.begin("Solo", "web").ID)
	}
	w.stop()
	w.start()
	var last int64
	for _, id := range ids {
		r := w.wait(id)
		if r.State != schema.StateSucceeded || r.Started < last {
			t.Errorf("%s, began %d before the end of its predecessor", r.State, last-r.Started)
		}
		last = r.Ended
	}
	if most != 1 {
		t.Errorf("%d at once", most)
	}
}

func TestStoppingCoreCallsNothingOff(t *testing.T) {
	w := newWorld(t, deploy("up"))
	began, release := make(chan string, 1), make(chan struct{})
	w.agent(func(_ context.Context, cmd schema.Command) (any, error) { began <- cmd.ID; <-release; return "ok", nil })
	id := w.begin("Deploy", "web").ID
	cmd := <-began
	w.stop()
	if resp, err := w.engine.Renew(t.Context(), server.ID, schema.BeginReq{Command: cmd}); err == nil {
		t.Errorf("renewal by a core that stops: %+v", resp)
	}
	if resp, err := w.engine.Begin(t.Context(), server.ID, schema.BeginReq{Command: cmd}); err == nil {
		t.Errorf("begin by a core that stops: %+v", resp)
	}
	if _, err := w.engine.Start(t.Context(), run.StartReq{Action: "Deploy", Target: schema.Target{ID: "web"}}); err != nil && schema.CodeOf(err) != schema.Unavailable {
		t.Errorf("start while core stops: %v", err)
	}
	w.start()
	if resp, err := w.engine.Renew(t.Context(), server.ID, schema.BeginReq{Command: cmd, Fence: 1}); err != nil || resp.Verdict != schema.VerdictGo {
		t.Errorf("renewal after the restart: %+v %v", resp, err)
	}
	close(release)
	if r := w.wait(id); r.State != schema.StateSucceeded {
		t.Errorf("%s %s", r.State, r.Note)
	}
}

func TestWhatABodyLeavesOpenIsEnded(t *testing.T) {
	hasty := deploy()
	hasty.Body = func(ctx context.Context, r *run.Run) (run.Outcome, error) {
		short, cancel := context.WithCancel(ctx)
		cancel()
		_, _ = run.Do(short, r, run.Job{Step: "never"}, echo, "x")
		go func() { _, _ = run.Do(ctx, r, run.Job{Step: "left", Server: far}, echo, "x") }()
		for r.Record().Step("left") == nil {
			if ctx.Err() != nil {
				break
			}
		}
		return run.Outcome{}, schema.Errorf(schema.Failed, "gave up")
	}
	w := newWorld(t, hasty)
	r := w.wait(w.begin("Deploy", "web").ID)
	if len(r.Steps) != 1 || r.Steps[0].State != schema.StateCanceled || r.Note != "gave up" {
		t.Fatalf("%+v", r)
	}
}

func TestEngineGivesBackWhatEnded(t *testing.T) {
	w := newWorld(t, deploy("up"))
	w.agent(echoes)
	for range 5 {
		w.wait(w.begin("Deploy", "web").ID)
	}
	bustest.Eventually(t, 20*time.Second, "nothing is kept of what ended", func() bool { return w.engine.Load() == "0 live, 0 queues, 0 floors" })
}

// TestLeaseOfAStepThatNeverBegan: core was killed between taking the lease and
// recording the begin, and the step was ended since.
func TestLeaseOfAStepThatNeverBegan(t *testing.T) {
	w := newWorld(t, deploy("up"))
	w.offline()
	first := w.begin("Deploy", "web")
	bustest.Eventually(t, 20*time.Second, "queued", func() bool {
		p, err := w.bus.Core.Pending(t.Context(), server.ID)
		return err == nil && len(p) == 1
	})
	r, err := w.engine.Get(t.Context(), first.ID)
	must(t, err)
	leases, err := store.OpenLeases(t.Context(), w.bus.Core, 1)
	must(t, err)
	_, err = leases.Acquire(t.Context(), "stack-web", r.Steps[0].Command, run.LeaseTTL)
	must(t, err)
	second := w.begin("Deploy", "web")
	w.wait(first.ID)
	w.agent(echoes)
	began := time.Now()
	if r := w.wait(second.ID); r.State != schema.StateSucceeded || time.Since(began) > 5*time.Second {
		t.Fatalf("%s after %s", r.State, time.Since(began))
	}
}

func TestStartIsIdempotentById(t *testing.T) {
	w := newWorld(t, deploy("up"))
	w.agent(echoes)
	id := schema.DeriveID("delivery", "1")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := w.engine.Start(t.Context(), run.StartReq{ID: id, Action: "Deploy", Target: schema.Target{ID: "web"}}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	w.wait(id)
	if _, err := w.engine.Start(t.Context(), run.StartReq{ID: id, Action: "Deploy", Target: schema.Target{ID: "web"}}); err != nil {
		t.Fatal(err)
	}
	if list, err := w.engine.List(t.Context(), schema.RunFilter{}); err != nil || len(list) != 1 {
		t.Fatalf("%d runs: %v", len(list), err)
	}
}
