package execution

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"berth/core/run"
	"berth/schema"
)

// Builds finds builds and builders, and keeps what builds left behind.
type Builds interface {
	Build(ctx context.Context, id string) (schema.Resource[schema.BuildConfig], error)
	AllBuilds(ctx context.Context) ([]schema.Resource[schema.BuildConfig], error)
	Builder(ctx context.Context, id string) (schema.Resource[schema.BuilderConfig], error)
	BuildState(ctx context.Context, build string) (schema.BuildState, error) // zero when never built
	SaveBuildState(ctx context.Context, build string, s schema.BuildState) error
}

// BuildFleet knows the servers that builds may go to, and what runs of them.
type BuildFleet interface {
	AllServers(ctx context.Context) ([]schema.Resource[schema.ServerConfig], error)
	// IsOnline reports whether a server's agent is connected.
	IsOnline(server string) bool
	// Builds lists the builds that have not ended.
	BuildRuns(ctx context.Context) ([]*schema.Run, error)
	// Attached lists the deployments that run a build.
	Attached(ctx context.Context, build string) ([]Attached, error)
}

// Attached is a deployment that runs what a build makes.
type Attached struct {
	schema.Target
	Redeploy bool           // redeploy_on_build
	Version  schema.Version // exactly this one; 0.0.0 is the newest
	State    string         // of its container: running, exited, …; "" when it has none or nobody knows
}

// BuildParams are the parameters of RunBuild and CancelBuild.
type BuildParams struct {
	Build string `json:"build" doc:"Name or id of the build."`
}

// buildPlan is what a run of a build sets out to do.
type buildPlan struct {
	Place   place          `json:"place"`
	Version schema.Version `json:"version"`
	Before  schema.Version `json:"before"`
}

// RunBuild builds an image, pushes it, remembers its version, and deploys what is
// to be deployed after it. The version counts up only when all of the build
// succeeded; that a deployment fails afterwards is a warning.
func (d *Deps) RunBuild(ctx context.Context, r *run.Run) (run.Outcome, error) {
	b, err := d.Builds.Build(ctx, r.Record().Target.ID)
	if err != nil {
		return run.Outcome{}, err
	}
	plan, err := d.planBuild(ctx, r, b)
	if err != nil {
		return run.Outcome{}, schema.Wrap(schema.CodeOf(err), err, "build %q", b.Name)
	}
	req, err := d.buildRequest(ctx, r, b, plan)
	if err != nil {
		return run.Outcome{}, schema.Wrap(schema.CodeOf(err), err, "build %q", b.Name)
	}
	resp, err := doBuild(ctx, r, plan, req)
	if err != nil {
		return run.Outcome{}, schema.Wrap(schema.CodeOf(err), err, "build %q", b.Name)
	}
	return d.built(ctx, r, b, plan, req, resp)
}

// planBuild decides, once, where it is built and as which version.
func (d *Deps) planBuild(ctx context.Context, r *run.Run, b schema.Resource[schema.BuildConfig]) (buildPlan, error) {
	d.placing.Lock() // two that begin at once count each other
	defer d.placing.Unlock()
	return run.Plan(ctx, r, func(ctx context.Context) (buildPlan, error) {
		where, err := d.place(ctx, r, b.Config.BuilderID)
		if err != nil {
			return buildPlan{}, err
		}
		state, err := d.Builds.BuildState(ctx, b.ID)
		return buildPlan{Place: where, Version: b.Config.NextVersion(state), Before: b.Config.CurrentVersion(state)}, err
	})
}

// buildRequest assembles the command; the commit of its sources is resolved first.
func (d *Deps) buildRequest(ctx context.Context, r *run.Run, b schema.Resource[schema.BuildConfig], plan buildPlan) (schema.BuildRunReq, error) {
	cfg := b.Config
	cfg.WebhookSecret = ""
	req := schema.BuildRunReq{
		ID: b.ID, Name: b.Name, Config: cfg, Version: plan.Version, Before: plan.Before, Images: cfg.ImageNames(b.Name),
	}
	var src schema.GitSource
	switch cfg.Source() {
	case schema.SourceLinked:
		repo, err := d.Repos.Repo(ctx, cfg.LinkedRepo)
		if err != nil {
			return req, schema.Wrap(schema.CodeOf(err), err, "linked repo")
		}
		src = repoRequest(repo).Source
	case schema.SourceRepo:
		src = cfg.Git()
	case schema.SourceHost:
		req.Tags = cfg.Tags(plan.Version, "")
		return req, decideBuild(ctx, r, plan, "files on the builder")
	case schema.SourceInline:
		req.Tags = cfg.Tags(plan.Version, "")
		return req, decideBuild(ctx, r, plan, "the Dockerfile written in Berth")
	}
	src, err := d.commitFirst(ctx, r, plan.Place.Server, src, 0)
	if err != nil {
		return req, err
	}
	req.Source, req.Tags = &src, cfg.Tags(plan.Version, src.Commit)
	return req, decideBuild(ctx, r, plan, fmt.Sprintf("commit %s of %s", short(src.Commit), src.Branch))
}

