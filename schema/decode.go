package schema

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Decode sets the fields of into that the tree names: a tree of map[string]any,
// []any, string, bool, int64 and float64 as TOML and ReadJSON give it. Each named
// field gets a fresh value; the others keep theirs. Unknown keys are warned of.
// Errors say where; into is then partly set and not to be used.
func Decode[C any](tree map[string]any, into *C) Report {
	var d decoder
	d.object([]reflect.Value{reflect.ValueOf(into).Elem()}, tree, "")
	d.check("", into)
	return d.Report
}

// DecodeDeclaration decodes a resource as a file declares it. What is not named
// in config stays as def has it. Flat kinds have their settings beside the name.
func DecodeDeclaration[C any](tree map[string]any, def C, flat bool) (Declaration[C], Report) {
	var d decoder
	out := Declaration[C]{Tags: []string{}, After: []string{}, Config: def}
	if !flat {
		tree = d.misplaced(reflect.TypeFor[C](), reflect.TypeFor[Declaration[C]](), tree)
		d.object([]reflect.Value{reflect.ValueOf(&out).Elem()}, tree, "")
		d.check("config", &out.Config)
		return out, d.Report
	}
	var head struct {
		Name        string `json:"name" required:"true"`
		Description string `json:"description"`
	}
	d.object([]reflect.Value{reflect.ValueOf(&head).Elem(), reflect.ValueOf(&out.Config).Elem()}, tree, "")
	d.check("", &out.Config)
	out.Name, out.Description = head.Name, head.Description
	return out, d.Report
}

// Declared returns the canonical names of C's fields that the tree names.
func Declared[C any](tree map[string]any) []string {
	var out []string
	for _, f := range structFields(reflect.TypeFor[C]()) {
		for _, n := range f.names {
			if _, ok := tree[n]; ok {
				out = append(out, f.Name)
			}
		}
	}
	return out
}

// unmarshalTree lets encoding/json read a type by the same rules.
func unmarshalTree(b []byte, into any) error {
	tree, err := readJSON(b)
	if err != nil {
		return err
	}
	var d decoder
	d.value(reflect.ValueOf(into).Elem(), tree, "", structField{})
	return d.Err()
}

// treeDecoder is a type with its own reading of a tree.
type treeDecoder interface {
	decodeTree(d *decoder, path string, in any)
}

// stringForm is an object that may be written as a string.
type stringForm interface{ fromString(s string) }

// defaulter is a nested type whose fields have defaults.
type defaulter interface{ setDefaults() }

func freshValue(t reflect.Type) reflect.Value {
	p := reflect.New(t)
	if d, ok := reflect.TypeAssert[defaulter](p); ok {
		d.setDefaults()
	}
	return p.Elem()
}

type decoder struct{ Report }

func (d *decoder) wrong(path string, in any, want string) {
	d.fail(path, "want %s, have %s", want, typeWord(in))
}

func (d *decoder) check(at string, v any) {
	c, ok := v.(Checker)
	if !ok || len(d.Errors) > 0 {
		return
	}
	r := c.Check()
	for _, e := range r.Errors {
		d.fail(join(at, e.Path), "%s", e.Msg)
	}
	for _, w := range r.Warnings {
		d.warn(join(at, w.Path), "%s", w.Msg)
	}
}

// fresh decodes an object into *into, which must point to a struct.
func (d *decoder) fresh(into any, in any, path string) {
	d.value(reflect.ValueOf(into).Elem(), in, path, structField{})
}

// object decodes a table into one or more structs that share its keys.
func (d *decoder) object(into []reflect.Value, tree map[string]any, path string) {
	if len(into) == 1 && isUnion(into[0].Type()) {
		d.union(into[0], tree, path, true)
		return
	}
	keys := keysOf(tree)
	for _, v := range into {
		for _, f := range structFields(v.Type()) {
			key := d.take(keys, f.names, path)
			switch {
			case key != "" && tree[key] != nil:
				d.value(v.FieldByIndex(f.index), tree[key], join(path, key), f)
			case key == "" && f.Required:
				d.fail(join(path, f.Name), "is missing")
			}
		}
	}
	d.leftOver(keys, path)
}

// tableKeys are the keys of a table: which of them were taken, and those there
// can be.
type tableKeys struct {
	tree  map[string]any
	taken []string
	known [][]string
}

func keysOf(tree map[string]any) *tableKeys { return &tableKeys{tree: tree} }

// take returns which of the names of one setting the table has, or "". Having
// two of them is an error.
func (d *decoder) take(k *tableKeys, names []string, path string) string {
	k.known = append(k.known, names)
	used := ""
	for _, n := range names {
		if _, ok := k.tree[n]; !ok {
			continue
		}
		k.taken = append(k.taken, n)
		if used == "" {
			used = n
			continue
		}
		d.fail(join(path, n), "is the same setting as %s: give one of them", used)
	}
	return used
}

