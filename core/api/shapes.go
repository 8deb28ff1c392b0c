package api

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"berth/schema"
)

// shapes makes JSON schemas of Go types. Named structs become components; of two
// types with one name the second is numbered, in the order of the table.
type shapes struct {
	components map[string]any
	names      map[shapeKey]string
	// asked makes the schemas of what clients send: nothing within it is required,
	// and text is taken for lists.
	asked bool
}

type shapeKey struct {
	t     reflect.Type
	asked bool
}

func newShapes() *shapes {
	return &shapes{components: map[string]any{}, names: map[shapeKey]string{}}
}

// sent is the same collection of components, for what clients send.
func (s *shapes) sent() *shapes {
	return &shapes{components: s.components, names: s.names, asked: true}
}

// of returns the schema of t.
func (s *shapes) of(t reflect.Type) any {
	if t == nil {
		return map[string]any{}
	}
	t = deref(t)
	if special := s.special(t); special != nil {
		return special
	}
	switch t.Kind() {
	case reflect.Struct:
		return s.structure(t)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return map[string]any{"type": "string", "contentEncoding": "base64"}
		}
		return listShape(s.member(t.Elem()))
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": s.member(t.Elem())}
	case reflect.Int64:
		return map[string]any{"type": "integer", "format": "int64"}
	case reflect.Interface:
		return map[string]any{}
	default:
		return typeShape(jsonType(t))
	}
}

// special describes the types that write themselves.
func (s *shapes) special(t reflect.Type) any {
	switch t {
	case reflect.TypeFor[json.RawMessage]():
		return map[string]any{}
	case reflect.TypeFor[oid]():
		return map[string]any{"type": "object", "properties": map[string]any{"$oid": typeShape("string")}, "required": []string{"$oid"}}
	case reflect.TypeFor[schema.Duration]():
		return map[string]any{"type": "string", "examples": []string{"90s", "10m", "1h30m"}}
	case reflect.TypeFor[schema.StrList]():
		list := listShape(typeShape("string"))
		if s.asked {
			return map[string]any{"anyOf": []any{list, typeShape("string")}}
		}
		return list
	case reflect.TypeFor[schema.RunState]():
		return enumShape(schema.StateQueued, schema.StateWaiting, schema.StateRunning, schema.StateSucceeded, schema.StateWarning,
			schema.StateFailed, schema.StateCanceled, schema.StateSuperseded)
	}
	return nil
}

func enumShape[T ~string](values ...T) map[string]any {
	return map[string]any{"type": "string", "enum": values}
}

func typeShape(name string) map[string]any {
	if name == "any" {
		return map[string]any{}
	}
	return map[string]any{"type": name}
}

func listShape(items any) map[string]any { return map[string]any{"type": "array", "items": items} }

// member is the schema of a member of type t: a pointer may be null.
func (s *shapes) member(t reflect.Type) any {
	if t.Kind() != reflect.Pointer {
		return s.of(t)
	}
	return orNullShape(s.of(t))
}

func orNullShape(shape any) any {
	m, _ := shape.(map[string]any)
	name, simple := m["type"].(string)
	switch {
	case len(m) == 0: // anything already
		return shape
	case simple && m["enum"] == nil:
		m = maps.Clone(m)
		m["type"] = []string{name, "null"}
		return m
	}
	return map[string]any{"anyOf": []any{shape, typeShape("null")}}
}

func (s *shapes) structure(t reflect.Type) any {
	name, _, _ := strings.Cut(t.Name(), "[")
	if name == "" || name == "None" {
		return s.properties(t)
	}
	key := shapeKey{t, s.asked}
	if s.names[key] == "" {
		s.names[key] = s.free(componentName(name))
		s.components[s.names[key]] = map[string]any{} // ends recursion
		s.components[s.names[key]] = s.properties(t)
	}
	return refShape(s.names[key])
}

func refShape(name string) map[string]any {
	return map[string]any{"$ref": "#/components/schemas/" + name}
}

