package schema

import (
	"encoding/json"
	"reflect"
	"strings"
	"sync"
)

// A union is a struct with a Type and one pointer per variant, tagged
// variant:"Name": the one that Type names is set, the others are nil. It is
// written as { type, params }, both of which must be given.

// isUnion reports whether t is such a struct.
func isUnion(t reflect.Type) bool {
	if t.Kind() != reflect.Struct {
		return false
	}
	names, _ := variantsOf(t)
	return len(names) > 0
}

// variants are what variantsOf read: reading tags is slow.
var variants sync.Map // reflect.Type → variantSet

type variantSet struct {
	names []string
	index map[string]int
}

// variantsOf returns the names of a union's variants and the fields that hold
// them. Nobody writes into what it returns.
func variantsOf(t reflect.Type) (names []string, index map[string]int) {
	if known, ok := variants.Load(t); ok {
		v := known.(variantSet) //nolint:forcetypeassert // nothing else is stored
		return v.names, v.index
	}
	index = map[string]int{}
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get("variant"); name != "" {
			names = append(names, name)
			index[name] = i
		}
	}
	variants.Store(t, variantSet{names, index})
	return names, index
}

// unionFields are the two fields that the outside sees of a union.
func unionFields(v reflect.Value) []Field {
	names, index := variantsOf(v.Type())
	params := map[string][]Field{}
	for _, name := range names {
		params[name] = fieldsOf(freshValue(v.Type().Field(index[name]).Type.Elem()))
	}
	def, _ := plain(v.Interface()).(map[string]any)
	return []Field{
		{Name: "type", Type: "enum", Enum: names, Required: true, Doc: "Which one it is.", Default: def["type"]},
		{Name: "params", Type: "params", Required: true, Doc: "The settings of the type.", Default: def["params"], Variants: params},
	}
}

func marshalUnion(union any) ([]byte, error) {
	v := reflect.ValueOf(union)
	_, index := variantsOf(v.Type())
	kind := v.FieldByName("Type").String()
	out := struct {
		Type   string `json:"type"`
		Params any    `json:"params"`
	}{kind, struct{}{}}
	if i, ok := index[kind]; ok && !v.Field(i).IsNil() {
		out.Params = v.Field(i).Interface()
	}
	return json.Marshal(out)
}

// union decodes { type, params } into the struct that v is. Settings that params
// does not name have their default, or stay as they are with keep when the type
// does.
func (d *decoder) union(v reflect.Value, in any, path string, keep bool) {
	tree, ok := in.(map[string]any)
	if !ok {
		d.wrong(path, in, "a table { type, params }")
		return
	}
	keys := keysOf(tree)
	d.take(keys, []string{"type"}, path)
	d.take(keys, []string{"params"}, path)
	d.leftOver(keys, path)
	names, index := variantsOf(v.Type())
	name, isText := tree["type"].(string)
	switch {
	case tree["type"] == nil:
		d.fail(join(path, "type"), "is missing: one of %s", strings.Join(names, ", "))
		return
	case !isText:
		d.wrong(join(path, "type"), tree["type"], "a string")
		return
	}
	i, known := index[name]
	if !known {
		d.fail(join(path, "type"), "%q is none of %s%s", name, strings.Join(names, ", "), meant(name, names))
		return
	}
	params, ok := tree["params"].(map[string]any)
	switch {
	case tree["params"] == nil:
		d.fail(join(path, "params"), "is missing: give params = {} when there are none")
		return
	case !ok:
		d.wrong(join(path, "params"), tree["params"], "a table")
		return
	}
	chosen := reflect.New(v.Type().Field(i).Type.Elem())
	chosen.Elem().Set(freshValue(chosen.Type().Elem()))
	if keep && v.FieldByName("Type").String() == name && !v.Field(i).IsNil() {
		chosen.Elem().Set(v.Field(i).Elem())
	}
	d.object([]reflect.Value{chosen.Elem()}, params, join(path, "params"))
	for _, other := range index {
		v.Field(other).SetZero()
	}
	v.FieldByName("Type").SetString(name)
	v.Field(i).Set(chosen)
}

// Variant returns the part of a union that is set and the name under which it is
// written ("params"); ok is false for everything that is no union.
func Variant(v reflect.Value) (part reflect.Value, ok bool) {
	if !isUnion(v.Type()) {
		return part, false
	}
	_, index := variantsOf(v.Type())
	i, known := index[v.FieldByName("Type").String()]
	if !known || v.Field(i).IsNil() {
		return part, false
	}
	return v.Field(i).Elem(), true
}
