package schedule

import (
	"cmp"
	"context"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"berth/core/run"
	"berth/core/store"
	"berth/schema"
)

const (
	// grace is how late a start may be and still is of its time. Times of one
	// schedule that are closer together may become one.
	grace = 10 * time.Second
	// look is how often everything is looked at again: clocks are set, and
	// machines sleep.
	look = time.Minute
)

// Item is a resource with a schedule.
type Item struct {
	Target   schema.Target // kind procedure or action
	Tags     []string
	Format   string
	Schedule string // empty is none
	Zone     string // empty is core's own
	Enabled  bool
	Missed   string // schema.MissedSkip or schema.MissedOnce
	Alert    bool   // whenever it starts
}

// Source knows the resources.
type Source interface {
	// Schedules lists everything that may have a schedule.
	Schedules(ctx context.Context) ([]Item, error)
	// Watch yields changes of procedures, actions and runs.
	Watch(ctx context.Context) iter.Seq[schema.Change]
}

// Runs starts runs: a *run.Engine.
type Runs interface {
	Start(ctx context.Context, req run.StartReq) (*schema.Run, error)
	Get(ctx context.Context, id string) (*schema.Run, error)
}

// Alerts are told what people should know.
type Alerts interface {
	// Raise stores an alert; one with the id of another is that one.
	Raise(ctx context.Context, al schema.Alert) error
}

// Clock tells the time.
type Clock interface {
	Now() time.Time
	// At returns a channel that delivers once when it is t, and what lets go of it.
	At(t time.Time) (due <-chan time.Time, stop func())
}

// State is what is stored of a schedule. Times are unix ms, 0 for none.
type State struct {
	Spec      string `json:"spec"` // the schedule all this is about
	Next      int64  `json:"next,omitempty"`
	Last      int64  `json:"last,omitempty"`     // the time of the last run
	LastRun   string `json:"last_run,omitempty"` // its id
	Owed      int64  `json:"owed,omitempty"`     // a missed time to be made up for
	Missed    int64  `json:"missed,omitempty"`   // the last missed time
	MissedWhy string `json:"missed_why,omitempty"`
	Told      string `json:"told,omitempty"` // the run whose being in the way is told already
}

// Config is what a Runner needs.
type Config struct {
	States *store.Bucket[State]
	Source Source
	Runs   Runs
	Alerts Alerts
	Clock  Clock  // the machine's when nil
	Zone   string // of schedules that name none; empty is the machine's own
	Log    *slog.Logger
}

// Runner starts what is due.
type Runner struct {
	cfg    Config
	began  time.Time
	looked time.Time // when the source was read
	wake   chan struct{}

	mu      sync.Mutex // guards what follows; entries are written by Run alone
	entries map[string]*entry
	blocked map[string]struct{} // runs whose end is waited for
	stale   bool
}

// New makes a runner. It fails when the zone is not known.
func New(cfg Config) (*Runner, error) {
	if cfg.Clock == nil {
		cfg.Clock = clock{}
	}
	if _, err := schema.ParseSchedule(schema.FormatCron, "0 0 0 * * *", cfg.Zone); err != nil {
		return nil, err
	}
	return &Runner{cfg: cfg, wake: make(chan struct{}, 1), entries: map[string]*entry{}, blocked: map[string]struct{}{}, stale: true}, nil
}

// Run starts what is due until ctx ends.
func (r *Runner) Run(ctx context.Context) error {
	r.began = r.cfg.Clock.Now()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		for ch := range r.cfg.Source.Watch(ctx) {
			r.heard(ch)
		}
		return nil
	})
	g.Go(func() error {
		for ctx.Err() == nil {
			r.sleep(ctx, r.pass(ctx))
		}
		return nil
	})
	return g.Wait()
}

// heard takes a change that may matter.
func (r *Runner) heard(ch schema.Change) {
	r.mu.Lock()
	_, awaited := r.blocked[ch.ID]
	stale := ch.Topic == "procedure" || ch.Topic == "action"
	r.stale = r.stale || stale
	r.mu.Unlock()
	if !stale && (ch.Topic != "run" || !awaited) {
		return
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *Runner) sleep(ctx context.Context, until time.Time) {
	due, stop := r.cfg.Clock.At(until)
	defer stop()
	select {
	case <-ctx.Done():
	case <-r.wake:
	case <-due:
	}
}

// pass does everything that is due and returns when there is more to do.
func (r *Runner) pass(ctx context.Context) time.Time {
	r.refresh(ctx)
	next := r.cfg.Clock.Now().Add(look)
	waits := false
	for _, e := range r.all() {
		waits = r.attend(ctx, e) || waits
	}
	if waits { // a run may have ended before its end was listened for
		for _, e := range r.all() {
			if e.state.Owed != 0 {
				r.attend(ctx, e)
			}
		}
	}
	for _, e := range r.all() {
		if at := e.wakeAt(); !at.IsZero() && at.Before(next) {
			next = at
		}
	}
	return next
}

// all returns the entries, in the order of their times.
func (r *Runner) all() []*entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]*entry, 0, len(r.entries))
	for _, e := range r.entries {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.state.Next, b.state.Next), cmp.Compare(a.key(), b.key()))
	})
	return out
}

// clock is the machine's.
type clock struct{}

func (clock) Now() time.Time { return time.Now() }

func (clock) At(t time.Time) (<-chan time.Time, func()) {
	timer := time.NewTimer(time.Until(t))
	return timer.C, func() { timer.Stop() }
}