// leftOver warns of the keys that nobody took.
func (d *decoder) leftOver(k *tableKeys, path string) {
	if len(k.taken) == len(k.tree) {
		return
	}
	known := slices.Concat(k.known...)
	for _, n := range sorted(k.tree) {
		if !slices.Contains(k.taken, n) {
			d.unknownKey(join(path, n), meant(n, known))
		}
	}
}

// misplaced says of settings that stand beside config that they belong into it,
// and returns the tree without them.
func (d *decoder) misplaced(config, outer reflect.Type, tree map[string]any) map[string]any {
	own := structFields(outer)
	var wrong []string
	for n := range tree {
		if !slices.ContainsFunc(own, func(o structField) bool { return o.Name == n }) && isNamed(structFields(config), n) {
			wrong = append(wrong, n)
		}
	}
	if len(wrong) == 0 {
		return tree
	}
	slices.Sort(wrong)
	tree = maps.Clone(tree)
	for _, n := range wrong {
		d.unknownKey(n, ": it belongs into config, as config."+n)
		delete(tree, n)
	}
	return tree
}

// isNamed reports whether a name is one of a field, or an alias.
func isNamed(fields []structField, name string) bool {
	return slices.ContainsFunc(fields, func(f structField) bool { return slices.Contains(f.names, name) })
}

func (d *decoder) value(v reflect.Value, in any, path string, f structField) {
	if t, ok := reflect.TypeAssert[treeDecoder](v.Addr()); ok {
		t.decodeTree(d, path, in)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		d.value(p.Elem(), in, path, f)
		v.Set(p)
	case reflect.Struct:
		d.structValue(v, in, path)
	case reflect.Slice:
		d.slice(v, in, path, f)
	case reflect.String:
		d.text(v, in, path, f)
	default:
		d.scalar(v, in, path)
	}
}

func (d *decoder) structValue(v reflect.Value, in any, path string) {
	tree, isTable := in.(map[string]any)
	text, isText := in.(string)
	from, canText := reflect.TypeAssert[stringForm](v.Addr())
	switch {
	case isUnion(v.Type()):
		d.union(v, in, path, path == "config")
	case isTable && path == "config":
		d.object([]reflect.Value{v}, tree, path) // a config overlays its defaults
	case isTable:
		v.Set(freshValue(v.Type()))
		d.object([]reflect.Value{v}, tree, path)
	case isText && canText:
		from.fromString(text)
	case canText:
		d.wrong(path, in, "a string or a table")
	default:
		d.wrong(path, in, "a table")
	}
}

func (d *decoder) slice(v reflect.Value, in any, path string, f structField) {
	list, ok := in.([]any)
	if !ok {
		d.wrong(path, in, "a list")
		return
	}
	out := reflect.MakeSlice(v.Type(), len(list), len(list))
	for i, item := range list {
		out.Index(i).Set(freshValue(v.Type().Elem()))
		d.value(out.Index(i), item, index(path, i), structField{enum: f.enum, Field: Field{Enum: f.Enum}})
	}
	v.Set(out)
}

func (d *decoder) text(v reflect.Value, in any, path string, f structField) {
	s, ok := in.(string)
	if !ok {
		d.wrong(path, in, "a string")
		return
	}
	if f.enum != nil {
		value, known := f.enum[s]
		if !known {
			d.fail(path, "%q is none of %s%s", s, strings.Join(f.Enum, ", "), meant(s, f.Enum))
			return
		}
		s = value
	}
	v.SetString(s)
}

func (d *decoder) scalar(v reflect.Value, in any, path string) {
	switch v.Kind() {
	case reflect.Bool:
		b, ok := in.(bool)
		if !ok {
			d.wrong(path, in, "true or false")
		}
		v.SetBool(b)
	case reflect.Int, reflect.Int64:
		n, ok := in.(int64)
		if !ok {
			d.wrong(path, in, "a whole number")
		}
		v.SetInt(n)
	case reflect.Float64:
		n, ok := in.(float64)
		if i, isInt := in.(int64); isInt {
			n, ok = float64(i), true
		}
		if !ok || math.IsNaN(n) || math.IsInf(n, 0) {
			d.wrong(path, in, "a number")
			return
		}
		v.SetFloat(n)
	default:
		d.fail(path, "a setting of type %s cannot be read", v.Type())
	}
}

// stringList reads a list of strings, verbatim.
func (d *decoder) stringList(path string, in any, want string) ([]string, bool) {
	list, ok := in.([]any)
	if !ok {
		d.wrong(path, in, want)
		return nil, false
	}
	out := make([]string, 0, len(list))
	for i, item := range list {
		s, isText := item.(string)
		if !isText {
			d.wrong(index(path, i), item, "a string")
			return nil, false
		}
		out = append(out, s)
	}
	return out, true
}

func typeWord(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "true or false"
	case int64:
		return "the number " + strconv.FormatInt(v, 10)
	case float64:
		return "the number " + strconv.FormatFloat(v, 'g', -1, 64)
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return fmt.Sprintf("a value of type %T", v)
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	if key == "" {
		return path
	}
	return path + "." + key
}

func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }
