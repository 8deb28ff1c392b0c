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
	e      *Engine
	action Action
	onDisk chan struct{}   // closed when the run is recorded, or could not be
	failed bool            // it could not be; written before onDisk is closed
	done   chan struct{}   // closed when it has ended
	turn   chan struct{}   // closed when it is first in its queue
	ctx    context.Context //nolint:containedctx // the life of the run, which no request bounds
	cancel context.CancelCauseFunc

	head schema.Run // what never changes: id, number, action, target, parent, params

	wr  sync.Mutex // orders appends; held while the log is written
	seq uint64     // of the run's newest event, under wr

	mu    sync.Mutex
	rec   schema.Run
	steps map[string]chan struct{} // closed when the step has ended
	began map[string]chan struct{} // closed when an agent has begun the step
}

func (e *Engine) newRun(rec schema.Run) *Run {
	ctx, cancel := context.WithCancelCause(e.ctx)
	return &Run{
		e: e, action: e.actions[rec.Action], onDisk: make(chan struct{}), done: make(chan struct{}), turn: make(chan struct{}),
		ctx: ctx, cancel: cancel, head: rec, rec: rec, steps: map[string]chan struct{}{}, began: map[string]chan struct{}{},
	}
}

// endedRun is a handle on a run that has ended already.
func endedRun(rec *schema.Run) *Run {
	r := &Run{onDisk: make(chan struct{}), done: make(chan struct{}), head: *rec, rec: *rec}
	close(r.onDisk)
	close(r.done)
	return r
}

// ID returns the run's id.
func (r *Run) ID() string { return r.head.ID }

// Record returns a copy of the run as it stands.
func (r *Run) Record() *schema.Run {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rec.Clone()
}

// Params decodes the run's parameters into v.
func (r *Run) Params(v any) error {
	if len(r.head.Params) == 0 {
		return nil
	}
	if err := json.Unmarshal(r.head.Params, v); err != nil {
		return schema.Wrap(schema.Invalid, err, "parameters of %s: %v", r.head.Action, err)
	}
	return nil
}

// recorded waits until the run is on disk.
func (r *Run) recorded(ctx context.Context) (*schema.Run, error) {
	select {
	case <-r.onDisk:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if r.failed {
		return nil, schema.Errorf(schema.Unavailable, "the run could not be recorded")
	}
	return r.Record(), nil
}

// appendTimeout bounds one write of the log. It is not the caller's ctx that does:
// a write that is under way when a run is ended has happened or not, and must be
// known.
const appendTimeout = 15 * time.Second

// append records ev and folds it. The event's version, count and time are set
// here. An append whose answer was lost is found again and not repeated.
func (r *Run) append(ctx context.Context, ev schema.Event) error {
	r.wr.Lock()
	defer r.wr.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), appendTimeout)
	defer cancel()
	for attempt := 1; ; attempt++ {
		r.mu.Lock()
		trial := r.rec.Clone()
		r.mu.Unlock()
		ev.V, ev.N, ev.At = schema.EventVersion, trial.Events+1, time.Now().UnixMilli()
		if err := trial.Apply(ev); err != nil {
			return err
		}
		seq, err := r.e.cfg.Conn.Append(ctx, r.head.ID, r.seq, ev)
		if err == nil {
			r.fold(trial, seq)
			return nil
		}
		if there, cerr := r.catchUp(ctx, ev); cerr != nil || there {
			return errors.Join(cerr)
		}
		if attempt == 3 {
			return err
		}
	}
}

// fold takes over a newer state of the record. The caller holds the write lock.
func (r *Run) fold(rec *schema.Run, seq uint64) {
	r.seq = seq
	r.mu.Lock()
	r.rec = *rec
	r.mu.Unlock()
	r.e.changed(rec.ID, seq)
}

