package run_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"berth/core/run"
	"berth/schema"
)

// held returns once a run says that it waits for the first one.
func (w *world) held(id string) {
	w.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		r, err := w.engine.Get(w.t.Context(), id)
		if err == nil && r.State == schema.StateWaiting && strings.Contains(r.Note, "waiting for run #1 ") {
			return
		}
		<-time.After(5 * time.Millisecond)
	}
	w.t.Fatal("it does not say that it waits")
}

// A run that is to come after others waits for their end, also over a restart of
// core, and whatever end that is; one that is canceled meanwhile does not begin.
func TestAfter(t *testing.T) {
	release := make(chan struct{})
	w := newWorld(t, run.Action{Name: "Wait", Body: func(ctx context.Context, r *run.Run) (run.Outcome, error) {
		if len(r.Record().After) > 0 {
			return run.Outcome{}, nil
		}
		select {
		case <-release:
			return run.Outcome{}, schema.Errorf(schema.Failed, "it ends badly")
		case <-ctx.Done():
			return run.Outcome{}, context.Cause(ctx)
		}
	}})
	start := func(after ...string) string {
		t.Helper()
		r, err := w.engine.Start(t.Context(), run.StartReq{Action: "Wait", After: after})
		must(t, err)
		return r.ID
	}
	first, second := start(), start()
	last, canceled := start(first, second, schema.NewID()), start(first)
	w.held(last)
	w.stop()
	w.start()
	w.held(last)
	must(t, w.engine.Cancel(t.Context(), canceled, schema.Actor{Name: "ada"}))
	if r := w.wait(canceled); r.State != schema.StateCanceled || r.Started != 0 {
		t.Errorf("the canceled one: %s, started %d", r.State, r.Started)
	}
	close(release)
	end := max(w.wait(first).Ended, w.wait(second).Ended)
	if r := w.wait(last); r.State != schema.StateSucceeded || r.Started < end {
		t.Errorf("%s: %s, began at %d, the others ended at %d", r.State, r.Note, r.Started, end)
	}
}
