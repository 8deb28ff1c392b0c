package run

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"
	"time"

	"berth/schema"
)

// entry is a run in the tables.
type entry struct {
	// rec is the run as it stands. It is never written to: who holds it may share it.
	rec    atomic.Pointer[schema.Run]
	live   *Run          // nil once it has ended; under the engine's lock
	onDisk chan struct{} // closed when the run is recorded, or could not be
	failed bool          // it could not be; written before onDisk is closed
	// strange says that the log cannot be read by this program: what is shown of the
	// run is not written down, the next start judges anew.
	strange bool
}

func newEntry(rec *schema.Run) *entry {
	en := &entry{onDisk: make(chan struct{})}
	en.rec.Store(rec)
	return en
}

// recorded waits until the run is on disk.
func (en *entry) recorded(ctx context.Context) (*schema.Run, error) {
	select {
	case <-en.onDisk:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if en.failed {
		return nil, schema.Errorf(schema.Unavailable, "the run could not be recorded: try again")
	}
	return en.rec.Load(), nil
}

func (en *entry) number() uint64 { return en.rec.Load().Number }

// table finds runs. The lists are only ever appended to or replaced: a slice that
// was taken under the lock may be read without.
type table struct {
	runs     map[string]*entry
	live     map[string]*Run
	order    []*entry // by number
	byTarget map[string][]*entry
}

func newTable() table {
	return table{runs: map[string]*entry{}, live: map[string]*Run{}, byTarget: map[string][]*entry{}}
}

// add takes a run in that is newer than all others.
func (t *table) add(en *entry) {
	rec := en.rec.Load()
	t.runs[rec.ID] = en
	t.order = append(t.order, en)
	t.byTarget[rec.Target.ID] = append(t.byTarget[rec.Target.ID], en)
	if en.live != nil {
		t.live[rec.ID] = en.live
	}
}

// sort orders the lists after runs were added in any order.
func (t *table) sort() {
	by := func(a, b *entry) int { return cmp.Compare(a.number(), b.number()) }
	t.order = slices.Clone(t.order)
	slices.SortFunc(t.order, by)
	for id, list := range t.byTarget {
		list = slices.Clone(list)
		slices.SortFunc(list, by)
		t.byTarget[id] = list
	}
}

func (t *table) remove(en *entry) {
	rec := en.rec.Load()
	delete(t.runs, rec.ID)
	delete(t.live, rec.ID)
	t.order = without(t.order, en)
	t.byTarget[rec.Target.ID] = without(t.byTarget[rec.Target.ID], en)
	if len(t.byTarget[rec.Target.ID]) == 0 {
		delete(t.byTarget, rec.Target.ID)
	}
}

// without is a new list that lacks en, or the rest of the list if en is its first.
func without(list []*entry, en *entry) []*entry {
	if len(list) > 0 && list[0] == en {
		return list[1:]
	}
	return slices.DeleteFunc(slices.Clone(list), func(o *entry) bool { return o == en })
}

func (e *Engine) find(id string) *entry {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.table.runs[id]
}

// admit makes the run and puts it into the tables and its queue, or finds the one
// that is there.
func (e *Engine) admit(req StartReq) (*entry, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if en := e.table.runs[req.ID]; en != nil {
		return en, false
	}
	e.number++
	root := req.Root
	if root == "" {
		root = req.ID
	}
	r := e.newRun(&schema.Run{
		ID: req.ID, Number: e.number, Action: req.Action, Target: req.Target, Server: req.Server, Params: req.Params,
		Parent: req.Parent, Root: root, Stage: req.Stage, After: req.After, Actor: req.Actor, Starter: req.Starter, Cause: req.Cause,
		State: schema.StateQueued, Queued: time.Now().UnixMilli(),
	})
	e.table.add(r.entry)
	e.join(r)
	return r.entry, true
}

// takeUp puts a recorded run that has not ended into the tables and its queue.
func (e *Engine) takeUp(got replayed) (r *Run, fresh bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r := e.table.live[got.rec.ID]; r != nil {
		return r, false
	}
	r = e.newRun(got.rec)
	r.seq = got.seq
	close(r.onDisk)
	e.number = max(e.number, got.rec.Number)
	e.table.add(r.entry)
	e.table.sort()
	e.join(r)
	return r, true
}

// forget takes a run out of the tables that could not be recorded.
func (e *Engine) forget(r *Run) {
	e.mu.Lock()
	e.table.remove(r.entry)
	delete(e.floors, r)
	e.mu.Unlock()
	r.failed = true
	close(r.onDisk)
	r.cancel(errStopping)
	e.leave(r)
}

// finish moves a run to those that have ended.
func (e *Engine) finish(r *Run) {
	e.mu.Lock()
	delete(e.table.live, r.id)
	r.live = nil
	r.rec.Store(light(r.rec.Load()))
	e.mu.Unlock()
	close(r.done)
}

// light drops from a run what only its log needs to keep.
func light(rec *schema.Run) *schema.Run {
	c := rec.Clone()
	c.Plan = nil
	for i := range c.Steps {
		c.Steps[i].Value = nil
	}
	return c
}

// trim forgets the oldest ended runs beyond Keep.
func (e *Engine) trim(ctx context.Context) {
	var drop []*entry
	e.mu.Lock()
	for _, en := range e.table.order {
		if len(e.table.order)-len(drop) <= Keep {
			break
		}
		if en.live == nil {
			drop = append(drop, en)
		}
	}
	for _, en := range drop {
		e.table.remove(en)
		delete(e.dirty, en.rec.Load().ID)
	}
	e.mu.Unlock()
	for _, en := range drop {
		if err := e.cfg.States.Delete(ctx, en.rec.Load().ID, 0); err != nil && ctx.Err() == nil && schema.CodeOf(err) != schema.NotFound {
			e.cfg.Log.Warn("forget old run", "run", en.rec.Load().ID, "err", err)
		}
	}
}
