package run

import (
	"context"
	"errors"
	"time"

	"berth/schema"
)

// Sleep waits for d, counted from when the step was first recorded.
func (r *Run) Sleep(ctx context.Context, step string, d time.Duration) error {
	s := r.Record().Step(step)
	if s == nil {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := r.append(ctx, schema.Event{Type: schema.StepScheduled, Step: &schema.Step{
			Name: step, Kind: schema.StepSleep, State: schema.StateRunning, Timeout: d.Milliseconds(),
		}}); err != nil {
			return err
		}
		s = r.Record().Step(step)
	}
	if s.State.Terminal() {
		return s.Problem.Err()
	}
	t := time.NewTimer(time.Until(time.UnixMilli(s.Queued).Add(d)))
	defer t.Stop()
	select {
	case <-t.C:
		_, err := r.endStep(step, schema.StateSucceeded, nil, false)
		return err
	case <-ctx.Done():
		cause := context.Cause(ctx)
		_, err := r.endStep(step, stateOf(cause), cause, false)
		return errors.Join(cause, err)
	}
}

// Child starts another run as a step of this one and waits for its end. The
// child's id follows from the step: taken up again, it is the same child. The
// child's record is returned also when it failed; the error is about the step.
func (r *Run) Child(ctx context.Context, step string, req StartReq) (*schema.Run, error) {
	rec := r.Record()
	s := rec.Step(step)
	if s == nil {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		if err := r.scheduleChild(ctx, step, &req); err != nil {
			return nil, err
		}
		s = r.Record().Step(step)
	}
	if s.State.Terminal() {
		if c, err := r.e.Get(ctx, s.Child); err == nil {
			return c, nil
		}
		if s.Problem == nil { // it is too long ago to be known: the step says how it ended
			return &schema.Run{ID: s.Child, Target: s.Target, Server: s.Server, State: s.State, Note: s.Note, Parent: rec.ID, Root: rec.Root}, nil
		}
		return nil, s.Problem.Err()
	}
	req.ID, req.Parent, req.Root, req.Target, req.Starter = s.Child, rec.ID, rec.Root, s.Target, rec.Starter
	if r.action.Trusted {
		req.Starter = schema.Starter{}
	}
	_, err := r.e.Start(ctx, req)
	if r.stopping() {
		return nil, errStopping
	}
	if err != nil {
		_, ended := r.endStep(step, schema.StateFailed, err, false)
		return nil, errors.Join(err, ended)
	}
	child, err := r.e.Wait(ctx, s.Child)
	if err != nil && !r.stopping() {
		child, err = r.endChild(ctx, s.Child, endOf(ctx))
	}
	if err != nil {
		return nil, err
	}
	err = r.append(ctx, schema.Event{Type: schema.StepEnded, Name: step, State: child.State, Note: child.Note, Problem: child.Problem})
	r.e.idleChanged(r)
	return child, err
}

// scheduleChild records that the child is to be started. What it is to work on is
// found out before: what cannot be started is a step that failed.
func (r *Run) scheduleChild(ctx context.Context, step string, req *StartReq) error {
	a, ok := r.e.Action(req.Action)
	var fault error
	if ok {
		fault = r.e.resolve(ctx, a, req)
	} else {
		fault = schema.Errorf(schema.Unsupported, "%s is not supported yet", req.Action)
	}
	s := &schema.Step{
		Name: step, Kind: schema.StepChild, Stage: req.Stage, Child: schema.DeriveID(r.id, step),
		Target: req.Target, Server: req.Server, State: schema.StateRunning,
	}
	if err := r.append(ctx, schema.Event{Type: schema.StepScheduled, Step: s}); err != nil {
		return err
	}
	if fault != nil {
		_, err := r.endStep(step, schema.StateFailed, fault, false)
		return errors.Join(fault, err)
	}
	return nil
}

// endOf is why the run of a context is to end.
func endOf(ctx context.Context) *schema.Error {
	var cause *schema.Error
	if err := context.Cause(ctx); !errors.As(err, &cause) {
		cause = schema.Errorf(schema.CodeOf(err), "%s", schema.SafeText(err))
	}
	return cause
}

// endChild passes the end of this run on to a child and waits for it.
func (r *Run) endChild(ctx context.Context, id string, cause *schema.Error) (*schema.Run, error) {
	if c, err := r.e.running(id); err == nil {
		if err := c.endBy(ctx, r.Record().Canceled, cause); err != nil {
			c.cancel(cause)
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelGrace+5*time.Second)
	defer cancel()
	return r.e.Wait(ctx, id)
}
