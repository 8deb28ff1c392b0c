package run_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"berth/bus"
	"berth/bus/bustest"
	"berth/bus/hub"
	"berth/core/run"
	"berth/core/store"
	"berth/schema"
)

// echo is the verb of these tests: the agent answers what it is sent.
var echo = schema.Job[string, string]{Name: "test.echo", Timeout: time.Minute}

var server = schema.Target{Kind: "server", ID: "srv1", Name: "atlas"}

// world is an engine on a live bus that can be stopped and started again.
type world struct {
	t       *testing.T
	bus     *bustest.Bus
	actions []run.Action
	engine  *run.Engine
	serving atomic.Pointer[run.Engine]
	mu      sync.Mutex
	online  bool
	stop    func()
}

func newWorld(t *testing.T, actions ...run.Action) *world {
	w := &world{t: t, bus: bustest.Open(t, hub.Options{Dir: t.TempDir()}), actions: actions, online: true}
	if err := bus.Migrate(t.Context(), w.bus.Core, bus.MigrateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.start()
	t.Cleanup(func() { w.stop() })
	return w
}

func (w *world) start() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	states, err := store.Open[schema.Run](ctx, w.bus.Core, bus.BucketRunState, store.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	meta, err := store.Open[run.Checkpoint](ctx, w.bus.Core, bus.BucketSettings, store.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	leases, err := store.OpenLeases(ctx, w.bus.Core, 1)
	if err != nil {
		w.t.Fatal(err)
	}
	e := run.New(run.Config{
		Conn: w.bus.Core, States: states, Meta: meta, Leases: leases, Actions: w.actions, Log: bustest.Log(w.t),
		Resolve: func(_ context.Context, kind, name string) (schema.Target, schema.Target, error) {
			return schema.Target{Kind: kind, ID: name, Name: name}, server, nil
		},
		Online: func(string) (bool, time.Time) { w.mu.Lock(); defer w.mu.Unlock(); return w.online, time.Time{} },
	})
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	w.engine = e
	w.stop = func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("engine: %v", err)
		}
		w.stop = func() {}
	}
	w.serve(e)
}

// serve answers agents in the engine's name; a restarted engine takes over.
func (w *world) serve(e *run.Engine) {
	if w.serving.Swap(e) != nil {
		return
	}
	must(w.t, bus.Serve(w.bus.Core, schema.AskPending, func(ctx context.Context, agent string, req struct{}) (schema.PendingResp, error) {
		return w.serving.Load().Pending(ctx, agent, req)
	}))
	must(w.t, bus.Serve(w.bus.Core, schema.AskBegin, func(ctx context.Context, agent string, req schema.BeginReq) (schema.BeginResp, error) {
		return w.serving.Load().Begin(ctx, agent, req)
	}))
	must(w.t, bus.Serve(w.bus.Core, schema.AskRenew, func(ctx context.Context, agent string, req schema.BeginReq) (schema.BeginResp, error) {
		return w.serving.Load().Renew(ctx, agent, req)
	}))
}

func (w *world) offline() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.online = false
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// agent takes commands and hands them to do, one at a time.
type agent struct {
	conn *bus.Conn
	mu   sync.Mutex
	did  []string
}

func (w *world) agent(do func(ctx context.Context, cmd schema.Command) (any, error)) *agent {
	w.t.Helper()
	a := &agent{conn: w.bus.Agent(w.t, server.ID)}
	nudge := make(chan struct{}, 1)
	must(w.t, a.conn.OnNotify(bus.NoticeNudge, func(json.RawMessage) {
		select {
		case nudge <- struct{}{}:
		default:
		}
	}))
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		seen := map[string]bool{}
		for ctx.Err() == nil {
			a.round(ctx, seen, do)
			select {
			case <-ctx.Done():
			case <-nudge:
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	w.t.Cleanup(func() { cancel(); <-done })
	return a
}

func (a *agent) round(ctx context.Context, seen map[string]bool, do func(ctx context.Context, cmd schema.Command) (any, error)) {
	p, err := bus.Request(ctx, a.conn, schema.AskPending, struct{}{})
	if err != nil {
		return
	}
	for _, cmd := range p.Commands {
		if seen[cmd.ID] {
			continue
		}
		b, err := bus.Request(ctx, a.conn, schema.AskBegin, schema.BeginReq{Command: cmd.ID})
		if err != nil || b.Verdict != schema.VerdictGo {
			continue
		}
		seen[cmd.ID] = true
		a.mu.Lock()
		a.did = append(a.did, cmd.Step)
		a.mu.Unlock()
		v, err := do(ctx, cmd)
		res := schema.Result{Command: cmd.ID, Run: cmd.Run, Step: cmd.Step, Problem: schema.ProblemOf(err)}
		res.Value, _ = json.Marshal(v)
		for ctx.Err() == nil && a.conn.Report(ctx, cmd.ID, res) != nil {
			continue
		}
	}
}

func (a *agent) done() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.did...)
}

