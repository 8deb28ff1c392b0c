package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"berth/bus"
	"berth/schema"
)

// Task says what a step of core itself is called.
type Task struct {
	Step  string // unique in the run, stable
	Stage string // of a procedure, for display
}

// Local does work in core itself as a step of the run: recorded before it begins
// and when it has ended, with what it writes to out as its output. Taken up again,
// a step that has ended answers from the record. One that had begun is not done
// again, for nobody knows how far it came: it ends as Interrupted.
func Local[T any](ctx context.Context, r *Run, t Task, work func(ctx context.Context, out *Output) (T, error)) (T, error) {
	var value T
	s := r.Record().Step(t.Step)
	switch {
	case s == nil:
		if err := r.begin(ctx, t); err != nil {
			return value, err
		}
	case s.State.Terminal():
		if s.Problem == nil && len(s.Value) > 0 {
			if err := json.Unmarshal(s.Value, &value); err != nil {
				return value, fmt.Errorf("decode the answer of step %q: %w", t.Step, err)
			}
		}
		return value, s.Problem.Err()
	case s.Started != 0:
		err := schema.Errorf(schema.Interrupted, "interrupted by a restart of core; it is not run again by itself, because nobody knows how far it came")
		_, ended := r.endStep(t.Step, schema.StateFailed, err, false)
		return value, errors.Join(err, ended)
	}
	if err := r.append(ctx, schema.Event{Type: schema.StepStarted, Name: t.Step}); err != nil {
		return value, fmt.Errorf("record begin of step %q: %w", t.Step, err)
	}
	began := time.Now()
	out := newOutput(ctx, r.e.cfg.Conn, schema.Output{Run: r.id, Step: t.Step, Command: commandID(r.id, t.Step)})
	value, err := work(ctx, out)
	lines, cut := out.finish(ctx)
	if r.stopping() {
		return value, errStopping
	}
	res := &schema.Result{Command: commandID(r.id, t.Step), Run: r.id, Step: t.Step, Took: time.Since(began).Milliseconds(), Lines: lines, Cut: cut}
	return value, errors.Join(err, r.endTask(ctx, t.Step, value, err, res))
}

// begin records that the step is to be done.
func (r *Run) begin(ctx context.Context, t Task) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	s := &schema.Step{
		Name: t.Step, Kind: schema.StepCore, Stage: t.Stage, Command: commandID(r.id, t.Step), Target: r.Record().Target,
		Server: schema.Target{Kind: "core", ID: bus.CoreSource, Name: "core"},
	}
	if err := r.append(ctx, schema.Event{Type: schema.StepScheduled, Step: s}); err != nil {
		return fmt.Errorf("record step %q: %w", t.Step, err)
	}
	return nil
}

// endTask records how a step of core ended.
func (r *Run) endTask(ctx context.Context, step string, value any, cause error, res *schema.Result) error {
	ev := &schema.Event{Type: schema.StepEnded, Name: step, State: schema.StateSucceeded, Result: res}
	if cause != nil {
		ev.State, ev.Problem = stateOf(cause), schema.ProblemOf(cause)
	} else if b, err := json.Marshal(value); err == nil && len(b) <= maxAnswer {
		ev.Value = b
	}
	_, err := r.update(ctx, func(rec *schema.Run) *schema.Event {
		if rec.Step(step).State.Terminal() {
			return nil
		}
		return ev
	})
	r.e.idleChanged(r)
	return err
}

// Adopt records a run that this one has started by other means than Child as a
// step, and waits until that run, or ctx, has ended: when ctx does first, the step
// stays open, for LetGo or for the end of this run. A step that exists is not
// touched.
func (r *Run) Adopt(ctx context.Context, step string, child *schema.Run) error {
	did, err := r.update(ctx, func(rec *schema.Run) *schema.Event {
		if rec.Ending != nil || rec.Step(step) != nil {
			return nil
		}
		return &schema.Event{Type: schema.StepScheduled, Step: &schema.Step{
			Name: step, Kind: schema.StepChild, Child: child.ID, Target: child.Target, Server: child.Server, State: schema.StateRunning,
		}}
	})
	if err != nil || !did {
		return err
	}
	ended, err := r.e.Wait(ctx, child.ID)
	if err != nil {
		return nil //nolint:nilerr // ctx has ended: who ended it says what becomes of the step
	}
	return r.endAdopted(ctx, step, schema.Event{State: ended.State, Note: ended.Note, Problem: ended.Problem})
}

// LetGo ends the steps of adopted runs that go on: they go on by themselves.
func (r *Run) LetGo(ctx context.Context) error {
	var all error
	for _, s := range r.Record().Steps {
		if s.Kind != schema.StepChild || s.State.Terminal() {
			continue
		}
		ev := schema.Event{State: schema.StateSucceeded, Note: "started; it goes on by itself"}
		if c, err := r.e.Get(ctx, s.Child); err == nil && c.State.Terminal() {
			ev = schema.Event{State: c.State, Note: c.Note, Problem: c.Problem}
		}
		all = errors.Join(all, r.endAdopted(ctx, s.Name, ev))
	}
	return all
}

func (r *Run) endAdopted(ctx context.Context, step string, ev schema.Event) error {
	ev.Type, ev.Name = schema.StepEnded, step
	_, err := r.update(ctx, func(rec *schema.Run) *schema.Event {
		if s := rec.Step(step); s == nil || s.State.Terminal() {
			return nil
		}
		return &ev
	})
	r.e.idleChanged(r)
	return err
}
