// Package execution holds what can be done: one function per action, one file per
// kind of resource. An action is plain Go over run.Plan, run.Do and Run.Child;
// core/actions.go lists them.
//
// The functions keep no state of their own and may run any number at once; what
// must not overlap is kept apart by the runs' queues and the agents' leases.
package execution

import (
	"context"
	"sync"

	"berth/core/script"
	"berth/schema"
)

// Stacks finds stacks and keeps what their last deploy left behind.
type Stacks interface {
	Stack(ctx context.Context, id string) (schema.Resource[schema.StackConfig], error)
	AllStacks(ctx context.Context) ([]schema.Resource[schema.StackConfig], error)
	Deployed(ctx context.Context, stack string) (*schema.Deployed, error)     // nil when never deployed
	SaveDeployed(ctx context.Context, stack string, d *schema.Deployed) error // nil forgets
}

// Resources finds the other kinds.
type Resources interface {
	Server(ctx context.Context, id string) (schema.Resource[schema.ServerConfig], error)
	Procedure(ctx context.Context, id string) (schema.Resource[schema.ProcedureConfig], error)
	AllProcedures(ctx context.Context) ([]schema.Resource[schema.ProcedureConfig], error)
	Alerter(ctx context.Context, id string) (schema.Resource[schema.AlerterConfig], error)
	AllAlerters(ctx context.Context) ([]schema.Resource[schema.AlerterConfig], error)
}

// Repos finds repositories and keeps what is known of their clones.
type Repos interface {
	Repo(ctx context.Context, id string) (schema.Resource[schema.RepoConfig], error)
	AllRepos(ctx context.Context) ([]schema.Resource[schema.RepoConfig], error)
	SaveRepo(ctx context.Context, repo string, s schema.RepoState) error
}

// Deps is what the actions need.
type Deps struct {
	placing sync.Mutex // held while a builder's server is chosen

	Maintenance Maintenance

	Stacks    Stacks
	Singles   Singles
	Resources Resources
	Repos     Repos
	Builds    Builds
	Fleet     BuildFleet
	Alerts    Alerts
	Updates   Updates
	Scripts   Scripts
	Runner    *script.Runner
	Syncs     Syncs
	Hosts     Hosts
}

// server returns the server that work on a resource goes to, refusing none and
// disabled ones with a word on what to do.
func (d *Deps) server(ctx context.Context, kind, name, id string) (schema.Target, error) {
	if id == "" {
		return schema.Target{}, schema.Errorf(schema.Invalid, "%s %q has no server: set `server`", kind, name)
	}
	s, err := d.Resources.Server(ctx, id)
	if err != nil {
		return schema.Target{}, schema.Wrap(schema.CodeOf(err), err, "server of %s %q", kind, name)
	}
	if !s.Config.Enabled {
		return schema.Target{}, schema.Errorf(schema.Conflict, "server %q is disabled: set `enabled = true`", s.Name)
	}
	return s.Target("server"), nil
}
