package ui

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"berth/schema"
	"berth/ui/page"
)

// config reads the settings of a resource for the tab that shows them.
func (s *Server) config(r *http.Request, kind, name string) (page.ConfigView, error) {
	return s.configTab(r, kind, name, r.URL.Query().Get("tab"))
}

func (s *Server) configTab(r *http.Request, kind, name, tab string) (page.ConfigView, error) {
	v := page.ConfigView{Kind: kind, Name: name, Saved: r.URL.Query().Get("saved") != ""}
	var err error
	switch tab {
	case "toml":
		v.AsText = true
		v.TOML, err = s.Editor.TOML(r.Context(), kind, name)
	case "config":
		var found Resource
		found, v.Sections, err = s.form(r.Context(), kind, name)
		v.Description, v.Tags, v.Template = found.Description, found.Tags, found.Template
	}
	return v, err
}

// options are the choices of settings that refer to other resources; "@type" are
// those of any kind.
func (s *Server) options(ctx context.Context) (map[string][]page.Option, error) {
	out := map[string][]page.Option{"@type": {}}
	for _, k := range s.Catalog.Kinds() {
		list, err := s.Catalog.List(ctx, k.Name)
		if err != nil {
			return nil, err
		}
		if k.Name != "swarm" || len(list) > 0 { // swarms are kept and not served: not offered where there is none
			out[k.Name] = []page.Option{}
		}
		for _, r := range list {
			out[k.Name] = append(out[k.Name], page.Option{Value: r.ID, Label: r.Name})
			out["@type"] = append(out["@type"], page.Option{Value: r.ID, Label: page.WordsOf(k.Name).One + " " + r.Name})
		}
	}
	return out, nil
}

// form returns a resource and the form of its settings, as it is sent to the
// browser; NotFound.
func (s *Server) form(ctx context.Context, kind, name string) (Resource, []page.FormSection, error) {
	k, r, err := s.resource(ctx, kind, name)
	if err != nil {
		return r, nil, err
	}
	options, err := s.options(ctx)
	if err != nil {
		return r, nil, err
	}
	if kind == "procedure" {
		if r.Config, err = s.spokenStages(ctx, r.Config); err != nil {
			return r, nil, err
		}
	}
	var values map[string]any
	if err := json.Unmarshal(r.Config, &values); err != nil {
		return r, nil, err
	}
	return r, page.Form(k.Fields, values, options), nil
}

// spokenStages returns a procedure's settings with resources named as people do;
// they are saved by name as well as by id.
func (s *Server) spokenStages(ctx context.Context, config json.RawMessage) (json.RawMessage, error) {
	var c schema.ProcedureConfig
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, err
	}
	w, err := s.world(ctx)
	if err != nil {
		return nil, err
	}
	c.Stages = w.named(c.Stages)
	return json.Marshal(c)
}

// resource finds a resource of any kind by name or id; NotFound.
func (s *Server) resource(ctx context.Context, kind, name string) (Kind, Resource, error) {
	kinds := s.Catalog.Kinds()
	i := slices.IndexFunc(kinds, func(k Kind) bool { return k.Name == kind })
	if i < 0 {
		return Kind{}, Resource{}, schema.Errorf(schema.NotFound, "There is no kind %q.", kind)
	}
	list, err := s.Catalog.List(ctx, kind)
	r, err := find(page.WordsOf(kind).One, name, list, err, func(r Resource) (string, string) { return r.ID, r.Name })
	return kinds[i], r, err
}

// save takes a settings form: only what was changed in it is saved.
func (s *Server) save(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return schema.Wrap(schema.Invalid, err, "read the form")
	}
	kind, name := r.PathValue("kind"), r.PathValue("name")
	_, form, err := s.form(r.Context(), kind, name)
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
	return redirect(w, r, page.Where(kind, name)+"?tab=config&saved=1")
}

func (s *Server) removeAsk(r *http.Request) (page.View, error) {
	kind, name := r.PathValue("kind"), r.PathValue("name")
	text := "Berth forgets it, with its settings. "
	switch kind {
	case "stack":
		text += "Its containers stay as they are; destroy the stack first to remove them."
	case "server":
		text += "Its agent is no longer known. What runs on the host goes on running."
	case "deployment":
		text += "Its container stays as it is; destroy the deployment first to remove it."
	case "resource_sync":
		text += "What it declared stays; nothing follows its files any more."
	case "variable":
		text += "Texts that name it keep the name as it stands, and a deploy that needs it will say so."
	default:
		text += "Runs of it stay in the history."
	}
	back := page.Where(kind, name)
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
	return redirect(w, r, page.Home(kind))
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

func (s *Server) applyPage(r *http.Request) (page.View, error) {
	var v page.ApplyView
	var err error
	if r.URL.Query().Get("all") != "" {
		v.Text, err = s.Editor.TOML(r.Context(), "", "")
	}
	return page.Apply(v), err
}

// export sends all resources as a file.
func (s *Server) export(w http.ResponseWriter, r *http.Request) error {
	text, err := s.Editor.TOML(r.Context(), "", "")
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/toml; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="berth.toml"`)
	_, err = io.WriteString(w, text)
	return err
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
