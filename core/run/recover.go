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
// to take up, oldest first.
func (e *Engine) recover(ctx context.Context) ([]*Run, error) {
	look := map[string]struct{}{}
	known := map[string]schema.Run{}
	for _, d := range e.cfg.States.List("") {
		known[d.Key] = d.Value
		if !d.Value.State.Terminal() {
			look[d.Key] = struct{}{}
		}
	}
	from := uint64(0)
	if d, err := e.cfg.Meta.Get(checkpointKey); err == nil {
		from = d.Value.Seq
	}
	ids, last, err := e.cfg.Conn.Changed(ctx, from)
	if err != nil {
		return nil, fmt.Errorf("read the log from %d: %w", from, err)
	}
	for _, id := range ids {
		look[id] = struct{}{}
	}
	var unfinished []*Run
	for id := range look {
		rec, seq, err := e.replay(ctx, id)
		if err != nil {
			return nil, err
		}
		if rec == nil {
			continue // aged out of the log
		}
		known[id] = *rec
		e.dirty[id] = struct{}{}
		if !rec.State.Terminal() {
			r := e.newRun(*rec)
			r.seq = seq
			close(r.onDisk)
			unfinished = append(unfinished, r)
		}
	}
	e.adopt(known, unfinished, last)
	slices.SortFunc(unfinished, func(a, b *Run) int { return cmp.Compare(a.head.Number, b.head.Number) })
	return unfinished, nil
}

// replay folds one run from the log. A log that does not fit together is not
// acted upon: the run is shown as failed, and stays as it is in the log.
func (e *Engine) replay(ctx context.Context, id string) (*schema.Run, uint64, error) {
	events, seq, err := e.cfg.Conn.History(ctx, id)
	if err != nil {
		return nil, 0, fmt.Errorf("read run %s: %w", id, err)
	}
	if len(events) == 0 {
		return nil, 0, nil
	}
	rec, err := schema.Fold(events)
	if err != nil {
		e.cfg.Log.Error("the log of a run is damaged: it is not taken up", "run", id, "err", err)
		rec.ID = id
		rec.State, rec.Problem = schema.StateFailed, &schema.Problem{Code: schema.Internal, Text: "the log of this run is damaged; it was not taken up"}
	}
	return rec, seq, nil
}

func (e *Engine) adopt(known map[string]schema.Run, unfinished []*Run, last uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lastSeq = last
	for id, rec := range known {
		e.number = max(e.number, rec.Number)
		e.order = append(e.order, id)
		if rec.State.Terminal() {
			e.ended[id] = &rec
		}
	}
	number := func(id string) uint64 { return known[id].Number }
	slices.SortFunc(e.order, func(a, b string) int { return cmp.Compare(number(a), number(b)) })
	for _, r := range unfinished {
		e.active[r.head.ID] = r
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
func (e *Engine) project(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.wake:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(flushEvery):
		}
		if err := e.flush(ctx); err != nil && ctx.Err() == nil {
			e.cfg.Log.Error("write runs behind", "err", err) // the log has them; the next flush tries again
		}
	}
}

func (e *Engine) flush(ctx context.Context) error {
	e.mu.Lock()
	dirty, seq := e.dirty, e.lastSeq
	e.dirty = map[string]struct{}{}
	e.mu.Unlock()
	if len(dirty) == 0 {
		return nil
	}
	for id := range dirty {
		rec, err := e.Get(ctx, id)
		if err == nil {
			_, err = e.cfg.States.Put(ctx, id, *light(rec))
		} else if schema.CodeOf(err) == schema.NotFound {
			err = nil
		}
		if err != nil {
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

// light drops from an ended run what only its log needs to keep.
func light(rec *schema.Run) *schema.Run {
	if !rec.State.Terminal() {
		return rec
	}
	c := rec.Clone()
	for i := range c.Steps {
		c.Steps[i].Value = nil
	}
	return c
}

// trim forgets the oldest ended runs beyond Keep.
func (e *Engine) trim() {
	var drop []string
	e.mu.Lock()
	for i := 0; len(e.order)-len(drop) > Keep && i < len(e.order); i++ {
		if _, ok := e.ended[e.order[i]]; ok {
			drop = append(drop, e.order[i])
		}
	}
	for _, id := range drop {
		delete(e.ended, id)
		delete(e.dirty, id)
	}
	if len(drop) > 0 {
		gone := map[string]bool{}
		for _, id := range drop {
			gone[id] = true
		}
		e.order = slices.DeleteFunc(e.order, func(id string) bool { return gone[id] })
	}
	e.mu.Unlock()
	for _, id := range drop {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(e.ctx), 5*time.Second)
		if err := e.cfg.States.Delete(ctx, id, 0); err != nil {
			e.cfg.Log.Warn("forget old run", "run", id, "err", err)
		}
		cancel()
	}
}
