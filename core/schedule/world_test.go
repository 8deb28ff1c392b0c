package schedule_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"berth/bus"
	"berth/bus/bustest"
	"berth/core/run"
	"berth/core/schedule"
	"berth/core/store"
	"berth/schema"
)

// fakeClock shows what the test says.
type fakeClock struct {
	mu    sync.Mutex
	now   time.Time
	waits map[chan time.Time]time.Time
	rest  chan struct{} // gets something whenever somebody begins to wait
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) At(t time.Time) (<-chan time.Time, func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := make(chan time.Time, 1)
	if !t.After(c.now) {
		ch <- c.now
		return ch, func() {}
	}
	c.waits[ch] = t
	select {
	case c.rest <- struct{}{}:
	default:
	}
	return ch, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.waits, ch)
	}
}

// idle reports whether somebody waits, for a time to come.
func (c *fakeClock) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.waits) > 0
}

func (c *fakeClock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
	for ch, at := range c.waits {
		if !at.After(t) {
			ch <- t
			delete(c.waits, ch)
		}
	}
}

// source is what the test declares.
type source struct {
	mu      sync.Mutex
	items   []schedule.Item
	changes chan schema.Change
}

func (s *source) Schedules(context.Context) ([]schedule.Item, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.items), nil
}

func (s *source) Watch(ctx context.Context) iter.Seq[schema.Change] {
	return func(yield func(schema.Change) bool) {
		for {
			select {
			case <-ctx.Done():
				return
			case ch := <-s.changes:
				if !yield(ch) {
					return
				}
			}
		}
	}
}

// alerts keeps what is raised, once per id.
type alerts struct {
	mu   sync.Mutex
	list []schema.Alert
}

func (a *alerts) Raise(_ context.Context, al schema.Alert) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.ContainsFunc(a.list, func(have schema.Alert) bool { return have.ID == al.ID }) {
		a.list = append(a.list, al)
	}
	return nil
}

func (a *alerts) of(level schema.Severity) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []string
	for _, al := range a.list {
		if al.Level == level {
			out = append(out, al.Message)
		}
	}
	return out
}

// world is an engine on a live bus and a runner that can be stopped and started.
type world struct {
	t       *testing.T
	bus     *bustest.Bus
	engine  *run.Engine
	runs    schedule.Runs // as the runner sees them
	clock   *fakeClock
	source  *source
	alerts  *alerts
	hold    chan struct{} // bodies wait for it, while it is set
	mu      sync.Mutex
	runner  *schedule.Runner
	kill    context.CancelFunc // ends the runner, without waiting for it
	stopped func()
}

func newWorld(t *testing.T, now string, items ...schedule.Item) *world {
	t.Helper()
	w := &world{
		t: t, bus: bustest.New(t), clock: &fakeClock{now: at(t, now), waits: map[chan time.Time]time.Time{}, rest: make(chan struct{}, 1)},
		source: &source{items: items, changes: make(chan schema.Change)}, alerts: &alerts{}, stopped: func() {},
	}
	must(t, bus.Migrate(t.Context(), w.bus.Core, bus.MigrateOptions{}))
	leases, err := store.OpenLeases(t.Context(), w.bus.Core, 1)
	must(t, err)
	w.engine = run.New(run.Config{
		Conn: w.bus.Core, States: open[schema.Run](w, bus.BucketRunState), Meta: open[run.Checkpoint](w, bus.BucketActive),
		Leases: leases, Log: bustest.Log(t),
		Actions: []run.Action{{Name: "RunProcedure", Kind: "procedure", Param: "procedure", Body: w.body}},
		Resolve: func(_ context.Context, kind, id string) (t, server schema.Target, err error) {
			if id == "gone" {
				return t, server, schema.Errorf(schema.NotFound, "there is no procedure %q", id)
			}
			return schema.Target{Kind: kind, ID: id, Name: id}, server, nil
		},
		Online: func(string) (bool, time.Time) { return true, time.Time{} },
	})
	w.runs = w.engine
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.engine.Run(ctx) }()
	t.Cleanup(func() {
		w.stop()
		cancel()
		must(t, <-done)
	})
	return w
}

