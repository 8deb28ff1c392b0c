package git_test

import (
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/git"
	"berth/git/gittest"
	"berth/schema"
)

// site is a server, a client and a folder to sync into.
type site struct {
	*testing.T
	forge  *gittest.Fixture
	repo   *gittest.FixtureRepo
	client *git.Client
	dir    string
}

func newSite(t *testing.T, cfg ...gittest.Config) *site {
	t.Helper()
	f := gittest.New(t, cfg...)
	c := git.New(slog.New(slog.DiscardHandler))
	t.Cleanup(c.Close)
	return &site{T: t, forge: f, repo: f.Repo("team/app"), client: c, dir: filepath.Join(t.TempDir(), "app")}
}

func (s *site) source() git.Source { return git.Source{URL: s.repo.URL(), Branch: "main"} }

func (s *site) sync(commit string) git.Result {
	s.Helper()
	src := s.source()
	src.Commit = commit
	return s.syncFrom(src, git.Options{})
}

func (s *site) syncFrom(src git.Source, opt git.Options) git.Result {
	s.Helper()
	res, err := s.client.Sync(s.Context(), s.dir, src, opt)
	if err != nil {
		s.Fatalf("sync: %v", err)
	}
	return res
}

// git runs the user's git in the folder.
func (s *site) git(args ...string) string {
	s.Helper()
	out, err := s.tryGit(args...)
	if err != nil {
		s.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (s *site) tryGit(args ...string) (string, error) {
	cmd := exec.CommandContext(s.Context(), "git", args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=U", "GIT_AUTHOR_EMAIL=u@x", "GIT_COMMITTER_NAME=U", "GIT_COMMITTER_EMAIL=u@x",
		"GIT_ALLOW_PROTOCOL=http:ssh")
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// clean asserts that git sees nothing to say, besides the given untracked paths.
func (s *site) clean(untracked ...string) {
	s.Helper()
	var want []string
	for _, u := range untracked {
		want = append(want, "?? "+u)
	}
	if diff := cmp.Diff(strings.Join(want, "\n"), s.git("status", "--porcelain")); diff != "" {
		s.Errorf("git status (-want +got):\n%s", diff)
	}
	s.git("fsck", "--full", "--strict")
}

func (s *site) write(name, content string) {
	s.Helper()
	p := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		s.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
		s.Fatal(err)
	}
}

func (s *site) read(name string) string {
	s.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.Fatal(err)
	}
	return string(b)
}

func (s *site) missing(name string) {
	s.Helper()
	if _, err := os.Lstat(filepath.Join(s.dir, name)); !errors.Is(err, os.ErrNotExist) {
		s.Errorf("%s is still there", name)
	}
}

func (s *site) fails(err error, code schema.Code, words ...string) {
	s.Helper()
	if err == nil {
		s.Fatalf("no error, want %s", code)
	}
	if got := schema.CodeOf(err); got != code {
		s.Errorf("code %s, want %s: %v", got, code, err)
	}
	for _, w := range words {
		if text := schema.SafeText(err); !strings.Contains(text, w) {
			s.Errorf("text lacks %q:\n%s", w, text)
		}
	}
}

func TestCloneThenForward(t *testing.T) {
	s := newSite(t)
	one := s.repo.Change(gittest.Change{
		Message: "first\n\nbody", Files: map[string]string{"compose.yaml": "a", "run.sh": "#!/bin/sh\n", "conf/x": "1", "gone/y": "y"},
		Executable: []string{"run.sh"}, Links: map[string]string{"current": "conf/x"},
	})
	got := s.sync("")
	want := git.Result{
		Commit: one, Message: "first\n\nbody", Author: "Ada Tester", Cloned: true, Fetched: true,
		Changed: []string{"compose.yaml", "conf/x", "current", "gone/y", "run.sh"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("clone (-want +got):\n%s", diff)
	}
	s.clean()
	if st, err := os.Stat(filepath.Join(s.dir, "run.sh")); err != nil || st.Mode().Perm() != 0o755 {
		t.Errorf("run.sh: %v %v", st.Mode(), err)
	}
	two := s.repo.Change(gittest.Change{Message: "second", Files: map[string]string{"conf/x": "2"}, Delete: []string{"gone/y"}})
	got = s.sync(two)
	want = git.Result{Before: one, Commit: two, Message: "second", Author: "Ada Tester", Fetched: true, Changed: []string{"conf/x", "gone/y"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("forward (-want +got):\n%s", diff)
	}
	s.missing("gone")
	s.clean()
	asked := s.forge.Requests()
	got = s.sync(two)
	if diff := cmp.Diff(git.Result{Before: two, Commit: two, Message: "second", Author: "Ada Tester"}, got); diff != "" {
		t.Errorf("again (-want +got):\n%s", diff)
	}
	got = s.sync(one)
	if diff := cmp.Diff([]string{"conf/x", "gone/y"}, got.Changed); diff != "" {
		t.Errorf("back (-want +got):\n%s", diff)
	}
	if n := s.forge.Requests(); n != asked {
		t.Errorf("the network was asked %d times for commits that are here", n-asked)
	}
	if got.Warnings != nil {
		t.Errorf("warnings: %q", got.Warnings)
	}
	s.clean()
	s.git("pull", "-q")
	if h := s.git("rev-parse", "HEAD"); h != two {
		t.Errorf("git pull went to %s", h)
	}
	s.clean()
}

// The data of a database stands beside the compose file that mounts it.
func TestUserDataIsNeverTouched(t *testing.T) {
	s := newSite(t)
	s.repo.Commit(map[string]string{"db/compose.yaml": "1", ".gitignore": "*.secret\n/db/data/\n", "web/compose.yaml": "w"}, "one")
	s.sync("")
	s.write("db/data/base/1/pg", "rows")
	s.write("db/.env.secret", "password")
	s.write("web/uploads/a.png", "png")
	s.write("notes.txt", "mine")
	before := s.inodes("db/data/base/1/pg", "db/.env.secret", "web/uploads/a.png", "notes.txt")

	s.repo.Change(gittest.Change{Files: map[string]string{"db/compose.yaml": "2"}, Delete: []string{"web/compose.yaml", ".gitignore"}})
	s.sync("")
	s.repo.ForcePush(map[string]string{"other": "x"}, "all new")
	s.sync("")
	s.syncFrom(s.source(), git.Options{Reclone: true})
	if diff := cmp.Diff(before, s.inodes("db/data/base/1/pg", "db/.env.secret", "web/uploads/a.png", "notes.txt")); diff != "" {
		t.Errorf("data was touched (-before +after):\n%s", diff)
	}
	s.missing("db/compose.yaml")
	s.clean("db/", "notes.txt", "web/")
}

func (s *site) inodes(names ...string) map[string]string {
	s.Helper()
	out := map[string]string{}
	for _, n := range names {
		out[n] = statLine(s.T, filepath.Join(s.dir, n)) + " " + s.read(n)
	}
	return out
}

func TestDrift(t *testing.T) {
	s := newSite(t)
	one := s.repo.Commit(map[string]string{"a": "a1", "b": "b1", "c": "c1", "d": "d1", "e": "e1", "keep": "k1"}, "one")
	s.sync("")
	s.write("a", "edited by hand")
	if err := os.Remove(filepath.Join(s.dir, "b")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(s.dir, "c"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.write("e", "staged")
	s.git("add", "e")
	s.write("new", "staged, never committed")
	s.git("add", "new")
	s.write("keep", "my own")
	s.git("update-index", "--skip-worktree", "keep")

	var asked []git.Drift
	refuse := errors.New("not now")
	_, err := s.client.Sync(t.Context(), s.dir, s.source(), git.Options{Drift: func(d []git.Drift) error { asked = slices.Clone(d); return refuse }})
	if !errors.Is(err, refuse) || s.read("a") != "edited by hand" {
		t.Fatalf("drift hook did not stop the sync: %v", err)
	}
	got := s.sync(one)
	blob := func(content string) string { s.write(".git/x", content); return s.git("hash-object", ".git/x") }
	want := []git.Drift{
		{Path: "a", Kind: "edited", Blob: blob("edited by hand")},
		{Path: "b", Kind: "deleted"},
		{Path: "c", Kind: "mode"},
		{Path: "e", Kind: "edited", Blob: blob("staged")},
	}
	if diff := cmp.Diff(want, got.Drift); diff != "" {
		t.Errorf("drift (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("asked before (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"a", "b", "c", "e"}, got.Changed); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
	if s.git("cat-file", "-p", want[0].Blob) != "edited by hand" {
		t.Error("the edited content was not kept")
	}
	if s.read("keep") != "my own" || s.read("new") != "staged, never committed" {
		t.Error("files to be left alone were changed")
	}
	s.clean("new")
}

func TestFolderBecomesRepository(t *testing.T) {
	s := newSite(t)
	s.repo.Commit(map[string]string{"app/compose.yaml": "same", "app/.env.example": "x"}, "one")
	s.write("app/compose.yaml", "different")
	s.write("app/data/db", "rows")
	_, err := s.client.Sync(t.Context(), s.dir, s.source(), git.Options{})
	s.fails(err, schema.Conflict, "app/compose.yaml", "move them away")
	if s.read("app/compose.yaml") != "different" {
		t.Error("conflicting file was changed")
	}
	s.write("app/compose.yaml", "same")
	old := s.inodes("app/compose.yaml", "app/data/db")
	got := s.sync("")
	if diff := cmp.Diff([]string{"app/.env.example"}, got.Changed); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(old, s.inodes("app/compose.yaml", "app/data/db")); diff != "" {
		t.Errorf("identical files were rewritten:\n%s", diff)
	}
	s.clean("app/data/")
}

func TestOverwrite(t *testing.T) {
	s := newSite(t)
	s.repo.Commit(map[string]string{"a": "new", "conf/x": "x"}, "one")
	s.write("a", "old")
	elsewhere := t.TempDir()
	if err := os.Symlink(elsewhere, filepath.Join(s.dir, "conf")); err != nil {
		t.Fatal(err)
	}
	_, err := s.client.Sync(t.Context(), s.dir, s.source(), git.Options{})
	s.fails(err, schema.Conflict, "a, conf")
	got := s.syncFrom(s.source(), git.Options{Overwrite: true})
	if len(got.Drift) != 2 || s.read("a") != "new" || s.read("conf/x") != "x" {
		t.Errorf("%+v", got)
	}
	if left, _ := os.ReadDir(elsewhere); len(left) != 0 {
		t.Errorf("wrote through a link: %v", left)
	}
	s.clean()
}

func TestFileAndFolderChangePlaces(t *testing.T) {
	s := newSite(t)
	s.repo.Change(gittest.Change{Files: map[string]string{"a": "file", "b/x": "1", "b/y/z": "2"}, Links: map[string]string{"l": "/etc"}})
	s.sync("")
	s.repo.Change(gittest.Change{Files: map[string]string{"a/x": "folder", "b": "file", "l/passwd": "mine"}, Delete: []string{"a", "b", "l"}})
	if got := s.sync(""); len(got.Drift) != 0 {
		t.Errorf("drift: %v", got.Drift)
	}
	if s.read("l/passwd") != "mine" || s.read("b") != "file" {
		t.Error("wrong content")
	}
	s.clean()
	s.repo.Change(gittest.Change{Files: map[string]string{"a": "file"}, Delete: []string{"a"}})
	s.write("a/data", "rows")
	_, err := s.client.Sync(t.Context(), s.dir, s.source(), git.Options{Overwrite: true})
	s.fails(err, schema.Conflict, "a/data")
	if s.read("a/data") != "rows" || s.read("a/x") != "folder" {
		t.Error("files were changed")
	}
}
