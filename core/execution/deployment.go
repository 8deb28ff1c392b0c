package execution

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/distribution/reference"

	"berth/core/run"
	"berth/schema"
)

// Singles knows deployments and their containers.
type Singles interface {
	Deployment(ctx context.Context, id string) (schema.Resource[schema.DeploymentConfig], error)
	AllDeployments(ctx context.Context) ([]schema.Resource[schema.DeploymentConfig], error)
	// DeploymentState returns what the last deploy left behind; nil for none.
	DeploymentState(ctx context.Context, id string) (*schema.Deployed, error)
	SaveDeploymentState(ctx context.Context, id string, d *schema.Deployed) error // nil forgets
	// DeploymentContainers names the containers of the deployments of a server.
	DeploymentContainers(ctx context.Context, server string) ([]string, error)
}

// DeployOneParams are the parameters of Deploy.
type DeployOneParams struct {
	Deployment string        `json:"deployment" doc:"Name or id of the deployment."`
	StopSignal schema.Signal `json:"stop_signal,omitempty" doc:"Signal that ends the container before: SIGHUP, SIGINT, SIGQUIT or SIGTERM."`
	StopTime   *int          `json:"stop_time,omitempty" doc:"Seconds until the container before is killed."`
	Force      bool          `json:"force,omitempty" doc:"Replace the container even if nothing changed."`
	Adopt      bool          `json:"adopt,omitempty" doc:"Replace a container of that name that Berth did not make."`
}

// OneParams are the parameters of PullDeployment and its like.
type OneParams struct {
	Deployment string `json:"deployment" doc:"Name or id of the deployment."`
}

// StopOneParams are the parameters of StopDeployment and DestroyDeployment.
type StopOneParams struct {
	Deployment string        `json:"deployment" doc:"Name or id of the deployment."`
	Signal     schema.Signal `json:"signal,omitempty" doc:"Signal that is sent instead of termination_signal: SIGHUP, SIGINT, SIGQUIT or SIGTERM."`
	Time       *int          `json:"time,omitempty" doc:"Seconds until the container is killed, instead of termination_timeout."`
}

// CoversDeployOne reports whether a newer deploy does all that an older one would.
func CoversDeployOne(newer, older json.RawMessage) bool {
	var n, o DeployOneParams
	if json.Unmarshal(newer, &n) != nil || json.Unmarshal(older, &o) != nil {
		return false
	}
	return (n.Force || !o.Force) && (n.Adopt || !o.Adopt)
}

// Deploy puts a deployment's container in the place of the one before, when its
// settings, secrets or image changed or it does not run.
func (d *Deps) Deploy(ctx context.Context, r *run.Run) (run.Outcome, error) {
	var p DeployOneParams
	if err := r.Params(&p); err != nil {
		return run.Outcome{}, err
	}
	dp, server, err := d.single(ctx, r)
	if err != nil {
		return run.Outcome{}, err
	}
	if p.StopTime != nil && *p.StopTime < 0 {
		return run.Outcome{}, schema.Errorf(schema.Invalid, "deploy %q: stop_time is %d: give seconds, 0 or more", dp.Name, *p.StopTime)
	}
	req, err := d.oneRequest(ctx, dp)
	if err != nil {
		return run.Outcome{}, schema.Wrap(schema.CodeOf(err), err, "deploy %q", dp.Name)
	}
	req.Force, req.Adopt, req.Signal, req.StopTime = p.Force, p.Adopt, string(p.StopSignal), p.StopTime
	resp, err := attempts(ctx, r, run.Job{Step: "deploy", Server: server, Key: "deployment-" + dp.ID}, schema.DeploymentUp, req)
	if err != nil {
		if _, how, ok := strings.Cut(schema.SafeText(err), "\nrolled back: "); ok {
			dec := schema.Decision{What: "rolled back", Reason: how}
			if nerr := r.Note(ctx, run.Note{Decision: &dec}); nerr != nil {
				return run.Outcome{}, nerr
			}
		}
		return run.Outcome{}, schema.Wrap(schema.CodeOf(err), err, "deploy %q", dp.Name)
	}
	return d.deployedOne(ctx, r, dp, server, req.Last, resp)
}

// single returns the deployment of a run and where it belongs.
func (d *Deps) single(ctx context.Context, r *run.Run) (dp schema.Resource[schema.DeploymentConfig], server schema.Target, err error) {
	if dp, err = d.Singles.Deployment(ctx, r.Record().Target.ID); err != nil {
		return dp, server, err
	}
	if dp.Config.SwarmID != "" {
		return dp, server, schema.Errorf(schema.Unsupported, "deployment %q is set to a swarm, which this version does not serve: set `server` and empty `swarm`", dp.Name)
	}
	server, err = d.server(ctx, "deployment", dp.Name, dp.Config.ServerID)
	return dp, server, err
}

// oneRequest assembles the command: which image it runs is resolved here.
func (d *Deps) oneRequest(ctx context.Context, dp schema.Resource[schema.DeploymentConfig]) (schema.DeploymentUpReq, error) {
	cfg := dp.Config
	req := schema.DeploymentUpReq{ID: dp.ID, Name: dp.Name, Config: cfg, RegistryAccount: cfg.ImageRegistryAccount, Core: ownContainer()}
	var err error
	if req.Last, err = d.Singles.DeploymentState(ctx, dp.ID); err != nil {
		return req, err
	}
	switch {
	case cfg.Image.Type == "Build" && cfg.Image.Build != nil && cfg.Image.Build.BuildID != "":
		built, err := d.BuiltImage(ctx, cfg.Image.Build.BuildID, cfg.Image.Build.Version)
		if err != nil {
			return req, err
		}
		req.Image, req.Local = built.Ref, !built.Pushed
		req.RegistryProvider, req.RegistryAccount = built.Domain, cmp.Or(cfg.ImageRegistryAccount, built.Account)
	case cfg.Image.Image != nil:
		req.Image = strings.TrimSpace(cfg.Image.Image.Image)
	}
	if req.Image == "" {
		return req, schema.Errorf(schema.Invalid, "there is no image: set `image`")
	}
	named, err := reference.ParseNormalizedNamed(req.Image)
	if err != nil {
		return req, schema.Errorf(schema.Invalid, "image %q is no name of an image: %v", req.Image, err)
	}
	if req.RegistryProvider == "" && req.RegistryAccount != "" {
		req.RegistryProvider = reference.Domain(named)
	}
	return req, nil
}

