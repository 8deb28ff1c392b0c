package resource

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"berth/schema"
)

// shelf is the part of the documents that holds one kind, under <kind>/<id>. It
// keeps decoded documents by revision and an index by id and name, so that reading
// costs a look-up. What it hands out is shared: nobody may write into it.
type shelf[C any] struct {
	kind string
	docs Documents
	log  *slog.Logger

	mu  sync.Mutex // guards now
	now *contents[C]
}

// contents is what a shelf held at one moment. It is not changed any more.
type contents[C any] struct {
	changes uint64
	byKey   map[string]*held[C]
	byName  map[string]*held[C]
	sorted  []*held[C] // by name
}

// held is a stored resource with what is read from it once per revision.
type held[C any] struct {
	r    schema.Resource[C] // as stored: secrets sealed
	refs []reference
	// raw is the resource as everybody may see it, made when somebody asks first.
	raw func() (schema.Resource[json.RawMessage], error)
}

// rawOf is a resource with secrets masked and its settings as JSON.
func rawOf[C any](r schema.Resource[C]) (schema.Resource[json.RawMessage], error) {
	out := schema.Resource[json.RawMessage]{
		ID: r.ID, Name: r.Name, Description: r.Description, Template: r.Template, Tags: r.Tags, Base: r.Base,
		Created: r.Created, Updated: r.Updated, Rev: r.Rev,
	}
	m, err := masked(r)
	if err == nil {
		out.Config, err = json.Marshal(m.Config)
	}
	return out, err
}

func newShelf[C any](kind string, docs Documents, log *slog.Logger) *shelf[C] {
	return &shelf[C]{kind: kind, docs: docs, log: log}
}

func (s *shelf[C]) key(id string) string { return s.kind + "/" + id }

// contents returns what is stored now.
func (s *shelf[C]) contents() *contents[C] {
	s.mu.Lock()
	defer s.mu.Unlock()
	changes := s.docs.Changes() // before the list: what comes between is seen next time
	if s.now != nil && s.now.changes == changes {
		return s.now
	}
	docs := s.docs.List(s.kind + "/")
	next := &contents[C]{
		changes: changes, byKey: make(map[string]*held[C], len(docs)), byName: make(map[string]*held[C], len(docs)),
		sorted: make([]*held[C], 0, len(docs)),
	}
	for _, d := range docs {
		h := s.known(d.Key, d.Rev)
		if h == nil {
			h = s.decode(d.Key, d.Rev, d.Value)
		}
		if h == nil {
			continue
		}
		next.byKey[d.Key], next.byName[h.r.Name] = h, h
		next.sorted = append(next.sorted, h)
	}
	slices.SortFunc(next.sorted, func(a, b *held[C]) int { return strings.Compare(a.r.Name, b.r.Name) })
	s.now = next
	return next
}

// known returns what was decoded of a revision already, or nil.
func (s *shelf[C]) known(key string, rev uint64) *held[C] {
	if s.now == nil {
		return nil
	}
	if h := s.now.byKey[key]; h != nil && h.r.Rev == rev {
		return h
	}
	return nil
}

// decode reads a document. One that does not decode is logged and left out: nil.
func (s *shelf[C]) decode(key string, rev uint64, doc json.RawMessage) *held[C] {
	h := &held[C]{}
	if err := json.Unmarshal(doc, &h.r); err != nil {
		s.log.Error("a resource does not decode and is left out", "key", key, "rev", rev, "err", err)
		return nil
	}
	h.r.Rev = rev
	h.refs = refsOf(&h.r.Config)
	h.raw = sync.OnceValues(func() (schema.Resource[json.RawMessage], error) { return rawOf(h.r) })
	return h
}

// get returns the resource of that id as stored.
func (s *shelf[C]) get(id string) (schema.Resource[C], bool) {
	if h := s.contents().byKey[s.key(id)]; h != nil {
		return h.r, true
	}
	return schema.Resource[C]{}, false
}

// named returns the resource of exactly that name as stored.
func (s *shelf[C]) named(name string) (schema.Resource[C], bool) {
	if h := s.contents().byName[name]; h != nil {
		return h.r, true
	}
	return schema.Resource[C]{}, false
}

// list returns every resource as stored, sorted by name.
func (s *shelf[C]) list() []schema.Resource[C] {
	all := s.contents().sorted
	out := make([]schema.Resource[C], len(all))
	for i, h := range all {
		out[i] = h.r
	}
	return out
}

// put creates the resource, or updates the revision it was read at.
func (s *shelf[C]) put(ctx context.Context, r schema.Resource[C]) (rev uint64, err error) {
	b, err := json.Marshal(r)
	if err != nil {
		return 0, fmt.Errorf("encode: %w", err)
	}
	if r.Rev == 0 {
		d, err := s.docs.Create(ctx, s.key(r.ID), b)
		return d.Rev, err
	}
	d, err := s.docs.Update(ctx, s.key(r.ID), b, r.Rev)
	return d.Rev, err
}

func (s *shelf[C]) remove(ctx context.Context, r schema.Resource[C]) error {
	return s.docs.Delete(ctx, s.key(r.ID), r.Rev)
}
