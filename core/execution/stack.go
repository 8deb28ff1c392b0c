package execution

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"berth/core/run"
	"berth/schema"
)

// DeployParams are the parameters of DeployStack and DeployStackIfChanged.
type DeployParams struct {
	Stack    string   `json:"stack" doc:"Name or id of the stack."`
	Services []string `json:"services,omitempty" doc:"Only these services; all when empty."`
	StopTime *int     `json:"stop_time,omitempty" doc:"Seconds a container gets to stop, instead of its own."`
	Commit   string   `json:"commit,omitempty" doc:"Commit to deploy, in full, instead of the newest of the branch."`
}

// maxAttempts bounds how often an interrupted deploy is taken up again.
const maxAttempts = 3

// DeployStack deploys a stack whatever the last deploy left; compose recreates
// only what changed.
func (d *Deps) DeployStack(ctx context.Context, r *run.Run) (run.Outcome, error) {
	return d.deploy(ctx, r, false)
}

// DeployStackIfChanged deploys a stack when something that feeds the deploy
// changed since the last good one, and records what, or that nothing did.
func (d *Deps) DeployStackIfChanged(ctx context.Context, r *run.Run) (run.Outcome, error) {
	return d.deploy(ctx, r, true)
}

// CoversDeploy reports whether a newer deploy does all that an older one would.
func CoversDeploy(newer, older json.RawMessage) bool {
	var n, o DeployParams
	if json.Unmarshal(newer, &n) != nil || json.Unmarshal(older, &o) != nil {
		return false
	}
	if len(n.Services) == 0 {
		return true
	}
	for _, s := range o.Services {
		if !slices.Contains(n.Services, s) {
			return false
		}
	}
	return len(o.Services) > 0
}

func (d *Deps) deploy(ctx context.Context, r *run.Run, ifChanged bool) (run.Outcome, error) {
	var p DeployParams
	if err := r.Params(&p); err != nil {
		return run.Outcome{}, err
	}
	rec := r.Record()
	st, err := d.Stacks.Stack(ctx, rec.Target.ID)
	if err != nil {
		return run.Outcome{}, err
	}
	if ok, why := st.Config.Admits(rec.Cause); !ok && len(rec.Steps) == 0 {
		dec := schema.Decision{What: "skip", Reason: why}
		return run.Outcome{Note: "skipped: " + why}, r.Note(ctx, run.Note{Decision: &dec})
	}
	server, err := d.server(ctx, "stack", st.Name, st.Config.ServerID)
	if err != nil {
		return run.Outcome{}, err
	}
	req, err := d.upRequest(ctx, r, st, server, p.Commit)
	if err != nil {
		return run.Outcome{}, fmt.Errorf("deploy stack %q: %w", st.Name, err)
	}
	req.Services, req.StopTime, req.IfChanged = p.Services, p.StopTime, ifChanged
	resp, err := d.up(ctx, r, server, req)
	if err != nil {
		d.spoil(ctx, r, st.ID, err)
		err = schema.Wrap(schema.CodeOf(err), err, "deploy stack %q", st.Name)
		if st.Config.RollbackOnFailure && schema.CodeOf(err) != schema.Canceled && schema.CodeOf(err) != schema.Superseded && ctx.Err() == nil {
			err = d.rollBack(ctx, r, server, req, err)
		}
		return run.Outcome{}, err
	}
	return d.deployed(ctx, r, st, resp)
}

