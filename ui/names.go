package ui

import (
	"slices"

	"berth/schema"
)

// name returns what people call the resource of that id; what is no id stays.
func (w world) name(kind, id string) string {
	switch kind {
	case "server":
		return nameOf(w.servers, id, func(v schema.ServerView) (string, string) { return v.Resource.ID, v.Resource.Name })
	case "stack":
		return nameOf(w.stacks, id, func(v schema.StackView) (string, string) { return v.Resource.ID, v.Resource.Name })
	case "repo":
		return nameOf(w.repos, id, func(v schema.RepoView) (string, string) { return v.Resource.ID, v.Resource.Name })
	case "procedure":
		return nameOf(w.procedures, id, func(v schema.ProcedureView) (string, string) { return v.Resource.ID, v.Resource.Name })
	}
	return nameOf(w.others[kind], id, func(r Resource) (string, string) { return r.ID, r.Name })
}

func nameOf[V any](list []V, id string, key func(V) (id, name string)) string {
	for _, v := range list {
		if have, name := key(v); have == id {
			return name
		}
	}
	return id
}

// named returns stages whose executions name resources as people do.
func (w world) named(stages []schema.ProcedureStage) []schema.ProcedureStage {
	stages = slices.Clone(stages)
	for i := range stages {
		list := slices.Clone(stages[i].Executions)
		for j := range list {
			list[j].Execution = list[j].Execution.MapRefs(func(r schema.ParamRef) string { return w.name(r.Kind, r.Value) })
		}
		stages[i].Executions = list
	}
	return stages
}
