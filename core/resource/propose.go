package resource

import (
	"context"
	"fmt"
	"slices"

	"berth/schema"
)

// proposed is a declared resource of one kind.
type proposed[C any] struct {
	kind *Kind[C]
	d    *planned
	want schema.Resource[C]
	have *schema.Resource[C] // nil to create
	to   []reference         // of want, once resolved
}

// canonical returns a name as it would be stored, or as it is.
func (k *Kind[C]) canonical(name string) string {
	if n, err := k.rule(name); err == nil {
		return n
	}
	return name
}

func (k *Kind[C]) flatKind() bool { return k.flat }

// propose decodes a declaration and claims its name, unless it is no good.
func (k *Kind[C]) propose(e entry, p *planner) {
	decl, report := schema.DecodeDeclaration(e.tree, k.def(), k.flat)
	for _, w := range report.Warnings {
		p.warn(e, w.Path, "%s", w.Msg)
	}
	for _, x := range report.Errors {
		p.fail(e, x.Path, "%s", x.Msg)
	}
	if len(report.Errors) > 0 {
		return
	}
	name, err := k.rule(decl.Name)
	if err != nil {
		p.fail(e, "name", "%s", schema.SafeText(err))
		return
	}
	if name != decl.Name {
		p.warn(e, "name", "%q is stored as %q", decl.Name, name)
	}
	if decl.Tags, err = tags(decl.Tags); err != nil {
		p.fail(e, "tags", "%s", schema.SafeText(err))
		return
	}
	if (decl.Deploy || len(decl.After) > 0) && !slices.Contains(deployed(), k.name) {
		p.warn(e, "deploy", "deploy and after are of stacks and deployments: without effect")
	}
	x := &proposed[C]{kind: k, want: schema.Resource[C]{
		ID: schema.NewID(), Name: name, Description: decl.Description, Template: decl.Template, Tags: decl.Tags, Config: normal(decl.Config),
	}}
	d := &planned{entry: e, flat: k.flat, deploy: decl.Deploy, after: decl.After, do: x}
	x.d = d
	if r, ok := k.shelf.named(name); ok {
		if err := x.meet(r); err != nil {
			p.fail(e, "", "%s", schema.SafeText(err))
			return
		}
	}
	if at := maskIn(e.tree, ""); at != "" && x.masked() {
		p.offline(e, at, "is the mask of a secret, and nothing is stored that it stands for: write the secret itself, or a [[VARIABLE]]")
	}
	d.target, d.tags = x.want.Target(k.name), x.want.Tags
	p.claim(d)
}

// meet makes the proposal a change of what is stored under its name.
func (x *proposed[C]) meet(r schema.Resource[C]) error {
	have, err := x.kind.opened(r)
	if err != nil {
		return err
	}
	x.have = &have
	x.d.stored, x.d.hadTags = true, have.Tags
	x.want.ID, x.want.Rev, x.want.Created, x.want.Base = have.ID, have.Rev, have.Created, have.Base // files do not say the last
	if x.kind.flat {                                                                                // what such a file cannot say stays
		x.want.Template, x.want.Tags = have.Template, have.Tags
	}
	if b, ok := any(&x.want.Config).(*schema.BuildConfig); ok && b.Version.IsZero() { // none declared does not reset it
		if old, ok := any(have.Config).(schema.BuildConfig); ok {
			b.Version = old.Version
		}
	}
	x.want.Config = restoreIDs(x.want.Config, have.Config, x.kind.reg.nameOf)
	return restoreMasked(&x.want.Config, have.Config, nil)
}

// masked reports whether a secret is still the mask.
func (x *proposed[C]) masked() bool {
	found := false
	_, err := mapSecrets(x.want.Config, func(s string) (string, error) {
		found = found || s == Mask
		return s, nil
	})
	return found || err != nil
}

