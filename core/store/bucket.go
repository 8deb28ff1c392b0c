package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"berth/bus"
	"berth/schema"
)

// Doc is a stored value with the revision it has.
type Doc[T any] struct {
	Key   string
	Rev   uint64
	Value T
}

// Options of a bucket. The zero value is what most buckets want.
type Options struct {
	History  uint8         // revisions kept per key; 5 when 0
	TTL      time.Duration // documents vanish after that; 0 keeps them
	MaxBytes int64         // 0 is unlimited
	Replicas int           // 1 when 0
	Log      *slog.Logger
}

// Change is what a watcher gets: the key, and the document unless it was deleted.
type Change[T any] struct {
	Doc     Doc[T]
	Deleted bool
}

// Bucket is a typed, mirrored KV bucket.
type Bucket[T any] struct {
	name string
	kv   jetstream.KeyValue
	js   jetstream.JetStream
	log  *slog.Logger
	done chan struct{} // closed when the mirror has ended

	mu      sync.RWMutex // guards what follows
	docs    map[string]Doc[T]
	gone    map[string]uint64 // deleted by us, until the watch has seen it
	sorted  []string          // keys in order; nil when it has to be made
	changes uint64            // how often docs changed

	telling  sync.Mutex // guards what follows, and is held while watchers are called
	watchers map[int]func(Change[T])
	nextID   int
}

// Open opens a bucket, creating it when it is missing, and returns once the
// mirror holds everything stored. The mirror lives until ctx ends: hand in the
// ctx of the program, not that of a call.
func Open[T any](ctx context.Context, c *bus.Conn, name string, o Options) (*Bucket[T], error) {
	kv, err := openKV(ctx, c, name, o)
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	b := &Bucket[T]{
		name: name, kv: kv, js: c.JetStream(), log: o.Log, done: make(chan struct{}),
		docs: map[string]Doc[T]{}, gone: map[string]uint64{}, watchers: map[int]func(Change[T]){},
	}
	w, err := kv.WatchAll(ctx)
	if err != nil {
		return nil, failed(err, "watch bucket %s", name)
	}
	ready := make(chan struct{})
	go b.mirror(ctx, w, ready) // ends with ctx; Done tells
	select {
	case <-ready:
		return b, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("read bucket %s: %w", name, ctx.Err())
	}
}

func openKV(ctx context.Context, c *bus.Conn, name string, o Options) (jetstream.KeyValue, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	kv, err := c.JetStream().KeyValue(ctx, name)
	if !errors.Is(err, jetstream.ErrBucketNotFound) {
		return kv, failed(err, "open bucket %s", name)
	}
	cfg := jetstream.KeyValueConfig{
		Bucket: name, History: max(o.History, 1), TTL: o.TTL, Replicas: max(o.Replicas, 1), MaxBytes: -1, Compression: true,
		Metadata: map[string]string{"schema": "1", "min_reader": "1"},
	}
	if o.History == 0 {
		cfg.History = 5
	}
	if o.MaxBytes > 0 {
		cfg.MaxBytes = o.MaxBytes
	}
	if o.TTL > 0 {
		cfg.LimitMarkerTTL = time.Second // else nobody hears of an expiry
	}
	kv, err = c.JetStream().CreateKeyValue(ctx, cfg)
	if errors.Is(err, jetstream.ErrBucketExists) { // another core was first
		kv, err = c.JetStream().KeyValue(ctx, name)
	}
	return kv, failed(err, "create bucket %s", name)
}

// Done is closed when the mirror has ended: the bucket answers from what it knew.
func (b *Bucket[T]) Done() <-chan struct{} { return b.done }

// Get returns a document; schema.NotFound when there is none.
func (b *Bucket[T]) Get(key string) (Doc[T], error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	d, ok := b.docs[key]
	if !ok {
		return d, schema.Errorf(schema.NotFound, "%s: not found", key)
	}
	return d, nil
}

// Has reports whether there is a document.
func (b *Bucket[T]) Has(key string) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	_, ok := b.docs[key]
	return ok
}

// Len returns how many documents there are.
func (b *Bucket[T]) Len() int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return len(b.docs)
}

// Changes returns a number that is another one after every change of the mirror.
func (b *Bucket[T]) Changes() uint64 {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.changes
}

// List returns the documents whose key begins with prefix, by key.
func (b *Bucket[T]) List(prefix string) []Doc[T] {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sorted == nil {
		b.sorted = make([]string, 0, len(b.docs))
		for k := range b.docs {
			b.sorted = append(b.sorted, k)
		}
		slices.Sort(b.sorted)
	}
	from, _ := slices.BinarySearch(b.sorted, prefix)
	var list []Doc[T]
	for _, k := range b.sorted[from:] {
		if !strings.HasPrefix(k, prefix) {
			break
		}
		list = append(list, b.docs[k])
	}
	return list
}

