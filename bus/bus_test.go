package bus_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth/bus"
	"berth/bus/bustest"
	"berth/schema"
)

const (
	agentA = "aaaaaaaaaaaaaaaaaaaaaaaa"
	agentB = "bbbbbbbbbbbbbbbbbbbbbbbb"
)

func TestAskAndAnswer(t *testing.T) {
	b := bustest.New(t)
	a := b.Agent(t, agentA)
	err := bus.Answer(a, schema.StackLog, func(_ context.Context, req schema.StackLogReq) (schema.StackLogResp, error) {
		if req.Project == "" {
			return schema.StackLogResp{}, schema.Errorf(schema.NotFound, "no project\nat all")
		}
		return schema.StackLogResp{Stdout: req.Project}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.NATS().Flush(); err != nil {
		t.Fatal(err)
	}
	got, err := bus.Ask(t.Context(), b.Core, agentA, schema.StackLog, schema.StackLogReq{Project: "web"})
	if err != nil || got.Stdout != "web" {
		t.Fatalf("got %+v, %v", got, err)
	}
	_, err = bus.Ask(t.Context(), b.Core, agentA, schema.StackLog, schema.StackLogReq{})
	if schema.CodeOf(err) != schema.NotFound || schema.SafeText(err) != "no project\nat all" {
		t.Errorf("an agent's error arrives as %v", err)
	}
	began := time.Now()
	_, err = bus.Ask(t.Context(), b.Core, agentB, schema.StackLog, schema.StackLogReq{})
	if schema.CodeOf(err) != schema.Unavailable || time.Since(began) > time.Second {
		t.Errorf("an absent agent: %v after %s", err, time.Since(began))
	}
}

func TestRequestTakesTheAgentFromTheSubject(t *testing.T) {
	b := bustest.New(t)
	err := bus.Serve(b.Core, schema.AskPending, func(_ context.Context, agent string, _ struct{}) (schema.PendingResp, error) {
		return schema.PendingResp{Commands: []schema.Command{{ID: agent}}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := bus.Request(t.Context(), b.Agent(t, agentA), schema.AskPending, struct{}{})
	if err != nil || got.Commands[0].ID != agentA {
		t.Fatalf("got %+v, %v", got, err)
	}
}

func TestAppendComparesAndSets(t *testing.T) {
	b := bustest.New(t)
	ctx := t.Context()
	seq, err := b.Core.Append(ctx, "run1", 0, schema.Event{V: 1, N: 1, Type: schema.RunQueued})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Core.Append(ctx, "run1", 0, schema.Event{V: 1, N: 1}); schema.CodeOf(err) != schema.Conflict {
		t.Errorf("a second first event: %v", err)
	}
	if _, err := b.Core.Append(ctx, "run2", 0, schema.Event{V: 1, N: 1}); err != nil {
		t.Errorf("another run: %v", err)
	}
	last := seq
	for n := 2; n <= 600; n++ {
		if last, err = b.Core.Append(ctx, "run1", last, schema.Event{V: 1, N: n, Type: schema.RunNoted}); err != nil {
			t.Fatal(err)
		}
	}
	events, seq, err := b.Core.History(ctx, "run1")
	if err != nil || len(events) != 600 || seq != last || events[599].N != 600 {
		t.Errorf("history: %d events up to %d, want 600 up to %d: %v", len(events), seq, last, err)
	}
	if events, seq, err := b.Core.History(ctx, "nobody"); err != nil || len(events) != 0 || seq != 0 {
		t.Errorf("unknown run: %v %d %v", events, seq, err)
	}
}

func TestQueue(t *testing.T) {
	b := bustest.New(t)
	ctx := t.Context()
	first := schema.Command{ID: "c1", Verb: "stack.up"}
	for range 3 {
		if err := b.Core.Enqueue(ctx, agentA, first, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Core.Enqueue(ctx, agentA, schema.Command{ID: "c2"}, time.Second); err != nil {
		t.Fatal(err)
	}
	if err := b.Core.Enqueue(ctx, agentB, schema.Command{ID: "c3"}, 0); err != nil {
		t.Fatal(err)
	}
	ids := func() []string {
		list, err := b.Core.Pending(ctx, agentA)
		if err != nil {
			t.Fatal(err)
		}
		out := []string{}
		for _, c := range list {
			out = append(out, c.ID)
		}
		return out
	}
	if diff := cmp.Diff([]string{"c1", "c2"}, ids()); diff != "" {
		t.Error(diff)
	}
	bustest.Eventually(t, 20*time.Second, "the deadline takes the command away", func() bool { return cmp.Equal([]string{"c1"}, ids()) })
	for range 2 {
		if err := b.Core.Dequeue(ctx, agentA, "c1"); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{}, ids()); diff != "" {
		t.Error(diff)
	}
}

func TestResultsComeAgainUntilTaken(t *testing.T) {
	b := bustest.New(t)
	a := b.Agent(t, agentA)
	for range 2 {
		if err := a.Report(t.Context(), "c1", schema.Result{Command: "c1", Run: "r"}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var seen []string
	err := b.Core.Results(ctx, func(_ context.Context, agent string, res schema.Result) error {
		seen = append(seen, agent+" "+res.Command)
		if len(seen) == 1 {
			return errors.New("not now")
		}
		cancel()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{agentA + " c1", agentA + " c1"}, seen); diff != "" {
		t.Error(diff)
	}
}

func TestFollowingEndsWithTheConnection(t *testing.T) {
	b := bustest.New(t)
	c, err := b.Hub.Dial(t.Context(), "second")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 2)
	go func() {
		done <- c.Results(t.Context(), func(context.Context, string, schema.Result) error { return nil })
	}()
	go func() { done <- c.Tail(t.Context(), func(uint64, string, schema.Output) {}) }()
	c.Close()
	for range 2 {
		if err := <-done; schema.CodeOf(err) != schema.Unavailable {
			t.Errorf("after Close: %v", err)
		}
	}
}

func TestBadIDsAreRefused(t *testing.T) {
	b := bustest.New(t)
	for _, id := range []string{"", "a.b", "*", ">", "a b", string(make([]byte, 200))} {
		_, err := b.Core.Append(t.Context(), id, 0, schema.Event{})
		if schema.CodeOf(err) != schema.Invalid {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestChangedNamesRunsWithNews(t *testing.T) {
	b, ctx := bustest.New(t), t.Context()
	first, err := b.Core.Append(ctx, "r1", 0, schema.Event{N: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range []string{"r2", "r3"} {
		if _, err := b.Core.Append(ctx, run, 0, schema.Event{N: 1}); err != nil {
			t.Fatal(err)
		}
	}
	runs, last, err := b.Core.Changed(ctx, first)
	if diff := cmp.Diff([]string{"r2", "r3"}, runs); diff != "" || err != nil || last != first+2 {
		t.Errorf("%s last %d, %v", diff, last, err)
	}
	if runs, same, err := b.Core.Changed(ctx, last); err != nil || len(runs) != 0 || same != last {
		t.Errorf("nothing new: %v %d %v", runs, same, err)
	}
}
