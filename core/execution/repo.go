package execution

import (
	"context"
	"fmt"
	"time"

	"berth/core/run"
	"berth/schema"
)

// RepoParams are the parameters of PullRepo and CloneRepo.
type RepoParams struct {
	Repo string `json:"repo" doc:"Name or id of the repo."`
}

func repoRequest(repo schema.Resource[schema.RepoConfig]) schema.RepoSyncReq {
	c := repo.Config
	return schema.RepoSyncReq{
		Name: repo.Name, Path: c.Path, Source: c.Git(),
		OnClone: c.OnClone, OnPull: c.OnPull, Env: string(c.Environment), EnvFile: c.EnvFilePath, NoSecrets: c.SkipSecretInterp,
	}
}

// SyncRepo returns the body of PullRepo, or of CloneRepo, which begins afresh.
func (d *Deps) SyncRepo(clone bool) run.Body {
	return func(ctx context.Context, r *run.Run) (run.Outcome, error) {
		rec := r.Record()
		repo, err := d.Repos.Repo(ctx, rec.Target.ID)
		if err != nil {
			return run.Outcome{}, err
		}
		server, err := d.server(ctx, "repo", repo.Name, repo.Config.ServerID)
		if err != nil {
			return run.Outcome{}, err
		}
		req := repoRequest(repo)
		req.Clone, req.Reclone = clone, clone
		if req.Source, err = d.commitFirst(ctx, r, server, req.Source, 0); err != nil {
			return run.Outcome{}, fmt.Errorf("pull repo %q: %w", repo.Name, err)
		}
		resp, err := syncRepo(ctx, r, server, repo.ID, req)
		if err != nil {
			return run.Outcome{}, schema.Wrap(schema.CodeOf(err), err, "pull repo %q", repo.Name)
		}
		if err := d.Repos.SaveRepo(ctx, repo.ID, schema.RepoState{Cloned: resp.CommitInfo, PulledAt: time.Now().UnixMilli()}); err != nil {
			return run.Outcome{}, err
		}
		dec := schema.Decision{What: "unchanged", Reason: "already at " + short(resp.Commit)}
		switch {
		case resp.Cloned:
			dec = schema.Decision{What: "pull", Reason: "cloned at " + short(resp.Commit)}
		case resp.Before != resp.Commit:
			dec = schema.Decision{What: "pull", Reason: fmt.Sprintf("%s → %s, %d files", short(resp.Before), short(resp.Commit), len(resp.Changed)), Changes: resp.Changed}
		}
		if len(resp.Drift) > 0 {
			dec.Reason += fmt.Sprintf("; local edits of %d files were overwritten: %v", len(resp.Drift), resp.Drift)
		}
		if err := r.Note(ctx, run.Note{Commit: resp.Commit, Message: resp.Message, Decision: &dec}); err != nil {
			return run.Outcome{}, err
		}
		return run.Outcome{Note: dec.Reason}, nil
	}
}

// syncRepo sends the pull. One that was interrupted on the agent is made again when
// no command was to be run: bringing a clone to a commit twice does no harm.
func syncRepo(ctx context.Context, r *run.Run, server schema.Target, id string, req schema.RepoSyncReq) (schema.RepoSyncResp, error) {
	job := run.Job{Step: "sync", Server: server, Key: "repo-" + id}
	hooks := req.OnClone.Command != "" || req.OnPull.Command != ""
	for attempt := 1; ; attempt++ {
		if attempt > 1 {
			job.Step = fmt.Sprintf("sync, attempt %d", attempt)
		}
		resp, err := run.Do(ctx, r, job, schema.RepoSync, req)
		if schema.CodeOf(err) != schema.Interrupted || hooks || attempt == maxAttempts {
			return resp, err
		}
	}
}

func short(commit string) string {
	if len(commit) > 8 {
		return commit[:8]
	}
	return commit
}
