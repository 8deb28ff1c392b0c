package core

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"berth/core/monitor"
	"berth/schema"
)

// recentRuns is how many ended runs a view shows.
const recentRuns = 48

// Servers returns all servers as they stand, by name.
func (c *core) Servers(ctx context.Context) ([]schema.ServerView, error) {
	list, err := c.kinds.servers.All()
	if err != nil {
		return nil, err
	}
	count, err := c.stacksPerServer()
	if err != nil {
		return nil, err
	}
	joined := map[string]string{}
	for _, p := range c.principals.List() {
		if !p.Revoked {
			joined[p.ID] = p.NKey
		}
	}
	out := make([]schema.ServerView, 0, len(list))
	for _, r := range list {
		m := c.monitor.Server(r.ID)
		v := schema.ServerView{
			Resource: r, Online: m.Online, Joined: joined[r.ID] != "", Key: joined[r.ID], Other: c.attempts.of(r.ID), Status: shownStatus(r.Config, m.Status), Stacks: count[r.ID],
			Waiting: c.engine.Waiting(r.ID), State: serverState(r, m),
		}
		if !m.Since.IsZero() {
			v.Since = m.Since.UnixMilli()
		}
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b schema.ServerView) int { return cmp.Compare(a.Resource.Name, b.Resource.Name) })
	return out, ctx.Err()
}

// shownStatus is an agent's status without the figures of a host that are not wanted.
func shownStatus(cfg schema.ServerConfig, st *schema.AgentStatus) *schema.AgentStatus {
	if st == nil || st.Stats == nil {
		return st
	}
	shown := *st
	if !cfg.StatsMonitoring {
		shown.Stats = nil
		return &shown
	}
	stats := *st.Stats
	stats.Disks = slices.DeleteFunc(slices.Clone(stats.Disks), func(d schema.HostDisk) bool { return ignoresMount(cfg, d.Mount) })
	shown.Stats = &stats
	return &shown
}

// ignoresMount reports whether a mount is one of those that the settings leave out.
func ignoresMount(cfg schema.ServerConfig, mount string) bool {
	return slices.ContainsFunc(cfg.IgnoreMounts, func(p string) bool { return p != "" && strings.HasPrefix(mount, p) })
}

func (c *core) stacksPerServer() (map[string]int, error) {
	list, err := c.kinds.stacks.All()
	count := map[string]int{}
	for _, s := range list {
		count[s.Config.ServerID]++
	}
	return count, err
}

func serverState(r schema.Resource[schema.ServerConfig], m monitor.Server) schema.ServerState {
	switch {
	case !r.Config.Enabled:
		return schema.ServerDisabled
	case m.Online && m.Status != nil && m.Status.Engine.Error == "":
		return schema.ServerOk
	}
	return schema.ServerNotOk
}

// runsByTarget returns the newest runs of every target of a kind, newest first.
func (c *core) runsByTarget(ctx context.Context, kind string) (map[string][]*schema.Run, error) {
	list, err := c.engine.List(ctx, schema.RunFilter{Kind: kind, Limit: 2000})
	out := map[string][]*schema.Run{}
	for _, r := range list {
		if t := r.Target.ID; len(out[t]) < recentRuns {
			out[t] = append(out[t], r)
		}
	}
	return out, err
}

func lastRun(runs []*schema.Run) *schema.Run {
	if len(runs) == 0 {
		return nil
	}
	return runs[0]
}

// recent lists the states of ended runs, oldest first.
func recent(runs []*schema.Run) []schema.RunState {
	var out []schema.RunState
	for _, r := range slices.Backward(runs) {
		if r.State.Terminal() {
			out = append(out, r.State)
		}
	}
	return out
}

// Stacks returns the stacks with the ids as they stand, or all, by name.
func (c *core) Stacks(ctx context.Context, ids ...string) ([]schema.StackView, error) {
	list, err := c.stacksOf(ids)
	if err != nil {
		return nil, err
	}
	out := make([]schema.StackView, 0, len(list))
	for _, r := range list {
		runs, err := c.engine.List(ctx, schema.RunFilter{Kind: "stack", Target: r.ID, Limit: recentRuns})
		if err != nil {
			return nil, err
		}
		out = append(out, c.stackView(r, runs))
	}
	slices.SortFunc(out, func(a, b schema.StackView) int { return cmp.Compare(a.Resource.Name, b.Resource.Name) })
	return out, nil
}

// stacksOf returns the stacks with the ids, without those that are gone, or all.
func (c *core) stacksOf(ids []string) ([]schema.Resource[schema.StackConfig], error) {
	if len(ids) == 0 {
		return c.kinds.stacks.All()
	}
	out := make([]schema.Resource[schema.StackConfig], 0, len(ids))
	for _, id := range ids {
		r, err := c.kinds.stacks.Masked(id)
		switch {
		case schema.CodeOf(err) == schema.NotFound:
		case err != nil:
			return nil, err
		default:
			out = append(out, r)
		}
	}
	return out, nil
}

