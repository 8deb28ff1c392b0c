package compose

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"berth/periphery/docker"
	"berth/schema"
)

// LabelInputs is the label of a container that has the digest of what it was
// started with and compose's own hash does not know: contents of mounted files,
// secrets and configs. It is not part of that hash, so `docker compose up` by hand
// recreates nothing because of it.
const LabelInputs = "berth.inputs"

// Result is what became of a deploy.
type Result struct {
	Services  []schema.DeployedService
	Inputs    map[string]Inputs // what was deployed: Spec.Last of the next time
	Recreated []string          // containers that are new, by name; all others kept their ids
	Removed   []string          // containers that are gone and were not replaced
	Warnings  []string
	Phases    []schema.Phase
}

// Up brings the project to what the plan says: only containers whose definition,
// image or inputs changed are replaced. A result is returned with an error too: it
// says how far it went.
func (d *Deployer) Up(ctx context.Context, p *Plan, emit Emit) (Result, error) {
	j := newJob(emit, p.serviceOf)
	var r Result
	err := d.up(ctx, p, j, &r)
	r.Phases, r.Warnings = j.phases, j.warnings
	if err != nil {
		d.log.Debug("deploy ended", "project", p.project.Name, "error", err)
	}
	return r, err
}

func (d *Deployer) up(ctx context.Context, p *Plan, j *job, r *Result) error {
	looked := time.Now()
	before, err := d.settled(ctx, p, j)
	if err != nil {
		return err
	}
	if !p.pulled {
		if err := j.run(PhasePull, func() error { return d.pull(ctx, p, j, p.spec.Pull) }); err != nil {
			return err
		}
	}
	if err := d.buildAll(ctx, p, j); err != nil {
		return err
	}
	if name := p.spec.goesDown(); name != "" {
		o := DoOptions{Services: p.spec.Services, StopTimeout: p.spec.StopTimeout}
		if err := j.run(PhaseDown, func() error { return d.down(ctx, j, name, o) }); err != nil {
			return err
		}
	}
	present := before
	if p.spec.goesDown() != "" || time.Since(looked) > fresh {
		if present, err = d.containers(ctx, p.project.Name); err != nil {
			return err
		}
	}
	if present, err = d.heal(ctx, p, j, present); err != nil {
		return err
	}
	if r.Inputs, err = p.Inputs(ctx); err != nil {
		return err
	}
	if err := j.run(PhaseUp, func() error { return d.converge(ctx, p, j, r.Inputs, present) }); err != nil {
		return err
	}
	after, err := d.containers(ctx, p.project.Name)
	if err != nil {
		return err
	}
	r.Services = p.deployed(after)
	r.Recreated, r.Removed = difference(before, after)
	if (p.spec.Health || p.flags.wait) && !p.flags.noStart {
		return j.run(PhaseHealth, func() error { return d.awaitHealth(ctx, p, j, after) })
	}
	return nil
}

// fresh is how old a list of containers may be that is acted on.
const fresh = 250 * time.Millisecond

// goesDown returns the project that is to be taken down first, if any.
func (s Spec) goesDown() string {
	switch {
	case s.DeployedProject != "" && s.DeployedProject != s.Project:
		return s.DeployedProject
	case s.DestroyBefore:
		return s.Project
	}
	return ""
}

// containers lists the project's containers, without those of `docker compose run`
// and those that are kept.
func (d *Deployer) containers(ctx context.Context, project string) ([]container.Summary, error) {
	list, err := d.everyContainer(ctx, project)
	return slices.DeleteFunc(list, kept), err
}

func (d *Deployer) everyContainer(ctx context.Context, project string) ([]container.Summary, error) {
	res, err := d.engine.API().ContainerList(ctx, client.ContainerListOptions{
		All:     true,
		Filters: client.Filters{}.Add("label", api.ProjectLabel+"="+project, api.OneoffLabel+"=False"),
	})
	if err != nil {
		return nil, d.explain(ctx, err, "list containers of project "+project)
	}
	return res.Items, nil
}

