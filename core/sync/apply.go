package sync

import (
	"context"

	"berth/core/resource"
	"berth/schema"
)

// Decide makes the plan that a run of a sync carries out, in the form in which it
// is recorded. Not_found when the sync is not there.
func (s *Syncer) Decide(ctx context.Context, id string, q Request) (schema.SyncPlan, error) {
	p, err := s.Plan(ctx, id, q)
	return fit(slim(p), recordSize), err
}

// Work is what is left to do of a recorded plan.
type Work struct {
	s      *Syncer
	record schema.SyncPlan
	q      Request
	now    Planned
}

// Begin takes a recorded plan up, for the first time or after a crash: it plans
// the very commit again. What is done shows as unchanged there. Conflict when
// files outside git are not those the plan was made of.
func (s *Syncer) Begin(ctx context.Context, record schema.SyncPlan, q Request) (*Work, error) {
	w := &Work{s: s, record: record, q: q}
	return w, w.again(ctx)
}

func (w *Work) again(ctx context.Context) error {
	r, err := w.s.cfg.Syncs.Get(ctx, w.record.Sync.ID)
	if err != nil {
		return err
	}
	q := w.q
	q.Commit = w.record.Commit
	l := w.s.repos.look()
	defer l.close()
	c, err := w.s.read(ctx, l, r, q.Commit)
	if err != nil {
		return err
	}
	if digestOf(c.files) != w.record.Source.Digest {
		return schema.Errorf(schema.Conflict, "the files changed since the plan was made: run the sync again")
	}
	w.now = Planned{}
	if err := w.s.planResources(ctx, r, q, c, &w.now); err != nil {
		return err
	}
	return mistakes(w.now.Issues).Err()
}

// Todo lists the changes of the record that are not done yet, in their order.
func (w *Work) Todo() []schema.SyncChange {
	var out []schema.SyncChange
	for _, c := range w.record.Changes {
		if c.Pending() && w.find(c) >= 0 {
			out = append(out, c)
		}
	}
	return out
}

// find returns where a recorded change stands in the plan as it is now; -1 when
// there is nothing left to do of it.
func (w *Work) find(c schema.SyncChange) int {
	for i, x := range w.now.Changes {
		if x.Kind != c.Kind || x.Name != c.Name || w.now.at[i] < 0 || !x.Pending() {
			continue
		}
		if (x.Op == resource.OpDelete) == (c.Op == resource.OpDelete) {
			return w.now.at[i]
		}
	}
	return -1
}

// Do does one change of Todo. What somebody else changed meanwhile is planned
// again and done to what is there now; a change that is done already is fine.
func (w *Work) Do(ctx context.Context, c schema.SyncChange) error {
	const attempts = 3
	for n := 1; ; n++ {
		i := w.find(c)
		if i < 0 {
			return nil
		}
		err := w.s.cfg.Registry.ApplyChange(ctx, w.now.resources, i)
		if schema.CodeOf(err) != schema.Conflict || n == attempts {
			return err
		}
		if again := w.again(ctx); again != nil {
			return again
		}
	}
}

// Target returns what is stored under a name now.
func (w *Work) Target(kind, name string) (schema.Target, error) {
	k, err := w.s.cfg.Registry.Kind(kind)
	if err != nil {
		return schema.Target{}, err
	}
	return k.Find(name)
}
