package api

import (
	"context"
	"encoding/json"
	"reflect"

	"berth/core/access"
	"berth/schema"
)

// Swarms can be declared, listed and changed as every kind; what would ask or
// change the swarm itself is not built yet and says so.

// swarmItem has the members of Komodo's list item.
type swarmItem struct {
	ServerIDs []string `json:"server_ids"`
	State     string   `json:"state"`
	Err       *problem `json:"err"`
}

// notBuilt is the answer to what is understood and not built yet.
func notBuilt(what string) error {
	return schema.Errorf(schema.Unsupported, "%s is not built into Berth yet: docs/from-komodo.md lists what is", what)
}

// swarmInfos says of every swarm that nobody looks at it: its state is unknown.
func (a *API) swarmInfos(ctx context.Context, _ []string) (map[string]info, error) {
	out := map[string]info{}
	k, err := a.deps.Kinds.Kind("swarm")
	if err != nil {
		return out, nil //nolint:nilerr // an installation without swarms has none
	}
	list, err := k.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, raw := range list {
		var r schema.Resource[schema.SwarmConfig]
		if err := json.Unmarshal(raw, &r); err != nil {
			return nil, err
		}
		item := swarmItem{ServerIDs: r.Config.ServerIDs, State: "Unknown"}
		if item.ServerIDs == nil {
			item.ServerIDs = []string{}
		}
		out[r.ID] = info{full: None{}, item: item, state: item.State}
	}
	return out, nil
}

// swarmRows are the requests about swarms beyond those of every kind.
func (a *API) swarmRows() []Row {
	if _, err := a.deps.Kinds.Kind("swarm"); err != nil {
		return nil
	}
	one := func(name string) Param { return Param{Name: name, Type: "string", Required: true, Doc: "Name or id."} }
	tail := []Param{
		{Name: "tail", Type: "integer", Doc: "Lines, at most 5000; 50 when absent."},
		{Name: "timestamps", Type: "boolean", Doc: "Put the time before each line."},
		{Name: "no_task_ids", Type: "boolean", Doc: "Leave out the ids of tasks."},
		{Name: "no_resolve", Type: "boolean", Doc: "Show ids instead of names."},
		{Name: "details", Type: "boolean", Doc: "Add what the log driver was given."},
	}
	search := append([]Param{
		{Name: "terms", Type: "array", Items: "string", Required: true, Doc: "What to look for."},
		{Name: "combinator", Type: "string", Doc: "Or, or And."},
		{Name: "invert", Type: "boolean", Doc: "Lines that do not match."},
	}, tail[1:]...)
	inspect := func(name, what string, more ...Param) Row {
		return a.laterRow(GroupRead, spec{name: name, doc: "Show what the engine knows of " + what + ".", needs: access.CanRead, also: access.Inspect, kind: "swarm"}, more...)
	}
	list := func(name, what string) Row {
		return a.laterRow(GroupRead, spec{name: name, doc: "List the " + what + " of a swarm.", needs: access.CanRead, kind: "swarm"})
	}
	logs := func(name, doc string, more ...Param) Row {
		return a.laterRow(GroupRead, spec{name: name, doc: doc, needs: access.CanRead, also: access.Logs, kind: "swarm"}, append([]Param{one("service")}, more...)...)
	}
	rows := []Row{
		a.summary("GetSwarmsSummary", "swarm", swarmBucket, "total", "healthy", "unhealthy", "down", "unknown"),
		inspect("InspectSwarm", "a swarm"),
		list("ListSwarmNodes", "nodes"), inspect("InspectSwarmNode", "a node", one("node")),
		list("ListSwarmServices", "services"), inspect("InspectSwarmService", "a service", one("service")),
		logs("GetSwarmServiceLog", "Read the newest log lines of a service.", tail...),
		logs("SearchSwarmServiceLog", "Search the log of a service.", search...),
		list("ListSwarmTasks", "tasks"), inspect("InspectSwarmTask", "a task", one("task")),
		list("ListSwarmSecrets", "secrets"), inspect("InspectSwarmSecret", "a secret", one("secret")),
		list("ListSwarmConfigs", "configs"), inspect("InspectSwarmConfig", "a config", one("config")),
		list("ListSwarmStacks", "stacks"), inspect("InspectSwarmStack", "a stack", one("stack")),
		list("ListSwarmNetworks", "networks"),
	}
	return append(append(rows, a.swarmServiceRows()...), a.swarmExecutions()...)
}