// decideBuild records what is built, from what, and where.
func decideBuild(ctx context.Context, r *run.Run, plan buildPlan, what string) error {
	return r.Note(ctx, run.Note{Decision: &schema.Decision{
		What: "build", Reason: fmt.Sprintf("%s, version %s, on %s", what, plan.Version, plan.Place.Why),
	}})
}

// doBuild sends the build. One that was interrupted on the agent is begun anew,
// unless a command of the user's would run twice.
func doBuild(ctx context.Context, r *run.Run, plan buildPlan, req schema.BuildRunReq) (schema.BuildRunResp, error) {
	job := run.Job{Step: "build", Server: plan.Place.Server, Key: "build-" + req.ID}
	for attempt := 1; ; attempt++ {
		if attempt > 1 {
			job.Step = fmt.Sprintf("build, attempt %d", attempt)
		}
		resp, err := run.Do(ctx, r, job, schema.BuildRun, req)
		if schema.CodeOf(err) != schema.Interrupted || req.Config.PreBuild.Command != "" || attempt == maxAttempts {
			return resp, err
		}
	}
}

// built remembers what a build made, and deploys after it.
func (d *Deps) built(
	ctx context.Context, r *run.Run, b schema.Resource[schema.BuildConfig], plan buildPlan, req schema.BuildRunReq, resp schema.BuildRunResp,
) (run.Outcome, error) {
	rec := r.Record()
	if err := r.Note(ctx, run.Note{Commit: resp.Commit.Commit, Message: resp.Commit.Message}); err != nil {
		return run.Outcome{}, err
	}
	state, err := d.Builds.BuildState(ctx, b.ID)
	if err != nil {
		return run.Outcome{}, err
	}
	if state.Run != rec.ID { // else it is taken up again after that
		digest := resp.Digest
		if digest == "" {
			digest = resp.ID
		}
		past := append([]schema.MadeVersion{{Version: plan.Version, At: time.Now().UnixMilli()}}, state.Past...)
		err := d.Builds.SaveBuildState(ctx, b.ID, schema.BuildState{
			Version: plan.Version, Declared: req.Config.Version, Commit: resp.Commit.Commit, Message: resp.Commit.Message,
			Image: req.Images[0].Name, Digest: digest, Run: rec.ID, BuiltAt: past[0].At, Server: plan.Place.Server.ID,
			Past:   past[:min(len(past), schema.MaxPast)],
			Pushed: slices.ContainsFunc(resp.Pushed, func(ref string) bool { return strings.HasPrefix(ref, req.Images[0].Name+":") }),
		})
		if err != nil {
			return run.Outcome{}, fmt.Errorf("record build %q: %w", b.Name, err)
		}
	}
	note := fmt.Sprintf("%s, %d of %d steps cached", resp.Refs[0], resp.Cached, resp.Steps)
	if len(req.Tags) > 0 {
		note = fmt.Sprintf("%s:{%s}, %d of %d steps cached", req.Images[0].Name, strings.Join(req.Tags, ","), resp.Cached, resp.Steps)
	}
	if len(resp.Pushed) == 0 {
		note += ", not pushed"
	}
	for _, w := range resp.Warnings {
		note += "; " + w
	}
	out, err := d.redeploy(ctx, r, b, plan.Version)
	if out.Note != "" {
		note += "; " + out.Note
	}
	return run.Outcome{State: out.State, Note: note}, err
}

