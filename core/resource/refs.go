package resource

import (
	"encoding/json"
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

// refsOf returns all references that are set.
func refsOf[C any](config C) ([]reference, error) {
	var out []reference
	_, err := mapRefs(config, func(r reference) string {
		out = append(out, r)
		return r.value
	})
	return out, err
}

// mapRefs returns a copy of the settings with every reference that is set
// replaced by what to returns for it.
func mapRefs[C any](config C, to func(reference) string) (C, error) {
	out, err := clone(config)
	if err == nil {
		walkRefs(reflect.ValueOf(&out).Elem(), "", to)
	}
	return out, err
}

// clone copies settings so that nothing is shared.
func clone[T any](v T) (T, error) {
	var out T
	b, err := json.Marshal(v)
	if err != nil {
		return out, fmt.Errorf("copy %T: %w", v, err)
	}
	if err := json.Unmarshal(b, &out); err != nil {
		return out, fmt.Errorf("copy %T: %w", v, err)
	}
	return out, nil
}

func walkRefs(v reflect.Value, path string, to func(reference) string) {
	if e, ok := reflect.TypeAssert[*schema.Execution](v.Addr()); ok {
		*e = e.MapRefs(func(p schema.ParamRef) string {
			if p.Value == "" {
				return ""
			}
			return to(reference{dot(path, "params."+p.Param), p.Kind, p.Value})
		})
		return
	}
	if part, ok := schema.Variant(v); ok {
		walkRefs(part, dot(path, "params"), to)
		return
	}
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			walkRefs(v.Index(i), fmt.Sprintf("%s[%d]", path, i), to)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			mapRef(v.Field(i), refKind(v, f.Tag.Get("ref")), dot(path, name), to)
		}
	default:
	}
}

// refKind is the kind that a tag says a field refers to: "@type" is the one that
// the field Type beside it names.
func refKind(v reflect.Value, tag string) string {
	if tag != "@type" {
		return tag
	}
	return schema.KindOf(v.FieldByName("Type").String())
}

// mapRef replaces what one field refers to, or looks deeper when it is none.
func mapRef(v reflect.Value, kind, path string, to func(reference) string) {
	switch {
	case kind == "":
		walkRefs(v, path, to)
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			mapRef(v.Index(i), kind, fmt.Sprintf("%s[%d]", path, i), to)
		}
	case v.String() != "":
		v.SetString(to(reference{path, kind, v.String()}))
	}
}

func dot(path, key string) string {
	if path == "" || key == "" {
		return path + key
	}
	return path + "." + key
}
