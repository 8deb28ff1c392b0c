package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// effective writes the settings that load found as a configuration file that load
// reads: what a backup restores. Settings of the first start are left out, and
// where the data folder is.
func (s *settings) effective() []byte {
	var b bytes.Buffer
	b.WriteString("# Berth's configuration when it was backed up. It may hold secrets.\n")
	for _, x := range s.list {
		if x.value == "" || x.from == "" || slices.Contains([]string{"data", "admin-username", "admin-password"}, x.name) {
			continue
		}
		fmt.Fprintf(&b, "%s = %s\n", x.key(), tomlText(x.value))
	}
	if len(s.found) > 0 {
		text, err := toml.Marshal(s.found)
		if err == nil { // it was read from TOML
			b.WriteString("\n")
			b.Write(text)
		}
	}
	return b.Bytes()
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
