package resource

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"berth/schema"
)

// ExportOptions say what is written and how.
type ExportOptions struct {
	Targets []schema.Target // by kind and name or id; empty is everything
	Kinds   []string        // empty is all
	Tags    []string        // only resources that have all; variables and user groups have none
	Secrets bool            // in clear: for moving to another core; otherwise as the mask, which loaded back leaves them
	// Kept is what only the files know of a resource, by "stack/web".
	Kept map[string]Kept
}

// Kept is what a file says of a resource that is not stored.
type Kept struct {
	Deploy bool
	After  []string
}

// Export writes resources as TOML that loads back to the same state: what is not
// the default, other resources by name, kinds in Komodo's order, names sorted.
// NotFound for a target that there is not.
func (g *Registry) Export(ctx context.Context, o ExportOptions) (string, error) {
	chosen, err := g.chosen(o.Targets)
	if err != nil {
		return "", err
	}
	scope := Scope{Kinds: o.Kinds, Tags: o.Tags}
	var parts []string
	for _, kind := range exportOrder() {
		k := g.kind(kind)
		if k == nil || !scope.hasKind(kind) {
			continue
		}
		for _, h := range k.held() {
			if err := ctx.Err(); err != nil {
				return "", err
			}
			if len(chosen) > 0 && !chosen[kind+"/"+h.target.ID] || !k.flatKind() && scope.lacks(h.tags) != "" {
				continue
			}
			doc, err := k.export(h.target.ID, o.Secrets)
			if err != nil {
				return "", err
			}
			doc.Kept = o.Kept[kind+"/"+h.target.Name]
			parts = append(parts, doc.write(k.Fields(), k.flatKind()))
		}
	}
	return strings.Join(parts, "\n##\n\n"), nil
}

// chosen returns the kind/id of what is named.
func (g *Registry) chosen(targets []schema.Target) (map[string]bool, error) {
	out := map[string]bool{}
	for _, t := range targets {
		k, err := g.Kind(t.Kind)
		if err != nil {
			return nil, err
		}
		found, err := k.Find(cmp.Or(t.ID, t.Name))
		if err != nil {
			return nil, err
		}
		out[t.Kind+"/"+found.ID] = true
	}
	return out, nil
}

// exportOrder is the order of the kinds in a file.
func exportOrder() []string {
	return []string{
		"server", "swarm", "stack", "deployment", "build", "repo", "procedure", "action", "alerter", "builder",
		"resource_sync", "variable", "user_group",
	}
}

// exported is a resource on its way into a file.
type exported struct {
	Kept        `json:"-"`
	kind        string
	Name        string         `json:"name"`
	Description string         `json:"description"`
	Template    bool           `json:"template"`
	Tags        []string       `json:"tags"`
	Config      map[string]any `json:"config"`
}

