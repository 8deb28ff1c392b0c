package run_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"berth/bus"
	"berth/bus/bustest"
	"berth/core/run"
	"berth/core/store"
	"berth/schema"
)

// A step for a server whose agent was revoked says so, and how it joins again.
func TestWaitingForARevokedServer(t *testing.T) {
	b := bustest.New(t)
	must(t, bus.Migrate(t.Context(), b.Core, bus.MigrateOptions{}))
	states, err := store.Open[schema.Run](t.Context(), b.Core, bus.BucketRunState, store.Options{})
	must(t, err)
	meta, err := store.Open[run.Checkpoint](t.Context(), b.Core, bus.BucketSettings, store.Options{})
	must(t, err)
	leases, err := store.OpenLeases(t.Context(), b.Core, 1)
	must(t, err)
	e := run.New(run.Config{
		Conn: b.Core, States: states, Meta: meta, Leases: leases, Log: bustest.Log(t),
		Actions: []run.Action{{Name: "Echo", Body: func(ctx context.Context, r *run.Run) (run.Outcome, error) {
			_, err := run.Do(ctx, r, run.Job{Step: "echo", Server: server}, echo, "hello")
			return run.Outcome{}, err
		}}},
		Online:  func(string) (bool, time.Time) { return false, time.Time{} },
		Revoked: func(id string) string { return "revoked by ada, " + id },
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() { cancel(); must(t, <-done) })
	r, err := e.Start(t.Context(), run.StartReq{Action: "Echo"})
	must(t, err)
	note := ""
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		got, err := e.Get(t.Context(), r.ID)
		must(t, err)
		if s := got.Step("echo"); s != nil && s.Note != "" {
			note = s.Note
			break
		}
		<-time.After(5 * time.Millisecond)
	}
	if !strings.Contains(note, "shut out (revoked by ada, srv1)") || !strings.Contains(note, "join-token atlas") {
		t.Errorf("the step says %q", note)
	}
}
