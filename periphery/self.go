package periphery

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"

	"berth/schema"
)

// mountedID finds the id of the container in whose file system a mount table is: the
// engine mounts the container's own files over /etc/hostname and its like.
var mountedID = regexp.MustCompile(`/containers/([0-9a-f]{64})/\S+ /etc/(?:hostname|hosts|resolv\.conf) `) //nolint:gochecknoglobals // a constant

// ownContainer returns the id of the container this process runs in, "" for none.
func ownContainer(mountinfo string) string {
	if m := mountedID.FindStringSubmatch(mountinfo); m != nil {
		return m[1]
	}
	return ""
}

// notItself refuses work on a project's services that would end this very agent
// half way.
func (a *Agent) notItself(ctx context.Context, stack, project string, services []string) error {
	table, err := os.ReadFile("/proc/self/mountinfo")
	own := ownContainer(string(table))
	if err != nil || own == "" {
		return nil //nolint:nilerr // no such table: not in a container
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
