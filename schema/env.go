package schema

import (
	"strings"
	"unicode"
)

// EnvVar is one line of a KV text.
type EnvVar struct {
	Key   string
	Value string
}

// ParseEnv reads KEY=VALUE or KEY: VALUE lines by Komodo's rules. Quotes around a
// value stay, ` #` cuts even inside quotes, nothing is expanded; keys may repeat.
// A line without `=` or `:` is an Invalid error that names its number.
func ParseEnv(text string) ([]EnvVar, error) {
	var out []EnvVar
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "//") {
			continue
		}
		line, _, _ = strings.Cut(line, " #")
		line = strings.TrimSpace(strings.TrimLeft(strings.TrimSpace(line), "-"))
		at := strings.IndexAny(line, "=:")
		if at < 0 {
			return nil, Errorf(Invalid, "line %d has neither = nor : between a name and a value", n)
		}
		key, value := strings.TrimSpace(line[:at]), strings.TrimSpace(line[at+1:])
		if startsQuoted(key) && !endsQuoted(key) && endsQuoted(value) {
			key, value = key[1:], value[:len(value)-1]
		}
		out = append(out, EnvVar{Key: key, Value: value})
	}
	return out, nil
}

// FormatEnv writes variables as the lines of an env file; nothing for none.
func FormatEnv(vars []EnvVar) string {
	var b strings.Builder
	for _, v := range vars {
		b.WriteString(v.Key + "=" + v.Value + "\n")
	}
	return b.String()
}

func startsQuoted(s string) bool { return s != "" && (s[0] == '"' || s[0] == '\'') }

func endsQuoted(s string) bool {
	return s != "" && (s[len(s)-1] == '"' || s[len(s)-1] == '\'')
}

func isSpace(r rune) bool { return unicode.IsSpace(r) }

// namedText is a text of a setting that is interpolated.
type namedText struct {
	key  string
	text string
}

// checkTexts warns of texts that interpolation will refuse.
func (r *Report) checkTexts(skip bool, texts []namedText) {
	if skip {
		return
	}
	for _, t := range texts {
		if _, err := Placeholders(t.text); err != nil {
			r.warn(t.key, "%s: this will fail when it is used", SafeText(err))
		}
	}
}

func (r *Report) checkEnv(key string, text KV) {
	if _, err := ParseEnv(string(text)); err != nil {
		r.warn(key, "%s: this will fail when it is used", SafeText(err))
	}
}

func hasCompose(s string) bool { return strings.Contains(s, "[[COMPOSE_COMMAND]]") }
