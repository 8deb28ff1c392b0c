package periphery

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"berth/periphery/compose"
	"berth/schema"
)

// stackUp deploys a stack, or decides that nothing changed.
func (a *Agent) stackUp(ctx context.Context, j *Job, req schema.StackUpReq) (schema.StackUpResp, error) {
	d := &deployment{a: a, job: j, req: req}
	if err := d.prepare(ctx); err != nil {
		return d.resp, err
	}
	plan, done, err := d.decide(ctx)
	if err == nil && !done {
		err = d.up(ctx, plan)
	}
	if err == nil {
		d.remember(req)
	}
	return d.resp, err
}

// decide loads the project and, for a deploy that is only wanted when something
// changed, finds out what did. done says that nothing is to be deployed.
func (d *deployment) decide(ctx context.Context) (plan *compose.Plan, done bool, err error) {
	err = d.job.phase(ctx, "config", func(ctx context.Context) (string, error) {
		if plan, err = d.load(ctx); err != nil {
			return "", err
		}
		return strings.Join(plan.Services(), ", "), d.stackInputs()
	})
	if err != nil {
		return nil, false, err
	}
	if !d.req.IfChanged {
		d.resp.Decision = schema.Decision{What: "deploy", Reason: "asked for", Services: d.req.Services}
		return plan, false, nil
	}
	done, err = d.compare(ctx, plan)
	return plan, done, err
}

// load loads the project. Its files may be made by pre_deploy: then that runs
// first.
func (d *deployment) load(ctx context.Context) (*compose.Plan, error) {
	d.spec.Before = d.intend
	plan, err := d.read(ctx)
	if err == nil || d.req.Config.PreDeploy.Command == "" {
		return plan, err
	}
	d.job.line("the project cannot be read yet, so pre_deploy runs first: %s", schema.SafeText(err))
	if herr := d.hook(ctx, "pre_deploy", d.req.Config.PreDeploy); herr != nil {
		return nil, herr
	}
	d.ranFirst = true
	return d.read(ctx)
}

// read reads the project's files and warns of what stands in them.
func (d *deployment) read(ctx context.Context) (*compose.Plan, error) {
	plan, err := d.a.deploy.Load(ctx, d.spec)
	if err == nil {
		d.pointOut(plan.Warnings()...)
	}
	return plan, err
}

func (d *deployment) compare(ctx context.Context, plan *compose.Plan) (unchanged bool, err error) {
	if d.spec.Pull {
		if err := d.pull(ctx, plan); err != nil {
			return false, err
		}
	}
	now, err := plan.Inputs(ctx)
	if err != nil {
		return false, schema.Wrap(schema.CodeOf(err), err, "find out what changed")
	}
	dec, err := d.verdict(ctx, plan, now)
	if err != nil {
		return false, schema.Wrap(schema.CodeOf(err), err, "find out what changed")
	}
	d.resp.Decision = dec
	d.job.line("decision: %s: %s", dec.What, dec.Reason)
	return dec.What == "unchanged", nil
}

func (d *deployment) pull(ctx context.Context, plan *compose.Plan) error {
	phases, warnings, err := d.a.deploy.Pull(ctx, plan, d.job.out.add)
	d.job.took(phases)
	d.warn(warnings...)
	return err
}

// up runs the commands and compose's up, and says what is deployed now. Another
// process does the latter when it would end this one.
func (d *deployment) up(ctx context.Context, plan *compose.Plan) error {
	cfg := d.req.Config
	g, err := d.guarded(ctx, plan)
	if err != nil {
		return err
	}
	if cfg.PreDeploy.Command != "" && !d.ranFirst {
		if err := d.hook(ctx, "pre_deploy", cfg.PreDeploy); err != nil {
			return err
		}
		d.spec.Pull = d.spec.Pull && !d.req.IfChanged // it is done
		if plan, err = d.read(ctx); err != nil {      // it may have changed the files
			return err
		}
	}
	if g.Agent != "" {
		return d.handOver(ctx, g)
	}
	return d.carryOut(ctx, plan, g)
}

// warn adds to what the answer warns of, each thing once.
func (d *deployment) warn(texts ...string) {
	for _, text := range texts {
		if text = d.job.mask.Mask(text); !slices.Contains(d.resp.Warnings, text) {
			d.resp.Warnings = append(d.resp.Warnings, text)
		}
	}
}

