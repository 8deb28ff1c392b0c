package run

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"berth/schema"
)

// DefaultWait is how long a command waits for a server that is offline.
const DefaultWait = 24 * time.Hour

// cancelGrace is how long an agent may take to let go of canceled work.
const cancelGrace = 20 * time.Second

// overtime is how long past its timeout an agent that is online may be silent.
const overtime = 30 * time.Second

// Job says what a step sends and under which bounds.
type Job struct {
	Step    string        // unique in the run, stable
	Stage   string        // of a procedure, for display
	Server  schema.Target // where
	Key     string        // lease: work under one key never overlaps; "" needs none
	Timeout time.Duration // of the work; 0 is the verb's default
	Wait    time.Duration // for the server to take it; 0 is DefaultWait
}

// Do sends a command to an agent and waits for its answer. The step is recorded
// before the command is queued and when it is answered: a run that is taken up
// again gets the recorded answer, or goes on waiting. Errors carry the agent's
// code and text; Expired when no agent took it in time; Canceled or Superseded
// when the run was ended.
func Do[Req, Resp any](ctx context.Context, r *Run, j Job, verb schema.Job[Req, Resp], req Req) (Resp, error) {
	var resp Resp
	if j.Timeout == 0 {
		j.Timeout = verb.Timeout
	}
	if j.Wait == 0 {
		j.Wait = DefaultWait
	}
	args, err := json.Marshal(req)
	if err != nil {
		return resp, fmt.Errorf("encode %s: %w", verb.Name, err)
	}
	step, err := r.do(ctx, j, verb.Name, args)
	if err != nil {
		return resp, err
	}
	return decodeStep[Resp](step)
}

func decodeStep[T any](step *schema.Step) (T, error) {
	var v T
	if step.Problem != nil {
		return v, step.Problem.Err()
	}
	if len(step.Value) > 0 {
		if err := json.Unmarshal(step.Value, &v); err != nil {
			return v, fmt.Errorf("decode answer of step %q: %w", step.Name, err)
		}
	}
	return v, nil
}

// commandID names the command of a step: the same on every core and after every
// restart.
func commandID(run, step string) string {
	sum := sha256.Sum256([]byte(step))
	return run + "-" + hex.EncodeToString(sum[:5])
}

func (r *Run) do(ctx context.Context, j Job, verb string, args json.RawMessage) (*schema.Step, error) {
	rec := r.Record()
	s := rec.Step(j.Step)
	if s != nil && s.State.Terminal() {
		return s, nil
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if s == nil {
		s = &schema.Step{
			Name: j.Step, Kind: schema.StepJob, Stage: j.Stage, Server: j.Server, Verb: verb, Target: rec.Target,
			Command: commandID(rec.ID, j.Step), Timeout: j.Timeout.Milliseconds(), Deadline: time.Now().Add(j.Wait).UnixMilli(),
		}
		if online, since := r.e.cfg.Online(j.Server.ID); !online {
			s.State, s.Note = schema.StateWaiting, waitingFor(j.Server, since)
		}
		if err := r.append(ctx, schema.Event{Type: schema.StepScheduled, Step: s}); err != nil {
			return nil, fmt.Errorf("record step %q: %w", j.Step, err)
		}
	}
	ended, began := r.open(j.Step)
	r.e.track(s.Command, r, j.Step, j.Key)
	defer r.e.untrack(s.Command)
	if s.Started == 0 {
		if err := r.queue(ctx, s, args, j.Key); err != nil {
			return nil, err
		}
	}
	if err := r.await(ctx, s, ended, began); err != nil {
		return nil, err
	}
	return r.Record().Step(j.Step), nil
}

func waitingFor(server schema.Target, since time.Time) string {
	if since.IsZero() {
		return fmt.Sprintf("waiting for server %s, which has not connected yet", server.Name)
	}
	return fmt.Sprintf("waiting for server %s since %s", server.Name, since.UTC().Format("2006-01-02 15:04:05 UTC"))
}

func (r *Run) queue(ctx context.Context, s *schema.Step, args json.RawMessage, key string) error {
	left := time.Until(time.UnixMilli(s.Deadline))
	if left < time.Second {
		left = time.Second
	}
	cmd := schema.Command{
		ID: s.Command, Run: r.ID(), Step: s.Name, Verb: s.Verb, Key: key, Args: args,
		Queued: s.Queued, Timeout: s.Timeout,
	}
	if err := r.e.cfg.Conn.Enqueue(ctx, s.Server.ID, cmd, left); err != nil {
		return fmt.Errorf("queue %s for server %q: %w", s.Verb, s.Server.Name, err)
	}
	r.e.idleChanged(r)
	if err := r.e.cfg.Conn.Notify(ctx, s.Server.ID, "nudge", struct{}{}); err != nil {
		r.e.cfg.Log.Debug("nudge agent", "server", s.Server.Name, "err", err) // the agent asks again by itself
	}
	return nil
}

// await blocks until the step has ended, by the agent's answer or by its bounds.
func (r *Run) await(ctx context.Context, s *schema.Step, ended, began <-chan struct{}) error {
	wait := time.NewTimer(time.Until(time.UnixMilli(s.Deadline)))
	defer wait.Stop()
	select {
	case <-ended:
		return nil
	case <-began:
	case <-wait.C:
		return r.giveUp(s, began, ended)
	case <-ctx.Done():
		return r.letGo(ctx, s, ended)
	}
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return nil
		case <-ctx.Done():
			return r.letGo(ctx, s, ended)
		case <-tick.C:
			if r.overdue(s.Name) {
				return r.endStep(s.Name, schema.StateFailed, schema.Errorf(schema.Expired,
					"%s on server %q did not answer within its %s", s.Verb, s.Server.Name, time.Duration(s.Timeout)*time.Millisecond))
			}
		}
	}
}

