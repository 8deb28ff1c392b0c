package sync_test

import (
	"context"
	"slices"
	gosync "sync"
	"testing"
	"time"

	"berth/bus/bustest"
	"berth/core/run"
	"berth/core/sync"
	"berth/core/sync/synctest"
	"berth/schema"
)

// starter remembers the runs that were asked for.
type starter struct {
	mu   gosync.Mutex
	reqs []run.StartReq
	busy bool
}

// Busy says what the test wants: a run goes on, or none.
func (s *starter) Busy(context.Context, string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.busy, nil
}

func (s *starter) set(busy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = busy
}

func (s *starter) Start(_ context.Context, req run.StartReq) (*schema.Run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.ContainsFunc(s.reqs, func(r run.StartReq) bool { return r.ID == req.ID }) {
		s.reqs = append(s.reqs, req)
	}
	return &schema.Run{ID: req.ID}, nil
}

func (s *starter) started() []run.StartReq {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.reqs)
}

// clock is a time that a test sets.
type clock struct {
	mu  gosync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// polled is a world whose Syncer runs.
func polled(t *testing.T) (*synctest.World, *starter, *clock) {
	t.Helper()
	runs, at := &starter{}, &clock{now: time.Now()}
	w := synctest.New(t, func(c *sync.Config) { c.Runs, c.Poll, c.Now = runs, 5*time.Minute, at.Now })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = w.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return w, runs, at
}

func until(t *testing.T, w *synctest.World, what, key string, ok func(schema.SyncState) bool) {
	t.Helper()
	bustest.Eventually(t, 20*time.Second, what, func() bool {
		st, err := w.State(key)
		return err == nil && ok(st)
	})
}

func TestPollingFindsAPushWithOneQuestion(t *testing.T) {
	w, runs, at := polled(t)
	repo := w.Forge.Repo("a/b")
	repo.Commit(map[string]string{"a/r.toml": "[[server]]\nname = \"one\"\n", "b/r.toml": "[[server]]\nname = \"two\"\n", "c/r.toml": "[[server]]\nname = \"three\"\n"}, "all")
	for _, name := range []string{"a", "b", "c"} {
		w.Sync(name, "a/b", map[string]any{"resource_path": []string{name}, "auto_sync": name == "c"})
	}
	for _, name := range []string{"a", "b", "c"} {
		until(t, w, "the first look at "+name, name, func(st schema.SyncState) bool { return st.Status == schema.SyncPending })
	}
	bustest.Eventually(t, 20*time.Second, "a run of the one that runs by itself", func() bool { return len(runs.started()) == 1 })
	if r := runs.started()[0]; r.Target.Name != "c" || r.Action != "RunSync" || r.Cause.Repo != "a/b" || r.Cause.Commit == "" {
		t.Errorf("%+v", r)
	}
	commit := repo.Commit(map[string]string{"a/s.toml": "[[server]]\nname = \"four\"\n"}, "a push without a webhook")
	before := w.Forge.Requests()
	at.advance(6 * time.Minute)
	w.Wake()
	for _, name := range []string{"a", "b", "c"} {
		until(t, w, "the new commit at "+name, name, func(st schema.SyncState) bool { return st.Plan.Commit == commit })
	}
	if n := w.Forge.Requests() - before; n > 3 { // one look, one fetch of two requests
		t.Errorf("%d requests for three syncs of one repository", n)
	}
}

func TestDriftShowsByItself(t *testing.T) {
	w, _, at := polled(t)
	w.Forge.Repo("a/b").Commit(map[string]string{"r.toml": "[[server]]\nname = \"one\"\n"}, "one")
	w.Sync("main", "a/b", nil)
	until(t, w, "the first look", "main", func(st schema.SyncState) bool { return st.Status == schema.SyncPending })
	w.All("main", false)
	bustest.Eventually(t, 20*time.Second, "that nothing is left", func() bool {
		at.advance(time.Second)
		w.Wake()
		st, err := w.State("main")
		return err == nil && st.Status == schema.SyncOk
	})
	before := w.Forge.Requests()
	w.Update("server", "one", map[string]any{"region": "attic"})
	bustest.Eventually(t, 20*time.Second, "the drift", func() bool {
		at.advance(time.Second)
		w.Wake()
		st, err := w.State("main")
		return err == nil && st.Status == schema.SyncPending
	})
	if n := w.Forge.Requests() - before; n != 0 {
		t.Errorf("%d requests to show drift", n)
	}
}

// TestNoAlertWhileARunGoesOn: what a run is about to do is not told of as pending; what
// it leaves is, once it has ended.
func TestNoAlertWhileARunGoesOn(t *testing.T) {
	w, runs, at := polled(t)
	w.Forge.Repo("a/b").Commit(map[string]string{"r.toml": "[[server]]\nname = \"one\"\n"}, "one")
	runs.set(true)
	id := w.Sync("main", "a/b", map[string]any{"auto_sync": true}).ID
	until(t, w, "the first look", "main", func(st schema.SyncState) bool { return st.Status == schema.SyncPending })
	if n := len(runs.started()); n != 1 {
		t.Errorf("%d runs were started before the look was kept", n)
	}
	if raised, _ := w.Alerts(); len(raised) != 0 {
		t.Errorf("raised during the run: %+v", raised)
	}
	runs.set(false) // it failed and left all as it was
	w.Ended(t.Context(), id)
	bustest.Eventually(t, 20*time.Second, "an alert after the run", func() bool {
		at.advance(time.Second)
		w.Wake()
		raised, _ := w.Alerts()
		return len(raised) == 1 && raised[0].Type == schema.AlertSyncPending
	})
	bustest.Eventually(t, 20*time.Second, "the state knows the alert", func() bool {
		st, err := w.State("main")
		raised, _ := w.Alerts()
		return err == nil && st.Alert == raised[0].Key
	})
}
