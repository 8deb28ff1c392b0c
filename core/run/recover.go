package run

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"berth/schema"
)

// flushEvery is how far the written-behind fold may lag.
const flushEvery = 250 * time.Millisecond

// recover rebuilds the tables: ended runs from the bucket, the others, and
// whatever the log knows beyond the checkpoint, from the log. It returns the runs
// to take up, in the order of their turns.
func (e *Engine) recover(ctx context.Context) ([]*Run, error) {
	known, look := map[string]schema.Run{}, map[string]struct{}{}
	for _, d := range e.cfg.States.List("") {
		known[d.Key] = d.Value
		if !d.Value.State.Terminal() {
			look[d.Key] = struct{}{}
		}
	}
	ids, last, err := e.beyondCheckpoint(ctx, len(known) > 0)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		look[id] = struct{}{}
	}
	var unfinished []replayed
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lastSeq = last
	for id := range look {
		got, err := e.replay(ctx, id, known[id])
		if err != nil {
			return nil, err
		}
		delete(known, id)
		e.dirty[id] = struct{}{}
		if !got.rec.State.Terminal() {
			unfinished = append(unfinished, got)
			continue
		}
		e.keep(got.rec, got.strange)
	}
	for _, rec := range known {
		e.keep(&rec, false)
	}
	e.table.sort()
	return e.resume(unfinished), nil
}

// beyondCheckpoint lists the runs that the log knows more of than the bucket, and
// the newest sequence of the log. A bucket that is empty, and a log that is shorter
// than it was, make the whole log worth reading.
func (e *Engine) beyondCheckpoint(ctx context.Context, bucket bool) (ids []string, last uint64, err error) {
	from := uint64(0)
	if d, err := e.cfg.Meta.Get(checkpointKey); err == nil && bucket {
		from = d.Value.Seq
	}
	if from > 0 { // its own event must still be there
		if _, last, err = e.cfg.Conn.Changed(ctx, from-1); err == nil && last < from {
			e.cfg.Log.Warn("the log of runs ends before the checkpoint: all of it is read", "checkpoint", from)
			from = 0
		}
	}
	if err == nil {
		ids, last, err = e.cfg.Conn.Changed(ctx, from)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read the log from %d: %w", from, err)
	}
	return ids, last, nil
}

// keep puts a run that has ended into the tables. The caller holds the lock and
// sorts when all are in.
func (e *Engine) keep(rec *schema.Run, strange bool) {
	en := newEntry(light(rec))
	en.strange = strange
	close(en.onDisk)
	e.number = max(e.number, rec.Number)
	e.table.add(en)
}

// resume puts unfinished runs into the tables and queues: who had begun is before
// who had not. The caller holds the lock.
func (e *Engine) resume(list []replayed) []*Run {
	slices.SortFunc(list, func(a, b replayed) int {
		if (a.rec.Started == 0) != (b.rec.Started == 0) {
			if a.rec.Started != 0 {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.rec.Number, b.rec.Number)
	})
	out := make([]*Run, len(list))
	for i, got := range list {
		r := e.newRun(got.rec)
		r.seq = got.seq
		close(r.onDisk)
		e.number = max(e.number, got.rec.Number)
		e.table.add(r.entry)
		e.join(r)
		out[i] = r
	}
	e.table.sort()
	return out
}

// replayed is a run as the log tells it.
type replayed struct {
	rec     *schema.Run
	seq     uint64
	strange bool // the log cannot be read: rec only shows that
}

// replay folds one run from the log. A log that does not fit together is not
// acted upon: the run is shown as failed, and stays as it is in the log.
func (e *Engine) replay(ctx context.Context, id string, known schema.Run) (replayed, error) {
	events, seq, err := e.cfg.Conn.History(ctx, id)
	if err != nil && (schema.CodeOf(err) != schema.Internal || ctx.Err() != nil) {
		return replayed{}, fmt.Errorf("read run %s: %w", id, err)
	}
	rec, text := &schema.Run{}, "the log of this run is damaged"
	if err == nil {
		rec, err = schema.Fold(events)
	}
	switch {
	case err == nil && len(events) > 0:
		return replayed{rec: rec, seq: seq}, nil
	case err == nil:
		text = "the log of this run is gone: it was too old, or core's store was damaged"
	case len(events) > 0 && events[len(events)-1].V > schema.EventVersion:
		text = "the log of this run was written by a newer version of Berth: upgrade core"
	}
	e.cfg.Log.Error("a run is not taken up", "run", id, "reason", text, "err", err)
	if rec.Number == 0 { // not even its beginning could be read
		rec = known.Clone()
	}
	rec.ID, rec.State = id, schema.StateFailed
	rec.Problem = &schema.Problem{Code: schema.Internal, Text: text + "; it was not taken up"}
	rec.Note = rec.Problem.Text
	return replayed{rec: rec, strange: len(events) > 0 || err != nil}, nil
}

// appending notes that an append is under way; the function it returns, that its
// event is folded or never will be.
func (e *Engine) appending(r *Run) (done func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.floors[r] = e.lastSeq
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.floors, r)
	}
}

// changed notes that the run's fold has moved, up to seq of the log.
func (e *Engine) changed(id string, seq uint64) {
	e.mu.Lock()
	e.dirty[id] = struct{}{}
	e.lastSeq = max(e.lastSeq, seq)
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default:
	}
	e.announce(schema.Change{Topic: "run", ID: id})
}

// project writes folds behind until ctx ends.
func (e *Engine) project(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.wake:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(flushEvery):
		}
		if err := e.flush(ctx); err != nil && ctx.Err() == nil {
			e.cfg.Log.Error("write runs behind", "err", err) // the log has them; the next flush tries again
		}
	}
}

// flush writes what has moved, and then how far that reaches. Events of appends
// that are under way are not counted: they may have a smaller sequence than others
// that are folded.
func (e *Engine) flush(ctx context.Context) error {
	e.mu.Lock()
	dirty, seq := e.dirty, e.lastSeq
	for _, floor := range e.floors {
		seq = min(seq, floor)
	}
	e.dirty = map[string]struct{}{}
	e.mu.Unlock()
	if len(dirty) == 0 {
		return nil
	}
	for id := range dirty {
		if err := e.write(ctx, id); err != nil {
			e.mu.Lock()
			for id := range dirty {
				e.dirty[id] = struct{}{}
			}
			e.mu.Unlock()
			return fmt.Errorf("write run %s: %w", id, err)
		}
	}
	if _, err := e.cfg.Meta.Put(ctx, checkpointKey, Checkpoint{Seq: seq}); err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	return nil
}

// write puts a run into the bucket. One that does not fit, or is not to be believed,
// is written as one that has not ended: the next start reads its log.
func (e *Engine) write(ctx context.Context, id string) error {
	en := e.find(id)
	if en == nil {
		return nil
	}
	rec := light(en.rec.Load())
	if en.strange {
		rec.State = schema.StateRunning
	}
	_, err := e.cfg.States.Put(ctx, id, *rec)
	if schema.CodeOf(err) == schema.TooLarge {
		_, err = e.cfg.States.Put(ctx, id, schema.Run{ID: id, Number: rec.Number, State: schema.StateRunning})
	}
	return err
}
