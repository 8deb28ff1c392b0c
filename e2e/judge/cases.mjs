// Every request of the published client, in an order in which each has what it needs.
//
// A case is [group, request, parameters, expectation]. Parameters may be a function
// of what came before: got("CreateTag") is the last answer to a request. The
// expectation is the status of a refusal (501 for what comes later), or, of an
// execution, the word "fails"; without one the answer is 200, has the declared
// shape, and an execution succeeds.

const later = 501;
const missing = 404;
const server = { server: "nexus" };
const stack = { stack: "web" };
const deployment = { deployment: "single" };
const container = { server: "nexus", container: "web-app-1" };
const swarm = { swarm: "none" };
const id = (v) => v._id.$oid;
const target = (type, id) => ({ type, id });

// kinds are those with the eight requests that every kind has: its parameter, a
// resource that is there, settings to change.
const kinds = [
  ["Server", "nexus", { links: ["https://example.com"] }, "Servers"],
  ["Stack", "web", { links: ["https://example.com"] }, "Stacks"],
  ["Deployment", "single", { links: ["https://example.com"] }, "Deployments"],
  ["Build", "image", { links: ["https://example.com"] }, "Builds"],
  ["Repo", "code", { links: ["https://example.com"] }, "Repos"],
  ["Procedure", "nightly", { schedule_enabled: false }, "Procedures"],
  ["Action", "hello", { schedule_enabled: false }, "Actions"],
  ["ResourceSync", "declared", { delete: false }, "ResourceSyncs"],
  ["Builder", "local", { type: "Server", params: { server_id: "nexus" } }, "Builders"],
  ["Alerter", "hook", { enabled: true }, "Alerters"],
];
const param = (kind) => (kind === "ResourceSync" ? "sync" : kind.toLowerCase());
// without are kinds that have nothing in the works, or only a total.
const idle = ["Builder", "Alerter"];

function ofKind([kind, name, change, many]) {
  const one = { [param(kind)]: name };
  const made = (got) => id(got(`Create${kind}`));
  const list = [
    ["read", `Get${kind}`, one],
    ["read", `Get${kind}`, { [param(kind)]: "no-such" }, missing],
    ["read", `List${many}`, { query: { tags: [] } }],
    ["read", `List${many}`, { query: {}, page: 0, limit: 1, sort_by: "Name", sort_desc: true }],
    ["read", `ListFull${many}`, { query: { names: [name] } }],
    ["read", `Get${many}Summary`, {}],
    ["write", `Create${kind}`, { name: `made-${param(kind)}`, config: change }],
    ["write", `Copy${kind}`, (got) => ({ name: `copied-${param(kind)}`, id: made(got) })],
    ["write", `Update${kind}`, (got) => ({ id: made(got), config: change })],
    ["write", `Rename${kind}`, (got) => ({ id: made(got), name: `renamed-${param(kind)}` })],
    ["write", "UpdateResourceMeta", (got) => ({ target: target(kind, made(got)), description: "made by the judge", tags: ["judged"] })],
    ["read", `Get${kind}`, (got) => ({ [param(kind)]: made(got) })],
    ["write", `Delete${kind}`, (got) => ({ id: made(got) })],
    ["write", `Delete${kind}`, (got) => ({ id: id(got(`Copy${kind}`)) })],
    ["read", "ExportResourcesToToml", (got) => ({ targets: [target(kind, id(got(`Get${kind}`, name)))] })],
  ];
  if (!idle.includes(kind)) list.push(["read", `Get${kind}ActionState`, one]);
  return list;
}

