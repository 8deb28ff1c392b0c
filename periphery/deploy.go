package periphery

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/dotenv"

	"berth/periphery/compose"
	"berth/periphery/process"
	"berth/periphery/secrets"
	"berth/schema"
)

// preDeploy is the stack's command without the decryption script, which Berth
// does itself, and whether the script was in it.
func preDeploy(c schema.StackConfig) (rest string, script bool) {
	return process.WithoutSopsScript(string(c.PreDeploy.Command))
}

// execEnv is the one wrapper around compose that has a meaning without a command
// line: variables from a sops file.
var execEnv = regexp.MustCompile(`^\s*sops\s+exec-env\s+(\S+)\s+['"]\[\[COMPOSE_COMMAND\]\]['"]\s*$`) //nolint:gochecknoglobals // a constant

// wrapper understands `sops exec-env FILE '[[COMPOSE_COMMAND]]'` and refuses other
// wrappers: there is no compose command to wrap.
func (d *deployment) wrapper() error {
	text := strings.TrimSpace(d.req.Config.ComposeCmdWrapper)
	if text == "" {
		return nil
	}
	m := execEnv.FindStringSubmatch(text)
	if m == nil {
		return schema.Errorf(schema.Unsupported, "compose_cmd_wrapper: Berth runs no compose command that could be wrapped; only `sops exec-env FILE '[[COMPOSE_COMMAND]]'` is understood: remove it, or put secrets into a .sops.env file")
	}
	keys, err := d.a.keys()
	if err != nil {
		return err
	}
	path := under(d.dir, m[1])
	data, err := secrets.Read(path)
	if err != nil {
		return err
	}
	content, err := keys.Reveal(path, data)
	if err != nil {
		return err
	}
	d.job.mask.AddValues(content.Values)
	vars, err := dotenv.UnmarshalBytesWithLookup(content.Plain, nil)
	if err != nil {
		return schema.Errorf(schema.Invalid, "read %s: its plain text is no list of variables", path)
	}
	if d.spec.Environment == nil {
		d.spec.Environment = map[string]string{}
	}
	for k, v := range vars {
		if _, set := d.spec.Environment[k]; !set {
			d.spec.Environment[k] = v
		}
	}
	return nil
}

// decide loads the project and, for a deploy that is only wanted when something
// changed, finds out what did. done says that nothing is to be deployed.
func (d *deployment) decide(ctx context.Context) (plan *compose.Plan, done bool, err error) {
	err = d.job.phase(ctx, "config", func(ctx context.Context) (string, error) {
		if plan, err = d.load(ctx); err != nil {
			return "", err
		}
		return strings.Join(plan.Services(), ", "), nil
	})
	if err != nil {
		return nil, false, err
	}
	if !d.req.IfChanged {
		d.resp.Decision = schema.Decision{What: "deploy", Reason: "asked for", Services: d.req.Services}
		return plan, false, nil
	}
	return d.compare(ctx, plan)
}

// load loads the project. Its files may be made by pre_deploy: then that runs
// first.
func (d *deployment) load(ctx context.Context) (*compose.Plan, error) {
	plan, err := d.a.deploy.Load(ctx, d.spec)
	if err == nil || d.req.Config.PreDeploy.Command == "" {
		return plan, err
	}
	if herr := d.hook(ctx, "pre_deploy", d.req.Config.PreDeploy); herr != nil {
		return nil, herr
	}
	d.req.Config.PreDeploy.Command = "" // has run
	return d.a.deploy.Load(ctx, d.spec)
}

func (d *deployment) compare(ctx context.Context, plan *compose.Plan) (*compose.Plan, bool, error) {
	if d.spec.Pull {
		if err := d.pull(ctx, plan); err != nil {
			return nil, false, err
		}
	}
	now, err := plan.Inputs(ctx)
	if err != nil {
		return nil, false, schema.Wrap(schema.CodeOf(err), err, "find out what changed")
	}
	dec, err := d.verdict(ctx, plan, now)
	if err != nil {
		return nil, false, err
	}
	d.resp.Decision = dec
	d.job.line("decision: %s: %s", dec.What, dec.Reason)
	return plan, dec.What == "unchanged", nil
}

// verdict compares with the last success, and with what is on the engine.
func (d *deployment) verdict(ctx context.Context, plan *compose.Plan, now map[string]compose.Inputs) (schema.Decision, error) {
	dec := schema.Decision{What: "deploy"}
	last := d.req.Last
	switch {
	case last == nil:
		dec.Reason = "never deployed before"
		return dec, nil
	case last.Dirty != "":
		dec.Reason = last.Dirty
		return dec, nil
	case last.Project != plan.Project():
		dec.Reason = fmt.Sprintf("project was %q", last.Project)
		return dec, nil
	}
	for _, c := range plan.Compare(inputs(last.Inputs), now) {
		dec.Changes = append(dec.Changes, c.Text)
		if c.Service != "" && !slices.Contains(dec.Services, c.Service) {
			dec.Services = append(dec.Services, c.Service)
		}
	}
	if len(dec.Changes) > 0 {
		dec.Reason = strings.Join(dec.Changes[:min(3, len(dec.Changes))], ", ")
		if more := len(dec.Changes) - 3; more > 0 {
			dec.Reason += fmt.Sprintf(" and %d more", more)
		}
		return dec, nil
	}
	missing, err := d.missing(ctx, plan, last)
	if err != nil {
		return dec, err
	}
	if len(missing) > 0 {
		dec.Reason, dec.Services = "no container of "+strings.Join(missing, ", "), missing
		return dec, nil
	}
	return schema.Decision{What: "unchanged", Reason: fmt.Sprintf("nothing that feeds it changed since run #%d", last.Number)}, nil
}

