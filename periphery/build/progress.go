package build

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	control "github.com/moby/buildkit/api/services/control"

	"berth/schema"
)

// progress turns BuildKit's progress into lines: `#2 [1/3] FROM …`, what the step
// wrote, `#2 DONE 1.2s`. One goroutine feeds it.
type progress struct {
	emit     Emit
	vertices map[string]*vertex // by digest
	steps    int
	cached   int
	warnings []string
}

// vertex is one thing that BuildKit does.
type vertex struct {
	n     int
	name  string
	ended bool
	rest  map[int64]string // lines that are not complete, by stream
}

// stderr is BuildKit's number of the stream of errors.
const stderr = 2

func newProgress(emit Emit) *progress {
	return &progress{emit: emit, vertices: map[string]*vertex{}}
}

// follow reads the progress of the build called ref until that ends, or ctx does.
func (p *progress) follow(ctx context.Context, kit control.ControlClient, ref string) {
	stream, err := kit.Status(ctx, &control.StatusRequest{Ref: ref})
	if err != nil {
		return // the build itself says what is wrong
	}
	for {
		st, err := stream.Recv()
		if err != nil {
			return
		}
		p.take(st)
	}
}

func (p *progress) take(st *control.StatusResponse) {
	for _, v := range st.Vertexes {
		p.vertex(v)
	}
	for _, s := range st.Statuses {
		if v := p.vertices[s.Vertex]; v != nil && s.Total > 0 {
			p.emit(schema.Entry{
				Kind: schema.EntryProgress, ID: fmt.Sprintf("#%d %s", v.n, s.ID), Text: s.Name, Current: s.Current, Total: s.Total,
			})
		}
	}
	for _, l := range st.Logs {
		if v := p.vertices[l.Vertex]; v != nil {
			p.log(v, l.Stream, string(l.Msg))
		}
	}
	for _, w := range st.Warnings {
		if text := oneLine(string(w.Short)); !slices.Contains(p.warnings, text) {
			p.warnings = append(p.warnings, text)
			p.line(true, "warning: %s", text)
		}
	}
}

func (p *progress) vertex(v *control.Vertex) {
	s := p.vertices[v.Digest]
	if s == nil {
		if v.Started == nil && v.Completed == nil {
			return
		}
		s = &vertex{n: len(p.vertices) + 1, name: v.Name, rest: map[int64]string{}}
		p.vertices[v.Digest] = s
		p.line(false, "#%d %s", s.n, oneLine(v.Name))
	}
	if v.Completed == nil || s.ended {
		return
	}
	s.ended = true
	p.flushVertex(s)
	instruction := strings.HasPrefix(v.Name, "[") && !strings.HasPrefix(v.Name, "[internal]")
	if instruction {
		p.steps++
	}
	switch {
	case strings.Contains(v.Error, "context canceled"):
		p.line(false, "#%d CANCELED", s.n)
	case v.Error != "":
		p.line(true, "#%d ERROR: %s", s.n, oneLine(v.Error))
	case v.Cached:
		if instruction {
			p.cached++
		}
		p.line(false, "#%d CACHED", s.n)
	default:
		took := 0.0
		if v.Started != nil {
			took = v.Completed.AsTime().Sub(v.Started.AsTime()).Seconds()
		}
		p.line(false, "#%d DONE %.1fs", s.n, took)
	}
}

// log takes what a vertex wrote. Only whole lines are passed on: a secret that is
// cut in two would not be found.
func (p *progress) log(v *vertex, stream int64, text string) {
	text = v.rest[stream] + text
	for {
		line, rest, found := strings.Cut(text, "\n")
		if !found {
			v.rest[stream] = text
			return
		}
		p.output(v, stream, line)
		text = rest
	}
}

func (p *progress) output(v *vertex, stream int64, line string) {
	line = strings.TrimRight(line, "\r")
	if at := strings.LastIndexByte(line, '\r'); at >= 0 { // what was overwritten on the terminal
		line = line[at+1:]
	}
	p.emit(schema.Entry{Kind: schema.EntryLine, Err: stream == stderr, Text: fmt.Sprintf("#%d %s", v.n, line)})
}

func (p *progress) flushVertex(v *vertex) {
	for _, stream := range slices.Sorted(maps.Keys(v.rest)) {
		if v.rest[stream] != "" {
			p.output(v, stream, v.rest[stream])
		}
	}
	clear(v.rest)
}

// flush passes on what the build left incomplete.
func (p *progress) flush() {
	for _, digest := range slices.Sorted(maps.Keys(p.vertices)) {
		p.flushVertex(p.vertices[digest])
	}
}

func (p *progress) line(bad bool, format string, args ...any) {
	p.emit(schema.Entry{Kind: schema.EntryLine, Err: bad, Text: fmt.Sprintf(format, args...)})
}