// heal puts right what a deploy left behind that was killed or canceled while it
// replaced a container: the new one, never started, under a temporary name. It is
// removed, or, when the old one is gone already, gets its name. The list is the
// project's containers; as they are then they are returned.
func (d *Deployer) heal(ctx context.Context, p *Plan, j *job, list []container.Summary) ([]container.Summary, error) {
	names := map[string]bool{}
	for _, c := range list {
		names[docker.Container(c).Name] = true
	}
	healed := false
	for _, c := range list {
		name := docker.Container(c).Name
		final := finalName(name)
		if final == name || p.project.Services[c.Labels[docker.LabelService]].ContainerName == name {
			continue
		}
		healed = true
		var err error
		if names[final] && c.State == container.StateCreated {
			_, err = d.engine.API().ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true})
		} else if !names[final] {
			_, err = d.engine.API().ContainerRename(ctx, c.ID, client.ContainerRenameOptions{NewName: final})
		}
		if err != nil {
			return nil, d.explain(ctx, err, "clean up container "+name+" of an interrupted deploy")
		}
		j.warn("container %s was left behind by an interrupted deploy: put right", name)
	}
	if !healed {
		return list, nil
	}
	return d.containers(ctx, p.project.Name)
}

// converge runs compose's own `up`, after what it gets wrong has been put right.
func (d *Deployer) converge(ctx context.Context, p *Plan, j *job, inputs map[string]Inputs, before []container.Summary) error {
	for name, service := range p.project.Services {
		service.CustomLabels = service.CustomLabels.Add(LabelInputs, p.contentDigest(inputs[name]))
		// What could be pulled has been.
		service.PullPolicy = types.PullPolicyNever
		p.project.Services[name] = service
	}
	if p.flags.removeOrphans {
		if err := d.removeOrphans(ctx, p, j, before); err != nil {
			return err
		}
	}
	engine := d.startAPI(ctx, p)
	if len(p.keep) > 0 {
		engine = keeping{engine, p.keep}
	}
	session, err := d.session(engine, p.spec.Registries, j, never(func(question string) {
		j.warn("%s Kept as it is: Berth never recreates volumes", strings.TrimSuffix(question, "Recreate (data will be lost)?"))
	}))
	if err != nil {
		return err
	}
	forced := p.forced(inputs, before)
	if p.spec.Before != nil {
		goal, err := p.goal(inputs, forced)
		if err != nil {
			return err
		}
		if err := p.spec.Before(goal); err != nil {
			return err
		}
	}
	options := p.upOptions(forced)
	run := func() error {
		if p.flags.noStart {
			return session.Create(ctx, p.project, options.Create)
		}
		return session.Up(ctx, p.project, options)
	}
	err = run()
	if err != nil && ctx.Err() == nil && strings.Contains(err.Error(), "has active endpoints") {
		var again bool
		if again, err = d.freeNetworks(ctx, p, j, before, err); again {
			err = run()
		}
	}
	return d.explain(ctx, err, "bring up project "+p.project.Name)
}

// upOptions are the SDK's options. Those services that are forced get new
// containers; for all others compose decides.
func (p *Plan) upOptions(forced []string) api.UpOptions {
	create := api.CreateOptions{
		Services: forced, Recreate: api.RecreateForce, RecreateDependencies: api.RecreateDiverged,
		IgnoreOrphans: !p.flags.removeOrphans, RemoveOrphans: p.flags.removeOrphans, Inherit: !p.flags.renewAnon,
	}
	switch {
	case p.flags.noRecreate:
		create.Services, create.Recreate, create.RecreateDependencies = nil, api.RecreateNever, api.RecreateNever
	case len(forced) == 0:
		create.Recreate = api.RecreateDiverged
	}
	seconds := p.spec.StopTimeout
	if p.flags.timeout != nil {
		seconds = p.flags.timeout
	}
	if seconds != nil {
		timeout := time.Duration(*seconds) * time.Second
		create.Timeout = &timeout
	}
	return api.UpOptions{Create: create, Start: api.StartOptions{Project: p.project, Services: p.targets}}
}

// forced lists the services that get new containers whatever compose thinks: by
// flag, or because contents changed that its hash does not know.
func (p *Plan) forced(inputs map[string]Inputs, before []container.Summary) []string {
	set := map[string]bool{}
	for name := range p.project.Services {
		target := slices.Contains(p.targets, name)
		if target && p.flags.forceRecreate || !target && p.flags.alwaysDeps {
			set[name] = true
		}
	}
	for _, c := range before {
		name := c.Labels[docker.LabelService]
		in, ok := inputs[name]
		if !ok {
			continue
		}
		label := c.Labels[LabelInputs]
		if key, _, _ := strings.Cut(label, "."); key == p.d.keyID {
			if label != p.contentDigest(in) {
				set[name] = true
			}
			continue
		}
		// A container that is not ours, or was made under another key: adopted
		// as it is, unless we know that something changed since we deployed last.
		if last, ok := p.spec.Last[name]; ok && p.comparable(last) && p.contentDigest(last) != p.contentDigest(in) {
			set[name] = true
		}
	}
	return sorted(set)
}

