package api

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"berth/schema"
)

// infoTypes are the types of what a kind shows beside its settings: as a resource
// and in a list.
func infoTypes(kind string) (full, item reflect.Type) {
	switch kind {
	case "server":
		return reflect.TypeFor[serverInfo](), reflect.TypeFor[serverItem]()
	case "stack":
		return reflect.TypeFor[stackInfo](), reflect.TypeFor[stackItem]()
	case "deployment":
		return reflect.TypeFor[deploymentInfo](), reflect.TypeFor[deploymentItem]()
	case "repo":
		return reflect.TypeFor[repoInfo](), reflect.TypeFor[repoItem]()
	case "build":
		return reflect.TypeFor[buildInfo](), reflect.TypeFor[buildItem]()
	case "resource_sync":
		return reflect.TypeFor[syncInfo](), reflect.TypeFor[syncItem]()
	case "swarm":
		return reflect.TypeFor[None](), reflect.TypeFor[swarmItem]()
	case "procedure":
		return nil, reflect.TypeFor[procedureItem]()
	case "action":
		return nil, reflect.TypeFor[actionItem]()
	case "builder":
		return nil, reflect.TypeFor[builderItem]()
	case "alerter":
		return nil, reflect.TypeFor[alerterItem]()
	}
	return nil, nil
}

// shape is the schema of a kind's resources, with its settings.
func (b kindAPI) shape(s *shapes) any {
	if s.components[b.name] == nil {
		config := fieldsShape(b.k.Fields(), false)
		if config["oneOf"] == nil {
			config["required"] = fieldNames(b.k.Fields())
		}
		s.components[b.name+"Config"] = config
		full, _ := infoTypes(b.k.Name())
		s.components[b.name] = b.with(s, reflect.TypeFor[envelope](), full, map[string]any{"config": refShape(b.name + "Config")})
	}
	return refShape(b.name)
}

// itemShape is the schema of the kind's list items.
func (b kindAPI) itemShape(s *shapes) any {
	name := b.name + "ListItem"
	if s.components[name] == nil {
		_, item := infoTypes(b.k.Name())
		s.components[name] = b.with(s, reflect.TypeFor[listItem](), item, map[string]any{"type": map[string]any{"const": b.name}})
	}
	return refShape(name)
}

// with is the schema of an envelope with these members in place of vague ones.
func (b kindAPI) with(s *shapes, outer, info reflect.Type, members map[string]any) any {
	out, _ := s.properties(outer).(map[string]any)
	props, _ := out["properties"].(map[string]any)
	props["info"] = map[string]any{}
	if info != nil {
		props["info"] = orNullShape(s.of(info))
	}
	maps.Copy(props, members)
	return out
}

// partial is the schema of settings as clients send them: those they care for.
func (b kindAPI) partial(s *shapes) any {
	name := "Partial" + b.name + "Config"
	if s.components[name] == nil {
		s.components[name] = fieldsShape(b.k.Fields(), true)
	}
	return refShape(name)
}

// withSettings says of a row that its parameter config holds settings of the kind.
func (b kindAPI) withSettings(r Row) Row {
	for i := range r.Params {
		if r.Params[i].Name == "config" {
			r.Params[i].shape = b.partial
		}
	}
	r.Result = b.shape
	return r
}

func fieldNames(fields []schema.Field) []string {
	var out []string
	for _, f := range fields {
		out = append(out, f.Name)
	}
	slices.Sort(out)
	return out
}

// fieldsShape is the schema of settings, of which any may be absent. asked makes
// that of what clients send: other names and text for lists are taken then.
func fieldsShape(fields []schema.Field, asked bool) map[string]any {
	if i := slices.IndexFunc(fields, func(f schema.Field) bool { return len(f.Variants) > 0 }); i >= 0 {
		return unionShape(fields[i].Variants, asked) // {type, params}: params differ by type
	}
	props := map[string]any{}
	for _, f := range fields {
		shape := fieldShape(f, asked)
		shape["description"] = strings.TrimSpace(f.Doc + aliasText(f.Aliases))
		if f.Default != nil {
			shape["default"] = f.Default
		}
		props[f.Name] = shape
	}
	return objectShape(props, nil, asked)
}

func fieldShape(f schema.Field, asked bool) map[string]any {
	list := strings.HasPrefix(f.Type, "list<") || strings.HasPrefix(f.Type, "one-or-many<")
	one := typeShape("string")
	switch f.Type {
	case "bool":
		one = typeShape("boolean")
	case "int":
		one = map[string]any{"type": "integer", "format": "int64"}
	case "float":
		one = typeShape("number")
	case "strlist":
		list = true
	}
	switch {
	case len(f.Fields) > 0:
		one = fieldsShape(f.Fields, asked)
	case len(f.Enum) > 0 && !asked: // other spellings are taken as well
		one = enumShape(f.Enum...)
	case strings.Contains(f.Type, "Execution"):
		one = map[string]any{"type": "object", "properties": map[string]any{"type": typeShape("string"), "params": typeShape("object")}, "required": []string{"type", "params"}}
	case strings.Contains(f.Type, "Levels"), strings.HasPrefix(f.Type, "map<"), f.Type == "Level", f.Type == "Version":
		one = map[string]any{}
	}
	switch {
	case !list:
		return one
	case asked: // one, or text with a line or a word for each
		return map[string]any{"anyOf": []any{listShape(one), one, typeShape("string")}}
	}
	return listShape(one)
}

// unionShape is {type, params}, one form per type.
func unionShape(variants map[string][]schema.Field, asked bool) map[string]any {
	var forms []any
	for _, name := range slices.Sorted(maps.Keys(variants)) {
		forms = append(forms, map[string]any{
			"type": "object", "required": []string{"type", "params"},
			"properties": map[string]any{"type": map[string]any{"const": name}, "params": fieldsShape(variants[name], asked)},
		})
	}
	return map[string]any{"oneOf": forms}
}
