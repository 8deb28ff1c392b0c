package secrets

import (
	"bytes"
	stdjson "encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/stores"

	"berth/mask"
	"berth/schema"
)

// Value is a secret value and the name it is masked with. A name may occur
// several times: raw and without its quotes, for instance.
type Value struct {
	Name  string
	Value string
}

// Values returns the values of a plain file by the format of its name, for
// masking: the variables of a .env file, all leaves of JSON and YAML, the whole
// of anything else under the file's name. Code Invalid if it cannot be parsed.
func Values(path string, plain []byte) ([]Value, error) {
	format := formatOf(path)
	switch format {
	case "dotenv":
		return dotenvValues(plain), nil
	case "binary":
		return []Value{{Name: "SECRET_FILE", Value: string(plain)}}, nil
	}
	branches, err := storeFor(path).LoadPlainFile(plain)
	if err != nil {
		return nil, schema.Errorf(schema.Invalid, "read %s: %s", path, shape(path, err))
	}
	var values []Value
	for _, l := range leaves(branches) {
		values = appendValue(values, format, l)
	}
	return values, nil
}

// leaf is a value of a tree with the keys that lead to it.
type leaf struct {
	path  []string
	value any
}

// leaves lists the values of a tree in order, comments excluded.
func leaves(branches sops.TreeBranches) []leaf {
	var out []leaf
	var walk func(path []string, v any)
	walk = func(path []string, v any) {
		switch v := v.(type) {
		case sops.TreeBranch:
			for _, item := range v {
				if _, ok := item.Key.(sops.Comment); ok {
					continue
				}
				walk(append(slices.Clip(path), fmt.Sprint(item.Key)), item.Value)
			}
		case []any:
			for i, item := range v {
				walk(append(slices.Clip(path), strconv.Itoa(i)), item)
			}
		default:
			out = append(out, leaf{path, v})
		}
	}
	for _, b := range branches {
		walk(nil, b)
	}
	return out
}

// revealed returns the leaves that were encrypted before and are open after.
func revealed(format string, before, after []leaf) []Value {
	var values []Value
	for i, l := range after {
		if i >= len(before) {
			break
		}
		if s, ok := before[i].value.(string); ok && strings.HasPrefix(s, "ENC[") {
			values = appendValue(values, format, l)
		}
	}
	return values
}

// appendValue adds the text forms of a leaf. Booleans and nothing are no secrets.
func appendValue(values []Value, format string, l leaf) []Value {
	var text string
	switch v := l.value.(type) {
	case nil, bool, sops.Comment:
		return values
	case string:
		text = v
	case []byte:
		text = string(v)
	default:
		text = stores.ValToString(v)
	}
	if text == "" {
		return values
	}
	name := nameOf(l.path)
	if format == "dotenv" {
		for _, form := range dotenvForms(text) {
			values = append(values, Value{name, form})
		}
		return values
	}
	values = append(values, Value{name, text})
	// A document in a value (a service account's JSON, say) is often read apart.
	var doc any
	if len(text) > 1 && (text[0] == '{' || text[0] == '[') && stdjson.Unmarshal([]byte(text), &doc) == nil {
		values = appendDocument(values, name, doc)
	}
	return values
}

// appendDocument adds the longer strings of a JSON document within a value.
func appendDocument(values []Value, name string, doc any) []Value {
	switch v := doc.(type) {
	case map[string]any:
		for _, item := range v {
			values = appendDocument(values, name, item)
		}
	case []any:
		for _, item := range v {
			values = appendDocument(values, name, item)
		}
	case string:
		if len(v) >= mask.MinFragment {
			values = append(values, Value{name, v})
		}
	}
	return values
}

// nameOf makes a mask's name from the keys of a leaf: db.pass, list.0.
func nameOf(path []string) string {
	if len(path) == 0 {
		return "SECRET"
	}
	return strings.Join(path, ".")
}

func dotenvValues(plain []byte) []Value {
	var values []Value
	for line := range bytes.Lines(plain) {
		text := strings.TrimSpace(string(line))
		if strings.HasPrefix(text, "#") {
			continue
		}
		key, value, ok := strings.Cut(strings.TrimPrefix(text, "export "), "=")
		if !ok {
			continue
		}
		for _, form := range dotenvForms(value) {
			values = append(values, Value{strings.TrimSpace(key), form})
		}
	}
	return values
}

// dotenvForms returns the forms under which a .env value shows up: as it stands
// (sops and `docker run --env-file`), and without quotes and escapes (compose).
func dotenvForms(raw string) []string {
	raw = strings.TrimSpace(raw)
	forms := []string{raw}
	add := func(s string) {
		if slices.Contains(forms, s) {
			return
		}
		if s != "" {
			forms = append(forms, s)
		}
	}
	inner := raw
	if n := len(raw); n >= 2 && (raw[0] == '"' || raw[0] == '\'') {
		if end := strings.LastIndexByte(raw, raw[0]); end > 0 {
			inner = raw[1:end]
			add(inner)
		}
	} else if before, _, ok := strings.Cut(raw, " #"); ok {
		inner = strings.TrimSpace(before)
		add(inner)
	}
	add(strings.NewReplacer(`\n`, "\n", `\r`, "\r", `\t`, "\t", `\"`, `"`, `\'`, `'`, `\$`, `$`, `\\`, `\`).Replace(inner))
	add(strings.ReplaceAll(inner, "$$", "$"))
	return forms
}
