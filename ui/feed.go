package ui

import (
	"bytes"
	"context"
	"crypto/sha256"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"berth/schema"
	"berth/ui/asset"
	"berth/ui/live"
	"berth/ui/page"
	"berth/ui/part"
)

const (
	shellTopic = "shell"                // what every page listens to
	settle     = 150 * time.Millisecond // how long changes are gathered before pages are drawn again
	maxPhases  = 256                    // runs whose phases are kept
	pause      = time.Second            // before a broken feed is opened again
)

// watch takes note of changes until ctx ends.
func (s *Server) watch(ctx context.Context) {
	for ctx.Err() == nil {
		for c := range s.Feed.Watch(ctx) {
			if c.Topic == "run" {
				s.noteRun(ctx, c.ID)
			}
			s.touch()
		}
		if !wait(ctx, pause) {
			return
		}
		s.hub.Resync()
		s.touch()
	}
}

// touch asks for pages to be drawn again.
func (s *Server) touch() {
	select {
	case s.dirty <- struct{}{}:
	default:
	}
}

// noteRun ends the output of a run that has ended.
func (s *Server) noteRun(ctx context.Context, id string) {
	s.mu.Lock()
	_, known := s.phases[id]
	s.mu.Unlock()
	if !known && !s.tail.Watched(id) {
		return
	}
	run, err := s.History.Run(ctx, id)
	if err != nil || !run.State.Terminal() {
		return
	}
	s.mu.Lock()
	delete(s.phases, id)
	s.mu.Unlock()
	s.tail.End(id)
}

// follow hands output to those who watch it, until ctx ends.
func (s *Server) follow(ctx context.Context) {
	for ctx.Err() == nil {
		for c := range s.Feed.Tail(ctx) {
			s.notePhases(c)
			if !s.tail.Watched(c.Run) {
				continue
			}
			frame, err := outputFrame(c)
			if err != nil {
				s.Log.Error("draw output", "run", c.Run, "err", err)
				continue
			}
			s.tail.Publish(c.Run, live.Piece{Seq: c.Seq, Frame: frame})
		}
		if !wait(ctx, pause) {
			return
		}
		s.tail.Lose()
	}
}

func outputFrame(c Chunk) ([]byte, error) {
	text, err := part.ChunkJSON(c.Output)
	if err != nil {
		return nil, err
	}
	return live.Frame(strconv.FormatUint(c.Seq, 10), "log", text), nil
}

// notePhases keeps the phases of steps that go on, which the timeline shows.
func (s *Server) notePhases(c Chunk) {
	if !slices.ContainsFunc(c.Entries, func(e schema.Entry) bool { return e.Kind == schema.EntryPhase }) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.phases) > maxPhases {
		clear(s.phases) // of runs whose end was missed; the pages read the store
	}
	if s.phases[c.Run] == nil {
		s.phases[c.Run] = map[string][]schema.Phase{}
	}
	for _, e := range c.Entries {
		s.phases[c.Run][c.Step] = foldPhase(s.phases[c.Run][c.Step], e)
	}
	s.touch()
}

func (s *Server) phasesOf(run string) map[string][]schema.Phase {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string][]schema.Phase{}
	for step, list := range s.phases[run] {
		out[step] = slices.Clone(list)
	}
	return out
}

// render draws what is looked at again after changes, until ctx ends. A page
// whose picture is the same is not sent.
func (s *Server) render(ctx context.Context) {
	last := map[string][sha256.Size]byte{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.dirty:
		}
		if !wait(ctx, settle) {
			return
		}
		warm := s.hub.Warm()
		maps.DeleteFunc(last, func(topic string, _ [sha256.Size]byte) bool { return !slices.Contains(warm, topic) })
		for _, topic := range warm {
			s.redraw(ctx, topic, last)
		}
	}
}

// redraw sends a page that looks otherwise than last.
func (s *Server) redraw(ctx context.Context, topic string, last map[string][sha256.Size]byte) {
	text, err := s.draw(ctx, topic)
	if err != nil {
		if schema.CodeOf(err) == schema.Internal && ctx.Err() == nil {
			s.Log.Error("draw a page again", "page", topic, "err", err)
		}
		return
	}
	if sum := sha256.Sum256(text); len(text) > 0 && last[topic] != sum {
		last[topic] = sum
		s.hub.Publish(topic, text)
	}
}

// draw renders the live sections of a page.
func (s *Server) draw(ctx context.Context, name string) ([]byte, error) {
	topic, user := unscoped(name)
	if user != "" { // what he sees is what he may see now
		var err error
		if ctx, err = s.enter(ctx, schema.Actor{Kind: "user", ID: user}, ""); err != nil {
			return nil, err
		}
	}
	ctx = asset.With(ctx, s.assets)
	var sections []page.Section
	if topic == shellTopic {
		sh, err := s.shell(ctx)
		if err != nil {
			return nil, err
		}
		sections = page.ShellSections(sh)
	} else {
		v, err := s.lookAt(ctx, topic)
		if err != nil {
			return nil, err
		}
		sections = v.Live
	}
	var b bytes.Buffer
	if len(sections) == 0 {
		return nil, nil
	}
	err := page.Partials(sections).Render(ctx, &b)
	return b.Bytes(), err
}

// events streams what changes on a page.
func (s *Server) events(w http.ResponseWriter, r *http.Request) error {
	topic := r.URL.Query().Get("topic")
	if !strings.HasPrefix(topic, "/") {
		return schema.Errorf(schema.Invalid, "The topic %q is not the address of a page.", topic)
	}
	name := scoped(r.Context(), topic)
	check := func() error {
		who, err := s.who(r)
		if err != nil {
			return err
		}
		ctx, err := s.enter(context.WithValue(r.Context(), scopeKey{}, nil), who, s.peer(r))
		if err == nil && scoped(ctx, topic) != name {
			err = schema.Errorf(schema.Denied, "what this user may see has changed")
		}
		return err
	}
	s.hub.Serve(w, r, []string{name, scoped(r.Context(), shellTopic)}, check)
	return nil
}

// wait waits, and reports whether ctx goes on.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// lookAt makes the view of a page without its request; only its live sections
// are of use.
func (s *Server) lookAt(ctx context.Context, topic string) (page.View, error) {
	r, err := http.NewRequestWithContext(context.WithValue(ctx, sectionsOnly{}, true), http.MethodGet, topic, http.NoBody)
	if err != nil {
		return page.View{}, schema.Wrap(schema.Invalid, err, "read the address of a page")
	}
	return s.look(r)
}