// export returns a resource with others by name, and its secrets masked or in clear.
func (k *Kind[C]) export(id string, secrets bool) (exported, error) {
	out := exported{kind: k.name}
	r, err := k.sealed(id)
	if err != nil {
		return out, err
	}
	if secrets {
		r, err = k.opened(r)
	} else {
		r, err = masked(r)
	}
	if err != nil {
		return out, err
	}
	if r.Config, err = k.Shown(r.Config); err != nil {
		return out, err
	}
	b, err := json.Marshal(r)
	if err != nil {
		return out, fmt.Errorf("write %s %q: %w", k.name, r.Name, err)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	if err := dec.Decode(&out); err != nil {
		return out, fmt.Errorf("read %s %q: %w", k.name, r.Name, err)
	}
	return out, nil
}

// write returns the resource's tables.
func (x exported) write(fields []schema.Field, flat bool) string {
	w := &tomlWriter{}
	w.line("[[%s]]", x.kind)
	w.pair("name", x.Name)
	if x.Description != "" {
		w.pair("description", x.Description)
	}
	if x.Template {
		w.pair("template", true)
	}
	if len(x.Tags) > 0 {
		w.pair("tags", anys(x.Tags))
	}
	if x.Deploy {
		w.pair("deploy", true)
	}
	if len(x.After) > 0 {
		w.pair("after", anys(x.After))
	}
	switch {
	case x.kind == "procedure":
		stages, _ := x.Config["stages"].([]any)
		delete(x.Config, "stages")
		w.table("config", fields, x.Config)
		if f := fieldNamed(fields, "stages"); f != nil {
			w.stages(x.kind, f.Fields, stages)
		}
	case x.kind == "user_group":
		w.group(fields, x.Config)
	case flat:
		w.table("", fields, x.Config)
	default:
		if x.kind == "build" && x.Config["auto_increment_version"] == true { // it would be behind with the next build
			delete(x.Config, "version")
		}
		w.line("[%s.config]", x.kind)
		w.table("", fields, x.Config)
	}
	return w.String()
}

// stages writes the stages of a procedure, a table each.
func (w *tomlWriter) stages(kind string, fields []schema.Field, stages []any) {
	plain := slices.DeleteFunc(slices.Clone(fields), func(f schema.Field) bool { return f.Name == "executions" })
	inner := fieldNamed(fields, "executions").Fields
	for _, item := range stages {
		stage, ok := item.(map[string]any)
		if !ok {
			continue
		}
		w.line("")
		w.line("[[%s.config.stage]]", kind)
		w.table("", plain, stage)
		list, _ := stage["executions"].([]any)
		if len(list) == 0 {
			w.line("executions = []")
			continue
		}
		w.line("executions = [")
		for _, item := range list {
			w.line("  %s,", execution(inner, item))
		}
		w.line("]")
	}
}

// execution writes one on a line: { execution.type = …, execution.params.x = … }.
func execution(fields []schema.Field, item any) string {
	m, _ := item.(map[string]any)
	e, _ := m["execution"].(map[string]any)
	params, _ := e["params"].(map[string]any)
	name, _ := e["type"].(string)
	parts := []string{"execution.type = " + quote(name)}
	known, _ := schema.ExecutionByType(name)
	for _, p := range known.Params {
		if v, ok := params[p.Name]; ok && v != nil && (p.Required || !equal(p.Default, v)) {
			parts = append(parts, "execution.params."+p.Name+" = "+inline(v))
		}
	}
	if len(parts) == 1 {
		parts = append(parts, "execution.params = {}")
	}
	for _, f := range fields {
		if v, ok := m[f.Name]; ok && f.Name != "execution" && !isDefault(f, v) {
			parts = append(parts, f.Name+" = "+inline(v))
		}
	}
	return "{ " + strings.Join(parts, ", ") + " }"
}

func fieldNamed(fields []schema.Field, name string) *schema.Field {
	if i := slices.IndexFunc(fields, func(f schema.Field) bool { return f.Name == name }); i >= 0 {
		return &fields[i]
	}
	return nil
}

// group writes the settings of a user group.
func (w *tomlWriter) group(fields []schema.Field, config map[string]any) {
	all, _ := config["all"].(map[string]any)
	permissions, _ := config["permissions"].([]any)
	delete(config, "all")
	delete(config, "permissions")
	w.table("", fields, config)
	for _, kind := range sortedKeys(all) {
		level, _ := all[kind].(map[string]any)
		if empty(level["specific"]) {
			w.pair("all."+kind, level["level"])
		} else {
			w.pair("all."+kind, level)
		}
	}
	if len(permissions) == 0 {
		return
	}
	w.line("permissions = [")
	for _, item := range permissions {
		p, _ := item.(map[string]any)
		t, _ := p["target"].(map[string]any)
		parts := []string{"target.type = " + inline(t["type"]), "target.id = " + inline(t["id"]), "level = " + inline(p["level"])}
		if !empty(p["specific"]) {
			parts = append(parts, "specific = "+inline(p["specific"]))
		}
		w.line("  { %s },", strings.Join(parts, ", "))
	}
	w.line("]")
}

// shortKey is the name under which files have a field: server_id is written server,
// server_ids servers.
func shortKey(f schema.Field) string {
	if f.Ref == "" {
		return f.Name
	}
	for _, short := range []string{strings.TrimSuffix(f.Name, "_id"), strings.TrimSuffix(f.Name, "_ids") + "s"} {
		if slices.Contains(f.Aliases, short) {
			return short
		}
	}
	return f.Name
}

func isDefault(f schema.Field, v any) bool { return equal(f.Default, v) }

// equal reports whether two plain values are the same as JSON; nothing is the same
// as an empty value.
func equal(def, v any) bool {
	var a, b any
	if json.Unmarshal(jsonOf(def), &a) != nil || json.Unmarshal(jsonOf(v), &b) != nil {
		return false
	}
	return reflect.DeepEqual(a, b) || empty(a) && empty(b)
}

func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case bool:
		return !v
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	case float64:
		return v == 0
	}
	return false
}

func anys(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}
