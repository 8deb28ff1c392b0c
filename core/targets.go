package core

import (
	"context"

	"berth/core/webhook"
	"berth/schema"
)

// targets are what webhooks may address.
type targets struct{ c *core }

// Find returns the resource that an address names, with its branch and secret.
func (t targets) Find(ctx context.Context, kind, ref string) (webhook.Target, error) {
	switch kind {
	case "procedure":
		p, err := t.c.kinds.procedures.Get(ctx, ref)
		return webhook.Target{Target: p.Target(kind), Enabled: p.Config.WebhookEnabled, Secret: p.Config.WebhookSecret}, err
	case "action":
		a, err := t.c.kinds.actions.Get(ctx, ref)
		return webhook.Target{Target: a.Target(kind), Enabled: a.Config.WebhookEnabled, Secret: a.Config.WebhookSecret}, err
	case "repo":
		r, err := t.c.kinds.repos.Get(ctx, ref)
		return webhook.Target{Target: r.Target(kind), Branch: r.Config.Branch, Enabled: r.Config.WebhookEnabled, Secret: r.Config.WebhookSecret}, err
	case "stack":
		return t.stack(ctx, ref)
	case "build":
		return t.build(ctx, ref)
	case "sync", "resource_sync":
		return t.sync(ctx, ref)
	}
	return webhook.Target{}, schema.Errorf(schema.NotFound, "no webhooks for %q", kind)
}

func (t targets) build(ctx context.Context, ref string) (webhook.Target, error) {
	b, err := t.c.kinds.builds.Get(ctx, ref)
	if err != nil {
		return webhook.Target{}, err
	}
	w := webhook.Target{Target: b.Target("build"), Branch: b.Config.Branch, Enabled: b.Config.WebhookEnabled, Secret: b.Config.WebhookSecret}
	return t.linked(ctx, w, b.Config.LinkedRepo)
}

func (t targets) stack(ctx context.Context, ref string) (webhook.Target, error) {
	s, err := t.c.kinds.stacks.Get(ctx, ref)
	if err != nil {
		return webhook.Target{}, err
	}
	w := webhook.Target{
		Target: s.Target("stack"), Branch: s.Config.Branch, Enabled: s.Config.WebhookEnabled,
		Secret: s.Config.WebhookSecret, Force: s.Config.WebhookForceDeploy,
	}
	return t.linked(ctx, w, s.Config.LinkedRepo)
}

// linked takes over the branch of a linked repo, if there is one.
func (t targets) linked(ctx context.Context, w webhook.Target, repo string) (webhook.Target, error) {
	if repo == "" {
		return w, nil
	}
	r, err := t.c.kinds.repos.Get(ctx, repo)
	if err == nil {
		w.Branch = r.Config.Branch
	}
	return w, err
}
