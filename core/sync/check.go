package sync

import (
	"context"
	"path"
	"slices"
	"strings"
	"time"

	"berth/core/resource"
	"berth/git"
	"berth/schema"
)

// checkTime bounds how long a save waits for a git host.
const checkTime = 15 * time.Second

// CheckStack looks whether the compose files of settings are in the commit that
// would be deployed now: Invalid names path and commit when one is not. A commit
// that cannot be looked at is no mistake: the warning says so. Settings whose files
// are not in git, or are made by a command, are fine.
func (s *Syncer) CheckStack(ctx context.Context, c schema.StackConfig) (warning string, err error) {
	l := s.repos.look()
	defer l.close()
	return s.checkStack(ctx, &decider{s: s, look: l}, c)
}

func (s *Syncer) checkStack(ctx context.Context, d *decider, c schema.StackConfig) (warning string, err error) {
	bounded, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	var x schema.SyncDeploy
	f := files{d: d, ctx: bounded, config: c, deploy: &x}
	err = f.locate()
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case f.absent:
		return "", schema.Errorf(schema.Invalid, "%s", x.Reason)
	case bounded.Err() != nil:
		return "whether its compose files are there cannot be told: the git host did not answer within " + checkTime.String(), nil
	case schema.CodeOf(err) == schema.NotFound: // its repo: said by others
		return "whether its compose files are there cannot be told: " + schema.SafeText(err), nil
	case err != nil:
		return "", err
	case x.What == whatFailed:
		return strings.Replace(x.Reason, "whether it changed cannot be told", "whether its compose files are there cannot be told", 1), nil
	}
	return "", nil
}

// SourceChanged reports whether settings find their compose files elsewhere.
func SourceChanged(was *schema.StackConfig, now schema.StackConfig) bool {
	if was == nil {
		return true
	}
	return was.FilesOnHost != now.FilesOnHost || was.FileContents != now.FileContents || was.LinkedRepo != now.LinkedRepo || was.Repo != now.Repo ||
		was.GitProvider != now.GitProvider || was.Branch != now.Branch || was.Commit != now.Commit || was.RunDirectory != now.RunDirectory ||
		!slices.Equal(was.FilePaths, now.FilePaths) || was.PreDeploy.Command != now.PreDeploy.Command
}

// CheckPlan is CheckStack for every stack that a plan creates, or whose source it
// changes; what it finds becomes issues of the plan, what cannot be told warnings.
func (s *Syncer) CheckPlan(ctx context.Context, p *resource.Plan) error {
	l := s.repos.look()
	defer l.close()
	d := &decider{s: s, look: l, configs: map[string]any{}}
	for i, c := range p.Changes {
		if c.Kind == "repo" && c.Op != resource.OpDelete && c.Op != resource.OpUnchanged {
			d.configs[c.ID] = p.Settings(i)
		}
	}
	p.Issues = append(p.Issues, s.disabled(p.Changes, nil)...)
	sourced := []string{
		"files_on_host", "file_contents", "linked_repo", "repo", "git_provider", "branch", "commit", "run_directory", "file_paths", "pre_deploy",
	}
	for i, c := range p.Changes {
		if c.Kind != "stack" || c.Op != resource.OpCreate && c.Op != resource.OpUpdate {
			continue
		}
		touched := c.Op == resource.OpCreate || slices.ContainsFunc(c.Fields, func(f resource.FieldChange) bool {
			return slices.ContainsFunc(sourced, func(k string) bool { return f.Key == k || strings.HasPrefix(f.Key, k+".") })
		})
		config, ok := p.Settings(i).(schema.StackConfig)
		if !ok || !touched {
			continue
		}
		warning, err := s.checkStack(ctx, d, config)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		issue := resource.Issue{File: c.File, Line: c.Line, Key: "stack." + c.Name, Text: warning, Warning: true}
		if err != nil {
			issue.Text, issue.Warning = schema.SafeText(err), false
		}
		if issue.Text != "" {
			p.Issues = append(p.Issues, issue)
		}
	}
	return nil
}

// instead says what the folder of a missing compose file has.
func (f *files) instead(name string) string {
	dir := path.Dir(name)
	folder, ok, err := f.now.Follow(dir)
	if dir == "." {
		folder, ok, err = f.now.Find(".")
	}
	if err != nil || !ok {
		return "there is no folder " + dir
	}
	list, err := f.now.List(folder)
	if err != nil {
		return ""
	}
	var names []string
	for _, e := range list {
		if n := path.Base(e.Path); strings.HasSuffix(n, ".yaml") || strings.HasSuffix(n, ".yml") {
			names = append(names, n)
		}
	}
	if len(names) == 0 {
		return inWords(dir) + " has no YAML file"
	}
	return inWords(dir) + " has " + strings.Join(names[:min(len(names), maxNamed)], ", ")
}

func inWords(dir string) string {
	if dir == "." {
		return "the root"
	}
	return "the folder " + dir
}

// locked fails a deploy whose server could not decrypt a file of it, and says
// why; "" when nothing is known against it.
func (f *files) locked() string {
	if f.deploy.What != whatDeploy {
		return ""
	}
	text := f.undecryptable(f.deploy.Server)
	if text != "" {
		f.fail("%s", text)
	}
	return text
}

// undecryptable names a sops file beside the compose files that the server cannot
// decrypt, and what to do; "" when there is none, or when it cannot be told.
func (f *files) undecryptable(server schema.Target) string {
	if f.now == nil || f.d.s.cfg.Recipients == nil || !f.inRepo() {
		return ""
	}
	has := f.d.s.cfg.Recipients(server.ID)
	if len(has) == 0 {
		return ""
	}
	for _, e := range f.sealed() {
		data, err := f.now.Read(e, maxSops)
		if err != nil {
			continue
		}
		if err := schema.CheckSops(e.Path, data, server.Name, has); err != nil {
			return schema.SafeText(err)
		}
	}
	return ""
}

// sealed lists the sops files beside the compose files, as far as they can be read.
func (f *files) sealed() []git.File {
	var dirs []string
	for _, n := range f.composeFiles() {
		dirs = append(dirs, path.Dir(n))
	}
	slices.Sort(dirs)
	var out []git.File
	for _, dir := range slices.Compact(dirs) {
		folder, ok, err := f.now.Find(dir)
		if err != nil || !ok {
			continue
		}
		list, err := f.now.List(folder)
		if err != nil {
			continue
		}
		for _, e := range list {
			if schema.SopsNamed(e.Path) && !e.IsLink() {
				out = append(out, e)
			}
		}
	}
	return out
}

// maxSops is the size in bytes above which agents refuse a sops file.
const maxSops = 8 << 20
