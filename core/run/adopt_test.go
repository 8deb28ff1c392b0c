package run_test

import (
	"testing"
	"time"

	"berth/schema"
)

// hostRun is a deploy that was made on a server.
func hostRun(id string) schema.Run {
	at := time.Now().Add(-time.Hour).UnixMilli()
	web := schema.Target{Kind: "stack", ID: "web", Name: "web"}
	return schema.Run{
		ID: id, Root: id, Action: "DeployStack", Target: web, Server: server, State: schema.StateSucceeded, Note: "deployed on the server by root",
		Cause: schema.Cause{Kind: schema.CauseHost}, Queued: at, Started: at, Ended: at + 1000,
		Steps: []schema.Step{{Name: "deploy", State: schema.StateSucceeded, Command: schema.LocalCommand(id), Server: server}},
	}
}

func TestRow10AdoptedRunIsInTheHistoryOnce(t *testing.T) {
	w := newWorld(t, deploy("one"))
	id := schema.NewID()
	first, err := w.engine.Adopt(t.Context(), hostRun(id))
	must(t, err)
	if first.Number == 0 || !first.State.Terminal() || first.Ended-first.Started != 1000 || first.Step("deploy") == nil {
		t.Errorf("%+v", first)
	}
	for _, restart := range []bool{false, true} {
		if restart {
			w.stop()
			w.start()
		}
		again, err := w.engine.Adopt(t.Context(), hostRun(id))
		must(t, err)
		list, err := w.engine.List(t.Context(), schema.RunFilter{Target: "web"})
		must(t, err)
		if again.Number != first.Number || again.State != schema.StateSucceeded || len(list) != 1 {
			t.Errorf("after a restart %v: %+v, %d runs", restart, again, len(list))
		}
	}
	// Numbers go on, and its queue is free.
	w.agent(echoes)
	if next := w.wait(w.begin("Deploy", "web").ID); next.Number != first.Number+1 || next.State != schema.StateSucceeded {
		t.Errorf("%+v", next)
	}
	w.engine.Forget(id)
	if again, err := w.engine.Adopt(t.Context(), hostRun(id)); err != nil || again.Number != first.Number {
		t.Errorf("one that was forgotten for its age: %+v %v", again, err)
	}
}

func TestRow10AdoptedRunTakesNobodysPlace(t *testing.T) {
	w := newWorld(t, deploy("one"))
	w.agent(echoes)
	own := w.begin("Deploy", "web")
	w.wait(own.ID)
	if _, err := w.engine.Adopt(t.Context(), hostRun(own.ID)); schema.CodeOf(err) != schema.Conflict {
		t.Errorf("a run of core's own is taken over: %v", err)
	}
	open := hostRun(schema.NewID())
	open.State = schema.StateRunning
	if _, err := w.engine.Adopt(t.Context(), open); err == nil {
		t.Error("a run that has not ended was adopted")
	}
}
