package resource

import (
	"context"
	"strings"

	"berth/schema"
)

// Apply does what the plan says, or nothing: a plan with mistakes is Invalid, one
// that was made before something changed is a Conflict. A failure of the store
// half way names what is done; applying again completes it.
func (g *Registry) Apply(ctx context.Context, p Plan) error {
	if err := p.Err(); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, st := range p.steps {
		if err := st.do.current(); err != nil {
			return err
		}
	}
	var done []string
	for _, st := range p.steps {
		if st.Op == OpUnchanged {
			continue
		}
		if err := g.applyStep(ctx, st); err != nil {
			return schema.Wrap(schema.CodeOf(err), err, "apply %s %q (%d of %d are done: %s)", st.Kind, st.Name, len(done), len(p.steps), strings.Join(done, ", "))
		}
		done = append(done, st.Kind+" "+st.Name)
	}
	return nil
}

// ApplyChange does the change at i of the plan alone, so that each can be recorded
// before the next. Changes are to be done in their order; one that could not be
// done is a Conflict for those that need it. One that changes nothing is fine. A
// plan with mistakes is Invalid; Conflict when somebody changed the resource since
// the plan was made: plan again, and the new plan holds the rest.
func (g *Registry) ApplyChange(ctx context.Context, p Plan, i int) error {
	if err := p.Err(); err != nil {
		return err
	}
	if i < 0 || i >= len(p.steps) {
		return schema.Errorf(schema.Internal, "apply change %d: the plan has %d", i, len(p.steps))
	}
	st := p.steps[i]
	if st.Op == OpUnchanged {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := st.do.current(); err != nil {
		return err
	}
	err := g.applyStep(ctx, st)
	return schema.Wrap(schema.CodeOf(err), err, "%s %s %q", st.Op, st.Kind, st.Name)
}

// applyStep does one change; the caller holds the registry's lock.
func (g *Registry) applyStep(ctx context.Context, st *step) error {
	for _, t := range st.needs {
		if _, ok := g.kind(t.Kind).lookup(t.ID); !ok {
			return schema.Errorf(schema.Conflict, "%s %q, which it refers to, was not created", t.Kind, t.Name)
		}
	}
	return st.do.apply(ctx)
}
