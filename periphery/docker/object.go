package docker

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/volume"
	"github.com/moby/moby/client"

	"berth/schema"
)

// The labels that keep a thing out of whatever is done to many at once: they count
// by being there. The second is Komodo's.
const (
	LabelSkip       = "berth.skip"
	LabelSkipKomodo = "komodo.skip"
)

// Skipped returns the label that keeps a thing out of batches, "" for none.
func Skipped(labels map[string]string) string {
	for _, name := range []string{LabelSkip, LabelSkipKomodo} {
		if _, ok := labels[name]; ok {
			return name
		}
	}
	return ""
}

// Object is a container, network, image or volume with what decides whether
// a batch may change it.
type Object struct {
	Kind   string // schema.EngineContainers, ...
	ID     string // what the engine knows it by; of a volume its name
	Name   string
	Labels map[string]string
	Size   int64 // bytes on disk of its own; -1 when that is not known
	// Container is set for containers, Tags for images: all its names, with digests
	// where it has no others.
	Container schema.Container
	Tags      []string
	// Uses are names of networks and volumes that a container uses.
	Uses []string
	// Builtin says of a network that it is the engine's own.
	Builtin bool
}

// ContainerObjects lists containers with labels, uses and, where sized, the size of what
// they wrote, which takes the engine a while.
func (c *Client) ContainerObjects(ctx context.Context, sized bool) ([]Object, error) {
	res, err := c.api.ContainerList(ctx, client.ContainerListOptions{All: true, Size: sized})
	if err != nil {
		return nil, c.Explain(err, "list containers")
	}
	out := make([]Object, 0, len(res.Items))
	for _, item := range res.Items {
		o := Object{Kind: schema.EngineContainers, ID: item.ID, Labels: item.Labels, Size: item.SizeRw, Container: Container(item)}
		o.Name, o.Uses = o.Container.Name, slices.Concat(o.Container.Networks, []string{item.HostConfig.NetworkMode})
		for _, m := range item.Mounts {
			if m.Name != "" {
				o.Uses = append(o.Uses, m.Name)
			}
		}
		out = append(out, o)
	}
	return byName(out), nil
}

// NetworkObjects lists the networks of the engine.
func (c *Client) NetworkObjects(ctx context.Context) ([]Object, error) {
	res, err := c.api.NetworkList(ctx, client.NetworkListOptions{})
	if err != nil {
		return nil, c.Explain(err, "list networks")
	}
	out := make([]Object, 0, len(res.Items))
	for _, n := range res.Items {
		builtin := slices.Contains([]string{"bridge", "host", "none", "ingress", "docker_gwbridge"}, n.Name)
		out = append(out, Object{Kind: schema.EngineNetworks, ID: n.ID, Name: n.Name, Labels: n.Labels, Builtin: builtin})
	}
	return byName(out), nil
}

// VolumeObjects lists the volumes of the engine.
func (c *Client) VolumeObjects(ctx context.Context) ([]Object, error) {
	res, err := c.api.VolumeList(ctx, client.VolumeListOptions{})
	if err != nil {
		return nil, c.Explain(err, "list volumes")
	}
	out := make([]Object, 0, len(res.Items))
	for _, v := range res.Items {
		out = append(out, Object{Kind: schema.EngineVolumes, ID: v.Name, Name: v.Name, Labels: v.Labels, Size: -1})
	}
	return byName(out), nil
}

// VolumeSizes measures volumes, as far as the engine can within the time: it reads
// all their files for it.
func (c *Client) VolumeSizes(ctx context.Context, limit time.Duration) map[string]int64 {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out := map[string]int64{}
	res, err := c.api.DiskUsage(ctx, client.DiskUsageOptions{Volumes: true, Verbose: true})
	if err != nil {
		return out
	}
	for _, v := range res.Volumes.Items {
		out[v.Name] = usage(v)
	}
	return out
}

func usage(v volume.Volume) int64 {
	if v.UsageData == nil {
		return -1
	}
	return v.UsageData.Size
}

// ImageObjects lists the images of the engine, without those that are only layers
// of others.
func (c *Client) ImageObjects(ctx context.Context) ([]Object, error) {
	res, err := c.api.ImageList(ctx, client.ImageListOptions{SharedSize: true})
	if err != nil {
		return nil, c.Explain(err, "list images")
	}
	out := make([]Object, 0, len(res.Items))
	for _, i := range res.Items {
		o := Object{Kind: schema.EngineImages, ID: i.ID, Labels: i.Labels, Size: i.Size - max(i.SharedSize, 0), Tags: genuine(i.RepoTags)}
		if len(o.Tags) == 0 {
			o.Tags = genuine(i.RepoDigests)
		}
		o.Name = strings.Join(o.Tags, ", ")
		if o.Name == "" {
			o.Name = shortID(i.ID)
		}
		out = append(out, o)
	}
	return byName(out), nil
}

// genuine drops what engines write for no name.
func genuine(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return strings.HasPrefix(n, "<none>") })
}

func shortID(id string) string {
	id = strings.TrimPrefix(id, "sha256:")
	return id[:min(12, len(id))]
}

