package resource

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"berth/core/access"
	"berth/schema"
)

// Any is a Kind with the type of its settings erased to JSON: what API, UI and
// command line loop over. Resources come as schema.Resource's JSON with secrets
// masked; key is a name or an id everywhere.
//
//nolint:interfacebloat // the one deliberately wide interface: a kind as a whole
type Any interface {
	Name() string
	Fields() []schema.Field
	// Find returns the id and name; NotFound with the nearest name.
	Find(key string) (schema.Target, error)
	// Match returns what a pattern selects by name and, if given, by tags.
	Match(pattern string, tags []string) ([]schema.Target, error)
	List(ctx context.Context) ([]json.RawMessage, error)
	// Raw is List with only the settings as JSON, which all callers share: nobody
	// writes to them.
	Raw() ([]schema.Resource[json.RawMessage], error)
	Show(ctx context.Context, key string) (json.RawMessage, error)
	// Create makes a resource; settings that are not given have their default.
	Create(ctx context.Context, name string, config []byte) (json.RawMessage, error)
	// Update sets the settings that patch names and leaves the others.
	Update(ctx context.Context, key string, patch []byte) (json.RawMessage, error)
	// Describe changes what is not a setting.
	Describe(ctx context.Context, key string, m Meta) (json.RawMessage, error)
	// Delete removes a resource; Conflict while others refer to it.
	Delete(ctx context.Context, key string) error
	Rename(ctx context.Context, key, to string) (json.RawMessage, error)
	// Copy makes a new resource with the same settings; it is not a template.
	Copy(ctx context.Context, key, to string) (json.RawMessage, error)

	lookup(key string) (schema.Target, bool)
	thing(id string) (access.Thing, bool)
	held() []stored
	flatKind() bool
	canonical(name string) string
	export(id string, secrets bool) (exported, error)
	jsonKind() schema.JSONKind
	propose(e entry, p *planner)
	remove(t schema.Target, p *planner) proposal
}

// Meta changes what is not a setting; nil leaves it.
type Meta struct {
	Description *string       `json:"description"`
	Template    *bool         `json:"template"`
	Tags        *[]string     `json:"tags"`
	Base        *schema.Level `json:"base_permission"` // what every user may do with it
}

// List returns every resource, sorted by name.
func (k *Kind[C]) List(context.Context) ([]json.RawMessage, error) {
	list, err := k.All()
	if err != nil {
		return nil, err
	}
	out := make([]json.RawMessage, len(list))
	for i, r := range list {
		if out[i], err = json.Marshal(r); err != nil {
			return nil, fmt.Errorf("write %s %q: %w", k.name, r.Name, err)
		}
	}
	return out, nil
}

// Raw returns every resource with its settings as JSON, sorted by name.
func (k *Kind[C]) Raw() ([]schema.Resource[json.RawMessage], error) {
	all := k.shelf.contents().sorted
	out := make([]schema.Resource[json.RawMessage], len(all))
	for i, h := range all {
		var err error
		if out[i], err = h.raw(); err != nil {
			return nil, fmt.Errorf("write %s %q: %w", k.name, h.r.Name, err)
		}
	}
	return out, nil
}

// Show returns the resource of that name or id.
func (k *Kind[C]) Show(_ context.Context, key string) (json.RawMessage, error) {
	r, err := k.Masked(key)
	if err != nil {
		return nil, err
	}
	return json.Marshal(r)
}

// Create makes a resource of the default settings and those given.
func (k *Kind[C]) Create(ctx context.Context, name string, config []byte) (json.RawMessage, error) {
	build := func() (schema.Resource[C], error) {
		r := schema.Resource[C]{ID: schema.NewID(), Name: name, Tags: []string{}, Config: k.def()}
		return r, k.merge(ctx, &r, k.started(config))
	}
	if err := k.vetted(ctx, "", build); err != nil {
		return nil, err
	}
	return k.create(ctx, build)
}

// create saves a new resource that somebody makes, who gets his rights on it first:
// nobody is ever without them.
func (k *Kind[C]) create(ctx context.Context, build func() (schema.Resource[C], error)) (json.RawMessage, error) {
	return k.change(ctx, func() (schema.Resource[C], error) {
		r, err := build()
		if err == nil {
			err = k.referring(ctx, nil, &r.Config)
		}
		if err == nil {
			err = k.admit(&r)
		}
		if err == nil && k.reg.guard != nil {
			err = k.reg.guard.Created(ctx, r.Target(k.name))
		}
		return r, err
	})
}

// started adds to the settings of a new resource what it starts with.
func (k *Kind[C]) started(config []byte) []byte {
	given := map[string]json.RawMessage{}
	if len(k.start) == 0 || len(config) > 0 && json.Unmarshal(config, &given) != nil {
		return config // merge refuses what is no object
	}
	for name, text := range k.start {
		if _, ok := given[name]; ok || given == nil {
			continue
		}
		given[name], _ = json.Marshal(text)
	}
	out, err := json.Marshal(given)
	if err != nil {
		return config
	}
	return out
}

// Update sets the settings that patch names.
func (k *Kind[C]) Update(ctx context.Context, key string, patch []byte) (json.RawMessage, error) {
	merge := func(r *schema.Resource[C]) error {
		was, err := clone(r.Config)
		if err != nil {
			return err
		}
		if err := k.merge(ctx, r, patch); err != nil {
			return err
		}
		return k.referring(ctx, &was, &r.Config)
	}
	if err := k.vetted(ctx, key, k.edited(ctx, key, merge)); err != nil {
		return nil, err
	}
	return k.edit(ctx, key, merge)
}

