package schema

import "slices"

// Executions returns every kind of execution, in the reference's order. All are
// read and checked; which of them can run is core's list of actions.
func Executions() []ExecutionType { return slices.Clone(executionTable) }

var executionTable = []ExecutionType{
	{"None", "", "Nothing.", nil},
	{"DeployStack", "Stack", "Deploy a stack.", params(ref("stack"), list("services"), may("stop_time", "int"))},
	{"BatchDeployStack", "Stack", "Deploy every stack that matches.", params(pattern(), list("tags"))},
	{"DeployStackIfChanged", "Stack", "Deploy a stack if anything that feeds it changed.", params(ref("stack"), may("stop_time", "int"))},
	{"BatchDeployStackIfChanged", "Stack", "Deploy every matching stack that changed.", params(pattern(), list("tags"))},
	{"PullStack", "Stack", "Pull a stack's images.", params(ref("stack"), list("services"))},
	{"BatchPullStack", "Stack", "Pull the images of every matching stack.", params(pattern(), list("tags"))},
	{"StartStack", "Stack", "Start a stack's containers.", params(ref("stack"), list("services"))},
	{"RestartStack", "Stack", "Restart a stack's containers.", params(ref("stack"), list("services"))},
	{"PauseStack", "Stack", "Pause a stack's containers.", params(ref("stack"), list("services"))},
	{"UnpauseStack", "Stack", "Go on with a stack's paused containers.", params(ref("stack"), list("services"))},
	{"StopStack", "Stack", "Stop a stack's containers.", params(ref("stack"), may("stop_time", "int"), list("services"))},
	{"DestroyStack", "Stack", "Take a stack down.", params(ref("stack"), list("services"), or("remove_orphans", "bool", false), may("stop_time", "int"))},
	{"BatchDestroyStack", "Stack", "Take every matching stack down.", params(pattern(), list("tags"))},
	{"RunStackService", "Stack", "Run one service of a stack once.", params(ref("stack"), need("service", "str"), may("command", "list<str>"), may("no_tty", "bool"), may("no_deps", "bool"), may("detach", "bool"), may("service_ports", "bool"), may("env", "map<str,str>"), may("workdir", "str"), may("user", "str"), may("entrypoint", "str"), may("pull", "bool"))},
	{"Deploy", "Deployment", "Deploy a single container.", params(ref("deployment"), may("stop_signal", "signal"), may("stop_time", "int"))},
	{"BatchDeploy", "Deployment", "Deploy every matching deployment.", params(pattern(), list("tags"))},
	{"PullDeployment", "Deployment", "Pull a deployment's image.", params(ref("deployment"))},
	{"StartDeployment", "Deployment", "Start a deployment's container.", params(ref("deployment"))},
	{"RestartDeployment", "Deployment", "Restart a deployment's container.", params(ref("deployment"))},
	{"PauseDeployment", "Deployment", "Pause a deployment's container.", params(ref("deployment"))},
	{"UnpauseDeployment", "Deployment", "Go on with a deployment's paused container.", params(ref("deployment"))},
	{"StopDeployment", "Deployment", "Stop a deployment's container.", params(ref("deployment"), may("signal", "signal"), may("time", "int"))},
	{"DestroyDeployment", "Deployment", "Stop and remove a deployment's container.", params(ref("deployment"), may("signal", "signal"), may("time", "int"))},
	{"BatchDestroyDeployment", "Deployment", "Stop and remove every matching deployment.", params(pattern(), list("tags"))},
	{"RunBuild", "Build", "Build an image.", params(ref("build"))},
	{"BatchRunBuild", "Build", "Build every matching image.", params(pattern(), list("tags"))},
	{"CancelBuild", "Build", "Cancel a build.", params(ref("build"))},
	{"CloneRepo", "Repo", "Clone a repo afresh.", params(ref("repo"))},
	{"BatchCloneRepo", "Repo", "Clone every matching repo afresh.", params(pattern(), list("tags"))},
	{"PullRepo", "Repo", "Bring a clone to the newest commit.", params(ref("repo"))},
	{"BatchPullRepo", "Repo", "Bring every matching clone to its newest commit.", params(pattern(), list("tags"))},
	{"BuildRepo", "Repo", "Run a repo on its builder.", params(ref("repo"))},
	{"BatchBuildRepo", "Repo", "Run every matching repo on its builder.", params(pattern(), list("tags"))},
	{"CancelRepoBuild", "Repo", "Cancel a repo's build.", params(ref("repo"))},
	{"RunProcedure", "Procedure", "Run a procedure.", params(ref("procedure"))},
	{"BatchRunProcedure", "Procedure", "Run every matching procedure.", params(pattern(), list("tags"))},
	{"CancelProcedure", "Procedure", "Cancel the run of a procedure.", params(ref("procedure"), may("update_id", "str"))},
	{"RunAction", "Action", "Run an action.", params(ref("action"), may("args", "table"))},
	{"BatchRunAction", "Action", "Run every matching action.", params(pattern(), list("tags"))},
	{"CancelAction", "Action", "Cancel the run of an action.", params(ref("action"), may("update_id", "str"))},
	{"RunSync", "Sync", "Apply a sync, or a part of it.", params(Param{Name: "sync", Type: "str", Ref: "resource_sync", Required: true}, may("resource_type", "ResourceType"), may("resources", "list<str>"))},
	{"CommitSync", "Sync", "Write the present state to a sync's file.", params(Param{Name: "sync", Aliases: []string{"id", "name"}, Type: "str", Ref: "resource_sync", Required: true})},
	{"TestAlerter", "Alerter", "Send a test alert.", params(ref("alerter"))},
	{"SendAlert", "Alerter", "Send an alert.", params(or("level", "Severity", "OK"), need("message", "str"), or("details", "str", ""), Param{Name: "alerters", Type: "list<str>", Ref: "alerter", Default: []any{}})},
	{"StartContainer", "Server", "Start a container.", params(ref("server"), need("container", "str"))},
	{"RestartContainer", "Server", "Restart a container.", params(ref("server"), need("container", "str"))},
	{"PauseContainer", "Server", "Pause a container.", params(ref("server"), need("container", "str"))},
	{"UnpauseContainer", "Server", "Go on with a paused container.", params(ref("server"), need("container", "str"))},
	{"StopContainer", "Server", "Stop a container.", params(ref("server"), need("container", "str"), may("signal", "signal"), may("time", "int"))},
	{"DestroyContainer", "Server", "Stop and remove a container.", params(ref("server"), need("container", "str"), may("signal", "signal"), may("time", "int"))},
	{"StartAllContainers", "Server", "Start all containers of a server.", params(ref("server"))},
	{"RestartAllContainers", "Server", "Restart all containers of a server.", params(ref("server"))},
	{"PauseAllContainers", "Server", "Pause all containers of a server.", params(ref("server"))},
	{"UnpauseAllContainers", "Server", "Go on with all paused containers of a server.", params(ref("server"))},
	{"StopAllContainers", "Server", "Stop all containers of a server.", params(ref("server"))},
	{"PruneContainers", "Server", "Remove stopped containers.", params(ref("server"))},
	{"DeleteNetwork", "Server", "Remove a network.", params(ref("server"), need("name", "str"))},
	{"PruneNetworks", "Server", "Remove unused networks.", params(ref("server"))},
	{"DeleteImage", "Server", "Remove an image.", params(ref("server"), need("name", "str"))},
	{"PruneImages", "Server", "Remove unused images.", params(ref("server"))},
	{"DeleteVolume", "Server", "Remove a volume.", params(ref("server"), need("name", "str"))},
	{"PruneVolumes", "Server", "Remove unused volumes.", params(ref("server"))},
	{"PruneDockerBuilders", "Server", "Empty the build cache.", params(ref("server"))},
	{"PruneBuildx", "Server", "Empty buildx's cache.", params(ref("server"))},
	{"PruneSystem", "Server", "Remove everything unused, volumes too.", params(ref("server"))},
	{"RemoveSwarmNodes", "Swarm", "Remove nodes of a swarm.", params(ref("swarm"), need("nodes", "list<str>"), or("force", "bool", false))},
	{"UpdateSwarmNode", "Swarm", "Change a node of a swarm.", params(ref("swarm"), need("node", "str"), may("availability", "NodeAvailability"), may("label_add", "list<str>"), may("label_rm", "list<str>"), may("role", "NodeRole"))},
	{"RemoveSwarmStacks", "Swarm", "Remove stacks of a swarm.", params(ref("swarm"), need("stacks", "list<str>"), or("detach", "bool", true))},
	{"RemoveSwarmServices", "Swarm", "Remove services of a swarm.", params(ref("swarm"), need("services", "list<str>"))},
	{"CreateSwarmConfig", "Swarm", "Create a config of a swarm.", params(ref("swarm"), need("name", "str"), need("data", "str"), list("labels"), may("template_driver", "str"))},
	{"RotateSwarmConfig", "Swarm", "Replace a config of a swarm.", params(ref("swarm"), need("config", "str"), need("data", "str"))},
	{"RemoveSwarmConfigs", "Swarm", "Remove configs of a swarm.", params(ref("swarm"), need("configs", "list<str>"))},
	{"CreateSwarmSecret", "Swarm", "Create a secret of a swarm.", params(ref("swarm"), need("name", "str"), need("data", "str"), may("driver", "str"), list("labels"), may("template_driver", "str"))},
	{"RotateSwarmSecret", "Swarm", "Replace a secret of a swarm.", params(ref("swarm"), need("secret", "str"), need("data", "str"))},
	{"RemoveSwarmSecrets", "Swarm", "Remove secrets of a swarm.", params(ref("swarm"), need("secrets", "list<str>"))},
	{"ClearRepoCache", "Maintenance", "Empty core's cache of repositories.", nil},
	{"BackupCoreDatabase", "Maintenance", "Back up core's state.", nil},
	{"GlobalAutoUpdate", "Maintenance", "Look for newer images everywhere and deploy where wanted.", params(or("skip_auto_update", "bool", false))},
	{"RotateAllServerKeys", "Maintenance", "Change all servers' keys.", nil},
	{"RotateCoreKeys", "Maintenance", "Change core's key.", params(or("force", "bool", false))},
	{"Sleep", "Sleep", "Wait.", params(or("duration_ms", "int", int64(0)))},
}

func params(p ...Param) []Param { return p }

// ref is the resource the execution works on, by name or id.
func ref(kind string) Param { return Param{Name: kind, Type: "str", Ref: kind, Required: true} }

func pattern() Param { return Param{Name: "pattern", Type: "pattern", Required: true} }

func need(name, typ string) Param { return Param{Name: name, Type: typ, Required: true} }

func may(name, typ string) Param { return Param{Name: name, Type: typ} }

func or(name, typ string, def any) Param { return Param{Name: name, Type: typ, Default: def} }

func list(name string) Param { return Param{Name: name, Type: "list<str>", Default: []any{}} }
