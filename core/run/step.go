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

// lookEvery is how often a waiting step looks at its bounds and its server.
const lookEvery = 5 * time.Second

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
	s, err := r.do(ctx, j, verb.Name, args)
	if err != nil {
		return resp, err
	}
	if s.Problem != nil {
		return resp, s.Problem.Err()
	}
	if len(s.Value) > 0 {
		if err := json.Unmarshal(s.Value, &resp); err != nil {
			return resp, schema.Wrap(schema.Failed, err, "the answer of server %q to %s cannot be read: update its agent", s.Server.Name, s.Verb)
		}
	}
	return resp, nil
}

// commandID names the command of a step: the same on every core and after every
// restart. It begins with the run's id, by which the run is found again.
func commandID(run, step string) string {
	sum := sha256.Sum256([]byte(step))
	return run + "-" + hex.EncodeToString(sum[:5])
}

// do records the step, queues its command and waits until the step has ended.
func (r *Run) do(ctx context.Context, j Job, verb string, args json.RawMessage) (*schema.Step, error) {
	s := r.Record().Step(j.Step)
	if s == nil {
		if err := r.schedule(ctx, j, verb); err != nil {
			return nil, err
		}
		s = r.Record().Step(j.Step)
	}
	switch {
	case s.State.Terminal():
		return s, nil
	case ctx.Err() != nil: // await ends it
	case s.Started != 0:
		r.answered(ctx, s)
	default:
		if err := r.enqueue(ctx, s, args); err != nil {
			return nil, err
		}
	}
	if err := r.await(ctx, j.Step); err != nil {
		return nil, err
	}
	return r.Record().Step(j.Step), nil
}

func (r *Run) schedule(ctx context.Context, j Job, verb string) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	s := &schema.Step{
		Name: j.Step, Kind: schema.StepJob, Stage: j.Stage, Server: j.Server, Verb: verb, Target: r.Record().Target, Key: j.Key,
		Command: commandID(r.id, j.Step), Timeout: j.Timeout.Milliseconds(), Deadline: time.Now().Add(j.Wait).UnixMilli(),
	}
	if online, since := r.e.cfg.Online(j.Server.ID); !online {
		s.State, s.Note = schema.StateWaiting, r.e.waitingFor(j.Server, since)
	}
	if err := r.append(ctx, schema.Event{Type: schema.StepScheduled, Step: s}); err != nil {
		return fmt.Errorf("record step %q: %w", j.Step, err)
	}
	return nil
}

// answered takes the answer that an agent gave while core was away, if there is
// one: the queue of answers hands it out only after a while.
func (r *Run) answered(ctx context.Context, s *schema.Step) {
	res, ok, err := r.e.cfg.Conn.Result(ctx, s.Server.ID, s.Command)
	if ok {
		err = r.e.result(ctx, s.Server.ID, res)
	}
	if err != nil {
		r.e.cfg.Log.Debug("look for an answer", "command", s.Command, "err", err) // it comes by the queue
	}
}

func (e *Engine) waitingFor(server schema.Target, since time.Time) string {
	why := ""
	if e.cfg.Revoked != nil && since.IsZero() {
		why = e.cfg.Revoked(server.ID)
	}
	switch {
	case why != "":
		return fmt.Sprintf("waiting for server %s, whose agent is shut out (%s): `berth server join-token %s` says how it joins again", server.Name, why, server.Name)
	case since.IsZero():
		return fmt.Sprintf("waiting for server %s, which no agent has joined yet: `berth server join-token %s` says how", server.Name, server.Name)
	}
	return fmt.Sprintf("waiting for server %s since %s", server.Name, since.UTC().Format("2006-01-02 15:04:05 UTC"))
}

