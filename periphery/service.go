package periphery

import (
	"context"
	"fmt"

	"berth/periphery/compose"
	"berth/schema"
)

// serviceRun runs one service of a stack once, with the files as they are now. A
// batch that tidies containers and images waits until it is started, not until it
// has ended.
func (a *Agent) serviceRun(ctx context.Context, j *Job, req schema.ServiceRunReq) (schema.ServiceRunResp, error) {
	var resp schema.ServiceRunResp
	leave, err := a.gate.enter(ctx)
	if err != nil {
		return resp, err
	}
	defer leave()
	d := &deployment{a: a, job: j, req: req.Up}
	// Only what is asked for: the flags of `up` are not those of `run`.
	d.req.Services, d.req.Config.ExtraArgs, d.req.Config.AutoPull, d.req.Config.RunBuild = []string{req.Service}, nil, req.Pull, false
	d.req.Config.DestroyBeforeDeploy = false
	if req.NoDeps {
		d.req.Config.ExtraArgs = schema.StrList{"--no-deps"}
	}
	plan, err := d.planned(ctx)
	if err != nil {
		return resp, err
	}
	resp.Container, resp.Detached = runName(plan.Project(), req.Service, j.cmd.ID), req.Detach
	j.touches()
	res, err := a.deploy.Run(ctx, plan, compose.RunOptions{
		Service: req.Service, Name: resp.Container, Command: req.Command, Entrypoint: req.Entrypoint, Env: req.Env,
		Workdir: req.Workdir, User: req.User, Ports: req.Ports, Detach: req.Detach, Started: leave,
	}, j.out.add)
	j.took(res.Phases)
	d.warn(res.Warnings...)
	resp.ExitCode, resp.Warnings = res.ExitCode, d.resp.Warnings
	if err == nil && !req.Detach {
		j.line("exit code %d", res.ExitCode)
	}
	return resp, err
}

// planned prepares a stack's files and loads the project.
func (d *deployment) planned(ctx context.Context) (*compose.Plan, error) {
	if err := d.prepare(ctx); err != nil {
		return nil, err
	}
	var plan *compose.Plan
	err := d.job.phase(ctx, "config", func(ctx context.Context) (string, error) {
		var err error
		plan, err = d.load(ctx)
		return "", err
	})
	return plan, err
}

// runName names the container of a run, the same after a crash.
func runName(project, service, command string) string {
	return fmt.Sprintf("%s-%s-run-%s", project, service, command[max(0, len(command)-12):])
}

// serviceLook tells, after a crash, what became of the container. It is not run
// again by itself: what it did half way is not known.
func (a *Agent) serviceLook(ctx context.Context, command string, req schema.ServiceRunReq) (*schema.ServiceRunResp, string, error) {
	name := runName(projectOf(req.Up), req.Service, command)
	c, err := a.engine.Inspect(ctx, name)
	switch {
	case schema.CodeOf(err) == schema.NotFound:
		return nil, "its container was not started, or has ended and is gone", nil
	case err != nil:
		return nil, "", err
	case req.Detach && c.State == "running":
		return &schema.ServiceRunResp{Container: c.Name, Detached: true}, "", nil
	case c.State == "exited":
		return nil, fmt.Sprintf("container %s has ended with exit code %d; its output: `docker logs %s`", c.Name, c.ExitCode, c.Name), nil
	}
	return nil, fmt.Sprintf("container %s is %s: wait for it or stop it", c.Name, c.State), nil
}