// swarmBucket counts swarms: none is looked at.
func swarmBucket(string) string { return "unknown" }

// swarmServiceRows show the service that a stack or a deployment is in a swarm.
func (a *API) swarmServiceRows() []Row {
	var rows []Row
	if _, err := a.deps.Kinds.Kind("stack"); err == nil {
		rows = append(rows, a.laterRow(GroupRead, spec{
			name: "InspectStackSwarmService", doc: "Show what the engine knows of a stack's service in a swarm.", needs: access.CanRead, also: access.Inspect, kind: "stack",
		}, Param{Name: "service", Type: "string", Required: true, Doc: "Name of the service."}))
	}
	if _, err := a.deps.Kinds.Kind("deployment"); err == nil {
		rows = append(rows, a.laterRow(GroupRead, spec{ // asks for Logs, as in Komodo
			name: "InspectDeploymentSwarmService", doc: "Show what the engine knows of a deployment's service in a swarm.", needs: access.CanRead, also: access.Logs, kind: "deployment",
		}))
	}
	return rows
}

// swarmExecutions are the executions that would change a swarm.
func (a *API) swarmExecutions() []Row {
	var rows []Row
	for _, e := range schema.Executions() {
		if e.Group != "Swarm" {
			continue
		}
		var more []Param
		for _, p := range e.Params {
			if p.Ref == "" {
				more = append(more, paramOf(p))
			}
		}
		r := a.laterRow(GroupExecute, spec{name: e.Type, doc: e.Doc, needs: access.CanExec, kind: "swarm"}, more...)
		r.Result = func(s *shapes) any { return s.of(reflect.TypeFor[Update]()) }
		rows = append(rows, r)
	}
	return rows
}

// paramOf is a parameter of an execution as a row has it.
func paramOf(p schema.Param) Param {
	out := Param{Name: p.Name, Aliases: p.Aliases, Required: p.Required, Doc: "As in a stage of a procedure."}
	switch p.Type {
	case "int":
		out.Type = "integer"
	case "bool":
		out.Type = "boolean"
	case "list<str>":
		out.Type, out.Items = "array", "string"
	case "table", "map<str,str>":
		out.Type = "object"
	default:
		out.Type = "string"
	}
	return out
}

// laterRow is a row that names a resource, checks that it is there and that the
// caller may, and says that the rest is not built yet.
func (a *API) laterRow(g Group, s spec, more ...Param) Row {
	example := map[string]any{paramName(s.kind): "my-" + s.kind}
	for _, p := range more {
		switch {
		case p.Required && p.Type == "array":
			example[p.Name] = []string{"one"}
		case p.Required:
			example[p.Name] = "one"
		}
	}
	return Row{
		Group: g, Name: s.name, Doc: s.doc, Needs: s.needs, Also: s.also, Kind: s.kind, Example: example,
		Params: append([]Param{refParam(s.kind)}, more...), Result: func(*shapes) any { return map[string]any{} },
		handle: func(ctx context.Context, raw json.RawMessage) (any, error) {
			key, err := refOf(s.name, raw, s.kind)
			if err != nil {
				return nil, err
			}
			if _, err := a.permittedTarget(ctx, s.kind, key, s.needs); err != nil {
				return nil, err
			}
			if err := of(s.name, present(raw, more)); err != nil {
				return nil, err
			}
			return nil, notBuilt(s.name + ": what runs in Docker Swarm")
		},
	}
}

// present refuses parameters that are required and missing.
func present(raw json.RawMessage, params []Param) error {
	var m map[string]json.RawMessage
	_ = json.Unmarshal(raw, &m) // an object: the resource was read from it
	for _, p := range params {
		if v, given := m[p.Name]; p.Required && (!given || string(v) == "null") {
			return lacking(p.Name, params, m)
		}
	}
	return nil
}
