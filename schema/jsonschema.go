package schema

import (
	"maps"
	"reflect"
	"slices"
)

// JSONKind is a kind as JSONSchema describes it.
type JSONKind struct {
	Name string // "stack"
	Flat bool   // settings stand beside the name

	config reflect.Type
	def    reflect.Value
}

// JSONKindOf returns a kind of the settings type C with these defaults.
func JSONKindOf[C any](name string, def C, flat bool) JSONKind {
	return JSONKind{Name: name, Flat: flat, config: reflect.TypeFor[C](), def: reflect.ValueOf(def)}
}

// JSONSchema returns the JSON Schema (2020-12) of files that declare the kinds, for
// editors. Unknown keys are allowed, as in files, unless strict says otherwise.
func JSONSchema(kinds []JSONKind, strict bool) map[string]any {
	s := &jsonSchema{defs: map[string]any{}, strict: strict}
	root := newShape()
	for _, k := range kinds {
		s.defs[k.Name] = s.kind(k)
		list := map[string]any{"type": "array", "items": defined(k.Name), "description": "[[" + k.Name + "]]: one table each."}
		root.property([]string{k.Name, k.Name + "s"}, list, false)
	}
	out := s.finish(root)
	out["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	out["title"] = "Resources of Berth"
	out["$defs"] = s.defs
	return out
}

type jsonSchema struct {
	defs   map[string]any
	strict bool
}

func defined(def string) map[string]any { return map[string]any{"$ref": "#/$defs/" + def} }

// shape is an object in the making.
type shape struct {
	props    map[string]any
	required []string
	rules    []any
}

func newShape() *shape { return &shape{props: map[string]any{}} }

// property adds a property under all its names, of which one may be given.
func (o *shape) property(names []string, form any, required bool) {
	var one []any
	for i, n := range names {
		o.props[n] = form
		one = append(one, map[string]any{"required": []string{n}})
		for _, other := range names[i+1:] {
			o.rules = append(o.rules, map[string]any{"not": map[string]any{"required": []string{n, other}}})
		}
	}
	switch {
	case required && len(names) == 1:
		o.required = append(o.required, names[0])
	case required:
		o.rules = append(o.rules, map[string]any{"anyOf": one})
	}
}

func (s *jsonSchema) finish(o *shape) map[string]any {
	out := map[string]any{"type": "object", "properties": o.props}
	if len(o.required) > 0 {
		out["required"] = o.required
	}
	if len(o.rules) > 0 {
		out["allOf"] = o.rules
	}
	if s.strict {
		out["additionalProperties"] = false
	}
	return out
}

// kind describes one table of a kind.
func (s *jsonSchema) kind(k JSONKind) any {
	o := newShape()
	for _, f := range structFields(reflect.TypeFor[Declaration[struct{}]]()) {
		switch {
		case f.Name == "config" && k.Flat:
			s.fields(o, k.config, k.def)
		case f.Name == "config":
			o.property(f.names, s.described(s.config(k), f, nil), false)
		case !k.Flat || f.Name == "name" || f.Name == "description":
			t := reflect.TypeFor[Declaration[struct{}]]()
			o.property(f.names, s.described(s.form(t.FieldByIndex(f.index).Type, f), f, nil), f.Required)
		}
	}
	return s.finish(o)
}

func (s *jsonSchema) config(k JSONKind) any {
	if isUnion(k.config) {
		return s.union(k.config)
	}
	o := newShape()
	s.fields(o, k.config, k.def)
	return s.finish(o)
}

// fields adds the settings of a struct type, with the defaults found in def.
func (s *jsonSchema) fields(o *shape, t reflect.Type, def reflect.Value) {
	for _, f := range structFields(t) {
		form := s.form(t.FieldByIndex(f.index).Type, f)
		o.property(f.names, s.described(form, f, plain(def.FieldByIndex(f.index).Interface())), f.Required)
	}
}

// described adds what is known of a setting to its form.
func (s *jsonSchema) described(form any, f structField, def any) any {
	out := map[string]any{"description": f.Doc}
	if m, ok := form.(map[string]any); ok {
		maps.Copy(out, m)
	}
	if def != nil && !f.Required {
		out["default"] = def
	}
	return out
}

// form describes the values of a type.
func (s *jsonSchema) form(t reflect.Type, f structField) any {
	if form, ok := s.special(t); ok {
		return form
	}
	if isUnion(t) {
		return s.union(t)
	}
	switch t.Kind() {
	case reflect.String:
		if f.enum != nil {
			return map[string]any{"enum": spellings(f)}
		}
		return typeForm("string")
	case reflect.Bool:
		return typeForm("boolean")
	case reflect.Int, reflect.Int64:
		return typeForm("integer")
	case reflect.Float64:
		return typeForm("number")
	case reflect.Slice:
		return map[string]any{"type": "array", "items": s.form(t.Elem(), structField{enum: f.enum, Field: Field{Enum: f.Enum}})}
	case reflect.Struct:
		return s.structure(t)
	default:
		return map[string]any{}
	}
}

func typeForm(name string) map[string]any { return map[string]any{"type": name} }

// spellings are the values of an enum: first those it is written with.
func spellings(f structField) []string {
	out := slices.Clone(f.Enum)
	for _, s := range sorted(f.enum) {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// structure describes a nested table, once per type.
func (s *jsonSchema) structure(t reflect.Type) any {
	if t.Name() == "" {
		o := newShape()
		s.fields(o, t, freshValue(t))
		return s.finish(o)
	}
	if s.defs[t.Name()] == nil {
		o := newShape()
		s.fields(o, t, freshValue(t))
		s.defs[t.Name()] = s.finish(o)
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[stringForm]()) {
		return map[string]any{"oneOf": []any{typeForm("string"), defined(t.Name())}}
	}
	return defined(t.Name())
}

// union describes { type, params }, one form per type.
func (s *jsonSchema) union(t reflect.Type) any {
	if s.defs[t.Name()] != nil {
		return defined(t.Name())
	}
	names, index := variantsOf(t)
	var forms []any
	for _, name := range names {
		part := t.Field(index[name]).Type.Elem()
		params := newShape()
		s.fields(params, part, freshValue(part))
		forms = append(forms, s.variant(name, s.finish(params)))
	}
	s.defs[t.Name()] = map[string]any{"type": "object", "required": []string{"type", "params"}, "oneOf": forms}
	return defined(t.Name())
}

func (s *jsonSchema) variant(name string, params any) any {
	return map[string]any{
		"title":      name,
		"properties": map[string]any{"type": map[string]any{"const": name}, "params": params},
		"required":   []string{"type", "params"},
	}
}
