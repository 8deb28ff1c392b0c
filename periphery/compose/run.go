package compose

import (
	"bytes"
	"context"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"berth/periphery/docker"
	"berth/schema"
)

// RunOptions say how one service is run once.
type RunOptions struct {
	Service    string
	Name       string   // of the container
	Command    []string // empty is the service's own
	Entrypoint string   // as a command line; empty is the service's own
	Env        map[string]string
	Workdir    string
	User       string
	Ports      bool   // publish the service's ports
	Detach     bool   // return once it is started; it removes itself when it ends
	Started    func() // called once it runs
}

// RunResult is what became of a run.
type RunResult struct {
	ExitCode int // of a run that was not detached
	Phases   []schema.Phase
	Warnings []string
}

// The phases of Run after pull and build.
const (
	PhaseDeps = "dependencies"
	PhaseRun  = "run"
)

// runTidy bounds the removal of the container at the end.
const runTidy = 15 * time.Second

// Run does what `docker compose run --rm` does: a new container of one service of
// the plan, without a terminal, its output told as it comes. What it depends on is
// started, and created where it is missing, but never replaced: that is what deploys
// are for. A result is returned with an error too. When ctx ends, so does the container.
func (d *Deployer) Run(ctx context.Context, p *Plan, o RunOptions, emit Emit) (RunResult, error) {
	j := newJob(emit, func(name string) string {
		if name == o.Name {
			return o.Service
		}
		return p.serviceOf(name)
	})
	code, err := d.run(ctx, p, j, o)
	return RunResult{ExitCode: code, Phases: j.phases, Warnings: j.warnings}, err
}

func (d *Deployer) run(ctx context.Context, p *Plan, j *job, o RunOptions) (int, error) {
	if err := j.run(PhasePull, func() error { return d.pull(ctx, p, j, p.spec.Pull) }); err != nil {
		return 0, err
	}
	if err := d.buildAll(ctx, p, j); err != nil {
		return 0, err
	}
	if len(p.project.Services) > 1 {
		if err := j.run(PhaseDeps, func() error { return d.dependencies(ctx, p, j, o.Service) }); err != nil {
			return 0, err
		}
	}
	code := 0
	err := j.run(PhaseRun, func() error {
		defer d.removeRun(ctx, j, o)
		if err := d.createRun(ctx, p, j, o); err != nil {
			return err
		}
		var err error
		code, err = d.follow(ctx, j, o)
		return err
	})
	return code, err
}

// dependencies brings up what the service needs and waits until it is as the files
// demand. It is done by a stand-in of the service, which has no containers.
func (d *Deployer) dependencies(ctx context.Context, p *Plan, j *job, service string) error {
	present, err := d.containers(ctx, p.project.Name)
	if err != nil {
		return err
	}
	inputs, err := p.Inputs(ctx)
	if err != nil {
		return err
	}
	project := p.project.WithServicesDisabled(service)
	var missing []string
	for name, s := range project.Services {
		s.CustomLabels = s.CustomLabels.Add(LabelInputs, p.contentDigest(inputs[name]))
		s.PullPolicy = types.PullPolicyNever
		project.Services[name] = s
		if !slices.ContainsFunc(present, func(c container.Summary) bool { return c.Labels[docker.LabelService] == name }) {
			missing = append(missing, name)
		}
	}
	session, err := d.session(d.startAPI(ctx, p), p.spec.Registries, j, never(func(string) {}))
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		err := session.Create(ctx, project, api.CreateOptions{
			Services: missing, Recreate: api.RecreateNever, RecreateDependencies: api.RecreateNever, IgnoreOrphans: true, Inherit: true,
		})
		if err != nil {
			return d.explain(ctx, err, "create what service "+service+" depends on")
		}
	}
	standIn := p.project.Services[service]
	standIn.Name = service + "-run"
	project.Services[standIn.Name] = standIn
	err = session.Start(ctx, project.Name, api.StartOptions{Project: project, Services: project.ServiceNames()})
	return d.explain(ctx, err, "start what service "+service+" depends on")
}

// stopBefore is a variable that is never set. The SDK's run would, once the container
// is complete, take over all signals of the process, for good. It is kept from that
// by a last config whose contents are this variable's.
const stopBefore = "BERTH_RUN_IS_COMPLETE"

// createRun has the SDK make the container, with all that it puts into it, and not
// start it.
func (d *Deployer) createRun(ctx context.Context, p *Plan, j *job, o RunOptions) error {
	project, err := d.alone(ctx, p, o)
	if err != nil {
		return err
	}
	run := api.RunOptions{
		Project: project, Service: o.Service, Name: o.Name, Command: o.Command, WorkingDir: o.Workdir, User: o.User,
		AutoRemove: o.Detach, Detach: true, NoDeps: true,
	}
	run.IgnoreOrphans = true
	for _, name := range slices.Sorted(maps.Keys(o.Env)) {
		run.Environment = append(run.Environment, name+"="+o.Env[name])
	}
	if o.Entrypoint != "" {
		var words types.ShellCommand
		if err := words.DecodeMapstructure(o.Entrypoint); err != nil {
			return schema.Wrap(schema.Invalid, err, "entrypoint %q is not a command line: %s", o.Entrypoint, oneLine(err))
		}
		run.Entrypoint = words
	}
	session, err := d.session(d.engine.API(), p.spec.Registries, j, never(func(string) {}))
	if err != nil {
		return err
	}
	_, err = session.RunOneOffContainer(ctx, project, run)
	switch {
	case err == nil:
		return schema.Errorf(schema.Internal, "run service %q: the compose SDK started it by itself", o.Service)
	case strings.Contains(err.Error(), stopBefore):
		return nil
	}
	return d.explain(ctx, err, "run service "+o.Service)
}