// Describe changes description, template and tags.
func (k *Kind[C]) Describe(ctx context.Context, key string, m Meta) (json.RawMessage, error) {
	return k.edit(ctx, key, k.known(ctx, func(r *schema.Resource[C]) error {
		if m.Description != nil {
			r.Description = *m.Description
		}
		if m.Template != nil {
			r.Template = *m.Template
		}
		if m.Tags != nil {
			r.Tags = slices.Clone(*m.Tags)
		}
		if m.Base != nil {
			r.Base = *m.Base
			if r.Base.Level == "None" && len(r.Base.Specific) == 0 {
				r.Base = schema.Level{} // the default is not stored
			}
		}
		return nil
	}))
}

// Rename gives a resource another name; what refers to it still does.
func (k *Kind[C]) Rename(ctx context.Context, key, to string) (json.RawMessage, error) {
	return k.edit(ctx, key, k.known(ctx, func(r *schema.Resource[C]) error {
		r.Name = to
		return nil
	}))
}

// known is a change of that by which groups know a resource, its name and its tags:
// nobody gets rights by it.
func (k *Kind[C]) known(ctx context.Context, change func(*schema.Resource[C]) error) func(*schema.Resource[C]) error {
	return func(r *schema.Resource[C]) error {
		was := k.thingOf(*r, refsOf(&r.Config))
		if err := change(r); err != nil {
			return err
		}
		return access.Gains(ctx, was, k.thingOf(*r, refsOf(&r.Config)))
	}
}

// Copy makes a new resource with the settings of another.
func (k *Kind[C]) Copy(ctx context.Context, key, to string) (json.RawMessage, error) {
	return k.create(ctx, func() (schema.Resource[C], error) {
		r, err := k.Get(ctx, key)
		r.ID, r.Rev, r.Name, r.Template, r.Base = schema.NewID(), 0, to, false, schema.Level{}
		return r, err
	})
}

// Delete removes a resource that nothing refers to.
func (k *Kind[C]) Delete(ctx context.Context, key string) error {
	k.reg.mu.Lock()
	defer k.reg.mu.Unlock()
	r, err := k.sealed(key)
	if err != nil {
		return err
	}
	return k.drop(ctx, r)
}

// drop removes a resource that nothing refers to; the caller holds the registry's
// lock.
func (k *Kind[C]) drop(ctx context.Context, r schema.Resource[C]) error {
	if users := k.reg.referrers(k.name, r.ID); len(users) > 0 {
		return schema.Errorf(schema.Conflict, "%s %q is used by %s: change or delete that first", k.name, r.Name, strings.Join(users, ", "))
	}
	err := k.shelf.remove(ctx, r)
	if err == nil && k.reg.guard != nil {
		err = k.reg.guard.Deleted(ctx, r.Target(k.name))
	}
	return schema.Wrap(schema.CodeOf(err), err, "delete %s %q", k.name, r.Name)
}

// edit changes a stored resource.
func (k *Kind[C]) edit(ctx context.Context, key string, f func(*schema.Resource[C]) error) (json.RawMessage, error) {
	return k.change(ctx, k.edited(ctx, key, f))
}

// edited makes the resource as it will be.
func (k *Kind[C]) edited(ctx context.Context, key string, f func(*schema.Resource[C]) error) func() (schema.Resource[C], error) {
	return func() (schema.Resource[C], error) {
		r, err := k.Get(ctx, key)
		if err != nil {
			return r, err
		}
		if r.Config, err = clone(r.Config); err != nil {
			return r, err
		}
		return r, f(&r)
	}
}

// change saves what build returns, under the registry's lock.
func (k *Kind[C]) change(ctx context.Context, build func() (schema.Resource[C], error)) (json.RawMessage, error) {
	k.reg.mu.Lock()
	defer k.reg.mu.Unlock()
	r, err := build()
	if err != nil {
		return nil, err
	}
	if r, err = k.save(ctx, r); err != nil {
		return nil, err
	}
	if r, err = masked(r); err != nil {
		return nil, err
	}
	return json.Marshal(r)
}

// merge sets the settings that patch names, each decoded into a fresh value.
// Unknown keys are refused; resources may be given by name; a secret given as the
// mask stays.
func (k *Kind[C]) merge(ctx context.Context, r *schema.Resource[C], patch []byte) error {
	if len(patch) == 0 {
		patch = []byte("{}")
	}
	tree, err := schema.ReadJSON(patch)
	if err != nil {
		return err
	}
	keep := r.Config
	if err := schema.Decode(tree, &r.Config).Strict().Err(); err != nil {
		return err
	}
	named := schema.Declared[C](tree)
	if err := restoreMasked(&r.Config, keep, func(s string) bool { return slices.Contains(named, s) }); err != nil {
		return err
	}
	var report schema.Report
	r.Config, err = mapRefs(r.Config, func(x reference) string {
		if !slices.Contains(named, x.top()) {
			return x.value
		}
		id, found, known := k.reg.resolve(x.kind, x.value)
		if found && !refersTo(&keep, x.kind, id) && !access.MayKnow(ctx, x.kind, id) {
			id, found = x.value, false // as if there were none
		}
		if known && !found {
			report.Errors = append(report.Errors, schema.KeyError{Path: x.path, Msg: fmt.Sprintf("there is no %s %q", x.kind, x.value)})
		}
		return id
	})
	if err != nil {
		return err
	}
	report.Errors = append(report.Errors, selfErrors(r.Config, r.ID)...)
	return report.Err()
}

// selfErrors finds what a resource may not do to itself.
func selfErrors[C any](config C, id string) []schema.KeyError {
	c, ok := any(config).(interface{ CheckSelf(id string) schema.Report })
	if !ok {
		return nil
	}
	return c.CheckSelf(id).Errors
}
