package run

import (
	"context"
	"errors"
	"fmt"

	"berth/schema"
)

// Approval waits until somebody approves the step, also over restarts of core. A
// run that only waits for an approval may be superseded. The error is why the run
// was ended instead.
func (r *Run) Approval(ctx context.Context, step, stage string) error {
	if r.Record().Step(step) == nil {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		note := fmt.Sprintf("stage %q waits for an approval: approve it here, or with `berth runs approve %d`", stage, r.Record().Number)
		if err := r.append(ctx, schema.Event{Type: schema.StepScheduled, Step: &schema.Step{
			Name: step, Kind: schema.StepApproval, Stage: stage, State: schema.StateWaiting, Note: note,
		}}); err != nil {
			return err
		}
		r.e.idleChanged(r)
	}
	for {
		moved := r.onMove()
		if s := r.Record().Step(step); s.State.Terminal() {
			return s.Problem.Err()
		}
		select {
		case <-moved:
		case <-ctx.Done():
			cause := context.Cause(ctx)
			_, err := r.endStep(step, stateOf(cause), cause, false)
			return errors.Join(cause, err)
		}
	}
}

// Approve lets a run go on that waits for an approval; stage names which when
// there are several, and may be empty. Errors: NotFound; Conflict when the run has
// ended or waits for none.
func (e *Engine) Approve(ctx context.Context, id, stage string, by schema.Actor) error {
	if err := e.waitReady(ctx); err != nil {
		return err
	}
	r, err := e.running(id)
	if err != nil {
		return err
	}
	did, err := r.update(ctx, func(rec *schema.Run) *schema.Event {
		for _, s := range rec.Steps {
			if s.Kind == schema.StepApproval && !s.State.Terminal() && rec.Ending == nil && (stage == "" || stage == s.Stage) {
				return &schema.Event{Type: schema.StepEnded, Name: s.Name, State: schema.StateSucceeded, Note: "approved by " + by.Name, Actor: &by}
			}
		}
		return nil
	})
	if err == nil && !did {
		err = schema.Errorf(schema.Conflict, "run #%d does not wait for an approval", r.Record().Number)
	}
	return err
}
