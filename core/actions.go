package core

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"berth/core/access"
	"berth/core/execution"
	"berth/core/run"
	"berth/schema"
)

// actions is the list of everything that can be run: an API request, a CLI verb,
// a button and a procedure's execution each. A new one is a function in execution
// and a line in its group below.
func actions(d *execution.Deps) []run.Action {
	return slices.Concat(stackActions(d), deploymentActions(d), repoActions(d), buildActions(d), procedureActions(d),
		containerActions(d), serverActions(d), syncActions(d), coreActions(d))
}

// stackActions are what is done to stacks.
func stackActions(d *execution.Deps) []run.Action {
	deploy := func(name, doc string, body run.Body) run.Action {
		return run.Action{
			Name: name, Kind: "stack", Param: "stack", Doc: doc, Params: execution.DeployParams{}, Body: body,
			Queue: queued("stack"), Supersede: true, Covers: execution.CoversDeploy,
		}
	}
	stack := func(name, verb, doc string) run.Action {
		return run.Action{
			Name: name, Kind: "stack", Param: "stack", Doc: doc, Params: execution.StackDoParams{}, Body: d.StackVerb(verb), Queue: queued("stack"),
		}
	}
	return []run.Action{
		deploy("DeployStack", "Deploy a stack; only what changed is recreated.", d.DeployStack),
		deploy("DeployStackIfChanged", "Deploy a stack if anything that feeds the deploy changed since the last good one.", d.DeployStackIfChanged),
		stack("PullStack", "pull", "Pull the images of a stack."),
		stack("StartStack", "start", "Start the containers of a stack."),
		stack("StopStack", "stop", "Stop the containers of a stack."),
		stack("RestartStack", "restart", "Restart the containers of a stack."),
		stack("PauseStack", "pause", "Pause the containers of a stack."),
		stack("UnpauseStack", "unpause", "Unpause the containers of a stack."),
		stack("DestroyStack", "down", "Remove the containers and networks of a stack; volumes stay."),
		{
			Name: "RunStackService", Kind: "stack", Param: "stack", Doc: "Run one service of a stack once, in a container of its own.",
			Params: execution.RunServiceParams{}, Body: d.RunStackService, Queue: queued("stack"),
		},
		batch(d, "BatchDeployStack", "stack", "DeployStack", "Deploy every stack that matches a pattern."),
		batch(d, "BatchDeployStackIfChanged", "stack", "DeployStackIfChanged", "Deploy every stack that matches a pattern and changed."),
		batch(d, "BatchPullStack", "stack", "PullStack", "Pull the images of every stack that matches a pattern."),
		batch(d, "BatchDestroyStack", "stack", "DestroyStack", "Remove the containers of every stack that matches a pattern."),
	}
}

// deploymentActions are what is done to single containers that Berth deploys.
func deploymentActions(d *execution.Deps) []run.Action {
	single := func(name, verb, doc string, params any) run.Action {
		return run.Action{Name: name, Kind: "deployment", Param: "deployment", Doc: doc, Params: params, Body: d.DeploymentVerb(verb), Queue: queued("deployment")}
	}
	return []run.Action{
		{
			Name: "Deploy", Kind: "deployment", Param: "deployment", Doc: "Deploy a single container; one that is the same already is left alone.",
			Params: execution.DeployOneParams{}, Body: d.Deploy, Queue: queued("deployment"), Supersede: true, Covers: execution.CoversDeployOne,
		},
		batch(d, "BatchDeploy", "deployment", "Deploy", "Deploy every deployment that matches a pattern."),
		single("PullDeployment", schema.DeploymentPull, "Pull the image of a deployment.", execution.OneParams{}),
		single("StartDeployment", schema.ContainerStart, "Start the container of a deployment.", execution.OneParams{}),
		single("RestartDeployment", schema.ContainerRestart, "Restart the container of a deployment.", execution.OneParams{}),
		single("PauseDeployment", schema.ContainerPause, "Pause the container of a deployment.", execution.OneParams{}),
		single("UnpauseDeployment", schema.ContainerUnpause, "Go on with the paused container of a deployment.", execution.OneParams{}),
		single("StopDeployment", schema.ContainerStop, "Stop the container of a deployment.", execution.StopOneParams{}),
		single("DestroyDeployment", schema.ContainerDestroy, "Stop and remove the container of a deployment; volumes stay.", execution.StopOneParams{}),
		batch(d, "BatchDestroyDeployment", "deployment", "DestroyDeployment", "Remove the container of every deployment that matches a pattern."),
	}
}