// enqueue puts the step's command where its agent finds it. It stays there while
// the work is done: what it may ask for follows from it.
func (r *Run) enqueue(ctx context.Context, s *schema.Step, args json.RawMessage) error {
	cmd := schema.Command{
		ID: s.Command, Run: r.id, Step: s.Name, Verb: s.Verb, Key: s.Key, Args: args, Queued: s.Queued, Timeout: s.Timeout,
	}
	life := max(time.Until(time.UnixMilli(s.Deadline)), 0) + time.Duration(s.Timeout)*time.Millisecond + 2*overtime
	if err := r.e.cfg.Conn.Enqueue(ctx, s.Server.ID, cmd, life); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return schema.Wrap(schema.CodeOf(err), err, "queue %s for server %q", s.Verb, s.Server.Name)
	}
	r.e.idleChanged(r)
	if err := r.e.cfg.Conn.Notify(ctx, s.Server.ID, "nudge", struct{}{}); err != nil {
		r.e.cfg.Log.Debug("nudge agent", "server", s.Server.Name, "err", err) // the agent asks again by itself
	}
	return nil
}

// await blocks until the step has ended, by the agent's answer or by its bounds.
func (r *Run) await(ctx context.Context, step string) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	wait := time.NewTimer(time.Until(time.UnixMilli(r.Record().Step(step).Deadline)))
	defer wait.Stop()
	ended := ctx.Done()
	for {
		moved := r.onMove()
		s := r.Record().Step(step)
		if s.State.Terminal() {
			return nil
		}
		var err error
		select {
		case <-moved:
		case <-ended:
			if err = r.letGo(ctx, s); err == nil { // superseded too late: what was begun is finished
				ended = nil
			}
		case <-wait.C:
			err = r.giveUp(ctx, s)
		case <-tick.C:
			err = r.look(s)
		case <-r.e.ctx.Done():
			err = errStopping
		}
		if err != nil {
			return err
		}
	}
}

// look ends a begun step whose agent should have answered, and says of one that is
// not begun what it waits for.
func (r *Run) look(s *schema.Step) error {
	online, since := r.e.cfg.Online(s.Server.ID)
	if s.Started == 0 {
		if !online && s.State != schema.StateWaiting {
			return r.noteStep(s.Name, schema.StateWaiting, r.e.waitingFor(s.Server, since))
		}
		return nil
	}
	limit := time.UnixMilli(s.Started + s.Timeout).Add(overtime)
	if away := !online || time.Since(since) < overtime; away { // it is given the step's whole deadline to come back
		if d := time.UnixMilli(s.Deadline); d.After(limit) {
			limit = d
		}
	}
	if time.Now().Before(limit) {
		return nil
	}
	text := fmt.Sprintf("%s on server %q did not answer within its %s", s.Verb, s.Server.Name, time.Duration(s.Timeout)*time.Millisecond)
	if !online {
		text = fmt.Sprintf("server %q went away while it worked on this and did not come back: look at what runs there, start its agent, then run again", s.Server.Name)
	}
	r.tellAgent(s)
	_, err := r.endStep(s.Name, schema.StateFailed, schema.Errorf(schema.Expired, "%s", text), false)
	return err
}

// noteStep says of an open step that has not begun what it waits for.
func (r *Run) noteStep(name string, state schema.RunState, note string) error {
	_, err := r.update(r.ctx, func(rec *schema.Run) *schema.Event {
		s := rec.Step(name)
		if s.State.Terminal() || s.Started != 0 || s.Note == note {
			return nil
		}
		return &schema.Event{Type: schema.StepNoted, Name: name, State: state, Note: note}
	})
	return err
}

// giveUp ends a step whose server did not take the command in time.
func (r *Run) giveUp(ctx context.Context, s *schema.Step) error {
	waited := time.Duration(s.Deadline-s.Queued) * time.Millisecond
	text := fmt.Sprintf("server %q did not come back within %s: start its agent, then run again", s.Server.Name, waited)
	if online, _ := r.e.cfg.Online(s.Server.ID); online {
		text = fmt.Sprintf("server %q did not begin within %s: other work on it took that long, or its agent needs a look", s.Server.Name, waited)
	}
	ended, err := r.endStep(s.Name, schema.StateFailed, schema.Errorf(schema.Expired, "%s", text), true)
	if ended {
		r.withdraw(ctx, s)
	}
	return err
}

