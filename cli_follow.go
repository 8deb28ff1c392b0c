package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"berth/core/api"
	"berth/schema"
)

// follow prints what happens to a run and to all it started, as it comes.
type follow struct {
	p      *program
	colour bool
	live   bool  // somebody looks: progress is shown, on a line that is written over
	shown  int64 // when it last was, by the agent's clock; 0 while there is no such line
	lines  bool  // print items as JSON lines instead
	runs   map[string]*schema.Run
	steps  map[string]schema.RunState // run and step
	names  map[string]string          // of what a command works on
	next   map[string]int             // index of the next entry of a command
	held   map[string][]schema.Output // of runs that are not known yet: they come right after what they have said
}

func newFollow(p *program) *follow {
	return &follow{
		p: p, colour: p.colour(), live: terminal(p.out), runs: map[string]*schema.Run{},
		steps: map[string]schema.RunState{}, names: map[string]string{}, next: map[string]int{},
		held: map[string][]schema.Output{},
	}
}

func (f *follow) item(i api.StreamItem) error {
	if i.Run != nil {
		before := f.runs[i.Run.ID]
		f.runs[i.Run.ID] = i.Run
		if !f.p.asJSON {
			f.run(before, i.Run)
		}
	}
	if i.Output != nil && !f.p.asJSON {
		if o := *i.Output; f.runs[o.Run] == nil {
			f.held[o.Run] = append(f.held[o.Run], o)
		} else {
			f.output(o)
		}
	}
	if !f.lines {
		return nil
	}
	b, err := json.Marshal(i)
	if err == nil {
		_, err = fmt.Fprintln(f.p.out, string(b))
	}
	return err
}

// run prints how a run went on.
func (f *follow) run(before, r *schema.Run) {
	title := fmt.Sprintf("#%d %s %s", r.Number, r.Action, r.Target.Name)
	if before == nil {
		f.say("▸", title, startedBy(r), "36")
	}
	for _, s := range r.Steps {
		if s.Command != "" {
			f.names[s.Command] = r.Target.Name
		}
		key := r.ID + "/" + s.Name
		if f.steps[key] == s.State {
			continue
		}
		f.steps[key] = s.State
		if s.State == schema.StateWaiting && s.Note != "" {
			f.say("…", r.Target.Name, s.Note, "33")
		}
	}
	for _, o := range f.held[r.ID] {
		f.output(o)
	}
	delete(f.held, r.ID)
	if before != nil && before.State == r.State || !r.State.Terminal() {
		return
	}
	text := fmt.Sprintf("%s in %s", r.State, took(r))
	if w := why(r); w != "-" {
		text += " · " + w
	}
	colour := "32"
	if !r.State.Good() {
		colour = "31"
	}
	f.say(mark(r.State), title, text, colour)
}

func startedBy(r *schema.Run) string {
	text := by(r)
	if r.Cause.Commit != "" {
		text += " · " + r.Cause.Commit[:min(7, len(r.Cause.Commit))] + " " + r.Cause.Message
	}
	return text
}

// mark is a state as one character.
func mark(s schema.RunState) string {
	switch s {
	case schema.StateSucceeded:
		return "✓"
	case schema.StateWarning:
		return "!"
	case schema.StateFailed:
		return "✗"
	case schema.StateCanceled, schema.StateSuperseded:
		return "⊘"
	case schema.StateRunning:
		return "▸"
	default:
		return "…"
	}
}

func (f *follow) say(mark, title, text, colour string) {
	f.clear()
	if f.colour {
		mark, title = "\x1b["+colour+"m"+mark, title+"\x1b[0m"
	}
	fmt.Fprintf(f.p.out, "%s %s  %s\n", mark, title, text)
}

// output prints the lines of a chunk, each once.
func (f *follow) output(o schema.Output) {
	name := f.names[o.Command]
	if name == "" {
		name = o.Step
	}
	for i, e := range o.Entries {
		if o.First+i < f.next[o.Command] {
			continue
		}
		f.next[o.Command] = o.First + i + 1
		text := e.Text
		if e.ID != "" {
			text = e.ID + " " + text
		}
		switch e.Kind {
		case schema.EntryPhase:
			if e.State != schema.PhaseRunning {
				text = e.Phase + " " + string(e.State) + " " + e.Text
			} else {
				continue
			}
		case schema.EntryProgress:
			f.progress(name, e)
			continue
		case schema.EntryCut:
			text = "… " + text
		case schema.EntryLine, schema.EntryState:
		}
		f.clear()
		fmt.Fprintf(f.p.out, "  %s │ %s\n", f.dim(name+" "+time.UnixMilli(e.At).Format(time.TimeOnly)), text)
	}
}

// progress shows how far something is, ten times a second at most.
func (f *follow) progress(name string, e schema.Entry) {
	if !f.live || f.shown != 0 && e.At-f.shown < 100 {
		return
	}
	text := strings.TrimSpace(e.ID + " " + e.Text)
	if e.Total > 0 {
		text += fmt.Sprintf(" %d %%", 100*min(e.Current, e.Total)/e.Total)
	}
	fmt.Fprintf(f.p.out, "\r\x1b[K  %s │ %s", f.dim(name), brief(text))
	f.shown = max(1, e.At)
}

// clear removes the line of progress.
func (f *follow) clear() {
	if f.shown != 0 {
		fmt.Fprint(f.p.out, "\r\x1b[K")
		f.shown = 0
	}
}

func (f *follow) dim(s string) string {
	if f.colour {
		return "\x1b[2m" + s + "\x1b[0m"
	}
	return s
}
