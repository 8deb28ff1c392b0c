package execution

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"berth/bus"
	"berth/bus/bustest"
	"berth/core/run"
	"berth/core/store"
	"berth/schema"
)

// procedures answers RunProcedure with the one procedure of a test.
type procedures struct {
	Resources
	stages []schema.ProcedureStage
}

func (p procedures) Procedure(context.Context, string) (schema.Resource[schema.ProcedureConfig], error) {
	return schema.Resource[schema.ProcedureConfig]{ID: "p1", Name: "nightly", Config: schema.ProcedureConfig{Stages: p.stages}}, nil
}

// lab runs a procedure of stages whose executions are Flaky, which fails the first
// fails times, Hang, which ends when it is told to, and Count.
type lab struct {
	t       *testing.T
	conn    *bus.Conn
	engine  *run.Engine
	stop    func()
	stages  []schema.ProcedureStage
	fails   atomic.Int32
	tries   atomic.Int32
	atOnce  atomic.Int32
	most    atomic.Int32
	release chan struct{}
}

func newLab(t *testing.T, stages ...schema.ProcedureStage) *lab {
	t.Helper()
	l := &lab{t: t, conn: bustest.New(t).Core, stages: stages, release: make(chan struct{})}
	if err := bus.Migrate(t.Context(), l.conn, bus.MigrateOptions{}); err != nil {
		t.Fatal(err)
	}
	l.start()
	t.Cleanup(func() { l.stop() })
	return l
}

func (l *lab) start() {
	l.t.Helper()
	ctx, cancel := context.WithCancel(l.t.Context())
	states, err := store.Open[schema.Run](ctx, l.conn, bus.BucketRunState, store.Options{})
	if err != nil {
		l.t.Fatal(err)
	}
	meta, err := store.Open[run.Checkpoint](ctx, l.conn, bus.BucketActive, store.Options{})
	if err != nil {
		l.t.Fatal(err)
	}
	leases, err := store.OpenLeases(ctx, l.conn, 1)
	if err != nil {
		l.t.Fatal(err)
	}
	d := &Deps{Resources: procedures{stages: l.stages}}
	l.engine = run.New(run.Config{
		Conn: l.conn, States: states, Meta: meta, Leases: leases, Log: bustest.Log(l.t),
		Actions: []run.Action{
			{Name: "RunProcedure", Kind: "procedure", Param: "procedure", Body: d.RunProcedure},
			{Name: "Flaky", Body: l.flaky},
			{Name: "Hang", Body: l.hang},
			{Name: "Count", Body: l.count},
		},
		Resolve: func(_ context.Context, kind, name string) (schema.Target, schema.Target, error) {
			return schema.Target{Kind: kind, ID: name, Name: name}, schema.Target{}, nil
		},
		Online: func(string) (bool, time.Time) { return true, time.Time{} },
	})
	done := make(chan error, 1)
	go func() { done <- l.engine.Run(ctx) }()
	l.stop = func() {
		cancel()
		if err := <-done; err != nil {
			l.t.Error(err)
		}
		l.stop = func() {}
	}
}

func (l *lab) flaky(context.Context, *run.Run) (run.Outcome, error) {
	l.tries.Add(1)
	if l.fails.Add(-1) >= 0 {
		return run.Outcome{}, schema.Errorf(schema.Failed, "not this time")
	}
	return run.Outcome{}, nil
}

func (l *lab) hang(ctx context.Context, _ *run.Run) (run.Outcome, error) {
	select {
	case <-ctx.Done():
		return run.Outcome{}, context.Cause(ctx)
	case <-l.release:
		return run.Outcome{}, nil
	}
}

func (l *lab) count(context.Context, *run.Run) (run.Outcome, error) {
	n := l.atOnce.Add(1)
	defer l.atOnce.Add(-1)
	for {
		most := l.most.Load()
		if n <= most || l.most.CompareAndSwap(most, n) {
			return run.Outcome{}, nil
		}
	}
}

func (l *lab) begin() *schema.Run {
	l.t.Helper()
	r, err := l.engine.Start(l.t.Context(), run.StartReq{Action: "RunProcedure", Target: schema.Target{ID: "p1"}, Actor: schema.Actor{Kind: "user", Name: "mira"}})
	if err != nil {
		l.t.Fatal(err)
	}
	return r
}

func (l *lab) wait(id string) *schema.Run {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 20*time.Second)
	defer cancel()
	r, err := l.engine.Wait(ctx, id)
	if err != nil {
		l.t.Fatalf("run does not end: %v", err)
	}
	return r
}

func stageOf(change func(s *schema.ProcedureStage), types ...string) schema.ProcedureStage {
	s := schema.ProcedureStage{Name: "one", Enabled: true}
	for _, t := range types {
		s.Executions = append(s.Executions, schema.EnabledExecution{Enabled: true, Execution: schema.Execution{Type: t, Params: json.RawMessage("{}")}})
	}
	if change != nil {
		change(&s)
	}
	return s
}