// catchUp reads the log again after an append whose fate is unknown, and reports
// whether ev is in it.
func (r *Run) catchUp(ctx context.Context, ev schema.Event) (bool, error) {
	events, seq, err := r.e.cfg.Conn.History(ctx, r.head.ID)
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

// Note is what a body says about its run while it goes on.
type Note struct {
	Text     string
	Commit   string
	Message  string
	Decision *schema.Decision
}

// Note records n; what it repeats is not recorded again.
func (r *Run) Note(ctx context.Context, n Note) error {
	rec := r.Record()
	if n.Text == rec.Note && (n.Commit == "" || n.Commit == rec.Commit) && (n.Message == "" || n.Message == rec.Message) &&
		(n.Decision == nil || rec.Decision != nil && rec.Decision.Reason == n.Decision.Reason && rec.Decision.What == n.Decision.What) {
		return nil
	}
	return r.append(ctx, schema.Event{Type: schema.RunNoted, Note: n.Text, Commit: n.Commit, Message: n.Message, Decision: n.Decision})
}

// StartStage records that a stage of a procedure begins; total is how many
// executions it has.
func (r *Run) StartStage(ctx context.Context, name string, total int) error {
	for _, s := range r.Record().Stages {
		if s.Name == name && s.Started != 0 {
			return nil
		}
	}
	return r.append(ctx, schema.Event{Type: schema.StageStarted, Stage: &schema.Stage{Name: name, Total: total}})
}

// EndStage records how a stage ended.
func (r *Run) EndStage(ctx context.Context, name string, state schema.RunState, note string) error {
	for _, s := range r.Record().Stages {
		if s.Name == name && s.State.Terminal() {
			return nil
		}
	}
	return r.append(ctx, schema.Event{Type: schema.StageEnded, Stage: &schema.Stage{Name: name, State: state, Note: note}})
}

// PlanStages records the stages of a procedure before the first begins, so that
// whoever watches sees what is to come.
func (r *Run) PlanStages(ctx context.Context, stages []schema.Stage) error {
	for _, s := range stages {
		known := false
		for _, have := range r.Record().Stages {
			known = known || have.Name == s.Name
		}
		if known {
			continue
		}
		s.State = schema.StateQueued
		if err := r.append(ctx, schema.Event{Type: schema.StagePlanned, Stage: &s}); err != nil {
			return err
		}
	}
	return nil
}

// cancelBy records who wants the run to end, and ends it.
func (r *Run) cancelBy(ctx context.Context, by schema.Actor, cause error) error {
	if r.Record().Canceled == nil {
		if err := r.append(ctx, schema.Event{Type: schema.RunCanceling, Actor: &by, Note: schema.SafeText(cause)}); err != nil {
			return err
		}
	}
	r.cancel(cause)
	return nil
}

// stopping reports whether the run's context ended because core stops.
func (r *Run) stopping() bool { return errors.Is(context.Cause(r.ctx), errStopping) }

// idle reports whether nothing of the run is being worked on: it waits for its
// turn, or all its open steps wait for an agent to begin.
func (r *Run) idle(child func(id string) *Run) bool {
	r.mu.Lock()
	rec := r.rec.Clone()
	r.mu.Unlock()
	if rec.State == schema.StateQueued || rec.Started == 0 {
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
			if c := child(s.Child); c == nil || !c.idle(child) {
				return false
			}
		case schema.StepLocal, schema.StepSleep:
			return false
		}
	}
	return open > 0
}

// open makes the channels of a step that has not ended.
func (r *Run) open(step string) (ended, began chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.steps[step] == nil {
		r.steps[step], r.began[step] = make(chan struct{}), make(chan struct{})
		if s := r.rec.Step(step); s != nil {
			if s.Started != 0 {
				close(r.began[step])
			}
			if s.State.Terminal() {
				close(r.steps[step])
			}
		}
	}
	return r.steps[step], r.began[step]
}

// signal closes ch of the step once.
func (r *Run) signal(table map[string]chan struct{}, step string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ch := table[step]
	if ch == nil {
		return
	}
	select {
	case <-ch:
	default:
		close(ch)
	}
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
		if other.ID == r.ID() || only != "" && other.ID != only {
			continue
		}
		if err := r.e.Cancel(ctx, other.ID, r.Record().Actor); err != nil && schema.CodeOf(err) != schema.Conflict {
			return n, err
		}
		n++
	}
	return n, nil
}
