// Package page draws whole pages from view models. It reads nothing and starts
// nothing: a view is made from values and may be rendered by any goroutine.
//
// Each page is a View: a body, and the sections of it that are kept current. A
// section is drawn by the same component in the page and in its live updates,
// so it must not depend on who is looking.
package page

import (
	"context"
	"io"

	"github.com/a-h/templ"

	"berth/schema"
	"berth/ui/part"
)

// View is one page.
type View struct {
	Title  string
	Key    string // of the navigation entry it belongs to
	Crumbs []Crumb
	Body   templ.Component
	Live   []Section
}

// Section is a part of a page that is kept current: the component's outermost
// element carries the id.
type Section struct {
	ID   string
	Body templ.Component
}

// Crumb is a step of the way to a page. The last one has no address.
type Crumb struct{ Label, Href string }

// Frame is what surrounds every page.
type Frame struct {
	Theme    string // light, dark, or "" for the browser's
	User     schema.Actor
	Instance string
	Version  string
	Shell    Shell
	Topic    string // address of the page as a topic; "" when it is not live
	Since    string // cursor taken before the page was read
	Path     string // address of the page, to come back to
}

// Shell is what every page says about everything.
type Shell struct {
	Online, Joined int            // servers
	Count          map[string]int // resources by kind
	Run            int            // runs that go on
	Bad, Warn      int            // resources
	Alerts         int            // that are open
	Missed         int            // schedules whose last time was missed, or that do not run
	Pending        int            // syncs that would do something, or cannot
	Current        *schema.Run    // newest run that goes on
}

type navItem struct {
	Icon, Label, Href, Key string
	Count                  int
	State                  part.State
}

func navTop(s Shell) []navItem {
	return []navItem{
		{Icon: "layout-dashboard", Label: "Overview", Href: "/", Key: "overview", Count: s.Bad, State: part.Bad},
		{Icon: "activity", Label: "Runs", Href: "/runs", Key: "runs", Count: s.Run, State: part.Live},
		{Icon: "bell", Label: "Alerts", Href: "/alerts", Key: "alerts", Count: s.Alerts, State: part.Warn},
		{Icon: "calendar-clock", Label: "Schedules", Href: "/schedules", Key: "schedules", Count: s.Missed, State: part.Warn},
	}
}

func navResources(s Shell) []navItem {
	return navKinds(s, "server", "stack", "deployment", "build", "repo", "procedure", "action", "resource_sync")
}

func navManage(s Shell) []navItem {
	return append(navKinds(s, "variable", "builder", "alerter", "user_group"),
		navItem{Icon: "webhook", Label: "Webhooks", Href: "/webhooks", Key: "webhooks"},
		navItem{Icon: "file-code", Label: "TOML", Href: "/apply", Key: "apply"},
	)
}

func navKinds(s Shell, kinds ...string) []navItem {
	var out []navItem
	for _, kind := range kinds {
		w := WordsOf(kind)
		item := navItem{Icon: w.Icon, Label: w.Many, Href: w.Path, Key: w.Path[1:], Count: s.Count[kind]}
		if n := s.Pending; kind == "resource_sync" && n > 0 {
			item.Count, item.State = n, part.Warn
		}
		out = append(out, item)
	}
	return out
}

// ShellSections are the live sections that every page has.
func ShellSections(s Shell) []Section {
	return []Section{{"nav", navigation(s, "")}, {"strip-live", stripLive(s)}}
}

// Partials draws sections as one message that the browser swaps in place.
func Partials(sections []Section) templ.Component {
	return templ.ComponentFunc(func(ctx context.Context, w io.Writer) error {
		for _, s := range sections {
			if _, err := io.WriteString(w, `<hx-partial hx-target="#`+s.ID+`" hx-swap="outerMorph">`); err != nil {
				return err
			}
			if err := s.Body.Render(ctx, w); err != nil {
				return err
			}
			if _, err := io.WriteString(w, "</hx-partial>"); err != nil {
				return err
			}
		}
		return nil
	})
}

func navClass(i navItem) string {
	if i.State != "" && i.Count > 0 {
		return "n " + string(i.State)
	}
	return "n"
}

func runHref(r *schema.Run) string { return "/runs/" + part.Int(r.Number) }

// title returns what a run does, for people: "Deploy shop".
func title(r *schema.Run) string { return ActionLabel(r.Action) + " " + r.Target.Name }