// attempts sends work that is begun anew when an agent was interrupted in it: what
// it left half way has been finished or taken back by then.
func attempts[Req, Resp any](ctx context.Context, r *run.Run, job run.Job, verb schema.Job[Req, Resp], req Req) (Resp, error) {
	step := job.Step
	for attempt := 1; ; attempt++ {
		if attempt > 1 {
			job.Step = fmt.Sprintf("%s, attempt %d", step, attempt)
		}
		resp, err := run.Do(ctx, r, job, verb, req)
		if schema.CodeOf(err) != schema.Interrupted || attempt == maxAttempts {
			return resp, err
		}
	}
}

// deployedOne records what a deploy decided and left behind.
func (d *Deps) deployedOne(
	ctx context.Context, r *run.Run, dp schema.Resource[schema.DeploymentConfig], server schema.Target, last *schema.Deployed, resp schema.DeploymentUpResp,
) (run.Outcome, error) {
	rec := r.Record()
	if err := r.Note(ctx, run.Note{Decision: &resp.Decision}); err != nil {
		return run.Outcome{}, err
	}
	if last != nil && last.Server != "" && last.Server != server.ID {
		resp.Warnings = append(resp.Warnings, fmt.Sprintf("container %q of the deploy before is on another server%s: remove it there with DestroyContainer", last.Project, d.nameOf(ctx, last.Server)))
	}
	if dep := resp.Deployed; dep != nil {
		dep.Run, dep.Number, dep.Server = rec.ID, rec.Number, server.ID
		dep.Earlier = earlier(last, dep)
		if err := d.Singles.SaveDeploymentState(ctx, dp.ID, dep); err != nil {
			return run.Outcome{}, fmt.Errorf("record deploy of %q: %w", dp.Name, err)
		}
	}
	note := resp.Decision.Reason
	if resp.Decision.What == unchanged {
		note = "unchanged: " + note
	}
	if len(resp.Warnings) > 0 {
		note += " (" + strings.Join(resp.Warnings, "; ") + ")"
	}
	return run.Outcome{Note: note}, nil
}

func (d *Deps) nameOf(ctx context.Context, server string) string {
	s, err := d.Resources.Server(ctx, server)
	if err != nil {
		return ", which is no more"
	}
	return fmt.Sprintf(" (%s)", s.Name)
}

// DeploymentVerb returns the body of StartDeployment and its like.
func (d *Deps) DeploymentVerb(verb string) run.Body {
	return func(ctx context.Context, r *run.Run) (run.Outcome, error) {
		dp, server, err := d.single(ctx, r)
		if err != nil {
			return run.Outcome{}, err
		}
		req, err := d.oneVerb(ctx, r, dp, verb)
		if err != nil {
			return run.Outcome{}, schema.Wrap(schema.CodeOf(err), err, "%s deployment %q", verb, dp.Name)
		}
		resp, err := attempts(ctx, r, run.Job{Step: verb, Server: server, Key: "deployment-" + dp.ID}, schema.DeploymentDo, req)
		if err != nil {
			return run.Outcome{}, schema.Wrap(schema.CodeOf(err), err, "%s deployment %q", verb, dp.Name)
		}
		if verb == schema.ContainerDestroy {
			if err := d.Singles.SaveDeploymentState(ctx, dp.ID, nil); err != nil && schema.CodeOf(err) != schema.NotFound {
				return run.Outcome{}, err
			}
		}
		dec := engineDecision(verb, resp)
		return run.Outcome{Note: dec.Reason}, r.Note(ctx, run.Note{Decision: &dec})
	}
}

// oneVerb assembles the command of a verb.
func (d *Deps) oneVerb(ctx context.Context, r *run.Run, dp schema.Resource[schema.DeploymentConfig], verb string) (schema.DeploymentDoReq, error) {
	req := schema.DeploymentDoReq{ID: dp.ID, Name: dp.Config.Container(dp.Name), Verb: verb, Core: ownContainer()}
	if last, err := d.Singles.DeploymentState(ctx, dp.ID); err != nil {
		return req, err
	} else if last != nil && last.Project != "" {
		req.Name = last.Project
	}
	switch verb {
	case schema.DeploymentPull:
		up, err := d.oneRequest(ctx, dp)
		req.Up = &up
		return req, err
	case schema.ContainerStop, schema.ContainerDestroy:
		var p StopOneParams
		if err := r.Params(&p); err != nil {
			return req, err
		}
		if p.Time != nil && *p.Time < 0 {
			return req, schema.Errorf(schema.Invalid, "time is %d: give seconds, 0 or more", *p.Time)
		}
		req.Signal = cmp.Or(string(p.Signal), dp.Config.TerminationSignal)
		if req.StopTime = p.Time; req.StopTime == nil {
			req.StopTime = &dp.Config.TerminationTimeout
		}
	}
	return req, nil
}
