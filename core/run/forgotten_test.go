package run_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"berth/core/run"
	"berth/schema"
)

// waiting returns a run once it waits for an approval.
func (w *world) waiting(id string) *schema.Run {
	w.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		r, err := w.engine.Get(w.t.Context(), id)
		if err == nil {
			if s := r.Step("go on"); s != nil && !s.State.Terminal() {
				return r
			}
		}
		<-time.After(5 * time.Millisecond)
	}
	w.t.Fatal("it does not wait for an approval")
	return nil
}

func TestChildThatIsForgottenIsAnsweredFromTheStep(t *testing.T) {
	var starts atomic.Int32
	forgotten := make(chan struct{})
	leaf := run.Action{Name: "Leaf", Body: func(context.Context, *run.Run) (run.Outcome, error) { return run.Outcome{Note: "done"}, nil }}
	parent := run.Action{Name: "Parent", Body: func(ctx context.Context, r *run.Run) (run.Outcome, error) {
		if starts.Add(1) > 1 {
			<-forgotten
		}
		c, err := r.Child(ctx, "leaf", run.StartReq{Action: "Leaf"})
		if err != nil {
			return run.Outcome{}, err
		}
		if err := r.Approval(ctx, "go on", "one"); err != nil {
			return run.Outcome{}, err
		}
		return run.Outcome{Note: string(c.State) + " " + c.Note}, nil
	}}
	w := newWorld(t, leaf, parent)
	id := w.begin("Parent", "x").ID
	child := w.waiting(id).Step("leaf").Child
	w.stop()
	w.start()
	if _, err := w.engine.Get(t.Context(), child); err != nil { // recovery is done
		t.Fatal(err)
	}
	w.engine.Forget(child)
	close(forgotten)
	must(t, w.engine.Approve(t.Context(), id, "", schema.Actor{Kind: "user", ID: "u", Name: "u"}))
	if r := w.wait(id); r.State != schema.StateSucceeded || r.Note != string(schema.StateSucceeded)+" done" {
		t.Errorf("have %s %q", r.State, r.Note)
	}
}
