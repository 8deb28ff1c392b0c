package single

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/client"

	"berth/periphery/docker"
	"berth/schema"
)

// The labels of a deployment's container.
const (
	LabelDeployment = "berth.deployment" // id of the deployment
	LabelInputs     = "berth.inputs"     // keyed digest of what fed it
	// LabelBefore is the id of the container that it took the place of, LabelBeforeRan
	// says that this one was running.
	LabelBefore    = "berth.before"
	LabelBeforeRan = "berth.before-ran"
)

// What a container's name ends with while another one takes its place: the new one
// until it is well, then the old one until it is removed.
const (
	suffixNew = ".berth-new"
	suffixOld = ".berth-old"
)

// Engine puts containers in the places of others on one Docker engine.
type Engine struct {
	docker *docker.Client
	// Settle is for how long a container without a health check must stay up.
	Settle time.Duration
}

// New returns an Engine over a client, which it does not close.
func New(c *docker.Client) *Engine { return &Engine{docker: c, Settle: defaultSettle} }

// Container is a container with what a deploy wants to know of it.
type Container struct {
	docker.Detail
	ImageID string // sha256:...
}

// Runs reports whether there is a process in it.
func (c *Container) Runs() bool {
	return slices.Contains([]string{"running", "paused", "restarting"}, c.State)
}

// Deployment is the id of the deployment it belongs to, "" for none.
func (c *Container) Deployment() string { return c.Labels[LabelDeployment] }

// Named returns the container of that name or id; nil for none.
func (e *Engine) Named(ctx context.Context, name string) (*Container, error) {
	if name == "" {
		return nil, nil //nolint:nilnil // there is none
	}
	d, err := e.docker.Inspect(ctx, name)
	if schema.CodeOf(err) == schema.NotFound {
		return nil, nil //nolint:nilnil // there is none
	}
	if err != nil {
		return nil, err
	}
	res, err := e.docker.API().ContainerInspect(ctx, d.ID, client.ContainerInspectOptions{})
	if err != nil {
		return nil, e.docker.Explain(err, "inspect container "+d.Name)
	}
	if d.Name != name && d.ID != name { // an id's beginning is no name
		return nil, nil //nolint:nilnil // there is none
	}
	return &Container{Detail: d, ImageID: res.Container.Image}, nil
}

// Find returns the container of a deployment; nil for none. Call Recover before.
func (e *Engine) Find(ctx context.Context, deployment string) (*Container, error) {
	list, err := e.all(ctx, deployment)
	for _, c := range list {
		if !strings.HasSuffix(c.Name, suffixNew) && !strings.HasSuffix(c.Name, suffixOld) {
			return c, err
		}
	}
	return nil, err
}

// all lists the containers of a deployment, the newest first.
func (e *Engine) all(ctx context.Context, deployment string) ([]*Container, error) {
	res, err := e.docker.API().ContainerList(ctx, client.ContainerListOptions{
		All: true, Filters: client.Filters{}.Add("label", LabelDeployment+"="+deployment),
	})
	if err != nil {
		return nil, e.docker.Explain(err, "list the containers of the deployment")
	}
	var out []*Container
	for _, item := range res.Items {
		c, err := e.Named(ctx, item.ID)
		if err != nil {
			return nil, err
		}
		if c != nil {
			out = append(out, c)
		}
	}
	return out, nil
}

func (e *Engine) rename(ctx context.Context, c *Container, name string) error {
	_, err := e.docker.API().ContainerRename(ctx, c.ID, client.ContainerRenameOptions{NewName: name})
	return e.docker.Explain(err, "rename container "+c.Name+" to "+name)
}

// remove removes a container, and ends it where it runs. Volumes stay; one that is
// gone already is no error.
func (e *Engine) remove(ctx context.Context, c *Container) error {
	_, err := e.docker.API().ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true})
	if err = e.docker.Explain(err, "remove container "+c.Name); schema.CodeOf(err) == schema.NotFound {
		return nil
	}
	return err
}

func (e *Engine) start(ctx context.Context, c *Container) error {
	return e.docker.Act(ctx, c.ID, schema.ContainerStart, docker.StopOptions{})
}
