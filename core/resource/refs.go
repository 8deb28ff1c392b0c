package resource

import (
	"fmt"
	"reflect"
	"strings"

	"berth/schema"
)

// reference is a place in settings that names another resource.
type reference struct {
	path  string // canonical: "stages[0].executions[1].execution.params.stack"
	kind  string
	value string // name or id
}

// top returns the setting the reference is in.
func (r reference) top() string {
	name, _, _ := strings.Cut(r.path, ".")
	name, _, _ = strings.Cut(name, "[")
	return name
}

// refsOf returns all references that are set. It only reads.
func refsOf[C any](config *C) []reference {
	var out []reference
	walk := refWalk{visit: func(r reference, _ func(string)) { out = append(out, r) }}
	walk.value(reflect.ValueOf(config).Elem(), "")
	return out
}

// mapRefs returns a copy of the settings with every reference that is set
// replaced by what to returns for it.
func mapRefs[C any](config C, to func(reference) string) (C, error) {
	out, err := clone(config)
	walk := refWalk{writes: true, visit: func(r reference, set func(string)) { set(to(r)) }}
	walk.value(reflect.ValueOf(&out).Elem(), "")
	return out, err
}

// refWalk calls visit for every reference that is set. Only with writes may visit
// call set.
type refWalk struct {
	writes bool
	visit  func(r reference, set func(string))
}

func (w refWalk) value(v reflect.Value, path string) {
	if e, ok := reflect.TypeAssert[*schema.Execution](v.Addr()); ok {
		w.execution(e, path)
		return
	}
	if part, ok := schema.Variant(v); ok {
		w.value(part, dot(path, "params"))
		return
	}
	switch v.Kind() {
	case reflect.Slice:
		if !mayRefer(v.Type().Elem()) {
			return
		}
		for i := range v.Len() {
			w.value(v.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			tag := f.Tag.Get("ref")
			if tag == "" && !mayRefer(f.Type) {
				continue
			}
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			w.field(v.Field(i), refKind(v, tag), dot(path, name))
		}
	default:
	}
}

// mayRefer reports whether a value of the type can hold references.
func mayRefer(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Struct:
		return true
	case reflect.Slice, reflect.Pointer:
		return mayRefer(t.Elem())
	default:
		return false
	}
}

// execution visits what the parameters name.
func (w refWalk) execution(e *schema.Execution, path string) {
	if !w.writes {
		for _, p := range e.Refs() {
			if p.Value != "" {
				w.visit(reference{dot(path, "params."+p.Param), p.Kind, p.Value}, nil)
			}
		}
		return
	}
	*e = e.MapRefs(func(p schema.ParamRef) string {
		if p.Value != "" {
			w.visit(reference{dot(path, "params."+p.Param), p.Kind, p.Value}, func(s string) { p.Value = s })
		}
		return p.Value
	})
}

// refKind is the kind that a tag says a field refers to: "@type" is the one that
// the field Type beside it names.
func refKind(v reflect.Value, tag string) string {
	if tag != "@type" {
		return tag
	}
	return schema.KindOf(v.FieldByName("Type").String())
}

// field visits what one field refers to, or looks deeper when it is none.
func (w refWalk) field(v reflect.Value, kind, path string) {
	switch {
	case kind == "":
		w.value(v, path)
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			w.field(v.Index(i), kind, fmt.Sprintf("%s[%d]", path, i))
		}
	case v.String() != "":
		w.visit(reference{path, kind, v.String()}, v.SetString)
	}
}

func dot(path, key string) string {
	if path == "" || key == "" {
		return path + key
	}
	return path + "." + key
}
