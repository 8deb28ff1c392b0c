package script

import (
	"encoding/json"

	"github.com/goccy/go-yaml"
	"github.com/pelletier/go-toml/v2"
)

// The scripts' YAML and TOML: values cross as JSON, so that what a script gets is
// plain data. Errors become exceptions.

func parseYAML(text string) (string, error) {
	v, err := readYAML(text)
	if err != nil {
		return "", err
	}
	b, err := json.Marshal(v)
	return string(b), err
}

func writeYAML(text string) (string, error) {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return "", err
	}
	b, err := yaml.Marshal(v)
	return string(b), err
}

func parseTOML(text string) (string, error) {
	var v map[string]any
	if err := toml.Unmarshal([]byte(text), &v); err != nil {
		return "", errorOf("TOML", err)
	}
	b, err := json.Marshal(plain(v))
	return string(b), err
}

func writeTOML(text string) (string, error) {
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return "", err
	}
	b, err := toml.Marshal(whole(v))
	return string(b), err
}

// jsonDepth is how deep the brackets of a text of JSON are within each other: the
// parser's own stack must not be what runs out.
func jsonDepth(text string) int {
	depth, deepest, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			depth++
			deepest = max(deepest, depth)
		case c == ']' || c == '}':
			depth--
		}
	}
	return deepest
}
