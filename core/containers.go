package core

import (
	"cmp"
	"context"
)

// DeploymentContainers names the containers of the deployments that are set to a
// server.
func (c *core) DeploymentContainers(_ context.Context, server string) ([]string, error) {
	list, err := c.kinds.deployments.All()
	var out []string
	for _, d := range list {
		if d.Config.ServerID == server {
			out = append(out, cmp.Or(d.Config.CustomName, d.Name))
		}
	}
	return out, err
}
