package core

import (
	"berth/core/resource"
	"berth/core/script"
	"berth/schema"
)

// kinds are the typed stores of all kinds of resources.
type kinds struct {
	variables   *resource.Kind[schema.VariableConfig]
	groups      *resource.Kind[schema.UserGroupConfig]
	servers     *resource.Kind[schema.ServerConfig]
	swarms      *resource.Kind[schema.SwarmConfig]
	builders    *resource.Kind[schema.BuilderConfig]
	repos       *resource.Kind[schema.RepoConfig]
	builds      *resource.Kind[schema.BuildConfig]
	stacks      *resource.Kind[schema.StackConfig]
	deployments *resource.Kind[schema.DeploymentConfig]
	actions     *resource.Kind[schema.ActionConfig]
	syncs       *resource.Kind[schema.SyncConfig]
	alerters    *resource.Kind[schema.AlerterConfig]
	procedures  *resource.Kind[schema.ProcedureConfig]
}

// register lists the kinds, what is referred to before what refers to it. A new
// kind is its file in schema and a line here.
func register(g *resource.Registry) kinds {
	return kinds{
		variables:   resource.Register(g, "variable", schema.DefaultVariable, resource.Named(schema.VariableName), resource.Flat()),
		groups:      resource.Register(g, "user_group", schema.DefaultUserGroup, resource.Flat()),
		servers:     resource.Register(g, "server", schema.DefaultServer),
		swarms:      resource.Register(g, "swarm", schema.DefaultSwarm),
		builders:    resource.Register(g, "builder", schema.DefaultBuilder),
		repos:       resource.Register(g, "repo", schema.DefaultRepo, resource.Named(schema.RepoName)),
		builds:      resource.Register(g, "build", schema.DefaultBuild, resource.Named(schema.StackName)),
		stacks:      resource.Register(g, "stack", schema.DefaultStack, resource.Named(schema.StackName)),
		deployments: resource.Register(g, "deployment", schema.DefaultDeployment, resource.Named(schema.DeploymentName)),
		actions:     resource.Register(g, "action", schema.DefaultAction, resource.Starting(map[string]string{"file_contents": script.Starter})),
		syncs:       resource.Register(g, "resource_sync", schema.DefaultSync),
		alerters:    resource.Register(g, "alerter", schema.DefaultAlerter),
		procedures:  resource.Register(g, "procedure", schema.DefaultProcedure),
	}
}
