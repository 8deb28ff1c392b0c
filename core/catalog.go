package core

import (
	"context"
	"encoding/json"

	"berth/core/resource"
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
	return out, nil
}

// Create makes a resource with default settings.
func (g catalog) Create(ctx context.Context, by schema.Actor, kind, name string) (string, error) {
	return g.named(ctx, by, "Create", kind, "", func(k resource.Any) (json.RawMessage, error) { return k.Create(ctx, name, nil) })
}

// Copy makes a resource with the settings of another.
func (g catalog) Copy(ctx context.Context, by schema.Actor, kind, name, to string) (string, error) {
	return g.named(ctx, by, "Copy", kind, name, func(k resource.Any) (json.RawMessage, error) { return k.Copy(ctx, name, to) })
}

// Rename gives a resource another name.
func (g catalog) Rename(ctx context.Context, by schema.Actor, kind, name, to string) (string, error) {
	return g.named(ctx, by, "Rename", kind, name, func(k resource.Any) (json.RawMessage, error) { return k.Rename(ctx, name, to) })
}

// Describe sets what is not a setting.
func (g catalog) Describe(ctx context.Context, by schema.Actor, kind, name string, d ui.Description) error {
	_, err := g.named(ctx, by, "Update", kind, name, func(k resource.Any) (json.RawMessage, error) {
		return k.Describe(ctx, name, resource.Meta{Description: &d.Text, Template: &d.Template, Tags: &d.Tags})
	})
	return err
}

// named does something to a kind, as a recorded change, and returns the name of what
// came of it.
func (g catalog) named(ctx context.Context, by schema.Actor, verb, kind, key string, do func(resource.Any) (json.RawMessage, error)) (string, error) {
	raw, err := g.c.api.Tracked(ctx, by, verb, kind, key, do)
	if err != nil {
		return "", err
	}
	var r ui.Resource
	if err := json.Unmarshal(raw, &r); err != nil {
		return "", schema.Wrap(schema.Internal, err, "read a %s", kind)
	}
	return r.Name, nil
}

// standing is how things stand, as the pages see it.
type standing struct{ *core }

// SyncState says how a sync stands.
func (s standing) SyncState(key string) (schema.SyncState, error) { return s.syncs.State(key) }

// Schedules are all schedules.
func (s standing) Schedules() []schema.ScheduleView { return s.schedules.List() }

// Match returns what a pattern and tags select now.
func (s standing) Match(_ context.Context, kind, pattern string, tags []string) ([]schema.Target, error) {
	k, err := s.registry.Kind(kind)
	if err != nil {
		return nil, err
	}
	return k.Match(pattern, tags)
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