func TestFailedExecutionIsTriedAgain(t *testing.T) {
	l := newLab(t, stageOf(func(s *schema.ProcedureStage) { s.Executions[0].Retries = 2 }, "Flaky"))
	l.fails.Store(2)
	if r := l.wait(l.begin().ID); r.State != schema.StateSucceeded || l.tries.Load() != 3 {
		t.Errorf("%s after %d tries: %v", r.State, l.tries.Load(), r.Problem)
	}
	l.fails.Store(3)
	l.tries.Store(0)
	if r := l.wait(l.begin().ID); r.State != schema.StateFailed || l.tries.Load() != 3 {
		t.Errorf("%s after %d tries", r.State, l.tries.Load())
	}
}

// Between two tries is the pause that is asked for, a step of its own.
func TestTriesHaveAPause(t *testing.T) {
	const pause = 80 * time.Millisecond
	l := newLab(t, stageOf(func(s *schema.ProcedureStage) {
		s.Executions[0].Retries, s.Executions[0].RetryDelay = 2, schema.Duration(pause)
	}, "Flaky"))
	l.fails.Store(2)
	r := l.wait(l.begin().ID)
	pauses := 0
	for _, s := range r.Steps {
		if s.Kind == schema.StepSleep && s.State == schema.StateSucceeded {
			pauses++
		}
	}
	if took := time.Duration(r.Ended-r.Started) * time.Millisecond; r.State != schema.StateSucceeded || pauses != 2 || took < 2*pause {
		t.Errorf("%s in %s with %d pauses", r.State, took, pauses)
	}
}

func TestFailureIsLetPass(t *testing.T) {
	for name, change := range map[string]func(s *schema.ProcedureStage){
		"execution": func(s *schema.ProcedureStage) { s.Executions[0].ContinueOnFailure = true },
		"stage":     func(s *schema.ProcedureStage) { s.ContinueOnFailure = true },
	} {
		t.Run(name, func(t *testing.T) {
			second := stageOf(nil, "Count")
			second.Name = "two"
			l := newLab(t, stageOf(change, "Flaky"), second)
			l.fails.Store(1)
			r := l.wait(l.begin().ID)
			if r.State != schema.StateWarning || !strings.Contains(r.Note, "not this time") || l.most.Load() != 1 {
				t.Errorf("%s: %s; the next stage ran %d times", r.State, r.Note, l.most.Load())
			}
		})
	}
}

func TestTimeouts(t *testing.T) {
	for name, change := range map[string]func(s *schema.ProcedureStage){
		"execution": func(s *schema.ProcedureStage) { s.Executions[0].Timeout = schema.Duration(50 * time.Millisecond) },
		"stage":     func(s *schema.ProcedureStage) { s.Timeout = schema.Duration(50 * time.Millisecond) },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, stageOf(change, "Hang"))
			r := l.wait(l.begin().ID)
			if r.State != schema.StateFailed || r.Problem == nil || !strings.Contains(r.Problem.Text, "longer than its timeout of 50ms") {
				t.Errorf("%s: %+v", r.State, r.Problem)
			}
		})
	}
}

func TestConcurrencyOfAStage(t *testing.T) {
	l := newLab(t, stageOf(func(s *schema.ProcedureStage) { s.Concurrency = 1 }, "Count", "Count", "Count", "Count"))
	if r := l.wait(l.begin().ID); r.State != schema.StateSucceeded || l.most.Load() != 1 {
		t.Errorf("%s: %d at once", r.State, l.most.Load())
	}
}

func TestApprovalOutlivesARestart(t *testing.T) {
	l := newLab(t, stageOf(func(s *schema.ProcedureStage) { s.Approval = true }, "Count"))
	id := l.begin().ID
	l.until(id, schema.StateWaiting)
	if l.most.Load() != 0 {
		t.Fatal("it did not wait")
	}
	l.stop()
	l.start()
	l.until(id, schema.StateWaiting)
	mira := schema.Actor{Kind: "user", Name: "mira"}
	if err := l.engine.Approve(t.Context(), id, "other", mira); schema.CodeOf(err) != schema.Conflict {
		t.Errorf("approving another stage: %v", err)
	}
	if err := l.engine.Approve(t.Context(), id, "", mira); err != nil {
		t.Fatal(err)
	}
	r := l.wait(id)
	if r.State != schema.StateSucceeded || l.most.Load() != 1 {
		t.Errorf("%s: %v", r.State, r.Problem)
	}
	if s := r.Step("one / approval"); s == nil || s.Note != "approved by mira" {
		t.Errorf("step %+v", s)
	}
	if err := l.engine.Approve(t.Context(), id, "", mira); schema.CodeOf(err) != schema.Conflict {
		t.Errorf("approving what has ended: %v", err)
	}
}

func TestCancelOfWhatWaitsForAnApproval(t *testing.T) {
	l := newLab(t, stageOf(func(s *schema.ProcedureStage) { s.Approval = true }, "Count"))
	id := l.begin().ID
	l.until(id, schema.StateWaiting)
	if err := l.engine.Cancel(t.Context(), id, schema.Actor{Name: "mira"}); err != nil {
		t.Fatal(err)
	}
	if r := l.wait(id); r.State != schema.StateCanceled || l.most.Load() != 0 {
		t.Errorf("%s: %v", r.State, r.Problem)
	}
}

// until waits for a run to be in a state.
func (l *lab) until(id string, state schema.RunState) {
	l.t.Helper()
	bustest.Eventually(l.t, 10*time.Second, "run is "+string(state), func() bool {
		r, err := l.engine.Get(l.t.Context(), id)
		return err == nil && r.State == state
	})
}
