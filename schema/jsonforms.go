package schema

import "reflect"

// special describes the types that read their values themselves.
func (s *jsonSchema) special(t reflect.Type) (any, bool) {
	text := typeForm("string")
	switch t {
	case reflect.TypeFor[StrList]():
		return oneOf(text, listForm(text)), true
	case reflect.TypeFor[KV](), reflect.TypeFor[Labels]():
		return oneOf(text, pairList("variable", "value")), true
	case reflect.TypeFor[Conversions]():
		return oneOf(text, pairList("local", "container")), true
	case reflect.TypeFor[TermLabels]():
		return oneOf(text, pairList("signal", "label")), true
	case reflect.TypeFor[FileText]():
		return text, true
	case reflect.TypeFor[Duration]():
		return map[string]any{"type": "string", "examples": []string{"90s", "10m", "1h30m"}}, true
	case reflect.TypeFor[Version]():
		return oneOf(map[string]any{"type": "string", "pattern": `^[0-9]+(\.[0-9]+)?(\.[0-9]+)?(\..*)?$`}, versionForm()), true
	case reflect.TypeFor[ImageRegistries]():
		one := s.structure(reflect.TypeFor[ImageRegistry]())
		return oneOf(one, listForm(one)), true
	case reflect.TypeFor[Level]():
		return s.level(), true
	case reflect.TypeFor[Levels]():
		props := map[string]any{}
		for _, kind := range ResourceTypes() {
			props[kind] = s.level()
		}
		return map[string]any{"type": "object", "properties": props, "additionalProperties": false}, true
	case reflect.TypeFor[Execution]():
		return s.execution(), true
	}
	return nil, false
}

func oneOf(forms ...any) map[string]any { return map[string]any{"oneOf": forms} }

func listForm(item any) map[string]any { return map[string]any{"type": "array", "items": item} }

func pairList(keys ...string) any {
	props := map[string]any{}
	for _, k := range keys {
		props[k] = typeForm("string")
	}
	return listForm(map[string]any{"type": "object", "properties": props, "required": keys})
}

func versionForm() any {
	parts := []string{"major", "minor", "patch"}
	props := map[string]any{}
	for _, p := range parts {
		props[p] = typeForm("integer")
	}
	return map[string]any{"type": "object", "properties": props, "required": parts}
}

// level is a word, or a table with what is allowed besides.
func (s *jsonSchema) level() any {
	type plainLevel Level
	if s.defs["Level"] == nil {
		o := newShape()
		s.fields(o, reflect.TypeFor[plainLevel](), reflect.ValueOf(plainLevel{Level: "None", Specific: []string{}}))
		s.defs["Level"] = oneOf(map[string]any{"enum": []string{"None", "Read", "Execute", "Write"}}, s.finish(o))
	}
	return defined("Level")
}

// execution is { type, params } of every kind of execution.
func (s *jsonSchema) execution() any {
	if s.defs["Execution"] != nil {
		return defined("Execution")
	}
	var forms []any
	for _, e := range executionTable {
		params := newShape()
		for _, p := range e.Params {
			form := paramForm(p)
			if p.Default != nil {
				form["default"] = p.Default
			}
			params.property(append([]string{p.Name}, p.Aliases...), form, p.Required)
		}
		form, _ := s.variant(e.Type, s.finish(params)).(map[string]any)
		form["description"] = e.Doc
		forms = append(forms, form)
	}
	s.defs["Execution"] = map[string]any{"type": "object", "required": []string{"type", "params"}, "oneOf": forms}
	return defined("Execution")
}

func paramForm(p Param) map[string]any {
	switch p.Type {
	case "str", "pattern":
		return typeForm("string")
	case "bool":
		return typeForm("boolean")
	case "int":
		return typeForm("integer")
	case "table":
		return typeForm("object")
	case "list<str>":
		return listForm(typeForm("string"))
	case "map<str,str>":
		return map[string]any{"type": "object", "additionalProperties": typeForm("string")}
	}
	values := append(enumValues(p.Type), "")
	if p.Type == "signal" {
		values = append(values, "1", "2", "3", "15")
	}
	return map[string]any{"enum": values}
}
