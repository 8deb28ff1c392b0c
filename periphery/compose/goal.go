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

// Found is how much of a goal is on the engine.
type Found struct {
	Reached bool   // all of it
	Soon    bool   // all, but containers are only about to be up and healthy
	Words   string // what is there, service by service
}

// Reached looks how much of a goal is on the engine. If it is all there, the
// result says what is deployed. Nothing is guessed: what cannot be told counts as
// not reached.
func (d *Deployer) Reached(ctx context.Context, g Goal) (Result, Found, error) {
	r := Result{Inputs: g.Inputs}
	list, err := d.containers(ctx, g.Project)
	if err != nil {
		return r, Found{}, err
	}
	var words []string
	worst := there
	for _, name := range sorted(g.Services) {
		state, how, err := d.serviceReached(ctx, g, name, list)
		if err != nil {
			return r, Found{}, err
		}
		words, worst = append(words, name+" "+state), max(worst, how)
		r.Services = append(r.Services, deployedService(name, g.Services[name].Ref, list))
	}
	for _, c := range list {
		if service := c.Labels[docker.LabelService]; g.Known != nil && !slices.Contains(g.Known, service) {
			words, worst = append(words, service+" was to be removed"), notThere
		}
		if c.Labels[docker.LabelRun] == g.Run {
			r.Recreated = append(r.Recreated, docker.Container(c).Name)
		}
	}
	slices.Sort(r.Recreated)
	return r, Found{Reached: worst == there, Soon: worst == soon, Words: strings.Join(words, ", ")}, nil
}

// how much of something is there, in the order of getting worse.
type how int

const (
	there how = iota
	soon
	notThere
)

// serviceReached compares one service's containers with its goal.
func (d *Deployer) serviceReached(ctx context.Context, g Goal, name string, list []container.Summary) (state string, is how, err error) {
	want, have := g.Services[name], 0
	for _, c := range list {
		if c.Labels[docker.LabelService] != name {
			continue
		}
		if why := want.differs(c, d.keyID); why != "" {
			return why, notThere, nil
		}
		if have++; want.Ignore || is == notThere {
			continue
		}
		why, worse, err := d.unwell(ctx, g.Health, c)
		if err != nil {
			return "", notThere, err
		}
		if worse > is {
			state, is = why, worse
		}
	}
	switch {
	case have == 0 && want.Scale > 0:
		return "has no container", notThere, nil
	case have != want.Scale:
		return fmt.Sprintf("has %d of %d containers", have, want.Scale), notThere, nil
	case is == there:
		state = "is as wanted"
	}
	return state, is, nil
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
func (d *Deployer) unwell(ctx context.Context, health bool, c container.Summary) (string, how, error) {
	in, err := d.engine.Inspect(ctx, c.ID)
	if err != nil {
		return "", notThere, err
	}
	once := in.Restart == "" || in.Restart == "no" || in.Restart == "on-failure"
	switch {
	case in.State == "created":
		return "was created but not started", notThere, nil
	case !health || in.State == "exited" && in.ExitCode == 0 && once:
		return "", there, nil
	case in.State == "exited":
		return fmt.Sprintf("exited with code %d", in.ExitCode), notThere, nil
	case in.State != "running":
		return "is " + in.State, notThere, nil
	case in.Health == "starting":
		return "waits for its health check", soon, nil
	case in.Health != "" && in.Health != "healthy":
		return "is " + in.Health, notThere, nil
	case in.Health == "" && time.Since(in.Started) < defaultSettle:
		return "has only just started", soon, nil
	}
	return "", there, nil
}
