package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"berth/core/access"
	"berth/core/resource"
	"berth/schema"
)

// tomlText is resources as a file.
type tomlText struct {
	TOML string `json:"toml"`
}

type exportAll struct {
	Resources *bool           `json:"include_resources,omitempty" doc:"The resources themselves; true when absent."`
	Tags      []string        `json:"tags,omitempty" doc:"Only resources with all of these tags."`
	Variables bool            `json:"include_variables,omitempty" doc:"Variables too; for administrators."`
	Groups    bool            `json:"include_user_groups,omitempty" doc:"User groups too; for administrators."`
	Existing  json.RawMessage `json:"existing,omitempty" doc:"The resources of a file: their deploy and after are kept."`
	Secrets   bool            `json:"secrets,omitempty" doc:"Secrets in clear, to move to another core; for administrators. Otherwise they are masked, and loading the file leaves them as they are."`
}

type exportSome struct {
	Targets   []target        `json:"targets,omitempty" doc:"Resources, {type, id}, by name, id or pattern."`
	Groups    []string        `json:"user_groups,omitempty" doc:"User groups, by name or id; for administrators."`
	Variables bool            `json:"include_variables,omitempty" doc:"All variables too; for administrators."`
	Existing  json.RawMessage `json:"existing,omitempty" doc:"The resources of a file: their deploy and after are kept."`
	Secrets   bool            `json:"secrets,omitempty" doc:"Secrets in clear, to move to another core; for administrators. Otherwise they are masked, and loading the file leaves them as they are."`
}

func (a *API) exportRows() []Row {
	return []Row{
		Read(spec{
			name: "ExportAllResourcesToToml", doc: "Write all resources as TOML that loads back to the same state.", needs: access.CanRead, filters: true,
			example: map[string]any{"tags": []string{"prod"}, "include_variables": true},
		}, a.exportAll),
		Read(spec{
			name: "ExportResourcesToToml", doc: "Write some resources as TOML that loads back to the same state.", needs: access.CanRead, filters: true,
			example: map[string]any{"targets": []map[string]string{{"type": "Stack", "id": "my-stack"}}},
		}, a.exportSome),
	}
}

func (a *API) exportAll(ctx context.Context, p exportAll) (tomlText, error) {
	tags, err := a.tagNames(ctx, p.Tags)
	if err != nil {
		return tomlText{}, err
	}
	o := resource.ExportOptions{Tags: tags, Secrets: p.Secrets, Kept: kept(p.Existing)}
	for _, k := range a.deps.Kinds.Kinds() {
		switch k.Name() {
		case "variable":
			if !p.Variables {
				continue
			}
		case "user_group":
			if !p.Groups {
				continue
			}
		default:
			if p.Resources != nil && !*p.Resources {
				continue
			}
		}
		o.Kinds = append(o.Kinds, k.Name())
	}
	if len(o.Kinds) == 0 {
		return tomlText{}, schema.Errorf(schema.Invalid, "nothing is asked for: include resources, variables or user groups")
	}
	return a.export(ctx, o, p.Variables || p.Groups)
}

func (a *API) exportSome(ctx context.Context, p exportSome) (tomlText, error) {
	o := resource.ExportOptions{Secrets: p.Secrets, Kept: kept(p.Existing)}
	for _, g := range p.Groups {
		p.Targets = append(p.Targets, target{"user_group", g})
	}
	if p.Variables {
		p.Targets = append(p.Targets, target{"variable", "*"})
	}
	if len(p.Targets) == 0 {
		return tomlText{}, schema.Errorf(schema.Invalid, "nothing is asked for: name targets, user groups or variables")
	}
	for _, t := range p.Targets {
		some, err := a.exportTargets(ctx, t)
		if err != nil {
			return tomlText{}, err
		}
		o.Targets = append(o.Targets, some...)
	}
	if len(o.Targets) == 0 { // patterns that match nothing
		return tomlText{}, nil
	}
	return a.export(ctx, o, p.Variables || len(p.Groups) > 0)
}

// exportTargets are the resources that a target names, by name, id or pattern.
func (a *API) exportTargets(ctx context.Context, t target) ([]schema.Target, error) {
	k, err := a.kindOf(t.Type)
	if err != nil {
		return nil, err
	}
	if strings.ContainsAny(t.ID, `*?\`) {
		list, err := k.Match(t.ID, nil)
		return access.Readable(ctx, list, func(t schema.Target) schema.Target { return t }), err
	}
	found, err := a.permitted(ctx, k, t.ID, access.CanRead)
	return []schema.Target{found}, err
}

// export writes what is asked for; variables, groups and secrets in clear are for
// administrators.
func (a *API) export(ctx context.Context, o resource.ExportOptions, more bool) (tomlText, error) {
	for _, t := range o.Targets {
		more = more || t.Kind == "variable" || t.Kind == "user_group"
	}
	if more || o.Secrets {
		if err := access.Permit(ctx, access.IsAdmin, schema.Target{}); err != nil {
			return tomlText{}, schema.Wrap(schema.CodeOf(err), err, "export variables, user groups or secrets in clear")
		}
	}
	if may := readable(ctx); may != nil {
		for _, t := range o.Targets {
			if err := access.Permit(ctx, access.CanRead, t); err != nil {
				return tomlText{}, err
			}
		}
		if o.Targets == nil {
			if err := a.exportReadable(ctx, &o); err != nil || len(o.Targets) == 0 {
				return tomlText{}, err
			}
		}
	}
	text, err := a.deps.Kinds.Export(ctx, o)
	return tomlText{text}, err
}

// exportReadable makes an export of everything one of what the caller may read.
func (a *API) exportReadable(ctx context.Context, o *resource.ExportOptions) error {
	for _, name := range o.Kinds {
		k, err := a.deps.Kinds.Kind(name)
		if err != nil {
			return err
		}
		list, err := k.Match("*", o.Tags)
		if err != nil {
			return err
		}
		o.Targets = append(o.Targets, access.Readable(ctx, list, func(t schema.Target) schema.Target { return t })...)
	}
	return nil
}

// kept is what only the files there are say, by kind and name.
func kept(existing json.RawMessage) map[string]resource.Kept {
	var tables map[string]json.RawMessage
	out := map[string]resource.Kept{}
	if json.Unmarshal(existing, &tables) != nil { // none, or none of ours
		return out
	}
	for _, kind := range []string{"stack", "deployment"} {
		for _, table := range []string{kind, kind + "s"} {
			var list []struct {
				Name   string   `json:"name"`
				Deploy bool     `json:"deploy"`
				After  []string `json:"after"`
			}
			if json.Unmarshal(tables[table], &list) != nil {
				continue
			}
			for _, r := range list {
				out[kind+"/"+r.Name] = resource.Kept{Deploy: r.Deploy, After: r.After}
			}
		}
	}
	return out
}

// jsonSchema serves the JSON Schema of files, for editors: it is no secret.
func (a *API) jsonSchema(w http.ResponseWriter, r *http.Request) {
	var kinds []string
	if k := r.URL.Query().Get("kind"); k != "" {
		kinds = []string{k}
	}
	doc, err := a.deps.Kinds.JSONSchema(r.URL.Query().Has("strict"), kinds...)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.answer(w, r, doc)
}
