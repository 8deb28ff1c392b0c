package resource

import (
	"fmt"
	"slices"

	"berth/schema"
)

// find returns what is declared under a name or id; nil when nothing is.
func (p *planner) find(kind, key string) *planned {
	if d := p.names[kind][key]; d != nil {
		return d
	}
	return p.ids[kind+"/"+key]
}

// resolve finds the id for a name or id among what is declared and stored. from is
// what is declared of it, if anything.
func (p *planner) resolve(kind, key string) (id string, from *planned, found bool) {
	if d := p.find(kind, key); d != nil {
		return d.target.ID, d, true
	}
	id, found, known := p.reg.resolve(kind, key)
	if known && !found {
		if d := p.names[kind][p.reg.kind(kind).canonical(key)]; d != nil {
			return d.target.ID, d, true
		}
	}
	return id, p.ids[kind+"/"+id], found
}

// reference resolves one reference of a declaration, and says when it leads nowhere.
func (p *planner) reference(d *planned, r reference) string {
	id, from, found := p.resolve(r.kind, r.value)
	at := d.path(r.path)
	switch {
	case p.reg.kind(r.kind) == nil:
		p.warn(d.entry, at, "resources of kind %s are not supported yet: %q is kept, but leads nowhere", r.kind, r.value)
	case !found:
		p.offline(d.entry, at, "there is no %s %q%s%s", r.kind, r.value, p.looked(), p.near(r.kind, r.value))
	case from != nil && from.left != "" && !from.stored:
		p.fail(d.entry, at, "%s %q does not exist yet, and this would not create it: %s", r.kind, r.value, from.left)
	}
	return id
}

// after resolves what a declaration wants deployed first: a stack or a deployment
// of that name, or both when there are both.
func (p *planner) after(d *planned) []schema.Target {
	var out []schema.Target
	for _, name := range d.after {
		found := false
		for _, kind := range deployed() {
			id, _, ok := p.resolve(kind, name)
			if !ok {
				continue
			}
			found = true
			if t := (schema.Target{Kind: kind, ID: id, Name: p.nameOf(kind, id)}); !slices.Contains(out, t) {
				out = append(out, t)
			}
		}
		if !found {
			p.offline(d.entry, "after", "there is no stack and no deployment %q%s%s", name, p.looked(), p.near("stack", name, "deployment"))
		}
	}
	return out
}

// deployed are the kinds that a sync deploys.
func deployed() []string { return []string{"stack", "deployment"} }

// nameOf returns the name to show for an id.
func (p *planner) nameOf(kind, id string) string {
	if d := p.ids[kind+"/"+id]; d != nil {
		return d.target.Name
	}
	return p.reg.nameOf(kind, id)
}

// near returns a hint at the name that was probably meant.
func (p *planner) near(kind, key string, more ...string) string {
	var all []string
	for _, kind := range append([]string{kind}, more...) {
		for n := range p.names[kind] {
			all = append(all, n)
		}
		if k := p.reg.kind(kind); k != nil {
			for _, h := range k.held() {
				all = append(all, h.target.Name)
			}
		}
	}
	slices.Sort(all)
	if n := schema.Nearest(key, slices.Compact(all)); n != "" {
		return fmt.Sprintf(": did you mean %q?", n)
	}
	return ""
}
