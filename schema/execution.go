package schema

import (
	"encoding/json"
	"slices"
	"strings"
)

// Execution is something that can be done, as a stage of a procedure or by a
// request. Params is a JSON object with canonical names and defaults filled in;
// resources in it are ids once stored, names in files.
type Execution struct { //nolint:recvcheck // decoding writes, all else reads
	Type   string          `json:"type"`
	Params json.RawMessage `json:"params"`
}

// ExecutionType is one kind of execution.
type ExecutionType struct {
	Type   string  `json:"type"`
	Group  string  `json:"group"`
	Doc    string  `json:"doc"`
	Params []Param `json:"params"`
}

// Param is a parameter of an execution. One that is neither required nor has a
// default is left out when not given.
type Param struct {
	Name     string   `json:"name"`
	Aliases  []string `json:"aliases,omitempty"`
	Type     string   `json:"type"` // str, int, bool, list<str>, map<str,str>, table, pattern, or an enum's name
	Ref      string   `json:"ref,omitempty"`
	Required bool     `json:"required,omitempty"`
	Default  any      `json:"default,omitempty"`
}

// ExecutionByType returns the kind of execution of that exact name.
func ExecutionByType(name string) (ExecutionType, bool) {
	for _, e := range executionTable {
		if e.Type == name {
			return e, true
		}
	}
	return ExecutionType{}, false
}

// Refs returns the resources the execution names: parameter, kind, name or id.
func (e Execution) Refs() []ParamRef {
	t, _ := ExecutionByType(e.Type)
	var params map[string]any
	_ = json.Unmarshal(e.Params, &params) // made by decodeTree
	var out []ParamRef
	for _, p := range t.Params {
		if p.Ref == "" {
			continue
		}
		switch v := params[p.Name].(type) {
		case string:
			out = append(out, ParamRef{Param: p.Name, Kind: p.Ref, Value: v})
		case []any:
			for _, item := range v {
				s, _ := item.(string)
				out = append(out, ParamRef{Param: p.Name, Kind: p.Ref, Value: s})
			}
		}
	}
	return out
}

// ParamRef is a resource named by a parameter.
type ParamRef struct{ Param, Kind, Value string }

// MapRefs returns the execution with every resource it names replaced.
func (e Execution) MapRefs(to func(ParamRef) string) Execution {
	t, _ := ExecutionByType(e.Type)
	params, err := ReadJSON(e.Params) // whole numbers stay whole
	if err != nil {
		return e
	}
	for _, p := range t.Params {
		if p.Ref == "" {
			continue
		}
		switch v := params[p.Name].(type) {
		case string:
			params[p.Name] = to(ParamRef{p.Name, p.Ref, v})
		case []any:
			for i := range v {
				if s, ok := v[i].(string); ok {
					v[i] = to(ParamRef{p.Name, p.Ref, s})
				}
			}
		}
	}
	b, err := json.Marshal(params)
	if err != nil {
		return e
	}
	return Execution{Type: e.Type, Params: b}
}

func (e *Execution) decodeTree(d *decoder, path string, in any) {
	tree, ok := in.(map[string]any)
	if !ok {
		d.wrong(path, in, "a table { type, params }")
		return
	}
	keys := keysOf(tree)
	d.take(keys, []string{"type"}, path)
	d.take(keys, []string{"params"}, path)
	d.leftOver(keys, path)
	name, isText := tree["type"].(string)
	switch _, given := tree["type"]; {
	case !given:
		d.fail(join(path, "type"), "is missing")
		return
	case !isText:
		d.wrong(join(path, "type"), tree["type"], "a string")
		return
	}
	t, known := ExecutionByType(name)
	if !known {
		d.fail(join(path, "type"), "there is no execution %q%s", name, meant(name, executionNames()))
		return
	}
	given, ok := tree["params"]
	if !ok {
		d.fail(join(path, "params"), "is missing: give params = {} when there are none")
		return
	}
	params, ok := given.(map[string]any)
	if !ok {
		d.wrong(join(path, "params"), given, "a table")
		return
	}
	e.Type = name
	e.Params = d.params(t, params, join(path, "params"))
}

