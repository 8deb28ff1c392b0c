package ui

import (
	"context"
	"encoding/json"
	"strings"

	"berth/schema"
	"berth/ui/page"
	"berth/ui/part"
)

// sight is how resources of a kind look in a list: the columns, and what a
// resource has in them.
type sight struct {
	cols   []string
	noRuns bool
	row    func(x Resource) (part.Mark, []string, *schema.Run)
}

// sight reads what a list of the kind needs, once for all of its rows.
func (s *Server) sight(ctx context.Context, kind string) (sight, error) {
	switch kind {
	case "build":
		return s.seeBuilds(ctx)
	case "deployment":
		return s.seeDeployments(ctx)
	case "resource_sync":
		return s.seeSyncs(ctx)
	case "action":
		return s.seeActions(ctx)
	case "alerter":
		return s.seeAlerters(), nil
	case "builder":
		return s.seeBuilders(ctx)
	case "user_group":
		return sight{[]string{"Users", "Rules"}, true, seeGroup}, nil
	}
	return sight{noRuns: true, row: func(Resource) (part.Mark, []string, *schema.Run) {
		return part.Mark{State: part.Idle}, nil, nil
	}}, nil
}

func (s *Server) seeBuilds(ctx context.Context) (sight, error) {
	list, err := s.Standing.Builds(ctx)
	by := map[string]schema.BuildView{}
	for _, v := range list {
		by[v.Resource.ID] = v
	}
	return sight{cols: []string{"Version", "Builder", "Commit"}, row: func(x Resource) (part.Mark, []string, *schema.Run) {
		v := by[x.ID]
		return part.ResourceMark(v.State, v.LastRun), []string{v.Version.String(), v.Builder.Name, part.Short(v.Built.Commit) + " " + v.Built.Message}, v.LastRun
	}}, err
}

func (s *Server) seeDeployments(ctx context.Context) (sight, error) {
	list, err := s.Standing.Deployments(ctx)
	by := map[string]schema.DeploymentView{}
	for _, v := range list {
		by[v.Resource.ID] = v
	}
	return sight{cols: []string{"Server", "Image"}, row: func(x Resource) (part.Mark, []string, *schema.Run) {
		v := by[x.ID]
		return page.DeploymentMark(v), []string{v.Server.Name, v.Image}, v.LastRun
	}}, err
}

func (s *Server) seeSyncs(ctx context.Context) (sight, error) {
	w, err := s.world(ctx)
	if err != nil {
		return sight{}, err
	}
	runs, err := s.History.Runs(ctx, schema.RunFilter{Kind: "resource_sync", Limit: 500})
	return sight{cols: []string{"Source", "Commit", "Pending", "Last sync"}, row: func(x Resource) (part.Mark, []string, *schema.Run) {
		var c schema.SyncConfig
		_ = json.Unmarshal(x.Config, &c) // as core wrote it
		st, err := s.Standing.SyncState(x.ID)
		if err != nil {
			return part.Mark{State: part.Unknown, Word: "unknown"}, []string{"", "", "", ""}, nil
		}
		last := lastOf(runs, x.ID)
		var busy *schema.Run
		if last != nil && !last.State.Terminal() {
			busy = last
		}
		pending := ""
		if st.Plan.Problem == nil && st.CheckedAt > 0 {
			pending = st.Plan.Counts()
		}
		done := "never"
		if st.Last != nil {
			done = part.Dur(part.Since(st.Last.At)) + " ago"
			if st.Last.Commit != "" {
				done += " at " + part.Short(st.Last.Commit)
			}
		}
		at := ""
		if st.Plan.Commit != "" {
			at = part.Short(st.Plan.Commit) + " " + st.Plan.Message
		}
		return page.SyncMark(st, busy), []string{page.SyncSourceText(c, w.name("repo", c.LinkedRepo)), at, pending, done}, last
	}}, err
}

func (s *Server) seeActions(ctx context.Context) (sight, error) {
	runs, err := s.History.Runs(ctx, schema.RunFilter{Kind: "action", Limit: 500})
	return sight{cols: []string{"Schedule", "Next"}, row: func(x Resource) (part.Mark, []string, *schema.Run) {
		cells := []string{"", ""}
		if v := s.scheduleOf(ctx, schema.Target{Kind: "action", ID: x.ID}); v != nil {
			cells[0], cells[1] = v.Schedule, page.Until(v.Next)
		}
		last := lastOf(runs, x.ID)
		mark := part.Mark{State: part.Idle, Word: "never run"}
		if last != nil {
			mark = part.RunMark(last.State)
		}
		return mark, cells, last
	}}, err
}

func (s *Server) seeAlerters() sight {
	return sight{cols: []string{"Type", "Types of alerts"}, row: func(x Resource) (part.Mark, []string, *schema.Run) {
		var c struct {
			Enabled  bool `json:"enabled"`
			Endpoint struct {
				Type string `json:"type"`
			} `json:"endpoint"`
			Types []string `json:"alert_types"`
		}
		_ = json.Unmarshal(x.Config, &c) // as core wrote it
		mark := part.Mark{State: part.OK, Word: "enabled"}
		if !c.Enabled {
			mark = part.Mark{State: part.Idle, Word: "off"}
		}
		types := "all"
		if len(c.Types) > 0 {
			types = strings.Join(c.Types, ", ")
		}
		return mark, []string{c.Endpoint.Type, types}, nil
	}}
}

func (s *Server) seeBuilders(ctx context.Context) (sight, error) {
	w, err := s.world(ctx)
	return sight{cols: []string{"Type", "Where"}, noRuns: true, row: func(x Resource) (part.Mark, []string, *schema.Run) {
		var c struct {
			Type   string `json:"type"`
			Params struct {
				Address string   `json:"address"`
				Servers []string `json:"server_ids"`
				Region  string   `json:"region"`
			} `json:"params"`
		}
		_ = json.Unmarshal(x.Config, &c) // as core wrote it
		var servers []string
		for _, id := range c.Params.Servers {
			servers = append(servers, w.name("server", id))
		}
		return part.Mark{State: part.Idle}, []string{c.Type, c.Params.Address + c.Params.Region + strings.Join(servers, ", ")}, nil
	}}, err
}

func seeGroup(x Resource) (part.Mark, []string, *schema.Run) {
	var c schema.UserGroupConfig
	_ = json.Unmarshal(x.Config, &c) // as core wrote it
	users := strings.Join(c.Users, ", ")
	if c.Everyone {
		users = "everyone"
	}
	return part.Mark{State: part.Idle}, []string{users, part.Count(len(c.All)+len(c.Permissions), "rule")}, nil
}

// lastOf returns the newest run of a target.
func lastOf(runs []schema.Run, id string) *schema.Run {
	for i := range runs {
		if runs[i].Target.ID == id {
			return &runs[i]
		}
	}
	return nil
}
