package run_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"berth/bus/bustest"
	"berth/schema"
)

// TestVanishedAgentHoldsTheQueueNoLongerThanWanted has an agent go away while it
// works: who waits behind is told, and a cancel frees the queue at once.
func TestVanishedAgentHoldsTheQueueNoLongerThanWanted(t *testing.T) {
	w := newWorld(t, deploy("up"))
	began := make(chan struct{})
	w.agent(func(ctx context.Context, _ schema.Command) (any, error) {
		close(began)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	first := w.begin("Deploy", "web")
	<-began
	w.offline()
	second := w.begin("Deploy", "web")
	bustest.Eventually(t, 20*time.Second, "the second run says for what it waits", func() bool {
		r, err := w.engine.Get(t.Context(), second.ID)
		return err == nil && strings.Contains(r.Note, "waiting for run #1 of the same stack, whose server atlas went away at ") && strings.Contains(r.Note, "cancel run #1")
	})
	asked := time.Now()
	must(t, w.engine.Cancel(t.Context(), first.ID, schema.Actor{Kind: "user", Name: "mira"}))
	if r := w.wait(first.ID); r.State != schema.StateCanceled || time.Since(asked) > 10*time.Second {
		t.Errorf("%s after %s: %+v", r.State, time.Since(asked), r.Problem)
	}
	bustest.Eventually(t, 20*time.Second, "the second run has its turn", func() bool {
		r, err := w.engine.Get(t.Context(), second.ID)
		return err == nil && r.Started != 0
	})
}
