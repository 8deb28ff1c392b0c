package core

import (
	"context"
	"encoding/json"

	"berth/core/access"
	"berth/schema"
	"berth/ui"
)

// catalog is the registry as the pages see it.
type catalog struct{ c *core }

// Kinds are all kinds with their settings.
func (g catalog) Kinds() []ui.Kind {
	list := g.c.registry.Kinds()
	out := make([]ui.Kind, len(list))
	for i, k := range list {
		out[i] = ui.Kind{Name: k.Name(), Fields: k.Fields()}
	}
	return out
}

// List returns the resources of a kind, secrets masked.
func (g catalog) List(ctx context.Context, kind string) ([]ui.Resource, error) {
	k, err := g.c.registry.Kind(kind)
	if err != nil {
		return nil, err
	}
	list, err := k.List(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]ui.Resource, len(list))
	for i, raw := range list {
		if err := json.Unmarshal(raw, &out[i]); err != nil {
			return nil, schema.Wrap(schema.Internal, err, "read a %s", kind)
		}
	}
	if kind == "variable" { // for every user, secrets masked
		return out, nil
	}
	return access.Readable(ctx, out, func(r ui.Resource) schema.Target { return r.Target(kind) }), nil
}

// standing is how things stand, as the pages see it.
type standing struct{ *core }

// SyncState says how a sync stands.
func (s standing) SyncState(key string) (schema.SyncState, error) { return s.syncs.State(key) }

// Match returns what a pattern and tags select now.
func (s standing) Match(ctx context.Context, kind, pattern string, tags []string) ([]schema.Target, error) {
	k, err := s.registry.Kind(kind)
	if err != nil {
		return nil, err
	}
	list, err := k.Match(pattern, tags)
	return access.Readable(ctx, list, func(t schema.Target) schema.Target { return t }), err
}

// webhook is one address of a target.
func (p pages) webhook(t schema.Target, option, branch, action string, enabled, secret bool) ui.Webhook {
	path := "/listener/github/" + t.Kind + "/" + t.ID
	if t.Kind == "resource_sync" {
		path = "/listener/github/sync/" + t.ID
	}
	if option != "" {
		path += "/" + option
	}
	return ui.Webhook{Target: t, Path: path, Branch: branch, Action: action, Enabled: enabled, Secret: secret || p.cfg.WebhookSecret != ""}
}

// moreWebhooks adds the addresses of builds, actions and syncs.
func (p pages) moreWebhooks(out []ui.Webhook) ([]ui.Webhook, error) {
	builds, err := p.kinds.builds.All()
	if err != nil {
		return nil, err
	}
	for _, r := range builds {
		out = append(out, p.webhook(r.Target("build"), "", r.Config.Branch, "build", r.Config.WebhookEnabled, r.Config.WebhookSecret != ""))
	}
	actions, err := p.kinds.actions.All()
	if err != nil {
		return nil, err
	}
	for _, r := range actions {
		out = append(out, p.webhook(r.Target("action"), "main", "main", "run", r.Config.WebhookEnabled, r.Config.WebhookSecret != ""))
	}
	syncs, err := p.kinds.syncs.All()
	if err != nil {
		return nil, err
	}
	for _, r := range syncs {
		out = append(out, p.webhook(r.Target("resource_sync"), "sync", r.Config.Branch, "sync", r.Config.WebhookEnabled, r.Config.WebhookSecret != ""))
	}
	return out, nil
}
