package run

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"berth/schema"
)

// maxAnswer bounds the answer of a step: it has to fit into an event.
const maxAnswer = 900 << 10

// lookup finds the open step of a command for the agent that asks. A command of
// another server does not exist for it.
func (e *Engine) lookup(agent, command string) (*Run, *schema.Step) {
	id, _, _ := strings.Cut(command, "-")
	r, err := e.running(id)
	if err != nil {
		return nil, nil
	}
	s := r.Record().StepByCommand(command)
	if s == nil || s.Server.ID != agent || s.State.Terminal() {
		return nil, nil
	}
	return r, s
}

// Pending returns the commands that wait for the agent, oldest first. Those that
// nobody waits for, which a crash left behind, are taken off the queue.
func (e *Engine) Pending(ctx context.Context, agent string, _ struct{}) (schema.PendingResp, error) {
	if err := e.waitReady(ctx); err != nil {
		return schema.PendingResp{}, err
	}
	queued, err := e.cfg.Conn.Pending(ctx, agent)
	resp := schema.PendingResp{Commands: make([]schema.Command, 0, len(queued))}
	for _, cmd := range queued {
		if r, _ := e.lookup(agent, cmd.ID); r != nil {
			resp.Commands = append(resp.Commands, cmd)
		} else if err := e.cfg.Conn.Dequeue(ctx, agent, cmd.ID); err != nil {
			e.cfg.Log.Debug("take a left over command off the queue", "command", cmd.ID, "err", err)
		}
	}
	return resp, err
}

// Begin gives a command to the agent that asks for it: takes the lease of its key
// and records that the step has begun. Asking again gives the same answer, with
// the time that is left. While core stops nobody is told anything final.
func (e *Engine) Begin(ctx context.Context, agent string, req schema.BeginReq) (schema.BeginResp, error) {
	if err := e.waitReady(ctx); err != nil {
		return schema.BeginResp{}, err
	}
	r, s := e.lookup(agent, req.Command)
	switch {
	case e.ctx.Err() != nil:
		return schema.BeginResp{}, errStopping
	case r == nil:
		return schema.BeginResp{Verdict: schema.VerdictGone, Reason: "nobody waits for it any more"}, nil
	case r.ctx.Err() != nil:
		return r.disclaim(s)
	}
	fence, held, err := e.lease(ctx, r, s)
	if err != nil || held != "" {
		return schema.BeginResp{Verdict: schema.VerdictHeld, Reason: held}, err
	}
	_, err = r.update(ctx, func(rec *schema.Run) *schema.Event {
		if now := rec.Step(s.Name); now.Started != 0 || now.State.Terminal() || rec.Ending != nil || time.Now().UnixMilli() > s.Deadline {
			return nil
		}
		return &schema.Event{Type: schema.StepStarted, Name: s.Name, Fence: fence}
	})
	if err != nil {
		return schema.BeginResp{}, fmt.Errorf("record begin of %s: %w", req.Command, err)
	}
	s = r.Record().Step(s.Name)
	switch {
	case r.stopping():
		return schema.BeginResp{}, errStopping // it asks again after the restart
	case s.State.Terminal() || s.Started == 0 || r.ctx.Err() != nil:
		e.release(ctx, s)
		return r.disclaim(s)
	}
	left := max(s.Timeout-(time.Now().UnixMilli()-s.Started), 1000)
	return schema.BeginResp{Verdict: schema.VerdictGo, Fence: fence, Left: left, TTL: LeaseTTL.Milliseconds()}, nil
}

// disclaim tells an agent that asks to begin that the command is not wanted. By
// asking it says that it does not work on it: the step ends.
func (r *Run) disclaim(s *schema.Step) (schema.BeginResp, error) {
	cause := r.cause()
	if r.stopping() {
		return schema.BeginResp{}, errStopping
	}
	if cause == nil {
		return schema.BeginResp{Verdict: schema.VerdictGone, Reason: "nobody waits for it any more"}, nil
	}
	if _, err := r.endStep(s.Name, stateOf(cause), cause, false); err != nil {
		return schema.BeginResp{}, err
	}
	return schema.BeginResp{Verdict: schema.VerdictGone, Reason: schema.SafeText(cause)}, nil
}