const swarms = [
  ["read", "ListSwarms", {}],
  ["read", "ListFullSwarms", {}],
  ["read", "GetSwarmsSummary", {}],
  ...["GetSwarm", "GetSwarmActionState", "InspectSwarm", "ListSwarmNodes", "ListSwarmServices", "ListSwarmTasks", "ListSwarmSecrets", "ListSwarmConfigs", "ListSwarmStacks", "ListSwarmNetworks"]
    .map((name) => ["read", name, swarm, [later, missing]]),
  ["read", "InspectSwarmNode", { ...swarm, node: "n" }, [later, missing]],
  ["read", "InspectSwarmService", { ...swarm, service: "s" }, [later, missing]],
  ["read", "GetSwarmServiceLog", { ...swarm, service: "s" }, [later, missing]],
  ["read", "SearchSwarmServiceLog", { ...swarm, service: "s", terms: ["x"] }, [later, missing]],
  ["read", "InspectSwarmTask", { ...swarm, task: "t" }, [later, missing]],
  ["read", "InspectSwarmSecret", { ...swarm, secret: "s" }, [later, missing]],
  ["read", "InspectSwarmConfig", { ...swarm, config: "c" }, [later, missing]],
  ["read", "InspectSwarmStack", { ...swarm, stack: "s" }, [later, missing]],
  ["write", "CreateSwarm", { name: "swarm" }, [200, later]],
  ["write", "CopySwarm", { name: "copy", id: "none" }, [later, missing]],
  ["write", "UpdateSwarm", { id: "none", config: {} }, [later, missing]],
  ["write", "RenameSwarm", { id: "none", name: "other" }, [later, missing]],
  ["write", "DeleteSwarm", { id: "none" }, [later, missing]],
  ["execute", "RemoveSwarmNodes", { ...swarm, nodes: ["n"] }, [later, missing]],
  ["execute", "UpdateSwarmNode", { ...swarm, node: "n" }, [later, missing]],
  ["execute", "RemoveSwarmStacks", { ...swarm, stacks: ["s"] }, [later, missing]],
  ["execute", "RemoveSwarmServices", { ...swarm, services: ["s"] }, [later, missing]],
  ["execute", "CreateSwarmConfig", { ...swarm, name: "c", data: "d" }, [later, missing]],
  ["execute", "RotateSwarmConfig", { ...swarm, config: "c", data: "d" }, [later, missing]],
  ["execute", "RemoveSwarmConfigs", { ...swarm, configs: ["c"] }, [later, missing]],
  ["execute", "CreateSwarmSecret", { ...swarm, name: "c", data: "d" }, [later, missing]],
  ["execute", "RotateSwarmSecret", { ...swarm, secret: "c", data: "d" }, [later, missing]],
  ["execute", "RemoveSwarmSecrets", { ...swarm, secrets: ["c"] }, [later, missing]],
];

const terminals = [
  ["read", "ListTerminals", {}, [200, later]],
  ["write", "CreateTerminal", { target: { type: "Server", params: server } }, later],
  ["write", "DeleteTerminal", { target: { type: "Server", params: server }, terminal: "t" }, later],
  ["write", "DeleteAllTerminals", server, later],
  ["write", "BatchDeleteAllTerminals", {}, later],
];

// doing are executions on what runs; each leaves it as the next needs it.
const doing = [
  ["execute", "DeployStack", stack],
  ["execute", "DeployStack", { ...stack, services: ["app"] }],
  ["execute", "DeployStackIfChanged", stack],
  ["execute", "BatchDeployStack", { pattern: "web*" }],
  ["execute", "BatchDeployStackIfChanged", { pattern: "web" }],
  ["execute", "PullStack", { stack: "pulled" }],
  ["execute", "BatchPullStack", { pattern: "pulled" }],
  ["execute", "StopStack", stack],
  ["execute", "StartStack", stack],
  ["execute", "RestartStack", stack],
  ["execute", "PauseStack", stack],
  ["execute", "UnpauseStack", stack],
  ["execute", "RunStackService", { ...stack, service: "app", command: ["-exit", "0"], no_tty: true }],
  ["execute", "Deploy", deployment],
  ["execute", "BatchDeploy", { pattern: "single" }],
  ["execute", "PullDeployment", { deployment: "pulled" }],
  ["execute", "StopDeployment", deployment],
  ["execute", "StartDeployment", deployment],
  ["execute", "RestartDeployment", deployment],
  ["execute", "PauseDeployment", deployment],
  ["execute", "UnpauseDeployment", deployment],
  ["execute", "PauseContainer", container],
  ["execute", "UnpauseContainer", container],
  ["execute", "RestartContainer", container],
  ["execute", "StopContainer", container],
  ["execute", "StartContainer", container],
  ["execute", "PauseAllContainers", server],
  ["execute", "UnpauseAllContainers", server],
  ["execute", "RestartAllContainers", server],
  ["execute", "StopAllContainers", server],
  ["execute", "StartAllContainers", server],
  ["execute", "RunBuild", { build: "image" }],
  ["execute", "BatchRunBuild", { pattern: "image" }],
  ["execute", "CancelBuild", { build: "image" }, [409, 200]],
  ["execute", "CloneRepo", { repo: "code" }],
  ["execute", "BatchCloneRepo", { pattern: "code" }],
  ["execute", "PullRepo", { repo: "code" }],
  ["execute", "BatchPullRepo", { pattern: "code" }],
  ["execute", "BuildRepo", { repo: "code" }],
  ["execute", "BatchBuildRepo", { pattern: "code" }],
  ["execute", "CancelRepoBuild", { repo: "code" }, [409, 200]],
  ["execute", "RunProcedure", { procedure: "nightly" }],
  ["execute", "BatchRunProcedure", { pattern: "nightly" }],
  ["execute", "CancelProcedure", { procedure: "nightly" }, [409, 200]],
  ["execute", "RunAction", { action: "hello", args: { WHO: "judge" } }],
  ["execute", "BatchRunAction", { pattern: "hello" }],
  ["execute", "RunAction", { action: "broken" }, "fails"], // raises an alert
  ["execute", "CancelAction", { action: "hello" }, [409, 200]],
  ["execute", "RunSync", { sync: "declared" }],
  ["execute", "TestAlerter", { alerter: "hook" }],
  ["execute", "SendAlert", { level: "WARNING", message: "from the judge", details: "d", alerters: ["hook"] }],
];

