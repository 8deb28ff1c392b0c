package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"berth/schema"
)

// Sync brings dir to the source's commit, exactly: a repository that is missing
// is cloned (into a folder that may hold files), one that is there is brought
// forward, back or sideways in place. When the exact commit is named and present
// the network is not asked.
//
// Errors carry a code: unavailable (network), denied (credentials, host key,
// file permissions), not_found (repository, branch, commit), conflict (untracked
// files in the way, index.lock held), unsupported, invalid (address, key). With
// conflict, and whenever the network fails, no file was changed.
func (c *Client) Sync(ctx context.Context, dir string, src Source, opt Options) (Result, error) {
	r, err := remoteOf(src)
	if err != nil {
		return Result{}, err
	}
	src.Branch = strings.TrimPrefix(src.Branch, "refs/heads/")
	if src.Branch != "" && plumbing.NewBranchReferenceName(src.Branch).Validate() != nil {
		return Result{}, schema.Errorf(schema.Invalid, "sync %s: %q is no name for a branch", dir, src.Branch)
	}
	if dir, err = canonical(dir); err != nil {
		return Result{}, onDisk(err, "open %s", dir)
	}
	unlock, err := c.lockDir(ctx, dir)
	if err != nil {
		return Result{}, fmt.Errorf("wait for another sync of %s: %w", dir, err)
	}
	defer unlock()
	s := &syncer{client: c, remote: r, src: src, opt: opt, work: dir}
	if err := s.run(ctx); err != nil {
		return Result{}, err
	}
	return s.result, nil
}

// canonical gives a folder one name, so that two ways to it share a lock.
func canonical(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return dir, err
	}
	followed, err := filepath.EvalSymlinks(abs)
	if errors.Is(err, fs.ErrNotExist) {
		return abs, nil
	}
	return followed, err
}

