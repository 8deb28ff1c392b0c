package run

import (
	"context"
	"fmt"
	"slices"

	"berth/schema"
)

// join puts the run at its queue's end. The caller holds the engine's lock, under
// which the run got its number: queues are in the order of numbers.
func (e *Engine) join(r *Run) {
	if r.action.Queue == nil {
		close(r.turn)
		return
	}
	r.queue = r.action.Queue(r.Record().Target)
	e.queues[r.queue] = append(e.queues[r.queue], r)
}

// leave takes the run out of its queue; the next one has its turn.
func (e *Engine) leave(r *Run) {
	if r.queue != "" {
		e.mu.Lock()
		e.queues[r.queue] = slices.DeleteFunc(e.queues[r.queue], func(q *Run) bool { return q == r })
		if len(e.queues[r.queue]) == 0 {
			delete(e.queues, r.queue)
		}
		e.mu.Unlock()
	}
	e.idleChanged(r)
}

// takeTurn waits until no older run is in the queue.
func (e *Engine) takeTurn(r *Run) error {
	e.settle(r.queue)
	select {
	case <-r.turn:
		return context.Cause(r.ctx)
	default:
	}
	if ahead := e.ahead(r); ahead != nil {
		rec, first := r.Record(), ahead.Record()
		if e.descends(r, ahead) {
			return schema.Errorf(schema.Conflict, "%s %q would start itself: run #%d, which waits for this one, is of the same %s",
				rec.Target.Kind, rec.Target.Name, first.Number, rec.Target.Kind)
		}
		if r.action.Preempts != nil && r.action.Preempts(rec) && !e.idle(first, false) {
			e.preempt(ahead, r)
		}
		note := fmt.Sprintf("waiting for run #%d of the same %s%s", first.Number, first.Target.Kind, e.stuck(first))
		_, err := r.update(r.ctx, func(rec *schema.Run) *schema.Event {
			if rec.State != schema.StateQueued || rec.Ending != nil {
				return nil
			}
			return &schema.Event{Type: schema.RunNoted, State: schema.StateWaiting, Note: note}
		})
		if err != nil && r.ctx.Err() == nil {
			return err
		}
	}
	select {
	case <-r.turn:
	case <-r.ctx.Done():
	}
	return context.Cause(r.ctx)
}

// awaitOthers waits for the runs that r is to come after. Those that are not known
// any more have ended.
func (e *Engine) awaitOthers(r *Run) error {
	for _, id := range r.Record().After {
		e.mu.Lock()
		other := e.table.live[id]
		e.mu.Unlock()
		if other == nil {
			continue
		}
		first := other.Record()
		note := fmt.Sprintf("waiting for run #%d (%s), which is to end before", first.Number, first.Target.Name)
		_, err := r.update(r.ctx, func(rec *schema.Run) *schema.Event {
			if rec.Ending != nil {
				return nil
			}
			return &schema.Event{Type: schema.RunNoted, State: schema.StateWaiting, Note: note}
		})
		if err != nil && r.ctx.Err() == nil {
			return err
		}
		select {
		case <-other.done:
		case <-r.ctx.Done():
			return context.Cause(r.ctx)
		}
	}
	return context.Cause(r.ctx)
}

// stuck says of a run that has the turn that nobody works on it, because its server
// went away, and what frees the turn; "" else.
func (e *Engine) stuck(rec *schema.Run) string {
	for _, s := range rec.Steps {
		if s.Kind != schema.StepJob || s.State.Terminal() || s.Started == 0 {
			continue
		}
		if online, since := e.cfg.Online(s.Server.ID); !online {
			return fmt.Sprintf(", whose server %s went away at %s while it worked on it: start its agent, or cancel run #%d to go on without",
				s.Server.Name, since.UTC().Format("15:04:05 UTC"), rec.Number)
		}
	}
	return ""
}

// preempt ends a run that goes on in favour of a newer one.
func (e *Engine) preempt(old, by *Run) {
	rec := by.Record()
	cause := schema.Errorf(schema.Canceled, "canceled by run #%d, which does the same with newer sources", rec.Number)
	if err := old.endBy(by.ctx, &rec.Actor, cause); err != nil && !old.Record().State.Terminal() {
		e.cfg.Log.Warn("end a run in favour of a newer one", "run", old.id, "by", by.id, "err", err) // that waits for it
	}
}