// repoActions are what is done to repositories.
func repoActions(d *execution.Deps) []run.Action {
	repo := func(name, doc string, body run.Body) run.Action {
		return run.Action{
			Name: name, Kind: "repo", Param: "repo", Doc: doc, Params: execution.RepoParams{}, Body: body, Queue: queued("repo"), Supersede: true,
		}
	}
	return []run.Action{
		repo("PullRepo", "Bring a repo's clone to its branch's newest commit.", d.SyncRepo(false)),
		repo("CloneRepo", "Clone a repo afresh.", d.SyncRepo(true)),
		batch(d, "BatchPullRepo", "repo", "PullRepo", "Pull every repo that matches a pattern."),
		batch(d, "BatchCloneRepo", "repo", "CloneRepo", "Clone every repo that matches a pattern afresh."),
		{
			Name: "BuildRepo", Kind: "repo", Param: "repo", Doc: "Clone a repo afresh on its builder and run its commands there.",
			Params: execution.RepoParams{}, Body: d.BuildRepo, Queue: queued("repo-build"), Supersede: true,
		},
		batch(d, "BatchBuildRepo", "repo", "BuildRepo", "Run every repo that matches a pattern on its builder."),
		{Name: "CancelRepoBuild", Kind: "repo", Param: "repo", Doc: "End the builds of a repo that go on.", Params: execution.RepoParams{}, Body: d.Cancel("repo", "BuildRepo")},
	}
}

// buildActions are what is done to images.
func buildActions(d *execution.Deps) []run.Action {
	return []run.Action{
		{
			Name: "RunBuild", Kind: "build", Param: "build", Doc: "Build an image and push it.",
			Params: execution.BuildParams{}, Body: d.RunBuild, Queue: queued("build"), Supersede: true, Preempts: pushed, Trusted: true,
		},
		batch(d, "BatchRunBuild", "build", "RunBuild", "Build every image that matches a pattern."),
		{Name: "CancelBuild", Kind: "build", Param: "build", Doc: "End the runs of a build that go on.", Params: execution.BuildParams{}, Body: d.Cancel("build", "RunBuild")},
	}
}

// procedureActions are what runs procedures and the scripts of actions.
func procedureActions(d *execution.Deps) []run.Action {
	return []run.Action{
		{
			Name: "RunProcedure", Kind: "procedure", Param: "procedure", Doc: "Run the stages of a procedure.",
			Params: execution.ProcedureParams{}, Body: d.RunProcedure, Queue: queued("procedure"), Supersede: true,
		},
		batch(d, "BatchRunProcedure", "procedure", "RunProcedure", "Run every procedure that matches a pattern."),
		{
			Name: "RunAction", Kind: "action", Param: "action", Doc: "Run the script of an action.",
			Params: execution.ActionParams{}, Body: d.RunAction,
		},
		batch(d, "BatchRunAction", "action", "RunAction", "Run every action that matches a pattern."),
		{Name: "CancelAction", Kind: "action", Param: "action", Doc: "End the runs of an action that go on.", Params: cancelActionParams{}, Body: d.CancelAction},
		{Name: "CancelProcedure", Kind: "procedure", Param: "procedure", Doc: "End the runs of a procedure that go on.", Params: cancelParams{}, Body: d.CancelProcedure},
	}
}

