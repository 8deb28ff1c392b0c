package core

import (
	"context"

	"berth/schema"
)

// Server returns a server by id or name.
func (c *core) Server(ctx context.Context, id string) (schema.Resource[schema.ServerConfig], error) {
	return c.kinds.servers.Get(ctx, id)
}

// Repo returns a repo by id or name.
func (c *core) Repo(ctx context.Context, id string) (schema.Resource[schema.RepoConfig], error) {
	return c.kinds.repos.Get(ctx, id)
}

// AllRepos returns all repos.
func (c *core) AllRepos(context.Context) ([]schema.Resource[schema.RepoConfig], error) {
	return c.kinds.repos.All()
}

// Procedure returns a procedure by id or name.
func (c *core) Procedure(ctx context.Context, id string) (schema.Resource[schema.ProcedureConfig], error) {
	return c.kinds.procedures.Get(ctx, id)
}

// AllProcedures returns all procedures.
func (c *core) AllProcedures(context.Context) ([]schema.Resource[schema.ProcedureConfig], error) {
	return c.kinds.procedures.All()
}

// SaveRepo keeps what a pull or a build of a repo left behind.
func (c *core) SaveRepo(ctx context.Context, repo string, s schema.RepoState) error {
	if had, err := c.repoState.Get(repo); err == nil { // a pull says nothing of builds, and the other way round
		if s.PulledAt == 0 {
			s.Cloned, s.PulledAt = had.Value.Cloned, had.Value.PulledAt
		}
		if s.BuiltAt == 0 {
			s.Built, s.BuiltAt = had.Value.Built, had.Value.BuiltAt
		}
	}
	_, err := c.repoState.Put(ctx, repo, s)
	c.changes.announce(schema.Change{Topic: "repo", ID: repo})
	return err
}

// AllDeployments returns all deployments, secrets masked.
func (c *core) AllDeployments(context.Context) ([]schema.Resource[schema.DeploymentConfig], error) {
	return c.kinds.deployments.All()
}

// Alerter returns an alerter by id or name.
func (c *core) Alerter(_ context.Context, id string) (schema.Resource[schema.AlerterConfig], error) {
	return c.kinds.alerters.Masked(id)
}

// AllAlerters returns all alerters, secrets masked.
func (c *core) AllAlerters(context.Context) ([]schema.Resource[schema.AlerterConfig], error) {
	return c.kinds.alerters.All()
}

// stacks are the stacks as actions see them.
type stacks struct{ c *core }

// Stack returns a stack by id or name, with its secrets.
func (s stacks) Stack(ctx context.Context, id string) (schema.Resource[schema.StackConfig], error) {
	return s.c.kinds.stacks.Get(ctx, id)
}

// AllStacks returns all stacks, secrets masked.
func (s stacks) AllStacks(context.Context) ([]schema.Resource[schema.StackConfig], error) {
	return s.c.kinds.stacks.All()
}

// Deployed returns what the last deploy of a stack left behind; nil for none.
func (s stacks) Deployed(_ context.Context, stack string) (*schema.Deployed, error) {
	d, err := s.c.deployed.Get(stack)
	if schema.CodeOf(err) == schema.NotFound {
		return nil, nil //nolint:nilnil // nothing was deployed: the zero of the domain
	}
	if err != nil {
		return nil, err
	}
	return &d.Value, nil
}

// SaveDeployed keeps what a deploy left behind; nil forgets it.
func (s stacks) SaveDeployed(ctx context.Context, stack string, d *schema.Deployed) error {
	defer s.c.changes.announce(schema.Change{Topic: "stack", ID: stack})
	if d == nil {
		return s.c.deployed.Delete(ctx, stack, 0)
	}
	_, err := s.c.deployed.Put(ctx, stack, *d)
	return err
}

// resolve finds what a request names, and the server it is on.
func (c *core) resolve(ctx context.Context, kind, nameOrID string) (target, server schema.Target, err error) {
	k, err := c.registry.Kind(kind)
	if err != nil {
		return target, server, err
	}
	if target, err = k.Find(nameOrID); err != nil {
		return target, server, err
	}
	id := ""
	switch kind {
	case "server":
		id = target.ID
	case "stack":
		if r, err := c.kinds.stacks.Masked(target.ID); err == nil {
			id = r.Config.ServerID
		}
	case "deployment":
		if r, err := c.kinds.deployments.Masked(target.ID); err == nil {
			id = r.Config.ServerID
		}
	case "repo":
		if r, err := c.kinds.repos.Masked(target.ID); err == nil {
			id = r.Config.ServerID
		}
	}
	if id != "" {
		if s, err := c.kinds.servers.Find(id); err == nil {
			server = s
		}
	}
	return target, server, ctx.Err()
}
