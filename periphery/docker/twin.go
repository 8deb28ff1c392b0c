package docker

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"

	"berth/schema"
)

// Twin is a container that is to do something for another one.
type Twin struct {
	Of     string // id of that one: image, volumes, environment and rights are the same
	Name   string
	Path   string   // of the program in it
	Args   []string //
	Labels map[string]string
	Folder string // must be on a volume of the other one
	Online bool   // it needs a network
}

// twinRetries is how often it is started again when it ends badly, without anybody
// who talks to it.
const twinRetries = 3

// Twin creates and starts a container; it waits for what give tells it on standard
// input, which is kept nowhere. Conflict says that the folder is on no volume.
func (c *Client) Twin(ctx context.Context, t Twin) (id string, give func(data []byte) error, err error) {
	res, err := c.api.ContainerInspect(ctx, t.Of, client.ContainerInspectOptions{})
	if err != nil {
		return "", nil, c.Explain(err, "inspect container "+t.Of)
	}
	own := res.Container
	if !onVolume(own.Mounts, t.Folder) {
		return "", nil, schema.Errorf(schema.Conflict, "%s is on no volume of container %s: replacing it would lose all that is in there. "+
			"Mount a folder or volume there, by hand, first", t.Folder, strings.TrimPrefix(own.Name, "/"))
	}
	made, err := c.api.ContainerCreate(ctx, client.ContainerCreateOptions{
		Name: t.Name,
		Config: &container.Config{
			Image: own.Image, Env: own.Config.Env, User: own.Config.User, WorkingDir: own.Config.WorkingDir, Labels: t.Labels,
			Entrypoint: []string{t.Path}, Cmd: t.Args, Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
			AttachStdin: true, OpenStdin: true, StdinOnce: true,
		},
		HostConfig: c.twinHost(t, own.HostConfig),
	})
	if err != nil {
		return "", nil, c.Explain(err, "create container "+t.Name)
	}
	stream, err := c.api.ContainerAttach(ctx, made.ID, client.ContainerAttachOptions{Stream: true, Stdin: true})
	if err == nil {
		if _, err = c.api.ContainerStart(ctx, made.ID, client.ContainerStartOptions{}); err != nil {
			stream.Close()
		}
	}
	if err != nil {
		_ = c.Discard(ctx, made.ID)
		return "", nil, c.Explain(err, "start container "+t.Name)
	}
	return made.ID, func(data []byte) error {
		defer stream.Close()
		if _, err := stream.Conn.Write(data); err != nil {
			return c.Explain(err, "talk to container "+t.Name)
		}
		return c.Explain(stream.CloseWrite(), "talk to container "+t.Name)
	}, nil
}

// twinHost is what the container may do: as much as the other one.
func (c *Client) twinHost(t Twin, own *container.HostConfig) *container.HostConfig {
	h := &container.HostConfig{
		VolumesFrom: []string{t.Of}, Tmpfs: own.Tmpfs, NetworkMode: own.NetworkMode,
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyOnFailure, MaximumRetryCount: twinRetries},
		Privileged:    own.Privileged, CapAdd: own.CapAdd, CapDrop: own.CapDrop, GroupAdd: own.GroupAdd, SecurityOpt: own.SecurityOpt,
		UsernsMode: own.UsernsMode, ExtraHosts: own.ExtraHosts, DNS: own.DNS, Runtime: own.Runtime,
	}
	if strings.HasPrefix(c.host, "unix:") && !t.Online {
		h.NetworkMode, h.ExtraHosts, h.DNS = "none", nil, nil
	}
	return h
}

func onVolume(mounts []container.MountPoint, folder string) bool {
	return slices.ContainsFunc(mounts, func(m container.MountPoint) bool {
		rel, err := filepath.Rel(m.Destination, folder)
		return err == nil && rel != ".." && !strings.HasPrefix(rel, "../") && m.RW && m.Type != mount.TypeTmpfs
	})
}

// Discard removes a container, running or not; one that is gone is no error.
func (c *Client) Discard(ctx context.Context, id string) error {
	_, err := c.api.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true})
	if err = c.Explain(err, "remove container "+id); schema.CodeOf(err) == schema.NotFound {
		return nil
	}
	return err
}

// Labelled lists containers with a label of that value, or any where it is empty:
// what else they are labelled with, by id.
func (c *Client) Labelled(ctx context.Context, label, value string) (map[string]map[string]string, error) {
	want := label
	if value != "" {
		want += "=" + value
	}
	res, err := c.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("label", want)})
	if err != nil {
		return nil, c.Explain(err, "list containers")
	}
	out := map[string]map[string]string{}
	for _, item := range res.Items {
		out[item.ID] = item.Labels
	}
	return out, nil
}
