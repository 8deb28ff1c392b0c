package periphery

import (
	"context"
	"path/filepath"
	"strings"

	"berth/git"
	"berth/schema"
)

// folder is the folder name of a resource: one element of a path, never a way out
// of where it is put.
func folder(name string) string {
	name = strings.ReplaceAll(schema.FolderName(name), "/", "_")
	if name == "." || name == ".." || name == "" {
		return "_" + name
	}
	return name
}

// under joins p onto base; an absolute p replaces it.
func under(base, p string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(base, p)
}

func (a *Agent) repoDir(req schema.RepoSyncReq) string {
	return under(filepath.Join(a.cfg.Repos, folder(req.Name)), req.Path)
}

// known is what core told of variables and accounts for one command.
type known struct {
	schema.SecretsResp
}

// learn fetches what the texts and sources of a command name; nothing is asked when
// they name nothing.
func (j *Job) learn(ctx context.Context, texts []string, n needs) (*known, error) {
	for _, t := range texts {
		names, err := schema.Placeholders(t)
		if err != nil {
			return nil, err
		}
		n.names = append(n.names, names...)
	}
	k := &known{}
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
	if s.Account != "" && auth.Token == "" && s.SSHKey == "" {
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
	k, err := j.learn(ctx, repoTexts(req), n)
	if err != nil {
		return schema.RepoSyncResp{}, err
	}
	resp, memory, err := a.syncRepo(ctx, j, k, req)
	for path := range memory {
		j.line("the environment names secrets: %s is not written, only the repo's commands see it", path)
	}
	return resp, err
}

// repoTexts are the fields of a repo in which variables are replaced.
func repoTexts(req schema.RepoSyncReq) []string {
	if req.NoSecrets {
		return nil
	}
	return []string{req.Env, string(req.OnClone.Command), string(req.OnPull.Command)}
}

// syncRepo is repoSync for callers that have learned what it needs. An environment
// with secrets in it is returned, by path, instead of being written.
func (a *Agent) syncRepo(ctx context.Context, j *Job, k *known, req schema.RepoSyncReq) (schema.RepoSyncResp, map[string][]byte, error) {
	dir := a.repoDir(req)
	resp, err := a.sync(ctx, j, k, dir, req.Source, req.Reclone)
	if err != nil {
		return resp, nil, err
	}
	text, secret, err := k.interpolate(req.Env, req.NoSecrets)
	if err != nil {
		return resp, nil, schema.Wrap(schema.Invalid, err, "environment of repo %q", req.Name)
	}
	vars, err := schema.ParseEnv(text)
	if err != nil {
		return resp, nil, schema.Wrap(schema.Invalid, err, "environment of repo %q", req.Name)
	}
	var (
		memory map[string][]byte
		env    []string
	)
	file := under(dir, req.EnvFile)
	switch {
	case len(vars) == 0:
	case len(secret) > 0:
		memory = map[string][]byte{file: []byte(schema.FormatEnv(vars))}
		for _, v := range vars {
			env = append(env, v.Key+"="+v.Value)
		}
	default:
		if err := writeFile(file, []byte(schema.FormatEnv(vars))); err != nil {
			return resp, nil, err
		}
	}
	if resp.Cloned || req.Clone {
		if err := a.hook(ctx, j, k, hook{name: "on_clone", dir: dir, cmd: req.OnClone, plain: req.NoSecrets, env: env}); err != nil {
			return resp, memory, err
		}
	}
	return resp, memory, a.hook(ctx, j, k, hook{name: "on_pull", dir: dir, cmd: req.OnPull, plain: req.NoSecrets, env: env})
}

// sync brings dir to the source's commit.
func (a *Agent) sync(ctx context.Context, j *Job, k *known, dir string, s schema.GitSource, reclone bool) (schema.RepoSyncResp, error) {
	var resp schema.RepoSyncResp
	src, err := k.source(s)
	if err != nil {
		return resp, err
	}
	err = j.phase(ctx, "source", func(ctx context.Context) (string, error) {
		res, err := a.git.Sync(ctx, dir, src, git.Options{Reclone: reclone, NoSubmodules: !s.Submodules})
		if err != nil {
			return "", err
		}
		resp.CommitInfo = schema.CommitInfo{Commit: res.Commit, Message: firstLine(res.Message), Author: res.Author}
		resp.Before, resp.Cloned, resp.Changed = res.Before, res.Cloned, res.Changed[:min(len(res.Changed), maxChanged)]
		for _, d := range res.Drift {
			resp.Drift = append(resp.Drift, d.Path)
			kept := ""
			if d.Blob != "" {
				kept = "; what it was is kept: git cat-file -p " + d.Blob
			}
			j.line("overwrote the local edit of %s (%s)%s", d.Path, d.Kind, kept)
		}
		for _, w := range res.Warnings {
			j.line("warning: %s", w)
		}
		for _, p := range res.Changed[:min(len(res.Changed), shownChanged)] {
			j.line("changed %s", p)
		}
		if more := len(res.Changed) - shownChanged; more > 0 {
			j.line("changed %d more files", more)
		}
		return short(res.Commit) + " " + resp.Message, nil
	})
	return resp, err
}

// maxChanged bounds how many changed files an answer names, shownChanged the output.
const (
	maxChanged   = 1000
	shownChanged = 50
)

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(line)
}

func short(commit string) string { return commit[:min(8, len(commit))] }
