package api

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"berth/core/access"
	"berth/schema"
)

type serverStatus struct {
	Status schema.ServerState `json:"status"`
}

// stateRows tell how things stand: states, what is being done, how many are how.
func (a *API) stateRows() []Row {
	type server struct {
		Server string `json:"server" alias:"id,name" doc:"Name or id."`
	}
	rows := []Row{
		Read(spec{name: "GetServerState", doc: "Say whether a server can be worked with.", needs: access.CanRead, kind: "server", example: map[string]any{"server": "my-server"}},
			func(ctx context.Context, p server) (serverStatus, error) {
				v, err := a.server(ctx, p.Server)
				return serverStatus{v.State}, err
			}),
		a.summary("GetServersSummary", "server", serverBucket, "total", "healthy", "warning", "unhealthy", "disabled"),
		a.summary("GetStacksSummary", "stack", stackBucket, "total", "running", "stopped", "down", "unhealthy", "unknown"),
		a.summary("GetReposSummary", "repo", strings.ToLower, "total", "ok", "cloning", "pulling", "building", "failed", "unknown"),
		a.summary("GetProceduresSummary", "procedure", strings.ToLower, "total", "ok", "running", "failed", "unknown"),
	}
	if _, err := a.deps.Kinds.Kind("action"); err == nil {
		rows = append(rows, a.summary("GetActionsSummary", "action", strings.ToLower, "total", "ok", "running", "failed", "unknown"))
	}
	if _, err := a.deps.Kinds.Kind("alerter"); err == nil {
		rows = append(rows, a.summary("GetAlertersSummary", "alerter", func(string) string { return "" }, "total"))
	}
	for kind, verbs := range actionStates() {
		if _, err := a.deps.Kinds.Kind(kind); err == nil {
			rows = append(rows, a.actionState(kind, verbs))
		}
	}
	return rows
}

// server finds a server's view by name or id.
func (a *API) server(ctx context.Context, key string) (schema.ServerView, error) {
	k, err := a.deps.Kinds.Kind("server")
	if err != nil {
		return schema.ServerView{}, err
	}
	t, err := k.Find(key)
	if err != nil {
		return schema.ServerView{}, err
	}
	list, err := a.deps.Views.Servers(ctx)
	for _, v := range list {
		if v.Resource.ID == t.ID {
			return v, nil
		}
	}
	return schema.ServerView{Resource: schema.Resource[schema.ServerConfig]{ID: t.ID, Name: t.Name}, State: schema.ServerNotOk}, err
}

func serverBucket(state string) string {
	switch schema.ServerState(state) {
	case schema.ServerOk:
		return "healthy"
	case schema.ServerDisabled:
		return "disabled"
	default:
		return "unhealthy"
	}
}

func stackBucket(state string) string {
	switch schema.StackState(state) {
	case schema.StackRunning, schema.StackDown, schema.StackUnknown:
		return state
	case schema.StackStopped, schema.StackPaused:
		return "stopped"
	case "":
		return "unknown"
	default:
		return "unhealthy"
	}
}

// summary counts a kind's resources by state; every name is there, also with 0.
func (a *API) summary(name, kind string, bucket func(state string) string, names ...string) Row {
	r := row(GroupRead, spec{name: name, doc: "Count " + kind + "s by state.", needs: access.CanRead, filters: true, example: map[string]any{}},
		func(ctx context.Context, _ None) (map[string]int, error) {
			out := map[string]int{}
			for _, n := range names {
				out[n] = 0
			}
			k, err := a.deps.Kinds.Kind(kind)
			if err != nil {
				return out, err
			}
			list, infos, err := kindAPI{a: a, k: k, name: typeName(kind), info: a.infos(kind)}.full(ctx)
			for _, r := range list {
				out["total"]++
				b := infos[r.ID].bucket
				if b == "" {
					b = bucket(infos[r.ID].state)
				}
				if b != "" && (!r.Template || b != "unknown" && b != "disabled") { // templates are not expected to do anything
					out[b]++
				}
			}
			return out, err
		})
	r.Result = func(*shapes) any { return counts(names) }
	return r
}

func counts(names []string) any {
	props := map[string]any{}
	for _, n := range names {
		props[n] = map[string]any{"type": "integer"}
	}
	return map[string]any{"type": "object", "properties": props, "required": names}
}