// containerActions are what is done to any container of a server.
func containerActions(d *execution.Deps) []run.Action {
	container := func(name, verb, doc string, params any) run.Action {
		return run.Action{Name: name, Kind: "server", Param: "server", Doc: doc, Params: params, Body: d.Container(verb)}
	}
	return []run.Action{
		container("StartContainer", schema.ContainerStart, "Start a container.", execution.ContainerParams{}),
		container("RestartContainer", schema.ContainerRestart, "Restart a container.", execution.ContainerParams{}),
		container("PauseContainer", schema.ContainerPause, "Pause a container.", execution.ContainerParams{}),
		container("UnpauseContainer", schema.ContainerUnpause, "Go on with a paused container.", execution.ContainerParams{}),
		container("StopContainer", schema.ContainerStop, "Stop a container.", execution.StopContainerParams{}),
		container("DestroyContainer", schema.ContainerDestroy, "Stop and remove a container; volumes stay.", execution.StopContainerParams{}),
	}
}

// serverActions are what is done to a whole server, or to what no stack owns on it.
func serverActions(d *execution.Deps) []run.Action {
	server := func(name, doc string, body run.Body) run.Action {
		return run.Action{Name: name, Kind: "server", Param: "server", Doc: doc, Params: execution.ServerParams{}, Body: body, Queue: queued("server")}
	}
	remove := func(name, kind, doc string) run.Action {
		return run.Action{Name: name, Kind: "server", Param: "server", Doc: doc, Params: execution.NamedParams{}, Body: d.Delete(kind)}
	}
	return []run.Action{
		server("StartAllContainers", "Start all containers that Berth manages on a server.", d.AllContainers(schema.ContainerStart)),
		server("RestartAllContainers", "Restart all running containers that Berth manages on a server.", d.AllContainers(schema.ContainerRestart)),
		server("PauseAllContainers", "Pause all containers that Berth manages on a server.", d.AllContainers(schema.ContainerPause)),
		server("UnpauseAllContainers", "Go on with all paused containers that Berth manages on a server.", d.AllContainers(schema.ContainerUnpause)),
		server("StopAllContainers", "Stop all containers that Berth manages on a server.", d.AllContainers(schema.ContainerStop)),
		server("PruneContainers", "Remove the stopped containers that Berth manages on a server.", d.Prune(schema.EngineContainers)),
		server("PruneNetworks", "Remove the unused networks that Berth manages on a server.", d.Prune(schema.EngineNetworks)),
		server("PruneImages", "Remove the images of a server that no container uses and no recent deploy used.", d.Prune(schema.EngineImages)),
		server("PruneVolumes", "Remove the volumes that stacks which run complete do not use any more.", d.Prune(schema.EngineVolumes)),
		server("PruneDockerBuilders", "Empty the engine's build cache.", d.Prune(schema.EngineCache)),
		server("PruneBuildx", "Empty the engine's build cache, which is buildx's as well.", d.Prune(schema.EngineCache)),
		server("PruneSystem", "Prune containers, networks, volumes, images and the build cache of a server.", d.Prune(
			schema.EngineContainers, schema.EngineNetworks, schema.EngineVolumes, schema.EngineImages, schema.EngineCache)),
		remove("DeleteNetwork", schema.EngineNetworks, "Remove a network that nothing uses."),
		remove("DeleteImage", schema.EngineImages, "Remove an image that no container uses."),
		remove("DeleteVolume", schema.EngineVolumes, "Remove a volume that no container uses, with its data."),
	}
}

// syncActions are what is done to resource syncs.
func syncActions(d *execution.Deps) []run.Action {
	return []run.Action{
		{
			Name: "RunSync", Kind: "resource_sync", Param: "sync", Doc: "Bring resources to what a sync's files declare, and deploy what follows.",
			Params: execution.SyncParams{}, Body: d.RunSync, Queue: queued("resource_sync"), Supersede: true, Covers: execution.CoversSync, Trusted: true,
		},
		{
			Name: "RefreshResourceSyncPending", Kind: "resource_sync", Param: "sync", Doc: "Look at a sync's source and keep what is pending.",
			Params: execution.SyncRefParams{}, Body: d.RefreshSync,
		},
		{
			Name: "CommitSync", Kind: "resource_sync", Param: "sync", Doc: "Write what is stored back to a sync's files, as a commit where that is git.",
			Params: execution.SyncRefParams{}, Needs: access.CanEdit, Body: d.CommitSync, Queue: queued("resource_sync"),
		},
		{
			Name: "WriteSyncFileContents", Kind: "resource_sync", Param: "sync", Doc: "Write one file of a sync's source, as a commit where that is git.",
			Params: execution.SyncFileParams{}, Needs: access.CanEdit, Body: d.WriteSyncFile, Queue: queued("resource_sync"),
		},
	}
}

