package ui

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"berth/schema"
	"berth/ui/page"
	"berth/ui/part"
)

const (
	pageSize = 60  // runs of the history at once
	firstLog = 400 // output rows of a page as it first comes
	maxChain = 8   // how far up the family of a run is followed
)

func (s *Server) runs(r *http.Request) (page.View, error) {
	q := r.URL.Query()
	v := page.RunsView{Query: page.RunQuery{State: q.Get("state"), Kind: q.Get("kind"), Cause: q.Get("cause"), Text: q.Get("q"), All: q.Get("all") != ""}}
	v.Query.Before, _ = strconv.ParseUint(q.Get("before"), 10, 64) // not a number: from the newest
	f := schema.RunFilter{Kind: v.Query.Kind, Cause: v.Query.Cause, Text: v.Query.Text, Before: v.Query.Before, Limit: pageSize + 1}
	if !v.Query.All {
		f.Parent = "-"
	}
	switch v.Query.State {
	case "active":
		f.Pending = true
	case "failed", "good":
		failed := v.Query.State == "failed"
		f.Failed = &failed
	}
	var err error
	if v.Runs, err = s.History.Runs(r.Context(), f); err != nil {
		return page.View{}, err
	}
	if len(v.Runs) > pageSize {
		v.Runs = v.Runs[:pageSize]
		v.Older = v.Runs[pageSize-1].Number
	}
	return page.Runs(v), nil
}

// sectionsOnly marks a request whose view is only needed for its live sections.
type sectionsOnly struct{}

func (s *Server) run(r *http.Request) (page.View, error) {
	ctx := r.Context()
	v, err := s.family(ctx, r.PathValue("id"))
	if err != nil {
		return page.View{}, err
	}
	v.Lane = r.URL.Query().Get("lane")
	v.Auto = v.Lane == ""
	v.LogRun = logRun(&v)
	v.Log, v.Phases = part.NewLog(firstLog), s.phasesOf(v.Run.ID)
	if ctx.Value(sectionsOnly{}) == nil {
		if err := s.readLog(ctx, &v); err != nil {
			return page.View{}, err
		}
	}
	if r.URL.Query().Get("part") == "log" {
		return page.RunLog(v), nil
	}
	return page.Run(v), nil
}

// family reads a run, its ancestors and its children.
func (s *Server) family(ctx context.Context, id string) (page.RunView, error) {
	v := page.RunView{Children: map[string]*schema.Run{}, Now: now()}
	var err error
	if v.Run, err = s.History.Run(ctx, id); err != nil {
		return v, err
	}
	for up := v.Run.Parent; up != "" && len(v.Parents) < maxChain; {
		p, err := s.History.Run(ctx, up)
		if code := schema.CodeOf(err); code == schema.NotFound || code == schema.Denied {
			break // older than the history reaches, or not for these eyes
		}
		if err != nil {
			return v, err
		}
		v.Parents = append(v.Parents, p)
		up = p.Parent
	}
	children, err := s.History.Runs(ctx, schema.RunFilter{Parent: v.Run.ID, Limit: 500})
	for i := range children {
		v.Children[children[i].ID] = &children[i]
	}
	return v, err
}

// logRun returns the run whose output a page shows: that of the chosen lane; or
// the one that needs looking at: failed, going on, the last; or the run itself.
func logRun(v *page.RunView) *schema.Run {
	best, rank, chosen := v.Run, -1, ""
	for _, st := range v.Run.Steps {
		c := v.Children[st.Child]
		if c == nil {
			continue
		}
		if v.Lane != "" {
			if st.Name == v.Lane {
				return c
			}
			continue
		}
		n := 0
		switch {
		case c.State == schema.StateFailed:
			n = 3
		case c.State == schema.StateRunning:
			n = 2
		case c.State.Terminal():
			n = 1
		}
		if n > rank || n == rank && n == 1 {
			best, rank, chosen = c, n, st.Name
		}
	}
	v.Lane = chosen
	return best
}

// readLog fills in the newest output of the shown run, and the phases of steps
// that go on.
func (s *Server) readLog(ctx context.Context, v *page.RunView) error {
	phases := map[string][]schema.Phase{}
	for c, err := range s.History.Output(ctx, v.LogRun.ID, 0) {
		if err != nil {
			return err
		}
		v.Log.Add(c.Seq, c.Output)
		for _, e := range c.Entries {
			phases[c.Step] = foldPhase(phases[c.Step], e)
		}
	}
	v.Log.Done()
	if v.LogRun.ID == v.Run.ID {
		v.Phases = phases
	}
	return nil
}

// foldPhase takes an output entry into the list of a step's phases.
func foldPhase(list []schema.Phase, e schema.Entry) []schema.Phase {
	if e.Kind != schema.EntryPhase {
		return list
	}
	for i := range list {
		if list[i].Name == e.Phase {
			list[i].State = e.State
			list[i].Took = max(0, e.At-list[i].Started)
			if e.Text != "" {
				list[i].Note = e.Text
			}
			return list
		}
	}
	return append(list, schema.Phase{Name: e.Phase, State: e.State, Note: e.Text, Started: e.At})
}

func (s *Server) cancel(w http.ResponseWriter, r *http.Request) error {
	run, err := s.History.Run(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if err := s.Actor.Cancel(r.Context(), actor(r.Context()), run.ID); err != nil {
		return err
	}
	return redirect(w, r, "/runs/"+part.Int(run.Number))
}

// approve lets a run go on that waits for somebody.
func (s *Server) approve(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return schema.Wrap(schema.Invalid, err, "read the form")
	}
	run, err := s.History.Run(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if err := s.Actor.Approve(r.Context(), actor(r.Context()), run.ID, r.PostForm.Get("stage")); err != nil {
		return err
	}
	return redirect(w, r, "/runs/"+part.Int(run.Number))
}

func (s *Server) againAsk(r *http.Request) (page.View, error) {
	run, err := s.History.Run(r.Context(), r.PathValue("id"))
	if err != nil {
		return page.View{}, err
	}
	c := page.Confirm{
		Title: "Run it again?", Text: "Starts " + page.ActionLabel(run.Action) + " " + run.Target.Name + " with the same inputs, at the newest commit. This run stays in the history as it is.",
		Post: "/runs/" + part.Int(run.Number) + "/again", Button: "Run again", Back: "/runs/" + part.Int(run.Number),
	}
	return question(r, c), nil
}

func (s *Server) again(w http.ResponseWriter, r *http.Request) error {
	run, err := s.History.Run(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return s.start(w, r, run.Action, run.Params)
}

// start starts an action and goes on to its run.
func (s *Server) start(w http.ResponseWriter, r *http.Request, action string, params json.RawMessage) error {
	id, err := s.Actor.Start(r.Context(), actor(r.Context()), action, params)
	if err != nil {
		return err
	}
	to := id
	if run, err := s.History.Run(r.Context(), id); err == nil {
		to = part.Int(run.Number)
	}
	return redirect(w, r, "/runs/"+to)
}

// question is a confirmation: in the dialog for a script, else as a page.
func question(r *http.Request, c page.Confirm) page.View {
	if fragment(r) {
		return page.AskSheet(c)
	}
	return page.Ask(c)
}
