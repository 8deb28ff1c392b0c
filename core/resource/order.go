package resource

import (
	"fmt"
	"slices"
	"strings"

	"berth/schema"
)

// ordered puts steps into the order in which they are applied: what is referred
// to or deployed first comes before what refers to it; deletes come after
// everything that drops a reference, what refers before what it refers to; the
// scope's own sync comes last. Otherwise the order of kinds and files stays.
func (p *planner) ordered(steps []*step) []*step {
	var self *step
	var kept, deleted []*step
	for _, st := range steps {
		switch {
		case st.Op == OpDelete:
			deleted = append(deleted, st)
		case p.scope.isSelf(st.Target()):
			self = st
		default:
			kept = append(kept, st)
		}
	}
	out := walkOrder(kept, func(st *step) []string {
		needs := keysOf(st.do.refs())
		for _, t := range st.After {
			needs = append(needs, t.Kind+"/"+t.ID)
		}
		return needs
	})
	gone := walkOrder(deleted, func(st *step) []string { return keysOf(st.do.refs()) })
	slices.Reverse(gone)
	out = append(out, gone...)
	if self != nil {
		out = append(out, self)
	}
	return out
}

func keysOf(refs []reference) []string {
	out := make([]string, len(refs))
	for i, r := range refs {
		out[i] = r.kind + "/" + r.value
	}
	return out
}

// walkOrder sorts steps so that each comes after what it needs. What needs each
// other in turn, such as an alerter that names a procedure that calls it, keeps
// the order it has: a reference is only an id. It notes what a step needs that is
// created before it.
func walkOrder(steps []*step, needs func(*step) []string) []*step {
	byKey := make(map[string]*step, len(steps))
	for _, st := range steps {
		byKey[st.Kind+"/"+st.ID] = st
	}
	out := make([]*step, 0, len(steps))
	begun, done := map[*step]bool{}, map[*step]bool{}
	var visit func(st *step)
	visit = func(st *step) {
		begun[st] = true
		for _, key := range needs(st) {
			n := byKey[key]
			if n == nil || n == st {
				continue
			}
			if !begun[n] {
				visit(n)
			}
			if done[n] && n.Op == OpCreate {
				st.needs = append(st.needs, n.Target())
			}
		}
		done[st] = true
		out = append(out, st)
	}
	for _, st := range steps {
		if !begun[st] {
			visit(st)
		}
	}
	return out
}

// link is a thing in a graph that must have no cycle.
type link struct {
	target schema.Target
	from   *planned // nil of what is only stored
	next   []schema.Target
}

// checkCycles refuses what would wait for itself: stacks and deployments by
// after, procedures by running each other.
func (p *planner) checkCycles() {
	var afters, runs []link
	for _, d := range p.declared {
		if d.left != "" {
			continue
		}
		if len(d.after) > 0 && slices.Contains(deployed(), d.target.Kind) {
			afters = append(afters, link{d.target, d, p.quietAfter(d)})
		}
		runs = append(runs, link{d.target, d, p.runs(d.do.settings(), d.target.ID)})
	}
	for _, h := range p.held["procedure"] {
		if d := p.ids["procedure/"+h.target.ID]; d == nil || d.left != "" {
			runs = append(runs, link{h.target, nil, p.runs(h.config, h.target.ID)})
		}
	}
	p.refuseCycle(afters, "after", "each would wait for the other to be deployed")
	p.refuseCycle(runs, "config.stages", "they would run each other for ever")
}

// quietAfter is after once more, its mistakes having been said.
func (p *planner) quietAfter(d *planned) []schema.Target {
	n := len(p.issues)
	out := p.after(d)
	p.issues = p.issues[:n]
	return out
}

// runs returns the procedures that a procedure runs by name, but for itself,
// which is refused elsewhere.
func (p *planner) runs(config any, self string) []schema.Target {
	c, ok := config.(schema.ProcedureConfig)
	if !ok {
		return nil
	}
	var out []schema.Target
	for _, s := range c.Stages {
		for _, e := range s.Executions {
			if !s.Enabled || !e.Enabled || e.Execution.Type != "RunProcedure" {
				continue
			}
			for _, r := range e.Execution.Refs() {
				if r.Value != self {
					out = append(out, schema.Target{Kind: "procedure", ID: r.Value, Name: p.nameOf("procedure", r.Value)})
				}
			}
		}
	}
	return out
}

// refuseCycle names the first cycle of a graph in full.
func (p *planner) refuseCycle(links []link, key, why string) {
	byKey := map[string]*link{}
	for i := range links {
		byKey[links[i].target.Kind+"/"+links[i].target.ID] = &links[i]
	}
	done := map[*link]bool{}
	var path []*link
	var visit func(l *link) bool
	visit = func(l *link) bool {
		if i := slices.Index(path, l); i >= 0 {
			p.sayCycle(path[i:], key, why)
			return true
		}
		if done[l] {
			return false
		}
		path = append(path, l)
		for _, t := range l.next {
			if n := byKey[t.Kind+"/"+t.ID]; n != nil && visit(n) {
				return true
			}
		}
		path, done[l] = path[:len(path)-1], true
		return false
	}
	for i := range links {
		if path = nil; visit(&links[i]) {
			return
		}
	}
}

func (p *planner) sayCycle(cycle []*link, key, why string) {
	var round, places []string
	var at *planned
	for _, l := range append(cycle, cycle[0]) {
		round = append(round, fmt.Sprintf("%s %q", l.target.Kind, l.target.Name))
	}
	for _, l := range cycle {
		if l.from == nil {
			continue
		}
		if at == nil {
			at = l.from
		}
		places = append(places, l.from.at())
	}
	text := strings.Join(round, " → ") + ": " + why
	if at == nil { // stored long ago, by whatever means
		return
	}
	p.fail(at.entry, key, "%s (%s)", text, strings.Join(places, ", "))
}
