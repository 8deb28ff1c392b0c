package resource

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"berth/schema"
)

// tomlWriter writes tables as Komodo does: dotted keys for what is nested, arrays
// longer than a few words an item per line, texts of several lines between three
// quotes.
type tomlWriter struct{ strings.Builder }

// inlineArray is how many characters an array may have on one line.
const inlineArray = 30

func (w *tomlWriter) line(format string, args ...any) {
	fmt.Fprintf(&w.Builder, format, args...)
	w.WriteByte('\n')
}

// table writes the settings that are not the default, below the prefix.
func (w *tomlWriter) table(prefix string, fields []schema.Field, tree map[string]any) {
	kind, _ := tree["type"].(string)
	for _, f := range fields {
		v, given := tree[f.Name]
		key := dot(prefix, shortKey(f))
		nested, isTable := v.(map[string]any)
		switch {
		case !given || v == nil:
		case f.Variants != nil:
			w.params(key, f.Variants[kind], nested)
		case f.Name == "type" && f.Required: // of a union, which needs it
			w.pair(key, v)
		case !f.Required && isDefault(f, v):
		case f.Type == "Version":
			w.pair(key, fmt.Sprintf("%v.%v.%v", nested["major"], nested["minor"], nested["patch"]))
		case isTable && len(f.Fields) > 0:
			w.table(key, f.Fields, nested)
		default:
			w.pair(key, compact(f, v))
		}
	}
}

// params writes the settings of a union's type, an empty table when there are none.
func (w *tomlWriter) params(key string, fields []schema.Field, tree map[string]any) {
	before := w.Len()
	w.table(key, fields, tree)
	if w.Len() == before {
		w.line("%s = {}", key)
	}
}

// compact leaves out of a list's tables what is the default.
func compact(f schema.Field, v any) any {
	list, ok := v.([]any)
	if !ok || len(f.Fields) == 0 {
		return v
	}
	out := make([]any, len(list))
	for i, item := range list {
		m, ok := item.(map[string]any)
		if !ok {
			out[i] = item
			continue
		}
		var t orderedTable
		for _, inner := range f.Fields {
			if value, given := m[inner.Name]; given && value != nil && (inner.Required || !isDefault(inner, value)) {
				t = append(t, orderedPair{shortKey(inner), compact(inner, value)})
			}
		}
		out[i] = t
	}
	return out
}

// orderedTable is a table whose keys have an order.
type orderedTable []orderedPair

type orderedPair struct {
	key   string
	value any
}

func (w *tomlWriter) pair(key string, v any) {
	list, isList := v.([]any)
	if s, ok := v.(string); ok {
		w.line("%s = %s", key, longText(s))
		return
	}
	one := inline(v)
	if !isList || len(one) <= inlineArray+2 {
		w.line("%s = %s", key, one)
		return
	}
	w.line("%s = [", key)
	for _, item := range list {
		w.line("  %s,", inline(item))
	}
	w.line("]")
}

// inline writes a value on one line.
func inline(v any) string {
	switch v := v.(type) {
	case string:
		return quote(v)
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return number(v.String())
	case []any:
		parts := make([]string, len(v))
		for i, item := range v {
			parts[i] = inline(item)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case orderedTable:
		parts := make([]string, len(v))
		for i, p := range v {
			parts[i] = bare(p.key) + " = " + inline(p.value)
		}
		return braces(parts)
	case map[string]any:
		parts := make([]string, 0, len(v))
		for _, key := range sortedKeys(v) {
			if v[key] != nil {
				parts = append(parts, bare(key)+" = "+inline(v[key]))
			}
		}
		return braces(parts)
	}
	return `""`
}

func braces(parts []string) string {
	if len(parts) == 0 {
		return "{}"
	}
	return "{ " + strings.Join(parts, ", ") + " }"
}

// number writes a JSON number: one that is too large for a whole number of TOML
// is a float.
func number(s string) string {
	if _, err := strconv.ParseInt(s, 10, 64); err == nil || strings.ContainsAny(s, ".eE") {
		return s
	}
	return s + ".0"
}

// longText writes several lines between three quotes, where backslashes stand for
// themselves (reference: resources.md §1.1), if the text allows it.
func longText(s string) string {
	if strings.Contains(s, "\n") && !strings.Contains(s, `"""`) && !strings.HasSuffix(s, `"`) && !strings.ContainsFunc(s, control) {
		return "\"\"\"\n" + s + "\"\"\""
	}
	return quote(s)
}

func control(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f }

// quote writes a basic string.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case control(r):
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func bare(key string) string {
	if key != "" && !strings.ContainsFunc(key, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
	}) {
		return key
	}
	return quote(key)
}
