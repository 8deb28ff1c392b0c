package resource

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"berth/schema"
)

// planner is a plan in the making.
type planner struct {
	reg      *Registry
	scope    Scope
	issues   []Issue
	declared []*planned                     // in the order of the kinds, then of the files
	names    map[string]map[string]*planned // kind → canonical name
	ids      map[string]*planned            // kind/id
	held     map[string][]stored            // what is stored, by kind
	outside  []Change
	count    int
}

// planned is a resource that the files declare.
type planned struct {
	target  schema.Target
	entry   entry
	flat    bool
	tags    []string
	hadTags []string // of the stored one
	stored  bool
	deploy  bool
	after   []string
	left    string // why the scope leaves it alone; "" when it is in scope
	do      proposal
}

func (d *planned) at() string { return fmt.Sprintf("%s:%d", d.entry.doc.name, d.entry.line()) }

// proposal is what is to happen to one resource, on its way into the store.
type proposal interface {
	// finish resolves references, compares with what is stored and completes c.
	finish(p *planner, c *Change)
	// settings returns the settings once applied, refs what they refer to, by id.
	settings() any
	refs() []reference
	// current refuses, as Conflict, what somebody changed since.
	current() error
	apply(ctx context.Context) error
}

// step is a change with what does it.
type step struct {
	Change
	do    proposal
	from  *planned // nil of a delete
	needs []schema.Target
}

// Plan says what applying the files would do, and changes nothing. A declaration
// is the whole state: a setting that is not given is reset to its default; what
// is not declared is left alone. Mistakes are in the plan's issues; an error is a
// failure to look.
func (g *Registry) Plan(ctx context.Context, files []File) (Plan, error) {
	return g.PlanScope(ctx, files, Scope{})
}

// PlanScope is Plan about what is in scope. Everything in the files is read and
// checked, and may be referred to when it is stored already.
func (g *Registry) PlanScope(ctx context.Context, files []File, s Scope) (Plan, error) {
	p := &planner{reg: g, scope: s, names: map[string]map[string]*planned{}, ids: map[string]*planned{}, held: map[string][]stored{}}
	byKind := map[string][]entry{}
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return Plan{}, err
		}
		entries, issues := g.parse(f)
		p.issues = append(p.issues, issues...)
		for _, e := range entries {
			byKind[e.kind] = append(byKind[e.kind], e)
		}
	}
	for _, k := range g.kinds {
		for _, e := range byKind[k.Name()] {
			k.propose(e, p)
		}
		p.held[k.Name()] = k.held()
	}
	return p.plan(files), nil
}

// plan makes the plan of what has been declared.
func (p *planner) plan(files []File) Plan {
	steps := p.compare()
	if p.scope.Delete && !p.failed() {
		steps = append(steps, p.deletions(steps)...)
	}
	p.checkChosen(steps)
	p.checkCycles()
	out := Plan{Changes: []Change{}, Outside: p.outside, Issues: p.issues, Stored: p.count}
	out.steps = p.ordered(steps)
	for _, st := range out.steps {
		out.Changes = append(out.Changes, st.Change)
	}
	order := map[string]int{}
	for i, f := range files {
		order[f.Name] = i
	}
	slices.SortStableFunc(out.Issues, func(a, b Issue) int {
		return cmp.Or(cmp.Compare(order[a.File], order[b.File]), cmp.Compare(a.Line, b.Line))
	})
	return out
}

// compare makes a step of every declared resource that is in scope.
func (p *planner) compare() []*step {
	for _, d := range p.declared {
		d.left = p.scope.leaves(d)
	}
	var steps []*step
	for _, d := range p.declared {
		c := Change{
			Kind: d.target.Kind, Name: d.target.Name, ID: d.target.ID, Op: OpCreate, Deploy: d.deploy,
			Fields: []FieldChange{}, File: d.entry.doc.name, Line: d.entry.line(),
		}
		if d.left != "" {
			c.Op, c.Reason = OpUnchanged, "left alone: "+d.left
			p.outside = append(p.outside, c)
			continue
		}
		if d.stored {
			p.count++
		}
		c.After = p.after(d)
		d.do.finish(p, &c)
		steps = append(steps, &step{Change: c, do: d.do, from: d})
	}
	return steps
}