// alone is the project with nothing but the service, made so that what is there is
// used as it is.
func (d *Deployer) alone(ctx context.Context, p *Plan, o RunOptions) (*types.Project, error) {
	project, err := p.project.WithSelectedServices([]string{o.Service}, types.IgnoreDependencies)
	if err != nil {
		return nil, schema.Wrap(schema.Invalid, err, "run service %q: %s", o.Service, oneLine(err))
	}
	project = project.WithoutUnnecessaryResources()
	networks, err := d.engine.API().NetworkList(ctx, client.NetworkListOptions{})
	if err != nil {
		return nil, d.explain(ctx, err, "list networks")
	}
	for name, n := range project.Networks {
		for _, have := range networks.Items {
			if have.Name == n.Name {
				n.External = true
				project.Networks[name] = n
			}
		}
	}
	s := project.Services[o.Service]
	s.DependsOn, s.PullPolicy = nil, types.PullPolicyNever
	s.CustomLabels = maps.Clone(s.CustomLabels)
	if !o.Ports {
		s.Ports = nil
	}
	s.Configs = append(slices.Clone(s.Configs), types.ServiceConfigObjConfig{Source: stopBefore, Target: "/" + stopBefore})
	project.Services[o.Service] = s
	project.Configs = maps.Clone(project.Configs)
	if project.Configs == nil {
		project.Configs = types.Configs{}
	}
	project.Configs[stopBefore] = types.ConfigObjConfig{Name: stopBefore, Environment: stopBefore}
	return project, nil
}

// follow starts the container and, unless it is detached, tells its output until it
// has ended.
func (d *Deployer) follow(ctx context.Context, j *job, o RunOptions) (int, error) {
	var copyTo func(stdout, stderr io.Writer) (int64, error)
	if !o.Detach {
		var err error
		if copyTo, err = d.engine.Attach(ctx, o.Name); err != nil {
			return 0, err
		}
	}
	if err := d.engine.Act(ctx, o.Name, schema.ContainerStart, docker.StopOptions{}); err != nil {
		return 0, err
	}
	j.state(o.Service, "Container "+o.Name, api.StatusStarted, false)
	if o.Started != nil {
		o.Started()
	}
	if o.Detach {
		return 0, nil
	}
	stdout, stderr := &lines{j: j, service: o.Service}, &lines{j: j, service: o.Service, isErr: true}
	defer stdout.end()
	defer stderr.end()
	told, err := copyTo(stdout, stderr)
	if err != nil {
		return 0, err
	}
	code, err := d.engine.WaitExit(ctx, o.Name)
	// On a busy machine the engine may drop the streams of a container that was over at
	// once before it has copied them. Its log has them, unless the log driver keeps none.
	if err == nil && told == 0 {
		_ = d.engine.Logs(ctx, o.Name, docker.LogOptions{}, stdout, stderr)
	}
	return code, err
}

// removeRun removes the container of a run, unless it goes on.
func (d *Deployer) removeRun(ctx context.Context, j *job, o RunOptions) {
	tidy, cancel := context.WithTimeout(context.WithoutCancel(ctx), runTidy)
	defer cancel()
	c, err := d.engine.Inspect(tidy, o.Name)
	if err != nil || o.Detach && c.State != "created" {
		return
	}
	if _, err := d.engine.API().ContainerRemove(tidy, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
		j.warn("container %s is left behind: %s", o.Name, docker.Text(err))
		return
	}
	j.state(o.Service, "Container "+o.Name, api.StatusRemoved, false)
}

// lines tells a stream as lines. Very long ones are cut into several.
type lines struct {
	j       *job
	service string
	isErr   bool
	rest    []byte
}

const longLine = 8 << 10

// Write is part of io.Writer.
func (l *lines) Write(b []byte) (int, error) {
	l.rest = append(l.rest, b...)
	for {
		i := bytes.IndexByte(l.rest, '\n')
		switch {
		case i >= 0:
			l.tell(l.rest[:i])
			l.rest = l.rest[i+1:]
		case len(l.rest) > longLine:
			cut := longLine
			for cut > longLine-utf8.UTFMax && !utf8.RuneStart(l.rest[cut]) {
				cut--
			}
			l.tell(l.rest[:cut])
			l.rest = l.rest[cut:]
		default:
			return len(b), nil
		}
	}
}

func (l *lines) tell(text []byte) {
	l.j.line(l.service, strings.ToValidUTF8(strings.TrimSuffix(string(text), "\r"), "\uFFFD"), l.isErr)
}

func (l *lines) end() {
	if len(l.rest) > 0 {
		l.tell(l.rest)
		l.rest = nil
	}
}
