package page

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/a-h/templ"

	"berth/schema"
	"berth/ui/part"
)

// PaletteGroup is a heading of the palette with its answers.
type PaletteGroup struct {
	Name  string
	Items []PaletteItem
}

// PaletteItem is one answer of the palette.
type PaletteItem struct{ Icon, Label, Sub, Href, Keys string }

// ProblemView is an error for people.
type ProblemView struct {
	Status            int
	Title, Text, Hint string
	Retry             string
}

func problemIcon(status int) string {
	switch status {
	case http.StatusNotFound:
		return "compass" // icon
	case http.StatusForbidden:
		return "lock" // icon
	}
	return "unplug" // icon
}

func current(yes bool) templ.Attributes {
	if yes {
		return templ.Attributes{"aria-current": "page"}
	}
	return nil
}

func other(theme string) string {
	if theme == "dark" {
		return "light"
	}
	return "dark"
}

func eventsURL(f Frame) string {
	return "/events?" + url.Values{"topic": {f.Topic}, "since": {f.Since}}.Encode()
}

func doHref(a Action, target string) string {
	return "/do/" + a.Name + "?" + url.Values{"target": {target}}.Encode()
}

func quote(s string) string { return regexp.QuoteMeta(s) }

// standing says in a few words where a run that goes on stands.
func standing(r *schema.Run) string {
	switch {
	case r.State == schema.StateQueued:
		return "queued"
	case r.Note != "":
		return r.Note
	}
	for i, s := range r.Stages {
		if s.State == schema.StateRunning {
			return "stage " + part.Int(i+1) + " of " + part.Int(len(r.Stages)) + ", " + strings.ToLower(s.Name)
		}
	}
	for _, s := range slices.Backward(r.Steps) {
		if !s.State.Terminal() {
			if s.Note != "" {
				return s.Note
			}
			return stepLabel(s)
		}
	}
	return ""
}

// causeText says why a run was started, in a few words.
func causeText(r *schema.Run) string {
	c := r.Cause
	switch c.Kind {
	case "webhook":
		s := "push"
		if c.Ref != "" {
			s += " to " + strings.TrimPrefix(c.Ref, "refs/heads/")
		}
		if c.Repo != "" {
			s += " of " + c.Repo
		}
		return s
	case "run":
		return "started by a run"
	case "click":
		return "started here"
	case "cli":
		return "command line"
	case "api":
		return "API"
	case "bus":
		return "bus"
	case "":
		return "started"
	}
	return c.Kind
}

func causeIcon(kind string) string {
	switch kind {
	case "webhook":
		return "webhook" // icon
	case "schedule":
		return "calendar-clock" // icon
	case "run":
		return "workflow" // icon
	case "cli":
		return "square-terminal" // icon
	case "api":
		return "braces" // icon
	}
	return "mouse-pointer-click" // icon
}

// by says who is behind a run: who pushed, else who started it.
func by(r *schema.Run) string {
	if r.Cause.By != "" {
		return r.Cause.By
	}
	return r.Actor.Name
}

// stepLabel says what a step does.
func stepLabel(s schema.Step) string {
	if s.Kind == schema.StepApproval {
		return "approval"
	}
	switch s.Verb {
	case "build.run":
		return "build"
	case "deployment.up":
		return "deploy"
	case "repo.resolve":
		return "look up commit"
	case "repo.sync":
		return "bring clone to commit"
	case "stack.up":
		return "deploy"
	case "stack.do":
		return "compose"
	}
	if s.Target.Name != "" {
		return s.Target.Name
	}
	return s.Name
}
