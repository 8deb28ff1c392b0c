package alert

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"berth/schema"
)

func TestStoredButNotQueuedIsQueuedWithoutARestart(t *testing.T) {
	url, got := endpoint(t)
	w := newWorld(t, alerter("hook", custom(url)))
	var broken atomic.Bool
	broken.Store(true)
	list := w.cfg.Alerters
	w.cfg.Alerters = func(ctx context.Context) ([]schema.Resource[schema.AlerterConfig], error) {
		if broken.Load() {
			return nil, errors.New("the store does not answer")
		}
		return list(ctx)
	}
	w.run(t)
	al := schema.Alert{ID: schema.NewID(), Type: schema.AlertCustom, Message: "hello", Once: true}
	if err := w.Raise(t.Context(), al); err != nil {
		t.Fatal(err)
	}
	broken.Store(false)
	w.nudge()
	<-got
	w.until(t, al.ID, func(d schema.AlertDelivery) bool { return d.State == schema.AlertSent })
}
