package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"berth/schema"
)

// Run is a run in progress, as its body sees it.
type Run struct {
	*entry
	e      *Engine
	id     string
	action Action
	queue  string          // that it is in; "" for none
	turn   chan struct{}   // closed when it is first in its queue
	done   chan struct{}   // closed when it has ended
	ctx    context.Context //nolint:containedctx // the life of the run, which no request bounds
	cancel context.CancelCauseFunc

	wr  sync.Mutex // orders appends; held while the log is written
	seq uint64     // of the run's newest event, under wr

	mu    sync.Mutex
	moved chan struct{} // closed, and made anew, when the record moves
}

// newRun makes the run of a record. The caller holds the engine's lock, or is the
// recovery.
func (e *Engine) newRun(rec *schema.Run) *Run {
	ctx, cancel := context.WithCancelCause(e.ctx)
	r := &Run{
		entry: newEntry(rec), e: e, id: rec.ID, action: e.actions[rec.Action],
		turn: make(chan struct{}), done: make(chan struct{}), ctx: ctx, cancel: cancel, moved: make(chan struct{}),
	}
	r.live = r
	if rec.Ending != nil {
		cancel(rec.Ending.Err())
	}
	return r
}

// ID returns the run's id.
func (r *Run) ID() string { return r.id }

// Record returns the run as it stands. It is shared: not to be written to.
func (r *Run) Record() *schema.Run { return r.rec.Load() }

// Params decodes the run's parameters into v.
func (r *Run) Params(v any) error {
	rec := r.Record()
	if len(rec.Params) == 0 {
		return nil
	}
	if err := json.Unmarshal(rec.Params, v); err != nil {
		return schema.Errorf(schema.Invalid, "parameters of %s: %v", rec.Action, err)
	}
	return nil
}

func (r *Run) isOnDisk() bool {
	select {
	case <-r.onDisk:
		return !r.failed
	default:
		return false
	}
}

// takesTurn gives the run its turn. The caller holds the engine's lock.
func (r *Run) takesTurn() {
	select {
	case <-r.turn:
	default:
		close(r.turn)
	}
}

// appendTimeout bounds one write of the log. It is not the caller's ctx that does:
// a write that is under way when a run is ended has happened or not, and must be
// known.
const appendTimeout = 15 * time.Second

// append records ev.
func (r *Run) append(ctx context.Context, ev schema.Event) error {
	_, err := r.update(ctx, func(*schema.Run) *schema.Event { return &ev })
	return err
}

// update records and folds the event that decide makes of the record as it stands;
// nothing comes between. Nil records nothing: did is false then. The event's
// version, count and time are set here. An append whose answer was lost is found
// again and not repeated.
func (r *Run) update(ctx context.Context, decide func(rec *schema.Run) *schema.Event) (did bool, err error) {
	r.wr.Lock()
	defer r.wr.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), appendTimeout)
	defer cancel()
	defer r.e.appending(r)()
	for attempt := 1; ; attempt++ {
		rec := r.Record()
		ev := decide(rec)
		if ev == nil {
			return false, nil
		}
		trial := rec.Clone()
		ev.V, ev.N, ev.At = schema.EventVersion, rec.Events+1, time.Now().UnixMilli()
		if err := trial.Apply(*ev); err != nil {
			return false, err
		}
		seq, err := r.e.cfg.Conn.Append(ctx, r.id, r.seq, *ev)
		if err == nil {
			r.fold(trial, seq)
			return true, nil
		}
		there, cerr := r.catchUp(ctx, *ev)
		if cerr != nil || there {
			return there, cerr
		}
		if attempt == 3 || schema.CodeOf(err) == schema.TooLarge {
			return false, err
		}
	}
}

// fold takes over a newer state of the record. The caller holds the write lock.
func (r *Run) fold(rec *schema.Run, seq uint64) {
	r.seq = seq
	r.rec.Store(rec)
	r.e.changed(rec.ID, seq)
	r.mu.Lock()
	close(r.moved)
	r.moved = make(chan struct{})
	r.mu.Unlock()
}

// onMove returns a channel that is closed when the record has moved on from what
// it is after this call.
func (r *Run) onMove() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.moved
}

// catchUp reads the log again after an append whose fate is unknown, and reports
// whether ev is in it.
func (r *Run) catchUp(ctx context.Context, ev schema.Event) (bool, error) {
	events, seq, err := r.e.cfg.Conn.History(ctx, r.id)
	if err != nil {
		return false, fmt.Errorf("read the log after %s: %w", ev.Type, err)
	}
	if len(events) < ev.N {
		return false, nil
	}
	rec, err := schema.Fold(events)
	if err != nil {
		return false, err
	}
	r.fold(rec, seq)
	got := events[ev.N-1]
	return got.Type == ev.Type && got.At == ev.At && got.Name == ev.Name, nil
}

// endBy records that the run is to end, why, and by whose wish, and ends it.
func (r *Run) endBy(ctx context.Context, by *schema.Actor, cause *schema.Error) error {
	_, err := r.update(ctx, func(rec *schema.Run) *schema.Event {
		if rec.Ending != nil {
			return nil
		}
		return &schema.Event{Type: schema.RunCanceling, Actor: by, Note: cause.Text, Problem: schema.ProblemOf(cause)}
	})
	if err == nil {
		r.cancel(cause)
	}
	return err
}

// cause is why the run is to end; nil while it is not.
func (r *Run) cause() error { return context.Cause(r.ctx) }

// stopping reports whether the run's context ended because core stops.
func (r *Run) stopping() bool {
	return r.e.ctx.Err() != nil || errors.Is(context.Cause(r.ctx), errStopping)
}

// ChildRecord returns the record of a run that this one started.
func (r *Run) ChildRecord(ctx context.Context, id string) (*schema.Run, error) {
	return r.e.Get(ctx, id)
}

// CancelOthers asks the runs that match f to end, in the name of who started this
// one, and returns how many; only limits it to one run.
func (r *Run) CancelOthers(ctx context.Context, f schema.RunFilter, only string) (int, error) {
	list, err := r.e.List(ctx, f)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, other := range list {
		if other.ID == r.id || only != "" && other.ID != only {
			continue
		}
		if err := r.e.Cancel(ctx, other.ID, r.Record().Actor); err != nil && schema.CodeOf(err) != schema.Conflict {
			return n, err
		}
		n++
	}
	return n, nil
}
