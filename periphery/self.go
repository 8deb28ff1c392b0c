package periphery

import (
	"context"
	"os"
	"slices"
	"strings"

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
			return schema.Errorf(schema.Conflict, "stack %q contains the container this agent runs in (service %q): this would end the work half way. "+
				"Name the other services, or run `docker compose up -d %s` on the server; an agent that runs as a service of the host has no such limit", stack, c.Service, c.Service)
		}
	}
	return nil
}