// overdue reports whether an agent that has begun the step should have answered.
// An agent that is offline is given the step's whole deadline to come back.
func (r *Run) overdue(step string) bool {
	s := r.Record().Step(step)
	limit := time.UnixMilli(s.Started + s.Timeout).Add(overtime)
	if online, since := r.e.cfg.Online(s.Server.ID); !online || time.Since(since) < overtime {
		if d := time.UnixMilli(s.Deadline); d.After(limit) {
			limit = d
		}
	}
	return time.Now().After(limit)
}

// giveUp ends a step whose server did not take the command in time.
func (r *Run) giveUp(s *schema.Step, began, ended <-chan struct{}) error {
	ctx, cancel := r.grace()
	defer cancel()
	if err := r.e.cfg.Conn.Dequeue(ctx, s.Server.ID, s.Command); err != nil {
		return fmt.Errorf("withdraw %s: %w", s.Command, err)
	}
	select {
	case <-began: // taken at the last moment
		return r.await(r.ctx, s, ended, began)
	default:
	}
	return r.endStep(s.Name, schema.StateFailed, schema.Errorf(schema.Expired,
		"server %q did not come back within %s: start its agent, then run again",
		s.Server.Name, time.Duration(s.Deadline-s.Queued)*time.Millisecond))
}

// letGo ends a step whose run was ended: withdraws the command, or tells the agent
// to stop and waits for it to say so.
func (r *Run) letGo(ctx context.Context, s *schema.Step, ended <-chan struct{}) error {
	cause := context.Cause(ctx)
	if r.stopping() || errors.Is(cause, errStopping) {
		return errStopping
	}
	grace, cancel := r.grace()
	defer cancel()
	if err := r.e.cfg.Conn.Dequeue(grace, s.Server.ID, s.Command); err != nil {
		r.e.cfg.Log.Warn("withdraw command", "command", s.Command, "err", err)
	}
	if now := r.Record().Step(s.Name); now.Started != 0 && !now.State.Terminal() {
		_ = r.e.cfg.Conn.Notify(grace, s.Server.ID, "cancel", schema.BeginReq{Command: s.Command}) // the renewal says it too
		select {
		case <-ended:
			return cause
		case <-grace.Done():
		case <-r.e.ctx.Done():
			return errStopping
		}
	}
	state := schema.StateCanceled
	if schema.CodeOf(cause) == schema.Superseded {
		state = schema.StateSuperseded
	}
	if err := r.endStep(s.Name, state, cause); err != nil && schema.CodeOf(err) != schema.Conflict {
		return err
	}
	return cause
}

// grace is a context for tidying up after the run's own has ended.
func (r *Run) grace() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(r.ctx), cancelGrace)
}

// endStep records the end of a step that no agent answered.
func (r *Run) endStep(name string, state schema.RunState, cause error) error {
	if r.stopping() {
		return errStopping
	}
	ctx, cancel := r.grace()
	defer cancel()
	s := r.Record().Step(name)
	if s.State.Terminal() {
		return nil
	}
	err := r.append(ctx, schema.Event{Type: schema.StepEnded, Name: name, State: state, Problem: schema.ProblemOf(cause)})
	if err == nil {
		r.signal(r.steps, name)
		r.e.release(ctx, s)
		r.e.idleChanged(r)
	}
	return err
}

