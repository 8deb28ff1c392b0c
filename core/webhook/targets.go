package webhook

import (
	"context"

	"berth/core/resource"
	"berth/schema"
)

// Kinds finds targets among the declared resources.
type Kinds struct {
	Stacks     *resource.Kind[schema.StackConfig]
	Repos      *resource.Kind[schema.RepoConfig]
	Procedures *resource.Kind[schema.ProcedureConfig]
}

// Find implements Targets. A stack that takes its files from a repo listens to
// the repo's branch.
func (k Kinds) Find(ctx context.Context, kind, ref string) (Target, error) {
	switch kind {
	case "stack":
		r, err := k.Stacks.Get(ctx, ref)
		if err != nil {
			return Target{}, err
		}
		c := r.Config
		t := Target{Target: r.Target(kind), Branch: c.Branch, Enabled: c.WebhookEnabled, Secret: c.WebhookSecret, Force: c.WebhookForceDeploy}
		if c.Source() == schema.SourceLinked {
			linked, err := k.Repos.Get(ctx, c.LinkedRepo)
			if err != nil {
				return t, schema.Wrap(schema.CodeOf(err), err, "repo of stack %q", r.Name)
			}
			t.Branch = linked.Config.Branch
		}
		return t, nil
	case "repo":
		r, err := k.Repos.Get(ctx, ref)
		c := r.Config
		return Target{Target: r.Target(kind), Branch: c.Branch, Enabled: c.WebhookEnabled, Secret: c.WebhookSecret}, err
	case "procedure":
		r, err := k.Procedures.Get(ctx, ref)
		return Target{Target: r.Target(kind), Enabled: r.Config.WebhookEnabled, Secret: r.Config.WebhookSecret}, err
	}
	return Target{}, schema.Errorf(schema.NotFound, "no webhooks for kind %q", kind)
}