func byName(list []Object) []Object {
	slices.SortFunc(list, func(a, b Object) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// StopOptions say how a container is ended.
type StopOptions struct {
	Signal  string // empty is the container's own
	Timeout *int   // seconds until it is killed; nil is the container's own
}

// Act does one of schema's verbs to a container, by id or name. Errors:
// schema.NotFound, schema.Conflict when it is in no state for that.
func (c *Client) Act(ctx context.Context, id, verb string, o StopOptions) error {
	var err error
	switch verb {
	case schema.ContainerStart:
		_, err = c.api.ContainerStart(ctx, id, client.ContainerStartOptions{})
	case schema.ContainerStop:
		err = c.stop(ctx, id, o)
	case schema.ContainerRestart:
		_, err = c.api.ContainerRestart(ctx, id, client.ContainerRestartOptions{Signal: o.Signal, Timeout: o.Timeout})
	case schema.ContainerPause:
		_, err = c.api.ContainerPause(ctx, id, client.ContainerPauseOptions{})
	case schema.ContainerUnpause:
		_, err = c.api.ContainerUnpause(ctx, id, client.ContainerUnpauseOptions{})
	case schema.ContainerDestroy:
		return c.destroy(ctx, id, o)
	default:
		return schema.Errorf(schema.Invalid, "%s container %s: no such verb", verb, id)
	}
	return c.Explain(err, verb+" container "+id)
}

// stopTries is how often a container is stopped that runs afterwards all the same: a
// busy engine mistakes one that it has just restarted for one that has ended.
const stopTries = 3

func (c *Client) stop(ctx context.Context, id string, o StopOptions) error {
	for range stopTries {
		if _, err := c.api.ContainerStop(ctx, id, client.ContainerStopOptions{Signal: o.Signal, Timeout: o.Timeout}); err != nil {
			return err
		}
		res, err := c.api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
		if errdefs.IsNotFound(err) || err == nil && (res.Container.State == nil || !res.Container.State.Running) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return schema.Errorf(schema.Failed, "stop container %s: the engine says that it has stopped, and it runs: something starts it again, or the engine needs a look", id)
}

// destroy stops a container, then removes it. Its volumes stay.
func (c *Client) destroy(ctx context.Context, id string, o StopOptions) error {
	if err := c.Act(ctx, id, schema.ContainerStop, o); err != nil {
		return err
	}
	_, err := c.api.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true})
	if err = c.Explain(err, "remove container "+id); schema.CodeOf(err) == schema.NotFound {
		return nil // it was one that removes itself
	}
	return err
}

// Remove removes one thing that is not in use. The engine refuses one that is
// (schema.Conflict). Of an image it drops one name, and the image with its last.
func (c *Client) Remove(ctx context.Context, kind, id string) error {
	var err error
	switch kind {
	case schema.EngineContainers:
		_, err = c.api.ContainerRemove(ctx, id, client.ContainerRemoveOptions{})
	case schema.EngineNetworks:
		_, err = c.api.NetworkRemove(ctx, id, client.NetworkRemoveOptions{})
	case schema.EngineImages:
		_, err = c.api.ImageRemove(ctx, id, client.ImageRemoveOptions{PruneChildren: true})
	case schema.EngineVolumes:
		_, err = c.api.VolumeRemove(ctx, id, client.VolumeRemoveOptions{})
	default:
		return schema.Errorf(schema.Invalid, "remove %s %s: nothing that can be removed", kind, id)
	}
	if errdefs.IsPermissionDenied(err) && kind == schema.EngineNetworks { // has endpoints, or is the engine's own
		return schema.Wrap(schema.Conflict, err, "remove network %s: %s", id, Text(err))
	}
	return c.Explain(err, "remove "+kind+" "+id)
}

// PruneCache empties the engine's build cache, but for what a build uses now. It
// returns how many entries went, and their size in bytes.
func (c *Client) PruneCache(ctx context.Context) (int, int64, error) {
	res, err := c.api.BuildCachePrune(ctx, client.BuildCachePruneOptions{All: true})
	return len(res.Report.CachesDeleted), int64(res.Report.SpaceReclaimed), c.Explain(err, "empty the build cache")
}

// LayersSize is what all images take on disk, in bytes; 0 when the engine does not
// say so within the time.
func (c *Client) LayersSize(ctx context.Context, limit time.Duration) int64 {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	res, err := c.api.DiskUsage(ctx, client.DiskUsageOptions{Images: true})
	if err != nil {
		return 0
	}
	return res.Images.TotalSize
}

// WaitExit blocks until a container has ended and returns its exit code.
func (c *Client) WaitExit(ctx context.Context, id string) (int, error) {
	w := c.api.ContainerWait(ctx, id, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	select {
	case res := <-w.Result:
		return int(res.StatusCode), nil
	case err := <-w.Error:
		return 0, c.Explain(err, "wait for container "+id)
	case <-ctx.Done():
		return 0, c.Explain(ctx.Err(), "wait for container "+id)
	}
}

// SameImage reports whether two references name the same image: "nginx" and
// "docker.io/library/nginx:latest" do.
func SameImage(a, b string) bool {
	if a == b {
		return true
	}
	x, errX := reference.ParseDockerRef(a)
	y, errY := reference.ParseDockerRef(b)
	return errX == nil && errY == nil && x.String() == y.String()
}
