package ui

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"berth/schema"
	"berth/ui/page"
	"berth/ui/part"
)

// things is the list of a kind.
func (s *Server) things(kind string) viewFunc {
	return func(r *http.Request) (page.View, error) {
		list, err := s.Catalog.List(r.Context(), kind)
		if err != nil {
			return page.View{}, err
		}
		see, err := s.sight(r.Context(), kind)
		if err != nil {
			return page.View{}, err
		}
		v := page.ThingsView{Kind: kind, Cols: see.cols}
		for _, x := range list {
			row := page.ThingRow{ID: x.ID, Name: x.Name, Tags: x.Tags, NoRuns: see.noRuns}
			row.Mark, row.Cells, row.LastRun = see.row(x)
			v.Rows = append(v.Rows, row)
		}
		return page.Things(v), nil
	}
}

// thing is the page of a resource of a kind that things lists.
func (s *Server) thing(kind string) viewFunc {
	return func(r *http.Request) (page.View, error) {
		ctx := r.Context()
		_, x, err := s.resource(ctx, kind, r.PathValue("name"))
		if err != nil {
			return page.View{}, err
		}
		see, err := s.sight(ctx, kind)
		if err != nil {
			return page.View{}, err
		}
		v := page.ThingView{Kind: kind, ID: x.ID, Name: x.Name, Description: x.Description, Tags: x.Tags, Tab: r.URL.Query().Get("tab"), NoRuns: see.noRuns}
		var cells []string
		v.Mark, cells, _ = see.row(x)
		for i, c := range cells {
			v.Facts = append(v.Facts, page.Fact{Label: see.cols[i], Value: c})
		}
		if v.Tab == "" && see.noRuns {
			v.Tab = "config"
		}
		if !see.noRuns {
			if v.Runs, err = s.runsOf(r, kind, x.ID, v.Tab); err != nil {
				return page.View{}, err
			}
		}
		if v.Config, err = s.configTab(r, kind, x.Name, v.Tab); err != nil {
			return page.View{}, err
		}
		return s.special(ctx, v, x)
	}
}

// special draws a thing with what is special about its kind.
func (s *Server) special(ctx context.Context, v page.ThingView, x Resource) (page.View, error) {
	switch v.Kind {
	case "resource_sync":
		return s.sync(v, x)
	case "build":
		return s.build(ctx, v)
	case "deployment":
		list, err := s.Standing.Deployments(ctx)
		d, err := find("deployment", v.Name, list, err, func(d schema.DeploymentView) (string, string) { return d.Resource.ID, d.Resource.Name })
		return page.Deployment(page.DeploymentPageView{ThingView: v, Deployment: d}), err
	case "action":
		out := page.ActionPageView{ThingView: v, Schedule: s.scheduleOf(ctx, schema.Target{Kind: "action", ID: x.ID})}
		err := json.Unmarshal(x.Config, &out.Action)
		return page.ActionPage(out), err
	case "alerter":
		return s.alerter(ctx, v)
	}
	return page.Thing(v), nil
}

func (s *Server) sync(v page.ThingView, x Resource) (page.View, error) {
	out := page.SyncView{ThingView: v}
	if err := json.Unmarshal(x.Config, &out.Settings); err != nil {
		return page.View{}, err
	}
	var err error
	out.State, err = s.Standing.SyncState(x.ID)
	return page.Sync(out), err
}

func (s *Server) build(ctx context.Context, v page.ThingView) (page.View, error) {
	list, err := s.Standing.Builds(ctx)
	b, err := find("build", v.Name, list, err, func(b schema.BuildView) (string, string) { return b.Resource.ID, b.Resource.Name })
	return page.Build(page.BuildView{ThingView: v, Build: b, Next: b.Resource.Config.NextVersion(b.Built)}), err
}

// maxSent is how many alerts an alerter's page lists.
const maxSent = 30

func (s *Server) alerter(ctx context.Context, v page.ThingView) (page.View, error) {
	out := page.AlerterPageView{ThingView: v}
	for _, a := range s.Alerts.All(ctx) {
		for _, d := range s.Alerts.Deliveries(a.ID) {
			if d.Alerter == v.ID && len(out.Sent) < maxSent {
				out.Sent = append(out.Sent, page.SentAlert{Alert: a, Delivery: d})
			}
		}
	}
	return page.Alerter(out), nil
}

// thingFacts says what stands, for the question before an action.
func (s *Server) thingFacts(ctx context.Context, kind, name string) ([]page.Fact, error) {
	_, x, err := s.resource(ctx, kind, name)
	if err != nil {
		return nil, err
	}
	see, err := s.sight(ctx, kind)
	if err != nil {
		return nil, err
	}
	mark, cells, _ := see.row(x)
	out := []page.Fact{{Label: "Now", Value: mark.Word}}
	for i, c := range cells {
		if c != "" {
			out = append(out, page.Fact{Label: see.cols[i], Value: c})
		}
	}
	return out, nil
}

func (s *Server) createAsk(r *http.Request) (page.View, error) {
	v := page.NewView{Kind: r.PathValue("kind")}
	if page.Home(v.Kind) == "/" {
		return page.View{}, schema.Errorf(schema.NotFound, "There is no kind %q.", v.Kind)
	}
	if fragment(r) {
		return page.NewSheet(v), nil
	}
	return page.New(v), nil
}