// ahead is the run that has the turn in r's queue, if it is another one.
func (e *Engine) ahead(r *Run) *Run {
	e.mu.Lock()
	defer e.mu.Unlock()
	if q := e.queues[r.queue]; len(q) > 0 && q[0] != r {
		return q[0]
	}
	return nil
}

// descends reports whether the run was started, over however many generations, by
// the other.
func (e *Engine) descends(r, other *Run) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.descendsLocked(r, other)
}

func (e *Engine) descendsLocked(r, other *Run) bool {
	for p := e.table.live[r.Record().Parent]; p != nil; p = e.table.live[p.Record().Parent] {
		if p == other {
			return true
		}
	}
	return false
}

// settle looks at a queue again: ends older runs that only wait when a newer one
// covers them, and gives the oldest its turn.
func (e *Engine) settle(queue string) {
	if queue == "" {
		return
	}
	type pair struct{ old, by *Run }
	var superseded []pair
	e.mu.Lock()
	q := e.queues[queue]
	for i, old := range q {
		if by := e.superseder(old, q[i+1:]); by != nil {
			superseded = append(superseded, pair{old, by})
		}
	}
	// One that is being ended keeps the turn until it has left.
	if len(q) > 0 && q[0].isOnDisk() && (len(superseded) == 0 || superseded[0].old != q[0]) {
		q[0].takesTurn()
	}
	e.mu.Unlock()
	for _, p := range superseded {
		e.supersede(p.old, p.by)
	}
}

// superseder returns the newest run of newer that makes old pointless. The caller
// holds the engine's lock.
func (e *Engine) superseder(old *Run, newer []*Run) *Run {
	if !old.action.Supersede || len(newer) == 0 || old.ctx.Err() != nil || !old.isOnDisk() || !e.idle(old.Record(), true) {
		return nil
	}
	params := old.Record().Params
	for _, by := range slices.Backward(newer) {
		if by.action.Supersede && by.isOnDisk() && by.ctx.Err() == nil && !e.descendsLocked(by, old) &&
			(by.action.Covers == nil || by.action.Covers(by.Record().Params, params)) {
			return by
		}
	}
	return nil
}

// supersede ends old in favour of by, if it still only waits.
func (e *Engine) supersede(old, by *Run) {
	cause := schema.Errorf(schema.Superseded, "superseded by run #%d", by.Record().Number)
	meant, err := old.update(old.ctx, func(rec *schema.Run) *schema.Event {
		if rec.Ending != nil || !e.idle(rec, false) {
			return nil
		}
		return &schema.Event{Type: schema.RunCanceling, Note: cause.Text, Problem: schema.ProblemOf(cause)}
	})
	switch {
	case meant:
		old.cancel(cause)
	case err != nil && schema.CodeOf(err) != schema.Conflict:
		e.cfg.Log.Warn("record that a run is superseded", "run", old.id, "err", err)
		e.mu.Lock()
		if q := e.queues[old.queue]; len(q) > 0 && q[0] == old {
			old.takesTurn() // it just runs
		}
		e.mu.Unlock()
	}
}

// idle reports whether nothing of the run is being worked on: it waits for its
// turn, or all its open steps wait for an agent to begin. locked says that the
// caller holds the engine's lock.
func (e *Engine) idle(rec *schema.Run, locked bool) bool {
	if rec.Started == 0 {
		return true
	}
	open := 0
	for _, s := range rec.Steps {
		if s.State.Terminal() {
			continue
		}
		open++
		switch s.Kind {
		case schema.StepJob:
			if s.Started != 0 {
				return false
			}
		case schema.StepChild:
			if !locked {
				e.mu.Lock()
			}
			child := e.table.live[s.Child]
			if !locked {
				e.mu.Unlock()
			}
			if child == nil || !e.idle(child.Record(), locked) {
				return false
			}
		case schema.StepSleep, schema.StepCore:
			return false
		case schema.StepApproval: // nothing is worked on
		}
	}
	return open > 0
}

// idleChanged looks again at the queues of the run and of its ancestors after
// something of it began or ended.
func (e *Engine) idleChanged(r *Run) {
	for r != nil {
		e.settle(r.queue)
		e.mu.Lock()
		r = e.table.live[r.Record().Parent]
		e.mu.Unlock()
	}
}
