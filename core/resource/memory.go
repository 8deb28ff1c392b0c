package resource

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"berth/core/store"
	"berth/schema"
)

// Offline makes a list whose resources are in memory only, for looking at files
// without a core.
func Offline() *Registry {
	return NewRegistry(Options{
		Bucket: &memory{docs: map[string]store.Doc[json.RawMessage]{}}, Sealer: noSeal{}, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
}

// memory is documents that are kept nowhere.
type memory struct {
	mu       sync.Mutex // guards what follows
	docs     map[string]store.Doc[json.RawMessage]
	changes  uint64
	watchers []func(store.Change[json.RawMessage])
}

func (m *memory) List(prefix string) []store.Doc[json.RawMessage] {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []store.Doc[json.RawMessage]
	for _, key := range slices.Sorted(maps.Keys(m.docs)) {
		if strings.HasPrefix(key, prefix) {
			out = append(out, m.docs[key])
		}
	}
	return out
}

func (m *memory) Changes() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changes
}

func (m *memory) Create(_ context.Context, key string, v json.RawMessage) (store.Doc[json.RawMessage], error) {
	return m.put(key, v, 0)
}

func (m *memory) Update(_ context.Context, key string, v json.RawMessage, rev uint64) (store.Doc[json.RawMessage], error) {
	return m.put(key, v, rev)
}

func (m *memory) put(key string, v json.RawMessage, rev uint64) (store.Doc[json.RawMessage], error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.docs[key].Rev != rev {
		return store.Doc[json.RawMessage]{}, schema.Errorf(schema.Conflict, "store %s: somebody else was first", key)
	}
	m.changes++
	d := store.Doc[json.RawMessage]{Key: key, Rev: m.changes, Value: slices.Clone(v)}
	m.docs[key] = d
	m.tell(store.Change[json.RawMessage]{Doc: d})
	return d, nil
}

func (m *memory) Delete(_ context.Context, key string, rev uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if rev != 0 && m.docs[key].Rev != rev {
		return schema.Errorf(schema.Conflict, "delete %s: somebody else was first", key)
	}
	m.changes++
	delete(m.docs, key)
	m.tell(store.Change[json.RawMessage]{Doc: store.Doc[json.RawMessage]{Key: key, Rev: m.changes}, Deleted: true})
	return nil
}

// tell calls the watchers; the caller holds the lock.
func (m *memory) tell(c store.Change[json.RawMessage]) {
	for _, fn := range m.watchers {
		fn(c)
	}
}

// Watch calls fn with what comes; there is nothing yet, and it ends with the
// memory.
func (m *memory) Watch(fn func(store.Change[json.RawMessage])) (stop func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watchers = append(m.watchers, fn)
	return func() {}
}

// noSeal writes secrets so that they look sealed: they never leave the process.
type noSeal struct{}

func (noSeal) Seal(plain []byte) (string, error) {
	return "sealed:" + base64.StdEncoding.EncodeToString(plain), nil
}

func (noSeal) Unseal(text string) ([]byte, error) {
	return base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "sealed:"))
}
