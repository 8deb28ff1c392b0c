package part

import (
	"encoding/json"
	"html"
	"strconv"
	"strings"
	"time"

	"berth/schema"
)

// Row is an output entry as pages draw it: on the server for the first picture,
// in the browser (src/log.ts) for what follows. HTML is safe to insert.
type Row struct {
	Kind    string `json:"k"`           // line, phase, state, progress, cut
	At      int64  `json:"t"`           // unix ms
	Service string `json:"s,omitempty"` // shown in its own column
	Hue     int    `json:"c,omitempty"` // of the service
	HTML    string `json:"h"`
	Err     bool   `json:"e,omitempty"`
	ID      string `json:"id,omitempty"` // of progress and phases: a newer row replaces this one
	Percent int    `json:"p,omitempty"`  // of progress, 1 to 100
	Mark    State  `json:"m,omitempty"`  // of phases
}

// RowOf returns how an entry is drawn.
func RowOf(e schema.Entry) Row {
	r := Row{Kind: string(e.Kind), At: e.At, Service: e.Service, Err: e.Err}
	if r.Service != "" {
		r.Hue = Hue(r.Service)
	}
	switch e.Kind {
	case schema.EntryPhase:
		m := PhaseMark(e.State)
		r.Mark, r.ID = m.State, "phase "+e.Phase
		r.HTML = "<b>" + html.EscapeString(e.Phase) + "</b> " + html.EscapeString(m.Word)
		if e.Text != "" {
			r.HTML += ` <span class="a2">` + html.EscapeString(e.Text) + "</span>"
		}
	case schema.EntryState:
		r.HTML = stateHTML(e)
	case schema.EntryProgress:
		r.ID = e.ID
		r.HTML = html.EscapeString(strings.TrimSpace(e.ID + " " + e.Text))
		if e.Total > 0 {
			r.Percent = int(min(100, max(1, e.Current*100/e.Total)))
			if e.Total > 10_000 { // bytes, not steps
				r.HTML += ` <span class="a2">` + Size(e.Current) + " of " + Size(e.Total) + "</span>"
			}
		}
	case schema.EntryLine, schema.EntryCut:
		r.HTML = ANSIHTML(e.Text)
	default:
		r.HTML = ANSIHTML(e.Text)
	}
	return r
}

func stateHTML(e schema.Entry) string {
	class := ""
	switch word, _, _ := strings.Cut(strings.ToLower(e.Text), " "); word {
	case "started", "healthy", "pulled", "built", "created", "removed", "running":
		class = "f2"
	case "error", "unhealthy", "failed":
		class = "f1"
	}
	text := html.EscapeString(e.Text)
	if class != "" {
		text = `<span class="` + class + `">` + text + "</span>"
	}
	return `<span class="who">` + html.EscapeString(e.ID) + "</span> " + text
}

// Chunk is a piece of output on its way to the browser.
type Chunk struct {
	Step  string `json:"s"`
	First int    `json:"i"`
	Rows  []Row  `json:"l"`
}

// ChunkJSON renders a chunk once for everybody who watches.
func ChunkJSON(o schema.Output) ([]byte, error) {
	c := Chunk{Step: o.Step, First: o.First, Rows: make([]Row, len(o.Entries))}
	for i, e := range o.Entries {
		c.Rows[i] = RowOf(e)
	}
	return json.Marshal(c)
}

// Log is the newest part of a run's output, as a page first shows it.
type Log struct {
	Rows    []Row
	Next    map[string]int // by step: index of the entry that comes next
	Seq     uint64         // of the newest chunk read
	Skipped int            // rows before those kept

	limit  int
	newest map[string]int // by step and id: index in Rows, plus Skipped
}

// NewLog returns a log that keeps the newest limit rows.
func NewLog(limit int) *Log {
	return &Log{limit: limit, Next: map[string]int{}, newest: map[string]int{}}
}

// Add takes a chunk in; entries it has seen are dropped.
func (l *Log) Add(seq uint64, o schema.Output) {
	l.Seq = max(l.Seq, seq)
	for i := max(0, l.Next[o.Step]-o.First); i < len(o.Entries); i++ {
		l.add(o.Step, RowOf(o.Entries[i]))
	}
	l.Next[o.Step] = max(l.Next[o.Step], o.First+len(o.Entries))
}

func (l *Log) add(step string, r Row) {
	if r.ID != "" {
		r.ID = step + " " + r.ID
		if at, ok := l.newest[r.ID]; ok && at >= l.Skipped {
			r.At = l.Rows[at-l.Skipped].At
			l.Rows[at-l.Skipped] = r
			return
		}
		l.newest[r.ID] = l.Skipped + len(l.Rows)
	}
	l.Rows = append(l.Rows, r)
	if len(l.Rows) >= 2*l.limit {
		l.trim()
	}
}

func (l *Log) trim() {
	if over := len(l.Rows) - l.limit; over > 0 {
		l.Rows = append(l.Rows[:0:0], l.Rows[over:]...)
		l.Skipped += over
	}
}

// Done drops what is over the limit; call it after the last Add.
func (l *Log) Done() *Log {
	l.trim()
	return l
}

// NextJSON returns Next as the browser reads it.
func (l *Log) NextJSON() string {
	b, err := json.Marshal(l.Next)
	if err != nil {
		return "{}"
	}
	return string(b)
}

// Elapsed returns the time of a row on the run's clock.
func Elapsed(from, at int64) string {
	return Axis(time.Duration(max(0, at-from))*time.Millisecond, time.Second)
}

func rowClass(r Row) string {
	class := "l " + r.Kind
	if r.Err {
		class += " err"
	}
	return class
}

func svcClass(r Row) string {
	if r.Hue == 0 {
		return "svc"
	}
	return "svc h" + strconv.Itoa(r.Hue)
}
