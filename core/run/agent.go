package run

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"berth/schema"
)

// openStep is a command that somebody waits for.
type openStep struct {
	run  *Run
	step string
	key  string
}

func (e *Engine) track(command string, r *Run, step, key string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.open[command] = openStep{run: r, step: step, key: key}
}

func (e *Engine) untrack(command string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.open, command)
}

// lookup finds the open step of a command for the agent that asks. A command of
// another server does not exist for it.
func (e *Engine) lookup(agent, command string) (openStep, *schema.Step, bool) {
	e.mu.Lock()
	o, ok := e.open[command]
	e.mu.Unlock()
	if !ok {
		return o, nil, false
	}
	s := o.run.Record().Step(o.step)
	if s == nil || s.Server.ID != agent || s.State.Terminal() {
		return o, nil, false
	}
	return o, s, true
}

// Pending returns the commands that wait for the agent, oldest first.
func (e *Engine) Pending(ctx context.Context, agent string, _ struct{}) (schema.PendingResp, error) {
	if err := e.waitReady(ctx); err != nil {
		return schema.PendingResp{}, err
	}
	commands, err := e.cfg.Conn.Pending(ctx, agent)
	return schema.PendingResp{Commands: commands}, err
}

// Begin gives a command to the agent that asks for it: takes the lease of its key
// and records that the step has begun. Asking again gives the same answer.
func (e *Engine) Begin(ctx context.Context, agent string, req schema.BeginReq) (schema.BeginResp, error) {
	if err := e.waitReady(ctx); err != nil {
		return schema.BeginResp{}, err
	}
	o, s, ok := e.lookup(agent, req.Command)
	if !ok {
		return schema.BeginResp{Verdict: schema.VerdictGone, Reason: "nobody waits for it any more"}, nil
	}
	if cause := context.Cause(o.run.ctx); cause != nil {
		return schema.BeginResp{Verdict: schema.VerdictGone, Reason: schema.SafeText(cause)}, nil
	}
	fence, held, err := e.lease(ctx, o, s)
	if err != nil || held != "" {
		return schema.BeginResp{Verdict: schema.VerdictHeld, Reason: held}, err
	}
	if s.Started == 0 {
		if err := o.run.append(ctx, schema.Event{Type: schema.StepStarted, Name: o.step, Fence: fence}); err != nil {
			return schema.BeginResp{}, fmt.Errorf("record begin of %s: %w", req.Command, err)
		}
		o.run.signal(o.run.began, o.step)
		if context.Cause(o.run.ctx) != nil { // ended meanwhile: the step's own end tells the agent
			return schema.BeginResp{Verdict: schema.VerdictCanceled, Reason: schema.SafeText(context.Cause(o.run.ctx))}, nil
		}
	}
	return schema.BeginResp{Verdict: schema.VerdictGo, Fence: fence, Left: s.Timeout, TTL: LeaseTTL.Milliseconds()}, nil
}

// lease takes the lease of the step's key; held says who has it instead.
func (e *Engine) lease(ctx context.Context, o openStep, s *schema.Step) (fence uint64, held string, err error) {
	if o.key == "" {
		return 0, "", nil
	}
	got, err := e.cfg.Leases.Acquire(ctx, o.key, s.Command, LeaseTTL)
	if schema.CodeOf(err) == schema.Conflict && e.over(got.Holder) {
		// Core died before it gave the lease back.
		if err := e.cfg.Leases.Release(ctx, o.key, got.Fence); err != nil {
			return 0, "", err
		}
		got, err = e.cfg.Leases.Acquire(ctx, o.key, s.Command, LeaseTTL)
	}
	if schema.CodeOf(err) != schema.Conflict {
		return got.Fence, "", err
	}
	held = "other work on it goes on"
	if s.Note != held && s.Started == 0 {
		err = o.run.append(ctx, schema.Event{Type: schema.StepNoted, Name: o.step, State: schema.StateWaiting, Note: held})
		return 0, held, err
	}
	return 0, held, nil
}

// over reports whether the step of a command has ended.
func (e *Engine) over(command string) bool {
	id, _, _ := strings.Cut(command, "-")
	e.mu.Lock()
	r, rec := e.active[id], e.ended[id]
	e.mu.Unlock()
	if r != nil {
		rec = r.Record()
	}
	if rec == nil {
		return false
	}
	s := rec.StepByCommand(command)
	return s != nil && s.State.Terminal()
}

// Renew keeps the lease of begun work, and tells the agent whether it is still
// wanted. A lease that was lost cannot be had back: the agent must stop.
func (e *Engine) Renew(ctx context.Context, agent string, req schema.BeginReq) (schema.BeginResp, error) {
	if err := e.waitReady(ctx); err != nil {
		return schema.BeginResp{}, err
	}
	o, s, ok := e.lookup(agent, req.Command)
	if !ok {
		return schema.BeginResp{Verdict: schema.VerdictCanceled, Reason: "nobody waits for it any more"}, nil
	}
	if cause := context.Cause(o.run.ctx); cause != nil {
		return schema.BeginResp{Verdict: schema.VerdictCanceled, Reason: schema.SafeText(cause)}, nil
	}
	fence, held, err := e.keep(ctx, o.key, s.Command, req.Fence)
	if err != nil {
		return schema.BeginResp{}, err
	}
	if held {
		return schema.BeginResp{Verdict: schema.VerdictCanceled, Reason: "its lease went to other work"}, nil
	}
	return schema.BeginResp{Verdict: schema.VerdictGo, Fence: fence}, nil
}