// deletions makes a step of everything in scope that is stored and not declared.
func (p *planner) deletions(kept []*step) []*step {
	var out []*step
	for _, k := range p.reg.kinds {
		for _, h := range p.held[k.Name()] {
			if p.ids[h.target.Kind+"/"+h.target.ID] != nil {
				continue
			}
			reason, inside := p.scope.keeps(h, k.flatKind())
			if !inside {
				continue
			}
			p.count++
			c := Change{Kind: k.Name(), Name: h.target.Name, ID: h.target.ID, Op: OpDelete, Reason: "not declared any more", Fields: []FieldChange{}}
			if reason != "" {
				c.Op, c.Reason = OpUnchanged, reason
				p.outside = append(p.outside, c)
				continue
			}
			if do := k.remove(h.target, p); do != nil {
				out = append(out, &step{Change: c, do: do})
			}
		}
	}
	if len(kept) == 0 && len(out) > 0 {
		p.issues = append(p.issues, Issue{Text: fmt.Sprintf(
			"nothing that is in scope is declared, and %d resources would be deleted: an empty source deletes nothing; delete them by hand, or look whether the source is the right one", len(out))})
		return nil
	}
	p.checkReferrers(kept, out)
	return out
}

// checkReferrers refuses deletes of what something else refers to afterwards.
func (p *planner) checkReferrers(kept, deleted []*step) {
	gone := map[string]*step{}
	for _, st := range deleted {
		gone[st.Kind+"/"+st.ID] = st
	}
	for _, st := range kept {
		for _, r := range st.do.refs() {
			if g := gone[r.kind+"/"+r.value]; g != nil {
				p.fail(st.from.entry, st.from.path(r.path), "%s %q is stored but not declared any more and would be deleted: declare it, or do not refer to it", g.Kind, g.Name)
			}
		}
	}
	p.checkOutside(kept, gone)
}

// checkOutside refuses deletes of what something that is not in scope refers to.
func (p *planner) checkOutside(kept []*step, gone map[string]*step) {
	planned := map[string]bool{}
	for _, st := range kept {
		planned[st.Kind+"/"+st.ID] = true
	}
	for _, k := range p.reg.kinds {
		for _, h := range p.held[k.Name()] {
			key := k.Name() + "/" + h.target.ID
			if planned[key] || gone[key] != nil {
				continue
			}
			for _, r := range h.refs {
				if g := gone[r.kind+"/"+r.value]; g != nil {
					p.issues = append(p.issues, Issue{Key: g.Kind + "." + g.Name, Text: fmt.Sprintf(
						"is not declared any more and would be deleted, but %s %q, which is not in scope%s, refers to it at %s: change that first, or declare this", k.Name(), h.target.Name, p.scope.of(), r.path)})
				}
			}
		}
	}
}

// checkChosen refuses a choice of what is neither declared nor stored.
func (p *planner) checkChosen(steps []*step) {
	for _, o := range p.scope.Only {
		found := slices.ContainsFunc(steps, func(st *step) bool { return names(o, st.Target()) }) ||
			slices.ContainsFunc(p.declared, func(d *planned) bool { return names(o, d.target) }) ||
			slices.ContainsFunc(p.held[o.Kind], func(h stored) bool { return names(o, h.target) })
		if !found {
			key := cmp.Or(o.Name, o.ID)
			p.issues = append(p.issues, Issue{Text: fmt.Sprintf("there is no %s %q, declared or stored%s", o.Kind, key, p.near(o.Kind, key))})
		}
	}
}

func (p *planner) failed() bool {
	return slices.ContainsFunc(p.issues, func(i Issue) bool { return !i.Warning })
}

// claim notes a declared resource; it refuses one that is declared twice.
func (p *planner) claim(d *planned) bool {
	t := d.target
	if first := p.names[t.Kind][t.Name]; first != nil {
		p.fail(d.entry, "name", "there is a %s %q already at %s", t.Kind, t.Name, first.at())
		return false
	}
	if p.names[t.Kind] == nil {
		p.names[t.Kind] = map[string]*planned{}
	}
	p.names[t.Kind][t.Name], p.ids[t.Kind+"/"+t.ID] = d, d
	p.declared = append(p.declared, d)
	return true
}

func (p *planner) fail(e entry, key, format string, args ...any) {
	p.issues = append(p.issues, e.issue(key, fmt.Sprintf(format, args...), false))
}

func (p *planner) warn(e entry, key, format string, args ...any) {
	p.issues = append(p.issues, e.issue(key, fmt.Sprintf(format, args...), true))
}

// offline is a mistake, or a warning when the plan does not know what is stored.
func (p *planner) offline(e entry, key, format string, args ...any) {
	p.issues = append(p.issues, e.issue(key, fmt.Sprintf(format, args...), p.scope.Loose))
}

// looked says where something was looked for and not found, when that was not
// everywhere.
func (p *planner) looked() string {
	if p.scope.Loose {
		return " in these files"
	}
	return ""
}

// path is where a setting stands in the declaration.
func (d *planned) path(setting string) string {
	if d.flat {
		return setting
	}
	return dot("config", setting)
}
