package script

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/pelletier/go-toml/v2"

	"berth/schema"
)

// Arguments reads the arguments of an action in one of its formats: key_value
// (all values are strings), toml, yaml or json. All but key_value have an object
// at their root; nothing is no arguments. Invalid names the line where it can.
func Arguments(format, text string) (map[string]any, error) {
	out := map[string]any{}
	var err error
	switch format {
	case "", "key_value":
		vars, err := schema.ParseEnv(text)
		for _, v := range vars {
			out[v.Key] = v.Value
		}
		return out, err
	case "toml":
		if err = toml.Unmarshal([]byte(text), &out); err != nil {
			return nil, errorOf("TOML", err)
		}
	case "yaml":
		root, err := readYAML(text)
		if err != nil {
			return nil, err
		}
		return object(root)
	case "json":
		if blank(text) {
			return out, nil
		}
		var root any
		if err = json.Unmarshal([]byte(text), &root); err != nil {
			return nil, errorOf("JSON", err)
		}
		return object(root)
	default:
		return nil, schema.Errorf(schema.Invalid, "arguments_format %q: want key_value, toml, yaml or json", format)
	}
	return object(out)
}

func blank(text string) bool {
	for _, r := range text {
		if r != ' ' && r != '\t' && r != '\r' && r != '\n' {
			return false
		}
	}
	return true
}

// Bounds of a text of YAML: a few lines of it, with aliases of aliases, can stand for
// more values than there is memory, and deep ones for more calls than there is stack.
const (
	yamlValues = 1_000_000
	yamlDepth  = 1000
)

// readYAML reads YAML as plain data, within the bounds.
func readYAML(text string) (any, error) {
	if nested(text) > yamlDepth {
		return nil, schema.Errorf(schema.TooLarge, "YAML: it is nested deeper than %d levels", yamlDepth)
	}
	var root any
	if err := yaml.Unmarshal([]byte(text), &root); err != nil {
		return nil, errorOf("YAML", err)
	}
	if left := yamlValues; !fits(root, &left, yamlDepth) {
		return nil, schema.Errorf(schema.TooLarge, "YAML: it is more than %d values, aliases counted, or nested deeper than %d levels", yamlValues, yamlDepth)
	}
	return plain(root), nil
}

// nested is how deep a text of YAML may be nested within one line, at most: what it
// opens and does not close, and the marks of lists within lists before its value.
// Quotes are not looked at: what is in them counts, too.
func nested(text string) int {
	open, deepest := 0, 0
	for line := range strings.SplitSeq(text, "\n") {
		marks, leading := 0, true
		for i := range len(line) {
			switch line[i] {
			case ' ', '\t':
			case '-', '?':
				if leading {
					marks++
				}
			case '[', '{':
				open, leading = open+1, false
			case ']', '}':
				open, leading = max(0, open-1), false
			default:
				leading = false
			}
			deepest = max(deepest, open+marks)
		}
	}
	return deepest
}

// fits counts values off left, and reports whether that and depth suffice.
func fits(v any, left *int, depth int) bool {
	if *left--; *left < 0 || depth < 0 {
		return false
	}
	switch v := v.(type) {
	case string:
		*left -= len(v) / 64 // an alias may stand for a long one
		return *left >= 0
	case map[string]any:
		for _, item := range v {
			if !fits(item, left, depth-1) {
				return false
			}
		}
	case map[any]any:
		for _, item := range v {
			if !fits(item, left, depth-1) {
				return false
			}
		}
	case []any:
		for _, item := range v {
			if !fits(item, left, depth-1) {
				return false
			}
		}
	}
	return true
}

// object returns the root of arguments as plain data.
func object(root any) (map[string]any, error) {
	switch v := plain(root).(type) {
	case nil:
		return map[string]any{}, nil
	case map[string]any:
		return v, nil
	}
	return nil, schema.Errorf(schema.Invalid, "arguments: want an object at the root, with a name before each value")
}

// errorOf tells where a text is wrong. The parsers' errors quote the text, which
// may hold a secret: only the place and the kind of fault are said.
func errorOf(format string, err error) error {
	switch e := err.(type) { //nolint:errorlint // as the decoders return them
	case *toml.DecodeError:
		line, col := e.Position()
		return schema.Errorf(schema.Invalid, "%s: line %d:%d: %s", format, line, col, e.Error())
	case yaml.Error:
		if t := e.GetToken(); t != nil && t.Position != nil {
			return schema.Errorf(schema.Invalid, "%s: line %d:%d: %s", format, t.Position.Line, t.Position.Column, e.GetMessage())
		}
		return schema.Errorf(schema.Invalid, "%s: %s", format, e.GetMessage())
	}
	return schema.Errorf(schema.Invalid, "%s: %v", format, err)
}

// Merge lays request arguments over an action's own: objects are merged, lists put
// one behind the other, anything else replaced. Neither is changed.
func Merge(base, over map[string]any) map[string]any {
	out := make(map[string]any, len(base)+len(over))
	maps.Copy(out, base)
	for k, v := range over {
		have, ok := out[k]
		if !ok {
			out[k] = v
			continue
		}
		switch have := have.(type) {
		case map[string]any:
			if v, ok := v.(map[string]any); ok {
				out[k] = Merge(have, v)
				continue
			}
		case []any:
			if v, ok := v.([]any); ok {
				out[k] = append(append(make([]any, 0, len(have)+len(v)), have...), v...)
				continue
			}
		}
		out[k] = v
	}
	return out
}

// plain turns what decoders make into what JSON has.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, item := range v {
			v[k] = plain(item)
		}
		return v
	case map[any]any:
		out := make(map[string]any, len(v))
		for k, item := range v {
			out[fmt.Sprint(k)] = plain(item)
		}
		return out
	case []any:
		for i, item := range v {
			v[i] = plain(item)
		}
		return v
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Sprint(v)
		}
	case time.Time:
		return v.Format(time.RFC3339Nano)
	case fmt.Stringer: // local dates and times
		return v.String()
	}
	return v
}

// whole turns numbers without a fraction into whole numbers: JSON does not tell
// them apart, TOML does.
func whole(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, item := range v {
			v[k] = whole(item)
		}
	case []any:
		for i, item := range v {
			v[i] = whole(item)
		}
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int64(v)
		}
	}
	return v
}