// upRequest assembles the command; the commit of its sources is resolved first,
// unless one is named.
func (d *Deps) upRequest(ctx context.Context, r *run.Run, st schema.Resource[schema.StackConfig], server schema.Target, commit string) (schema.StackUpReq, error) {
	rec := r.Record()
	last, err := d.Stacks.Deployed(ctx, st.ID)
	if err != nil {
		return schema.StackUpReq{}, err
	}
	cfg := st.Config
	cfg.WebhookSecret = ""
	req := schema.StackUpReq{ID: st.ID, Name: st.Name, Number: rec.Number, Config: cfg, Last: last, Core: ownContainer()}
	wait := time.Duration(cfg.WaitTimeout) * time.Second
	switch inRepo := !cfg.FilesOnHost && (cfg.LinkedRepo != "" || cfg.Repo != ""); {
	case !inRepo && commit != "":
		return req, schema.Errorf(schema.Invalid, "commit %s: its files are in no repository", short(commit))
	case !inRepo:
	case cfg.LinkedRepo != "":
		repo, err := d.Repos.Repo(ctx, cfg.LinkedRepo)
		if err != nil {
			return req, schema.Wrap(schema.CodeOf(err), err, "linked repo")
		}
		rs := repoRequest(repo)
		rs.Reclone = cfg.Reclone
		rs.NoSecrets = rs.NoSecrets || cfg.SkipSecretInterp
		rs.Source.Commit = cmp.Or(commit, rs.Source.Commit)
		if rs.Source, err = d.commitFirst(ctx, r, server, rs.Source, wait); err != nil {
			return req, err
		}
		req.Repo = &rs
	case cfg.Repo != "":
		src := cfg.Git()
		src.Commit = cmp.Or(commit, src.Commit)
		if src, err = d.commitFirst(ctx, r, server, src, wait); err != nil {
			return req, err
		}
		req.Source = &src
	}
	return req, nil
}

// commitFirst puts the commit that is to be deployed into the source: the pinned
// one, the one the push announced, or what the branch stands at now.
func (d *Deps) commitFirst(ctx context.Context, r *run.Run, server schema.Target, src schema.GitSource, wait time.Duration) (schema.GitSource, error) {
	rec := r.Record()
	note := run.Note{}
	switch {
	case src.Commit != "":
		note.Commit = src.Commit
	case rec.Cause.Commit != "" && sameRepo(src.Repo, rec.Cause.Repo) && src.Branch == rec.Cause.Ref:
		src.Commit = rec.Cause.Commit
		note.Commit, note.Message = rec.Cause.Commit, rec.Cause.Message
	default:
		head, err := run.Do(ctx, r, run.Job{Step: "resolve commit", Server: server, Wait: wait}, schema.RepoResolve, schema.RepoResolveReq{Source: src})
		if err != nil {
			return src, schema.Wrap(schema.CodeOf(err), err, "look up branch %q of %s", src.Branch, src.Repo)
		}
		src.Commit = head.Commit
		note.Commit, note.Message = head.Commit, head.Message
	}
	return src, r.Note(ctx, note)
}

// sameRepo reports whether a source's repository is the one a push names: the
// source may be written as a whole address.
func sameRepo(source, pushed string) bool {
	trim := func(s string) string { return strings.ToLower(strings.TrimSuffix(strings.Trim(s, "/"), ".git")) }
	s, p := trim(source), trim(pushed)
	return p != "" && (s == p || strings.HasSuffix(s, "/"+p) || strings.HasSuffix(s, ":"+p))
}

// up sends the deploy. One that was interrupted on the agent is finished by a
// further attempt when nothing but compose was to be run.
func (d *Deps) up(ctx context.Context, r *run.Run, server schema.Target, req schema.StackUpReq) (schema.StackUpResp, error) {
	cfg := req.Config
	job := run.Job{
		Step: "deploy", Server: server, Key: "stack-" + req.ID,
		Timeout: time.Duration(cfg.DeployTimeout) * time.Second, Wait: time.Duration(cfg.WaitTimeout) * time.Second,
	}
	hooks := cfg.PreDeploy.Command != "" || cfg.PostDeploy.Command != ""
	for attempt := 1; ; attempt++ {
		if attempt > 1 {
			job.Step, req.Resume = fmt.Sprintf("deploy, attempt %d", attempt), true
		}
		resp, err := run.Do(ctx, r, job, schema.StackUp, req)
		if schema.CodeOf(err) != schema.Interrupted || hooks || attempt == maxAttempts {
			return resp, err
		}
	}
}

