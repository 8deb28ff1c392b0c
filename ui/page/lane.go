package page

import (
	"strings"

	"github.com/a-h/templ"

	"berth/schema"
	"berth/ui/part"
)

// laneLink makes a lane with output of its own a link to it.
func laneLink(l laneView) templ.Attributes {
	if l.Href == "" {
		return nil
	}
	return templ.Attributes{"href": l.Href, "hx-get": l.Href + "&part=log", "hx-target": "#runlog", "hx-swap": "innerHTML", "hx-replace-url": l.Href}
}

// laneID returns the id of a lane's element.
func laneID(l laneView) string {
	return "lane-" + strings.NewReplacer(" ", "-", "\t", "-").Replace(l.Step.Name)
}

// laneNote says what holds a lane up, or what went wrong with it.
func laneNote(l laneView) string {
	if l.Child != nil {
		if l.Child.Problem != nil {
			return l.Child.Problem.Text
		}
		if !l.Child.State.Terminal() {
			return standing(l.Child)
		}
		return l.Child.Note
	}
	if l.Step.Problem != nil {
		return l.Step.Problem.Text
	}
	return l.Step.Note
}

// childStage returns the stage of the i-th ancestor, counted from the top, that
// the next run down belongs to.
func childStage(v RunView, i int) string {
	below := v.Run
	if k := len(v.Parents) - 2 - i; k >= 0 {
		below = v.Parents[k]
	}
	return below.Stage
}

// logStream connects the output panel to what is still to come.
func logStream(v RunView) templ.Attributes {
	if v.LogRun.State.Terminal() {
		return nil
	}
	return templ.Attributes{"hx-sse:connect": outputURL(v), "hx-sse:close": "end", "hx-swap": "none"}
}

func waitingText(r *schema.Run) string {
	if s := standing(r); s != "" {
		return s + " …"
	}
	return part.RunMark(r.State).Word + ": no output yet"
}
