package sync

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"berth/git"
	"berth/schema"
)

// maxNamed is how many changed files a decision names.
const maxNamed = 5

// files decides by the files that feed a stack: those of the commit it was
// deployed from against those of the commit it would be deployed from now.
type files struct {
	d      *decider
	ctx    context.Context //nolint:containedctx // lives for one decision
	config schema.StackConfig
	deploy *schema.SyncDeploy

	absent bool // a compose file is not in the commit
	place  place
	now    *git.Snapshot // nil when its files are not in git
}

func (f *files) fail(format string, args ...any) {
	f.deploy.What, f.deploy.Reason = whatFailed, fmt.Sprintf(format, args...)
}

// source is the repository of the stack; ok is false when its files are elsewhere.
func (f *files) source() (schema.GitSource, bool, error) {
	c := f.config
	switch c.Source() {
	case schema.SourceRepo:
		return c.Git(), true, nil
	case schema.SourceLinked:
		if planned, ok := f.d.configs[c.LinkedRepo].(schema.RepoConfig); ok {
			return planned.Git(), true, nil
		}
		r, err := f.d.s.cfg.Repos.Get(f.ctx, c.LinkedRepo)
		return r.Config.Git(), true, err
	case schema.SourceHost, schema.SourceInline:
	}
	return schema.GitSource{}, false, nil
}

// locate opens the commit the stack is deployed from, and looks whether its
// compose files are in it.
func (f *files) locate() error {
	src, ok, err := f.source()
	if err != nil || !ok {
		return err
	}
	if f.place, err = f.d.s.repos.place(f.ctx, src); err != nil {
		return f.unreadable(src, err)
	}
	f.adopt()
	commit, err := f.d.look.at(f.ctx, f.place)
	if err != nil {
		return f.unreadable(src, err)
	}
	snap, info, err := f.d.look.open(f.ctx, f.place, commit)
	if err != nil {
		return f.unreadable(src, err)
	}
	f.now = snap
	x := f.deploy
	x.Repo, x.Ref, x.Commit = src.Repo, src.Branch, info.Hash
	x.Message, _, _ = strings.Cut(info.Message, "\n")
	return f.missing()
}

// adopt takes the commit of the sync itself for stacks of the same repository and
// branch, however they reach it.
func (f *files) adopt() {
	from := f.d.from
	if from.source.Kind != "git" || f.place.source.Branch != from.source.Branch || identity(f.place.source.URL) != identity(from.place.source.URL) {
		return
	}
	pinned := f.place.source.Commit
	f.place = from.place
	f.place.source.Commit = pinned
}

// unreadable is a repository that cannot be looked at: never "unchanged".
func (f *files) unreadable(src schema.GitSource, err error) error {
	if f.ctx.Err() != nil {
		return f.ctx.Err()
	}
	f.fail("whether it changed cannot be told: look up branch %q of %s: %s", src.Branch, src.Repo, schema.SafeText(err))
	return nil
}

// missing refuses compose files that are not in the commit, unless a command makes
// them.
func (f *files) missing() error {
	for _, name := range f.composeFiles() {
		_, ok, err := f.now.Follow(name)
		if err != nil {
			f.fail("read %s at commit %.8s: %s", name, f.deploy.Commit, schema.SafeText(err))
			return f.ctx.Err()
		}
		if !ok && f.config.PreDeploy.Command == "" && f.inRepo() {
			f.absent = true
			f.fail("%s is not in %s at commit %.8s: %s: correct run_directory and file_paths, or add the file", name, f.deploy.Repo, f.deploy.Commit, f.instead(name))
			return nil
		}
	}
	return nil
}

// inRepo reports whether the stack runs in a folder of the repository.
func (f *files) inRepo() bool { return !path.IsAbs(f.config.RunDirectory) }

func (f *files) runDir() string { return path.Clean("./" + f.config.RunDirectory) }

// composeFiles are the compose files, from the root of the repository.
func (f *files) composeFiles() []string {
	names := []string(f.config.FilePaths)
	if len(names) == 0 {
		names = []string{"compose.yaml"}
	}
	var out []string
	for _, n := range names {
		if !path.IsAbs(n) {
			out = append(out, path.Join(f.runDir(), n))
		}
	}
	return out
}

// feeds are the files and folders of the repository that feed the stack: its run
// directory, or, when that is the repository's root, the folders of its compose
// files; files it names; and what the last deploy took in.
func (f *files) feeds(was *git.Snapshot, last *schema.Deployed) ([]string, error) {
	out := &paths{}
	f.declared(out)
	f.commands(out)
	for _, name := range taken(last) {
		p := path.Join(f.runDir(), name)
		if p == "." { // an image is built from the whole repository
			return []string{"."}, nil
		}
		there, err := f.either(was, p)
		if err != nil {
			return nil, err
		}
		if !there {
			p = name
		}
		out.add(p)
	}
	return out.list, nil
}

// paths are paths below the root of a repository, each once.
type paths struct{ list []string }

func (l *paths) add(p string) {
	p = path.Clean(p)
	if p != "." && !path.IsAbs(p) && p != ".." && !strings.HasPrefix(p, "../") && !slices.Contains(l.list, p) {
		l.list = append(l.list, p)
	}
}