const engines = [
  ["read", "GetServerState", server],
  ["read", "GetPeripheryInformation", server],
  ["read", "GetSystemInformation", server],
  ["read", "GetSystemStats", server],
  ["read", "ListSystemProcesses", server],
  ["read", "GetHistoricalServerStats", { ...server, granularity: "15-sec" }],
  ["read", "GetHistoricalServerStats", { ...server, granularity: "1-day", page: 0 }],
  ["read", "GetContainersSummary", {}],
  ["read", "ListAllContainers", { servers: ["nexus"], limit: 10, sort_by: "Server" }],
  ["read", "ListContainers", server],
  ["read", "InspectContainer", container],
  ["read", "GetResourceMatchingContainer", container],
  ["read", "GetContainerLog", { ...container, tail: 20 }],
  ["read", "SearchContainerLog", { ...container, terms: ["e"], combinator: "Or", invert: false }],
  ["read", "ListComposeProjects", server],
  ["read", "ListNetworks", server],
  ["read", "InspectNetwork", { ...server, network: "web_default" }],
  ["read", "ListImages", server],
  ["read", "InspectImage", { ...server, image: "berth-e2e/app:1" }],
  ["read", "ListImageHistory", { ...server, image: "berth-e2e/app:1" }],
  ["read", "ListVolumes", server],
  ["read", "InspectVolume", { ...server, volume: "web_data" }],
  ["read", "ListStackServices", stack],
  ["read", "ListAllStackServices", { stacks: ["web"] }],
  ["read", "InspectStackContainer", { ...stack, service: "app" }],
  ["read", "InspectStackSwarmService", { ...stack, service: "app" }, later],
  ["read", "GetStackLog", { ...stack, services: [], tail: 10 }],
  ["read", "SearchStackLog", { ...stack, services: [], terms: ["e"] }],
  ["read", "ListCommonStackExtraArgs", {}],
  ["read", "ListCommonStackBuildExtraArgs", {}],
  ["read", "GetDeploymentContainer", deployment],
  ["read", "InspectDeploymentContainer", deployment],
  ["read", "InspectDeploymentSwarmService", deployment, later],
  ["read", "GetDeploymentLog", { ...deployment, tail: 10 }],
  ["read", "SearchDeploymentLog", { ...deployment, terms: ["e"] }],
  ["read", "GetDeploymentStats", deployment],
  ["read", "ListCommonDeploymentExtraArgs", {}],
  ["read", "ListCommonBuildExtraArgs", {}],
  ["read", "GetBuildMonthlyStats", {}],
  ["read", "ListBuildVersions", { build: "image" }],
  ["write", "CreateNetwork", { ...server, name: "judged" }],
  ["write", "CreateDeploymentFromContainer", { ...server, name: "web-app-1" }],
  ["write", "DeleteDeployment", (got) => ({ id: id(got("CreateDeploymentFromContainer")) })],
  ["write", "WriteStackFileContents", { stack: "hosted", file_path: "compose.yaml", contents: "services: {app: {image: 'berth-e2e/app:1'}}\n" }],
  ["write", "RefreshStackCache", stack],
  ["write", "CheckStackForUpdate", stack],
  ["write", "BatchCheckStackForUpdate", { pattern: "web" }],
  ["write", "CheckDeploymentForUpdate", deployment],
  ["write", "BatchCheckDeploymentForUpdate", { pattern: "single" }],
  ["write", "WriteBuildFileContents", { build: "from-git", contents: "FROM berth-e2e/app:1\n" }],
  ["write", "RefreshBuildCache", { build: "image" }],
  ["write", "RefreshRepoCache", { repo: "code" }],
  ["write", "RefreshResourceSyncPending", { sync: "declared" }],
  ["write", "WriteSyncFileContents", { sync: "from-git", resource_path: "resources", file_path: "v.toml", contents: "[[variable]]\nname = \"WRITTEN\"\nvalue = \"1\"\n" }],
  ["write", "CommitSync", { sync: "written" }],
];