// coreActions are what is done to core itself, to all resources at once, and a procedure's pause.
func coreActions(d *execution.Deps) []run.Action {
	return []run.Action{
		{Name: "GlobalAutoUpdate", Admin: true, Doc: "Look for newer images of everything that asks for it, and deploy what updates by itself.", Params: execution.AutoUpdateParams{}, Body: d.GlobalAutoUpdate, Queue: once("auto-update")},
		{Name: "TestAlerter", Kind: "alerter", Param: "alerter", Doc: "Send a test by an alerter.", Params: execution.AlerterParams{}, Body: d.TestAlerter},
		{Name: "SendAlert", Open: true, Doc: "Send an alert of your own.", Params: execution.SendAlertParams{}, Body: d.SendAlert},
		{Name: "BackupCoreDatabase", Admin: true, Doc: "Write an encrypted backup of core into its folder of backups, and read it back.", Params: noParams{}, Body: d.BackupCore, Queue: coreQueue},
		{Name: "ClearRepoCache", Admin: true, Doc: "Empty core's cache of repositories; it fills itself again.", Params: noParams{}, Body: d.ClearRepos, Queue: coreQueue},
		{Name: "RotateAllServerKeys", Admin: true, Doc: "Have every agent that is online change its key; servers with auto_rotate_keys only.", Params: noParams{}, Body: d.RotateServerKeys, Queue: coreQueue},
		{Name: "RotateServerKeys", Kind: "server", Param: "server", Doc: "Have a server's agent change its key; both are good until the new one has proved itself.", Needs: access.CanEdit, Params: execution.ServerParams{}, Body: d.RotateServer, Queue: coreQueue},
		{Name: "RotateCoreKeys", Admin: true, Doc: "Give core itself new keys, which all agents learn first.", Params: execution.RotateCoreParams{}, Body: d.RotateCoreKeys, Queue: coreQueue},
		{Name: "Sleep", Open: true, Doc: "Wait.", Params: sleepParams{}, Body: sleep},
	}
}

// batch runs an action for every resource of a kind that a pattern matches.
func batch(d *execution.Deps, name, kind, of, doc string) run.Action {
	return run.Action{Name: name, Open: true, Doc: doc, Params: execution.BatchParams{}, Body: d.Batch(kind, kind, of)}
}

// pushed reports whether a webhook started the run.
func pushed(r *schema.Run) bool { return r.Actor.Kind == "webhook" }

// once puts all runs into one queue.
func once(queue string) func(schema.Target) string {
	return func(schema.Target) string { return queue }
}

// queued puts the runs of one target into one queue.
func queued(kind string) func(schema.Target) string {
	return func(t schema.Target) string { return kind + ":" + t.ID }
}

// coreQueue is the one queue of what is done to core itself.
func coreQueue(schema.Target) string { return "core" }

type noParams struct{}

type cancelParams struct {
	Procedure string `json:"procedure" doc:"Name or id of the procedure."`
	UpdateID  string `json:"update_id,omitempty" doc:"Only this run; all that go on when empty."`
}

type cancelActionParams struct {
	Action   string `json:"action" doc:"Name or id of the action."`
	UpdateID string `json:"update_id,omitempty" doc:"Only this run; all that go on when empty."`
}

type sleepParams struct {
	Duration int64 `json:"duration_ms" doc:"How long, in milliseconds."`
}

func sleep(ctx context.Context, r *run.Run) (run.Outcome, error) {
	var p sleepParams
	if err := json.Unmarshal(r.Record().Params, &p); err != nil {
		return run.Outcome{}, schema.Wrap(schema.Invalid, err, "Sleep: %v", err)
	}
	return run.Outcome{}, r.Sleep(ctx, "sleep", time.Duration(p.Duration)*time.Millisecond)
}
