package resource

import (
	"context"
	"encoding/json"
	"slices"

	"berth/core/access"
	"berth/schema"
)

// Guard is told of resources that somebody creates or deletes: an *access.Gate.
type Guard interface {
	// Created gives the caller of ctx what the creator of the target may do with it.
	Created(ctx context.Context, t schema.Target) error
	// Deleted forgets who might do what with it.
	Deleted(ctx context.Context, t schema.Target) error
}

// Guard sets who is told. Call it before the registry is used.
func (g *Registry) Guard(x Guard) { g.guard = x }

// Thing returns what permissions look at of a resource.
func (g *Registry) Thing(kind, id string) (access.Thing, bool) {
	k := g.kind(kind)
	if k == nil {
		return access.Thing{}, false
	}
	return k.thing(id)
}

// Groups returns the user groups; none when there is no such kind.
func (g *Registry) Groups() []access.Group {
	k := g.kind("user_group")
	if k == nil {
		return nil
	}
	var out []access.Group
	for _, h := range k.held() {
		if c, ok := h.config.(schema.UserGroupConfig); ok {
			out = append(out, access.Group{ID: h.target.ID, Name: h.target.Name, UserGroupConfig: c})
		}
	}
	return out
}

// Changes returns another number after every change.
func (g *Registry) Changes() uint64 { return g.o.Bucket.Changes() }

func (k *Kind[C]) thing(id string) (access.Thing, bool) {
	h := k.shelf.contents().byKey[k.shelf.key(id)]
	if h == nil {
		return access.Thing{}, false
	}
	return k.thingOf(h.r, h.refs), true
}

func (k *Kind[C]) thingOf(x schema.Resource[C], refs []reference) access.Thing {
	t := access.Thing{Kind: k.name, ID: x.ID, Name: x.Name, Tags: x.Tags, Base: x.Base}
	for _, r := range refs {
		switch r.path {
		case "server_id":
			t.Server = r.value
		case "swarm_id":
			t.Swarm = r.value
		}
	}
	return t
}

// referring checks that the caller of ctx may make settings refer to what they
// newly refer to: that needs Read and Attach there. was is nil for a resource that
// is created. Core itself, which has no caller, may everything.
func (k *Kind[C]) referring(ctx context.Context, was, now *C) error {
	c, ok := access.CallerOf(ctx)
	if !ok || c.Admin {
		return nil
	}
	switch k.name {
	case "stack", "deployment", "build", "repo", "builder", "swarm", "resource_sync":
	case "procedure":
		return k.executing(ctx, was, now)
	default:
		return nil
	}
	var before []reference
	if was != nil {
		before = refsOf(was)
	}
	for _, r := range refsOf(now) {
		if slices.ContainsFunc(before, func(b reference) bool { return b.kind == r.kind && b.value == r.value }) {
			continue
		}
		t := schema.Target{Kind: r.kind, ID: r.value, Name: k.reg.nameOf(r.kind, r.value)}
		if err := access.PermitAlso(ctx, access.CanRead, access.Attach, t); err != nil {
			return err
		}
	}
	return nil
}

// refersTo reports whether settings refer to a resource.
func refersTo[C any](config *C, kind, id string) bool {
	return slices.ContainsFunc(refsOf(config), func(r reference) bool { return r.kind == kind && r.value == id })
}

// executing checks that the caller may do himself what a procedure newly does: by a
// schedule or a webhook core itself would do it. What works on a pattern, or on core
// as a whole, is for administrators to put there.
func (k *Kind[C]) executing(ctx context.Context, was, now *C) error {
	for _, x := range executions(now) {
		if was != nil && slices.Contains(executions(was), x) {
			continue
		}
		var e schema.EnabledExecution
		if err := json.Unmarshal([]byte(x), &e); err != nil {
			return schema.Wrap(schema.Internal, err, "read an execution")
		}
		refs := e.Execution.Refs()
		switch e.Execution.Type {
		case "None", "Sleep":
			continue
		}
		if len(refs) == 0 {
			return schema.Errorf(schema.Denied, "only administrators may put %s into a procedure", e.Execution.Type)
		}
		needs := access.CanExec
		if e.Execution.Type == "CommitSync" {
			needs = access.CanEdit
		}
		for _, r := range refs {
			id, _, _ := k.reg.resolve(r.Kind, r.Value)
			if err := access.Permit(ctx, needs, schema.Target{Kind: r.Kind, ID: id, Name: k.reg.nameOf(r.Kind, id)}); err != nil {
				return err
			}
		}
	}
	return nil
}

// executions are those of a procedure, as texts that can be compared.
func executions(config any) []string {
	p, ok := config.(*schema.ProcedureConfig)
	if !ok {
		return nil
	}
	var out []string
	for _, st := range p.Stages {
		for _, e := range st.Executions {
			e.Enabled = e.Enabled && st.Enabled
			if b, err := json.Marshal(e); err == nil {
				out = append(out, string(b))
			}
		}
	}
	return out
}