// rollBack deploys the commit of the last good deploy after a failed one. The
// error it returns tells of both.
func (d *Deps) rollBack(ctx context.Context, r *run.Run, server schema.Target, req schema.StackUpReq, failure error) error {
	tell := func(format string, args ...any) error {
		return schema.Errorf(schema.CodeOf(failure), "%s; %s", schema.SafeText(failure), fmt.Sprintf(format, args...))
	}
	source := req.Source
	if req.Repo != nil {
		source = &req.Repo.Source
	}
	switch last := req.Last; {
	case last == nil:
		return tell("nothing to roll back to: it was never deployed before")
	case source == nil || last.Commit == "":
		return tell("not rolled back: its files are in no repository")
	case source.Commit == last.Commit:
		return tell("not rolled back: the last good deploy was of the same commit %s", short(last.Commit))
	}
	failed := source.Commit
	back := *source
	back.Commit = req.Last.Commit
	if req.Repo != nil {
		repo := *req.Repo
		repo.Source = back
		req.Repo = &repo
	} else {
		req.Source = &back
	}
	req.IfChanged = false
	job := run.Job{
		Step: "roll back", Server: server, Key: "stack-" + req.ID,
		Timeout: time.Duration(req.Config.DeployTimeout) * time.Second, Wait: time.Duration(req.Config.WaitTimeout) * time.Second,
	}
	resp, err := run.Do(ctx, r, job, schema.StackUp, req)
	if err != nil {
		return tell("rolling back to %s failed as well: %s", short(back.Commit), schema.SafeText(err))
	}
	if dep := resp.Deployed; dep != nil {
		rec := r.Record()
		dep.Run, dep.Number, dep.Server, dep.Earlier = rec.ID, rec.Number, server.ID, req.Last.Earlier
		if dep.At == 0 {
			dep.At = time.Now().UnixMilli()
		}
		if err := d.Stacks.SaveDeployed(ctx, req.ID, dep); err != nil {
			return errors.Join(failure, fmt.Errorf("record roll back of stack %q: %w", req.Name, err))
		}
	}
	dec := schema.Decision{What: "roll back", Reason: fmt.Sprintf("%s did not come up: rolled back to %s", short(failed), short(back.Commit))}
	if err := r.Note(ctx, run.Note{Decision: &dec}); err != nil {
		return errors.Join(failure, err)
	}
	return tell("rolled back to %s", short(back.Commit))
}

// deployed records what a deploy decided and left behind.
func (d *Deps) deployed(ctx context.Context, r *run.Run, st schema.Resource[schema.StackConfig], resp schema.StackUpResp) (run.Outcome, error) {
	rec := r.Record()
	if err := r.Note(ctx, run.Note{Commit: resp.Commit.Commit, Message: resp.Commit.Message, Decision: &resp.Decision}); err != nil {
		return run.Outcome{}, err
	}
	if dep := resp.Deployed; dep != nil {
		dep.Run, dep.Number, dep.Server = rec.ID, rec.Number, rec.Step("deploy").Server.ID
		if dep.At == 0 {
			dep.At = time.Now().UnixMilli()
		}
		if last, err := d.Stacks.Deployed(ctx, st.ID); err == nil {
			dep.Earlier = earlier(last, dep)
		}
		if err := d.Stacks.SaveDeployed(ctx, st.ID, dep); err != nil {
			return run.Outcome{}, fmt.Errorf("record deploy of stack %q: %w", st.Name, err)
		}
	}
	note := resp.Decision.Reason
	if len(resp.Warnings) > 0 {
		note += " (" + strings.Join(resp.Warnings, "; ") + ")"
	}
	return run.Outcome{Note: note}, nil
}

