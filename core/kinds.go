package core

import (
	"berth/core/resource"
	"berth/schema"
)

// kinds are the typed stores of all kinds of resources.
type kinds struct {
	variables  *resource.Kind[schema.VariableConfig]
	servers    *resource.Kind[schema.ServerConfig]
	repos      *resource.Kind[schema.RepoConfig]
	stacks     *resource.Kind[schema.StackConfig]
	procedures *resource.Kind[schema.ProcedureConfig]
}

// register lists the kinds, what is referred to before what refers to it. A new
// kind is its file in schema and a line here.
func register(g *resource.Registry) kinds {
	return kinds{
		variables:  resource.Register(g, "variable", schema.DefaultVariable, resource.Named(schema.VariableName), resource.Flat()),
		servers:    resource.Register(g, "server", schema.DefaultServer),
		repos:      resource.Register(g, "repo", schema.DefaultRepo, resource.Named(schema.RepoName)),
		stacks:     resource.Register(g, "stack", schema.DefaultStack, resource.Named(schema.StackName)),
		procedures: resource.Register(g, "procedure", schema.DefaultProcedure),
	}
}