// redeploy deploys the deployments that want it after the build. Those that are
// left alone are named, with the reason, in the decision.
func (d *Deps) redeploy(ctx context.Context, r *run.Run, b schema.Resource[schema.BuildConfig], v schema.Version) (run.Outcome, error) {
	rec := r.Record()
	list, err := d.Fleet.Attached(ctx, b.ID)
	if err != nil || len(list) == 0 {
		return run.Outcome{}, err
	}
	dec := schema.Decision{What: "build"}
	if rec.Decision != nil {
		dec = *rec.Decision
	}
	dec.Services, dec.Changes = nil, nil
	var todo []Attached
	for _, a := range list {
		why := a.resting(v)
		if rec.Step("Deploy "+a.Name) != nil { // begun before core was restarted
			why = ""
		}
		if why == "" {
			todo = append(todo, a)
			dec.Services = append(dec.Services, a.Name)
			why = "deployed again"
		}
		dec.Changes = append(dec.Changes, fmt.Sprintf("deployment %s: %s", a.Name, why))
	}
	dec.Reason += fmt.Sprintf("; %d of %d deployments are deployed again", len(todo), len(list))
	if err := r.Note(ctx, run.Note{Decision: &dec}); err != nil {
		return run.Outcome{}, err
	}
	t := &tally{}
	var g errgroup.Group
	for _, a := range todo {
		g.Go(func() error { return deployAfter(ctx, r, a, t) })
	}
	if err := g.Wait(); err != nil {
		return run.Outcome{}, err
	}
	switch {
	case len(t.failed) > 0:
		return run.Outcome{State: schema.StateWarning, Note: "deploy after the build: " + schema.SafeText(t.err())}, nil
	case len(todo) > 0:
		return run.Outcome{Note: "deployed " + strings.Join(dec.Services, ", ")}, nil
	}
	return run.Outcome{}, nil
}

// resting says why a deployment is not deployed after a build; "" when it is.
func (a Attached) resting(v schema.Version) string {
	switch {
	case !a.Redeploy:
		return "redeploy_on_build is false"
	case !a.Version.IsZero() && a.Version != v:
		return "it stays at version " + a.Version.String()
	case a.State == "":
		return "it is not deployed, or its server is away"
	case a.State == "exited":
		return "it is stopped"
	}
	return ""
}

func deployAfter(ctx context.Context, r *run.Run, a Attached, t *tally) error {
	rec := r.Record()
	params, err := json.Marshal(map[string]string{"deployment": a.ID})
	if err != nil {
		return err
	}
	child, err := r.Child(ctx, "Deploy "+a.Name, run.StartReq{
		Action: "Deploy", Target: a.Target, Params: params, Cause: rec.Cause,
		Actor: schema.Actor{Kind: "build", ID: rec.Target.ID, Name: rec.Target.Name},
	})
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		child = &schema.Run{State: schema.StateFailed, Problem: schema.ProblemOf(err)}
	}
	t.count(a.Name, child)
	return nil
}

// Cancel returns the body of an action that ends the runs of another one on the
// same target.
func (d *Deps) Cancel(kind, action string) run.Body {
	return func(ctx context.Context, r *run.Run) (run.Outcome, error) {
		n, err := r.CancelOthers(ctx, schema.RunFilter{Kind: kind, Target: r.Record().Target.ID, Action: action, Pending: true, Limit: 1000}, "")
		if err != nil {
			return run.Outcome{}, err
		}
		if n == 0 {
			return run.Outcome{State: schema.StateWarning, Note: "nothing was running"}, nil
		}
		return run.Outcome{Note: fmt.Sprintf("canceled %d", n)}, nil
	}
}

// BuiltImage is what a deployment of a build runs.
type BuiltImage struct {
	Ref     string // name:tag
	Domain  string // of the registry; "" when it is only on the builder
	Account string // that may pull it
	Version schema.Version
	Digest  string // of the newest version
	Server  string // id of the server that built it
	Pushed  bool   // it can be pulled from the registry
}

// BuiltImage resolves what a deployment of a build runs: its newest version, or
// exactly the one that is asked for. NotFound when there is no such image.
func (d *Deps) BuiltImage(ctx context.Context, build string, v schema.Version) (BuiltImage, error) {
	b, err := d.Builds.Build(ctx, build)
	if err != nil {
		return BuiltImage{}, err
	}
	s, err := d.Builds.BuildState(ctx, b.ID)
	if err != nil {
		return BuiltImage{}, err
	}
	tag := b.Config.DeployTag(v, s)
	switch {
	case tag == "" && s.BuiltAt == 0:
		return BuiltImage{}, schema.Errorf(schema.NotFound, "build %q has made no image yet: run it first", b.Name)
	case tag == "":
		return BuiltImage{}, schema.Errorf(schema.NotFound, "build %q has no tag for version %s: set include_version_tags, or deploy the newest version", b.Name, v)
	}
	image := b.Config.ImageNames(b.Name)[0]
	out := BuiltImage{Ref: image.Name + ":" + tag, Domain: image.Domain, Account: image.Account, Version: v, Server: s.Server, Pushed: image.Domain != ""}
	if v.IsZero() || v == s.Version {
		out.Version, out.Digest, out.Pushed = s.Version, s.Digest, s.Pushed
	}
	return out, nil
}
