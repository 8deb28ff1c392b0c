package run_test

import (
	"context"
	"errors"
	"testing"

	"berth/core/run"
	"berth/schema"
)

func TestStageThatWaitsIsNotEndedByARestart(t *testing.T) {
	w := newWorld(t, run.Action{Name: "Staged", Body: func(ctx context.Context, r *run.Run) (run.Outcome, error) {
		if err := r.PlanStages(ctx, []schema.Stage{{Name: "one", Total: 1}}); err != nil {
			return run.Outcome{}, err
		}
		if err := r.Approval(ctx, "go on", "one"); err != nil {
			return run.Outcome{}, errors.Join(err, r.EndStage(context.WithoutCancel(ctx), "one", schema.StateCanceled, "not approved"))
		}
		return run.Outcome{}, nil
	}})
	id := w.begin("Staged", "x").ID
	w.waiting(id)
	w.stop()
	w.start()
	if r := w.waiting(id); len(r.Stages) != 1 || r.Stages[0].State.Terminal() {
		t.Errorf("after a restart: %+v", r.Stages)
	}
	must(t, w.engine.Approve(t.Context(), id, "", schema.Actor{Kind: "user", ID: "u", Name: "u"}))
	if r := w.wait(id); r.State != schema.StateSucceeded {
		t.Errorf("have %+v", r)
	}
}