func executionNames() []string {
	var out []string
	for _, e := range executionTable {
		out = append(out, e.Type)
	}
	return out
}

// params checks the parameters of an execution and returns them in canonical form.
func (d *decoder) params(t ExecutionType, tree map[string]any, path string) json.RawMessage {
	out, keys := map[string]any{}, keysOf(tree)
	for _, p := range t.Params {
		key := d.take(keys, append([]string{p.Name}, p.Aliases...), path)
		switch {
		case key != "" && tree[key] != nil:
			out[p.Name] = d.param(p, tree[key], join(path, key))
		case p.Required:
			d.fail(join(path, p.Name), "is missing: %s needs it", t.Type)
		case p.Default != nil:
			out[p.Name] = p.Default
		}
	}
	d.leftOver(keys, path)
	b, err := json.Marshal(out)
	if err != nil {
		d.fail(path, "cannot be kept: %v", err)
	}
	return b
}

func (d *decoder) param(p Param, in any, path string) any {
	switch p.Type {
	case "str":
		return typed[string](d, in, path, "a string")
	case "bool":
		return typed[bool](d, in, path, "true or false")
	case "int":
		return typed[int64](d, in, path, "a whole number")
	case "table":
		return typed[map[string]any](d, in, path, "a table")
	case "list<str>":
		list, _ := d.stringList(path, in, "a list of strings")
		return list
	case "pattern":
		text := typed[string](d, in, path, "a string")
		if _, err := ParsePattern(text); err != nil {
			d.fail(path, "%s", SafeText(err))
		}
		return text
	case "map<str,str>":
		table := typed[map[string]any](d, in, path, "a table of strings")
		for _, k := range sorted(table) {
			typed[string](d, table[k], join(path, k), "a string")
		}
		return table
	}
	return d.paramEnum(p.Type, in, path)
}

func typed[T any](d *decoder, in any, path, want string) T {
	v, ok := in.(T)
	if !ok {
		d.wrong(path, in, want)
	}
	return v
}

func (d *decoder) paramEnum(typ string, in any, path string) any {
	s := typed[string](d, in, path, "a string")
	if n := slices.Index([]string{"1", "2", "3", "15"}, s); typ == "signal" && n >= 0 {
		s = enumValues(typ)[n]
	}
	if values := enumValues(typ); s != "" && !slices.Contains(values, s) {
		d.fail(path, "%q is none of %v%s", s, values, meant(s, values))
	}
	return s
}

// enumValues returns the values of a named enum, spelled exactly.
func enumValues(typ string) []string {
	switch typ {
	case "signal":
		return []string{"SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"}
	case "Severity":
		return []string{"OK", "WARNING", "CRITICAL"}
	case "NodeAvailability":
		return []string{"active", "pause", "drain"}
	case "NodeRole":
		return []string{"worker", "manager"}
	case "ResourceType":
		return ResourceTypes()
	}
	return nil
}

// ResourceTypes returns the names Komodo's API has for the kinds.
func ResourceTypes() []string {
	return []string{
		"System", "Swarm", "Server", "Stack", "Deployment", "Build", "Repo", "Procedure",
		"Action", "Builder", "Alerter", "ResourceSync",
	}
}

// KindOf returns the kind of a type of resource: "resource_sync" of "ResourceSync";
// "" of System, which is none.
func KindOf(resourceType string) string {
	if resourceType == "System" || !slices.Contains(ResourceTypes(), resourceType) {
		return ""
	}
	if resourceType == "ResourceSync" {
		return "resource_sync"
	}
	return strings.ToLower(resourceType)
}

// TypeOf returns the type of resource of a kind: "ResourceSync" of "resource_sync";
// "" when it has none.
func TypeOf(kind string) string {
	for _, t := range ResourceTypes() {
		if kind != "" && KindOf(t) == kind {
			return t
		}
	}
	return ""
}
