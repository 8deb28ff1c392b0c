package run

import (
	"context"
	"fmt"

	"berth/schema"
)

// Adopt records a run that was over when core heard of it, and gives it a number.
// One that is recorded under its ID already is returned as it is, if it is of the
// same target and server; Conflict if not. It joins no queue, and its action does
// not run.
func (e *Engine) Adopt(ctx context.Context, rec schema.Run) (*schema.Run, error) {
	if err := e.waitReady(ctx); err != nil {
		return nil, err
	}
	r, known := e.admitAdopted(rec)
	if known != nil {
		had, err := known.recorded(ctx)
		return same(rec, had, err)
	}
	whole := rec
	whole.Number = r.Record().Number
	if err := r.append(ctx, schema.Event{Type: schema.RunAdopted, Run: &whole}); err != nil {
		e.forget(r)
		if schema.CodeOf(err) == schema.Conflict && r.Record().Events > 0 { // forgotten for its age
			had, err := e.readopt(ctx, rec.ID)
			return same(rec, had, err)
		}
		return nil, fmt.Errorf("record run of %s: %w", rec.Action, err)
	}
	close(r.onDisk)
	r.cancel(errStopping)
	e.finish(r)
	return r.Record(), nil
}

func same(rec schema.Run, had *schema.Run, err error) (*schema.Run, error) {
	if err == nil && (had.Target.ID != rec.Target.ID || had.Server.ID != rec.Server.ID || had.Cause.Kind != rec.Cause.Kind) {
		return nil, schema.Errorf(schema.Conflict, "run %s is another one", rec.ID)
	}
	return had, err
}

// admitAdopted puts the run into the tables, or finds the one that is there.
func (e *Engine) admitAdopted(rec schema.Run) (*Run, *entry) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if en := e.table.runs[rec.ID]; en != nil {
		return nil, en
	}
	e.number++
	r := e.newRun(&schema.Run{
		ID: rec.ID, Number: e.number, Action: rec.Action, Target: rec.Target, Server: rec.Server, Root: rec.ID,
		Actor: rec.Actor, Cause: rec.Cause, State: schema.StateQueued, Queued: rec.Queued,
	})
	e.table.add(r.entry)
	return r, nil
}