const settings = [
  ["read", "GetVersion", {}],
  ["read", "GetCoreInfo", {}],
  ["read", "ListGitProvidersFromConfig", {}],
  ["read", "ListImageRegistriesFromConfig", { target: target("Server", "nexus") }],
  ["read", "ListSecrets", {}],
  ["read", "ListSchedules", {}],
  ["read", "ExportAllResourcesToToml", { include_resources: true, include_variables: true, include_user_groups: true }],
  ["write", "CreateTag", { name: "by-the-judge", color: "Teal" }],
  ["read", "GetTag", { tag: "by-the-judge" }],
  ["read", "ListTags", { query: {} }],
  ["write", "RenameTag", (got) => ({ id: id(got("CreateTag")), name: "renamed" })],
  ["write", "UpdateTagColor", { tag: "renamed", color: "DarkRed" }],
  ["write", "DeleteTag", (got) => ({ id: id(got("CreateTag")) })],
  ["write", "CreateVariable", { name: "MADE", value: "v", description: "d", is_secret: false }],
  ["write", "UpdateVariableValue", { name: "MADE", value: "w" }],
  ["write", "UpdateVariableDescription", { name: "MADE", description: "e" }],
  ["write", "UpdateVariableIsSecret", { name: "MADE", is_secret: true }],
  ["read", "GetVariable", { name: "MADE" }],
  ["read", "ListVariables", {}],
  ["write", "DeleteVariable", { name: "MADE" }],
  ["write", "CreateGitProviderAccount", { account: { domain: "git.example", https: true, username: "bot", token: "t" } }],
  ["read", "GetGitProviderAccount", (got) => ({ id: id(got("CreateGitProviderAccount")) })],
  ["read", "ListGitProviderAccounts", {}],
  ["write", "UpdateGitProviderAccount", (got) => ({ id: id(got("CreateGitProviderAccount")), account: { username: "other" } })],
  ["write", "DeleteGitProviderAccount", (got) => ({ id: id(got("CreateGitProviderAccount")) })],
  ["write", "CreateImageRegistryAccount", { account: { domain: "registry.example", username: "bot", token: "t" } }],
  ["read", "GetImageRegistryAccount", (got) => ({ id: id(got("CreateImageRegistryAccount")) })],
  ["read", "ListImageRegistryAccounts", { domain: "registry.example" }],
  ["write", "UpdateImageRegistryAccount", (got) => ({ id: id(got("CreateImageRegistryAccount")), account: { username: "other" } })],
  ["write", "DeleteImageRegistryAccount", (got) => ({ id: id(got("CreateImageRegistryAccount")) })],
  ["write", "CreateOnboardingKey", { name: "rack", tags: ["new"], privileged: false, create_builder: false }],
  ["read", "ListOnboardingKeys", {}],
  ["write", "UpdateOnboardingKey", (got) => ({ public_key: got("CreateOnboardingKey").created.public_key, name: "shelf", enabled: false })],
  ["write", "DeleteOnboardingKey", (got) => ({ public_key: got("CreateOnboardingKey").created.public_key })],
  ["read", "ListAlerts", { query: { resolved: false } }],
  ["read", "ListAlerts", {}],
  ["read", "GetAlert", (got) => ({ id: id(got("ListAlerts").alerts[0]) })],
  ["write", "CloseAlert", (got) => ({ id: id(got("ListAlerts").alerts[0]) })],
  ["read", "ListUpdates", { query: { "target.type": "Stack", success: true } }],
  ["read", "GetUpdate", (got) => ({ id: got("ListUpdates").updates[0].id })],
];

