package api

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"

	"berth/core/access"
	"berth/schema"
)

// shapes makes JSON schemas of Go types; named structs become components.
type shapes struct{ components map[string]any }

// of returns the schema of t.
func (s *shapes) of(t reflect.Type) any {
	t = deref(t)
	switch t {
	case reflect.TypeFor[json.RawMessage](), nil:
		return map[string]any{}
	case reflect.TypeFor[oid]():
		return map[string]any{"type": "object", "properties": map[string]any{"$oid": map[string]any{"type": "string"}}}
	}
	switch t.Kind() {
	case reflect.Struct:
		return s.structure(t)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return map[string]any{"type": "string", "contentEncoding": "base64"}
		}
		return map[string]any{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Interface:
		return map[string]any{}
	default:
		return map[string]any{"type": jsonType(t)}
	}
}

func (s *shapes) structure(t reflect.Type) any {
	name := strings.ToUpper(t.Name()[:min(1, len(t.Name()))]) + t.Name()[min(1, len(t.Name())):]
	name, _, _ = strings.Cut(name, "[")
	if name == "" || name == "None" {
		return s.properties(t)
	}
	ref := map[string]any{"$ref": "#/components/schemas/" + name}
	if s.components[name] == nil {
		s.components[name] = map[string]any{} // ends recursion
		s.components[name] = s.properties(t)
	}
	return ref
}

func (s *shapes) properties(t reflect.Type) any {
	props, required := map[string]any{}, []string{}
	for _, f := range reflect.VisibleFields(t) {
		name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || !f.IsExported() || name == "" || name == "-" {
			continue
		}
		props[name] = s.of(f.Type)
		if !strings.Contains(opts, "omit") {
			required = append(required, name)
		}
	}
	out := map[string]any{"type": "object", "properties": props}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

// shape is the schema of a kind's resources, with its settings.
func (b kindAPI) shape(s *shapes) any {
	if s.components[b.name] == nil {
		envelope, _ := s.properties(reflect.TypeFor[envelope]()).(map[string]any)
		props, _ := envelope["properties"].(map[string]any)
		props["config"] = map[string]any{"type": "object", "properties": fieldShapes(b.k.Fields())}
		s.components[b.name] = envelope
	}
	return map[string]any{"$ref": "#/components/schemas/" + b.name}
}

func fieldShapes(fields []schema.Field) map[string]any {
	out := map[string]any{}
	for _, f := range fields {
		x := map[string]any{"description": f.Doc, "default": f.Default}
		switch f.Type {
		case "str", "kv", "filetext", "enum":
			x["type"] = "string"
		case "bool":
			x["type"] = "boolean"
		case "int":
			x["type"] = "integer"
		case "float":
			x["type"] = "number"
		case "strlist":
			x["type"], x["items"] = "array", map[string]any{"type": "string"}
		}
		if len(f.Enum) > 0 {
			x["enum"] = f.Enum
		}
		out[f.Name] = x
	}
	return out
}

// document is the OpenAPI 3.1 document of the table, in the path form.
func (a *API) document() map[string]any {
	s := &shapes{components: map[string]any{}}
	failure := s.of(reflect.TypeFor[problem]())
	paths := map[string]any{}
	for _, r := range a.table.rows {
		op := map[string]any{
			"operationId": string(r.Group) + "/" + r.Name, "summary": r.Doc, "tags": []string{string(r.Group)},
			"description": "Needs: " + string(r.Needs) + ".",
			"requestBody": map[string]any{"required": true, "content": jsonContent(paramShape(r.Params), r.Example)},
			"responses": map[string]any{
				"200":     map[string]any{"description": "The answer.", "content": jsonContent(r.Result(s), nil)},
				"default": map[string]any{"description": "A failure.", "content": jsonContent(failure, nil)},
			},
		}
		if r.Needs == access.Public {
			op["security"] = []any{}
		}
		paths["/"+string(r.Group)+"/"+r.Name] = map[string]any{"post": op}
	}
	return map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{
			"title": "Berth", "version": a.deps.Version,
			"description": "Every request is also served in the body form: POST /{group} with {\"type\": name, \"params\": {…}}.",
		},
		"paths":    paths,
		"security": []any{map[string]any{"key": []string{}, "secret": []string{}}, map[string]any{"token": []string{}}},
		"components": map[string]any{
			"schemas": s.components,
			"securitySchemes": map[string]any{
				"key":    map[string]any{"type": "apiKey", "in": "header", "name": "x-api-key"},
				"secret": map[string]any{"type": "apiKey", "in": "header", "name": "x-api-secret"},
				"token":  map[string]any{"type": "http", "scheme": "bearer"},
			},
		},
	}
}

func jsonContent(shape, example any) map[string]any {
	c := map[string]any{"schema": shape}
	if example != nil {
		c["example"] = example
	}
	return map[string]any{"application/json": c}
}

func paramShape(params []Param) any {
	props, required := map[string]any{}, []string{}
	for _, p := range params {
		x := map[string]any{}
		if p.Type != "any" {
			x["type"] = p.Type
		}
		if p.Doc != "" {
			x["description"] = p.Doc
		}
		if p.Type == "array" {
			x["items"] = map[string]any{}
			if p.Items != "any" {
				x["items"] = map[string]any{"type": p.Items}
			}
		}
		props[p.Name] = x
		if p.Required {
			required = append(required, p.Name)
		}
	}
	out := map[string]any{"type": "object", "properties": props}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

func (a *API) openAPI(w http.ResponseWriter, r *http.Request) { a.answer(w, r, a.document()) }
