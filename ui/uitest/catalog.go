package uitest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"berth/schema"
	"berth/ui"
)

// Kinds implements ui.Catalog with the kinds as they are.
func (w *World) Kinds() []ui.Kind {
	return []ui.Kind{
		{Name: "variable", Fields: schema.Fields(schema.DefaultVariable())},
		{Name: "user_group", Fields: schema.Fields(schema.DefaultUserGroup())},
		{Name: "server", Fields: schema.Fields(schema.DefaultServer())},
		{Name: "swarm", Fields: schema.Fields(schema.DefaultSwarm())},
		{Name: "builder", Fields: schema.Fields(schema.DefaultBuilder())},
		{Name: "repo", Fields: schema.Fields(schema.DefaultRepo())},
		{Name: "build", Fields: schema.Fields(schema.DefaultBuild())},
		{Name: "stack", Fields: schema.Fields(schema.DefaultStack())},
		{Name: "deployment", Fields: schema.Fields(schema.DefaultDeployment())},
		{Name: "action", Fields: schema.Fields(schema.DefaultAction())},
		{Name: "resource_sync", Fields: schema.Fields(schema.DefaultSync())},
		{Name: "alerter", Fields: schema.Fields(schema.DefaultAlerter())},
		{Name: "procedure", Fields: schema.Fields(schema.DefaultProcedure())},
	}
}

// plain is a resource with its settings as JSON.
func plain[C any](r schema.Resource[C]) ui.Resource {
	config, err := json.Marshal(r.Config)
	if err != nil {
		panic(err) // settings are plain values
	}
	return ui.Resource{ID: r.ID, Name: r.Name, Description: r.Description, Template: r.Template, Tags: r.Tags, Updated: r.Updated, Config: config}
}

// List implements ui.Catalog.
func (w *World) List(_ context.Context, kind string) ([]ui.Resource, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []ui.Resource
	switch kind {
	case "server":
		for _, v := range w.ServerList {
			out = append(out, plain(v.Resource))
		}
	case "stack":
		for _, v := range w.StackList {
			out = append(out, plain(v.Resource))
		}
	case "repo":
		for _, v := range w.RepoList {
			out = append(out, plain(v.Resource))
		}
	case "procedure":
		for _, v := range w.ProcList {
			out = append(out, plain(v.Resource))
		}
	case "build":
		for _, v := range w.BuildList {
			out = append(out, plain(v.Resource))
		}
	case "deployment":
		for _, v := range w.DeployList {
			out = append(out, plain(v.Resource))
		}
	case "variable":
		for _, v := range w.VarList {
			if v.Config.IsSecret {
				v.Config.Value = ""
			}
			out = append(out, plain(v))
		}
	default:
		out = slices.Clone(w.Others[kind])
	}
	return out, nil
}

// Create implements ui.Catalog.
func (w *World) Create(_ context.Context, _ schema.Actor, kind, name string) (string, error) {
	if name == "taken" {
		return "", schema.Errorf(schema.Conflict, "There is a %s %q already.", kind, name)
	}
	w.call("create", kind+"/"+name, "")
	return name, nil
}

// Copy implements ui.Catalog.
func (w *World) Copy(_ context.Context, _ schema.Actor, kind, name, to string) (string, error) {
	w.call("copy", kind+"/"+name, to)
	return to, nil
}

// Rename implements ui.Catalog.
func (w *World) Rename(_ context.Context, _ schema.Actor, kind, name, to string) (string, error) {
	w.call("rename", kind+"/"+name, to)
	return to, nil
}

// Describe implements ui.Catalog.
func (w *World) Describe(_ context.Context, _ schema.Actor, kind, name string, d ui.Description) error {
	w.call("describe", kind+"/"+name, fmt.Sprintf("%s %v %v", d.Text, d.Tags, d.Template))
	return nil
}

// Builds implements ui.Standing.
func (w *World) Builds(context.Context) ([]schema.BuildView, error) { return read(w, &w.BuildList) }

// Deployments implements ui.Standing.
func (w *World) Deployments(context.Context) ([]schema.DeploymentView, error) {
	return read(w, &w.DeployList)
}

// SyncState implements ui.Standing.
func (w *World) SyncState(key string) (schema.SyncState, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	st, ok := w.SyncStates[key]
	if !ok {
		return schema.SyncState{Status: schema.SyncUnknown}, nil
	}
	return st, nil
}

// Schedules implements ui.Standing.
func (w *World) Schedules(context.Context) []schema.ScheduleView {
	list, _ := read(w, &w.Times) // never fails
	return list
}

// Match implements ui.Standing: by name, of stacks.
func (w *World) Match(_ context.Context, kind, pattern string, _ []string) ([]schema.Target, error) {
	p, err := schema.ParsePattern(pattern)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []schema.Target
	for _, v := range w.StackList {
		if kind == "stack" && p.Match(v.Resource.Name) {
			out = append(out, v.Resource.Target("stack"))
		}
	}
	return out, nil
}

// alerts is the world as ui.Alerts.
type alerts struct{ w *World }

// All implements ui.Alerts.
func (a alerts) All(context.Context) []schema.Alert {
	list, _ := read(a.w, &a.w.AlertList) // never fails
	return list
}

// Deliveries implements ui.Alerts.
func (a alerts) Deliveries(alert string) []schema.AlertDelivery {
	list, _ := read(a.w, &a.w.Outbox) // never fails
	return slices.DeleteFunc(list, func(d schema.AlertDelivery) bool { return d.Alert != alert })
}

// Close implements ui.Alerts.
func (a alerts) Close(_ context.Context, id string) error {
	a.w.call("close alert", id, "")
	return nil
}