// spoil remembers that what runs may not be what was deployed last, so that the
// next deploy does not take it for unchanged.
func (d *Deps) spoil(ctx context.Context, r *run.Run, stack string, cause error) {
	step := r.Record().Step("deploy")
	if step == nil || step.Fence == 0 || ctx.Err() != nil && schema.CodeOf(cause) == schema.Internal {
		return
	}
	tidy, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	last, err := d.Stacks.Deployed(tidy, stack)
	if err != nil || last == nil || last.Dirty != "" {
		return
	}
	last.Dirty = fmt.Sprintf("run #%d did not finish: %s", r.Record().Number, schema.SafeText(cause))
	_ = d.Stacks.SaveDeployed(tidy, stack, last) // at worst the next deploy compares with the last good one
}

// StackDoParams are the parameters of the simple stack actions.
type StackDoParams struct {
	Stack    string   `json:"stack" doc:"Name or id of the stack."`
	Services []string `json:"services,omitempty" doc:"Only these services; all when empty."`
	StopTime *int     `json:"stop_time,omitempty" doc:"Seconds a container gets to stop, instead of its own."`
	Orphans  bool     `json:"remove_orphans,omitempty" doc:"Also remove containers of services that the files no longer have."`
}

// StackVerb returns the body of StartStack, StopStack and their like.
func (d *Deps) StackVerb(verb string) run.Body {
	return func(ctx context.Context, r *run.Run) (run.Outcome, error) {
		st, err := d.Stacks.Stack(ctx, r.Record().Target.ID)
		if err != nil {
			return run.Outcome{}, err
		}
		server, err := d.server(ctx, "stack", st.Name, st.Config.ServerID)
		if err != nil {
			return run.Outcome{}, err
		}
		req, err := d.verbRequest(ctx, r, st, server, verb)
		if err != nil {
			return run.Outcome{}, schema.Wrap(schema.CodeOf(err), err, "%s stack %q", verb, st.Name)
		}
		resp, err := run.Do(ctx, r, run.Job{Step: verb, Server: server, Key: "stack-" + st.ID, Wait: time.Duration(st.Config.WaitTimeout) * time.Second}, schema.StackDo, req)
		if err != nil {
			return run.Outcome{}, schema.Wrap(schema.CodeOf(err), err, "%s stack %q", verb, st.Name)
		}
		if verb == "down" && len(req.Services) == 0 {
			if err := d.Stacks.SaveDeployed(ctx, st.ID, nil); err != nil {
				return run.Outcome{}, err
			}
		}
		note := fmt.Sprintf("%d containers", len(resp.Changed))
		if len(resp.Warnings) > 0 {
			note += " (" + strings.Join(resp.Warnings, "; ") + ")"
		}
		return run.Outcome{Note: note}, nil
	}
}

// verbRequest assembles the command of a simple verb.
func (d *Deps) verbRequest(ctx context.Context, r *run.Run, st schema.Resource[schema.StackConfig], server schema.Target, verb string) (schema.StackDoReq, error) {
	var p StackDoParams
	if err := r.Params(&p); err != nil {
		return schema.StackDoReq{}, err
	}
	req := schema.StackDoReq{ID: st.ID, Name: st.Name, Verb: verb, Services: p.Services, StopTime: p.StopTime, Orphans: p.Orphans}
	if verb == "pull" {
		up, err := d.upRequest(ctx, r, st, server, "")
		if err != nil {
			return req, err
		}
		req.Up = &up
	}
	last, err := d.Stacks.Deployed(ctx, st.ID)
	req.Project = projectOf(st, last)
	return req, err
}

// projectOf names the compose project of a stack: the one it was deployed as.
func projectOf(st schema.Resource[schema.StackConfig], last *schema.Deployed) string {
	switch {
	case last != nil && last.Project != "":
		return last.Project
	case st.Config.ProjectName != "":
		return st.Config.ProjectName
	}
	return st.Name
}
