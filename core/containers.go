package core

import "context"

// DeploymentContainers names the containers of the deployments that are set to a
// server or were deployed to it last.
func (c *core) DeploymentContainers(_ context.Context, server string) ([]string, error) {
	list, err := c.kinds.deployments.All()
	var out []string
	for _, d := range list {
		if d.Config.ServerID == server {
			out = append(out, d.Config.Container(d.Name))
		}
		if last, err := c.deployed.Get(d.ID); err == nil && last.Value.Server == server {
			out = append(out, last.Value.Project)
		}
	}
	return out, err
}
