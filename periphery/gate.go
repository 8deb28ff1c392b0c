package periphery

import (
	"context"
	"sync"
)

// gate keeps batches and deploys apart: deploys pass side by side, a batch only
// while there is none. A deploy waits for a batch that has begun, not for one that
// waits. The zero value is open. It is safe for concurrent use.
type gate struct {
	mu    sync.Mutex // guards what follows
	in    int        // deploys
	alone bool       // a batch is at work
	moved chan struct{}
}

// enter lets a deploy in; leave must be called.
func (g *gate) enter(ctx context.Context) (leave func(), err error) {
	return g.pass(ctx, func() bool { return !g.alone }, func() { g.in++ }, func() { g.in-- }, nil)
}

// enterAlone lets a batch in; leave must be called. wait is called once if there is
// something to wait for, with the number of deploys.
func (g *gate) enterAlone(ctx context.Context, wait func(deploys int)) (leave func(), err error) {
	return g.pass(ctx, func() bool { return !g.alone && g.in == 0 }, func() { g.alone = true }, func() { g.alone = false }, wait)
}

func (g *gate) pass(ctx context.Context, free func() bool, in, out func(), wait func(int)) (func(), error) {
	for {
		g.mu.Lock()
		if free() {
			in()
			g.mu.Unlock()
			return sync.OnceFunc(func() { g.step(out) }), nil
		}
		if g.moved == nil {
			g.moved = make(chan struct{})
		}
		moved, deploys := g.moved, g.in
		g.mu.Unlock()
		if wait != nil {
			wait(deploys)
			wait = nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// step changes the state and lets those who wait look again.
func (g *gate) step(change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change()
	if g.moved != nil {
		close(g.moved)
		g.moved = nil
	}
}
