package resource

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"berth/core/store"
	"berth/schema"
)

// shelf is the part of the bucket that holds one kind, under <kind>/<id>. It
// keeps decoded documents by revision, so that reading costs a look-up. What it
// hands out is shared: nobody may write into it.
type shelf[C any] struct {
	kind   string
	bucket *store.Bucket[json.RawMessage]
	log    *slog.Logger

	mu      sync.Mutex // guards decoded
	decoded map[string]schema.Resource[C]
}

func newShelf[C any](kind string, bucket *store.Bucket[json.RawMessage], log *slog.Logger) *shelf[C] {
	return &shelf[C]{kind: kind, bucket: bucket, log: log, decoded: map[string]schema.Resource[C]{}}
}

func (s *shelf[C]) key(id string) string { return s.kind + "/" + id }

// get returns the resource of that id as stored.
func (s *shelf[C]) get(id string) (schema.Resource[C], bool) {
	d, err := s.bucket.Get(s.key(id))
	if err != nil {
		return schema.Resource[C]{}, false
	}
	return s.decode(d)
}

// list returns every resource as stored, sorted by name.
func (s *shelf[C]) list() []schema.Resource[C] {
	docs := s.bucket.List(s.kind + "/")
	out := make([]schema.Resource[C], 0, len(docs))
	for _, d := range docs {
		if r, ok := s.decode(d); ok {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b schema.Resource[C]) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// decode reads a document, once per revision. One that does not decode is logged
// and left out.
func (s *shelf[C]) decode(d store.Doc[json.RawMessage]) (schema.Resource[C], bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.decoded[d.Key]; ok && r.Rev == d.Rev {
		return r, true
	}
	var r schema.Resource[C]
	if err := json.Unmarshal(d.Value, &r); err != nil {
		s.log.Error("a resource does not decode and is left out", "key", d.Key, "rev", d.Rev, "err", err)
		return r, false
	}
	r.Rev = d.Rev
	s.decoded[d.Key] = r
	return r, true
}

// put creates the resource, or updates the revision it was read at.
func (s *shelf[C]) put(ctx context.Context, r schema.Resource[C]) (rev uint64, err error) {
	b, err := json.Marshal(r)
	if err != nil {
		return 0, fmt.Errorf("encode: %w", err)
	}
	var d store.Doc[json.RawMessage]
	if r.Rev == 0 {
		d, err = s.bucket.Create(ctx, s.key(r.ID), b)
	} else {
		d, err = s.bucket.Update(ctx, s.key(r.ID), b, r.Rev)
	}
	return d.Rev, err
}

func (s *shelf[C]) remove(ctx context.Context, r schema.Resource[C]) error {
	if err := s.bucket.Delete(ctx, s.key(r.ID), r.Rev); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.decoded, s.key(r.ID))
	return nil
}
