package sync

import (
	"path"
	"slices"
	"strings"

	"berth/schema"
)

// edits are changes of files, table by table; the rest of a file stays as it is.
type edits struct {
	lines   map[string][]string // by file
	touched []string
}

func newEdits(files []schema.SyncFile) *edits {
	e := &edits{lines: map[string][]string{}}
	for _, f := range files {
		e.lines[f.Path] = strings.Split(f.Text, "\n")
	}
	return e
}

// mark is where an edited table stood; the lines between are replaced by text.
type mark struct {
	file     string
	from, to int // lines, from 1
	text     []string
}

// apply does the marks, those further down first, so that lines keep their numbers.
func (e *edits) apply(marks []mark) {
	slices.SortFunc(marks, func(a, b mark) int { return b.from - a.from })
	for _, m := range marks {
		lines := e.lines[m.file]
		from, to := m.from-1, m.to
		if len(m.text) == 0 { // the blank lines and separator below go with it
			for to < len(lines) && (strings.TrimSpace(lines[to]) == "" && to+1 < len(lines) || strings.TrimSpace(lines[to]) == "##") {
				to++
			}
		}
		e.lines[m.file] = slices.Concat(lines[:from], m.text, lines[to:])
		e.touch(m.file)
	}
}

func (e *edits) touch(file string) {
	if !slices.Contains(e.touched, file) {
		e.touched = append(e.touched, file)
	}
}

// append adds a resource at the end of a file, which is made when it is missing.
func (e *edits) append(file, text string) {
	old := strings.TrimRight(strings.Join(e.lines[file], "\n"), "\n")
	if old != "" {
		old += "\n\n"
	}
	e.lines[file] = strings.Split(old+strings.TrimRight(text, "\n")+"\n", "\n")
	e.touch(file)
}

func (e *edits) text(file string) string { return strings.Join(e.lines[file], "\n") }

// files are the files as they are now, those made included.
func (e *edits) files(before []schema.SyncFile) []schema.SyncFile {
	out := slices.Clone(before)
	for i := range out {
		out[i].Text = e.text(out[i].Path)
	}
	for _, f := range e.touched {
		if !slices.ContainsFunc(out, func(x schema.SyncFile) bool { return x.Path == f }) {
			out = append(out, schema.SyncFile{Path: f, Text: e.text(f)})
		}
	}
	return out
}

// settings edits only the lines of settings that changed in a table; ok is false
// when the table is written in a way that does not allow it.
func settings(table []string, exported []string, kind string, keys []string) (out []string, ok bool) {
	old, ok := keySpans(table, kind)
	if !ok {
		return nil, false
	}
	now, ok := keySpans(exported, kind)
	if !ok {
		return nil, false
	}
	out = slices.Clone(table)
	var marks []mark
	var added []string
	for _, key := range keys {
		was, is := find(old, key), find(now, key)
		switch {
		case was == nil && is == nil:
			return nil, false
		case was == nil:
			added = append(added, exported[is.from-1:is.to]...)
		case is == nil:
			marks = append(marks, mark{from: was.from, to: was.to})
		default:
			marks = append(marks, mark{from: was.from, to: was.to, text: exported[is.from-1 : is.to]})
		}
	}
	if len(added) > 0 {
		at := configEnd(old)
		if at == 0 {
			return nil, false
		}
		marks = append(marks, mark{from: at + 1, to: at, text: added})
	}
	slices.SortFunc(marks, func(a, b mark) int { return b.from - a.from })
	for _, m := range marks {
		out = slices.Concat(out[:m.from-1], m.text, out[m.to:])
	}
	return out, true
}

// keySpan is where a setting stands in a table.
type keySpan struct {
	key      string
	config   bool // below [kind.config]
	from, to int
}

// keySpans finds the settings of a table; ok is false when there are tables below
// [kind.config], or keys with dots.
func keySpans(table []string, kind string) (out []keySpan, ok bool) {
	config, open, depth := false, "", 0
	for i, line := range table {
		trimmed := strings.TrimSpace(line)
		inside := open != "" || depth > 0
		if inside {
			out[len(out)-1].to = i + 1
		}
		switch {
		case inside, trimmed == "", strings.HasPrefix(trimmed, "#"):
		case strings.HasPrefix(trimmed, "["):
			name, _ := header(trimmed)
			if i > 0 && name != kind+".config" {
				return nil, false
			}
			config = name == kind+".config"
			continue
		default:
			key, _, found := strings.Cut(trimmed, "=")
			if key = strings.TrimSpace(key); !found || strings.ContainsAny(key, `."'`) {
				return nil, false
			}
			out = append(out, keySpan{key: key, config: config, from: i + 1, to: i + 1})
		}
		if strings.HasPrefix(trimmed, "#") && !inside {
			continue
		}
		depth += brackets(line, open)
		open = quoted(line, open)
	}
	return out, open == "" && depth == 0
}

// brackets counts what a line opens and does not close, outside of texts.
func brackets(line, open string) int {
	n := 0
	for i := 0; i < len(line); {
		rest := line[i:]
		switch {
		case open != "":
			end := strings.Index(rest, open)
			if end < 0 {
				return n
			}
			i, open = i+end+3, ""
			continue
		case strings.HasPrefix(rest, `"""`), strings.HasPrefix(rest, `'''`):
			open = rest[:3]
			i += 3
			continue
		case rest[0] == '#':
			return n
		case rest[0] == '"', rest[0] == '\'':
			i += 1 + inline(rest)
			continue
		case rest[0] == '[', rest[0] == '{':
			n++
		case rest[0] == ']', rest[0] == '}':
			n--
		}
		i++
	}
	return n
}

// find returns a setting by its name, or by the shorter one that files use.
func find(list []keySpan, key string) *keySpan {
	meta := key == "description" || key == "tags" || key == "template"
	for _, name := range []string{key, strings.TrimSuffix(key, "_id")} {
		for i := range list {
			if list[i].key == name && list[i].config != meta {
				return &list[i]
			}
		}
	}
	return nil
}

// configEnd is the last line of the settings below [kind.config]; 0 when there are
// none.
func configEnd(list []keySpan) int {
	end := 0
	for _, k := range list {
		if k.config {
			end = max(end, k.to)
		}
	}
	return end
}

// target is the file that new resources go to: the first of resource_path, or one
// in its folder.
func target(c schema.SyncConfig, name string, files []schema.SyncFile) (string, error) {
	if sourceOf(c) == "contents" || sourceOf(c) == "" {
		return contentsName, nil
	}
	if len(c.ResourcePath) == 0 {
		return "", schema.Errorf(schema.Invalid, "resource_path is empty: name the file that new resources go to")
	}
	first := path.Clean(c.ResourcePath[0])
	if path.Ext(first) == ".toml" && !slices.ContainsFunc(files, func(f schema.SyncFile) bool { return strings.HasPrefix(f.Path, first+"/") }) {
		return first, nil
	}
	return path.Join(first, name+".toml"), nil
}