// create makes a resource with default settings and goes on to its settings.
func (s *Server) create(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return schema.Wrap(schema.Invalid, err, "read the form")
	}
	v := page.NewView{Kind: r.PathValue("kind"), Name: strings.TrimSpace(r.PostForm.Get("name"))}
	name, err := s.Catalog.Create(r.Context(), actor(r.Context()), v.Kind, v.Name)
	if err == nil {
		return redirect(w, r, page.Where(v.Kind, name)+"?tab=config")
	}
	if !usersFault(err) {
		return err
	}
	v.Error = schema.SafeText(err)
	f, ferr := s.frame(r)
	if ferr != nil {
		return ferr
	}
	s.write(w, r, schema.CodeOf(err).HTTPStatus(), page.Document(f, page.New(v)))
	return nil
}

func (s *Server) rename(w http.ResponseWriter, r *http.Request) error {
	return s.moved(w, r, s.Catalog.Rename)
}

func (s *Server) copy(w http.ResponseWriter, r *http.Request) error {
	return s.moved(w, r, s.Catalog.Copy)
}

// moved does what leads to another name, and goes on to it.
func (s *Server) moved(w http.ResponseWriter, r *http.Request, do func(ctx context.Context, by schema.Actor, kind, name, to string) (string, error)) error {
	if err := r.ParseForm(); err != nil {
		return schema.Wrap(schema.Invalid, err, "read the form")
	}
	kind := r.PathValue("kind")
	name, err := do(r.Context(), actor(r.Context()), kind, r.PathValue("name"), strings.TrimSpace(r.PostForm.Get("to")))
	if err != nil {
		return err
	}
	return redirect(w, r, page.Where(kind, name)+"?tab=config")
}

func (s *Server) describe(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return schema.Wrap(schema.Invalid, err, "read the form")
	}
	kind, name := r.PathValue("kind"), r.PathValue("name")
	d := Description{Text: strings.TrimSpace(r.PostForm.Get("text")), Template: r.PostForm.Get("template") == "on", Tags: []string{}}
	for _, t := range strings.FieldsFunc(r.PostForm.Get("tags"), func(c rune) bool { return c == ',' || c == '\n' }) {
		if t = strings.TrimSpace(t); t != "" {
			d.Tags = append(d.Tags, t)
		}
	}
	if err := s.Catalog.Describe(r.Context(), actor(r.Context()), kind, name, d); err != nil {
		return err
	}
	return redirect(w, r, page.Where(kind, name)+"?tab=config&saved=1")
}

// runAction runs an action with the arguments that were typed.
func (s *Server) runAction(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return schema.Wrap(schema.Invalid, err, "read the form")
	}
	args := map[string]string{}
	for line := range strings.SplitSeq(r.PostForm.Get("args"), "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return schema.Errorf(schema.Invalid, "The argument %q has no value: write KEY = value.", line)
		}
		args[strings.TrimSpace(key)] = strings.TrimSpace(value)
	}
	params, err := json.Marshal(map[string]any{"action": r.PathValue("name"), "args": args})
	if err != nil {
		return err
	}
	return s.start(w, r, "RunAction", params)
}

// runSync runs a sync: all of it, or what was ticked.
func (s *Server) runSync(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return schema.Wrap(schema.Invalid, err, "read the form")
	}
	params := map[string]any{"sync": r.PathValue("name")}
	if r.PostForm.Get("confirm_deletes") == "on" {
		params["confirm_deletes"] = true
	}
	if r.PostForm.Get("do") == "picked" {
		kinds, names := map[string]bool{}, []string{}
		for _, p := range r.PostForm["pick"] {
			kind, name, _ := strings.Cut(p, "/")
			kinds[kind] = true
			names = append(names, name)
		}
		if len(names) == 0 {
			return schema.Errorf(schema.Invalid, "Nothing was ticked, so nothing was done.")
		}
		params["resources"] = names
		for kind := range kinds {
			if t := schema.TypeOf(kind); len(kinds) == 1 && t != "" {
				params["resource_type"] = t
			}
		}
	}
	text, err := json.Marshal(params)
	if err != nil {
		return err
	}
	return s.start(w, r, "RunSync", text)
}

// matches says what each batch of a procedure would work on now.
func (s *Server) matches(ctx context.Context, stages []schema.ProcedureStage) map[page.At]page.Match {
	out := map[page.At]page.Match{}
	for i, st := range stages {
		for j, e := range st.Executions {
			b, ok := page.BatchOf(e.Execution)
			if !ok {
				continue
			}
			var m page.Match
			var err error
			if m.Targets, err = s.Standing.Match(ctx, b.Kind, b.Pattern, b.Tags); err != nil {
				m.Problem = schema.SafeText(err)
			}
			out[page.At{Stage: i, Execution: j}] = m
		}
	}
	return out
}

// scheduleOf returns when something runs by itself; nil when it never does.
func (s *Server) scheduleOf(ctx context.Context, t schema.Target) *schema.ScheduleView {
	for _, v := range s.Standing.Schedules(ctx) {
		if v.Target.Kind == t.Kind && v.Target.ID == t.ID && v.Schedule != "" {
			return &v
		}
	}
	return nil
}

// pendingSyncs counts the syncs that would do something, or cannot.
func (s *Server) pendingSyncs(list []Resource) (n int) {
	for _, x := range list {
		if st, err := s.Standing.SyncState(x.ID); err == nil {
			if m := page.SyncMark(st, nil); m.State == part.Warn || m.State == part.Bad {
				n++
			}
		}
	}
	return n
}
