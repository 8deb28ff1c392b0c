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
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			walkRefs(v.Index(i), fmt.Sprintf("%s[%d]", path, i), to)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if kind := f.Tag.Get("ref"); kind == "" {
				walkRefs(v.Field(i), dot(path, name), to)
			} else if s := v.Field(i).String(); s != "" {
				v.Field(i).SetString(to(reference{dot(path, name), kind, s}))
			}
		}
	default:
	}
}

func dot(path, key string) string {
	if path == "" || key == "" {
		return path + key
	}
	return path + "." + key
}