// holdClone waits for one of the tokens for full downloads.
func (c *Client) holdClone(ctx context.Context) (func(), error) {
	select {
	case c.clones <- struct{}{}:
		return func() { <-c.clones }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// syncer is one sync of one work tree; submodules get their own.
type syncer struct {
	client *Client
	remote remote
	src    Source
	opt    Options
	work   string
	dir    string // the git folder to make; work/.git if empty
	owner  *owner // of what a submodule creates: the parent's
	detach bool   // a submodule's HEAD is on no branch
	depth  int

	repo   *repository
	before plumbing.Hash // where the remote's branch was when this sync began
	branch string        // to be on; "" leaves HEAD detached
	result Result
}

func (s *syncer) run(ctx context.Context) (err error) {
	made, err := s.open()
	if err != nil {
		return err
	}
	defer func() {
		s.repo.close()
		if err != nil {
			made.undo(s.repo)
		}
	}()
	if before, _, err := s.repo.head(); err == nil && !before.IsZero() {
		s.result.Before = before.String()
	}
	commit, err := s.obtain(ctx)
	if err != nil {
		return err
	}
	err = s.checkOut(ctx, commit)
	if errors.Is(err, errMissing) && !s.result.Cloned {
		s.warn("objects were missing in the repository; everything was downloaded anew")
		s.opt.Reclone = true
		if commit, err = s.obtain(ctx); err == nil {
			err = s.checkOut(ctx, commit)
		}
	}
	return err
}

func (s *syncer) warn(format string, args ...any) {
	s.result.Warnings = append(s.result.Warnings, fmt.Sprintf(format, args...))
}

// created is what open made, to be taken away if nothing could be downloaded.
type created struct{ folder, repo string }

func (m created) undo(r *repository) {
	if m.repo == "" {
		return
	}
	if refs, _, err := r.head(); err != nil || !refs.IsZero() {
		return
	}
	_ = os.RemoveAll(m.repo) // it is empty: no reference was written
	if dot := filepath.Join(r.work, ".git"); dot != m.repo {
		_ = os.Remove(dot) // a submodule's .git file
	}
	if m.folder != "" {
		_ = os.Remove(m.folder) // if it is empty
	}
}

// open opens the repository or makes an empty one.
func (s *syncer) open() (made created, err error) {
	if s.repo, err = openRepository(s.work); !errors.Is(err, errNoRepository) {
		return made, err
	}
	own := owner{}
	if s.owner != nil {
		own = *s.owner
	}
	if _, err := os.Stat(s.work); errors.Is(err, fs.ErrNotExist) {
		made.folder = s.work
		if err := own.mkdir(s.work); err != nil {
			return made, onDisk(err, "make folder %s", s.work)
		}
	} else if own, err = ownerOf(s.work); err != nil {
		return made, onDisk(err, "open %s", s.work)
	}
	if s.dir == "" {
		s.dir = filepath.Join(s.work, ".git")
	}
	if _, err := os.Stat(s.dir); errors.Is(err, fs.ErrNotExist) {
		made.repo = s.dir
	}
	branch := s.src.Branch
	if s.detach {
		branch = ""
	}
	s.repo, err = initRepository(s.work, s.dir, own, s.remote, branch)
	return made, err
}

// obtain makes sure that the commit is in the object store.
func (s *syncer) obtain(ctx context.Context) (*object.Commit, error) {
	repo := s.repo
	at := found{name: s.src.Branch}
	hash, present := plumbing.ZeroHash, false
	if err := s.rememberRemote(); err != nil {
		return nil, err
	}
	if s.src.Commit != "" && !s.opt.Reclone {
		hash, present = repo.resolve(s.src.Commit)
	}
	if !present {
		head, _, err := repo.head()
		if err != nil {
			return nil, err
		}
		full := head.IsZero() || s.opt.Reclone
		if full {
			release, err := s.client.holdClone(ctx)
			if err != nil {
				return nil, fmt.Errorf("wait for other clones: %w", err)
			}
			defer release()
		}
		if hash, at, err = s.client.fetch(ctx, repo, s.remote, s.src, full); err != nil {
			return nil, err
		}
		s.result.Fetched, s.result.Cloned = true, s.result.Cloned || full
	}
	if err := s.chooseBranch(at, present); err != nil {
		return nil, err
	}
	commit, err := object.GetCommit(repo.store, hash)
	if err != nil {
		return nil, readObject(err, hash)
	}
	s.result.Commit, s.result.Author = hash.String(), commit.Author.Name
	s.result.Message = strings.TrimSpace(commit.Message)
	return commit, nil
}

// rememberRemote notes where the remote's branch was: what was upstream then is
// not a commit of the user's, even if a force push dropped it since.
func (s *syncer) rememberRemote() (err error) {
	name := s.src.Branch
	if name == "" {
		if _, name, err = s.repo.head(); err != nil || name == "" {
			return err
		}
	}
	s.before, err = s.repo.ref(plumbing.NewRemoteReferenceName("origin", name))
	return err
}

// chooseBranch decides what HEAD will be on.
func (s *syncer) chooseBranch(at found, offline bool) error {
	s.branch = at.name
	switch {
	case s.detach || at.tag:
		s.branch = ""
	case offline && at.name == "":
		_, current, err := s.repo.head()
		s.branch = current
		return err
	case offline:
		branch, err := s.repo.ref(plumbing.NewRemoteReferenceName("origin", at.name))
		if err != nil {
			return err
		}
		tag, err := s.repo.ref(plumbing.NewTagReferenceName(at.name))
		if branch.IsZero() && !tag.IsZero() {
			s.branch = ""
		}
		return err
	}
	return nil
}

// checkOut brings the work tree to the commit, then its submodules.
func (s *syncer) checkOut(ctx context.Context, commit *object.Commit) error {
	p, err := s.bring(ctx, commit)
	if err != nil {
		return err
	}
	for _, w := range p.warnings {
		s.warn("%s", w)
	}
	if err := s.settleConfig(); err != nil {
		return err
	}
	return s.modules(ctx, commit, p.modules)
}

// bring does the work tree itself and returns what was planned.
func (s *syncer) bring(ctx context.Context, commit *object.Commit) (*plan, error) {
	repo := s.repo
	if p, err := s.clean(ctx, commit); p != nil || err != nil {
		return p, err
	}
	lock, err := repo.lockIndex(ctx, s.opt.LockWait)
	if err != nil {
		return nil, err
	}
	defer lock.release()
	p, err := repo.newPlan(ctx, commit, s.opt.Overwrite)
	if err != nil {
		return nil, err
	}
	if err := p.blocked(repo.work); err != nil {
		return nil, err
	}
	if len(p.drift) > 0 && s.opt.Drift != nil {
		if err := s.opt.Drift(p.drift); err != nil {
			return nil, fmt.Errorf("sync %s: %w", repo.work, err)
		}
	}
	if err := repo.begin(commit.Hash); err != nil {
		return nil, err
	}
	lfs, err := repo.apply(ctx, p)
	if err != nil {
		return nil, err
	}
	p.warnings = append(p.warnings, lfs...)
	if p.dirty || p.stale {
		if err := lock.commit(p.next); err != nil {
			return nil, err
		}
	}
	if err := s.moveHead(commit.Hash); err != nil {
		return nil, err
	}
	s.result.Changed, s.result.Drift = p.changed(), p.drift
	return p, repo.end()
}

// clean returns the plan of a work tree that is already as the commit has it, for
// which no lock is needed; nil if there is something to do.
func (s *syncer) clean(ctx context.Context, commit *object.Commit) (*plan, error) {
	if at, err := s.there(commit.Hash); err != nil || !at {
		return nil, err
	}
	p, err := s.repo.newPlan(ctx, commit, s.opt.Overwrite)
	if err != nil || p.dirty || len(p.inTheWay) > 0 {
		return nil, err
	}
	if p.stale {
		s.repo.refreshIndex(ctx, commit)
	}
	return p, nil
}