// Create stores a new document; schema.Conflict when the key is taken.
func (b *Bucket[T]) Create(ctx context.Context, key string, v T) (Doc[T], error) {
	return b.write(key, v, func(data []byte) (uint64, error) { return b.kv.Create(ctx, key, data) })
}

// Update replaces the document that has the revision rev; schema.Conflict when it
// has another one by now.
func (b *Bucket[T]) Update(ctx context.Context, key string, v T, rev uint64) (Doc[T], error) {
	return b.write(key, v, func(data []byte) (uint64, error) { return b.kv.Update(ctx, key, data, rev) })
}

// Put stores a document whatever was there.
func (b *Bucket[T]) Put(ctx context.Context, key string, v T) (Doc[T], error) {
	return b.write(key, v, func(data []byte) (uint64, error) { return b.kv.Put(ctx, key, data) })
}

// Edit reads a document, lets fn change the copy, and stores it; it begins again
// when somebody else was faster. fn must build new slices and maps rather than
// write into those it got; an error of fn is returned as it is.
func (b *Bucket[T]) Edit(ctx context.Context, key string, fn func(v *T) error) (Doc[T], error) {
	for {
		d, err := b.Get(key)
		if err != nil {
			return d, err
		}
		v := d.Value
		if err := fn(&v); err != nil {
			return d, err
		}
		next, err := b.Update(ctx, key, v, d.Rev)
		if schema.CodeOf(err) != schema.Conflict {
			return next, err
		}
		if err := b.refresh(ctx, key); err != nil {
			return d, err
		}
	}
}

// Delete removes a document and its history. With rev other than 0 only that
// revision is removed, else schema.Conflict. One that is not there is fine.
func (b *Bucket[T]) Delete(ctx context.Context, key string, rev uint64) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	m := &nats.Msg{Subject: "$KV." + b.name + "." + key, Header: nats.Header{"KV-Operation": {"PURGE"}, "Nats-Rollup": {"sub"}}}
	var opts []jetstream.PublishOpt
	if rev != 0 {
		opts = append(opts, jetstream.WithExpectLastSequencePerSubject(rev))
	}
	ack, err := b.js.PublishMsg(ctx, m, opts...)
	if err != nil {
		return failed(err, "delete %s", key)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.docs[key].Rev < ack.Sequence {
		b.removeLocked(key)
		b.gone[key] = ack.Sequence
	}
	return nil
}

// Watch calls fn with every document there is, and then with every change, one
// after the other; a change may come twice. stop ends it. fn must not block, and
// must not call Watch or stop; reading and writing are fine. Changes by this
// core arrive as well.
func (b *Bucket[T]) Watch(fn func(Change[T])) (stop func()) {
	b.telling.Lock()
	defer b.telling.Unlock()
	for _, d := range b.List("") {
		fn(Change[T]{Doc: d})
	}
	id := b.nextID
	b.nextID++
	b.watchers[id] = fn
	return func() {
		b.telling.Lock()
		defer b.telling.Unlock()
		delete(b.watchers, id)
	}
}

func (b *Bucket[T]) write(key string, v T, put func(data []byte) (uint64, error)) (Doc[T], error) {
	d := Doc[T]{Key: key, Value: v}
	if err := CheckKey(key); err != nil {
		return d, err
	}
	data, err := json.Marshal(v)
	if err != nil {
		return d, fmt.Errorf("store %s: encode: %w", key, err)
	}
	if d.Rev, err = put(data); err != nil {
		return d, failed(err, "store %s", key)
	}
	// What others will read is what was stored, not the caller's value.
	var stored T
	if err := json.Unmarshal(data, &stored); err != nil {
		return d, fmt.Errorf("store %s: decode: %w", key, err)
	}
	d.Value = stored
	b.mu.Lock()
	defer b.mu.Unlock()
	b.setLocked(d)
	return d, nil
}

// refresh reads one document from the store: the mirror may be behind.
func (b *Bucket[T]) refresh(ctx context.Context, key string) error {
	e, err := b.kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return schema.Errorf(schema.NotFound, "%s: not found", key)
	}
	if err != nil {
		return failed(err, "read %s", key)
	}
	d := Doc[T]{Key: key, Rev: e.Revision()}
	if err := json.Unmarshal(e.Value(), &d.Value); err != nil {
		return fmt.Errorf("read %s: decode: %w", key, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.setLocked(d)
	return nil
}
