package schedule

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"berth/schema"
)

// entry is a schedule that is watched over.
type entry struct {
	item    Item
	plan    schema.Schedule
	problem string // why it does not run
	state   State
	stored  bool      // since before this process
	retry   time.Time // not before, after something went wrong
	tries   int
	trouble string // what went wrong
}

func keyOf(t schema.Target) string { return t.Kind + "/" + t.ID }

func (e *entry) key() string { return keyOf(e.item.Target) }

// active reports whether it has a next time.
func (e *entry) active() bool { return e.item.Enabled && e.problem == "" }

// wakeAt is when there is something to do; the zero time for never.
func (e *entry) wakeAt() time.Time {
	switch {
	case !e.retry.IsZero():
		return e.retry
	case e.state.Next != 0:
		return time.UnixMilli(e.state.Next)
	}
	return time.Time{}
}

// after is the next time after t in unix ms; 0 for none.
func (e *entry) after(t time.Time) int64 {
	if !e.active() {
		return 0
	}
	next := e.plan.Next(t)
	if next.IsZero() {
		return 0
	}
	return next.UnixMilli()
}

// said is a time as the schedule's owner reads it.
func (e *entry) said(t time.Time) string { return e.plan.Local(t).Format("2006-01-02 15:04:05 MST") }

// refresh reads the source again, if it has changed or was not read for long. It
// goes on with what is known when it cannot be read.
func (r *Runner) refresh(ctx context.Context) {
	now := r.cfg.Clock.Now()
	r.mu.Lock()
	stale := r.stale || now.Sub(r.looked).Abs() >= look
	r.stale = false
	r.mu.Unlock()
	if !stale {
		return
	}
	items, err := r.cfg.Source.Schedules(ctx)
	if err != nil {
		if ctx.Err() == nil {
			r.cfg.Log.Error("read the schedules", "err", err)
		}
		return
	}
	r.looked = now
	seen := map[string]bool{}
	for _, item := range items {
		if strings.TrimSpace(item.Schedule) != "" {
			seen[keyOf(item.Target)] = true
			r.take(ctx, item, now)
		}
	}
	r.forget(ctx, seen)
}

// take brings an item's entry up to date.
func (r *Runner) take(ctx context.Context, item Item, now time.Time) {
	zone := cmp.Or(item.Zone, r.cfg.Zone)
	plan, err := schema.ParseSchedule(item.Format, item.Schedule, zone)
	r.mu.Lock()
	e, known := r.entries[keyOf(item.Target)]
	if !known {
		e = &entry{}
		if d, err := r.cfg.States.Get(keyOf(item.Target)); err == nil {
			e.state, e.stored = d.Value, true
		}
		r.entries[keyOf(item.Target)] = e
	}
	e.item, e.plan, e.problem = item, plan, ""
	if err != nil {
		e.problem = schema.SafeText(err)
	}
	r.mu.Unlock()
	spec := fmt.Sprintf("%t %s %s %s", item.Enabled, item.Format, zone, item.Schedule)
	next := e.after(now)
	// One that is earlier than what was next: the clock was set back. By a little is
	// of no account, times would come again.
	back := next != 0 && next < e.state.Next && e.state.Next-now.UnixMilli() > look.Milliseconds() &&
		(next > max(e.state.Last, e.state.Missed) || max(e.state.Last, e.state.Missed)-now.UnixMilli() > look.Milliseconds())
	if e.state.Spec == spec && !back {
		return
	}
	s := State{Spec: spec, Next: next, Last: e.state.Last, LastRun: e.state.LastRun, Missed: e.state.Missed, MissedWhy: e.state.MissedWhy}
	// The old schedule's time may have been started without being noted.
	if old := e.state.Next; old != 0 && old <= now.UnixMilli() {
		if rec, err := r.cfg.Runs.Get(ctx, runID(item.Target, old)); err == nil {
			s.Last, s.LastRun = old, rec.ID
		}
	}
	if err := r.save(ctx, e, s); err != nil && ctx.Err() == nil {
		r.cfg.Log.Error("store a schedule", "schedule", e.key(), "err", err)
		r.mu.Lock()
		r.stale = true
		r.mu.Unlock()
		r.again(e, err)
	}
}

// forget drops what is not there any more, also what an earlier process stored.
func (r *Runner) forget(ctx context.Context, seen map[string]bool) {
	for _, d := range r.cfg.States.List("") {
		if seen[d.Key] {
			continue
		}
		if err := r.cfg.States.Delete(ctx, d.Key, 0); err != nil && ctx.Err() == nil {
			r.cfg.Log.Error("forget a schedule", "schedule", d.Key, "err", err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for key := range r.entries {
		if !seen[key] {
			delete(r.entries, key)
		}
	}
}

// save stores the state, and then believes it.
func (r *Runner) save(ctx context.Context, e *entry, s State) error {
	if _, err := r.cfg.States.Put(ctx, e.key(), s); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e.state = s
	e.retry, e.tries, e.trouble = time.Time{}, 0, ""
	return nil
}

// again puts an entry off after something went wrong.
func (r *Runner) again(e *entry, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.tries++
	e.retry = r.cfg.Clock.Now().Add(min(time.Second<<min(e.tries-1, 5), 30*time.Second))
	e.trouble = schema.SafeText(err)
}

// Next returns a resource's next time in unix ms, 0 for none, and why it has none
// if it should.
func (r *Runner) Next(kind, id string) (next int64, problem string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.entries[kind+"/"+id]
	if !ok {
		return 0, ""
	}
	return e.state.Next, e.problem
}

// List returns all schedules as they stand, in no order.
func (r *Runner) List() []schema.ScheduleView {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]schema.ScheduleView, 0, len(r.entries))
	for _, e := range r.entries {
		out = append(out, schema.ScheduleView{
			Target: e.item.Target, Tags: e.item.Tags, Format: e.item.Format, Schedule: e.item.Schedule, Zone: e.item.Zone,
			Enabled: e.item.Enabled, Next: e.state.Next, Last: e.state.Last, LastRun: e.state.LastRun,
			Missed: e.state.Missed, MissedWhy: e.state.MissedWhy, Problem: e.problem,
		})
	}
	return out
}
