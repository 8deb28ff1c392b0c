package resource

import (
	"sort"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// spot is where a key stands in a file, with the keys and items below it.
type spot struct {
	line   int
	keys   map[string]*spot
	items  []*spot
	tables bool // an array of tables: further headers belong to its last item
}

func (s *spot) key(name string, line int) *spot {
	if s.keys == nil {
		s.keys = map[string]*spot{}
	}
	c := s.keys[name]
	if c == nil {
		c = &spot{line: line}
		s.keys[name] = c
	}
	return c
}

// below returns what a header or dotted key continues at.
func (s *spot) below() *spot {
	if s.tables && len(s.items) > 0 {
		return s.items[len(s.items)-1]
	}
	return s
}

// spotter walks the syntax tree of a text that is known to be valid.
type spotter struct {
	parser   unstable.Parser
	newlines []int
}

// spots returns where every key of a valid TOML text stands.
func spots(text []byte) *spot {
	w := &spotter{}
	for i, c := range text {
		if c == '\n' {
			w.newlines = append(w.newlines, i)
		}
	}
	root := &spot{line: 1}
	at := root
	w.parser.Reset(text)
	for w.parser.NextExpression() {
		e := w.parser.Expression()
		switch e.Kind {
		case unstable.Table:
			at = w.walk(root, e.Key()).below()
		case unstable.ArrayTable:
			at = w.walk(root, e.Key())
			line := at.line
			if it := e.Key(); it.Next() {
				line = w.line(it.Node())
			}
			at.tables = true
			at.items = append(at.items, &spot{line: line})
			at = at.below()
		case unstable.KeyValue:
			w.pair(at, e)
		default:
		}
	}
	return root
}

// walk goes down a dotted key, making what is missing.
func (w *spotter) walk(from *spot, key unstable.Iterator) *spot {
	at := from
	for key.Next() {
		n := key.Node()
		at = at.below().key(string(n.Data), w.line(n))
	}
	return at
}

func (w *spotter) pair(at *spot, n *unstable.Node) {
	to := w.walk(at, n.Key())
	w.value(to, n.Value())
}

func (w *spotter) value(at *spot, n *unstable.Node) {
	switch n.Kind {
	case unstable.InlineTable:
		for it := n.Children(); it.Next(); {
			w.pair(at, it.Node())
		}
	case unstable.Array:
		last := at.line
		for it := n.Children(); it.Next(); {
			item := &spot{line: max(last, w.line(it.Node()))}
			w.value(item, it.Node())
			at.items = append(at.items, item)
			last = item.line
		}
	default:
	}
}

// line returns the line a node begins at; 0 when the parser does not say.
func (w *spotter) line(n *unstable.Node) int {
	if n.Raw.Length == 0 {
		return 0
	}
	return 1 + sort.SearchInts(w.newlines, int(n.Raw.Offset))
}

// line returns the line of a path like "stack[0].config.server", or that of the
// nearest thing around it. A path may use a setting's canonical name where the
// file uses an alias.
func (d *document) line(path string) int {
	at, line := d.root, 0
	for path != "" && at != nil {
		at, path = at.step(path)
		if at != nil && at.line > 0 {
			line = at.line
		}
	}
	return line
}

// lineOf returns the line of a key at the top of the file, whatever it holds.
func (d *document) lineOf(key string) int {
	if s := d.root.keys[key]; s != nil {
		return max(s.line, 1)
	}
	return 1
}

// step goes one key or index down and returns the rest of the path.
func (s *spot) step(path string) (next *spot, rest string) {
	if strings.HasPrefix(path, "[") {
		number, rest, _ := strings.Cut(path[1:], "]")
		if i, err := strconv.Atoi(number); err == nil && i < len(s.items) {
			return s.items[i], strings.TrimPrefix(rest, ".")
		}
		return nil, ""
	}
	best := ""
	for name := range s.keys { // the longest: a key may hold dots
		if len(name) > len(best) && (path == name || strings.HasPrefix(path, name+".") || strings.HasPrefix(path, name+"[")) {
			best = name
		}
	}
	if best != "" {
		return s.keys[best], strings.TrimPrefix(path[len(best):], ".")
	}
	end := strings.IndexAny(path, ".[")
	if end < 0 {
		end = len(path)
	}
	if c := s.keys[spelled(path[:end])]; c != nil {
		return c, strings.TrimPrefix(path[end:], ".")
	}
	return nil, ""
}

// spelled returns the alias of those settings that hold references.
func spelled(canonical string) string {
	switch canonical {
	case "stages":
		return "stage"
	case "executions":
		return "execution"
	}
	return strings.TrimSuffix(canonical, "_id")
}
