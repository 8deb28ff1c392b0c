package periphery

import (
	"context"
	"os"
	"slices"
	"strings"

	"berth/periphery/compose"
	"berth/schema"
)

// self returns the id of the container this agent runs in, "" for none.
func self() string {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil { // no such table: not in a container
		return ""
	}
	return schema.OwnContainer(string(table))
}

// notItself refuses work on a project's services that would end this very agent
// half way.
func (a *Agent) notItself(ctx context.Context, stack, project string, services []string) error {
	own := self()
	if own == "" {
		return nil
	}
	list, err := a.engine.Containers(ctx, project)
	if err != nil {
		return err
	}
	for _, c := range list {
		if strings.HasPrefix(own, c.ID) && (len(services) == 0 || slices.Contains(services, c.Service)) {
			return schema.Errorf(schema.Conflict, "stack %q contains the container this agent runs in (service %q): this would end the work half way, and nobody could bring it back. "+
				"Name the other services, deploy the stack instead, or do it by hand on the server", stack, c.Service)
		}
	}
	return nil
}

// guard names the containers that Berth itself runs in and that a deploy may
// replace: ids, empty for none. `berth up` has agent and core in one.
type guard struct {
	Agent string `json:"agent,omitempty"`
	Core  string `json:"core,omitempty"`
}

func (g guard) ids() []string {
	ids := slices.DeleteFunc([]string{g.Agent, g.Core}, func(id string) bool { return id == "" })
	return slices.Compact(ids)
}

// guarded finds out which containers of Berth's own the plan may replace. What
// would remove them for good is refused.
func (d *deployment) guarded(ctx context.Context, plan *compose.Plan) (guard, error) {
	var g guard
	own := self()
	if own == "" && d.req.Core == "" {
		return g, nil
	}
	if err := d.notMoved(ctx, own, plan); err != nil {
		return g, err
	}
	list, err := d.a.engine.Containers(ctx, plan.Project())
	if err != nil {
		return g, err
	}
	for _, c := range list {
		if c.ID != own && c.ID != d.req.Core {
			continue
		}
		replace, remove := plan.Touches(c.Service)
		switch {
		case remove:
			return g, schema.Errorf(schema.Conflict, "stack %q has no service %q any more, and --remove-orphans would remove container %s, which Berth itself runs in: "+
				"put the service back, or leave --remove-orphans out", d.req.Name, c.Service, c.Name)
		case !replace:
			continue
		}
		if c.ID == own {
			g.Agent = own
		}
		if c.ID == d.req.Core {
			g.Core = c.ID
		}
	}
	return g, nil
}

// notMoved refuses to take down a project that Berth itself runs in, because the
// stack's project has another name now.
func (d *deployment) notMoved(ctx context.Context, own string, plan *compose.Plan) error {
	was := d.spec.DeployedProject
	if was == "" {
		return nil
	}
	list, err := d.a.engine.Containers(ctx, was)
	if err != nil {
		return err
	}
	for _, c := range list {
		if c.ID == own || c.ID == d.req.Core {
			return schema.Errorf(schema.Conflict, "stack %q runs as project %q and would be taken down to become %q, but container %s of it is one that Berth itself runs in: "+
				"set project_name = %q, or rename the project by hand on the server", d.req.Name, was, plan.Project(), c.Name, was)
		}
	}
	return nil
}
