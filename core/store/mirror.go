package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"berth/bus"
	"berth/schema"
)

const maxKey = 256

// CheckKey refuses keys that NATS would refuse or misread: letters, digits and
// -_=/. are allowed, a dot not at the ends and not twice.
func CheckKey(key string) error {
	if key == "" || len(key) > maxKey {
		return schema.Errorf(schema.Invalid, "key %.40q: must have 1 to %d characters", key, maxKey)
	}
	prev := byte('.')
	for _, c := range []byte(key) {
		ok := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '=' || c == '/' ||
			c == '.' && prev != '.'
		if !ok {
			return schema.Errorf(schema.Invalid, "key %.40q: only letters, digits and - _ = / . are allowed", key)
		}
		prev = c
	}
	if prev == '.' {
		return schema.Errorf(schema.Invalid, "key %.40q: ends with a dot", key)
	}
	return nil
}

// mirror takes over what the watch says until ctx ends.
func (b *Bucket[T]) mirror(ctx context.Context, w jetstream.KeyWatcher, ready chan<- struct{}) {
	defer close(b.done)
	defer func() { _ = w.Stop() }()
	seen := sync.OnceFunc(func() { close(ready) })
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-w.Updates():
			switch {
			case !ok:
				return
			case e == nil: // everything stored has been seen
				seen()
			default:
				b.observe(e)
			}
		}
	}
}

// observe takes over one entry of the watch. Our own writes are in the mirror
// already; the watchers hear of them here, so that everybody hears everything
// once and in order.
func (b *Bucket[T]) observe(e jetstream.KeyValueEntry) {
	d := Doc[T]{Key: e.Key(), Rev: e.Revision()}
	deleted := e.Operation() != jetstream.KeyValuePut
	if !deleted {
		if err := json.Unmarshal(e.Value(), &d.Value); err != nil {
			b.log.Error("a document does not decode and is left out", "bucket", b.name, "key", d.Key, "rev", d.Rev, "err", err)
			return
		}
	}
	b.take(d, deleted)
	b.telling.Lock()
	defer b.telling.Unlock()
	for _, fn := range b.watchers {
		fn(Change[T]{Doc: d, Deleted: deleted})
	}
}

func (b *Bucket[T]) take(d Doc[T], deleted bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !deleted:
		b.setLocked(d)
	case b.docs[d.Key].Rev < d.Rev:
		b.removeLocked(d.Key)
	}
	if b.gone[d.Key] <= d.Rev {
		delete(b.gone, d.Key)
	}
}

func (b *Bucket[T]) setLocked(d Doc[T]) {
	have, ok := b.docs[d.Key]
	if have.Rev >= d.Rev || b.gone[d.Key] >= d.Rev {
		return
	}
	if !ok {
		b.sorted = nil
	}
	b.docs[d.Key] = d
	b.changes++
}

func (b *Bucket[T]) removeLocked(key string) {
	if _, ok := b.docs[key]; ok {
		delete(b.docs, key)
		b.sorted = nil
		b.changes++
	}
}

// failed gives the errors of the store their code; nil stays nil.
func failed(err error, format string, args ...any) error {
	what := fmt.Sprintf(format, args...)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrKeyExists), bus.IsWrongLast(err):
		return schema.Wrap(schema.Conflict, err, "%s: somebody else was first", what)
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse),
		errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrReconnectBufExceeded):
		return schema.Wrap(schema.Unavailable, err, "%s: the store does not answer", what)
	case errors.Is(err, nats.ErrMaxPayload):
		return schema.Wrap(schema.TooLarge, err, "%s: larger than 1 MiB", what)
	}
	return fmt.Errorf("%s: %w", what, err)
}
