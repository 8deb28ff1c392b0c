package run

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"berth/schema"
)

// launch gives the run its goroutine. While core stops it gets none: the run is on
// disk, the next start takes it up.
func (e *Engine) launch(r *Run) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.wg.Go(func() { e.exec(r) })
	}
}

// exec carries a run from its queue to its end. Nothing is recorded once core
// stops: the next start takes the run up where it is.
func (e *Engine) exec(r *Run) {
	defer r.cancel(errStopping)
	out, err := e.body(r)
	if r.stopping() {
		e.leave(r)
		return
	}
	if cause := context.Cause(r.ctx); cause != nil && err != nil {
		out, err = Outcome{}, cause
	}
	ev := schema.Event{Type: schema.RunEnded, State: out.State, Note: out.Note}
	switch {
	case err != nil:
		ev.State, ev.Problem, ev.Note = stateOf(err), schema.ProblemOf(err), schema.SafeText(err)
		if ev.Problem.Code == schema.Internal {
			e.cfg.Log.Error("run ended by a fault", "run", r.id, "action", r.action.Name, "err", err)
		}
	case ev.State == "":
		ev.State = schema.StateSucceeded
	}
	r.closeSteps(r.ctx)
	e.end(r, ev)
}

func stateOf(err error) schema.RunState {
	switch schema.CodeOf(err) {
	case schema.Canceled:
		return schema.StateCanceled
	case schema.Superseded:
		return schema.StateSuperseded
	default:
		return schema.StateFailed
	}
}

// end records the terminal event, however long the log takes to accept it.
func (e *Engine) end(r *Run, ev schema.Event) {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		_, err := r.update(e.ctx, func(rec *schema.Run) *schema.Event {
			if rec.State.Terminal() {
				return nil
			}
			return &ev
		})
		if err == nil {
			break
		}
		e.cfg.Log.Error("record end of run", "run", r.id, "err", err)
		select {
		case <-time.After(wait):
		case <-e.ctx.Done():
			e.leave(r)
			return
		}
	}
	e.finish(r)
	e.leave(r)
	e.trim(e.ctx)
}

func (e *Engine) body(r *Run) (out Outcome, err error) {
	if err := e.takeTurn(r); err != nil {
		return Outcome{}, err
	}
	if err := e.awaitOthers(r); err != nil {
		return Outcome{}, err
	}
	_, err = r.update(r.ctx, func(rec *schema.Run) *schema.Event {
		if rec.Started != 0 || rec.Ending != nil {
			return nil
		}
		return &schema.Event{Type: schema.RunStarted}
	})
	if err != nil {
		return Outcome{}, fmt.Errorf("record start: %w", err)
	}
	if rec := r.Record(); rec.Ending != nil {
		return Outcome{}, rec.Ending.Err()
	}
	if r.action.Body == nil {
		return Outcome{}, schema.Errorf(schema.Unsupported, "this version of Berth does not know %q", r.Record().Action)
	}
	defer func() {
		if p := recover(); p != nil {
			e.cfg.Log.Error("panic in a run", "run", r.id, "action", r.action.Name, "panic", p, "stack", string(debug.Stack()))
			err = schema.Errorf(schema.Internal, "internal error in %s: core's log has more", r.action.Name)
		}
	}()
	return r.action.Body(r.ctx, r)
}
