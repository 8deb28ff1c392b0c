// Package table writes rows in columns: plain for programs, or with lines between
// them and states in colour for people. A Table is not safe for concurrent use.
package table

import (
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Borders say where lines are.
type Borders string

// The borders.
const (
	Plain      Borders = ""           // none: columns of text
	Horizontal Borders = "Horizontal" // between rows
	Vertical   Borders = "Vertical"   // between columns
	Inside     Borders = "Inside"     // between both
	Outside    Borders = "Outside"    // around all
	All        Borders = "All"
)

// ParseBorders reads borders by their name, in whatever case.
func ParseBorders(name string) (Borders, bool) {
	all := []Borders{Horizontal, Vertical, Inside, Outside, All}
	i := slices.IndexFunc(all, func(b Borders) bool { return strings.EqualFold(string(b), name) })
	if i < 0 {
		return Plain, false
	}
	return all[i], true
}

// Tone is how a cell looks in colour, as a parameter of a terminal's escape sequence.
type Tone string

// The tones.
const (
	Normal  Tone = ""
	Good    Tone = "32;1"
	Bad     Tone = "31;1"
	Off     Tone = "34;1"
	Busy    Tone = "33;1"
	Unknown Tone = "35;1"
	bold    Tone = "1"
)

// Look is how tables are written.
type Look struct {
	Borders Borders
	Colour  bool
}

// Table is rows below a header. Tones are of the cells in the same place, as far as
// there are some.
type Table struct {
	Header []string
	Rows   [][]string
	Tones  [][]Tone
}

// lines are the pieces that borders are made of; what is empty is not drawn.
type lines struct{ left, between, right, row, cross, rowLeft, rowRight, top, bottom string }

func (b Borders) lines() lines {
	switch b {
	case Plain:
		return lines{between: "  "}
	case Horizontal:
		return lines{left: " ", between: "   ", row: "─", cross: "───", rowLeft: "─", rowRight: "─"}
	case Vertical:
		return lines{left: " ", between: " │ "}
	case Inside:
		return lines{left: " ", between: " │ ", row: "─", cross: "─┼─", rowLeft: "─", rowRight: "─"}
	case Outside:
		return lines{left: "│ ", between: "   ", right: " │", top: "┌───┐", bottom: "└───┘"}
	case All:
		return lines{left: "│ ", between: " │ ", right: " │", row: "─", cross: "─┼─", rowLeft: "├─", rowRight: "─┤", top: "┌─┬─┐", bottom: "└─┴─┘"}
	}
	return Plain.lines()
}

// Write writes the table.
func (t Table) Write(out io.Writer, look Look) error {
	w := writer{lines: look.Borders.lines(), colour: look.Colour, widths: t.widths()}
	w.edge(w.top)
	w.cells(t.Header, func(int) Tone { return bold })
	for i, row := range t.Rows {
		w.rule()
		w.cells(row, func(n int) Tone {
			if i < len(t.Tones) && n < len(t.Tones[i]) {
				return t.Tones[i][n]
			}
			return Normal
		})
	}
	w.edge(w.bottom)
	_, err := io.WriteString(out, w.text.String())
	return err
}

func (t Table) widths() []int {
	widths := make([]int, len(t.Header))
	for _, row := range append([][]string{t.Header}, t.Rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	return widths
}

type writer struct {
	lines
	text   strings.Builder
	colour bool
	widths []int
}

func (w *writer) cells(row []string, tone func(n int) Tone) {
	var line strings.Builder
	line.WriteString(w.left)
	for i, width := range w.widths {
		cell := ""
		if i < len(row) {
			cell = row[i]
		}
		if i > 0 {
			line.WriteString(w.between)
		}
		if t := tone(i); w.colour && t != Normal && cell != "" {
			line.WriteString("\x1b[" + string(t) + "m" + cell + "\x1b[0m")
		} else {
			line.WriteString(cell)
		}
		line.WriteString(strings.Repeat(" ", width-utf8.RuneCountInString(cell)))
	}
	line.WriteString(w.right)
	w.text.WriteString(strings.TrimRight(line.String(), " ") + "\n")
}

// rule is a line between rows, where there is one.
func (w *writer) rule() {
	if w.row == "" {
		return
	}
	w.text.WriteString(w.rowLeft)
	for i, width := range w.widths {
		if i > 0 {
			w.text.WriteString(w.cross)
		}
		w.text.WriteString(strings.Repeat(w.row, width))
	}
	w.text.WriteString(w.rowRight + "\n")
}

// edge is the line above or below all: a corner, a line, what crosses it, a line, a corner.
func (w *writer) edge(pieces string) {
	p := []rune(pieces)
	if len(p) != 5 {
		return
	}
	w.text.WriteString(string(p[:2]))
	for i, width := range w.widths {
		if i > 0 {
			w.text.WriteString(string(p[1:4]))
		}
		w.text.WriteString(strings.Repeat(string(p[1]), width))
	}
	w.text.WriteString(string(p[3:]) + "\n")
}

// OfState is the tone of a resource's or container's state, in whatever case.
func OfState(state string) Tone {
	switch Kebab(state) {
	case "ok", "running", "healthy", "succeeded":
		return Good
	case "not-ok", "failed", "unhealthy", "dead", "stopped", "exited":
		return Bad
	case "down", "disabled", "not-deployed", "created", "canceled", "superseded":
		return Off
	case "deploying", "building", "cloning", "pulling", "syncing", "pending", "restarting", "stopping", "removing", "paused", "queued", "waiting", "warning":
		return Busy
	}
	return Unknown
}

// Kebab writes a state as tables have it: NotOk and not_ok as not-ok.
func Kebab(state string) string {
	var b strings.Builder
	for i, r := range state {
		switch {
		case r == '_' || r == ' ':
			b.WriteByte('-')
		case r >= 'A' && r <= 'Z':
			if i > 0 {
				b.WriteByte('-')
			}
			b.WriteRune(r + 'a' - 'A')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