// pointOut warns of what the settings or files say, in the output as well, where it
// is to be seen when the deploy fails of it.
func (d *deployment) pointOut(texts ...string) {
	for _, text := range texts {
		if !slices.Contains(d.resp.Warnings, d.job.mask.Mask(text)) {
			d.job.line("warning: %s", text)
			d.warn(text)
		}
	}
}

// restart restarts the services whose config files changed and want that.
func (d *deployment) restart(ctx context.Context, plan *compose.Plan, res compose.Result) error {
	services := d.restarts(res)
	if len(services) == 0 {
		return nil
	}
	return d.job.phase(ctx, "restart", func(ctx context.Context) (string, error) {
		_, warnings, err := d.a.deploy.Do(ctx, plan.Project(), compose.Restart, compose.DoOptions{Services: services, StopTimeout: d.req.StopTime}, d.job.out.add)
		d.warn(warnings...)
		return strings.Join(services, ", "), err
	})
}

func recreated(res compose.Result) string {
	if len(res.Recreated) == 0 {
		return "every container was up to date"
	}
	return "new containers " + strings.Join(res.Recreated, ", ")
}

func (d *deployment) hook(ctx context.Context, name string, cmd schema.SystemCommand) error {
	return d.a.hook(ctx, d.job, d.know, hook{name: name, dir: d.dir, cmd: cmd, plain: d.req.Config.SkipSecretInterp})
}

// intend notes on disk what compose is about to do, see intent.
func (d *deployment) intend(goal compose.Goal) error {
	return d.a.spool(d.job.cmd.ID, intent{Goal: goal, Resp: d.resp, Base: d.base})
}

// deployed is what the next deploy compares with. A deploy of some services
// keeps what is known of the others.
func (a *Agent) deployed(req schema.StackUpReq, commit schema.CommitInfo, base map[string]string, res compose.Result) *schema.Deployed {
	out := &schema.Deployed{
		At: time.Now().UnixMilli(), Project: projectOf(req), Commit: commit.Commit, Message: commit.Message,
		Services: slices.Clone(res.Services), Inputs: map[string]map[string]string{wholeStack: base},
	}
	if last := a.lastOf(req); len(req.Services) > 0 {
		delete(out.Inputs, wholeStack) // what the others do not have yet is still to come
		if last != nil {
			out.Dirty = last.Dirty
			maps.Copy(out.Inputs, last.Inputs)
			for _, s := range last.Services {
				if !slices.ContainsFunc(out.Services, func(have schema.DeployedService) bool { return have.Name == s.Name }) {
					out.Services = append(out.Services, s)
				}
			}
		}
	}
	digest := map[string]compose.Inputs{}
	for service, in := range res.Inputs {
		out.Inputs[service] = in
	}
	for service, in := range out.Inputs {
		digest[service] = in
	}
	out.Digest = compose.Digest(digest)
	return out
}

// stackDo does a simple verb to a stack that is on the engine.
func (a *Agent) stackDo(ctx context.Context, j *Job, req schema.StackDoReq) (schema.StackDoResp, error) {
	if req.Verb == "pull" {
		return a.stackPull(ctx, j, req)
	}
	var resp schema.StackDoResp
	if err := a.notItself(ctx, req.Name, req.Project, req.Services); err != nil && req.Verb != "start" && req.Verb != "unpause" {
		return resp, err
	}
	j.touches()
	err := j.phase(ctx, req.Verb, func(ctx context.Context) (string, error) {
		var err error
		resp.Changed, resp.Warnings, err = a.deploy.Do(ctx, req.Project, compose.Action(req.Verb),
			compose.DoOptions{Services: req.Services, StopTimeout: req.StopTime, RemoveOrphans: req.Orphans}, j.out.add)
		return strings.Join(resp.Changed, ", "), err
	})
	return resp, err
}

func (a *Agent) stackPull(ctx context.Context, j *Job, req schema.StackDoReq) (schema.StackDoResp, error) {
	if req.Up == nil {
		return schema.StackDoResp{}, schema.Errorf(schema.Invalid, "pull of stack %q without its settings", req.Name)
	}
	d := &deployment{a: a, job: j, req: *req.Up}
	d.req.Services = req.Services
	if err := d.prepare(ctx); err != nil {
		return schema.StackDoResp{}, err
	}
	plan, err := d.read(ctx)
	if err != nil {
		return schema.StackDoResp{}, err
	}
	err = d.pull(ctx, plan)
	return schema.StackDoResp{Warnings: d.resp.Warnings}, err
}