// maskIn returns the path of the first mask in a declaration, or "".
func maskIn(v any, path string) string {
	switch v := v.(type) {
	case string:
		if v == Mask {
			return path
		}
	case []any:
		for i, item := range v {
			if at := maskIn(item, fmt.Sprintf("%s[%d]", path, i)); at != "" {
				return at
			}
		}
	case map[string]any:
		for key, item := range v {
			if at := maskIn(item, dot(path, key)); at != "" {
				return at
			}
		}
	}
	return ""
}

// normal returns settings in the one form in which they are compared and stored.
func normal[C any](config C) C {
	if n, ok := any(config).(interface{ Normal() C }); ok {
		return n.Normal()
	}
	return config
}

func (x *proposed[C]) settings() any     { return x.want.Config }
func (x *proposed[C]) refs() []reference { return x.to }

func (x *proposed[C]) finish(p *planner, c *Change) {
	if err := x.resolve(p); err != nil {
		p.fail(x.d.entry, "", "%s", schema.SafeText(err))
		return
	}
	if x.kind.doubt != nil {
		for _, w := range x.kind.doubt(x.want.Config) {
			p.warn(x.d.entry, x.d.path(w.Path), "%s", w.Msg)
		}
	}
	before := schema.Resource[C]{Tags: []string{}, Config: x.kind.def()}
	if x.have != nil {
		before = *x.have
		c.Op = OpUnchanged
	}
	fields, err := x.diff(before, p)
	if err != nil {
		p.fail(x.d.entry, "", "%s", schema.SafeText(err))
		return
	}
	c.Fields = fields
	if x.have != nil && len(fields) > 0 {
		c.Op = OpUpdate
	}
	c.Reason = x.reason(p.scope, c.Op, fields)
}

// resolve turns the references into ids.
func (x *proposed[C]) resolve(p *planner) error {
	config := x.want.Config
	if len(refsOf(&config)) > 0 {
		var err error
		if config, err = mapRefs(config, func(r reference) string { return p.reference(x.d, r) }); err != nil {
			return err
		}
		x.want.Config = config
		x.to = refsOf(&config)
	}
	for _, e := range selfErrors(config, x.want.ID) {
		p.fail(x.d.entry, x.d.path(e.Path), "%s", e.Msg)
	}
	return nil
}

func (x *proposed[C]) current() error {
	what := fmt.Sprintf("%s %q", x.kind.name, x.want.Name)
	r, ok := x.kind.shelf.named(x.want.Name)
	if x.have == nil {
		if ok {
			return schema.Errorf(schema.Conflict, "%s was created since the plan was made: plan again", what)
		}
		return nil
	}
	if !ok || r.ID != x.want.ID || r.Rev != x.have.Rev {
		return schema.Errorf(schema.Conflict, "%s was changed since the plan was made: plan again", what)
	}
	return nil
}

func (x *proposed[C]) apply(ctx context.Context) error {
	_, err := x.kind.write(ctx, x.want)
	return err
}

// removal is a stored resource that nothing declares any more.
type removal[C any] struct {
	kind *Kind[C]
	have schema.Resource[C]
	from []reference
}

func (k *Kind[C]) remove(t schema.Target, _ *planner) proposal {
	h := k.shelf.contents().byKey[k.shelf.key(t.ID)]
	if h == nil {
		return nil
	}
	return &removal[C]{kind: k, have: h.r, from: h.refs}
}

func (x *removal[C]) finish(*planner, *Change) {}
func (x *removal[C]) settings() any            { return x.have.Config }
func (x *removal[C]) refs() []reference        { return x.from }

func (x *removal[C]) current() error {
	r, ok := x.kind.shelf.get(x.have.ID)
	if !ok || r.Rev != x.have.Rev {
		return schema.Errorf(schema.Conflict, "%s %q was changed since the plan was made: plan again", x.kind.name, x.have.Name)
	}
	return nil
}

func (x *removal[C]) apply(ctx context.Context) error { return x.kind.drop(ctx, x.have) }