// declared are the files and folders that the settings name.
func (f *files) declared(out *paths) {
	c, dir := f.config, f.runDir()
	out.add(dir)
	for _, n := range f.composeFiles() {
		out.add(n)
		if dir == "." {
			out.add(path.Dir(n))
		}
	}
	out.add(path.Join(dir, c.EnvFilePath))
	for _, e := range c.AdditionalEnvFiles {
		out.add(path.Join(dir, e.Path))
	}
	for _, e := range c.ConfigFiles {
		out.add(path.Join(dir, e.Path))
	}
}

// commands are the folders that commands run in, and the files they name.
func (f *files) commands(out *paths) {
	c, dir := f.config, f.runDir()
	for _, cmd := range []schema.SystemCommand{c.PreDeploy, c.PostDeploy} {
		if cmd.Command != "" {
			out.add(path.Join(dir, cmd.Path))
		}
		for word := range strings.FieldsSeq(string(cmd.Command)) {
			if strings.ContainsAny(word, "/.") {
				out.add(path.Join(dir, cmd.Path, strings.Trim(word, `'"`)))
			}
		}
	}
	for word := range strings.FieldsSeq(c.ComposeCmdWrapper) {
		out.add(path.Join(dir, strings.Trim(word, `'"`)))
	}
}

// either reports whether one of the commits has something at a path.
func (f *files) either(was *git.Snapshot, p string) (bool, error) {
	_, had, err := was.Find(p)
	if had || err != nil {
		return had, err
	}
	_, has, err := f.now.Find(p)
	return has, err
}

// taken names the files and folders that the last deploy took in, as it saw them:
// relative to the run directory, or to the repository's root.
func taken(last *schema.Deployed) []string {
	var out []string
	for _, in := range last.Inputs {
		for name := range in {
			kind, what, _ := strings.Cut(name, ":")
			if (kind == "file" || kind == "build") && what != "" && !path.IsAbs(what) && !slices.Contains(out, what) {
				out = append(out, what)
			}
		}
	}
	slices.Sort(out)
	return out
}

// compare decides by the files. last is what the last deploy left behind.
func (f *files) compare(last *schema.Deployed) error {
	x := f.deploy
	switch f.config.Source() {
	case schema.SourceHost:
		x.Reason = "none of its settings changed; its files lie on its server, where a sync does not look"
		return nil
	case schema.SourceInline:
		x.Reason = "none of its settings changed, its compose file is one of them"
		return nil
	case schema.SourceRepo, schema.SourceLinked:
	}
	switch {
	case !f.inRepo():
		x.Reason = "none of its settings changed; it runs in a folder outside its repository"
		return nil
	case last.Commit == "":
		x.What, x.Reason = whatDeploy, "the commit it was deployed from is not known"
		return nil
	case last.Commit == x.Commit:
		x.Reason = fmt.Sprintf("it was deployed from this very commit, %.8s", x.Commit)
		return nil
	}
	p := f.place
	was, _, err := f.d.look.open(f.ctx, p, last.Commit)
	switch {
	case schema.CodeOf(err) == schema.NotFound:
		x.What, x.Reason = whatDeploy, fmt.Sprintf("commit %.8s, which it was deployed from, is not in the repository any more, so nothing can be compared", last.Commit)
		return nil
	case err != nil:
		return f.unreadable(schema.GitSource{Branch: x.Ref, Repo: x.Repo}, err)
	}
	return f.differ(was, last)
}

// differ names what differs between the two commits.
func (f *files) differ(was *git.Snapshot, last *schema.Deployed) error {
	x := f.deploy
	var changed []string
	more := false
	feeds, err := f.feeds(was, last)
	if err != nil {
		return f.unreadable(schema.GitSource{Branch: x.Ref, Repo: x.Repo}, err)
	}
	for _, p := range feeds {
		paths, m, err := changedAt(f.ctx, was, f.now, p)
		if err != nil {
			return f.unreadable(schema.GitSource{Branch: x.Ref, Repo: x.Repo}, err)
		}
		more = more || m
		for _, c := range paths {
			if !slices.Contains(changed, c) {
				changed = append(changed, c)
			}
		}
	}
	if len(changed) == 0 {
		x.Reason = fmt.Sprintf("no file that feeds it changed between %.8s and %.8s", last.Commit, x.Commit)
		return nil
	}
	if more = more || len(changed) > maxNamed; len(changed) > maxNamed {
		changed = changed[:maxNamed]
	}
	x.What, x.Changes = whatDeploy, changed
	x.Reason = strings.Join(changed, ", ") + " changed"
	if more {
		x.Reason = strings.Join(changed, ", ") + " and more changed"
	}
	return nil
}

// changedAt names the files at or below a path that differ. A path that neither
// commit has is no difference; a link counts with what it leads to.
func changedAt(ctx context.Context, was, now *git.Snapshot, p string) (paths []string, more bool, err error) {
	a, hadA, errA := entryAt(was, p)
	b, hadB, errB := entryAt(now, p)
	switch {
	case errA != nil:
		return nil, false, errA
	case errB != nil:
		return nil, false, errB
	case !hadA && !hadB:
		return nil, false, nil
	case hadA != hadB:
		return []string{p}, false, nil
	}
	return now.Changed(ctx, was, a, b, maxNamed+1)
}

func entryAt(s *git.Snapshot, p string) (git.File, bool, error) {
	f, ok, err := s.Follow(p)
	if schema.CodeOf(err) == schema.Invalid { // a link out of the repository: it is what it says
		return s.Find(p)
	}
	return f, ok, err
}