func echoes(context.Context, schema.Command) (any, error) { return "ok", nil }

func (w *world) wait(id string) *schema.Run {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	r, err := w.engine.Wait(ctx, id)
	if err != nil {
		got, _ := w.engine.Get(ctx, id)
		w.t.Fatalf("run %s does not end: %v: %+v", id, err, got)
	}
	return r
}

func (w *world) begin(action, target string) *schema.Run {
	w.t.Helper()
	r, err := w.engine.Start(w.t.Context(), run.StartReq{Action: action, Target: schema.Target{ID: target}, Actor: schema.Actor{Kind: "user", Name: "mira"}})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// deploy is an action of three steps, as a deploy is.
func deploy(steps ...string) run.Action {
	return run.Action{
		Name: "Deploy", Kind: "stack", Param: "stack", Supersede: true,
		Queue: func(t schema.Target) string { return "stack:" + t.ID },
		Body: func(ctx context.Context, r *run.Run) (run.Outcome, error) {
			for _, s := range steps {
				if _, err := run.Do(ctx, r, run.Job{Step: s, Server: server, Key: "stack-" + r.Record().Target.ID}, echo, s); err != nil {
					return run.Outcome{}, err
				}
			}
			return run.Outcome{Note: "done"}, nil
		},
	}
}

func TestRunEndsOnce(t *testing.T) {
	w := newWorld(t, deploy("one", "two", "three"))
	a := w.agent(echoes)
	r := w.wait(w.begin("Deploy", "web").ID)
	if r.State != schema.StateSucceeded || r.Note != "done" || len(r.Steps) != 3 {
		t.Fatalf("run %+v", r)
	}
	if got := fmt.Sprint(a.done()); got != "[one two three]" {
		t.Fatalf("agent did %s", got)
	}
	events, _, err := w.bus.Core.History(t.Context(), r.ID)
	must(t, err)
	ends := 0
	for _, e := range events {
		if e.Type == schema.RunEnded {
			ends++
		}
	}
	if ends != 1 || events[len(events)-1].Type != schema.RunEnded {
		t.Fatalf("%d terminal events, last is %s", ends, events[len(events)-1].Type)
	}
}

func TestRestartGoesOnWhereItWas(t *testing.T) {
	w := newWorld(t, deploy("one", "two", "three"))
	began, release := make(chan struct{}), make(chan struct{})
	a := w.agent(func(_ context.Context, cmd schema.Command) (any, error) {
		if cmd.Step == "two" {
			close(began)
			<-release
		}
		return "ok", nil
	})
	id := w.begin("Deploy", "web").ID
	<-began
	w.stop() // core goes away while step two is worked on
	close(release)
	w.start()
	r := w.wait(id)
	if r.State != schema.StateSucceeded {
		t.Fatalf("run %s: %+v", r.State, r.Problem)
	}
	if got := fmt.Sprint(a.done()); got != "[one two three]" {
		t.Fatalf("agent did %s: a step was repeated or lost", got)
	}
	w.stop()
	w.start() // what has ended is known after another restart, from the bucket
	if again := w.wait(id); again.State != schema.StateSucceeded || again.Number != r.Number {
		t.Fatalf("after restart: %+v", again)
	}
}

func TestNewerSupersedesWaiting(t *testing.T) {
	w := newWorld(t, deploy("up"))
	w.offline()
	first, second, third := w.begin("Deploy", "web"), w.begin("Deploy", "web"), w.begin("Deploy", "web")
	if r := w.wait(first.ID); r.State != schema.StateSuperseded {
		t.Fatalf("first: %s %q", r.State, r.Note)
	}
	if r := w.wait(second.ID); r.State != schema.StateSuperseded || r.Note != fmt.Sprintf("superseded by run #%d", third.Number) {
		t.Fatalf("second: %s %q", r.State, r.Note)
	}
	bustest.Eventually(t, 20*time.Second, "the newest says what it waits for", func() bool {
		r, err := w.engine.Get(t.Context(), third.ID)
		return err == nil && len(r.Steps) == 1 && r.Steps[0].State == schema.StateWaiting && r.Steps[0].Note != ""
	})
	a := w.agent(echoes)
	if r := w.wait(third.ID); r.State != schema.StateSucceeded {
		t.Fatalf("third: %s %+v", r.State, r.Problem)
	}
	if n := len(a.done()); n != 1 {
		t.Fatalf("agent did %d commands, want 1", n)
	}
}

func TestSecondWaitsForFirst(t *testing.T) {
	w := newWorld(t, deploy("up"))
	began, release := make(chan struct{}, 2), make(chan struct{})
	w.agent(func(context.Context, schema.Command) (any, error) { began <- struct{}{}; <-release; return "ok", nil })
	first := w.begin("Deploy", "web")
	<-began
	second := w.begin("Deploy", "web")
	bustest.Eventually(t, 20*time.Second, "the second waits", func() bool {
		r, err := w.engine.Get(t.Context(), second.ID)
		return err == nil && r.State == schema.StateWaiting && r.Note == fmt.Sprintf("waiting for run #%d of the same stack", first.Number)
	})
	close(release)
	a, b := w.wait(first.ID), w.wait(second.ID)
	if a.State != schema.StateSucceeded || b.State != schema.StateSucceeded || b.Started < a.Ended {
		t.Fatalf("first %s until %d, second %s from %d", a.State, a.Ended, b.State, b.Started)
	}
}

func TestCancelReachesTheAgent(t *testing.T) {
	w := newWorld(t, deploy("up"))
	began, told := make(chan struct{}), make(chan struct{})
	a := w.agent(func(ctx context.Context, _ schema.Command) (any, error) {
		close(began)
		select {
		case <-told:
			return nil, schema.Errorf(schema.Canceled, "canceled")
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	must(t, a.conn.OnNotify(bus.NoticeCancel, func(json.RawMessage) { close(told) }))
	must(t, a.conn.NATS().Flush())
	id := w.begin("Deploy", "web").ID
	<-began
	start := time.Now()
	must(t, w.engine.Cancel(t.Context(), id, schema.Actor{Kind: "user", Name: "mira"}))
	r := w.wait(id)
	if r.State != schema.StateCanceled || r.Canceled == nil || time.Since(start) > time.Second {
		t.Fatalf("run %s after %s: %+v", r.State, time.Since(start), r)
	}
	if err := w.engine.Cancel(t.Context(), id, schema.Actor{}); schema.CodeOf(err) != schema.Conflict {
		t.Fatalf("cancel of an ended run: %v", err)
	}
}

func TestDeadlineOfAnAbsentServer(t *testing.T) {
	action := deploy()
	action.Body = func(ctx context.Context, r *run.Run) (run.Outcome, error) {
		_, err := run.Do(ctx, r, run.Job{Step: "up", Server: server, Wait: 1100 * time.Millisecond}, echo, "x")
		return run.Outcome{}, err
	}
	w := newWorld(t, action)
	w.offline()
	r := w.wait(w.begin("Deploy", "web").ID)
	if r.State != schema.StateFailed || r.Problem.Code != schema.Expired {
		t.Fatalf("run %s %+v", r.State, r.Problem)
	}
	if p, err := w.bus.Core.Pending(t.Context(), server.ID); err != nil || len(p) != 0 {
		t.Fatalf("command still queued: %v %v", p, err)
	}
}

func TestOtherAgentsCommandsDoNotExist(t *testing.T) {
	w := newWorld(t, deploy("up"))
	w.offline()
	id := w.begin("Deploy", "web").ID
	var cmd string
	bustest.Eventually(t, 20*time.Second, "queued", func() bool {
		p, err := w.bus.Core.Pending(t.Context(), server.ID)
		if err == nil && len(p) == 1 {
			cmd = p[0].ID
		}
		return cmd != ""
	})
	other := w.bus.Agent(t, "srv2")
	b, err := bus.Request(t.Context(), other, schema.AskBegin, schema.BeginReq{Command: cmd})
	if err != nil || b.Verdict != schema.VerdictGone {
		t.Fatalf("begin by another agent: %+v %v", b, err)
	}
	must(t, other.Report(t.Context(), cmd, schema.Result{Command: cmd, Run: id, Step: "up", Value: json.RawMessage(`"stolen"`)}))
	w.agent(echoes)
	w.wait(id)
	events, _, err := w.bus.Core.History(t.Context(), id)
	must(t, err)
	for _, ev := range events {
		if ev.Type == schema.StepEnded && string(ev.Value) != `"ok"` {
			t.Fatalf("answer %s", ev.Value)
		}
	}
}