// lease takes the lease of the step's key; held says who has it instead. One that
// a crash kept from being given back is taken over.
func (e *Engine) lease(ctx context.Context, r *Run, s *schema.Step) (fence uint64, held string, err error) {
	if s.Key == "" {
		return 0, "", nil
	}
	got, err := e.cfg.Leases.Acquire(ctx, s.Key, s.Command, LeaseTTL)
	if schema.CodeOf(err) == schema.Conflict && e.idleHolder(got.Holder) {
		if err := e.cfg.Leases.Release(ctx, s.Key, got.Fence); err != nil {
			return 0, "", err
		}
		got, err = e.cfg.Leases.Acquire(ctx, s.Key, s.Command, LeaseTTL)
	}
	if schema.CodeOf(err) != schema.Conflict {
		return got.Fence, "", err
	}
	held = "other work on it goes on"
	return 0, held, r.noteStep(s.Name, schema.StateWaiting, held)
}

// idleHolder reports whether nobody works on a command that holds a lease: its
// agent has said that it is done, or was never told to begin.
func (e *Engine) idleHolder(command string) bool {
	id, _, _ := strings.Cut(command, "-")
	en := e.find(id)
	if en == nil {
		return false
	}
	s := en.rec.Load().StepByCommand(command)
	return s != nil && s.State.Terminal() && (s.Answered || s.Fence == 0)
}

// Renew keeps the lease of begun work, and tells the agent whether it is still
// wanted. A lease that was lost cannot be had back: the agent must stop.
func (e *Engine) Renew(ctx context.Context, agent string, req schema.BeginReq) (schema.BeginResp, error) {
	if err := e.waitReady(ctx); err != nil {
		return schema.BeginResp{}, err
	}
	r, s := e.lookup(agent, req.Command)
	if e.ctx.Err() != nil {
		return schema.BeginResp{}, errStopping
	}
	if r == nil {
		return schema.BeginResp{Verdict: schema.VerdictCanceled, Reason: "nobody waits for it any more"}, nil
	}
	if cause := r.cause(); schema.CodeOf(cause) == schema.Canceled {
		return schema.BeginResp{Verdict: schema.VerdictCanceled, Reason: schema.SafeText(cause)}, nil
	}
	fence, held, err := e.prolong(ctx, s, req.Fence)
	if err != nil {
		return schema.BeginResp{}, err
	}
	if held {
		return schema.BeginResp{Verdict: schema.VerdictCanceled, Reason: "its lease went to other work"}, nil
	}
	return schema.BeginResp{Verdict: schema.VerdictGo, Fence: fence}, nil
}

// prolong renews a lease. One that ran out while core was away is taken anew, if
// nobody else has it; held says that somebody has.
func (e *Engine) prolong(ctx context.Context, s *schema.Step, fence uint64) (now uint64, held bool, err error) {
	if s.Key == "" {
		return 0, false, nil
	}
	err = e.cfg.Leases.Renew(ctx, s.Key, fence, LeaseTTL)
	if schema.CodeOf(err) != schema.Conflict {
		return fence, false, err
	}
	got, err := e.cfg.Leases.Acquire(ctx, s.Key, s.Command, LeaseTTL)
	if schema.CodeOf(err) == schema.Conflict {
		return 0, true, nil
	}
	return got.Fence, false, err
}

// Command returns the arguments of a command that the agent has begun: what may
// be asked for on its behalf. Errors: Denied for a command of others, or that is
// not begun or not wanted any more.
func (e *Engine) Command(ctx context.Context, agent, command string) (schema.Command, error) {
	if err := e.waitReady(ctx); err != nil {
		return schema.Command{}, err
	}
	if _, s := e.lookup(agent, command); s == nil || s.Started == 0 {
		return schema.Command{}, schema.Errorf(schema.Denied, "command %s is not begun by this agent, or not wanted any more", command)
	}
	return e.cfg.Conn.Queued(ctx, agent, command)
}

// release gives the step's lease back, once its agent does not work any more.
func (e *Engine) release(ctx context.Context, s *schema.Step) {
	if s.Key == "" {
		return
	}
	h, ok, err := e.cfg.Leases.Holder(ctx, s.Key)
	if err == nil && ok && h.Holder == s.Command {
		err = e.cfg.Leases.Release(ctx, s.Key, h.Fence)
	}
	if err != nil {
		e.cfg.Log.Debug("release lease", "key", s.Key, "err", err) // it expires
	}
}

