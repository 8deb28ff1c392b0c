package core

import (
	"cmp"
	"context"
	"slices"

	"berth/schema"
)

// Deployment returns a deployment by id or name.
func (c *core) Deployment(ctx context.Context, id string) (schema.Resource[schema.DeploymentConfig], error) {
	return c.kinds.deployments.Get(ctx, id)
}

// DeploymentState returns what the last deploy of a deployment left behind; nil for
// none.
func (c *core) DeploymentState(ctx context.Context, id string) (*schema.Deployed, error) {
	return stacks{c}.Deployed(ctx, id)
}

// SaveDeploymentState keeps what a deploy left behind; nil forgets it.
func (c *core) SaveDeploymentState(ctx context.Context, id string, d *schema.Deployed) error {
	defer c.changes.announce(schema.Change{Topic: "deployment", ID: id})
	if d == nil {
		return c.deployed.Delete(ctx, id, 0)
	}
	_, err := c.deployed.Put(ctx, id, *d)
	return err
}

// Deployments returns all deployments as they stand, by name.
func (c *core) Deployments(ctx context.Context) ([]schema.DeploymentView, error) {
	list, err := c.kinds.deployments.All()
	if err != nil {
		return nil, err
	}
	runs, err := c.runsByTarget(ctx, "deployment")
	if err != nil {
		return nil, err
	}
	out := make([]schema.DeploymentView, 0, len(list))
	for _, r := range list {
		out = append(out, c.deploymentView(r, runs[r.ID]))
	}
	slices.SortFunc(out, func(a, b schema.DeploymentView) int { return cmp.Compare(a.Resource.Name, b.Resource.Name) })
	return out, nil
}

func (c *core) deploymentView(r schema.Resource[schema.DeploymentConfig], runs []*schema.Run) schema.DeploymentView {
	v := schema.DeploymentView{Resource: r, LastRun: lastRun(runs), State: "unknown"}
	name, server := r.Config.Container(r.Name), r.Config.ServerID
	if d, err := c.deployed.Get(r.ID); err == nil {
		v.Deployed = &d.Value
		name = cmp.Or(d.Value.Project, name)
		if len(d.Value.Services) > 0 {
			v.Image = d.Value.Services[0].Image
		}
	}
	if s, err := c.kinds.servers.Find(server); err == nil {
		v.Server = s
	}
	if r.Config.Image.Type == "Image" && r.Config.Image.Image != nil {
		v.Image = r.Config.Image.Image.Image
	}
	v.Update, v.Latest = c.latestImage(r)
	m := c.monitor.Server(server)
	switch {
	case r.Config.SwarmID != "":
		v.Status = "swarms are not served by this version"
	case v.Server.ID == "":
		v.Status = "no server is set"
	case !m.Online || m.Status == nil:
		v.Status = "server " + v.Server.Name + " is away"
	default:
		v.State = "not_deployed"
		if i := slices.IndexFunc(m.Status.Containers, func(x schema.Container) bool { return x.Name == name && x.Project == "" }); i >= 0 {
			v.Container = &m.Status.Containers[i]
			v.State, v.Status = containerWord(*v.Container), v.Container.Status
		}
	}
	if v.LastRun != nil && v.LastRun.Action == "Deploy" && !v.LastRun.State.Terminal() && v.LastRun.State != schema.StateWaiting {
		v.State, v.Status = "deploying", v.LastRun.Note
	}
	return v
}

// latestImage says whether there is a newer image than the one that runs, and which
// the newest is: of a registry as it was last asked, or of a build that pushed one.
func (c *core) latestImage(r schema.Resource[schema.DeploymentConfig]) (newer bool, latest string) {
	if u, err := c.updates.Get(r.ID); err == nil {
		for _, s := range u.Value.Services {
			newer, latest = newer || s.Newer, schema.ImageRef(s.Image, s.Latest)
		}
	}
	if b := r.Config.Image.Build; b != nil {
		if s, err := c.buildState.Get(b.BuildID); err == nil && s.Value.Pushed && (b.Version.IsZero() || b.Version == s.Value.Version) {
			latest = schema.ImageRef(s.Value.Image, s.Value.Digest)
		}
	}
	return newer, latest
}

// containerWord is Komodo's word for a deployment whose container is there.
func containerWord(x schema.Container) string {
	switch {
	case x.State == "running" && x.Health == "unhealthy":
		return "unhealthy"
	case slices.Contains([]string{"running", "created", "restarting", "removing", "paused", "exited", "dead"}, x.State):
		return x.State
	}
	return "unknown"
}
