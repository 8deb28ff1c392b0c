package compose

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/docker/compose/v5/pkg/api"

	"berth/periphery/docker"
	"berth/schema"
)

// Action is one of compose's simple verbs.
type Action string

// The actions of Do.
const (
	Start   Action = "start"
	Stop    Action = "stop"
	Restart Action = "restart"
	Pause   Action = "pause"
	Unpause Action = "unpause"
	Kill    Action = "kill"
	Down    Action = "down"
)

// DoOptions narrow an action.
type DoOptions struct {
	Services      []string // empty is all
	StopTimeout   *int     // seconds; nil is each container's own
	RemoveOrphans bool     // of down
	Signal        string   // of kill; empty is SIGKILL
}

// Do does an action to a project that is on the engine; no files are needed. A
// project without containers is schema.NotFound, except for down, which has
// nothing to do then. Volumes stay. It returns the names of the containers that
// it was done to, and warnings.
func (d *Deployer) Do(ctx context.Context, project string, action Action, o DoOptions, emit Emit) (changed, warnings []string, err error) {
	before, err := d.engine.Containers(ctx, project)
	if err != nil {
		return nil, nil, err
	}
	if len(before) == 0 && action != Down {
		return nil, nil, schema.Errorf(schema.NotFound, "%s project %s: it has no containers on this server; deploy it first", action, project)
	}
	for _, name := range o.Services {
		if !slices.ContainsFunc(before, func(c schema.Container) bool { return c.Service == name }) && action != Down {
			return nil, nil, schema.Errorf(schema.NotFound, "%s project %s: service %q has no containers on this server", action, project, name)
		}
	}
	services := map[string]string{}
	for _, c := range before {
		services[c.Name] = c.Service
	}
	j := newJob(emit, func(name string) string { return services[name] })
	err = j.run(string(action), func() error {
		if action == Down {
			return d.down(ctx, j, project, o)
		}
		return d.do(ctx, j, project, action, o)
	})
	if err != nil {
		return nil, j.warnings, err
	}
	return sorted(j.changed), j.warnings, nil
}

func (d *Deployer) do(ctx context.Context, j *job, project string, action Action, o DoOptions) error {
	s, err := d.session(keeping{APIClient: d.engine.API()}, nil, j, never(func(string) {}))
	if err != nil {
		return err
	}
	var timeout *time.Duration
	if o.StopTimeout != nil {
		t := time.Duration(*o.StopTimeout) * time.Second
		timeout = &t
	}
	switch action {
	case Start:
		err = s.Start(ctx, project, api.StartOptions{AttachTo: o.Services})
	case Stop:
		err = s.Stop(ctx, project, api.StopOptions{Services: o.Services, Timeout: timeout})
	case Restart:
		err = s.Restart(ctx, project, api.RestartOptions{Services: o.Services, Timeout: timeout})
	case Pause:
		err = s.Pause(ctx, project, api.PauseOptions{Services: o.Services})
	case Unpause:
		err = s.UnPause(ctx, project, api.PauseOptions{Services: o.Services})
	case Kill:
		signal := o.Signal
		if signal == "" {
			signal = "SIGKILL"
		}
		err = s.Kill(ctx, project, api.KillOptions{Services: o.Services, Signal: signal})
	default:
		return schema.Errorf(schema.Invalid, "%s project %s: no such action", action, project)
	}
	if errors.Is(err, api.ErrNotFound) {
		return schema.Wrap(schema.NotFound, err, "%s project %s: %s", action, project, oneLine(err))
	}
	return d.explain(ctx, err, string(action)+" project "+project)
}

// down removes the project's containers and networks. A network that the engine
// does not let go of is a warning: nothing that runs depends on it.
func (d *Deployer) down(ctx context.Context, j *job, project string, o DoOptions) error {
	s, err := d.session(d.engine.API(), nil, j, never(func(string) {}))
	if err != nil {
		return err
	}
	options := api.DownOptions{Services: o.Services, RemoveOrphans: o.RemoveOrphans}
	if o.StopTimeout != nil {
		t := time.Duration(*o.StopTimeout) * time.Second
		options.Timeout = &t
	}
	err = s.Down(ctx, project, options)
	if err != nil && ctx.Err() == nil && strings.Contains(err.Error(), "has active endpoints") {
		j.warn("%s; the network is left behind", docker.Text(err))
		return nil
	}
	return d.explain(ctx, err, "take down project "+project)
}

// Service is what a project's service looks like on the engine.
type Service struct {
	Name       string
	Image      string
	State      string // running when all containers are; otherwise the first other state
	Health     string // unhealthy, starting, healthy: the worst of all containers
	Containers []schema.Container
}

// State lists the services of a project that have containers, sorted by name.
func (d *Deployer) State(ctx context.Context, project string) ([]Service, error) {
	list, err := d.engine.Containers(ctx, project)
	if err != nil {
		return nil, err
	}
	byName := map[string]*Service{}
	for _, c := range list {
		s := byName[c.Service]
		if s == nil {
			s = &Service{Name: c.Service, Image: c.Image, State: c.State}
			byName[c.Service] = s
		}
		if s.State == "running" {
			s.State = c.State
		}
		if rank(c.Health) > rank(s.Health) {
			s.Health = c.Health
		}
		s.Containers = append(s.Containers, c)
	}
	out := make([]Service, 0, len(byName))
	for _, name := range sorted(byName) {
		out = append(out, *byName[name])
	}
	return out, nil
}

func rank(health string) int {
	return slices.Index([]string{"", "healthy", "starting", "unhealthy"}, health)
}