// keep renews a lease. One that ran out while core was away is taken anew, if
// nobody else has it; held says that somebody has.
func (e *Engine) keep(ctx context.Context, key, command string, fence uint64) (now uint64, held bool, err error) {
	if key == "" {
		return 0, false, nil
	}
	err = e.cfg.Leases.Renew(ctx, key, fence, LeaseTTL)
	if schema.CodeOf(err) != schema.Conflict {
		return fence, false, err
	}
	got, err := e.cfg.Leases.Acquire(ctx, key, command, LeaseTTL)
	if schema.CodeOf(err) == schema.Conflict {
		return 0, true, nil
	}
	return got.Fence, false, err
}

// Command returns the arguments of a command that the agent has begun: what may
// be asked for on its behalf.
func (e *Engine) Command(ctx context.Context, agent, command string) (schema.Command, error) {
	_, s, ok := e.lookup(agent, command)
	if !ok || s.Started == 0 {
		return schema.Command{}, schema.Errorf(schema.Denied, "command %s is not begun by this agent", command)
	}
	commands, err := e.cfg.Conn.Pending(ctx, agent)
	if err != nil {
		return schema.Command{}, err
	}
	for _, c := range commands {
		if c.ID == command {
			return c, nil
		}
	}
	return schema.Command{}, schema.Errorf(schema.NotFound, "command %s is not queued any more", command)
}

// release gives the step's lease back.
func (e *Engine) release(ctx context.Context, s *schema.Step) {
	if s == nil || s.Fence == 0 {
		return
	}
	e.mu.Lock()
	key := e.open[s.Command].key
	e.mu.Unlock()
	if key == "" {
		return
	}
	h, ok, err := e.cfg.Leases.Holder(ctx, key)
	if err == nil && ok && h.Holder == s.Command {
		err = e.cfg.Leases.Release(ctx, key, h.Fence)
	}
	if err != nil {
		e.cfg.Log.Debug("release lease", "key", key, "err", err) // it expires
	}
}

// result takes an agent's answer: records it, then wakes who waits. It returns an
// error only when the answer must come again.
func (e *Engine) result(ctx context.Context, agent string, res schema.Result) error {
	if err := e.waitReady(ctx); err != nil {
		return err
	}
	r, err := e.running(res.Run)
	if err != nil {
		return e.cfg.Conn.Dequeue(ctx, agent, res.Command) // the run has ended without it
	}
	s := r.Record().StepByCommand(res.Command)
	if s == nil || s.Server.ID != agent {
		e.cfg.Log.Warn("answer to a command the agent was not given", "agent", agent, "command", res.Command)
		return nil
	}
	if s.State.Terminal() {
		return e.cfg.Conn.Dequeue(ctx, agent, res.Command)
	}
	ev := schema.Event{Type: schema.StepEnded, Name: s.Name, State: schema.StateSucceeded, Problem: res.Problem, Value: res.Value}
	if res.Problem != nil {
		ev.State = stateOf(res.Problem.Err())
	}
	light := res
	light.Value = json.RawMessage(nil)
	ev.Result = &light
	if err := r.append(ctx, ev); err != nil {
		return fmt.Errorf("record answer of %s: %w", res.Command, err)
	}
	e.release(ctx, s)
	if err := e.cfg.Conn.Dequeue(ctx, agent, res.Command); err != nil {
		e.cfg.Log.Warn("take answered command off the queue", "command", res.Command, "err", err)
	}
	r.signal(r.steps, s.Name)
	e.idleChanged(r)
	return nil
}

// Presence tells the engine that a server's agent came or went.
func (e *Engine) Presence(ctx context.Context, server string, online bool, since time.Time) {
	for _, o := range e.openOn(server) {
		s := o.run.Record().Step(o.step)
		if s == nil || s.State.Terminal() {
			continue
		}
		ev := schema.Event{Type: schema.StepNoted, Name: o.step}
		switch {
		case !online && s.Started == 0:
			ev.State, ev.Note = schema.StateWaiting, waitingFor(s.Server, since)
		case !online:
			ev.Note = "server " + s.Server.Name + " went offline while it works on this"
		case s.Started == 0:
			ev.State = schema.StateQueued
		}
		if ev.Note == s.Note {
			continue
		}
		if err := o.run.append(ctx, ev); err != nil && schema.CodeOf(err) != schema.Conflict {
			e.cfg.Log.Warn("note presence", "server", s.Server.Name, "err", err)
		}
		e.idleChanged(o.run)
	}
}

func (e *Engine) openOn(server string) []openStep {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []openStep
	for _, o := range e.open {
		if s := o.run.Record().Step(o.step); s != nil && s.Server.ID == server {
			out = append(out, o)
		}
	}
	return out
}

// Waiting returns how many commands wait for the server.
func (e *Engine) Waiting(server string) int {
	n := 0
	for _, o := range e.openOn(server) {
		if s := o.run.Record().Step(o.step); s != nil && s.Started == 0 && !s.State.Terminal() {
			n++
		}
	}
	return n
}
