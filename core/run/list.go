package run

import (
	"context"
	"iter"
	"slices"
	"sort"
	"strings"

	"berth/schema"
)

// Get returns a run's record, which is shared: not to be written to. Errors:
// NotFound.
func (e *Engine) Get(ctx context.Context, id string) (*schema.Run, error) {
	if err := e.waitReady(ctx); err != nil {
		return nil, err
	}
	if en := e.find(id); en != nil {
		return en.rec.Load(), nil
	}
	return nil, schema.Errorf(schema.NotFound, "no run %q", id)
}

// Wait blocks until the run has ended and returns its record.
func (e *Engine) Wait(ctx context.Context, id string) (*schema.Run, error) {
	if err := e.waitReady(ctx); err != nil {
		return nil, err
	}
	e.mu.Lock()
	r := e.table.live[id]
	e.mu.Unlock()
	if r == nil {
		return e.Get(ctx, id)
	}
	select {
	case <-r.done:
		return r.Record(), nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-e.ctx.Done():
		return nil, errStopping
	}
}

// List returns runs that match f, newest first. The records are shared: not to be
// written to.
func (e *Engine) List(ctx context.Context, f schema.RunFilter) ([]*schema.Run, error) {
	if err := e.waitReady(ctx); err != nil {
		return nil, err
	}
	limit := f.Limit
	if limit <= 0 {
		limit = 50
	}
	e.mu.Lock()
	list := e.table.order
	if f.Target != "" {
		list = e.table.byTarget[f.Target]
	}
	e.mu.Unlock()
	if f.Before != 0 {
		list = list[:sort.Search(len(list), func(i int) bool { return list[i].number() >= f.Before })]
	}
	var out []*schema.Run
	for _, en := range slices.Backward(list) {
		rec := en.rec.Load()
		if !matches(rec, f) {
			continue
		}
		if out = append(out, rec); len(out) == limit {
			break
		}
	}
	return out, nil
}

// Children returns the runs that the run started, oldest first.
func (e *Engine) Children(ctx context.Context, id string) ([]*schema.Run, error) {
	rec, err := e.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	var out []*schema.Run
	for _, s := range rec.Steps {
		if s.Child == "" {
			continue
		}
		if c, err := e.Get(ctx, s.Child); err == nil {
			out = append(out, c)
		}
	}
	return out, nil
}

func matches(r *schema.Run, f schema.RunFilter) bool {
	switch {
	case f.Only != nil && !f.Only(r.Target),
		f.Kind != "" && r.Target.Kind != f.Kind,
		f.Target != "" && r.Target.ID != f.Target,
		f.Server != "" && r.Server.ID != f.Server,
		f.Action != "" && r.Action != f.Action,
		f.Actor != "" && r.Actor.ID != f.Actor,
		f.Cause != "" && r.Cause.Kind != f.Cause,
		f.Commit != "" && !strings.HasPrefix(r.Commit, f.Commit),
		f.From != 0 && r.Queued < f.From,
		f.Pending && r.State.Terminal(),
		f.Failed != nil && *f.Failed == (r.State.Good() || !r.State.Terminal()),
		len(f.States) > 0 && !slices.Contains(f.States, r.State),
		f.Parent == "-" && r.Parent != "",
		f.Parent != "" && f.Parent != "-" && r.Parent != f.Parent:
		return false
	}
	if f.Text == "" {
		return true
	}
	text := strings.ToLower(r.Action + " " + r.Target.Name + " " + r.Message + " " + r.Note)
	return strings.Contains(text, strings.ToLower(f.Text))
}

// Watch yields, once, what changes from now on until ctx ends or the consumer
// breaks. A consumer that is slow loses changes of the same run, never the last
// one for good: it looks at the run's record, which is current.
func (e *Engine) Watch(ctx context.Context) iter.Seq[schema.Change] {
	ch := make(chan schema.Change, 1024)
	e.watchMu.Lock()
	e.watchers[ch] = struct{}{}
	e.watchMu.Unlock()
	leave := func() {
		e.watchMu.Lock()
		defer e.watchMu.Unlock()
		delete(e.watchers, ch)
	}
	stop := context.AfterFunc(ctx, leave)
	return func(yield func(schema.Change) bool) {
		defer stop()
		defer leave()
		for {
			select {
			case <-ctx.Done():
				return
			case c := <-ch:
				if !yield(c) {
					return
				}
			}
		}
	}
}

func (e *Engine) announce(c schema.Change) {
	e.watchMu.Lock()
	defer e.watchMu.Unlock()
	for ch := range e.watchers {
		select {
		case ch <- c:
		default: // slow: it has a thousand changes to look at first
			select {
			case <-ch:
			default:
			}
			ch <- c
		}
	}
}