// letGo ends a step whose run is to end: withdraws the command, or tells the agent
// to stop and waits until it says that it has. Nil says that the work is wanted
// all the same: being superseded does not end what has begun.
func (r *Run) letGo(ctx context.Context, s *schema.Step) error {
	cause := context.Cause(ctx)
	if r.stopping() {
		return errStopping
	}
	ended, err := r.endStep(s.Name, stateOf(cause), cause, true)
	switch {
	case err != nil:
		return err
	case ended:
		r.withdraw(ctx, s)
		return cause
	case schema.CodeOf(cause) == schema.Superseded:
		return nil
	}
	r.tellAgent(s)
	patience := cancelGrace
	if online, since := r.e.cfg.Online(s.Server.ID); !online && time.Since(since) >= cancelGrace {
		patience = 0 // there is nobody to confirm it
	}
	grace := time.NewTimer(patience)
	defer grace.Stop()
	for {
		moved := r.onMove()
		if r.Record().Step(s.Name).State.Terminal() {
			return cause
		}
		select {
		case <-moved:
		case <-grace.C:
			_, err := r.endStep(s.Name, schema.StateCanceled,
				schema.Errorf(schema.Canceled, "%s; server %q has not confirmed that it stopped", schema.SafeText(cause), s.Server.Name), false)
			return errors.Join(cause, err)
		case <-r.e.ctx.Done():
			return errStopping
		}
	}
}

// tellAgent tells the agent to stop what it does. The notice may be lost: when the
// agent renews its lease it is told again.
func (r *Run) tellAgent(s *schema.Step) {
	if err := r.e.cfg.Conn.Notify(r.ctx, s.Server.ID, "cancel", schema.BeginReq{Command: s.Command}); err != nil {
		r.e.cfg.Log.Debug("tell agent to stop", "server", s.Server.Name, "err", err)
	}
}

// withdraw takes the step's command off the queue.
func (r *Run) withdraw(ctx context.Context, s *schema.Step) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelGrace)
	defer cancel()
	if err := r.e.cfg.Conn.Dequeue(ctx, s.Server.ID, s.Command); err != nil {
		r.e.cfg.Log.Debug("withdraw command", "command", s.Command, "err", err) // it is refused when the agent asks, and expires
	}
}

// endStep records the end of a step that no agent answered, unless it has ended,
// or has begun while it was not to.
func (r *Run) endStep(name string, state schema.RunState, cause error, unbegun bool) (ended bool, err error) {
	if r.stopping() {
		return false, errStopping
	}
	ended, err = r.update(r.ctx, func(rec *schema.Run) *schema.Event {
		s := rec.Step(name)
		if s == nil || s.State.Terminal() || unbegun && s.Started != 0 {
			return nil
		}
		return &schema.Event{Type: schema.StepEnded, Name: name, State: state, Problem: schema.ProblemOf(cause)}
	})
	if ended {
		r.e.idleChanged(r)
	}
	return ended, err
}

// closeSteps ends what a body left open when it returned: nobody waits for it.
func (r *Run) closeSteps(ctx context.Context) {
	for _, s := range r.Record().Steps {
		if s.State.Terminal() {
			continue
		}
		if s.Child != "" {
			_, _ = r.endChild(ctx, s.Child, schema.Errorf(schema.Canceled, "the run that started it has ended"))
		}
		cause := schema.Errorf(schema.Canceled, "the run ended without waiting for it")
		if _, err := r.endStep(s.Name, schema.StateCanceled, cause, false); err != nil {
			r.e.cfg.Log.Warn("end a step that was left open", "run", r.id, "step", s.Name, "err", err)
		}
		if s.Kind == schema.StepJob {
			r.tellAgent(&s)
			r.withdraw(ctx, &s)
		}
	}
}
