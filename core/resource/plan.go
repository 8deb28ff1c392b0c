package resource

import (
	"fmt"
	"slices"
	"strings"

	"berth/schema"
)

// What a plan does to a resource.
const (
	OpCreate    = "create"
	OpUpdate    = "update"
	OpDelete    = "delete"
	OpUnchanged = "unchanged"
)

// Plan is what applying files does, resource by resource, in the order in which
// it is done. It holds no secret.
type Plan struct {
	Changes []Change `json:"changes"`
	// Outside is what is declared or stored and left alone, each with its reason.
	Outside []Change `json:"outside,omitempty"`
	Issues  []Issue  `json:"issues"`
	// Stored is how many resources the scope holds before the plan.
	Stored int `json:"stored"`

	steps []*step // of Changes, one each
}

// Change is what happens to one resource.
type Change struct {
	Kind   string        `json:"kind"`
	Name   string        `json:"name"`
	ID     string        `json:"id"` // of a created resource: the one it will have
	Op     string        `json:"op"`
	Reason string        `json:"reason"` // one sentence
	Fields []FieldChange `json:"fields"`
	File   string        `json:"file,omitempty"`
	Line   int           `json:"line,omitempty"`
	// Deploy says that the file wants it deployed by a sync, After what the sync
	// has to have deployed before.
	Deploy bool            `json:"deploy,omitempty"`
	After  []schema.Target `json:"after,omitempty"`
}

// Target returns the resource that changes.
func (c Change) Target() schema.Target { return schema.Target{Kind: c.Kind, ID: c.ID, Name: c.Name} }

// FieldChange is one setting that changes, as text; secrets are masked, other
// resources are shown by name. A created resource lists what is not the default. Of
// the stages of a procedure each stage, execution and bound that changes is one: it
// is added when Old is empty, and removed when New is.
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

// Count returns how many changes are of that op.
func (p Plan) Count(op string) int {
	n := 0
	for _, c := range p.Changes {
		if c.Op == op {
			n++
		}
	}
	return n
}

// Deletes returns how many resources the plan deletes.
func (p Plan) Deletes() int { return p.Count(OpDelete) }

// InScope returns how many resources the scope holds before the plan: of what
// Deletes is a share.
func (p Plan) InScope() int { return p.Stored }

// String returns the plan as people read it: a line per change, its settings
// below, the mistakes at the end. What stays as it is is not listed.
func (p Plan) String() string {
	var b strings.Builder
	for _, c := range p.Changes {
		if c.Op == OpUnchanged {
			continue
		}
		fmt.Fprintf(&b, "%s %s %s: %s\n", sign(c.Op), c.Kind, c.Name, c.Reason)
		for _, f := range c.Fields {
			switch {
			case f.part():
				fmt.Fprintf(&b, "    %s: %s\n", f.Key, f.partText())
			case c.Op == OpCreate:
				fmt.Fprintf(&b, "    %s = %s\n", f.Key, brief(f.New))
			default:
				fmt.Fprintf(&b, "    %s: %s → %s\n", f.Key, brief(f.Old), brief(f.New))
			}
		}
	}
	for _, i := range p.Issues {
		if i.Warning {
			b.WriteString("warning: ")
		}
		b.WriteString(i.String() + "\n")
	}
	return b.String()
}

func sign(op string) string {
	switch op {
	case OpCreate:
		return "+"
	case OpDelete:
		return "-"
	}
	return "~"
}