// comparable reports whether the inputs' digests were made with our key.
func (p *Plan) comparable(in Inputs) bool {
	for name, digest := range in {
		if key, _, _ := strings.Cut(digest, "."); contentInput(name) && key != p.d.keyID {
			return false
		}
	}
	return true
}

// removeOrphans removes containers of services that the files no longer have. It
// is done before compose's `up`, which would remove networks while they use them.
func (d *Deployer) removeOrphans(ctx context.Context, p *Plan, j *job, before []container.Summary) error {
	timeout := p.flags.timeout
	if timeout == nil {
		timeout = p.spec.StopTimeout
	}
	for _, c := range p.orphans(before) {
		name := docker.Container(c).Name
		j.state("", "Container "+name, "Removing orphan", false)
		if _, err := d.engine.API().ContainerStop(ctx, c.ID, client.ContainerStopOptions{Timeout: timeout}); err != nil {
			return d.explain(ctx, err, "stop orphan container "+name)
		}
		if _, err := d.engine.API().ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true}); err != nil {
			return d.explain(ctx, err, "remove orphan container "+name)
		}
		j.state("", "Container "+name, api.StatusRemoved, false)
	}
	return nil
}

func (p *Plan) orphans(list []container.Summary) []container.Summary {
	var out []container.Summary
	for _, c := range list {
		if !p.known[c.Labels[docker.LabelService]] {
			out = append(out, c)
		}
	}
	return out
}

// freeNetworks takes orphans off networks that compose wants to recreate and they
// keep in use. It reports whether it is worth trying again, or why not.
func (d *Deployer) freeNetworks(ctx context.Context, p *Plan, j *job, before []container.Summary, cause error) (bool, error) {
	freed := false
	for _, c := range p.orphans(before) {
		if c.NetworkSettings == nil {
			continue
		}
		for name := range c.NetworkSettings.Networks {
			if !strings.Contains(cause.Error(), name) {
				continue
			}
			_, err := d.engine.API().NetworkDisconnect(ctx, name, client.NetworkDisconnectOptions{Container: c.ID, Force: true})
			if err == nil {
				freed = true
				j.warn("container %s of a service that is no longer in the files was taken off network %s, which had to be recreated; add --remove-orphans to extra_args to remove it",
					docker.Container(c).Name, name)
			}
		}
	}
	if freed {
		return true, nil
	}
	return false, schema.Wrap(schema.Conflict, cause, "bring up project %s: %s; a container outside the project uses the network", p.project.Name, oneLine(cause))
}

// deployed lists the plan's services as they run now.
func (p *Plan) deployed(after []container.Summary) []schema.DeployedService {
	var out []schema.DeployedService
	for _, name := range p.project.ServiceNames() {
		out = append(out, deployedService(name, api.GetImageNameOrDefault(p.project.Services[name], p.project.Name), after))
	}
	return out
}

func deployedService(name, image string, list []container.Summary) schema.DeployedService {
	s := schema.DeployedService{Name: name, Image: image}
	for _, c := range list {
		if n := docker.Container(c).Name; c.Labels[docker.LabelService] == name && (s.Container == "" || n < s.Container) {
			s.Container = n
		}
	}
	return s
}

// difference compares containers by id: names of those that are new, and of those
// that are gone without one of the same name in their place.
func difference(before, after []container.Summary) (created, removed []string) {
	old, names := map[string]bool{}, map[string]bool{}
	for _, c := range before {
		old[c.ID] = true
	}
	for _, c := range after {
		name := docker.Container(c).Name
		names[name] = true
		if !old[c.ID] {
			created = append(created, name)
		}
	}
	for _, c := range before {
		if name := docker.Container(c).Name; !names[name] {
			removed = append(removed, name)
		}
	}
	slices.Sort(created)
	slices.Sort(removed)
	return created, removed
}

// serviceOf finds the service that a container of this name belongs to.
func (p *Plan) serviceOf(name string) string {
	for service, config := range p.project.Services {
		if config.ContainerName == name && name != "" {
			return service
		}
		if rest, ok := strings.CutPrefix(name, p.project.Name+api.Separator+service+api.Separator); ok && strings.Trim(rest, "0123456789") == "" {
			return service
		}
	}
	return ""
}
