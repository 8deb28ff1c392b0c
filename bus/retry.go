package bus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"berth/schema"
)

const (
	backoffBase = time.Second
	backoffMax  = 30 * time.Second
	// apiTimeout bounds one call to JetStream's API: on a cluster a creation may
	// get no answer at all.
	apiTimeout = 3 * time.Second
	// steady is how long following must have gone well for its next failure to
	// count as the first.
	steady = time.Minute
)

// Backoff returns how long to wait before the given attempt (from 1): full
// jitter below an exponential cap of 30 seconds, which is what lets a fleet come
// back after core was gone.
func Backoff(attempt int) time.Duration {
	limit := backoffMax
	if attempt < 6 {
		limit = min(backoffBase<<max(attempt-1, 0), backoffMax)
	}
	return time.Duration(rand.Int64N(int64(limit)) + 1)
}

// Sleep waits for d, or returns ctx's error when ctx ends first.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// retry calls fn with a bounded ctx up to five times, with jitter between.
func (c *Conn) retry(ctx context.Context, what string, fn func(ctx context.Context) error) error {
	var err error
	for attempt := 1; attempt <= 5; attempt++ {
		call, cancel := context.WithTimeout(ctx, apiTimeout)
		err = fn(call)
		cancel()
		var e *schema.Error
		var api *jetstream.APIError
		if err == nil || ctx.Err() != nil || errors.As(err, &e) || errors.As(err, &api) && api.Code < 500 {
			break
		}
		if Sleep(ctx, Backoff(min(attempt, 2))) != nil {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("prepare %s: %w", what, err)
	}
	return nil
}

// follower says how to read a stream on and on.
type follower struct {
	stream string
	// open returns the consumer to read, anew after every failure.
	open func(ctx context.Context) (jetstream.Consumer, error)
	// take is called with every message, one after the other. After its error
	// the consumer is opened anew.
	take func(m jetstream.Msg) error
	opts []jetstream.PullMessagesOpt
}

// follow reads until ctx ends, then it returns nil: it outlives the loss of the
// connection and of the consumer. schema.Unavailable when the connection was
// closed under it.
func (c *Conn) follow(ctx context.Context, f follower) error {
	for attempt := 1; ctx.Err() == nil; attempt++ {
		began := time.Now()
		err := f.read(ctx)
		ended := ctx.Err() != nil
		if !ended && c.nc.IsClosed() {
			return schema.Wrap(schema.Unavailable, err, "read %s: the connection is closed", f.stream)
		}
		if time.Since(began) > steady {
			attempt = 1
		}
		if !ended {
			c.log.Warn("read a stream", "stream", f.stream, "err", err)
			_ = Sleep(ctx, Backoff(attempt)) // the loop sees ctx's end
		}
	}
	return nil
}

// read opens the consumer once and reads it until something fails or ctx ends.
func (f follower) read(ctx context.Context) error {
	cons, err := f.open(ctx)
	if err != nil {
		return fmt.Errorf("open consumer: %w", err)
	}
	it, err := cons.Messages(f.opts...)
	if err != nil {
		return fmt.Errorf("consume: %w", err)
	}
	stop := context.AfterFunc(ctx, it.Stop)
	defer stop()
	defer it.Stop()
	for {
		m, err := it.Next()
		if err != nil {
			return fmt.Errorf("next: %w", err)
		}
		if err := f.take(m); err != nil {
			return err
		}
	}
}
