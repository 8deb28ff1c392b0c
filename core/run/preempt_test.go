package run_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"berth/core/run"
	"berth/schema"
)

// TestPreempt lets some runs end the one that goes on, others wait for it.
func TestPreempt(t *testing.T) {
	begun := make(chan string, 9)
	w := newWorld(t, run.Action{
		Name: "RunBuild", Kind: "build", Param: "build", Supersede: true,
		Queue:    func(target schema.Target) string { return target.ID },
		Preempts: func(r *schema.Run) bool { return r.Actor.Kind == "webhook" },
		Body: func(ctx context.Context, r *run.Run) (run.Outcome, error) {
			begun <- r.ID()
			if r.Record().Actor.Kind == "webhook" && r.Record().Cause.Commit == "last" {
				return run.Outcome{}, nil
			}
			<-ctx.Done()
			return run.Outcome{}, context.Cause(ctx)
		},
	})
	start := func(by, commit string) string {
		t.Helper()
		r, err := w.engine.Start(t.Context(), run.StartReq{
			Action: "RunBuild", Target: schema.Target{Kind: "build", ID: "web", Name: "web"}, Params: json.RawMessage(`{"build":"web"}`),
			Actor: schema.Actor{Kind: by, Name: by}, Cause: schema.Cause{Commit: commit},
		})
		if err != nil {
			t.Fatal(err)
		}
		return r.ID
	}
	first := start("user", "")
	if got := <-begun; got != first {
		t.Fatalf("%s began first", got)
	}
	byHand := start("user", "") // waits, and is superseded
	last := start("webhook", "last")
	if r := w.wait(first); r.State != schema.StateCanceled || !strings.Contains(r.Note, "#3") || r.Canceled == nil || r.Canceled.Kind != "webhook" {
		t.Errorf("the one that went on: %s: %s, by %+v", r.State, r.Note, r.Canceled)
	}
	if r := w.wait(byHand); r.State != schema.StateSuperseded {
		t.Errorf("the one that waited: %s: %s", r.State, r.Note)
	}
	if r := w.wait(last); r.State != schema.StateSucceeded {
		t.Errorf("the last: %s: %s", r.State, r.Note)
	}
}
