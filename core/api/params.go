package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"berth/schema"
)

// Param is what is known of one parameter, read from its struct tags: json (the
// name; omitempty or omitzero makes it optional), alias, doc.
type Param struct {
	Name     string   `json:"name"`
	Aliases  []string `json:"aliases,omitempty"`
	Type     string   `json:"type"` // string, integer, number, boolean, object, array, any
	Items    string   `json:"items,omitempty"`
	Required bool     `json:"required"`
	Doc      string   `json:"doc,omitempty"`
	Enum     []string `json:"enum,omitempty"`
	index    []int
	typ      reflect.Type        // where it is a field's
	shape    func(s *shapes) any // instead of the type's
}

// paramsOf lists the parameters of a struct type in the order of its fields.
func paramsOf(t reflect.Type) []Param {
	var out []Param
	if t == nil || t.Kind() != reflect.Struct {
		return out
	}
	for _, f := range reflect.VisibleFields(t) {
		name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || !f.IsExported() || name == "" || name == "-" {
			continue
		}
		p := Param{
			Name: name, Type: jsonType(f.Type), Doc: f.Tag.Get("doc"), index: f.Index, typ: f.Type,
			Required: !strings.Contains(opts, "omit"),
		}
		if p.Type == "array" {
			p.Items = jsonType(deref(f.Type).Elem())
		}
		if a := f.Tag.Get("alias"); a != "" {
			p.Aliases = strings.Split(a, ",")
		}
		if e := f.Tag.Get("enum"); e != "" {
			p.Enum = enumOf(e)
		}
		out = append(out, p)
	}
	return out
}

func deref(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// jsonType names the JSON type of a Go type.
func jsonType(t reflect.Type) string {
	t = deref(t)
	switch t {
	case reflect.TypeFor[json.RawMessage]():
		return "any"
	case reflect.TypeFor[schema.StrList]():
		return "array"
	}
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int64, reflect.Int32, reflect.Uint, reflect.Uint64, reflect.Uint16, reflect.Uint32:
		return "integer"
	case reflect.Float64, reflect.Float32:
		return "number"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "string"
		}
		return "array"
	case reflect.Struct, reflect.Map:
		return "object"
	default:
		return "any"
	}
}

// decodeParams reads the parameters of a request: unknown keys are ignored, a
// missing one that is required and one of the wrong type are Invalid. The fields
// of P may have aliases.
func decodeParams[P any](raw json.RawMessage) (P, error) {
	var p P
	if len(bytes.TrimSpace(raw)) == 0 {
		raw = json.RawMessage("{}")
	}
	t := reflect.TypeFor[P]()
	if t.Kind() != reflect.Struct {
		return p, unreadable(json.Unmarshal(raw, &p), "the parameters are not what is asked for")
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(raw, &keys); err != nil {
		return p, schema.Errorf(schema.Invalid, "the parameters are not a JSON object")
	}
	v := reflect.ValueOf(&p).Elem()
	for _, f := range paramsOf(t) {
		value, given := keys[f.Name]
		for _, a := range f.Aliases {
			if !given {
				value, given = keys[a]
			}
		}
		isNull := bytes.Equal(bytes.TrimSpace(value), []byte("null"))
		if !given || isNull {
			if f.Required {
				return p, lacking(f.Name, paramsOf(t), keys)
			}
			continue
		}
		if err := json.Unmarshal(value, v.FieldByIndex(f.index).Addr().Interface()); err != nil {
			return p, unreadable(err, "parameter %q: want %s, have %s", f.Name, article(f), cut(string(value), 60))
		}
	}
	return p, nil
}

// unreadable is why a value was refused: what its type says of it, which knows best
// what is allowed there, or else the text.
func unreadable(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	text := fmt.Sprintf(format, args...)
	if e, ok := errors.AsType[*schema.Error](err); ok {
		before, _, _ := strings.Cut(text, ": want ")
		text = before + ": " + schema.SafeText(e)
	}
	return schema.Errorf(schema.Invalid, "%s", text)
}

// lacking says that a required parameter is not there, and by which other name it
// may have been meant. Parameters nobody knows are no mistake by themselves.
func lacking(name string, known []Param, given map[string]json.RawMessage) error {
	for _, k := range slices.Sorted(maps.Keys(given)) {
		is := func(p Param) bool { return p.Name == k || slices.Contains(p.Aliases, k) }
		if !slices.ContainsFunc(known, is) && schema.Nearest(k, []string{name}) != "" {
			return schema.Errorf(schema.Invalid, "parameter %q is missing, and there is none %q: did you mean %q?", name, cut(k, 60), name)
		}
	}
	return schema.Errorf(schema.Invalid, "parameter %q is missing", name)
}

func article(p Param) string {
	switch p.Type {
	case "array":
		return "a list"
	case "integer":
		return "a whole number"
	case "object":
		return "an object"
	case "boolean":
		return "true or false"
	}
	return "a " + p.Type
}