const people = [
  ["write", "CreateLocalUser", { username: "bob", password: "bobs own password" }],
  ["write", "CreateServiceUser", { username: "robot", description: "turns wheels" }],
  ["write", "UpdateServiceUserDescription", { username: "robot", description: "turns other wheels" }],
  ["read", "ListUsers", { service_users: "Include" }],
  ["read", "FindUser", { user: "bob" }],
  ["read", "GetUsername", (got) => ({ user_id: id(got("CreateLocalUser")) })],
  ["write", "CreateApiKeyForServiceUser", (got) => ({ user_id: id(got("CreateServiceUser")), name: "ci", expires: 0 })],
  ["read", "ListApiKeysForServiceUser", { user: "robot" }],
  ["write", "DeleteApiKeyForServiceUser", (got) => ({ key: got("CreateApiKeyForServiceUser").key })],
  ["read", "ListApiKeys", {}],
  ["write", "UpdateUserBasePermissions", (got) => ({ user_id: id(got("CreateLocalUser")), enabled: true, create_servers: true })],
  ["write", "UpdatePermissionOnTarget", (got) => ({ user_target: { type: "User", id: id(got("CreateLocalUser")) }, resource_target: target("Stack", "web"), permission: { level: "Execute", specific: ["Logs"] } })],
  ["write", "UpdatePermissionOnResourceType", (got) => ({ user_target: { type: "User", id: id(got("CreateLocalUser")) }, resource_type: "Server", permission: "Read" })],
  ["read", "ListPermissions", {}],
  ["read", "GetPermission", { target: target("Stack", "web") }],
  ["read", "ListUserTargetPermissions", (got) => ({ user_target: { type: "User", id: id(got("CreateLocalUser")) } })],
  ["write", "CreateUserGroup", { name: "crew" }],
  ["write", "AddUserToUserGroup", { user_group: "crew", user: "bob" }],
  ["write", "RemoveUserFromUserGroup", { user_group: "crew", user: "bob" }],
  ["write", "SetUsersInUserGroup", { user_group: "crew", users: ["bob"] }],
  ["write", "SetEveryoneUserGroup", { user_group: "crew", everyone: true }],
  ["write", "UpdatePermissionOnTarget", { user_target: { type: "UserGroup", id: "crew" }, resource_target: target("Stack", "web"), permission: "Read" }],
  ["read", "GetUserGroup", { user_group: "crew" }],
  ["read", "ListUserGroups", {}],
  ["write", "RenameUserGroup", (got) => ({ id: id(got("CreateUserGroup")), name: "team" })],
  ["write", "DeleteUserGroup", (got) => ({ id: id(got("CreateUserGroup")) })],
  ["write", "UpdateUserAdmin", (got) => ({ user_id: id(got("CreateLocalUser")), admin: true })],
  ["write", "PushRecentlyViewed", { resource: target("Stack", "web") }],
  ["write", "SetLastSeenUpdate", {}],
  ["write", "DeleteUser", { user: "bob" }],
];

// ending are what takes things away, or turns core's keys.
const ending = [
  ["execute", "DeleteImage", { ...server, name: "berth-e2e/spare:1" }],
  ["execute", "DeleteNetwork", { ...server, name: "judged" }],
  ["execute", "PruneContainers", server],
  ["execute", "PruneNetworks", server],
  ["execute", "PruneVolumes", server],
  ["execute", "PruneImages", server],
  ["execute", "PruneDockerBuilders", server],
  ["execute", "PruneBuildx", server],
  ["execute", "PruneSystem", server],
  ["execute", "DestroyDeployment", deployment],
  ["execute", "BatchDestroyDeployment", { pattern: "single" }],
  ["execute", "DestroyContainer", container],
  ["execute", "DestroyStack", stack],
  ["execute", "BatchDestroyStack", { pattern: "web" }],
  ["execute", "DeleteVolume", { ...server, name: "web_data" }],
  ["execute", "ClearRepoCache", {}],
  ["execute", "BackupCoreDatabase", {}],
  ["execute", "GlobalAutoUpdate", { skip_auto_update: true }],
  ["write", "RotateServerKeys", server],
  ["execute", "RotateAllServerKeys", {}],
  ["execute", "RotateCoreKeys", {}],
  ["write", "UpdateServerPublicKey", (got) => ({ server: "spare", public_key: got("GetPeripheryInformation").public_key }), [200, 409, 422]],
];

export const cases = [...doing, ...engines, ...settings, ...kinds.flatMap(ofKind), ...people, ...swarms, ...terminals, ...ending];

// aliases are the names of before 2.3.
export const aliases = [
  ["read", "GetDockerContainersSummary", {}],
  ["read", "ListAllDockerContainers", {}],
  ["read", "ListDockerContainers", server],
  ["read", "ListDockerNetworks", server],
  ["read", "ListDockerImages", server],
  ["read", "ListDockerVolumes", server],
  ["read", "ListDockerRegistriesFromConfig", {}],
  ["read", "ListDockerRegistryAccounts", {}],
];