// result takes an agent's answer: records it, and takes the command off the queue.
// It returns an error only when the answer must come again.
func (e *Engine) result(ctx context.Context, agent string, res schema.Result) error {
	if err := e.waitReady(ctx); err != nil {
		return err
	}
	r, s := e.lookup(agent, res.Command)
	if r == nil { // answered before, ended without it, or none of this agent's
		if err := e.cfg.Conn.Dequeue(ctx, agent, res.Command); err != nil && schema.CodeOf(err) != schema.Invalid {
			return err
		}
		return nil
	}
	_, err := r.update(ctx, func(rec *schema.Run) *schema.Event {
		if rec.Step(s.Name).State.Terminal() {
			return nil
		}
		return answer(s, res)
	})
	if err != nil && !r.Record().State.Terminal() {
		return fmt.Errorf("record answer of %s: %w", res.Command, err)
	}
	e.release(ctx, s)
	r.withdraw(ctx, s)
	e.idleChanged(r)
	return nil
}

// answer is the event of an agent's answer.
func answer(s *schema.Step, res schema.Result) *schema.Event {
	if len(res.Value) > maxAnswer {
		res.Value, res.Problem = nil, &schema.Problem{Code: schema.TooLarge, Text: fmt.Sprintf("the answer of server %q is larger than 900 KiB", s.Server.Name)}
	}
	ev := &schema.Event{Type: schema.StepEnded, Name: s.Name, State: schema.StateSucceeded, Problem: res.Problem, Value: res.Value}
	if res.Problem != nil {
		ev.State = stateOf(res.Problem.Err())
	}
	res.Value = json.RawMessage(nil)
	ev.Result = &res
	return ev
}

// Presence tells the engine that a server's agent came or went.
func (e *Engine) Presence(ctx context.Context, server string, online bool, since time.Time) {
	for _, r := range e.busyOn(server) {
		for _, s := range r.Record().Steps {
			if s.Server.ID != server || s.Kind != schema.StepJob || s.State.Terminal() {
				continue
			}
			if err := r.present(ctx, s.Name, online, since); err != nil && ctx.Err() == nil && schema.CodeOf(err) != schema.Conflict {
				e.cfg.Log.Warn("note presence", "server", s.Server.Name, "err", err)
			}
		}
	}
}

// present notes at an open step whether its server is there.
func (r *Run) present(ctx context.Context, step string, online bool, since time.Time) error {
	did, err := r.update(ctx, func(rec *schema.Run) *schema.Event {
		s := rec.Step(step)
		ev := &schema.Event{Type: schema.StepNoted, Name: step}
		switch {
		case s.State.Terminal():
			return nil
		case s.Started == 0 && online:
			ev.State = schema.StateQueued
		case s.Started == 0:
			ev.State, ev.Note = schema.StateWaiting, r.e.waitingFor(s.Server, since)
		case !online:
			ev.Note = "server " + s.Server.Name + " went offline while it works on this"
		}
		if ev.Note == s.Note {
			return nil
		}
		return ev
	})
	if did {
		r.e.idleChanged(r)
	}
	return err
}

// busyOn lists the runs that have open steps on a server.
func (e *Engine) busyOn(server string) []*Run {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []*Run
	for _, r := range e.table.live {
		if waitsAt(r.Record(), server, false) > 0 {
			out = append(out, r)
		}
	}
	return out
}

// waitsAt counts the open jobs of a run on a server, or only those not begun.
func waitsAt(rec *schema.Run, server string, unbegun bool) int {
	n := 0
	for i := range rec.Steps {
		s := &rec.Steps[i]
		if s.Kind == schema.StepJob && s.Server.ID == server && !s.State.Terminal() && (!unbegun || s.Started == 0) {
			n++
		}
	}
	return n
}

// Waiting returns how many commands wait for the server.
func (e *Engine) Waiting(server string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for _, r := range e.table.live {
		n += waitsAt(r.Record(), server, true)
	}
	return n
}
