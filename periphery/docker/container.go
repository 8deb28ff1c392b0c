package docker

import (
	"context"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"

	"berth/schema"
)

// The labels of a container that say whose it is.
const (
	LabelProject = "com.docker.compose.project"
	LabelService = "com.docker.compose.service"
	LabelOneoff  = "com.docker.compose.oneoff"
	LabelStack   = "berth.stack" // id of the stack that deployed it
	LabelRun     = "berth.run"   // id of the run that created it
)

// Containers lists containers, running or not, sorted by name: those of a
// compose project, or all where project is empty.
func (c *Client) Containers(ctx context.Context, project string) ([]schema.Container, error) {
	filters := client.Filters{}
	if project != "" {
		filters.Add("label", LabelProject+"="+project)
	}
	res, err := c.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: filters})
	if err != nil {
		return nil, c.Explain(err, "list containers")
	}
	list := make([]schema.Container, 0, len(res.Items))
	for _, item := range res.Items {
		list = append(list, Container(item))
	}
	slices.SortFunc(list, func(a, b schema.Container) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// labelOneOff marks what compose run made.
const labelOneOff = "com.docker.compose.oneoff"

// Container is an item of the engine's list in schema's terms.
func Container(s container.Summary) schema.Container {
	out := schema.Container{
		ID: s.ID, Image: s.Image, ImageID: s.ImageID,
		State: string(s.State), Status: s.Status, Health: healthOf(s),
		Project: s.Labels[LabelProject], Service: s.Labels[LabelService], Stack: s.Labels[LabelStack],
		Created: s.Created, OneOff: strings.EqualFold(s.Labels[labelOneOff], "true"),
	}
	out.Mode = s.HostConfig.NetworkMode
	for _, m := range s.Mounts {
		if m.Type == mount.TypeVolume {
			out.Volumes = append(out.Volumes, m.Name)
		}
	}
	for _, name := range s.Names {
		// A link appears as /other/alias: the container's own name has one slash.
		if strings.LastIndex(name, "/") == 0 {
			out.Name = name[1:]
		}
	}
	seen := map[schema.Port]bool{}
	for _, p := range s.Ports {
		port := schema.Port{Private: p.PrivatePort, Public: p.PublicPort, Proto: p.Type}
		if p.IP.IsValid() {
			port.IP = p.IP.String()
		}
		if !seen[port] {
			seen[port] = true
			out.Ports = append(out.Ports, port)
		}
	}
	if s.NetworkSettings != nil {
		for name := range s.NetworkSettings.Networks {
			out.Networks = append(out.Networks, name)
		}
		slices.Sort(out.Networks)
	}
	return out
}

// healthOf reads the health from the summary, or, on engines that do not say it
// there, from the status text: "Up 3 hours (healthy)".
func healthOf(s container.Summary) string {
	if s.Health != nil && s.Health.Status != "" && s.Health.Status != container.NoHealthcheck {
		return string(s.Health.Status)
	}
	switch {
	case strings.HasSuffix(s.Status, "(healthy)"):
		return string(container.Healthy)
	case strings.HasSuffix(s.Status, "(unhealthy)"):
		return string(container.Unhealthy)
	case strings.HasSuffix(s.Status, "(health: starting)"):
		return string(container.Starting)
	}
	return ""
}

// Detail is what only an inspection of a container tells.
type Detail struct {
	ID       string
	Name     string
	State    string // running, exited, restarting, ...
	Health   string // starting, healthy, unhealthy; empty without a check
	Probe    string // output of the last failed health check
	ExitCode int
	Error    string // why the engine could not start it
	OOM      bool
	Restarts int    // since it was created
	Restart  string // restart policy: no, always, unless-stopped, on-failure
	TTY      bool
	Started  time.Time
	Labels   map[string]string
}

// Inspect looks at one container by id or name; schema.NotFound if there is none.
func (c *Client) Inspect(ctx context.Context, id string) (Detail, error) {
	res, err := c.api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return Detail{}, c.Explain(err, "inspect container "+id)
	}
	in := res.Container
	d := Detail{ID: in.ID, Name: strings.TrimPrefix(in.Name, "/"), Restarts: in.RestartCount}
	if in.HostConfig != nil {
		d.Restart = string(in.HostConfig.RestartPolicy.Name)
	}
	if in.Config != nil {
		d.TTY, d.Labels = in.Config.Tty, in.Config.Labels
	}
	if s := in.State; s != nil {
		d.State, d.ExitCode, d.Error, d.OOM = string(s.Status), s.ExitCode, s.Error, s.OOMKilled
		d.Started, _ = time.Parse(time.RFC3339Nano, s.StartedAt)
		if s.Health != nil && s.Health.Status != container.NoHealthcheck {
			d.Health = string(s.Health.Status)
			for _, r := range s.Health.Log {
				if r.ExitCode != 0 {
					d.Probe = strings.TrimSpace(r.Output)
				}
			}
		}
	}
	return d, nil
}

// LogOptions say which part of a container's log is wanted.
type LogOptions struct {
	Tail       int       // last lines; 0 is all
	Since      time.Time // zero is from the beginning
	Follow     bool      // until the context or the container ends
	Timestamps bool
}

// Logs copies a container's log to stdout and stderr as it was written; for a
// container with a terminal all of it is stdout.
func (c *Client) Logs(ctx context.Context, id string, o LogOptions, stdout, stderr io.Writer) error {
	d, err := c.Inspect(ctx, id)
	if err != nil {
		return err
	}
	req := client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Follow: o.Follow, Timestamps: o.Timestamps}
	if o.Tail > 0 {
		req.Tail = strconv.Itoa(o.Tail)
	}
	if !o.Since.IsZero() {
		req.Since = o.Since.UTC().Format(time.RFC3339Nano)
	}
	stream, err := c.api.ContainerLogs(ctx, id, req)
	if err != nil {
		return c.Explain(err, "read log of container "+d.Name)
	}
	defer stream.Close()
	if d.TTY {
		_, err = io.Copy(stdout, stream)
	} else {
		_, err = stdcopy.StdCopy(stdout, stderr, stream)
	}
	return c.Explain(err, "read log of container "+d.Name)
}
