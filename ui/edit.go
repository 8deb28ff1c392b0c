package ui

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"berth/schema"
	"berth/ui/page"
)

// config reads the settings of a resource for the tab that shows them.
func (s *Server) config(r *http.Request, kind, name string, form func(map[string][]page.Option) []page.FormSection) (page.ConfigView, error) {
	v := page.ConfigView{Kind: kind, Name: name, Saved: r.URL.Query().Get("saved") != ""}
	var err error
	switch r.URL.Query().Get("tab") {
	case "toml":
		v.AsText = true
		v.TOML, err = s.Editor.TOML(r.Context(), kind, name)
	case "config":
		var options map[string][]page.Option
		options, err = s.options(r.Context())
		v.Sections = form(options)
	}
	return v, err
}

// options are the choices of settings that refer to other resources.
func (s *Server) options(ctx context.Context) (map[string][]page.Option, error) {
	w, err := s.world(ctx)
	out := map[string][]page.Option{}
	for _, v := range w.servers {
		out["server"] = append(out["server"], page.Option{Value: v.Resource.ID, Label: v.Resource.Name})
	}
	for _, v := range w.repos {
		out["repo"] = append(out["repo"], page.Option{Value: v.Resource.ID, Label: v.Resource.Name})
	}
	return out, err
}

// sections returns the form of a resource as it was sent to the browser.
func (s *Server) sections(ctx context.Context, kind, name string) ([]page.FormSection, error) {
	o, err := s.options(ctx)
	if err != nil {
		return nil, err
	}
	switch kind {
	case "server":
		v, err := s.findServer(ctx, name)
		return page.Form(v.Resource.Config, schema.DefaultServer(), o), err
	case "stack":
		v, err := s.findStack(ctx, name)
		return page.Form(v.Resource.Config, schema.DefaultStack(), o), err
	case "repo":
		v, err := s.findRepo(ctx, name)
		return page.Form(v.Resource.Config, schema.DefaultRepo(), o), err
	case "procedure":
		v, err := s.findProcedure(ctx, name)
		return page.Form(v.Resource.Config, schema.DefaultProcedure(), o), err
	}
	return nil, schema.Errorf(schema.NotFound, "There are no settings of a %q.", kind)
}

// save takes a settings form: only what was changed in it is saved.
func (s *Server) save(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return schema.Wrap(schema.Invalid, err, "read the form")
	}
	kind, name := r.PathValue("kind"), r.PathValue("name")
	form, err := s.sections(r.Context(), kind, name)
	if err != nil {
		return err
	}
	patch, err := page.Patch(form, r.PostForm)
	if err != nil {
		return err
	}
	if patch != nil {
		if err := s.Editor.Save(r.Context(), actor(r.Context()), kind, name, patch); err != nil {
			return err
		}
	}
	return redirect(w, r, "/"+kind+"s/"+url.PathEscape(name)+"?tab=config&saved=1")
}

func (s *Server) removeAsk(r *http.Request) (page.View, error) {
	kind, name := r.PathValue("kind"), r.PathValue("name")
	text := "Berth forgets it, with its settings. "
	switch kind {
	case "stack":
		text += "Its containers stay as they are; destroy the stack first to remove them."
	case "server":
		text += "Its agent is no longer known. What runs on the host goes on running."
	case "variable":
		text += "Texts that name it keep the name as it stands, and a deploy that needs it will say so."
	default:
		text += "Runs of it stay in the history."
	}
	back := "/" + kind + "s/" + url.PathEscape(name)
	if kind == "variable" {
		back = "/variables"
	}
	return question(r, page.Confirm{Title: "Delete " + name + "?", Text: text, Post: "/delete/" + kind + "/" + url.PathEscape(name), Button: "Delete", Danger: true, Typed: name, Back: back}), nil
}

func (s *Server) remove(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return schema.Wrap(schema.Invalid, err, "read the form")
	}
	kind, name := r.PathValue("kind"), r.PathValue("name")
	if r.PostForm.Get("typed") != name {
		return schema.Errorf(schema.Invalid, "The name that was typed is not %q, so nothing was done.", name)
	}
	if err := s.Editor.Delete(r.Context(), actor(r.Context()), kind, name); err != nil {
		return err
	}
	return redirect(w, r, "/"+kind+"s")
}

func (s *Server) saveVariable(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return schema.Wrap(schema.Invalid, err, "read the form")
	}
	name := strings.TrimSpace(r.PostForm.Get("name"))
	patch, err := json.Marshal(schema.VariableConfig{Value: strings.ReplaceAll(r.PostForm.Get("value"), "\r\n", "\n"), IsSecret: r.PostForm.Get("secret") != ""})
	if err != nil {
		return err
	}
	err = s.Editor.Save(r.Context(), actor(r.Context()), "variable", name, patch)
	if err == nil {
		return redirect(w, r, "/variables")
	}
	if !usersFault(err) {
		return err
	}
	list, lerr := s.Resources.Variables(r.Context())
	if lerr != nil {
		return lerr
	}
	f, ferr := s.frame(r)
	if ferr != nil {
		return ferr
	}
	s.write(w, r, schema.CodeOf(err).HTTPStatus(), page.Document(f, page.Variables(page.VariablesView{List: list, Name: name, Error: schema.SafeText(err)})))
	return nil
}

func (s *Server) applyPage(*http.Request) (page.View, error) {
	return page.Apply(page.ApplyView{}), nil
}

// apply shows the plan of a text, and carries it out when asked to.
func (s *Server) apply(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return schema.Wrap(schema.Invalid, err, "read the form")
	}
	v := page.ApplyView{Text: strings.ReplaceAll(r.PostForm.Get("text"), "\r\n", "\n")}
	var plan Plan
	var err error
	if v.Applied = r.PostForm.Get("do") == "apply"; v.Applied {
		plan, err = s.Editor.Apply(r.Context(), actor(r.Context()), v.Text)
	} else {
		plan, err = s.Editor.Plan(r.Context(), v.Text)
	}
	status := http.StatusOK
	switch {
	case err == nil:
		v.Plan = planView(plan)
		v.Applied = v.Applied && !v.Plan.Broken()
	case usersFault(err):
		v.Applied, v.Error, status = false, schema.SafeText(err), schema.CodeOf(err).HTTPStatus()
	default:
		return err
	}
	f, err := s.frame(r)
	if err != nil {
		return err
	}
	s.write(w, r, status, page.Document(f, page.Apply(v)))
	return nil
}

func planView(p Plan) *page.PlanView {
	out := &page.PlanView{}
	for _, i := range p.Issues {
		out.Issues = append(out.Issues, page.Issue(i))
	}
	for _, i := range p.Items {
		item := page.PlanItem{Kind: i.Kind, Name: i.Name, Change: i.Change}
		for _, f := range i.Fields {
			item.Fields = append(item.Fields, page.FieldChange(f))
		}
		out.Items = append(out.Items, item)
	}
	return out
}
