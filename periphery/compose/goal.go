package compose

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/docker/compose/v5/pkg/compose"
	"github.com/moby/moby/api/types/container"

	"berth/periphery/docker"
	"berth/schema"
)

// Goal is what a deploy is about to bring about: enough to tell later, from the
// engine alone, whether it was reached. It holds digests and names, no secrets.
type Goal struct {
	Project  string                 `json:"project"`
	Run      string                 `json:"run"`
	Services map[string]ServiceGoal `json:"services"`
	Inputs   map[string]Inputs      `json:"inputs"` // what Result.Inputs would say
	Health   bool                   `json:"health"` // containers must run and be healthy
	// Known lists all services of the files when containers of others are to go.
	Known []string `json:"known,omitempty"`
}

// ServiceGoal is what the containers of one service are to look like.
type ServiceGoal struct {
	Hash   string `json:"hash"`   // compose's own, of the definition; empty where it names other containers
	Inputs string `json:"inputs"` // of LabelInputs
	Image  string `json:"image"`  // id
	Ref    string `json:"ref"`    // the image's name
	Scale  int    `json:"scale"`
	Forced bool   `json:"forced,omitempty"`  // a container without our label is not it
	Ignore bool   `json:"ignored,omitempty"` // its state does not matter
}

// goal describes what converge is about to do.
func (p *Plan) goal(inputs map[string]Inputs, forced []string) (Goal, error) {
	g := Goal{Project: p.project.Name, Run: p.spec.Run, Services: map[string]ServiceGoal{}, Inputs: inputs, Health: p.spec.Health && !p.flags.noStart}
	if p.flags.removeOrphans {
		g.Known = sorted(p.known)
	}
	for name, service := range p.project.Services {
		hash, err := compose.ServiceHash(service)
		if err != nil {
			return g, schema.Wrap(schema.Internal, err, "hash definition of service %q", name)
		}
		if shares(service) {
			hash = ""
		}
		ref := api.GetImageNameOrDefault(service, p.project.Name)
		g.Services[name] = ServiceGoal{
			Hash: hash, Inputs: p.contentDigest(inputs[name]), Image: inputs[name]["image:"+ref], Ref: ref, Scale: service.GetScale(),
			Forced: slices.Contains(forced, name), Ignore: slices.Contains(p.spec.IgnoreServices, name),
		}
	}
	return g, nil
}

// shares tells services whose hash has the id of a container they share something
// with, which is only known when that is there.
func shares(s types.ServiceConfig) bool {
	for _, mode := range []string{s.NetworkMode, s.Pid, s.Ipc} {
		if strings.HasPrefix(mode, types.ServicePrefix) {
			return true
		}
	}
	return len(s.VolumesFrom) > 0
}

// Reached looks whether all of a goal is on the engine. If so, result says what
// is deployed; otherwise found says in words what is there instead. A container
// that is only about to be healthy counts as not reached.
func (d *Deployer) Reached(ctx context.Context, g Goal) (result Result, found string, err error) {
	list, err := d.containers(ctx, g.Project)
	if err != nil {
		return result, "", err
	}
	var words []string
	ok := true
	for _, name := range sorted(g.Services) {
		state, good, err := d.serviceReached(ctx, g, name, list)
		if err != nil {
			return result, "", err
		}
		words, ok = append(words, name+" "+state), ok && good
		result.Services = append(result.Services, deployedService(name, g.Services[name].Ref, list))
	}
	for _, c := range list {
		if service := c.Labels[docker.LabelService]; g.Known != nil && !slices.Contains(g.Known, service) {
			words, ok = append(words, service+" was to be removed"), false
		}
		if c.Labels[docker.LabelRun] == g.Run {
			result.Recreated = append(result.Recreated, docker.Container(c).Name)
		}
	}
	slices.Sort(result.Recreated)
	result.Inputs = g.Inputs
	if !ok {
		return result, strings.Join(words, ", "), nil
	}
	return result, "", nil
}

// serviceReached compares one service's containers with its goal.
func (d *Deployer) serviceReached(ctx context.Context, g Goal, name string, list []container.Summary) (state string, ok bool, err error) {
	want, have := g.Services[name], 0
	for _, c := range list {
		if c.Labels[docker.LabelService] != name {
			continue
		}
		if why := want.differs(c, d.keyID); why != "" {
			return why, false, nil
		}
		if have++; want.Ignore {
			continue
		}
		why, err := d.unwell(ctx, g.Health, c)
		if err != nil || why != "" {
			return why, false, err
		}
	}
	switch {
	case have == 0 && want.Scale > 0:
		return "has no container", false, nil
	case have != want.Scale:
		return fmt.Sprintf("has %d of %d containers", have, want.Scale), false, nil
	}
	return "is as wanted", true, nil
}

// differs says why a container is not what the goal wants.
func (want ServiceGoal) differs(c container.Summary, keyID string) string {
	if finalName(docker.Container(c).Name) != docker.Container(c).Name {
		return "is half replaced"
	}
	if want.Hash == "" {
		return "shares another container and cannot be judged"
	}
	label := c.Labels[LabelInputs]
	key, _, _ := strings.Cut(label, ".")
	image := c.Labels[api.ImageDigestLabel]
	if image == "" {
		image = c.ImageID
	}
	if c.Labels[api.ConfigHashLabel] != want.Hash || image != want.Image || (want.Forced || key == keyID) && label != want.Inputs {
		return "is still as before"
	}
	return ""
}

// unwell says why a container does not count as being up.
func (d *Deployer) unwell(ctx context.Context, health bool, c container.Summary) (string, error) {
	in, err := d.engine.Inspect(ctx, c.ID)
	if err != nil {
		return "", err
	}
	once := in.Restart == "" || in.Restart == "no" || in.Restart == "on-failure"
	switch {
	case in.State == "created":
		return "was created but not started", nil
	case !health:
		return "", nil
	case in.State == "exited" && in.ExitCode == 0 && once:
		return "", nil
	case in.State == "exited":
		return fmt.Sprintf("exited with code %d", in.ExitCode), nil
	case in.State != "running":
		return "is " + in.State, nil
	case in.Health != "" && in.Health != "healthy":
		return "is " + in.Health, nil
	case in.Health == "" && time.Since(in.Started) < defaultSettle:
		return "has only just started", nil
	}
	return "", nil
}
