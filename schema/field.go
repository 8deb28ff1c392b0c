package schema

import (
	"encoding/json"
	"reflect"
	"strings"
	"sync"
)

// Field is what is known of one setting, read from its struct tags. TOML, API,
// command line help and forms read it; nothing repeats it.
//
// The tags: json (the canonical name), alias, ref (the kind it refers to), enum
// (comma separated, `|` before spellings that are accepted as well), required,
// secret ("true", or the name of the bool field that makes it one), widget (of a
// form), own (not one of Komodo's), code (a type's name where it differs), doc.
type Field struct {
	Name     string   `json:"name"`
	Aliases  []string `json:"aliases,omitempty"`
	Type     string   `json:"type"` // str, bool, int, float, enum, strlist, kv, filetext, syscmd, list<...>
	Ref      string   `json:"ref,omitempty"`
	Enum     []string `json:"enum,omitempty"`
	Required bool     `json:"required,omitempty"`
	Secret   string   `json:"secret,omitempty"`
	Widget   string   `json:"widget,omitempty"`
	Own      bool     `json:"own,omitempty"`
	Doc      string   `json:"doc"`
	Default  any      `json:"default"`          // as JSON would hold it
	Fields   []Field  `json:"fields,omitempty"` // of objects and lists of objects
	// Variants are the settings of each type of a union's params.
	Variants map[string][]Field `json:"variants,omitempty"`
}

// Fields returns the settings of C in order, with the defaults found in def.
func Fields[C any](def C) []Field { return fieldsOf(reflect.ValueOf(def)) }

func fieldsOf(v reflect.Value) []Field {
	if isUnion(v.Type()) {
		return unionFields(v)
	}
	var out []Field
	for _, sf := range structFields(v.Type()) {
		f := sf.Field
		f.Default = plain(v.FieldByIndex(sf.index).Interface())
		f.Fields = nested(v.Type().FieldByIndex(sf.index).Type)
		out = append(out, f)
	}
	return out
}

// nested returns the fields of a struct type or of a list of them.
func nested(t reflect.Type) []Field {
	if t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || reflect.PointerTo(t).Implements(reflect.TypeFor[treeDecoder]()) {
		return nil
	}
	return fieldsOf(freshValue(t))
}

// plain returns v as encoding/json would read it back.
func plain(v any) any {
	b, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	var out any
	_ = json.Unmarshal(b, &out)
	return out
}

// structField is a Field with its place in the struct.
type structField struct {
	Field
	index []int
	names []string          // Name and Aliases
	enum  map[string]string // accepted spelling → value
}

// fieldCache keeps what structFields read: reading tags is slow.
var fieldCache sync.Map // reflect.Type → []structField

// structFields returns the fields of a struct type by their tags; embedded structs
// count as its own fields. Nobody writes into what it returns.
func structFields(t reflect.Type) []structField {
	if known, ok := fieldCache.Load(t); ok {
		return known.([]structField) //nolint:forcetypeassert // nothing else is stored
	}
	out := readFields(t)
	for i := range out {
		out[i].names = append([]string{out[i].Name}, out[i].Aliases...)
	}
	fieldCache.Store(t, out)
	return out
}

func readFields(t reflect.Type) []structField {
	var out []structField
	if isUnion(t) {
		for _, f := range unionFields(freshValue(t)) {
			out = append(out, structField{Field: f})
		}
		return out
	}
	for sf := range fieldsSeq(t) {
		name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		f := structField{index: sf.Index, Field: Field{
			Name: name, Ref: sf.Tag.Get("ref"), Required: sf.Tag.Get("required") == "true",
			Secret: sf.Tag.Get("secret"), Widget: sf.Tag.Get("widget"), Own: sf.Tag.Get("own") == "true",
			Doc: sf.Tag.Get("doc"), Type: typeCode(sf),
		}}
		if a := sf.Tag.Get("alias"); a != "" {
			f.Aliases = strings.Split(a, ",")
		}
		if e := sf.Tag.Get("enum"); e != "" {
			f.enum = map[string]string{}
			for one := range strings.SplitSeq(e, ",") {
				spellings := strings.Split(one, "|")
				f.Enum = append(f.Enum, spellings[0])
				for _, s := range spellings {
					f.enum[s] = spellings[0]
				}
			}
		}
		out = append(out, f)
	}
	return out
}

func fieldsSeq(t reflect.Type) func(yield func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for _, f := range reflect.VisibleFields(t) {
			if f.Anonymous || !f.IsExported() {
				continue
			}
			if !yield(f) {
				return
			}
		}
	}
}

// typeCode names the type of a field as the reference's tables do.
func typeCode(f reflect.StructField) string {
	if c := f.Tag.Get("code"); c != "" {
		return c
	}
	if f.Tag.Get("enum") != "" {
		return "enum"
	}
	return typeName(f.Type)
}

func typeName(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[StrList]():
		return "strlist"
	case reflect.TypeFor[KV]():
		return "kv"
	case reflect.TypeFor[FileText]():
		return "filetext"
	case reflect.TypeFor[Labels]():
		return "labels"
	case reflect.TypeFor[Conversions]():
		return "conv"
	case reflect.TypeFor[Duration]():
		return "duration"
	case reflect.TypeFor[TermLabels]():
		return "termlabels"
	case reflect.TypeFor[ImageRegistries]():
		return "one-or-many<ImageRegistry>"
	case reflect.TypeFor[SystemCommand]():
		return "syscmd"
	}
	switch t.Kind() {
	case reflect.String:
		return "str"
	case reflect.Bool:
		return "bool"
	case reflect.Int, reflect.Int64:
		return "int"
	case reflect.Float64:
		return "float"
	case reflect.Slice:
		return "list<" + typeName(t.Elem()) + ">"
	case reflect.Pointer:
		return typeName(t.Elem())
	default:
		return t.Name()
	}
}
