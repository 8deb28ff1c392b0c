package resource

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"berth/schema"
)

// What a plan does to a resource.
const (
	OpCreate    = "create"
	OpUpdate    = "update"
	OpUnchanged = "unchanged"
)

// Plan is what applying files does, resource by resource. It holds no secret.
type Plan struct {
	Changes []Change `json:"changes"`
	Issues  []Issue  `json:"issues"`

	proposals []proposal
}

// Change is what happens to one resource.
type Change struct {
	Kind   string        `json:"kind"`
	Name   string        `json:"name"`
	ID     string        `json:"id"` // of a created resource: the one it will have
	Op     string        `json:"op"`
	Fields []FieldChange `json:"fields"`
	File   string        `json:"file"`
	Line   int           `json:"line"`
	// Deploy says that the file wants it deployed by a sync.
	Deploy bool `json:"deploy,omitempty"`
}

// FieldChange is one setting that changes, as text; secrets are masked, other
// resources are shown by name. A created resource lists what is not the default.
type FieldChange struct {
	Key string `json:"key"`
	Old string `json:"old"`
	New string `json:"new"`
}

// Err returns the mistakes that prevent the plan as one Invalid error, or nil.
func (p Plan) Err() error {
	var texts []string
	for _, i := range p.Issues {
		if !i.Warning {
			texts = append(texts, i.String())
		}
	}
	if len(texts) == 0 {
		return nil
	}
	return schema.Errorf(schema.Invalid, "nothing was applied: %s", strings.Join(texts, "\n"))
}

// Empty reports whether applying it changes nothing.
func (p Plan) Empty() bool {
	return !slices.ContainsFunc(p.Changes, func(c Change) bool { return c.Op != OpUnchanged })
}

// planner is a plan in the making.
type planner struct {
	reg    *Registry
	issues []Issue
	names  map[string]map[string]planned // kind → canonical name
	warned map[string]bool
}

// planned is a resource that the files declare.
type planned struct {
	id    string
	entry entry
}

// proposal is one declared resource on its way into the store.
type proposal interface {
	// finish resolves references and compares with what is stored.
	finish(p *planner) Change
	// current refuses, as Conflict, what somebody changed since.
	current() error
	apply(ctx context.Context) error
}

// Plan says what applying the files would do, and changes nothing. A declaration
// is the whole state: a setting that is not given is reset to its default; what
// is not declared is left alone. Mistakes are in the plan's issues; an error is a
// failure to look.
func (g *Registry) Plan(_ context.Context, files []File) (Plan, error) {
	p := &planner{reg: g, names: map[string]map[string]planned{}, warned: map[string]bool{}}
	byKind := map[string][]entry{}
	for _, f := range files {
		entries, issues := g.parse(f)
		p.issues = append(p.issues, issues...)
		for _, e := range entries {
			byKind[e.kind] = append(byKind[e.kind], e)
		}
	}
	plan := Plan{Changes: []Change{}}
	for _, k := range g.kinds {
		for _, e := range byKind[k.Name()] {
			if x := k.propose(e, p); x != nil {
				plan.proposals = append(plan.proposals, x)
			}
		}
	}
	for _, x := range plan.proposals {
		plan.Changes = append(plan.Changes, x.finish(p))
	}
	order := map[string]int{}
	for i, f := range files {
		order[f.Name] = i
	}
	slices.SortStableFunc(p.issues, func(a, b Issue) int {
		return cmp.Or(cmp.Compare(order[a.File], order[b.File]), cmp.Compare(a.Line, b.Line))
	})
	plan.Issues = p.issues
	return plan, nil
}

// Apply does what the plan says, or nothing: a plan with mistakes is Invalid, one
// that was made before something changed is a Conflict. A failure of the store
// half way names what is done; applying again completes it.
func (g *Registry) Apply(ctx context.Context, p Plan) error {
	if err := p.Err(); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, x := range p.proposals {
		if err := x.current(); err != nil {
			return err
		}
	}
	var done []string
	for i, x := range p.proposals {
		c := p.Changes[i]
		if c.Op == OpUnchanged {
			continue
		}
		if err := x.apply(ctx); err != nil {
			return schema.Wrap(schema.CodeOf(err), err, "apply %s %q (%d of %d are done: %s)", c.Kind, c.Name, len(done), len(p.Changes), strings.Join(done, ", "))
		}
		done = append(done, c.Kind+" "+c.Name)
	}
	return nil
}

// claim notes a declared name; it refuses one that is declared twice.
func (p *planner) claim(kind, name, id string, e entry) bool {
	if first, ok := p.names[kind][name]; ok {
		p.fail(e, "name", "there is a %s %q already at %s:%d", kind, name, first.entry.doc.name, first.entry.doc.line(first.entry.path))
		return false
	}
	if p.names[kind] == nil {
		p.names[kind] = map[string]planned{}
	}
	p.names[kind][name] = planned{id, e}
	return true
}

func (p *planner) fail(e entry, key, format string, args ...any) {
	p.issues = append(p.issues, e.issue(key, fmt.Sprintf(format, args...), false))
}

func (p *planner) warn(e entry, key, format string, args ...any) {
	p.issues = append(p.issues, e.issue(key, fmt.Sprintf(format, args...), true))
}

// resolve finds the id for a name or id among what is declared and stored.
func (p *planner) resolve(kind, key string) (id string, found, known bool) {
	if n, ok := p.names[kind][key]; ok {
		return n.id, true, true
	}
	for _, n := range p.names[kind] {
		if n.id == key {
			return n.id, true, true
		}
	}
	id, found, known = p.reg.resolve(kind, key)
	if known && !found {
		if n, ok := p.names[kind][p.reg.kind(kind).canonical(key)]; ok {
			return n.id, true, true
		}
	}
	return id, found, known
}

// nameOf returns the name to show for an id.
func (p *planner) nameOf(kind, id string) string {
	for name, n := range p.names[kind] {
		if n.id == id {
			return name
		}
	}
	return p.reg.nameOf(kind, id)
}

// near returns a hint at the name that was probably meant.
func (p *planner) near(kind, key string) string {
	var names []string
	for n := range p.names[kind] {
		names = append(names, n)
	}
	if k := p.reg.kind(kind); k != nil {
		all, err := k.Match("*", nil)
		for _, t := range all {
			names = append(names, t.Name)
		}
		if err != nil {
			return ""
		}
	}
	slices.Sort(names)
	if n := schema.Nearest(key, names); n != "" {
		return fmt.Sprintf(": did you mean %q?", n)
	}
	return ""
}

// text is a setting as a plan shows it: a string as it is, the rest as JSON.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return string(raw)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil {
		return string(raw)
	}
	return strings.TrimSpace(b.String())
}
