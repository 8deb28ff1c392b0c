package core

import (
	"cmp"
	"context"
	"slices"

	"berth/core/execution"
	"berth/schema"
)

// builds are builds, builders and their surroundings as actions see them.
type builds struct{ c *core }

// Build returns a build by id or name, with its secrets.
func (b builds) Build(ctx context.Context, id string) (schema.Resource[schema.BuildConfig], error) {
	return b.c.kinds.builds.Get(ctx, id)
}

// AllBuilds returns all builds, secrets masked.
func (b builds) AllBuilds(context.Context) ([]schema.Resource[schema.BuildConfig], error) {
	return b.c.kinds.builds.All()
}

// Builder returns a builder by id or name, secrets masked.
func (b builds) Builder(_ context.Context, id string) (schema.Resource[schema.BuilderConfig], error) {
	return b.c.kinds.builders.Masked(id)
}

// BuildState returns what the last builds left behind.
func (b builds) BuildState(_ context.Context, build string) (schema.BuildState, error) {
	s, err := b.c.buildState.Get(build)
	if schema.CodeOf(err) == schema.NotFound {
		return schema.BuildState{}, nil
	}
	return s.Value, err
}

// SaveBuildState keeps what a build left behind.
func (b builds) SaveBuildState(ctx context.Context, build string, s schema.BuildState) error {
	_, err := b.c.buildState.Put(ctx, build, s)
	b.c.changes.announce(schema.Change{Topic: "build", ID: build})
	return err
}

// AllServers returns all servers, secrets masked.
func (b builds) AllServers(context.Context) ([]schema.Resource[schema.ServerConfig], error) {
	return b.c.kinds.servers.All()
}

// IsOnline reports whether a server's agent is connected.
func (b builds) IsOnline(server string) bool {
	online, _ := b.c.online(server)
	return online
}

// BuildRuns lists the runs on builders that have not ended.
func (b builds) BuildRuns(ctx context.Context) ([]*schema.Run, error) {
	var out []*schema.Run
	for kind, action := range map[string]string{"build": "RunBuild", "repo": "BuildRepo"} {
		list, err := b.c.engine.List(ctx, schema.RunFilter{Kind: kind, Action: action, Pending: true, Limit: 1000})
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, nil
}

// Attached lists the deployments that run a build.
func (b builds) Attached(_ context.Context, build string) ([]execution.Attached, error) {
	list, err := b.c.kinds.deployments.All()
	var out []execution.Attached
	for _, r := range list {
		image := r.Config.Image.Build
		if image == nil || image.BuildID != build {
			continue
		}
		out = append(out, execution.Attached{
			Target: r.Target("deployment"), Redeploy: r.Config.RedeployOnBuild, Version: image.Version,
			State: b.c.containerState(r.Config.ServerID, r.Config.Container(r.Name)),
		})
	}
	return out, err
}

// containerState is the state of a server's container of that name; "" when there
// is none or the server is away.
func (c *core) containerState(server, name string) string {
	s := c.monitor.Server(server)
	if !s.Online || s.Status == nil {
		return ""
	}
	i := slices.IndexFunc(s.Status.Containers, func(have schema.Container) bool { return have.Name == name })
	if i < 0 {
		return ""
	}
	return s.Status.Containers[i].State
}

// Builds returns all builds as they stand, by name.
func (c *core) Builds(ctx context.Context) ([]schema.BuildView, error) {
	list, err := c.kinds.builds.All()
	if err != nil {
		return nil, err
	}
	runs, err := c.runsByTarget(ctx, "build")
	if err != nil {
		return nil, err
	}
	out := make([]schema.BuildView, 0, len(list))
	for _, r := range list {
		past := slices.DeleteFunc(slices.Clone(runs[r.ID]), func(rec *schema.Run) bool { return rec.Action != "RunBuild" })
		v := schema.BuildView{Resource: r, LastRun: lastRun(past), Recent: recent(past), State: state(lastRun(past), "Building")}
		if s, err := c.buildState.Get(r.ID); err == nil {
			v.Built = s.Value
		}
		v.Version, v.Latest = r.Config.CurrentVersion(v.Built), schema.CommitInfo{Commit: v.Built.Commit, Message: v.Built.Message}
		if t, err := c.kinds.builders.Find(r.Config.BuilderID); err == nil {
			v.Builder = t
		}
		if t, err := c.kinds.repos.Find(r.Config.LinkedRepo); err == nil {
			v.Linked = t
		}
		if v.LastRun != nil && v.LastRun.Commit != "" {
			v.Latest = schema.CommitInfo{Commit: v.LastRun.Commit, Message: v.LastRun.Message}
		}
		seen := r.ID
		if r.Config.LinkedRepo != "" {
			seen = r.Config.LinkedRepo
		}
		at := v.Built.BuiltAt
		if v.LastRun != nil {
			at = max(at, v.LastRun.Queued)
		}
		v.Latest, v.Seen = c.newest(seen, v.Latest, at), c.seenOf(r.ID)
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b schema.BuildView) int { return cmp.Compare(a.Resource.Name, b.Resource.Name) })
	return out, nil
}

// Builders returns all builders, by name, secrets masked.
func (c *core) Builders(context.Context) ([]schema.Resource[schema.BuilderConfig], error) {
	list, err := c.kinds.builders.All()
	slices.SortFunc(list, func(a, b schema.Resource[schema.BuilderConfig]) int { return cmp.Compare(a.Name, b.Name) })
	return list, err
}
