package run

import (
	"context"
	"encoding/json"
	"fmt"

	"berth/schema"
)

// Note is what a body says about its run while it goes on.
type Note struct {
	Commit   string
	Message  string
	Decision *schema.Decision
}

// Note records n; what it repeats is not recorded again.
func (r *Run) Note(ctx context.Context, n Note) error {
	_, err := r.update(ctx, func(rec *schema.Run) *schema.Event {
		if (n.Commit == "" || n.Commit == rec.Commit) && (n.Message == "" || n.Message == rec.Message) &&
			(n.Decision == nil || rec.Decision != nil && rec.Decision.Reason == n.Decision.Reason && rec.Decision.What == n.Decision.What) {
			return nil
		}
		return &schema.Event{Type: schema.RunNoted, Commit: n.Commit, Message: n.Message, Decision: n.Decision}
	})
	return err
}

// Plan returns what the run sets out to do. decide is asked once: its answer is
// recorded, and is the answer when the run is taken up again. A run has one plan.
func Plan[T any](ctx context.Context, r *Run, decide func(context.Context) (T, error)) (T, error) {
	var plan T
	if have := r.Record().Plan; have != nil {
		value, err := unpackPlan(have)
		if err == nil {
			err = json.Unmarshal(value, &plan)
		}
		if err != nil {
			return plan, fmt.Errorf("decode the plan of run %s: %w", r.id, err)
		}
		return plan, nil
	}
	plan, err := decide(ctx)
	if err != nil {
		return plan, err
	}
	value, err := json.Marshal(plan)
	if err != nil {
		return plan, fmt.Errorf("encode the plan of run %s: %w", r.id, err)
	}
	if value, err = packPlan(value); err != nil {
		return plan, err
	}
	return plan, r.append(ctx, schema.Event{Type: schema.RunPlanned, Value: value})
}

// PlanStages records the stages of a procedure before the first begins, so that
// whoever watches sees what is to come.
func (r *Run) PlanStages(ctx context.Context, stages []schema.Stage) error {
	for _, s := range stages {
		s.State = schema.StateQueued
		err := r.stageEvent(ctx, schema.StagePlanned, s, func(have *schema.Stage) bool { return have == nil })
		if err != nil {
			return err
		}
	}
	return nil
}

// StartStage records that a stage of a procedure begins; total is how many
// executions it has.
func (r *Run) StartStage(ctx context.Context, name string, total int) error {
	return r.stageEvent(ctx, schema.StageStarted, schema.Stage{Name: name, Total: total}, func(have *schema.Stage) bool { return have == nil || have.Started == 0 })
}

// EndStage records how a stage ended; nothing while core stops, for the stage goes on
// with the next start.
func (r *Run) EndStage(ctx context.Context, name string, state schema.RunState, note string) error {
	if r.stopping() {
		return errStopping
	}
	return r.stageEvent(ctx, schema.StageEnded, schema.Stage{Name: name, State: state, Note: note}, func(have *schema.Stage) bool { return have == nil || !have.State.Terminal() })
}

// stageEvent records an event of a stage if want says so of the stage as it stands.
func (r *Run) stageEvent(ctx context.Context, t schema.EventType, s schema.Stage, want func(have *schema.Stage) bool) error {
	_, err := r.update(ctx, func(rec *schema.Run) *schema.Event {
		var have *schema.Stage
		for i := range rec.Stages {
			if rec.Stages[i].Name == s.Name {
				have = &rec.Stages[i]
			}
		}
		if !want(have) {
			return nil
		}
		return &schema.Event{Type: t, Stage: &s}
	})
	return err
}
