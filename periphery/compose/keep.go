package compose

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"berth/periphery/docker"
	"berth/schema"
)

// suffixKept is what the name of a container ends with that was replaced and is
// kept until its successor has proven itself.
const suffixKept = ".berth-old"

// backGrace is how many seconds a new container gets to end before the one that it
// replaced comes back.
const backGrace = 10

// Keep has Up keep the containers of these ids, stopped and under another name,
// where it replaces them: Restore brings them back, Discard removes them. The
// project is not taken down first.
func (p *Plan) Keep(ids ...string) {
	p.keep = ids
	p.spec.DestroyBefore = false
}

// Touches reports whether Up may replace or remove containers of a service.
func (p *Plan) Touches(service string) (replace, remove bool) {
	_, replace = p.project.Services[service]
	return replace, p.flags.removeOrphans && !p.known[service]
}

// keeping is an engine's API with which nobody removes some containers: they are
// renamed, and not seen any more.
type keeping struct {
	client.APIClient
	ids []string
}

// ContainerRemove is part of client.APIClient.
func (k keeping) ContainerRemove(ctx context.Context, id string, o client.ContainerRemoveOptions) (client.ContainerRemoveResult, error) {
	if !slices.Contains(k.ids, id) {
		return k.APIClient.ContainerRemove(ctx, id, o)
	}
	c, err := k.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return client.ContainerRemoveResult{}, err
	}
	_, err = k.ContainerRename(ctx, id, client.ContainerRenameOptions{NewName: strings.TrimPrefix(c.Container.Name, "/") + suffixKept})
	return client.ContainerRemoveResult{}, err
}

// ContainerList is part of client.APIClient.
func (k keeping) ContainerList(ctx context.Context, o client.ContainerListOptions) (client.ContainerListResult, error) {
	res, err := k.APIClient.ContainerList(ctx, o)
	res.Items = slices.DeleteFunc(res.Items, kept)
	return res, err
}

// kept tells a container that waits for its successor to prove itself.
func kept(c container.Summary) bool { return strings.HasSuffix(docker.Container(c).Name, suffixKept) }

// Replaced lists those of the containers that Up has replaced and kept.
func (d *Deployer) Replaced(ctx context.Context, ids []string) ([]string, error) {
	var out []string
	for _, id := range ids {
		c, err := d.engine.Inspect(ctx, id)
		if err != nil {
			return nil, err
		}
		if strings.HasSuffix(c.Name, suffixKept) {
			out = append(out, id)
		}
	}
	return out, nil
}

// Successor finds the container that took the place of one that was replaced;
// schema.NotFound if there is none.
func (d *Deployer) Successor(ctx context.Context, id string) (docker.Detail, error) {
	c, err := d.engine.Inspect(ctx, id)
	if err != nil {
		return c, err
	}
	list, err := d.others(ctx, c)
	if err != nil {
		return c, err
	}
	if len(list) == 0 {
		return c, schema.Errorf(schema.NotFound, "container %s has no successor", base(c.Name))
	}
	return d.engine.Inspect(ctx, list[0].ID)
}

// others lists the containers that stand for the same one of the project's.
func (d *Deployer) others(ctx context.Context, c docker.Detail) ([]container.Summary, error) {
	list, err := d.containers(ctx, c.Labels[docker.LabelProject])
	return slices.DeleteFunc(list, func(o container.Summary) bool {
		return o.ID == c.ID || o.Labels[docker.LabelService] != c.Labels[docker.LabelService] ||
			o.Labels[api.ContainerNumberLabel] != c.Labels[api.ContainerNumberLabel]
	}), err
}

// Restore brings containers back that were running before Up: their successors are
// removed. It says what it did; nothing when Up had not come so far.
func (d *Deployer) Restore(ctx context.Context, ids []string) (said []string, err error) {
	for _, id := range ids {
		note, err := d.restore(ctx, id)
		if err != nil {
			return said, err
		}
		if note != "" {
			said = append(said, note)
		}
	}
	return said, nil
}

func (d *Deployer) restore(ctx context.Context, id string) (string, error) {
	c, err := d.engine.Inspect(ctx, id)
	if err != nil {
		return "", err
	}
	list, err := d.others(ctx, c)
	if err != nil {
		return "", err
	}
	grace := backGrace
	for _, o := range list {
		name := docker.Container(o).Name
		if _, err := d.engine.API().ContainerStop(ctx, o.ID, client.ContainerStopOptions{Timeout: &grace}); err != nil {
			return "", d.explain(ctx, err, "stop new container "+name)
		}
		if _, err := d.engine.API().ContainerRemove(ctx, o.ID, client.ContainerRemoveOptions{Force: true}); err != nil {
			return "", d.explain(ctx, err, "remove new container "+name)
		}
	}
	name := base(c.Name)
	if c.Name != name {
		if _, err := d.engine.API().ContainerRename(ctx, id, client.ContainerRenameOptions{NewName: name}); err != nil {
			return "", d.explain(ctx, err, "rename container "+c.Name)
		}
	}
	if c.State == "running" {
		return "", nil
	}
	if _, err := d.engine.API().ContainerStart(ctx, id, client.ContainerStartOptions{}); err != nil {
		return "", d.explain(ctx, err, "start container "+name)
	}
	return fmt.Sprintf("%s runs again", name), nil
}

// Discard removes containers that were kept; those that were not replaced stay.
func (d *Deployer) Discard(ctx context.Context, ids []string) error {
	replaced, err := d.Replaced(ctx, ids)
	if err != nil {
		return err
	}
	for _, id := range replaced {
		if _, err := d.engine.API().ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true}); err != nil {
			return d.explain(ctx, err, "remove the container before")
		}
	}
	return nil
}

// Settle puts right what is still kept in a project because whoever did it was
// killed: where the successor runs, the one before is removed, else it comes back.
// mine is the container in which the caller runs: it comes back in any case. Those
// in except are left as they are.
func (d *Deployer) Settle(ctx context.Context, project, mine string, except ...string) (said []string, err error) {
	list, err := d.everyContainer(ctx, project)
	if err != nil {
		return nil, err
	}
	for _, c := range list {
		if !kept(c) || slices.Contains(except, c.ID) {
			continue
		}
		next, err := d.Successor(ctx, c.ID)
		switch {
		case schema.CodeOf(err) == schema.NotFound:
		case err != nil:
			return said, err
		case next.State == "running" && c.ID != mine:
			if _, err := d.engine.API().ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true}); err != nil {
				return said, d.explain(ctx, err, "remove the container before")
			}
			said = append(said, fmt.Sprintf("the one before %s was removed", next.Name))
			continue
		}
		if _, err := d.restore(ctx, c.ID); err != nil {
			return said, err
		}
		said = append(said, base(docker.Container(c).Name)+" is the one before again")
	}
	return said, nil
}

// settled lists the containers of a plan's project, after Settle where that is
// needed.
func (d *Deployer) settled(ctx context.Context, p *Plan, j *job) ([]container.Summary, error) {
	list, err := d.everyContainer(ctx, p.project.Name)
	if err != nil || !slices.ContainsFunc(list, func(c container.Summary) bool { return kept(c) && !slices.Contains(p.keep, c.ID) }) {
		return slices.DeleteFunc(list, kept), err
	}
	said, err := d.Settle(ctx, p.project.Name, "", p.keep...)
	if err != nil {
		return nil, err
	}
	for _, text := range said {
		j.warn("an earlier deploy was interrupted: %s", text)
	}
	return d.containers(ctx, p.project.Name)
}

func base(name string) string { return strings.TrimSuffix(name, suffixKept) }
