package periphery

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"berth/bus"
	"berth/periphery/git"
	"berth/periphery/process"
	"berth/schema"
)

// folder is the folder name of a resource (reference: resources.md §1.4).
func folder(name string) string {
	return strings.NewReplacer(" ", "_", "\n", "_", "/", "_").Replace(strings.TrimSpace(name))
}

// under joins p onto base; an absolute p replaces it.
func under(base, p string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(base, p)
}

func (a *Agent) repoDir(req schema.RepoSyncReq) string {
	return under(filepath.Join(a.cfg.Data, "repos", folder(req.Name)), req.Path)
}

// known is what core told of variables and accounts for one command.
type known struct {
	schema.SecretsResp
	job *Job
}

// ask fetches what the texts and sources of a command name; nothing is asked when
// they name nothing.
func (j *Job) learn(ctx context.Context, texts []string, n needs) (*known, error) {
	for _, t := range texts {
		names, err := schema.Placeholders(t)
		if err != nil {
			return nil, err
		}
		n.names = append(n.names, names...)
	}
	k := &known{job: j}
	if len(n.names)+len(n.git)+len(n.registry) == 0 {
		return k, nil
	}
	var err error
	k.SecretsResp, err = j.ask(ctx, n)
	return k, err
}

// gitNeeds says what a source needs to be fetched.
func gitNeeds(n *needs, s *schema.GitSource) {
	if s == nil {
		return
	}
	if s.Account != "" {
		n.git = append(n.git, schema.AccountRef{Provider: s.Provider, Account: s.Account})
	}
	if s.SSHKey != "" {
		n.names = append(n.names, s.SSHKey)
	}
	if names, err := schema.Placeholders(s.KnownHosts); err == nil {
		n.names = append(n.names, names...)
	}
}

// interpolate replaces variables in text; the names of secrets whose values are in
// it now are returned.
func (k *known) interpolate(text string, skip bool) (string, []string, error) {
	if skip || text == "" {
		return text, nil, nil
	}
	return schema.InterpolateVariables(text, k.Variables)
}

// source turns the command's source into one that can be fetched.
func (k *known) source(s schema.GitSource) (git.Source, error) {
	https := s.HTTPS
	auth := git.Auth{Username: s.Account}
	for _, t := range k.Git {
		if t.Provider == s.Provider && t.Account == s.Account {
			auth.Token, https = t.Token, !t.HTTP
		}
	}
	if s.Account != "" && auth.Token == "" {
		return git.Source{}, schema.Errorf(schema.NotFound, "no token for account %q at %s: add the git account on core", s.Account, s.Provider)
	}
	if s.SSHKey != "" {
		v, ok := k.Variables[s.SSHKey]
		if !ok {
			return git.Source{}, schema.Errorf(schema.NotFound, "variable %q, which is to hold the deploy key, does not exist: create it as a secret", s.SSHKey)
		}
		auth.SSHKey = []byte(v.Value)
	}
	hosts, _, err := k.interpolate(s.KnownHosts, false)
	if err != nil {
		return git.Source{}, schema.Wrap(schema.Invalid, err, "git_known_hosts")
	}
	auth.KnownHosts = []byte(hosts)
	provider := s.Provider
	if s.SSHKey != "" && !strings.Contains(s.Repo, "://") && !strings.Contains(provider, "://") && !strings.Contains(s.Repo, "@") {
		provider = "ssh://git@" + provider
	}
	return git.Source{URL: git.URL(provider, s.Repo, https), Branch: s.Branch, Commit: s.Commit, Auth: auth}, nil
}

// repoResolve looks up the commit a branch stands at.
func (a *Agent) repoResolve(ctx context.Context, j *Job, req schema.RepoResolveReq) (schema.CommitInfo, error) {
	var n needs
	gitNeeds(&n, &req.Source)
	k, err := j.learn(ctx, nil, n)
	if err != nil {
		return schema.CommitInfo{}, err
	}
	src, err := k.source(req.Source)
	if err != nil {
		return schema.CommitInfo{}, err
	}
	c, err := a.git.Resolve(ctx, src)
	if err != nil {
		return schema.CommitInfo{}, err
	}
	j.line("%s of %s is at %s", req.Source.Branch, req.Source.Repo, c.Hash)
	return schema.CommitInfo{Commit: c.Hash, Message: firstLine(c.Message), Author: c.Author}, nil
}

// repoSync brings a repo's clone to its commit and runs its commands.
func (a *Agent) repoSync(ctx context.Context, j *Job, req schema.RepoSyncReq) (schema.RepoSyncResp, error) {
	var n needs
	gitNeeds(&n, &req.Source)
	var texts []string
	if !req.NoSecrets {
		texts = []string{req.Env, string(req.OnClone.Command), string(req.OnPull.Command)}
	}
	k, err := j.learn(ctx, texts, n)
	if err != nil {
		return schema.RepoSyncResp{}, err
	}
	return a.syncRepo(ctx, j, k, req)
}

