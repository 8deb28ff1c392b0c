package process

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
)

// MaxLine is the length in bytes after which the rest of a line is dropped.
const MaxLine = 64 << 10

// Line is a line of output without its end.
type Line struct {
	Stderr bool
	Text   string // valid UTF-8
}

// output orders the lines of both streams.
type output struct {
	mu   sync.Mutex
	emit func(Line)
	tail *tail
}

func newOutput(emit func(Line), tail *tail) *output {
	return &output{emit: emit, tail: tail}
}

func (o *output) line(l Line) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tail.add(l.Text)
	if o.emit != nil {
		o.emit(l)
	}
}

// stream returns the writer for one of the streams; closing it ends the last
// line.
func (o *output) stream(stderr bool, mask func(io.Writer) io.WriteCloser) io.WriteCloser {
	lines := &lineWriter{out: o, stderr: stderr}
	if mask == nil {
		return lines
	}
	return &maskedStream{WriteCloser: mask(lines), lines: lines}
}

// maskedStream closes the mask first and the lines behind it then.
type maskedStream struct {
	io.WriteCloser
	lines *lineWriter
}

func (s *maskedStream) Close() error {
	err := s.WriteCloser.Close()
	if cerr := s.lines.Close(); err == nil {
		err = cerr
	}
	return err
}

// lineWriter cuts a stream into lines. What a lone carriage return overwrites,
// as progress bars do, is dropped.
type lineWriter struct {
	out     *output
	stderr  bool
	buf     []byte
	begun   bool
	dropped int
	cr      bool
}

// Write takes any piece of the stream.
func (w *lineWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		at := bytes.IndexAny(rest, "\r\n")
		part := rest
		if at >= 0 {
			part = rest[:at]
		}
		if len(part) > 0 {
			w.text(part)
		}
		if at < 0 {
			break
		}
		if rest[at] == '\n' {
			w.end()
		} else {
			w.cr = true
		}
		rest = rest[at+1:]
	}
	return len(p), nil
}

func (w *lineWriter) text(p []byte) {
	if w.cr {
		w.buf, w.dropped, w.cr = w.buf[:0], 0, false
	}
	w.begun = true
	room := min(len(p), MaxLine-len(w.buf))
	w.buf = append(w.buf, p[:room]...)
	w.dropped += len(p) - room
}

func (w *lineWriter) end() {
	text := strings.ToValidUTF8(string(w.buf), "\uFFFD")
	if w.dropped > 0 {
		text += fmt.Sprintf(" … (%d bytes cut)", w.dropped)
	}
	w.out.line(Line{Stderr: w.stderr, Text: text})
	w.buf, w.dropped, w.cr, w.begun = w.buf[:0], 0, false, false
}

// Close passes on a last line that has no end.
func (w *lineWriter) Close() error {
	if w.begun {
		w.end()
	}
	return nil
}

// tail keeps the last lines for the error's text.
type tail struct {
	lines []string
}

const (
	tailLines = 5
	tailBytes = 400 // per line
)

func (t *tail) add(s string) {
	if s = strings.TrimSpace(s); s == "" {
		return
	}
	if len(s) > tailBytes {
		s = strings.ToValidUTF8(s[:tailBytes], "") + "…"
	}
	if len(t.lines) == tailLines {
		t.lines = append(t.lines[:0], t.lines[1:]...)
	}
	t.lines = append(t.lines, s)
}

func (t *tail) text() string { return strings.Join(t.lines, "\n") }
