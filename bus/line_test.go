package bus_test

import (
	"context"
	"testing"
	"time"

	"berth/bus"
	"berth/bus/bustest"
	"berth/schema"
)

// TestRequestEndsWithTheLine asks, and loses the connection before the answer: the
// question fails at once, not at its deadline, and the next one is answered.
func TestRequestEndsWithTheLine(t *testing.T) {
	b := bustest.New(t)
	asked, release := make(chan struct{}, 2), make(chan struct{})
	err := bus.Serve(b.Core, schema.AskPending, func(context.Context, string, struct{}) (schema.PendingResp, error) {
		asked <- struct{}{}
		<-release
		return schema.PendingResp{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	o := b.AgentOptions(t, agentA)
	a := b.Dial(t, o)
	failed := make(chan error, 1)
	go func() {
		_, err := bus.Request(t.Context(), a, schema.AskPending, struct{}{})
		failed <- err
	}()
	<-asked
	b.Hub.Kick(bustest.Public(t, o.Seed))
	select {
	case err := <-failed:
		if schema.CodeOf(err) != schema.Unavailable {
			t.Errorf("the question ended with %v, want unavailable", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("the question is still waiting 5 s after the connection was lost")
	}
	close(release)
	if err := a.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := bus.Request(t.Context(), a, schema.AskPending, struct{}{}); err != nil {
		t.Errorf("a question after the connection came back: %v", err)
	}
}
