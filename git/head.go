package git

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// there says whether HEAD is already as it shall be, with nothing unfinished.
func (s *syncer) there(commit plumbing.Hash) (bool, error) {
	head, branch, err := s.repo.head()
	if err != nil {
		return false, err
	}
	return head == commit && branch == s.branch && len(s.repo.unfinished()) == 0, nil
}

// moveHead sets the branch and HEAD, keeping commits that only the user has.
func (s *syncer) moveHead(to plumbing.Hash) error {
	repo := s.repo
	head, on, err := repo.head()
	if err != nil {
		return err
	}
	if err := s.endOperations(); err != nil {
		return err
	}
	if on != s.branch {
		if err := s.leaveHead(head, on, to); err != nil {
			return err
		}
	}
	if s.branch == "" {
		if head == to && on == "" {
			return nil
		}
		if err := repo.setRef(plumbing.HEAD, to.String()); err != nil {
			return err
		}
		return repo.logRef(plumbing.HEAD, head, to, "sync")
	}
	name := plumbing.NewBranchReferenceName(s.branch)
	if err := s.moveBranch(name, to); err != nil {
		return err
	}
	if on != s.branch {
		if err := repo.setRef(plumbing.HEAD, "ref: "+name.String()); err != nil {
			return err
		}
	}
	if head == to {
		return nil
	}
	return repo.logRef(plumbing.HEAD, head, to, "sync")
}

// moveBranch sets the branch that the sync is to be on.
func (s *syncer) moveBranch(name plumbing.ReferenceName, to plumbing.Hash) error {
	old, err := s.repo.ref(name)
	if err != nil || old == to {
		return err
	}
	if err := s.keepCommits(old, to, s.branch); err != nil {
		return err
	}
	if err := s.repo.setRef(name, to.String()); err != nil {
		return err
	}
	return s.repo.logRef(name, old, to, "sync")
}

// leaveHead says that HEAD was elsewhere, and keeps a detached commit.
func (s *syncer) leaveHead(head plumbing.Hash, on string, to plumbing.Hash) error {
	if head.IsZero() {
		return nil
	}
	if on != "" {
		s.warn("branch %q was checked out; its commits stay on it", on)
		return nil
	}
	return s.keepCommits(head, to, "")
}

func (s *syncer) keepCommits(old, to plumbing.Hash, branch string) error {
	known := s.repo.unfinished() // a sync was killed after it moved the branch there
	tracked := plumbing.NewRemoteReferenceName("origin", s.branch)
	for name, h := range s.repo.refs() {
		if name == tracked || h == old && name.IsRemote() {
			known = append(known, h)
		}
	}
	if !s.before.IsZero() {
		known = append(known, s.before)
	}
	saved, err := s.repo.saveCommits(old, to, branch, known...)
	if saved != "" {
		s.warn("commits that are not upstream were on the branch; they are kept as %s (see `git log %s`)", saved, saved)
	}
	return err
}

// settleConfig lets the user's `git pull` find what Berth uses: the remote and
// the branch's upstream. A remote that names another repository is corrected, a
// password in its address is pointed out.
func (s *syncer) settleConfig() error {
	repo, want := s.repo, s.remote.address
	current := repo.config.sub("remote", "origin", "url")
	switch addr, inURL, err := parseAddress(current); {
	case current == "":
		if err := repo.config.append(repo.owner, remoteSection(want.String())); err != nil {
			return onDisk(err, "write .git/config of %s", s.work)
		}
	case err != nil || !addr.sameRepo(want):
		s.warn("remote \"origin\" was another address; it is %s now", want)
		if err := repo.config.replaceURL(repo.owner, "origin", want.String()); err != nil {
			return onDisk(err, "write .git/config of %s", s.work)
		}
	case inURL.Token != "":
		s.warn("the address of remote \"origin\" in .git/config contains a password or token, which Berth does not need; `git remote set-url origin %s` removes it", want)
	}
	if s.branch == "" || repo.config.sub("branch", s.branch, "merge") != "" {
		return nil
	}
	return onDisk(repo.config.append(repo.owner, branchSection(s.branch)), "write .git/config of %s", s.work)
}

// endOperations ends a merge, cherry-pick or revert that was left half done, as
// `git reset --hard` does. A rebase is only pointed out.
func (s *syncer) endOperations() error {
	for _, name := range []string{"MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD"} {
		file := filepath.Join(s.repo.dir, name)
		if _, err := os.Lstat(file); err != nil {
			continue
		}
		s.warn("a %s was under way in the folder; it was ended", strings.ToLower(strings.ReplaceAll(strings.TrimSuffix(name, "_HEAD"), "_", "-")))
		for _, n := range []string{name, "MERGE_MSG", "MERGE_MODE", "MERGE_RR", "AUTO_MERGE"} {
			if err := os.Remove(filepath.Join(s.repo.dir, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return onDisk(err, "end the operation in %s", s.work)
			}
		}
	}
	for _, name := range []string{"rebase-merge", "rebase-apply"} {
		if _, err := os.Lstat(filepath.Join(s.repo.dir, name)); err == nil {
			s.warn("a rebase is under way in the folder; end it with `git rebase --quit`")
		}
	}
	return nil
}
