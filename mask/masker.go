// Package mask replaces secret values in text, as they are and in the forms in
// which programs print them.
//
// Concurrency: a Masker may be used by many goroutines at once; a writer of
// Masker.Writer belongs to one goroutine at a time.
package mask

import (
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

// minRunes is the length below which a value is not masked: it would blot out
// half of any output and its places would give it away.
const minRunes = 4

// MinFragment is the length in bytes below which a part of a value (a line, a
// piece of base64) is not masked by itself.
const MinFragment = 6

// Masker replaces secret values by <NAME> in text: as they are, and in the forms
// in which programs print them (base64, hex, JSON, URL, shell, single lines).
// Every byte that belongs to any occurrence is replaced, overlapping ones too.
type Masker struct {
	mu       sync.Mutex
	patterns map[string]string // form -> name; the first name stays
	built    atomic.Pointer[matcher]
}

// NewMasker returns a masker that knows no values.
func NewMasker() *Masker {
	return &Masker{patterns: map[string]string{}}
}

// Add makes the masker replace value by <name> from now on, in writers that are
// open as well. It returns false where the value is not masked: it is shorter
// than 4 runes or a mere yes, true, null and the like.
func (m *Masker) Add(name, value string) bool {
	trimmed := strings.TrimSpace(value)
	if utf8.RuneCountInString(trimmed) < minRunes || commonWord(trimmed) {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	mask := "<" + name + ">"
	for form := range forms(value) {
		if _, ok := m.patterns[form]; !ok {
			m.patterns[form] = mask
		}
	}
	m.built.Store(nil)
	return true
}

// Mask returns s without the secret values.
func (m *Masker) Mask(s string) string {
	match := m.matcher()
	if match == nil || s == "" {
		return s
	}
	st := stream{match: match}
	spans := st.scan([]byte(s), nil)
	if len(spans) == 0 {
		return s
	}
	var b strings.Builder
	at := 0
	for _, sp := range spans {
		b.WriteString(s[at:sp.start])
		b.WriteString(match.masks[sp.mask])
		at = sp.end
	}
	b.WriteString(s[at:])
	return b.String()
}

// matcher returns the compiled values, nil if there are none.
func (m *Masker) matcher() *matcher {
	if built := m.built.Load(); built != nil {
		if len(built.nodes) == 1 {
			return nil
		}
		return built
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.built.Load() == nil {
		m.built.Store(newMatcher(m.patterns))
	}
	if built := m.built.Load(); len(built.nodes) > 1 {
		return built
	}
	return nil
}

// commonWord tells values that are no secrets whatever file they come from.
func commonWord(s string) bool {
	switch strings.ToLower(s) {
	case "true", "false", "null", "none", "default", "localhost", "disabled", "enabled":
		return true
	}
	return false
}

// matcher is an Aho-Corasick automaton over bytes, with few edges per node kept
// as a sorted list and the root's as a table.
type matcher struct {
	root  [256]int32
	nodes []node
	edges []edge
	masks []string
}

type node struct {
	first, count int32 // its edges
	fail         int32
	depth        int32
	match        int32 // length of the longest value that ends here, 0 for none
	mask         int32 // of that value
}

type edge struct {
	b    byte
	next int32
}

func newMatcher(patterns map[string]string) *matcher {
	words := make([]string, 0, len(patterns))
	for w := range patterns {
		words = append(words, w)
	}
	sort.Strings(words)
	m := &matcher{nodes: make([]node, 1)}
	children := [][]edge{nil}
	maskAt := map[string]int32{}
	for _, w := range words {
		at := int32(0)
		for i := range len(w) {
			kids := children[at]
			// Words come sorted, so an edge is the last one or new.
			if n := len(kids); n > 0 && kids[n-1].b == w[i] {
				at = kids[n-1].next
				continue
			}
			next := int32(len(m.nodes))
			m.nodes = append(m.nodes, node{depth: int32(i + 1)})
			children = append(children, nil)
			children[at] = append(kids, edge{w[i], next})
			at = next
		}
		mask := patterns[w]
		if _, ok := maskAt[mask]; !ok {
			maskAt[mask] = int32(len(m.masks))
			m.masks = append(m.masks, mask)
		}
		m.nodes[at].match, m.nodes[at].mask = int32(len(w)), maskAt[mask]
	}
	for i, kids := range children {
		m.nodes[i].first, m.nodes[i].count = int32(len(m.edges)), int32(len(kids))
		m.edges = append(m.edges, kids...)
	}
	m.link()
	return m
}

// link sets the fail links breadth first, and hands the longest match down.
func (m *matcher) link() {
	queue := make([]int32, 0, len(m.nodes))
	for _, e := range m.kids(0) {
		m.root[e.b] = e.next
		queue = append(queue, e.next)
	}
	for head := 0; head < len(queue); head++ {
		at := queue[head]
		for _, e := range m.kids(at) {
			fail := m.step(m.nodes[at].fail, e.b)
			next := &m.nodes[e.next]
			next.fail = fail
			if f := m.nodes[fail]; next.match == 0 && f.match > 0 {
				next.match, next.mask = f.match, f.mask
			}
			queue = append(queue, e.next)
		}
	}
}

func (m *matcher) kids(at int32) []edge {
	n := &m.nodes[at]
	return m.edges[n.first : n.first+n.count]
}

// step follows byte b from a node.
func (m *matcher) step(at int32, b byte) int32 {
	for at != 0 {
		for _, e := range m.kids(at) {
			if e.b == b {
				return e.next
			}
		}
		at = m.nodes[at].fail
	}
	return m.root[b]
}

// span is a masked region: bytes start to end, and the mask of its longest value.
type span struct {
	start, end int
	length     int32
	mask       int32
}

// stream is the state of a scan.
type stream struct {
	match *matcher
	at    int32
	pos   int // bytes scanned since the start of the text that spans refer to
}

// scan goes on with more text and returns spans with what was found added;
// overlapping occurrences become one span.
func (s *stream) scan(text []byte, spans []span) []span {
	m, at := s.match, s.at
	for _, b := range text {
		if at == 0 {
			at = m.root[b]
		} else {
			at = m.step(at, b)
		}
		s.pos++
		n := &m.nodes[at]
		if n.match == 0 {
			continue
		}
		found := span{s.pos - int(n.match), s.pos, n.match, n.mask}
		for k := len(spans); k > 0 && spans[k-1].end > found.start; k-- {
			if last := spans[k-1]; last.start < found.start {
				found.start = last.start
				if last.length >= found.length {
					found.length, found.mask = last.length, last.mask
				}
			}
			spans = spans[:k-1]
		}
		spans = append(spans, found)
	}
	s.at = at
	return spans
}

// open returns how many of the last bytes may be the beginning of a value that
// is not complete yet.
func (s *stream) open() int {
	at := s.at
	for at != 0 && s.match.nodes[at].count == 0 {
		at = s.match.nodes[at].fail
	}
	return int(s.match.nodes[at].depth)
}
