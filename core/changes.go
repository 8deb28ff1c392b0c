package core

import (
	"context"
	"iter"
	"sync"

	"berth/schema"
)

// changes hands what changed to whoever watches. A watcher that is slow loses the
// oldest changes: a change only says what to look at again.
type changes struct {
	mu       sync.Mutex
	watchers map[chan schema.Change]struct{}
}

func newChanges() *changes { return &changes{watchers: map[chan schema.Change]struct{}{}} }

func (c *changes) announce(ch schema.Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for w := range c.watchers {
		select {
		case w <- ch:
		default:
			select {
			case <-w:
			default:
			}
			w <- ch
		}
	}
}

// watch yields changes until ctx ends or the consumer breaks.
func (c *changes) watch(ctx context.Context) iter.Seq[schema.Change] {
	return func(yield func(schema.Change) bool) {
		w := make(chan schema.Change, 1024)
		c.mu.Lock()
		c.watchers[w] = struct{}{}
		c.mu.Unlock()
		defer func() {
			c.mu.Lock()
			delete(c.watchers, w)
			c.mu.Unlock()
		}()
		for {
			select {
			case <-ctx.Done():
				return
			case ch := <-w:
				if !yield(ch) {
					return
				}
			}
		}
	}
}
