package resource

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"berth/schema"
)

// proposed is a declared resource of one kind.
type proposed[C any] struct {
	kind   *Kind[C]
	entry  entry
	want   schema.Resource[C]
	have   *schema.Resource[C] // nil to create
	deploy bool
}

// canonical returns a name as it would be stored, or as it is.
func (k *Kind[C]) canonical(name string) string {
	if n, err := k.rule(name); err == nil {
		return n
	}
	return name
}

// propose decodes a declaration and claims its name; nil when it is no good.
func (k *Kind[C]) propose(e entry, p *planner) proposal {
	d, report := schema.DecodeDeclaration(e.tree, k.def(), k.flat)
	for _, w := range report.Warnings {
		p.warn(e, w.Path, "%s", w.Msg)
	}
	for _, x := range report.Errors {
		p.fail(e, x.Path, "%s", x.Msg)
	}
	if len(report.Errors) > 0 {
		return nil
	}
	name, err := k.rule(d.Name)
	if err != nil {
		p.fail(e, "name", "%s", schema.SafeText(err))
		return nil
	}
	if name != d.Name {
		p.warn(e, "name", "%q is stored as %q", d.Name, name)
	}
	if d.Tags, err = tags(d.Tags); err != nil {
		p.fail(e, "tags", "%s", schema.SafeText(err))
		return nil
	}
	x := &proposed[C]{kind: k, entry: e, deploy: d.Deploy, want: schema.Resource[C]{
		ID: schema.NewID(), Name: name, Description: d.Description, Template: d.Template, Tags: d.Tags, Config: d.Config,
	}}
	for _, r := range k.shelf.list() {
		if r.Name != name {
			continue
		}
		have, err := k.opened(r)
		if err != nil {
			p.fail(e, "", "%s", schema.SafeText(err))
			return nil
		}
		x.have = &have
		x.want.ID, x.want.Rev, x.want.Created = have.ID, have.Rev, have.Created
		if k.flat { // what such a file cannot say stays
			x.want.Template, x.want.Tags = have.Template, have.Tags
		}
		if err := restoreMasked(&x.want.Config, have.Config, nil); err != nil {
			p.fail(e, "", "%s", schema.SafeText(err))
			return nil
		}
	}
	if !p.claim(k.name, name, x.want.ID, e) {
		return nil
	}
	return x
}

func (x *proposed[C]) finish(p *planner) Change {
	c := Change{
		Kind: x.kind.name, Name: x.want.Name, ID: x.want.ID, Op: OpCreate, Deploy: x.deploy,
		Fields: []FieldChange{}, File: x.entry.doc.name, Line: x.entry.doc.line(x.entry.path),
	}
	if err := x.resolve(p); err != nil {
		p.fail(x.entry, "", "%s", schema.SafeText(err))
		return c
	}
	before := schema.Resource[C]{Tags: []string{}, Config: x.kind.def()}
	if x.have != nil {
		before = *x.have
		c.Op = OpUnchanged
	}
	fields, err := x.diff(before, p)
	if err != nil {
		p.fail(x.entry, "", "%s", schema.SafeText(err))
		return c
	}
	c.Fields = fields
	if x.have != nil && len(fields) > 0 {
		c.Op = OpUpdate
	}
	return c
}

// resolve turns the references into ids.
func (x *proposed[C]) resolve(p *planner) error {
	at := "config"
	if x.kind.flat {
		at = ""
	}
	config, err := mapRefs(x.want.Config, func(r reference) string {
		id, found, known := p.resolve(r.kind, r.value)
		switch {
		case !known:
			p.warn(x.entry, dot(at, r.path), "resources of kind %s are not supported yet: %q is kept, but leads nowhere", r.kind, r.value)
		case !found:
			p.fail(x.entry, dot(at, r.path), "there is no %s %q%s", r.kind, r.value, p.near(r.kind, r.value))
		}
		return id
	})
	x.want.Config = config
	for _, e := range selfErrors(config, x.want.ID) {
		p.fail(x.entry, dot(at, e.Path), "%s", e.Msg)
	}
	return err
}

// diff compares with what is stored, setting by setting.
func (x *proposed[C]) diff(before schema.Resource[C], p *planner) ([]FieldChange, error) {
	out := []FieldChange{}
	add := func(key string, old, now any) {
		a, b := jsonOf(old), jsonOf(now)
		if !bytes.Equal(a, b) {
			out = append(out, FieldChange{Key: key, Old: text(a), New: text(b)})
		}
	}
	add("description", before.Description, x.want.Description)
	add("template", before.Template, x.want.Template)
	add("tags", before.Tags, x.want.Tags)
	old, shownOld, err := settings(before.Config, p)
	if err != nil {
		return nil, err
	}
	now, shownNow, err := settings(x.want.Config, p)
	if err != nil {
		return nil, err
	}
	for _, f := range x.kind.Fields() {
		if !bytes.Equal(old[f.Name], now[f.Name]) {
			out = append(out, FieldChange{Key: f.Name, Old: text(shownOld[f.Name]), New: text(shownNow[f.Name])})
		}
	}
	return out, nil
}

// settings returns each setting as it is compared and as it is shown.
func settings[C any](config C, p *planner) (exact, shown map[string]json.RawMessage, err error) {
	if err := json.Unmarshal(jsonOf(config), &exact); err != nil {
		return nil, nil, fmt.Errorf("read settings: %w", err)
	}
	display, err := mapRefs(config, func(r reference) string { return p.nameOf(r.kind, r.value) })
	if err != nil {
		return nil, nil, err
	}
	if display, err = mapSecrets(display, func(string) (string, error) { return Mask, nil }); err != nil {
		return nil, nil, err
	}
	if err := json.Unmarshal(jsonOf(display), &shown); err != nil {
		return nil, nil, fmt.Errorf("read settings: %w", err)
	}
	return exact, shown, nil
}

// jsonOf writes plain data, which cannot fail.
func jsonOf(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return json.RawMessage("null")
	}
	return b
}

func (x *proposed[C]) current() error {
	what := fmt.Sprintf("%s %q", x.kind.name, x.want.Name)
	if x.have == nil {
		for _, r := range x.kind.shelf.list() {
			if r.Name == x.want.Name {
				return schema.Errorf(schema.Conflict, "%s was created since the plan was made: plan again", what)
			}
		}
		return nil
	}
	d, ok := x.kind.shelf.get(x.want.ID)
	if !ok || d.Rev != x.have.Rev {
		return schema.Errorf(schema.Conflict, "%s was changed since the plan was made: plan again", what)
	}
	return nil
}

func (x *proposed[C]) apply(ctx context.Context) error {
	_, err := x.kind.write(ctx, x.want)
	return err
}
