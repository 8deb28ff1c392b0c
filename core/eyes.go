package core

import (
	"context"
	"encoding/json"

	"berth/core/access"
	"berth/core/api"
	"berth/schema"
	"berth/ui"
)

// What follows is what the pages show, cut down to what whoever looks may see.

// Servers returns the servers that the caller may read.
func (p pages) Servers(ctx context.Context) ([]schema.ServerView, error) {
	list, err := p.core.Servers(ctx)
	return access.Readable(ctx, list, func(v schema.ServerView) schema.Target { return v.Resource.Target("server") }), err
}

// Stacks returns the stacks that the caller may read.
func (p pages) Stacks(ctx context.Context) ([]schema.StackView, error) {
	list, err := p.core.Stacks(ctx)
	return access.Readable(ctx, list, func(v schema.StackView) schema.Target { return v.Resource.Target("stack") }), err
}

// Repos returns the repos that the caller may read.
func (p pages) Repos(ctx context.Context) ([]schema.RepoView, error) {
	list, err := p.core.Repos(ctx)
	return access.Readable(ctx, list, func(v schema.RepoView) schema.Target { return v.Resource.Target("repo") }), err
}

// Procedures returns the procedures that the caller may read.
func (p pages) Procedures(ctx context.Context) ([]schema.ProcedureView, error) {
	list, err := p.core.Procedures(ctx)
	return access.Readable(ctx, list, func(v schema.ProcedureView) schema.Target { return v.Resource.Target("procedure") }), err
}

// Builds returns the builds that the caller may read.
func (s standing) Builds(ctx context.Context) ([]schema.BuildView, error) {
	list, err := s.core.Builds(ctx)
	return access.Readable(ctx, list, func(v schema.BuildView) schema.Target { return v.Resource.Target("build") }), err
}

// Deployments returns the deployments that the caller may read.
func (s standing) Deployments(ctx context.Context) ([]schema.DeploymentView, error) {
	list, err := s.core.Deployments(ctx)
	return access.Readable(ctx, list, func(v schema.DeploymentView) schema.Target { return v.Resource.Target("deployment") }), err
}

// Schedules are the schedules that the caller may read.
func (s standing) Schedules(ctx context.Context) []schema.ScheduleView {
	return access.Readable(ctx, s.schedules.List(), func(v schema.ScheduleView) schema.Target { return v.Target })
}

// visible is the filter of runs that the caller may see; nil is all.
func visible(ctx context.Context) func(schema.Target) bool {
	if c, ok := access.CallerOf(ctx); ok && c.Admin {
		return nil
	}
	return func(t schema.Target) bool { return access.MayRead(ctx, t.Kind, t.ID) }
}

// pageAlerts are the alerts as the pages see them.
type pageAlerts struct{ *core }

// All returns the alerts that the caller may read, newest first.
func (a pageAlerts) All(ctx context.Context) []schema.Alert {
	return access.Readable(ctx, a.alerts.All(), func(al schema.Alert) schema.Target { return al.Target })
}

// Deliveries returns what became of an alert.
func (a pageAlerts) Deliveries(alert string) []schema.AlertDelivery {
	return a.alerts.Deliveries(alert)
}

// Close ends an alert by hand.
func (a pageAlerts) Close(ctx context.Context, id string) error {
	return a.request(ctx, api.GroupWrite, "CloseAlert", map[string]any{"id": id}, nil)
}

// request makes a request of whoever looks at a page, by the same row as any client:
// there is one place where it is checked and recorded.
func (c *core) request(ctx context.Context, g api.Group, name string, params, into any) error {
	who, ok := access.CallerOf(ctx)
	if !ok {
		return schema.Errorf(schema.Unauthenticated, "Sign in first.")
	}
	raw, err := json.Marshal(params)
	if err != nil {
		return err
	}
	answer, err := c.api.Call(ctx, who, string(g), name, raw)
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal(answer, into)
}

// Enter returns the context in which somebody acts on the pages.
func (g gate) Enter(ctx context.Context, who schema.Actor, from string) (inside context.Context, shared bool, err error) {
	if who.ID == "" {
		return access.WithCaller(ctx, access.Core()), true, nil
	}
	c, err := g.As(who.ID, "click")
	c.Peer = from
	return access.WithCaller(ctx, c), c.Admin, err
}

