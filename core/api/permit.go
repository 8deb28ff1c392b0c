package api

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"berth/core/access"
	"berth/core/resource"
	"berth/schema"
)

// permit is the one place where it is decided whether a caller may make a request.
// It returns the parameters to go on with: the resource they name stands in them by
// its id, and once, so that what was checked is what is worked on.
func (a *API) permit(ctx context.Context, r *Row, raw json.RawMessage) (json.RawMessage, error) {
	if r.Needs == access.Public {
		return raw, nil
	}
	c, ok := access.CallerOf(ctx)
	switch {
	case !ok:
		return nil, schema.Errorf(schema.Unauthenticated, "not signed in")
	case c.Admin:
		return raw, nil
	case c.Scoped() && r.Group == GroupManage && r.Name != "GetUserId":
		return nil, schema.Errorf(schema.Denied, "this API key has scopes: with it nothing can be changed about its user")
	}
	if r.Creates != "" {
		if err := access.Permit(ctx, access.CanCreate, schema.Target{Kind: r.Creates}); err != nil {
			return nil, err
		}
	}
	switch {
	case r.Needs == access.AnyUser || r.Needs == access.CanCreate || r.Filters:
		return raw, nil
	case r.Kind == "" || r.Needs == access.IsAdmin:
		return nil, access.Permit(ctx, access.IsAdmin, schema.Target{})
	}
	return a.permitOn(ctx, r, raw)
}

// permitOn checks a request about one resource.
func (a *API) permitOn(ctx context.Context, r *Row, raw json.RawMessage) (json.RawMessage, error) {
	k, err := a.deps.Kinds.Kind(r.Kind)
	if err != nil {
		return nil, err
	}
	p := r.naming()
	if p == nil {
		return nil, access.Permit(ctx, access.IsAdmin, schema.Target{})
	}
	keys := map[string]json.RawMessage{}
	if err := json.Unmarshal(raw, &keys); err != nil || keys == nil {
		return nil, schema.Errorf(schema.Invalid, "%s: the parameters are not a JSON object", r.Name)
	}
	key := ""
	for _, name := range append([]string{p.Name}, p.Aliases...) {
		var text string
		if v, given := keys[name]; given && key == "" && json.Unmarshal(v, &text) == nil {
			key = text
		}
	}
	if key == "" {
		return nil, of(r.Name, lacking(p.Name, r.Params, keys))
	}
	for name := range keys {
		if strings.EqualFold(name, p.Name) || slices.ContainsFunc(p.Aliases, func(s string) bool { return strings.EqualFold(s, name) }) {
			delete(keys, name)
		}
	}
	t, err := a.permittedAlso(ctx, k, key, r.Needs, r.Also)
	if err != nil {
		return nil, err
	}
	if keys[p.Name], err = json.Marshal(t.ID); err != nil {
		return nil, err
	}
	return json.Marshal(keys)
}

// permitted finds a resource that the caller may do something with.
func (a *API) permitted(ctx context.Context, k resource.Any, key string, needs access.Level) (schema.Target, error) {
	return a.permittedAlso(ctx, k, key, needs, "")
}

// permittedAlso is permitted for what also needs a specific permission, unless that is
// empty. What the caller may not read there is not for him: a name that is taken is
// answered as one that is free, without a hint at names like it.
func (a *API) permittedAlso(ctx context.Context, k resource.Any, key string, needs access.Level, also access.Specific) (schema.Target, error) {
	t, err := k.Find(key)
	c, ok := access.CallerOf(ctx)
	absent := func() error { return schema.Errorf(schema.NotFound, "there is no %s %q", k.Name(), cut(key, 80)) }
	if schema.CodeOf(err) == schema.NotFound && ok && !c.Admin {
		return t, absent()
	}
	if err != nil {
		return t, err
	}
	return t, unseen(ctx, access.PermitAlso(ctx, needs, also, t), t, absent)
}

// unseen returns, in place of the refusal of something about a target that the caller
// may not even read, that there is no such thing. It is recorded as the refusal it is.
func unseen(ctx context.Context, err error, about schema.Target, absent func() error) error {
	if schema.CodeOf(err) != schema.Denied || access.MayRead(ctx, about.Kind, about.ID) {
		return err
	}
	if note, ok := ctx.Value(auditKey{}).(*auditNote); ok {
		note.unseen, note.target = true, about
	}
	return absent()
}

// naming is the parameter that names the resource of the row's kind; nil when there
// is none.
func (r *Row) naming() *Param {
	for _, name := range []string{paramName(r.Kind), r.Kind, "id", "name"} {
		for i := range r.Params {
			if r.Params[i].Name == name {
				return &r.Params[i]
			}
		}
	}
	return nil
}

// readable is the filter of runs that the caller of ctx may see.
func readable(ctx context.Context) func(schema.Target) bool {
	if c, ok := access.CallerOf(ctx); ok && c.Admin {
		return nil
	}
	return func(t schema.Target) bool { return access.MayRead(ctx, t.Kind, t.ID) }
}

// executable returns the targets on which the caller of ctx may execute.
func executable(ctx context.Context, list []schema.Target) []schema.Target {
	return slices.DeleteFunc(slices.Clone(list), func(t schema.Target) bool { return access.Permit(ctx, access.CanExec, t) != nil })
}

// readableResources returns what of a kind's list the caller may read.
func readableResources(ctx context.Context, kind string, list []rawResource) []rawResource {
	return access.Readable(ctx, list, func(r rawResource) schema.Target { return r.Target(kind) })
}

// levelWire is a level as clients read it: a word when there is nothing specific.
func levelWire(l schema.Level) any {
	l = access.RightsOf(l).Level()
	if len(l.Specific) == 0 {
		return l.Level
	}
	return l
}
