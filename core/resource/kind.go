package resource

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"berth/schema"
)

// Kind is the typed store of one kind of resource.
type Kind[C any] struct {
	name  string
	reg   *Registry
	shelf *shelf[C]
	def   func() C
	rule  schema.NameRule
	flat  bool
	start map[string]string
	vet   func(ctx context.Context, was *C, now C) error // nil for none
	doubt func(now C) []schema.KeyError                  // nil for none

	fields   []schema.Field
	settings []setting // none of a union
}

// Option changes how a kind behaves.
type Option func(*options)

type options struct {
	rule  schema.NameRule
	flat  bool
	start map[string]string
}

// Named sets the rule of the kind's names; schema.PlainName without it.
func Named(rule schema.NameRule) Option { return func(o *options) { o.rule = rule } }

// Flat says that in files the settings stand beside the name, without config.
func Flat() Option { return func(o *options) { o.flat = true } }

// Starting gives texts to settings of a resource that is created without them by
// hand. In a file what is absent is the default.
func Starting(texts map[string]string) Option { return func(o *options) { o.start = texts } }

// Register adds a kind to the registry: its name, and its settings when none are
// given. It panics when the name is taken.
func Register[C any](g *Registry, name string, def func() C, opts ...Option) *Kind[C] {
	o := options{rule: schema.PlainName}
	for _, opt := range opts {
		opt(&o)
	}
	k := &Kind[C]{name: name, reg: g, shelf: newShelf[C](name, g.o.Bucket, g.o.Log), def: def, rule: o.rule, flat: o.flat, start: o.start}
	k.fields = schema.Fields(def())
	k.settings = settingsOf(reflect.TypeFor[C](), k.fields)
	g.add(k)
	return k
}

// Name returns the kind's name: "stack".
func (k *Kind[C]) Name() string { return k.name }

// Fields returns the kind's settings with their defaults.
func (k *Kind[C]) Fields() []schema.Field { return slices.Clone(k.fields) }

// Get returns the resource of that name or id, with its secrets; NotFound.
func (k *Kind[C]) Get(_ context.Context, key string) (schema.Resource[C], error) {
	r, err := k.sealed(key)
	if err != nil {
		return r, err
	}
	return k.opened(r)
}

// Masked returns the resource of that name or id with secrets masked; NotFound.
func (k *Kind[C]) Masked(key string) (schema.Resource[C], error) {
	r, err := k.sealed(key)
	if err != nil {
		return r, err
	}
	return masked(r)
}

// All returns every resource, sorted by name, with secrets masked.
func (k *Kind[C]) All() ([]schema.Resource[C], error) {
	list := k.shelf.list()
	for i, r := range list {
		m, err := masked(r)
		if err != nil {
			return nil, err
		}
		list[i] = m
	}
	return list, nil
}

// Find returns the id and name of the resource of that name or id; NotFound with
// the nearest name.
func (k *Kind[C]) Find(key string) (schema.Target, error) {
	r, err := k.sealed(key)
	return r.Target(k.name), err
}

// Match returns the resources a pattern selects by name, and of these those that
// have all the tags; sorted by name.
func (k *Kind[C]) Match(pattern string, tags []string) ([]schema.Target, error) {
	p, err := schema.ParsePattern(pattern)
	if err != nil {
		return nil, err
	}
	var out []schema.Target
	for _, r := range k.shelf.list() {
		missing := slices.ContainsFunc(tags, func(t string) bool { return !slices.Contains(r.Tags, t) })
		if p.Match(r.Name) && !missing {
			out = append(out, r.Target(k.name))
		}
	}
	return out, nil
}

// Shown returns settings with other resources by name instead of id, as files
// and people have them. What does not exist any more stays as it is stored.
func (k *Kind[C]) Shown(config C) (C, error) {
	out, err := mapRefs(config, func(r reference) string { return k.reg.nameOf(r.kind, r.value) })
	return byName(out, k.reg.nameOf), err
}

// Put creates a resource, or replaces the one that has its id. It is for Go code
// that has a whole resource from Get or of its own: references are ids, Rev is
// the one it was read at, 0 to create. Name and settings are checked; Conflict
// when the name is taken or somebody changed it since.
func (k *Kind[C]) Put(ctx context.Context, r schema.Resource[C]) (schema.Resource[C], error) {
	k.reg.mu.Lock()
	defer k.reg.mu.Unlock()
	if stored, ok := k.shelf.get(r.ID); ok {
		have, err := k.opened(stored)
		if err != nil {
			return r, err
		}
		if err := restoreMasked(&r.Config, have.Config, nil); err != nil {
			return r, err
		}
	}
	return k.save(ctx, r)
}

