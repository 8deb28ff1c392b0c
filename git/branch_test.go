package git_test

import (
	"os/exec"
	"strings"
	"testing"

	"berth/git"
	"berth/git/gittest"
	"berth/schema"
)

func TestForcePushAndLocalCommits(t *testing.T) {
	s := newSite(t)
	s.repo.Commit(map[string]string{"a": "1"}, "one")
	s.sync("")
	s.repo.ForcePush(map[string]string{"a": "2"}, "rewritten")
	if got := s.sync(""); len(got.Warnings)+len(got.Drift) != 0 || s.read("a") != "2" {
		t.Errorf("a force push is no local commit: %+v", got)
	}
	s.clean()
	s.repo.Commit(map[string]string{"a": "3"}, "three")
	s.git("pull", "-q")
	s.repo.ForcePush(map[string]string{"a": "4"}, "rewritten again")
	if got := s.sync(""); len(got.Warnings) != 0 {
		t.Errorf("what was pulled by hand is no local commit: %q", got.Warnings)
	}
	s.write("a", "local")
	s.git("commit", "-qam", "mine")
	mine := s.git("rev-parse", "HEAD")
	got := s.sync("")
	if len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "refs/berth/saved/") {
		t.Fatalf("warnings: %q", got.Warnings)
	}
	if s.git("for-each-ref", "--format=%(objectname)", "refs/berth/saved") != mine {
		t.Error("the local commit is lost")
	}
	if !strings.Contains(s.git("reflog"), "berth: sync") {
		t.Error("the reflog says nothing")
	}
	s.clean()
}

func TestOtherBranchAndDetached(t *testing.T) {
	s := newSite(t)
	one := s.repo.Commit(map[string]string{"a": "1"}, "one")
	s.sync("")
	s.git("checkout", "-q", "-b", "mine")
	s.write("a", "on my branch")
	s.git("commit", "-qam", "mine")
	got := s.sync("")
	if len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], `"mine"`) || s.git("symbolic-ref", "HEAD") != "refs/heads/main" {
		t.Errorf("%q on %s", got.Warnings, s.git("symbolic-ref", "HEAD"))
	}
	s.git("checkout", "-q", "--detach", one)
	s.sync("")
	if s.git("symbolic-ref", "HEAD") != "refs/heads/main" {
		t.Error("HEAD is not on the branch")
	}
	s.repo.Change(gittest.Change{Branch: "feature/x", Files: map[string]string{"a": "feature"}})
	src := s.source()
	src.Branch = "feature/x"
	s.syncFrom(src, git.Options{})
	if s.read("a") != "feature" {
		t.Error("wrong branch")
	}
	s.git("pull", "-q")
	s.clean()
	s.repo.Git("tag", "-a", "-m", "v1", "v1", one)
	src.Branch = "v1"
	s.syncFrom(src, git.Options{})
	if s.git("rev-parse", "HEAD") != one {
		t.Error("wrong tag")
	}
	s.clean()
}

func TestShallowAndPackedByHand(t *testing.T) {
	s := newSite(t)
	for i := range 5 {
		s.repo.Commit(map[string]string{"a": strings.Repeat("x", i), "b": "revert me"}, "c")
	}
	s.repo.Commit(map[string]string{"b": "other"}, "c")
	if out, err := exec.CommandContext(t.Context(), "git", "clone", "-q", "--depth=1", s.repo.URL(), s.dir).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	s.repo.Commit(map[string]string{"b": "revert me"}, "an object that the shallow clone lacks")
	s.sync("")
	s.clean()
	s.git("gc", "-q")
	s.git("update-index", "--index-version=4")
	s.repo.Commit(map[string]string{"c/d": "new"}, "after gc")
	s.sync("")
	s.clean()
	s.git("update-index", "--split-index")
	s.repo.Commit(map[string]string{"c/d": "newer"}, "split")
	_, err := s.client.Sync(t.Context(), s.dir, s.source(), git.Options{})
	s.fails(err, schema.Unsupported, "git update-index --no-split-index")
}