// missing lists services that were deployed and have no container now.
func (d *deployment) missing(ctx context.Context, plan *compose.Plan, last *schema.Deployed) ([]string, error) {
	state, err := d.a.deploy.State(ctx, plan.Project())
	if err != nil {
		return nil, err
	}
	var out []string
	for _, s := range last.Services {
		if s.Container != "" && slices.Contains(plan.Services(), s.Name) && !slices.ContainsFunc(state, func(h compose.Service) bool { return h.Name == s.Name }) {
			out = append(out, s.Name)
		}
	}
	return out, nil
}

func (d *deployment) pull(ctx context.Context, plan *compose.Plan) error {
	phases, warnings, err := d.a.deploy.Pull(ctx, plan, d.job.out.add)
	d.job.took(phases)
	d.resp.Warnings = append(d.resp.Warnings, warnings...)
	return err
}

// up runs the commands and compose's up, and says what is deployed now.
func (d *deployment) up(ctx context.Context, plan *compose.Plan) error {
	cfg := d.req.Config
	if err := d.hook(ctx, "pre_deploy", cfg.PreDeploy); err != nil {
		return err
	}
	if cfg.PreDeploy.Command != "" { // it may have changed the files
		pulled := d.spec.Pull && d.req.IfChanged
		d.spec.Pull = d.spec.Pull && !pulled
		var err error
		if plan, err = d.a.deploy.Load(ctx, d.spec); err != nil {
			return err
		}
	}
	res, err := d.a.deploy.Up(ctx, plan, d.job.out.add)
	d.job.took(res.Phases)
	d.resp.Recreated = res.Recreated
	d.resp.Warnings = append(d.resp.Warnings, res.Warnings...)
	if err != nil {
		return err
	}
	d.resp.Deployed = d.deployed(plan, res)
	if d.resp.Decision.Reason == "asked for" {
		d.resp.Decision.Reason = "asked for: " + recreated(res)
	}
	return d.hook(ctx, "post_deploy", cfg.PostDeploy)
}

func recreated(res compose.Result) string {
	if len(res.Recreated) == 0 {
		return "every container was up to date"
	}
	return "new containers " + strings.Join(res.Recreated, ", ")
}

func (d *deployment) hook(ctx context.Context, name string, cmd schema.SystemCommand) error {
	return d.a.hook(ctx, d.job, d.know, hook{name, d.dir, cmd, d.req.Config.SkipSecretInterp})
}

// deployed is what the next deploy compares with. A deploy of some services keeps
// what is known of the others.
func (d *deployment) deployed(plan *compose.Plan, res compose.Result) *schema.Deployed {
	all := map[string]map[string]string{}
	services := slices.Clone(res.Services)
	if len(d.req.Services) > 0 && d.req.Last != nil {
		for name, in := range d.req.Last.Inputs {
			all[name] = in
		}
		for _, s := range d.req.Last.Services {
			if !slices.ContainsFunc(services, func(have schema.DeployedService) bool { return have.Name == s.Name }) {
				services = append(services, s)
			}
		}
	}
	for name, in := range res.Inputs {
		all[name] = in
	}
	return &schema.Deployed{
		At: time.Now().UnixMilli(), Project: plan.Project(), Commit: d.resp.Commit.Commit, Message: d.resp.Commit.Message,
		Services: services, Digest: compose.Digest(inputs(all)), Inputs: all,
	}
}

// stackLook tells, after a crash, whether the deploy had come to its end: all
// services of it run containers that this very run made or found good.
func (a *Agent) stackLook(ctx context.Context, req schema.StackUpReq) (*schema.StackUpResp, string, error) {
	project := req.Config.ProjectName
	if project == "" {
		project = req.Name
	}
	state, err := a.deploy.State(ctx, project)
	if err != nil {
		return nil, "", err
	}
	if len(state) == 0 {
		return nil, fmt.Sprintf("project %q has no containers", project), nil
	}
	words := make([]string, len(state))
	for i, s := range state {
		words[i] = s.Name + " " + s.State
	}
	return nil, "found " + strings.Join(words, ", "), nil
}

// stackDo does a simple verb to a stack that is on the engine.
func (a *Agent) stackDo(ctx context.Context, j *Job, req schema.StackDoReq) (schema.StackDoResp, error) {
	if req.Verb == "pull" {
		return a.stackPull(ctx, j, req)
	}
	var resp schema.StackDoResp
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
	d.spec.Pull = true
	plan, err := d.load(ctx)
	if err != nil {
		return schema.StackDoResp{}, err
	}
	return schema.StackDoResp{Warnings: d.resp.Warnings}, d.pull(ctx, plan)
}
