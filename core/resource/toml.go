package resource

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"berth/schema"
)

// File is a TOML file with resources.
type File struct {
	Name string `json:"name"` // for messages
	Text string `json:"text"`
}

// Issue is a mistake in a file, which prevents a plan, or a warning.
type Issue struct {
	File    string `json:"file"`
	Line    int    `json:"line"` // 1-based; 0 when it belongs to no line
	Key     string `json:"key"`  // "stack[2].config.branch"
	Text    string `json:"text"`
	Warning bool   `json:"warning"`
}

// String returns the issue as compilers write it: file:line: key: text.
func (i Issue) String() string {
	at := i.File
	if i.Line > 0 {
		at += fmt.Sprintf(":%d", i.Line)
	}
	parts := slices.DeleteFunc([]string{at, i.Key, i.Text}, func(s string) bool { return s == "" })
	return strings.Join(parts, ": ")
}

// Limits of what is read.
const (
	maxFile  = 8 << 20
	maxDepth = 1000 // nested brackets; the parser recurses
)

// entry is one table of a file that declares a resource.
type entry struct {
	doc  *document
	kind string
	path string // "stack[2]"
	tree map[string]any
}

func (e entry) issue(key, text string, warning bool) Issue {
	path := dot(e.path, key)
	return Issue{File: e.doc.name, Line: e.doc.line(path), Key: path, Text: text, Warning: warning}
}

// line is where the declaration begins.
func (e entry) line() int { return e.doc.line(e.path) }

// document is a parsed file.
type document struct {
	name string
	tree map[string]any
	root *spot
}

// parse reads a file and finds its resources. Issues are of the file as a whole;
// what is in a table is decoded by its kind.
func (g *Registry) parse(f File) ([]entry, []Issue) {
	doc, issue := parseDocument(f)
	if issue != nil {
		return nil, []Issue{*issue}
	}
	var entries []entry
	var issues []Issue
	known := map[string]bool{}
	for _, kind := range g.names() {
		plural := kind + "s"
		known[kind], known[plural] = true, true
		_, one := doc.tree[kind]
		_, many := doc.tree[plural]
		table := kind
		if many {
			table = plural
		}
		switch {
		case one && many:
			line := max(doc.line(kind), doc.line(plural))
			issues = append(issues, Issue{File: f.Name, Line: line, Key: table, Text: fmt.Sprintf("[[%s]] and [[%s]] are the same: use one of them", kind, plural)})
		case one || many:
			found, bad := doc.tables(kind, table)
			entries, issues = append(entries, found...), append(issues, bad...)
		}
	}
	for _, table := range sortedKeys(doc.tree) {
		if !known[table] {
			hint := ""
			if near := schema.Nearest(table, g.names()); near != "" {
				hint = ": did you mean [[" + near + "]]?"
			}
			issues = append(issues, Issue{File: f.Name, Line: doc.lineOf(table), Key: bare(table), Text: "unknown table, ignored" + hint, Warning: true})
		}
	}
	entries, bad := spread(entries)
	return entries, append(issues, bad...)
}

// tables returns the entries of [[table]].
func (d *document) tables(kind, table string) (entries []entry, issues []Issue) {
	fail := func(key, text string) {
		issues = append(issues, Issue{File: d.name, Line: d.line(key), Key: key, Text: text})
	}
	list, ok := d.tree[table].([]any)
	if !ok {
		fail(table, fmt.Sprintf("there can be several: write [[%s]], not [%s]", table, table))
		return nil, issues
	}
	for i, item := range list {
		path := fmt.Sprintf("%s[%d]", table, i)
		tree, ok := item.(map[string]any)
		if !ok {
			fail(path, "want a table [["+table+"]]")
			continue
		}
		entries = append(entries, entry{doc: d, kind: kind, path: path, tree: tree})
	}
	return entries, issues
}

func parseDocument(f File) (*document, *Issue) {
	issue := func(line int, key, text string) *Issue {
		return &Issue{File: f.Name, Line: line, Key: key, Text: text}
	}
	if len(f.Text) > maxFile {
		return nil, issue(0, "", fmt.Sprintf("is larger than %d MiB", maxFile>>20))
	}
	text := []byte(prepare(strings.TrimPrefix(f.Text, "\uFEFF")))
	if line := tooDeep(text); line > 0 {
		return nil, issue(line, "", fmt.Sprintf("more than %d brackets are open", maxDepth))
	}
	doc := &document{name: f.Name, tree: map[string]any{}}
	if err := toml.Unmarshal(text, &doc.tree); err != nil {
		msg := strings.TrimPrefix(err.Error(), "toml: ")
		var at *toml.DecodeError
		if !errors.As(err, &at) {
			return nil, issue(0, "", msg)
		}
		if strings.Contains(msg, "escape") {
			msg += ` (in "…" a backslash begins an escape: write '…' to have it as it is)`
		}
		line, _ := at.Position()
		key := strings.Join(at.Key(), ".")
		if key == "" {
			key = keyAt(text, line)
		}
		return nil, issue(line, key, msg)
	}
	doc.root = spots(text)
	return doc, nil
}

// prepare doubles every backslash between two `"""`, as Komodo does before it
// parses: there a backslash is itself. The toggle is textual, whatever the quotes
// stand in.
func prepare(text string) string {
	parts := strings.Split(text, `"""`)
	for i := 1; i < len(parts); i += 2 {
		parts[i] = strings.ReplaceAll(parts[i], `\`, `\\`)
	}
	return strings.Join(parts, `"""`)
}

// tooDeep returns the line at which too many brackets are open, or 0. Brackets in
// strings count: no real file comes near the limit.
func tooDeep(text []byte) int {
	depth, line := 0, 1
	for _, c := range text {
		switch c {
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(depth-1, 0)
		case '\n':
			line++
		}
		if depth > maxDepth {
			return line
		}
	}
	return 0
}

// keyAt returns the key that stands on a line the parser could not read: what is
// before its `=`.
func keyAt(text []byte, line int) string {
	lines := strings.Split(string(text), "\n")
	if line < 1 || line > len(lines) {
		return ""
	}
	key, _, found := strings.Cut(lines[line-1], "=")
	if !found {
		return ""
	}
	return strings.TrimSpace(key)
}

func sortedKeys(m map[string]any) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
