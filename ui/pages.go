package ui

import (
	"context"
	"net/http"
	"time"

	"berth/schema"
	"berth/ui/page"
	"berth/ui/part"
)

// shell reads what every page says about everything.
func (s *Server) shell(ctx context.Context) (page.Shell, error) {
	var out page.Shell
	w, err := s.world(ctx)
	if err != nil {
		return out, err
	}
	out.Count = map[string]int{"server": len(w.servers), "stack": len(w.stacks), "repo": len(w.repos), "procedure": len(w.procedures)}
	for kind, list := range w.others {
		out.Count[kind] = len(list)
	}
	out.Pending = s.pendingSyncs(w.others["resource_sync"])
	active, err := s.History.Runs(ctx, schema.RunFilter{Pending: true, Parent: "-", Limit: 50})
	if err != nil {
		return out, err
	}
	if out.Run = len(active); len(active) > 0 {
		out.Current = &active[0]
	}
	for _, a := range s.Alerts.All(ctx) {
		if !a.Resolved {
			out.Alerts++
		}
	}
	for _, v := range s.Standing.Schedules(ctx) {
		if m := page.ScheduleMark(v); m.State == part.Warn || m.State == part.Bad {
			out.Missed++
		}
	}
	count := func(m part.Mark) {
		switch m.State {
		case part.Bad:
			out.Bad++
		case part.Warn:
			out.Warn++
		case part.OK, part.Live, part.Idle, part.Unknown:
		}
	}
	for _, v := range w.servers {
		if v.Joined {
			out.Joined++
		}
		if v.Online {
			out.Online++
		}
		count(part.ServerMark(v))
	}
	for _, v := range w.stacks {
		count(part.StackMark(v))
	}
	for _, v := range w.procedures {
		count(part.ResourceMark(v.State, v.LastRun))
	}
	return out, nil
}

// world is all read models at once.
type world struct {
	servers    []schema.ServerView
	stacks     []schema.StackView
	repos      []schema.RepoView
	procedures []schema.ProcedureView
	others     map[string][]Resource // of all other kinds
}

func (s *Server) world(ctx context.Context) (w world, err error) {
	if w.servers, err = s.Resources.Servers(ctx); err != nil {
		return w, err
	}
	if w.stacks, err = s.Resources.Stacks(ctx); err != nil {
		return w, err
	}
	if w.repos, err = s.Resources.Repos(ctx); err != nil {
		return w, err
	}
	if w.procedures, err = s.Resources.Procedures(ctx); err != nil {
		return w, err
	}
	w.others = map[string][]Resource{}
	for _, k := range s.Catalog.Kinds() {
		switch k.Name {
		case "server", "stack", "repo", "procedure":
			continue
		}
		if w.others[k.Name], err = s.Catalog.List(ctx, k.Name); err != nil {
			return w, err
		}
	}
	return w, nil
}

func (s *Server) overview(r *http.Request) (page.View, error) {
	ctx := r.Context()
	w, err := s.world(ctx)
	if err != nil {
		return page.View{}, err
	}
	now := time.Now()
	runs, err := s.History.Runs(ctx, schema.RunFilter{From: now.Add(-page.Window - time.Hour).UnixMilli(), Limit: 500})
	if err != nil {
		return page.View{}, err
	}
	deliveries, err := s.History.Deliveries(ctx, 20)
	if err != nil {
		return page.View{}, err
	}
	return page.Overview(page.OverviewView{Servers: w.servers, Stacks: w.stacks, Procedures: w.procedures, Repos: w.repos, Runs: runs, Deliveries: deliveries, Now: now}), nil
}

func (s *Server) servers(r *http.Request) (page.View, error) {
	list, err := s.Resources.Servers(r.Context())
	return page.Servers(list), err
}

func (s *Server) findServer(ctx context.Context, name string) (schema.ServerView, error) {
	list, err := s.Resources.Servers(ctx)
	return find("server", name, list, err, func(v schema.ServerView) (string, string) { return v.Resource.ID, v.Resource.Name })
}

// find returns the item with the name or id.
func find[V any](kind, name string, list []V, err error, key func(V) (id, name string)) (V, error) {
	var none V
	if err != nil {
		return none, err
	}
	for _, v := range list {
		if id, n := key(v); n == name || id == name {
			return v, nil
		}
	}
	return none, schema.Errorf(schema.NotFound, "There is no %s called %q.", kind, name)
}

func (s *Server) server(r *http.Request) (page.View, error) {
	ctx := r.Context()
	v, err := s.findServer(ctx, r.PathValue("name"))
	if err != nil {
		return page.View{}, err
	}
	out := page.ServerPageView{Server: v, Tab: r.URL.Query().Get("tab")}
	stacks, err := s.Resources.Stacks(ctx)
	if err != nil {
		return page.View{}, err
	}
	for _, st := range stacks {
		if st.Server.ID == v.Resource.ID {
			out.Stacks = append(out.Stacks, st)
		}
	}
	if out.Runs, err = s.History.Runs(ctx, schema.RunFilter{Server: v.Resource.ID, Limit: 8}); err != nil {
		return page.View{}, err
	}
	out.Config, err = s.config(r, "server", v.Resource.Name)
	return page.Server(out), err
}

func (s *Server) stacks(r *http.Request) (page.View, error) {
	list, err := s.Resources.Stacks(r.Context())
	if err != nil {
		return page.View{}, err
	}
	servers, err := s.Resources.Servers(r.Context())
	out := page.StacksView{All: len(list), State: part.State(r.URL.Query().Get("state"))}
	for _, v := range servers {
		out.Joined = out.Joined || v.Joined
	}
	for _, v := range list {
		if out.State == "" || part.StackMark(v).State == out.State {
			out.Stacks = append(out.Stacks, v)
		}
	}
	return page.Stacks(out), err
}

