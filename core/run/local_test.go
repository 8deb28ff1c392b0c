package run_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"berth/bus"
	"berth/core/run"
	"berth/schema"
)

// task is an action that does work in core itself.
func task(work func(ctx context.Context, out *run.Output) (string, error)) run.Action {
	return run.Action{Name: "Task", Body: func(ctx context.Context, r *run.Run) (run.Outcome, error) {
		note, err := run.Local(ctx, r, run.Task{Step: "work"}, work)
		return run.Outcome{Note: note}, err
	}}
}

// lines returns what core wrote for a run.
func lines(t *testing.T, w *world, id string) string {
	t.Helper()
	var b strings.Builder
	err := w.bus.Core.Output(t.Context(), id, "", 0, func(_ uint64, source string, out schema.Output) error {
		if source != bus.CoreSource {
			t.Errorf("output is of %q", source)
		}
		for _, e := range out.Entries {
			b.WriteString(e.Text + "\n")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestLocalStepHasOutputAndEnd(t *testing.T) {
	w := newWorld(t, task(func(_ context.Context, out *run.Output) (string, error) {
		out.Line("one", false)
		out.Line("two", true)
		return "did it", nil
	}))
	rec := w.wait(w.begin("Task", "x").ID)
	s := rec.Step("work")
	if rec.State != schema.StateSucceeded || rec.Note != "did it" || s == nil || s.State != schema.StateSucceeded || s.Lines != 2 || s.Kind != schema.StepCore {
		t.Errorf("have %+v, step %+v", rec, s)
	}
	if got := lines(t, w, rec.ID); got != "one\ntwo\n" {
		t.Errorf("output %q", got)
	}
}

func TestLocalStepIsCanceled(t *testing.T) {
	began := make(chan struct{})
	w := newWorld(t, task(func(ctx context.Context, _ *run.Output) (string, error) {
		close(began)
		<-ctx.Done()
		return "", context.Cause(ctx)
	}))
	id := w.begin("Task", "x").ID
	<-began
	if err := w.engine.Cancel(t.Context(), id, schema.Actor{Name: "ana"}); err != nil {
		t.Fatal(err)
	}
	rec := w.wait(id)
	if rec.State != schema.StateCanceled || rec.Step("work").State != schema.StateCanceled {
		t.Errorf("run %s, step %s", rec.State, rec.Step("work").State)
	}
}

func TestLocalStepIsNotDoneTwice(t *testing.T) {
	began := make(chan struct{}, 1)
	var times atomic.Int32
	w := newWorld(t, task(func(ctx context.Context, out *run.Output) (string, error) {
		times.Add(1)
		out.Line("half", false)
		began <- struct{}{}
		<-ctx.Done()
		return "", context.Cause(ctx)
	}))
	id := w.begin("Task", "x").ID
	<-began
	w.stop()
	w.start()
	rec := w.wait(id)
	s := rec.Step("work")
	if rec.State != schema.StateFailed || rec.Problem.Code != schema.Interrupted || s.State != schema.StateFailed {
		t.Errorf("run %+v, step %+v", rec, s)
	}
	if times.Load() != 1 {
		t.Errorf("done %d times", times.Load())
	}
	if got := lines(t, w, id); !strings.HasPrefix(got, "half\n") {
		t.Errorf("output %q", got)
	}
}

func TestAdoptedRunsGoOn(t *testing.T) {
	go1, ended := make(chan struct{}), make(chan struct{})
	var child string
	var w *world
	w = newWorld(t,
		run.Action{Name: "Child", Body: func(ctx context.Context, _ *run.Run) (run.Outcome, error) {
			select {
			case <-go1:
			case <-ctx.Done():
			}
			return run.Outcome{}, context.Cause(ctx)
		}},
		run.Action{Name: "Parent", Body: func(ctx context.Context, r *run.Run) (run.Outcome, error) {
			c, err := w.engine.Start(ctx, run.StartReq{Action: "Child", Parent: r.ID(), Root: r.ID()})
			if err != nil {
				return run.Outcome{}, err
			}
			child = c.ID
			inner, cancel := context.WithCancel(ctx)
			defer cancel()
			go func() { defer close(ended); _ = r.Adopt(inner, "Child 1", c) }()
			for r.Record().Step("Child 1") == nil {
				if ctx.Err() != nil {
					return run.Outcome{}, ctx.Err()
				}
			}
			cancel()
			<-ended
			return run.Outcome{}, r.LetGo(ctx)
		}},
	)
	rec := w.wait(w.begin("Parent", "x").ID)
	if s := rec.Step("Child 1"); rec.State != schema.StateSucceeded || s.State != schema.StateSucceeded || !strings.Contains(s.Note, "goes on") || s.Child != child {
		t.Errorf("run %s, step %+v", rec.State, s)
	}
	close(go1)
	if c := w.wait(child); c.State != schema.StateSucceeded {
		t.Errorf("child: %s %s", c.State, c.Note)
	}
}
