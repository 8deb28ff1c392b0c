package periphery

import (
	"context"
	"sync"
	"time"

	"berth/bus"
	"berth/schema"
)

// showWait bounds how long a result waits for core to have seen its containers.
const showWait = 3 * time.Second

// showing has one status on its way at a time.
type showing struct {
	mu    sync.Mutex
	began time.Time // when the engine was last asked for what core has seen since
}

// show lets core see the containers as they are after a command, before it hears that
// the command is over: who then reads, reads what it did. Commands that end together
// share one look. When core does not answer, the status that comes by itself has to do.
func (a *Agent) show(ctx context.Context, j *Job) {
	ended := time.Now()
	ctx, cancel := context.WithTimeout(ctx, showWait)
	defer cancel()
	a.shown.mu.Lock()
	defer a.shown.mu.Unlock()
	shared := a.shown.began.After(ended)
	if shared && len(j.hidden) == 0 {
		return
	}
	began := time.Now()
	st := a.status(ctx)
	a.conceal(ctx, j, st.Containers)
	if shared {
		return
	}
	if _, err := bus.Request(ctx, a.conn, schema.AskSee, st); err != nil {
		a.log.Debug("show core the containers", "err", err)
		return
	}
	a.shown.began = began
}

// touches notes that the command is about to change containers.
func (j *Job) touches() { j.touched.Store(true) }
