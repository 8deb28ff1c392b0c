package main

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"berth/schema"
)

// effective writes the settings that load found as a configuration file that load
// reads: what a backup restores. Settings of the first start are left out, and
// where the data folder is.
func (s *settings) effective() []byte {
	var b bytes.Buffer
	b.WriteString("# Berth's configuration when it was backed up. It may hold secrets.\n")
	kept := map[string]any{}
	for _, x := range s.list {
		if x.from == "" || x.none != "" || !s.mine(x) || slices.Contains([]string{"data", "root_directory", "admin_username", "admin_password"}, x.title()) {
			continue
		}
		if x.read.kind == tables {
			kept[x.title()] = escaped(x.items)
			continue
		}
		if x.value != "" {
			fmt.Fprintf(&b, "%s = %s\n", x.title(), tomlValue(x.read.kind, x.value))
		}
	}
	if len(kept) > 0 {
		text, err := toml.Marshal(kept)
		if err == nil { // it was read from a file
			b.WriteString("\n")
			b.Write(text)
		}
	}
	return b.Bytes()
}

// tomlValue is a value that was applied, as its kind is written.
func tomlValue(k kind, v string) string {
	switch k {
	case aFlag:
		on, _ := strconv.ParseBool(v) // it was read
		return strconv.FormatBool(on)
	case aNumber:
		return v
	case aList:
		var items []string
		for _, i := range schema.ParseStrList(v) {
			items = append(items, tomlText(literal(i)))
		}
		return "[" + strings.Join(items, ", ") + "]"
	default:
		return tomlText(literal(v))
	}
}

// literal is a text in which no variable is put in when it is read again.
func literal(s string) string {
	return placeholder.ReplaceAllStringFunc(s, func(m string) string { return "$" + m })
}

// escaped is a value of a file with its texts made literal.
func escaped(v any) any {
	switch v := v.(type) {
	case string:
		return literal(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = escaped(v[i])
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			out[k] = escaped(x)
		}
		return out
	}
	return v
}

// tomlText is a text as a TOML string on one line.
func tomlText(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