// change makes a request that answers a resource, and returns its name.
func (c *core) change(ctx context.Context, name string, params any) (string, error) {
	var out struct {
		Name string `json:"name"`
	}
	err := c.request(ctx, api.GroupWrite, name, params, &out)
	return out.Name, err
}

// typeOf is how requests call a kind.
func typeOf(kind string) string {
	switch kind {
	case "variable":
		return "Variable"
	case "user_group":
		return "UserGroup"
	}
	return schema.TypeOf(kind)
}

// Save sets settings of a resource. A variable that does not exist is made.
func (p pages) Save(ctx context.Context, _ schema.Actor, kind, name string, patch json.RawMessage) error {
	if kind == "variable" {
		return p.request(ctx, api.GroupWrite, "SaveVariable", map[string]any{"name": name, "config": patch}, nil)
	}
	return p.request(ctx, api.GroupWrite, "Update"+typeOf(kind), map[string]any{"id": name, "config": patch}, nil)
}

// Delete removes a resource.
func (p pages) Delete(ctx context.Context, _ schema.Actor, kind, name string) error {
	return p.request(ctx, api.GroupWrite, "Delete"+typeOf(kind), map[string]any{"id": name, "name": name}, nil)
}

// Join makes an invitation to a server.
func (p pages) Join(ctx context.Context, _ schema.Actor, server string) (ui.Join, error) {
	var j api.Join
	err := p.request(ctx, api.GroupWrite, "CreateJoinToken", map[string]any{"server": server}, &j)
	return ui.Join{Command: j.Command, Expires: j.Expires}, err
}

// Revoke makes a server's agent unknown.
func (p pages) Revoke(ctx context.Context, _ schema.Actor, server string) error {
	return p.request(ctx, api.GroupWrite, "RevokeServer", map[string]any{"server": server}, nil)
}

// Cancel asks a run to end.
func (p pages) Cancel(ctx context.Context, _ schema.Actor, id string) error {
	return p.request(ctx, api.GroupExecute, "CancelRun", map[string]any{"id": id}, nil)
}

// Approve lets a run go on that waits for an approval.
func (p pages) Approve(ctx context.Context, _ schema.Actor, id, stage string) error {
	return p.request(ctx, api.GroupExecute, "ApproveRun", map[string]any{"id": id, "stage": stage}, nil)
}

// Redeliver handles a stored delivery as if it came again.
func (p pages) Redeliver(ctx context.Context, _ schema.Actor, delivery string) (schema.Delivery, error) {
	var d schema.Delivery
	err := p.request(ctx, api.GroupExecute, "Redeliver", map[string]any{"id": delivery}, &d)
	return d, err
}

// Create makes a resource with default settings.
func (g catalog) Create(ctx context.Context, _ schema.Actor, kind, name string) (string, error) {
	return g.c.change(ctx, "Create"+typeOf(kind), map[string]any{"name": name})
}

// Copy makes a resource with the settings of another.
func (g catalog) Copy(ctx context.Context, _ schema.Actor, kind, name, to string) (string, error) {
	return g.c.change(ctx, "Copy"+typeOf(kind), map[string]any{"id": name, "name": to})
}

// Rename gives a resource another name, which may be spelled in another way.
func (g catalog) Rename(ctx context.Context, _ schema.Actor, kind, name, to string) (string, error) {
	k, err := g.c.registry.Kind(kind)
	if err != nil {
		return "", err
	}
	t, err := k.Find(name)
	if err != nil {
		return "", err
	}
	if err := g.c.request(ctx, api.GroupWrite, "Rename"+typeOf(kind), map[string]any{"id": t.ID, "name": to}, nil); err != nil {
		return "", err
	}
	t, err = k.Find(t.ID)
	return t.Name, err
}

// Describe sets what is not a setting.
func (g catalog) Describe(ctx context.Context, _ schema.Actor, kind, name string, d ui.Description) error {
	return g.c.request(ctx, api.GroupWrite, "UpdateResourceMeta", map[string]any{
		"target": map[string]string{"type": kind, "id": name}, "description": d.Text, "template": d.Template, "tags": d.Tags,
	}, nil)
}
