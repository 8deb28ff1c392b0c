package sync

import (
	"strings"

	"berth/schema"
)

// tableAt returns the text of the table that begins at a line of a file: what the
// file has of one resource.
func tableAt(files []schema.SyncFile, file string, line int) string {
	for _, f := range files {
		if f.Path != file {
			continue
		}
		lines := strings.Split(f.Text, "\n")
		for _, s := range spans(f.Text) {
			if s.from <= line && line <= s.to {
				return strings.Join(lines[s.from-1:s.to], "\n") + "\n"
			}
		}
	}
	return ""
}

// span is the lines, from 1, that a resource has in a file: its table and those
// below it, without the comments before the next one.
type span struct {
	kind     string
	from, to int
}

// spans finds the tables of resources in a file that is known to be valid.
func spans(text string) []span {
	var out []span
	inText := ""
	last := 0 // newest line that belongs to the open span
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		if inText == "" && strings.HasPrefix(trimmed, "[") {
			name, array := header(trimmed)
			top, _, deep := strings.Cut(name, ".")
			if name != "" && (array && !deep || !deep && !array || len(out) == 0 || out[len(out)-1].kind != top) {
				if len(out) > 0 {
					out[len(out)-1].to = last
				}
				out = append(out, span{kind: top, from: i + 1})
			}
		}
		if inText != "" || trimmed != "" && !strings.HasPrefix(trimmed, "#") {
			last = i + 1
		}
		inText = quoted(line, inText)
	}
	if len(out) > 0 {
		out[len(out)-1].to = last
	}
	return out
}

// header reads [name] or [[name]]; the name is empty when the line is no header but
// the inside of an array.
func header(line string) (name string, array bool) {
	line = strings.TrimPrefix(line, "[")
	line, array = strings.CutPrefix(line, "[")
	name, _, ok := strings.Cut(line, "]")
	name = strings.ReplaceAll(strings.Trim(strings.TrimSpace(name), `"'`), " ", "")
	if !ok || name == "" || strings.ContainsAny(name, `,"'{=`) {
		return "", array
	}
	return name, array
}

// quoted follows the texts of several lines: open is what the line begins inside
// of, """ or ”' or nothing; what it ends inside of comes back.
func quoted(line, open string) string {
	for i := 0; i < len(line); {
		rest := line[i:]
		switch {
		case open != "":
			end := strings.Index(rest, open)
			if end < 0 {
				return open
			}
			i += end + len(open)
			for i < len(line) && line[i] == open[0] && end >= 0 { // """" ends with a quote of its own
				i++
			}
			open = ""
		case strings.HasPrefix(rest, `"""`), strings.HasPrefix(rest, `'''`):
			open = rest[:3]
			i += 3
		case rest[0] == '#':
			return ""
		case rest[0] == '"', rest[0] == '\'':
			i += 1 + inline(rest)
		default:
			i++
		}
	}
	return open
}

// inline is the length of a text on one line, its last quote included and its first
// not.
func inline(rest string) int {
	for j := 1; j < len(rest); j++ {
		switch {
		case rest[j] == '\\' && rest[0] == '"':
			j++
		case rest[j] == rest[0]:
			return j
		}
	}
	return len(rest)
}
