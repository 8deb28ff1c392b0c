package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/moby/moby/client"

	"berth/schema"
)

// What inspections tell is read from the engine's own words into schema's types,
// which have its names: they say what is a list and what may be null.

// InspectContainer looks at one container, by id or name, in all detail.
func (c *Client) InspectContainer(ctx context.Context, name string) (schema.ContainerDetail, error) {
	res, err := c.api.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
	return readAs[schema.ContainerDetail](res.Raw, c.Explain(err, "inspect container "+name))
}

// InspectNetwork looks at one network, by id or name.
func (c *Client) InspectNetwork(ctx context.Context, name string) (schema.NetworkDetail, error) {
	res, err := c.api.NetworkInspect(ctx, name, client.NetworkInspectOptions{})
	return readAs[schema.NetworkDetail](res.Raw, c.Explain(err, "inspect network "+name))
}

// InspectVolume looks at one volume.
func (c *Client) InspectVolume(ctx context.Context, name string) (schema.VolumeDetail, error) {
	res, err := c.api.VolumeInspect(ctx, name, client.VolumeInspectOptions{})
	return readAs[schema.VolumeDetail](res.Raw, c.Explain(err, "inspect volume "+name))
}

// InspectImage looks at one image, by id or name.
func (c *Client) InspectImage(ctx context.Context, name string) (schema.ImageDetail, error) {
	var raw bytes.Buffer
	_, err := c.api.ImageInspect(ctx, name, client.ImageInspectWithRawResponse(&raw))
	return readAs[schema.ImageDetail](raw.Bytes(), c.Explain(err, "inspect image "+name))
}

// ImageHistory lists the layers of an image, newest first.
func (c *Client) ImageHistory(ctx context.Context, name string) ([]schema.ImageLayer, error) {
	res, err := c.api.ImageHistory(ctx, name)
	if err != nil {
		return nil, c.Explain(err, "list the layers of image "+name)
	}
	out := make([]schema.ImageLayer, len(res.Items))
	for i, l := range res.Items {
		out[i] = schema.ImageLayer{ID: l.ID, Created: l.Created, CreatedBy: l.CreatedBy, Tags: l.Tags, Size: l.Size, Comment: l.Comment}
	}
	return out, nil
}

func readAs[T any](raw []byte, err error) (T, error) {
	var out T
	if err != nil {
		return out, err
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		return out, schema.Wrap(schema.Failed, err, "the engine's answer cannot be read: %v", err)
	}
	return out, nil
}

// CreateNetwork makes a network with the engine's defaults. The engine itself would
// make a second one of the same name.
func (c *Client) CreateNetwork(ctx context.Context, name string) error {
	if strings.TrimSpace(name) == "" {
		return schema.Errorf(schema.Invalid, "create network: name it")
	}
	_, err := c.api.NetworkCreate(ctx, name, client.NetworkCreateOptions{Driver: "bridge"})
	if err != nil && Says(err.Error(), "already exists") {
		return schema.Wrap(schema.Conflict, err, "there is a network %q already", name)
	}
	return c.Explain(err, "create network "+name)
}

// RenameContainer gives a container another name; NotFound when there is none.
func (c *Client) RenameContainer(ctx context.Context, from, to string) error {
	_, err := c.api.ContainerRename(ctx, from, client.ContainerRenameOptions{NewName: to})
	if err != nil && Says(err.Error(), "already in use") {
		return schema.Wrap(schema.Conflict, err, "there is a container %q already", to)
	}
	return c.Explain(err, "rename container "+from)
}

// labelFiles are the compose files that a container was made from.
const labelFiles = "com.docker.compose.project.config_files"

// Projects lists the compose projects that have containers, by name, with how many
// of those are in which state.
func (c *Client) Projects(ctx context.Context) (schema.List[schema.ComposeProject], error) {
	res, err := c.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("label", LabelProject)})
	if err != nil {
		return nil, c.Explain(err, "list containers")
	}
	type project struct {
		states map[string]int
		files  []string
	}
	found := map[string]*project{}
	for _, item := range res.Items {
		name := item.Labels[LabelProject]
		if strings.EqualFold(item.Labels[labelOneOff], "true") {
			continue
		}
		p := found[name]
		if p == nil {
			p = &project{states: map[string]int{}}
			found[name] = p
		}
		p.states[string(item.State)]++
		for f := range strings.SplitSeq(item.Labels[labelFiles], ",") {
			if f != "" && !slices.Contains(p.files, f) {
				p.files = append(p.files, f)
			}
		}
	}
	out := schema.List[schema.ComposeProject]{}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		p := found[name]
		var words []string
		for _, state := range slices.Sorted(maps.Keys(p.states)) {
			words = append(words, fmt.Sprintf("%s(%d)", state, p.states[state]))
		}
		status := strings.Join(words, ", ")
		out = append(out, schema.ComposeProject{Name: name, Status: &status, Files: p.files})
	}
	return out, nil
}
