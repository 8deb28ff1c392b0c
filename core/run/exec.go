package run

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"berth/schema"
)

// launch gives the run its goroutine and its place in the queue.
func (e *Engine) launch(r *Run) {
	e.wg.Go(func() { e.exec(r) })
}

// exec carries a run from its queue to its end. Nothing is recorded once core
// stops: the next start takes the run up where it is.
func (e *Engine) exec(r *Run) {
	defer r.cancel(errStopping)
	rec := r.Record()
	queue := e.join(r)
	if rec.Canceled != nil {
		r.cancel(schema.Errorf(schema.Canceled, "canceled by %s", rec.Canceled.Name))
	}
	out, err := e.body(r, queue)
	if r.stopping() || errors.Is(err, errStopping) {
		e.leave(r, queue)
		return
	}
	if cause := context.Cause(r.ctx); cause != nil {
		out, err = Outcome{}, cause
	}
	ev := schema.Event{Type: schema.RunEnded, State: out.State, Note: out.Note}
	switch {
	case err != nil:
		ev.State, ev.Problem, ev.Note = stateOf(err), schema.ProblemOf(err), schema.SafeText(err)
		if ev.Problem.Code == schema.Internal {
			e.cfg.Log.Error("run ended by a fault", "run", r.ID(), "action", rec.Action, "err", err)
		}
	case ev.State == "":
		ev.State = schema.StateSucceeded
	}
	e.end(r, queue, ev)
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
func (e *Engine) end(r *Run, queue string, ev schema.Event) {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(e.ctx), 10*time.Second)
		err := r.append(ctx, ev)
		cancel()
		if err == nil {
			break
		}
		e.cfg.Log.Error("record end of run", "run", r.ID(), "err", err)
		select {
		case <-time.After(wait):
		case <-e.ctx.Done():
			e.leave(r, queue)
			return
		}
	}
	rec := r.Record()
	e.mu.Lock()
	delete(e.active, rec.ID)
	e.ended[rec.ID] = rec
	e.mu.Unlock()
	close(r.done)
	e.leave(r, queue)
	e.trim()
}

func (e *Engine) body(r *Run, queue string) (out Outcome, err error) {
	if err := e.takeTurn(r, queue); err != nil {
		return Outcome{}, err
	}
	rec := r.Record()
	if rec.Started == 0 {
		if err := r.append(r.ctx, schema.Event{Type: schema.RunStarted}); err != nil {
			return Outcome{}, fmt.Errorf("record start: %w", err)
		}
	}
	if r.action.Body == nil {
		return Outcome{}, schema.Errorf(schema.Unsupported, "this version of Berth does not know %q", rec.Action)
	}
	defer func() {
		if p := recover(); p != nil {
			e.cfg.Log.Error("panic in a run", "run", rec.ID, "action", rec.Action, "panic", p, "stack", string(debug.Stack()))
			err = schema.Errorf(schema.Internal, "internal error in %s", rec.Action)
		}
	}()
	return r.action.Body(r.ctx, r)
}

// takeTurn waits until no older run is in the queue.
func (e *Engine) takeTurn(r *Run, queue string) error {
	if queue == "" {
		return context.Cause(r.ctx)
	}
	select {
	case <-r.turn:
		return context.Cause(r.ctx)
	default:
	}
	ahead := e.ahead(r, queue)
	if ahead != nil && e.descends(r, ahead) {
		return schema.Errorf(schema.Conflict, "%s %q would start itself: run #%d, which waits for this one, is of the same %s",
			r.head.Target.Kind, r.head.Target.Name, ahead.head.Number, r.head.Target.Kind)
	}
	if ahead != nil && r.Record().State == schema.StateQueued {
		note := fmt.Sprintf("waiting for run #%d of the same %s", ahead.head.Number, ahead.head.Target.Kind)
		if err := r.append(r.ctx, schema.Event{Type: schema.RunNoted, State: schema.StateWaiting, Note: note}); err != nil && r.ctx.Err() == nil {
			return err
		}
	}
	select {
	case <-r.turn:
		return context.Cause(r.ctx)
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
}

// join puts the run at its queue's end and returns the queue's name.
func (e *Engine) join(r *Run) string {
	if r.action.Queue == nil {
		close(r.turn)
		return ""
	}
	queue := r.action.Queue(r.head.Target)
	e.mu.Lock()
	e.queues[queue] = append(e.queues[queue], r)
	slices.SortFunc(e.queues[queue], func(a, b *Run) int { return int(a.head.Number) - int(b.head.Number) })
	e.mu.Unlock()
	e.settle(queue)
	return queue
}

func (e *Engine) leave(r *Run, queue string) {
	if queue != "" {
		e.mu.Lock()
		e.queues[queue] = slices.DeleteFunc(e.queues[queue], func(q *Run) bool { return q == r })
		if len(e.queues[queue]) == 0 {
			delete(e.queues, queue)
		}
		e.mu.Unlock()
		e.settle(queue)
	}
	e.idleChanged(r)
}

func (e *Engine) ahead(r *Run, queue string) *Run {
	e.mu.Lock()
	defer e.mu.Unlock()
	if q := e.queues[queue]; len(q) > 0 && q[0] != r {
		return q[0]
	}
	return nil
}

// descends reports whether the run was started, over however many generations, by
// the other.
func (e *Engine) descends(r, other *Run) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for p := e.active[r.head.Parent]; p != nil; p = e.active[p.head.Parent] {
		if p == other {
			return true
		}
	}
	return false
}

// settle looks at a queue again: ends older runs that only wait when a newer one
// covers them, and gives the oldest that remains its turn.
func (e *Engine) settle(queue string) {
	type pair struct{ old, by *Run }
	var superseded []pair
	e.mu.Lock()
	q := e.queues[queue]
	head := true
	for i, old := range q {
		if by := e.superseder(old, q[i+1:]); by != nil {
			superseded = append(superseded, pair{old, by})
			continue
		}
		if old.ctx.Err() == nil && head {
			select {
			case <-old.turn:
			default:
				close(old.turn)
			}
		}
		head = false
	}
	e.mu.Unlock()
	for _, p := range superseded {
		p.old.cancel(schema.Errorf(schema.Superseded, "superseded by run #%d", p.by.head.Number))
	}
}

// superseder returns the newest run of newer that makes old pointless. The caller
// holds the engine's lock.
func (e *Engine) superseder(old *Run, newer []*Run) *Run {
	if !old.action.Supersede || !old.idle(func(id string) *Run { return e.active[id] }) {
		return nil
	}
	for _, by := range slices.Backward(newer) {
		if by.action.Supersede && by.ctx.Err() == nil && (by.action.Covers == nil || by.action.Covers(by.head.Params, old.head.Params)) {
			return by
		}
	}
	return nil
}

// idleChanged looks again at the queues of the run and of its ancestors after
// something of it began or ended.
func (e *Engine) idleChanged(r *Run) {
	for r != nil {
		if r.action.Queue != nil {
			e.settle(r.action.Queue(r.head.Target))
		}
		e.mu.Lock()
		r = e.active[r.head.Parent]
		e.mu.Unlock()
	}
}
