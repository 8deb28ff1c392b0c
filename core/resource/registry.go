package resource

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"berth/core/store"
	"berth/schema"
)

// Mask stands for a secret value wherever it is shown. Given back in an update,
// it leaves the secret as it is.
const Mask = "•••"

// Registry is the list of kinds.
type Registry struct {
	o     Options
	kinds []Any
	mu    sync.Mutex // held by every write, so that names stay unique
	guard Guard      // nil for none
}

// Options of a Registry; all are needed.
type Options struct {
	Bucket Documents // bus.BucketResources
	Sealer Sealer
	Now    func() time.Time // the clock of the times stored
	Log    *slog.Logger
}

// Documents is where resources are kept: a bucket of core/store, under <kind>/<id>.
type Documents interface {
	List(prefix string) []store.Doc[json.RawMessage]
	// Changes returns another number after every change.
	Changes() uint64
	Create(ctx context.Context, key string, v json.RawMessage) (store.Doc[json.RawMessage], error)
	Update(ctx context.Context, key string, v json.RawMessage, rev uint64) (store.Doc[json.RawMessage], error)
	Delete(ctx context.Context, key string, rev uint64) error
	Watch(fn func(store.Change[json.RawMessage])) (stop func())
}

// Sealer encrypts secret values before they are stored.
type Sealer interface {
	Seal(plain []byte) (string, error)
	Unseal(text string) ([]byte, error)
}

// NewRegistry makes an empty list.
func NewRegistry(o Options) *Registry { return &Registry{o: o} }

// Watch calls fn for every resource there is, then whenever one is created,
// changed or deleted by any core; stop ends it. fn must not block.
func (g *Registry) Watch(fn func(schema.Change)) (stop func()) {
	return g.o.Bucket.Watch(func(c store.Change[json.RawMessage]) {
		kind, id, _ := strings.Cut(c.Doc.Key, "/")
		fn(schema.Change{Topic: kind, ID: id})
	})
}

// Kinds returns the kinds in the order of their registration, which is the order
// in which plans are applied: what is referred to comes before what refers.
func (g *Registry) Kinds() []Any { return slices.Clone(g.kinds) }

// Kind returns the kind of that name; NotFound.
func (g *Registry) Kind(name string) (Any, error) {
	if k := g.kind(name); k != nil {
		return k, nil
	}
	return nil, schema.Errorf(schema.NotFound, "there is no kind %q: the kinds are %s", name, strings.Join(g.names(), ", "))
}

func (g *Registry) kind(name string) Any {
	for _, k := range g.kinds {
		if k.Name() == name {
			return k
		}
	}
	return nil
}

func (g *Registry) names() []string {
	var out []string
	for _, k := range g.kinds {
		out = append(out, k.Name())
	}
	return out
}

// add appends a kind; the same name twice is a fault of the program.
func (g *Registry) add(k Any) {
	if g.kind(k.Name()) != nil {
		panic(fmt.Sprintf("resource: kind %s registered twice", k.Name()))
	}
	g.kinds = append(g.kinds, k)
}

// resolve returns the id of a stored resource for its name or id. known is false
// for kinds that are not registered: what is given is then kept as it is.
func (g *Registry) resolve(kind, key string) (id string, found, known bool) {
	k := g.kind(kind)
	if k == nil {
		return key, false, false
	}
	t, found := k.lookup(key)
	return t.ID, found, true
}

// nameOf returns what to show for a stored reference: its name, or what is
// stored when nothing has that id (any more).
func (g *Registry) nameOf(kind, id string) string {
	if k := g.kind(kind); k != nil {
		if t, ok := k.lookup(id); ok {
			return t.Name
		}
	}
	return id
}

// referrers lists what refers to a resource, as `stack "web"`.
func (g *Registry) referrers(kind, id string) []string {
	var out []string
	for _, k := range g.kinds {
		for _, h := range k.held() {
			if h.target.ID != id && h.refersTo(kind, id) {
				out = append(out, fmt.Sprintf("%s %q", h.target.Kind, h.target.Name))
			}
		}
	}
	return out
}

// JSONSchema returns the JSON Schema of files, for editors: of the kinds named, or
// of all. With strict, unknown keys are mistakes. NotFound for an unknown kind.
func (g *Registry) JSONSchema(strict bool, kinds ...string) (map[string]any, error) {
	var out []schema.JSONKind
	for _, name := range kinds {
		k, err := g.Kind(name)
		if err != nil {
			return nil, err
		}
		out = append(out, k.jsonKind())
	}
	if len(kinds) == 0 {
		for _, k := range g.kinds {
			out = append(out, k.jsonKind())
		}
	}
	return schema.JSONSchema(out, strict), nil
}