// save checks and stores; the caller holds the registry's lock. Secrets of r are
// in clear, and so they are in what it returns.
func (k *Kind[C]) save(ctx context.Context, r schema.Resource[C]) (schema.Resource[C], error) {
	if err := k.admit(&r); err != nil {
		return r, err
	}
	return k.write(ctx, r)
}

// admit makes what is about to be saved canonical, or refuses it.
func (k *Kind[C]) admit(r *schema.Resource[C]) error {
	name, err := k.rule(r.Name)
	if err != nil {
		return err
	}
	r.Name = name
	if other, ok := k.shelf.named(name); ok && other.ID != r.ID {
		return schema.Errorf(schema.Conflict, "there is a %s %q already: choose another name", k.name, name)
	}
	if r.Tags, err = tags(r.Tags); err != nil {
		return err
	}
	r.Config = normal(r.Config)
	if c, ok := any(r.Config).(schema.Checker); ok {
		if err := c.Check().Err(); err != nil {
			return err
		}
	}
	return nil
}

// tags refuses empty tags and drops repeated ones.
func tags(in []string) ([]string, error) {
	out := []string{}
	for _, t := range in {
		t = strings.TrimSpace(t)
		if t == "" {
			return nil, schema.Errorf(schema.Invalid, "a tag is empty")
		}
		if !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	return out, nil
}

// write seals and stores what has been admitted.
func (k *Kind[C]) write(ctx context.Context, r schema.Resource[C]) (schema.Resource[C], error) {
	r.Updated = k.reg.o.Now().UnixMilli()
	if r.ID == "" {
		r.ID = schema.NewID()
	}
	if r.Rev == 0 {
		r.Created = r.Updated
	}
	doc, err := k.sealedCopy(r)
	if err != nil {
		return r, err
	}
	if r.Rev, err = k.shelf.put(ctx, doc); err != nil {
		return r, schema.Wrap(schema.CodeOf(err), err, "save %s %q", k.name, r.Name)
	}
	return r, nil
}

// sealed finds a resource by id, else by name, as stored.
func (k *Kind[C]) sealed(key string) (schema.Resource[C], error) {
	if r, ok := k.search(key); ok {
		return r, nil
	}
	var names []string
	for _, r := range k.shelf.list() {
		names = append(names, r.Name)
	}
	hint := ""
	if near := schema.Nearest(key, names); near != "" {
		hint = fmt.Sprintf(": did you mean %q?", near)
	}
	return schema.Resource[C]{}, schema.Errorf(schema.NotFound, "there is no %s %q%s", k.name, key, hint)
}

// search finds a resource by id, else by name as given or as it would be stored.
func (k *Kind[C]) search(key string) (schema.Resource[C], bool) {
	if schema.IsID(key) {
		if r, ok := k.shelf.get(key); ok {
			return r, true
		}
	}
	if r, ok := k.shelf.named(key); ok {
		return r, true
	}
	if name, err := k.rule(key); err == nil && name != key { // "My Stack" is stored as my_stack
		return k.shelf.named(name)
	}
	return schema.Resource[C]{}, false
}

// lookup is Find without a hint.
func (k *Kind[C]) lookup(key string) (schema.Target, bool) {
	r, ok := k.search(key)
	return r.Target(k.name), ok
}

// held returns what is stored of the kind, as plans look at it.
func (k *Kind[C]) held() []stored {
	all := k.shelf.contents().sorted
	out := make([]stored, len(all))
	for i, h := range all {
		out[i] = stored{target: h.r.Target(k.name), tags: h.r.Tags, refs: h.refs, config: h.r.Config}
	}
	return out
}

// stored is a resource that is there, whatever its kind. Nobody writes into it.
type stored struct {
	target schema.Target
	tags   []string
	refs   []reference
	config any // with sealed secrets
}

func (s stored) refersTo(kind, id string) bool {
	return slices.ContainsFunc(s.refs, func(r reference) bool { return r.kind == kind && r.value == id })
}

func (k *Kind[C]) jsonKind() schema.JSONKind { return schema.JSONKindOf(k.name, k.def(), k.flat) }