// syncRepo is repoSync for callers that have learned what it needs.
func (a *Agent) syncRepo(ctx context.Context, j *Job, k *known, req schema.RepoSyncReq) (schema.RepoSyncResp, error) {
	dir := a.repoDir(req)
	resp, err := a.sync(ctx, j, k, dir, req.Source, req.Reclone)
	if err != nil {
		return resp, err
	}
	env, secret, err := k.interpolate(req.Env, req.NoSecrets)
	if err != nil {
		return resp, schema.Wrap(schema.Invalid, err, "environment of repo %q", req.Name)
	}
	if err := a.writeEnv(dir, req.EnvFile, env, secret); err != nil {
		return resp, err
	}
	if resp.Cloned || req.Clone {
		if err := a.hook(ctx, j, k, hook{"on_clone", dir, req.OnClone, req.NoSecrets}); err != nil {
			return resp, err
		}
	}
	return resp, a.hook(ctx, j, k, hook{"on_pull", dir, req.OnPull, req.NoSecrets})
}

// sync brings dir to the source's commit.
func (a *Agent) sync(ctx context.Context, j *Job, k *known, dir string, s schema.GitSource, reclone bool) (schema.RepoSyncResp, error) {
	var resp schema.RepoSyncResp
	src, err := k.source(s)
	if err != nil {
		return resp, err
	}
	err = j.phase(ctx, "source", func(ctx context.Context) (string, error) {
		res, err := a.git.Sync(ctx, dir, src, git.Options{Reclone: reclone})
		if err != nil {
			return "", err
		}
		resp.CommitInfo = schema.CommitInfo{Commit: res.Commit, Message: firstLine(res.Message), Author: res.Author}
		resp.Before, resp.Cloned, resp.Changed = res.Before, res.Cloned, res.Changed
		for _, d := range res.Drift {
			resp.Drift = append(resp.Drift, d.Path)
			j.line("overwrote the local edit of %s (%s); what it was is kept: git cat-file -p %s", d.Path, d.Kind, d.Blob)
		}
		for _, w := range res.Warnings {
			j.line("warning: %s", w)
		}
		for _, p := range res.Changed[:min(len(res.Changed), 50)] {
			j.line("changed %s", p)
		}
		return fmt.Sprintf("%s %s", short(res.Commit), resp.Message), nil
	})
	return resp, err
}

func short(commit string) string { return commit[:min(8, len(commit))] }

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return strings.TrimSpace(line)
}

// writeEnv writes the environment of a repo for its commands, as Komodo does;
// with secret values in it, it stays out of the file.
func (a *Agent) writeEnv(dir, file, text string, secret []string) error {
	vars, err := schema.ParseEnv(text)
	if err != nil {
		return err
	}
	if len(vars) == 0 {
		return nil
	}
	if len(secret) > 0 {
		return schema.Errorf(schema.Invalid, "environment names the secrets %s: they would be written to %s on disk: put them into a sops file, or reference them from the stack",
			strings.Join(secret, ", "), file)
	}
	path := under(dir, file)
	if err := os.WriteFile(path, []byte(schema.FormatEnv(vars)), 0o600); err != nil {
		return schema.Wrap(schema.Failed, err, "write %s: %v", path, err)
	}
	return nil
}

// hook is a command of the user's to run.
type hook struct {
	name  string
	dir   string
	cmd   schema.SystemCommand
	plain bool // no interpolation
}

func (a *Agent) hook(ctx context.Context, j *Job, k *known, h hook) error {
	if strings.TrimSpace(string(h.cmd.Command)) == "" {
		return nil
	}
	text, _, err := k.interpolate(string(h.cmd.Command), h.plain)
	if err != nil {
		return schema.Wrap(schema.Invalid, err, "%s.command", h.name)
	}
	return j.phase(ctx, h.name, func(ctx context.Context) (string, error) {
		return "", process.Run(ctx, process.Cmd{
			Name: h.name, Dir: under(h.dir, h.cmd.Path), Text: text, ShellMode: h.cmd.ShellMode, Env: process.Env(os.Environ()),
			Mask: j.mask.Writer,
			Output: func(l process.Line) {
				j.out.add(schema.Entry{Kind: schema.EntryLine, Err: l.Stderr, Text: l.Text})
			},
		})
	})
}

// tell sends the status when something changed, and every 15 seconds.
func (a *Agent) tell(ctx context.Context) error {
	t := time.NewTicker(15 * time.Second)
	defer t.Stop()
	for {
		if a.conn.Connected() {
			if err := a.conn.Status(ctx, a.status(ctx)); err != nil {
				a.log.Debug("send status", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		case <-a.refresh:
			if bus.Sleep(ctx, 200*time.Millisecond) != nil { // events come in bursts
				return nil
			}
		}
	}
}
