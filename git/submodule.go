package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	gitconfig "github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing/object"

	"berth/schema"
)

// maxDepth ends submodules that contain themselves.
const maxDepth = 10

// modules brings the submodules to the commits that the parent pins.
func (s *syncer) modules(ctx context.Context, commit *object.Commit, want []wanted) error {
	if len(want) == 0 {
		return nil
	}
	if s.opt.NoSubmodules {
		return s.emptyModules(want)
	}
	if s.depth >= maxDepth {
		return schema.Errorf(schema.Invalid, "check out %s: submodules are nested more than %d deep", s.work, maxDepth)
	}
	byPath, err := s.readModules(commit)
	if err != nil {
		return err
	}
	for _, w := range want {
		m := byPath[w.path]
		if m == nil {
			s.warn("%s is a submodule without an entry in .gitmodules; it was left out", w.path)
			continue
		}
		if err := s.module(ctx, w, m); err != nil {
			if known, ok := errors.AsType[*schema.Error](err); ok {
				return schema.Wrap(known.Code, err, "submodule %s", w.path)
			}
			return fmt.Errorf("submodule %s: %w", w.path, err)
		}
	}
	return nil
}

// emptyModules makes the folders of submodules that are not wanted, as git does.
func (s *syncer) emptyModules(want []wanted) error {
	for _, w := range want {
		k, _, err := newWorktree(s.work).lstat(w.path)
		if err == nil && k == absent {
			err = s.repo.owner.mkdir(filepath.Join(s.work, w.path))
		}
		if err != nil {
			return onDisk(err, "make folder %s", w.path)
		}
	}
	return nil
}

func (s *syncer) readModules(commit *object.Commit) (map[string]*gitconfig.Submodule, error) {
	tree, err := object.GetTree(s.repo.store, commit.TreeHash)
	if err != nil {
		return nil, readObject(err, commit.TreeHash)
	}
	out := map[string]*gitconfig.Submodule{}
	entry, err := tree.FindEntry(".gitmodules")
	if err != nil {
		return out, nil //nolint:nilerr // no file, no entries
	}
	text, err := s.repo.blob(entry.Hash, 1<<20)
	if err != nil {
		return nil, err
	}
	all := gitconfig.NewModules()
	if err := all.Unmarshal(text); err != nil {
		return nil, schema.Wrap(schema.Invalid, err, "read .gitmodules: %s", oneLine(err.Error()))
	}
	for _, m := range all.Submodules {
		if err := m.Validate(); err != nil {
			return nil, schema.Wrap(schema.Invalid, err, "read .gitmodules: %s", oneLine(err.Error()))
		}
		out[m.Path] = m
	}
	return out, nil
}

// module syncs one submodule. Its git folder is .git/modules/NAME as git has it,
// unless the folder already has one of its own.
func (s *syncer) module(ctx context.Context, w wanted, m *gitconfig.Submodule) error {
	if k, _, err := newWorktree(s.work).lstat(w.path); err != nil || (k != absent && k != folder) {
		return errors.Join(err, schema.Errorf(schema.Conflict, "something that is no folder is in its place; move it away"))
	}
	addr, err := s.remote.submodule(m.URL)
	if err != nil {
		return err
	}
	addr = s.remote.reach(addr, s.remote.auth)
	sub := &syncer{
		client: s.client,
		remote: remote{address: addr, auth: s.remote.authFor(addr, s.remote.auth)},
		src:    Source{Branch: m.Branch, Commit: w.hash.String()},
		opt:    s.opt,
		work:   filepath.Join(s.work, w.path),
		dir:    filepath.Join(s.repo.dir, "modules", m.Name),
		owner:  &s.repo.owner,
		detach: true,
		depth:  s.depth + 1,
	}
	if sub.src.Branch == "." {
		sub.src.Branch = s.branch
	}
	if err := s.linkModule(sub.work, sub.dir); err != nil {
		return err
	}
	err = sub.run(ctx)
	s.adopt(w.path, sub.result)
	if err != nil {
		return err
	}
	return s.registerModule(m.Name, addr)
}

// linkModule makes the submodule's folder and the .git file that leads to its git
// folder.
func (s *syncer) linkModule(work, dir string) error {
	if err := s.repo.owner.mkdir(work); err != nil {
		return onDisk(err, "make folder %s", work)
	}
	dot := filepath.Join(work, ".git")
	if _, err := os.Lstat(dot); !errors.Is(err, fs.ErrNotExist) {
		return onDisk(err, "open %s", work)
	}
	rel, err := filepath.Rel(work, dir)
	if err != nil {
		return onDisk(err, "make submodule %s", work)
	}
	return onDisk(s.repo.owner.write(dot, []byte("gitdir: "+rel+"\n"), 0o644), "make submodule %s", work)
}

// adopt takes a submodule's result into the parent's.
func (s *syncer) adopt(at string, r Result) {
	for _, p := range r.Changed {
		s.result.Changed = append(s.result.Changed, at+"/"+p)
	}
	for _, d := range r.Drift {
		d.Path = at + "/" + d.Path
		s.result.Drift = append(s.result.Drift, d)
	}
	for _, w := range r.Warnings {
		s.warn("submodule %s: %s", at, w)
	}
	s.result.Fetched = s.result.Fetched || r.Fetched
}

// registerModule notes the submodule in .git/config, as `git submodule init` does,
// so that the user's own commands know it.
func (s *syncer) registerModule(name string, addr address) error {
	if s.repo.config.sub("submodule", name, "url") != "" {
		return nil
	}
	text := "[submodule " + quoteName(name) + "]\n\tactive = true\n\turl = " + quoteConfig(addr.String()) + "\n"
	return onDisk(s.repo.config.append(s.repo.owner, text), "write .git/config of %s", s.work)
}