func (s *Server) findStack(ctx context.Context, name string) (schema.StackView, error) {
	list, err := s.Resources.Stacks(ctx)
	return find("stack", name, list, err, func(v schema.StackView) (string, string) { return v.Resource.ID, v.Resource.Name })
}

func (s *Server) stack(r *http.Request) (page.View, error) {
	v, err := s.findStack(r.Context(), r.PathValue("name"))
	if err != nil {
		return page.View{}, err
	}
	out := page.StackPageView{Stack: v, Tab: r.URL.Query().Get("tab")}
	if out.Runs, err = s.runsOf(r, "stack", v.Resource.ID, out.Tab); err != nil {
		return page.View{}, err
	}
	out.Config, err = s.config(r, "stack", v.Resource.Name)
	if err != nil {
		return page.View{}, err
	}
	w, err := s.world(r.Context())
	out.Stack.Resource.Config.LinkedRepo = w.name("repo", v.Resource.Config.LinkedRepo)
	return page.Stack(out), err
}

// runsOf returns the last runs of a target: few beside other things, more where
// they are the page.
func (s *Server) runsOf(r *http.Request, kind, id, tab string) ([]schema.Run, error) {
	limit := 12
	if tab == "runs" {
		limit = 100
	}
	return s.History.Runs(r.Context(), schema.RunFilter{Kind: kind, Target: id, Limit: limit})
}

func (s *Server) repos(r *http.Request) (page.View, error) {
	list, err := s.Resources.Repos(r.Context())
	return page.Repos(list), err
}

func (s *Server) findRepo(ctx context.Context, name string) (schema.RepoView, error) {
	list, err := s.Resources.Repos(ctx)
	return find("repo", name, list, err, func(v schema.RepoView) (string, string) { return v.Resource.ID, v.Resource.Name })
}

func (s *Server) repo(r *http.Request) (page.View, error) {
	ctx := r.Context()
	v, err := s.findRepo(ctx, r.PathValue("name"))
	if err != nil {
		return page.View{}, err
	}
	out := page.RepoPageView{Repo: v, Tab: r.URL.Query().Get("tab")}
	stacks, err := s.Resources.Stacks(ctx)
	if err != nil {
		return page.View{}, err
	}
	for _, st := range stacks {
		if l := st.Resource.Config.LinkedRepo; l != "" && (l == v.Resource.Name || l == v.Resource.ID) {
			out.Stacks = append(out.Stacks, st)
		}
	}
	if out.Runs, err = s.runsOf(r, "repo", v.Resource.ID, out.Tab); err != nil {
		return page.View{}, err
	}
	out.Config, err = s.config(r, "repo", v.Resource.Name)
	return page.Repo(out), err
}

func (s *Server) procedures(r *http.Request) (page.View, error) {
	list, err := s.Resources.Procedures(r.Context())
	return page.Procedures(list), err
}

func (s *Server) findProcedure(ctx context.Context, name string) (schema.ProcedureView, error) {
	list, err := s.Resources.Procedures(ctx)
	return find("procedure", name, list, err, func(v schema.ProcedureView) (string, string) { return v.Resource.ID, v.Resource.Name })
}

func (s *Server) procedure(r *http.Request) (page.View, error) {
	v, err := s.findProcedure(r.Context(), r.PathValue("name"))
	if err != nil {
		return page.View{}, err
	}
	out := page.ProcedurePageView{Procedure: v, Tab: r.URL.Query().Get("tab")}
	if out.Runs, err = s.runsOf(r, "procedure", v.Resource.ID, out.Tab); err != nil {
		return page.View{}, err
	}
	out.Config, err = s.config(r, "procedure", v.Resource.Name)
	if err != nil {
		return page.View{}, err
	}
	w, err := s.world(r.Context())
	if err != nil {
		return page.View{}, err
	}
	out.Procedure.Resource.Config.Stages = w.named(v.Resource.Config.Stages)
	out.Schedule = s.scheduleOf(r.Context(), v.Resource.Target("procedure"))
	out.Matches = s.matches(r.Context(), v.Resource.Config.Stages)
	return page.Procedure(out), nil
}

func (s *Server) variables(r *http.Request) (page.View, error) {
	list, err := s.Resources.Variables(r.Context())
	for i := range list {
		if list[i].Config.IsSecret {
			list[i].Config.Value = "" // whatever the reader says
		}
	}
	return page.Variables(page.VariablesView{List: list}), err
}

func (s *Server) webhooks(r *http.Request) (page.View, error) {
	ctx := r.Context()
	out := page.WebhooksView{Base: base(r), Runs: map[string]uint64{}}
	hooks, err := s.Resources.Webhooks(ctx)
	if err != nil {
		return page.View{}, err
	}
	for _, h := range hooks {
		out.Hooks = append(out.Hooks, page.Hook(h))
	}
	if out.Deliveries, err = s.History.Deliveries(ctx, 100); err != nil {
		return page.View{}, err
	}
	for _, d := range out.Deliveries {
		if d.Run == "" || out.Runs[d.Run] != 0 {
			continue
		}
		if run, err := s.History.Run(ctx, d.Run); err == nil {
			out.Runs[d.Run] = run.Number
		}
	}
	return page.Webhooks(out), nil
}

func (s *Server) more(r *http.Request) (page.View, error) {
	sh, err := s.shell(r.Context())
	return page.More(sh), err
}