func (c *core) stackView(r schema.Resource[schema.StackConfig], runs []*schema.Run) schema.StackView {
	v := schema.StackView{Resource: r, LastRun: lastRun(runs), Recent: recent(runs), State: schema.StackUnknown, Services: []schema.ServiceView{}}
	if s, err := c.kinds.servers.Find(r.Config.ServerID); err == nil {
		v.Server = s
	}
	project := r.Config.ProjectName
	if project == "" {
		project = r.Name
	}
	var expected []schema.DeployedService
	if d, err := c.deployed.Get(r.ID); err == nil {
		v.Deployed, expected, project = &d.Value, d.Value.Services, d.Value.Project
	}
	list, known := c.monitor.Project(r.Config.ServerID, project)
	if list != nil || known {
		v.Services = monitor.Services(list, expected)
	}
	switch {
	case v.LastRun != nil && !v.LastRun.State.Terminal() && v.LastRun.State != schema.StateWaiting && deploys(v.LastRun.Action):
		v.State, v.Status = schema.StackDeploying, v.LastRun.Note
	case !known:
		v.Status = "server " + v.Server.Name + " is away"
		if v.Server.ID == "" {
			v.Status = "no server is set"
		}
	default:
		v.State, v.Status = monitor.StackState(v.Services, r.Config.IgnoreServices)
	}
	v.Latest, v.Seen = c.latest(r, runs), c.seenOf(r.ID)
	if u, err := c.updates.Get(r.ID); err == nil && (v.Deployed == nil || v.Deployed.At < u.Value.CheckedAt) {
		v.Update = &u.Value
	}
	return v
}

func deploys(action string) bool { return action == "DeployStack" || action == "DeployStackIfChanged" }

// latest is the newest commit that is known of a stack's branch.
func (c *core) latest(r schema.Resource[schema.StackConfig], runs []*schema.Run) schema.CommitInfo {
	if r.Config.LinkedRepo != "" {
		if s, err := c.repoState.Get(r.Config.LinkedRepo); err == nil {
			return c.newest(r.Config.LinkedRepo, s.Value.Cloned, s.Value.PulledAt)
		}
		return c.newest(r.Config.LinkedRepo, schema.CommitInfo{}, 0)
	}
	for _, run := range runs {
		if run.Commit != "" {
			return c.newest(r.ID, schema.CommitInfo{Commit: run.Commit, Message: run.Message}, run.Queued)
		}
	}
	return c.newest(r.ID, schema.CommitInfo{}, 0)
}

// Repos returns all repos as they stand, by name.
func (c *core) Repos(ctx context.Context) ([]schema.RepoView, error) {
	list, err := c.kinds.repos.All()
	if err != nil {
		return nil, err
	}
	runs, err := c.runsByTarget(ctx, "repo")
	if err != nil {
		return nil, err
	}
	out := make([]schema.RepoView, 0, len(list))
	for _, r := range list {
		v := schema.RepoView{Resource: r, LastRun: lastRun(runs[r.ID]), State: state(lastRun(runs[r.ID]), "Pulling")}
		if s, err := c.kinds.servers.Find(r.Config.ServerID); err == nil {
			v.Server = s
		}
		if s, err := c.repoState.Get(r.ID); err == nil {
			v.Cloned, v.PulledAt = s.Value.Cloned, s.Value.PulledAt
			v.Built, v.BuiltAt = s.Value.Built, s.Value.BuiltAt
		}
		v.Latest = c.newest(r.ID, v.Cloned, v.PulledAt)
		if v.State == "Pulling" && v.LastRun.Action == "CloneRepo" {
			v.State = "Cloning"
		}
		if v.State == "Pulling" && v.LastRun.Action == "BuildRepo" {
			v.State = "Building"
		}
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b schema.RepoView) int { return cmp.Compare(a.Resource.Name, b.Resource.Name) })
	return out, nil
}

// Procedures returns all procedures as they stand, by name.
func (c *core) Procedures(ctx context.Context) ([]schema.ProcedureView, error) {
	list, err := c.kinds.procedures.All()
	if err != nil {
		return nil, err
	}
	runs, err := c.runsByTarget(ctx, "procedure")
	if err != nil {
		return nil, err
	}
	out := make([]schema.ProcedureView, 0, len(list))
	for _, r := range list {
		out = append(out, schema.ProcedureView{
			Resource: r, LastRun: lastRun(runs[r.ID]), Recent: recent(runs[r.ID]), State: state(lastRun(runs[r.ID]), "Running"),
		})
	}
	slices.SortFunc(out, func(a, b schema.ProcedureView) int { return cmp.Compare(a.Resource.Name, b.Resource.Name) })
	return out, nil
}

// state is Komodo's word for how the last run of a target stands.
func state(last *schema.Run, busy string) string {
	switch {
	case last == nil:
		return "Unknown"
	case !last.State.Terminal():
		return busy
	case last.State.Good():
		return "Ok"
	}
	return "Failed"
}