// actionStates lists per kind the members of its action state, and which actions
// make them true; behind a # it is how many there are. Members without an action
// are there for clients.
func actionStates() map[string][][2]string {
	return map[string][][2]string{
		"swarm":         {},
		"resource_sync": {{"syncing", "RunSync"}},
		"action":        {{"running", "#RunAction"}},
		"stack": {
			{"pulling", "PullStack"},
			{"deploying", "DeployStack DeployStackIfChanged"},
			{"starting", "StartStack"},
			{"restarting", "RestartStack"},
			{"pausing", "PauseStack"},
			{"unpausing", "UnpauseStack"},
			{"stopping", "StopStack"},
			{"destroying", "DestroyStack"},
		},
		"deployment": {
			{"pulling", "PullDeployment"},
			{"deploying", "Deploy"},
			{"updating", ""},
			{"starting", "StartDeployment"},
			{"restarting", "RestartDeployment"},
			{"pausing", "PauseDeployment"},
			{"unpausing", "UnpauseDeployment"},
			{"stopping", "StopDeployment"},
			{"destroying", "DestroyDeployment"},
			{"renaming", ""},
		},
		"repo":      {{"cloning", "CloneRepo"}, {"pulling", "PullRepo"}, {"building", "BuildRepo"}, {"renaming", ""}},
		"procedure": {{"running", "RunProcedure"}},
		"build":     {{"building", "RunBuild"}},
		"server": {
			{"pruning_networks", "PruneNetworks"},
			{"pruning_containers", "PruneContainers"},
			{"pruning_images", "PruneImages"},
			{"pruning_volumes", "PruneVolumes"},
			{"pruning_builders", "PruneDockerBuilders"},
			{"pruning_buildx", "PruneBuildx"},
			{"pruning_system", "PruneSystem"},
			{"starting_containers", "#StartContainer StartAllContainers"},
			{"restarting_containers", "#RestartContainer RestartAllContainers"},
			{"pausing_containers", "#PauseContainer PauseAllContainers"},
			{"unpausing_containers", "#UnpauseContainer UnpauseAllContainers"},
			{"stopping_containers", "#StopContainer StopAllContainers"},
			{"destroying_containers", "#DestroyContainer"},
		},
	}
}

func (a *API) actionState(kind string, verbs [][2]string) Row {
	props := map[string]any{}
	for _, v := range verbs {
		props[v[0]] = map[string]any{"type": "boolean"}
		if strings.HasPrefix(v[1], "#") {
			props[v[0]] = map[string]any{"type": "integer"}
		}
	}
	return Row{
		Group: GroupRead, Name: "Get" + typeName(kind) + "ActionState", Doc: "Say what is being done to " + named(kind) + " now.",
		Needs: access.CanRead, Kind: kind, Params: []Param{refParam(kind)}, Example: map[string]any{paramName(kind): "my-" + kind},
		Result: func(*shapes) any { return map[string]any{"type": "object", "properties": props} },
		handle: func(ctx context.Context, raw json.RawMessage) (any, error) {
			key, err := refOf("Get"+typeName(kind)+"ActionState", raw, kind)
			if err != nil {
				return nil, err
			}
			k, err := a.deps.Kinds.Kind(kind)
			if err != nil {
				return nil, err
			}
			t, err := k.Find(key)
			if err != nil {
				return nil, err
			}
			return a.doing(ctx, t, verbs)
		},
	}
}

// doing looks at the runs of a target that have not ended.
func (a *API) doing(ctx context.Context, t schema.Target, verbs [][2]string) (map[string]any, error) {
	runs, err := a.deps.Engine.List(ctx, schema.RunFilter{Kind: t.Kind, Target: t.ID, Pending: true, Limit: allRuns})
	out := map[string]any{}
	for _, v := range verbs {
		actions, counted := strings.CutPrefix(v[1], "#")
		n := 0
		for _, r := range runs {
			if !r.State.Terminal() && slices.Contains(strings.Fields(actions), r.Action) {
				n++
			}
		}
		if out[v[0]] = n > 0; counted {
			out[v[0]] = n
		}
	}
	return out, err
}
