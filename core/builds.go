package core

import (
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
			State: b.c.containerState(r.Config.ServerID, deploymentContainer(r)),
		})
	}
	return out, err
}

// deploymentContainer is the name of a deployment's container.
func deploymentContainer(r schema.Resource[schema.DeploymentConfig]) string {
	if r.Config.CustomName != "" {
		return r.Config.CustomName
	}
	return r.Name
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
