package api

import (
	"context"
	"encoding/json"
	"slices"

	"berth/core/access"
	"berth/schema"
)

type extraArgsQuery struct {
	Query resourceQuery `json:"query,omitzero" doc:"Of which resources: terms, names, tags, tag_behavior, templates, specific."`
}

// extraArgsRows list the further arguments that resources already have, for the
// completions of editors.
func (a *API) extraArgsRows() []Row {
	var rows []Row
	for _, x := range [][3]string{
		{"ListCommonStackExtraArgs", "stack", "extra_args"},
		{"ListCommonStackBuildExtraArgs", "stack", "build_extra_args"},
		{"ListCommonDeploymentExtraArgs", "deployment", "extra_args"},
		{"ListCommonBuildExtraArgs", "build", "extra_args"},
	} {
		name, kind, field := x[0], x[1], x[2]
		k, err := a.deps.Kinds.Kind(kind)
		if err != nil {
			continue
		}
		b := kindAPI{a: a, k: k, name: typeName(kind), info: a.infos(kind)}
		rows = append(rows, Read(spec{
			name: name, doc: "List the " + field + " that " + kind + "s have, each once.", needs: access.CanRead, filters: true, example: map[string]any{"query": map[string]any{}},
		}, func(ctx context.Context, p extraArgsQuery) ([]string, error) {
			return b.common(ctx, p.Query, field)
		}))
	}
	return rows
}

// common collects a setting that is a list of texts, sorted, each once.
func (b kindAPI) common(ctx context.Context, q resourceQuery, field string) ([]string, error) {
	all := 0
	list, _, err := b.selected(ctx, listParams{Query: q, Limit: &all})
	out := []string{}
	for _, r := range list {
		var c map[string]json.RawMessage
		var args schema.StrList
		if json.Unmarshal(r.Config, &c) == nil && json.Unmarshal(c[field], &args) == nil {
			out = append(out, args...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), err
}