// body waits while the test holds runs.
func (w *world) body(ctx context.Context, _ *run.Run) (run.Outcome, error) {
	w.mu.Lock()
	hold := w.hold
	w.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return run.Outcome{}, context.Cause(ctx)
		}
	}
	return run.Outcome{}, nil
}

// holding makes runs go on until release is called.
func (w *world) holding() (release func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	hold := make(chan struct{})
	w.hold = hold
	return sync.OnceFunc(func() {
		w.mu.Lock()
		w.hold = nil
		w.mu.Unlock()
		close(hold)
	})
}

func (w *world) start() {
	w.t.Helper()
	r, err := schedule.New(schedule.Config{
		States: open[schedule.State](w, bus.BucketSchedules), Source: w.source, Runs: w.runs, Alerts: w.alerts,
		Clock: w.clock, Zone: "Europe/Berlin", Log: bustest.Log(w.t),
	})
	must(w.t, err)
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	w.runner, w.kill = r, cancel
	w.stopped = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			w.t.Errorf("runner: %v", err)
		}
	})
	w.rests()
}

// rests waits until the runner waits for a time to come.
func (w *world) rests() {
	w.t.Helper()
	for deadline := time.After(10 * time.Second); !w.clock.idle(); {
		select {
		case <-w.clock.rest:
		case <-deadline:
			w.t.Fatal("the runner does not rest within 10s")
		}
	}
}

func (w *world) stop() { w.stopped() }

func (w *world) eventually(what string, cond func() bool) {
	w.t.Helper()
	bustest.Eventually(w.t, 10*time.Second, what, cond)
}

// goTo moves the clock there, as fast as the runner can follow.
func (w *world) goTo(to string) {
	w.t.Helper()
	end := at(w.t, to)
	for {
		w.rests()
		step := end
		w.clock.mu.Lock()
		for _, at := range w.clock.waits {
			if at.Before(step) {
				step = at
			}
		}
		w.clock.mu.Unlock()
		w.clock.set(step)
		if step.Equal(end) {
			break
		}
	}
	w.rests()
}

// change replaces what is declared.
func (w *world) change(items ...schedule.Item) {
	w.t.Helper()
	w.source.mu.Lock()
	w.source.items = items
	w.source.mu.Unlock()
	w.source.changes <- schema.Change{Topic: "procedure"}
}

// due lists the times for which runs of a procedure were started, oldest first.
func (w *world) due(id string) []string {
	w.t.Helper()
	list, err := w.engine.List(w.t.Context(), schema.RunFilter{Target: id, Cause: "schedule", Limit: 1000})
	must(w.t, err)
	var out []string
	for _, rec := range slices.Backward(list) {
		out = append(out, time.UnixMilli(rec.Cause.Due).In(berlin(w.t)).Format("2006-01-02 15:04:05"))
	}
	return out
}

// ended waits until all runs of a procedure have ended.
func (w *world) ended(id string) {
	w.t.Helper()
	w.eventually("runs end", func() bool {
		list, err := w.engine.List(w.t.Context(), schema.RunFilter{Target: id, Pending: true})
		must(w.t, err)
		return len(list) == 0
	})
}

func (w *world) view(id string) schema.ScheduleView {
	for _, v := range w.runner.List() {
		if v.Target.ID == id {
			return v
		}
	}
	return schema.ScheduleView{}
}

func open[T any](w *world, name string) *store.Bucket[T] {
	w.t.Helper()
	b, err := store.Open[T](w.t.Context(), w.bus.Core, name, store.Options{History: 1})
	must(w.t, err)
	return b
}

func item(id, text string, more ...func(*schedule.Item)) schedule.Item {
	it := schedule.Item{
		Target: schema.Target{Kind: "procedure", ID: id, Name: id}, Format: schema.FormatEnglish, Schedule: text,
		Enabled: true, Missed: schema.MissedSkip,
	}
	for _, fn := range more {
		fn(&it)
	}
	return it
}

func once(it *schedule.Item) { it.Missed = schema.MissedOnce }

func berlin(t *testing.T) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation("Europe/Berlin")
	must(t, err)
	return loc
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	v, err := time.ParseInLocation("2006-01-02 15:04:05", text, berlin(t))
	must(t, err)
	return v
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func has(list []string, parts ...string) bool {
	return slices.ContainsFunc(list, func(s string) bool {
		return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(s, p) })
	})
}
