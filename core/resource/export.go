package resource

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"berth/schema"
)

// TOML returns a resource, as its kind shows it, in the form of a file: only what
// differs from the defaults, secrets left out.
func TOML(k Any, shown json.RawMessage) (string, error) {
	var doc struct {
		Name        string         `json:"name"`
		Description string         `json:"description"`
		Template    bool           `json:"template"`
		Tags        []string       `json:"tags"`
		Config      map[string]any `json:"config"`
	}
	dec := json.NewDecoder(bytes.NewReader(shown))
	dec.UseNumber()
	if err := dec.Decode(&doc); err != nil {
		return "", fmt.Errorf("read %s: %w", k.Name(), err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "[[%s]]\nname = %s\n", k.Name(), quote(doc.Name))
	if doc.Description != "" {
		fmt.Fprintf(&b, "description = %s\n", quote(doc.Description))
	}
	if doc.Template {
		b.WriteString("template = true\n")
	}
	if len(doc.Tags) > 0 {
		fmt.Fprintf(&b, "tags = %s\n", value(anys(doc.Tags)))
	}
	head := "[" + k.Name() + ".config]\n"
	if k.Name() == "variable" {
		head = ""
	}
	for _, f := range k.Fields() {
		v, ok := doc.Config[f.Name]
		if !ok || v == nil || v == Mask || isDefault(f, v) {
			continue
		}
		b.WriteString(head)
		head = ""
		fmt.Fprintf(&b, "%s = %s\n", exported(f), value(v))
	}
	return b.String(), nil
}

// exported is the name under which files have a field: server_id is written server.
func exported(f schema.Field) string {
	if f.Ref != "" && len(f.Aliases) > 0 {
		return f.Aliases[0]
	}
	return f.Name
}

func isDefault(f schema.Field, v any) bool {
	def, err := json.Marshal(f.Default)
	if err != nil {
		return false
	}
	got, err := json.Marshal(v)
	if err != nil {
		return false
	}
	var a, b any
	if json.Unmarshal(def, &a) != nil || json.Unmarshal(got, &b) != nil {
		return false
	}
	return reflect.DeepEqual(a, b) || a == nil && empty(b)
}

func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case bool:
		return !v
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	case float64:
		return v == 0
	}
	return false
}

func anys(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

// value writes a JSON value as TOML on one line, texts of several lines excepted.
func value(v any) string {
	switch v := v.(type) {
	case string:
		return longText(v)
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return v.String()
	case []any:
		parts := make([]string, len(v))
		for i, item := range v {
			parts[i] = value(item)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		keys := make([]string, 0, len(v))
		for key := range v {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		parts := make([]string, 0, len(v))
		for _, key := range keys {
			if v[key] != nil {
				parts = append(parts, bare(key)+" = "+value(v[key]))
			}
		}
		return "{ " + strings.Join(parts, ", ") + " }"
	}
	return `""`
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
