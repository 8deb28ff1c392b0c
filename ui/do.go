package ui

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"berth/schema"
	"berth/ui/page"
	"berth/ui/part"
)

func now() time.Time { return time.Now() }

// doAsk says what an action will do before it is started.
func (s *Server) doAsk(r *http.Request) (page.View, error) {
	a, ok := page.FindAction(r.PathValue("action"))
	if !ok {
		return page.View{}, schema.Errorf(schema.NotFound, "There is no action %q.", r.PathValue("action"))
	}
	name := r.URL.Query().Get("target")
	facts, err := s.facts(r, a, name)
	if err != nil {
		return page.View{}, err
	}
	c := page.Confirm{
		Title: a.Label + " " + name + "?", Text: fmt.Sprintf(a.What, name), Facts: facts, Button: a.Label, Danger: a.Danger,
		Post: "/do/" + a.Name + "?" + url.Values{"target": {name}}.Encode(), Back: page.Where(a.Kind, name),
	}
	if a.Danger {
		c.Typed = name
	}
	return question(r, c), nil
}

// facts says what stands and what will, for the question before an action.
func (s *Server) facts(r *http.Request, a page.Action, name string) ([]page.Fact, error) {
	switch a.Kind {
	case "stack":
		v, err := s.findStack(r.Context(), name)
		if err != nil {
			return nil, err
		}
		return stackFacts(v, a), nil
	case "repo":
		v, err := s.findRepo(r.Context(), name)
		if err != nil {
			return nil, err
		}
		return []page.Fact{{Label: "On", Value: v.Server.Name}, {Label: "Branch", Value: v.Resource.Config.Branch}, {Label: "Stands at", Value: commit(v.Cloned)}}, nil
	}
	if a.Kind != "procedure" {
		return s.thingFacts(r.Context(), a.Kind, name)
	}
	v, err := s.findProcedure(r.Context(), name)
	if err != nil {
		return nil, err
	}
	var out []page.Fact
	for i, st := range v.Resource.Config.Stages {
		text := part.Count(len(st.Executions), "action") + " at once"
		if !st.Enabled {
			text = "off"
		}
		out = append(out, page.Fact{Label: part.Int(i+1) + " " + st.Name, Value: text})
	}
	return out, nil
}

func stackFacts(v schema.StackView, a page.Action) []page.Fact {
	out := []page.Fact{{Label: "On", Value: v.Server.Name}, {Label: "Now", Value: part.StackMark(v).Word}}
	if a.Name == "DeployStack" || a.Name == "DeployStackIfChanged" {
		if v.Deployed != nil && v.Deployed.Commit != "" {
			out = append(out, page.Fact{Label: "Deployed", Value: commit(schema.CommitInfo{Commit: v.Deployed.Commit, Message: v.Deployed.Message})})
		}
		if v.Latest.Commit != "" {
			out = append(out, page.Fact{Label: "Newest known", Value: commit(v.Latest)})
		}
	}
	return append(out, page.Fact{Label: "Services", Value: part.Int(len(v.Services))})
}

func commit(c schema.CommitInfo) string {
	if c.Commit == "" {
		return "nothing yet"
	}
	return part.Short(c.Commit) + " " + c.Message
}

func (s *Server) do(w http.ResponseWriter, r *http.Request) error {
	a, ok := page.FindAction(r.PathValue("action"))
	if !ok {
		return schema.Errorf(schema.NotFound, "There is no action %q.", r.PathValue("action"))
	}
	if err := r.ParseForm(); err != nil {
		return schema.Wrap(schema.Invalid, err, "read the form")
	}
	target := r.URL.Query().Get("target")
	if a.Danger && r.PostForm.Get("typed") != target {
		return schema.Errorf(schema.Invalid, "The name that was typed is not %q, so nothing was done.", target)
	}
	params, err := json.Marshal(map[string]string{a.Param: target})
	if err != nil {
		return err
	}
	return s.start(w, r, a.Name, params)
}

func (s *Server) redeliver(w http.ResponseWriter, r *http.Request) error {
	d, err := s.Actor.Redeliver(r.Context(), actor(r.Context()), r.PathValue("id"))
	if err != nil {
		return err
	}
	return redirect(w, r, "/webhooks#d-"+d.ID)
}

func (s *Server) joinAsk(r *http.Request) (page.View, error) {
	v := page.JoinView{Name: r.URL.Query().Get("name")}
	if fragment(r) {
		return page.JoinSheet(v), nil
	}
	return page.Join(v), nil
}

func (s *Server) join(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return schema.Wrap(schema.Invalid, err, "read the form")
	}
	v := page.JoinView{Name: r.PostForm.Get("name")}
	j, err := s.Joiner.Join(r.Context(), actor(r.Context()), v.Name)
	status := http.StatusOK
	switch {
	case err == nil:
		v.Command, v.Expires = j.Command, j.Expires
	case usersFault(err):
		v.Error, status = schema.SafeText(err), schema.CodeOf(err).HTTPStatus()
	default:
		return err
	}
	f, err := s.frame(r)
	if err != nil {
		return err
	}
	s.write(w, r, status, page.Document(f, page.Join(v)))
	return nil
}

func (s *Server) revokeAsk(r *http.Request) (page.View, error) {
	v, err := s.findServer(r.Context(), r.PathValue("name"))
	if err != nil {
		return page.View{}, err
	}
	name := v.Resource.Name
	return question(r, page.Confirm{
		Title: "Revoke " + name + "?", Text: "The agent's key becomes unknown and the agent is disconnected at once. What runs on the host goes on running. To come back, the host has to join again.",
		Facts: []page.Fact{{Label: "Stacks on it", Value: part.Int(v.Stacks)}, {Label: "Commands that wait for it", Value: part.Int(v.Waiting)}},
		Post:  "/servers/" + url.PathEscape(name) + "/revoke", Button: "Revoke", Danger: true, Typed: name, Back: "/servers/" + url.PathEscape(name),
	}), nil
}

func (s *Server) revoke(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return schema.Wrap(schema.Invalid, err, "read the form")
	}
	v, err := s.findServer(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	if r.PostForm.Get("typed") != v.Resource.Name {
		return schema.Errorf(schema.Invalid, "The name that was typed is not %q, so nothing was done.", v.Resource.Name)
	}
	if err := s.Joiner.Revoke(r.Context(), actor(r.Context()), v.Resource.Name); err != nil {
		return err
	}
	return redirect(w, r, "/servers/"+url.PathEscape(v.Resource.Name))
}
