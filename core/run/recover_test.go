package run_test

import (
	"strings"
	"testing"
	"time"

	"berth/bus"
	"berth/bus/bustest"
	"berth/core/run"
	"berth/core/store"
	"berth/schema"
)

func TestDamagedLogIsShownAndNotActedUpon(t *testing.T) {
	w := newWorld(t, deploy("up"))
	good := w.begin("Deploy", "good")
	w.stop()
	ctx := t.Context()
	gap, newer := schema.NewID(), schema.NewID()
	head := func(id string) schema.Event {
		return schema.Event{V: 1, N: 1, Type: schema.RunQueued, At: 1, Run: &schema.Run{ID: id, Number: 7, Action: "Deploy", Target: schema.Target{Kind: "stack", ID: "x", Name: "x"}}}
	}
	for id, second := range map[string]schema.Event{gap: {V: 1, N: 3, Type: schema.RunStarted}, newer: {V: schema.EventVersion + 1, N: 2, Type: "run.beamed"}} {
		seq, err := w.bus.Core.Append(ctx, id, 0, head(id))
		must(t, err)
		_, err = w.bus.Core.Append(ctx, id, seq, second)
		must(t, err)
	}
	junk := schema.NewID()
	_, err := w.bus.Core.JetStream().Publish(ctx, "run."+junk, []byte("{not json"))
	must(t, err)
	a := w.agent(echoes)
	for range 2 { // the second start finds them in the bucket
		w.start()
		for id, word := range map[string]string{gap: "damaged", newer: "upgrade core", junk: "damaged"} {
			r, err := w.engine.Get(ctx, id)
			if err != nil || r.State != schema.StateFailed || r.Problem == nil || !strings.Contains(r.Problem.Text, word) {
				t.Errorf("%s: %+v %v", word, r, err)
			}
			events, _, _ := w.bus.Core.History(ctx, id)
			if len(events) > 2 {
				t.Errorf("%s: the log was written to", word)
			}
		}
		if r := w.wait(good.ID); r.State != schema.StateSucceeded {
			t.Errorf("the good one: %s", r.State)
		}
		w.stop()
	}
	if got := a.done(); len(got) != 1 {
		t.Errorf("agent did %v", got)
	}
	w.start()
}

func TestLogThatWentBackIsReadFromItsBeginning(t *testing.T) {
	w := newWorld(t, deploy("up"))
	w.agent(echoes)
	id := w.begin("Deploy", "web").ID
	w.wait(id)
	w.stop()
	meta, err := store.Open[run.Checkpoint](t.Context(), w.bus.Core, bus.BucketSettings, store.Options{})
	must(t, err)
	_, err = meta.Put(t.Context(), "runs", run.Checkpoint{Seq: 1 << 40})
	must(t, err)
	other := schema.NewID()
	_, err = w.bus.Core.Append(t.Context(), other, 0, schema.Event{V: 1, N: 1, Type: schema.RunQueued, Run: &schema.Run{ID: other, Number: 50, Action: "Deploy", Target: schema.Target{Kind: "stack", ID: "x"}}})
	must(t, err)
	w.start()
	if r := w.wait(other); r.State != schema.StateSucceeded {
		t.Errorf("%s", r.State)
	}
	if r := w.begin("Deploy", "web"); r.Number != 51 {
		t.Errorf("number %d", r.Number)
	}
}

func TestRunsBeyondKeepAreForgottenNotRepeated(t *testing.T) {
	w := newWorld(t, deploy("up"))
	a := w.agent(echoes)
	id := w.begin("Deploy", "web").ID
	w.wait(id)
	w.engine.Forget(id)
	r, err := w.engine.Start(t.Context(), run.StartReq{ID: id, Action: "Deploy", Target: schema.Target{ID: "web"}})
	if err != nil || r.State != schema.StateSucceeded || len(a.done()) != 1 {
		t.Fatalf("%+v %v, agent did %v", r, err, a.done())
	}
}

func TestWaitingSaysForWhat(t *testing.T) {
	w := newWorld(t, deploy("up"))
	w.offline()
	id := w.begin("Deploy", "web").ID
	bustest.Eventually(t, 20*time.Second, "the run waits", func() bool {
		r, err := w.engine.Get(t.Context(), id)
		return err == nil && r.State == schema.StateWaiting && strings.Contains(r.Note, "join-token atlas")
	})
	w.engine.Presence(t.Context(), server.ID, true, time.Now())
	if r, _ := w.engine.Get(t.Context(), id); r.State != schema.StateRunning || r.Note != "" {
		t.Errorf("with the server back: %s %q", r.State, r.Note)
	}
	w.engine.Presence(t.Context(), server.ID, false, time.Now())
	if r, _ := w.engine.Get(t.Context(), id); r.State != schema.StateWaiting || !strings.HasPrefix(r.Note, "waiting for server atlas since 2") || w.engine.Waiting(server.ID) != 1 {
		t.Errorf("with the server away: %s %q", r.State, r.Note)
	}
}
