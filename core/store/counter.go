package store

import (
	"context"
	"sync"

	"berth/bus"
	"berth/schema"
)

// Counters hand out numbers that count up from 1, without gaps, over all cores.
type Counters struct {
	b  *Bucket[uint64]
	mu sync.Mutex // one at a time here: only other cores can get in between
}

// OpenCounters opens the bucket of counters; see Open for ctx.
func OpenCounters(ctx context.Context, c *bus.Conn, o Options) (*Counters, error) {
	if o.History == 0 {
		o.History = 1
	}
	b, err := Open[uint64](ctx, c, bus.BucketCounters, o)
	if err != nil {
		return nil, err
	}
	return &Counters{b: b}, nil
}

// Next returns the next number of a counter; it is on disk when it returns.
func (c *Counters) Next(ctx context.Context, key string) (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		d, err := c.b.Get(key)
		switch schema.CodeOf(err) {
		case "":
			d, err = c.b.Update(ctx, key, d.Value+1, d.Rev)
		case schema.NotFound:
			d, err = c.b.Create(ctx, key, 1)
		default:
			return 0, err
		}
		if schema.CodeOf(err) != schema.Conflict {
			return d.Value, err
		}
		if err := c.b.refresh(ctx, key); err != nil && schema.CodeOf(err) != schema.NotFound {
			return 0, err
		}
	}
}