// Local runs fn in core as a step: its answer is recorded, and fn is not run again
// after a restart when it has answered. fn must be harmless when repeated.
func Local[T any](ctx context.Context, r *Run, step string, fn func(context.Context) (T, error)) (T, error) {
	var zero T
	if s := r.Record().Step(step); s != nil && s.State.Terminal() {
		return decodeStep[T](s)
	} else if s == nil {
		if err := r.append(ctx, schema.Event{Type: schema.StepScheduled, Step: &schema.Step{Name: step, Kind: schema.StepLocal, State: schema.StateRunning, Target: r.head.Target}}); err != nil {
			return zero, err
		}
	}
	v, err := fn(ctx)
	if r.stopping() {
		return zero, errStopping
	}
	value, merr := json.Marshal(v)
	if merr != nil {
		return zero, fmt.Errorf("encode answer of step %q: %w", step, merr)
	}
	state := schema.StateSucceeded
	if err != nil {
		state, value = schema.StateFailed, nil
	}
	tidy, cancel := r.grace()
	defer cancel()
	if aerr := r.append(tidy, schema.Event{Type: schema.StepEnded, Name: step, State: state, Problem: schema.ProblemOf(err), Value: value}); aerr != nil {
		return zero, aerr
	}
	return v, err
}

// Sleep waits for d, counted from when the step was first recorded.
func (r *Run) Sleep(ctx context.Context, step string, d time.Duration) error {
	s := r.Record().Step(step)
	if s == nil {
		if err := r.append(ctx, schema.Event{Type: schema.StepScheduled, Step: &schema.Step{Name: step, Kind: schema.StepSleep, State: schema.StateRunning, Timeout: d.Milliseconds()}}); err != nil {
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
		return r.endStep(step, schema.StateSucceeded, nil)
	case <-ctx.Done():
		if r.stopping() {
			return errStopping
		}
		_ = r.endStep(step, schema.StateCanceled, context.Cause(ctx)) // the run's own end says it as well
		return context.Cause(ctx)
	}
}

// Child starts another run as a step of this one and waits for its end. The
// child's id follows from the step: taken up again, it is the same child. The
// child's record is returned also when it failed; the error is about the step.
func (r *Run) Child(ctx context.Context, step string, req StartReq) (*schema.Run, error) {
	rec := r.Record()
	req.ID = schema.DeriveID(rec.ID, step)
	req.Parent, req.Root = rec.ID, rec.Root
	s := rec.Step(step)
	if s == nil {
		a, ok := r.e.Action(req.Action)
		var rerr error
		if !ok {
			rerr = schema.Errorf(schema.Unsupported, "%s is not supported yet", req.Action)
		} else {
			rerr = r.e.resolve(ctx, a, &req)
		}
		s = &schema.Step{Name: step, Kind: schema.StepChild, Stage: req.Stage, Child: req.ID, Target: req.Target, Server: req.Server, State: schema.StateRunning}
		if err := r.append(ctx, schema.Event{Type: schema.StepScheduled, Step: s}); err != nil {
			return nil, err
		}
		if rerr != nil {
			return nil, errors.Join(rerr, r.endStep(step, schema.StateFailed, rerr))
		}
	}
	if s.State.Terminal() {
		if s.Problem != nil {
			if c, err := r.e.Get(ctx, s.Child); err == nil {
				return c, nil
			}
			return nil, s.Problem.Err()
		}
		return r.e.Get(ctx, s.Child)
	}
	if _, err := r.e.Start(ctx, req); r.stopping() {
		return nil, errStopping
	} else if err != nil {
		return nil, errors.Join(err, r.endStep(step, schema.StateFailed, err))
	}
	child, err := r.e.Wait(ctx, req.ID)
	if err != nil {
		if r.stopping() {
			return nil, errStopping
		}
		if child, err = r.endChild(req.ID, context.Cause(ctx)); err != nil {
			return nil, err
		}
	}
	tidy, cancel := r.grace()
	defer cancel()
	err = r.append(tidy, schema.Event{Type: schema.StepEnded, Name: step, State: child.State, Note: child.Note, Problem: child.Problem})
	r.e.idleChanged(r) // perhaps all that is left only waits
	return child, err
}

// endChild passes the end of this run on to a child and waits for it.
func (r *Run) endChild(id string, cause error) (*schema.Run, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), cancelGrace+5*time.Second)
	defer cancel()
	if c, err := r.e.running(id); err == nil {
		c.cancel(cause)
	}
	return r.e.Wait(ctx, id)
}