// componentName is what clients call a type.
func componentName(name string) string {
	switch name {
	case "UpdateItem":
		return "UpdateListItem"
	case "target":
		return "ResourceTarget"
	case "problem":
		return "Failure"
	case "resourceQuery":
		return "ResourceQuery"
	}
	return strings.ToUpper(name[:1]) + name[1:]
}

// free is the name, numbered if another type has it.
func (s *shapes) free(name string) string {
	for n := 2; s.components[name] != nil; n++ {
		name = strings.TrimRight(name, "0123456789") + strconv.Itoa(n)
	}
	return name
}

func (s *shapes) properties(t reflect.Type) any {
	props, required := map[string]any{}, []string{}
	for _, f := range reflect.VisibleFields(t) {
		name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || !f.IsExported() || name == "" || name == "-" {
			continue
		}
		optional := strings.Contains(opts, "omit")
		shape := s.member(f.Type)
		switch {
		case s.asked:
		case optional: // left out instead of null
			shape = s.of(f.Type)
		case f.Tag.Get("null") == "true", (f.Type.Kind() == reflect.Slice || f.Type.Kind() == reflect.Map) && foreign(ownerOf(t, f)):
			shape = orNullShape(shape)
		}
		props[name] = withTags(shape, f.Tag)
		if !optional {
			required = append(required, name)
		}
	}
	return objectShape(props, required, s.asked)
}

// ownerOf is the struct that declares a field of t, which may be embedded.
func ownerOf(t reflect.Type, f reflect.StructField) reflect.Type {
	for _, i := range f.Index[:len(f.Index)-1] {
		t = deref(t.Field(i).Type)
	}
	return t
}

// foreign reports whether a type was made for more than the wire: its lists may be
// null. Those of this package's types are lists, unless their tag null says more.
func foreign(t reflect.Type) bool { return t.PkgPath() != reflect.TypeFor[envelope]().PkgPath() }

// objectShape is an object; of what clients send nothing is required.
func objectShape(props map[string]any, required []string, asked bool) map[string]any {
	out := map[string]any{"type": "object", "properties": props}
	if len(required) > 0 && !asked {
		slices.Sort(required)
		out["required"] = required
	}
	return out
}

// withTags adds what a field's tags say to its schema.
func withTags(shape any, tag reflect.StructTag) any {
	m, _ := shape.(map[string]any)
	doc, enum := tag.Get("doc"), tag.Get("enum")
	if doc == "" && enum == "" {
		return shape
	}
	m = maps.Clone(m)
	if doc != "" {
		m["description"] = doc
	}
	if m["type"] == "string" && enum != "" {
		m["enum"] = enumOf(enum)
	}
	return m
}

// enumOf are the values of an enum tag, as they are written.
func enumOf(tag string) []string {
	var out []string
	for one := range strings.SplitSeq(tag, ",") {
		value, _, _ := strings.Cut(one, "|")
		out = append(out, value)
	}
	return out
}

// paramShapes is the schema of a request's parameters.
func (s *shapes) paramShapes(params []Param) map[string]any {
	s = s.sent()
	props, required := map[string]any{}, []string{}
	for _, p := range params {
		shape := typeShape(p.Type)
		switch {
		case p.shape != nil:
			shape, _ = p.shape(s).(map[string]any)
		case p.typ != nil:
			shape, _ = s.member(p.typ).(map[string]any)
		}
		shape = maps.Clone(shape)
		if doc := strings.TrimSpace(p.Doc + aliasText(p.Aliases)); doc != "" {
			shape["description"] = doc
		}
		if len(p.Enum) > 0 && shape["type"] == "string" {
			shape["enum"] = p.Enum
		}
		props[p.Name] = shape
		if p.Required {
			required = append(required, p.Name)
		}
	}
	return objectShape(props, required, false)
}

func aliasText(aliases []string) string {
	if len(aliases) == 0 {
		return ""
	}
	return " Also taken: " + strings.Join(aliases, ", ") + "."
}
