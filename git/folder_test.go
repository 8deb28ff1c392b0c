package git_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"berth/git"
	"berth/git/gittest"
	"berth/schema"
)

// A folder of another user: what the agent (root) creates is his, and his own
// git goes on working. Without root there is no other user to try it with, then
// it is our own folder.
func TestForeignOwner(t *testing.T) {
	s := newSite(t)
	uid := os.Geteuid()
	if uid == 0 {
		uid = 1234
	}
	for up := filepath.Dir(s.dir); up != filepath.Dir(os.TempDir()) && len(up) > len(os.TempDir()); up = filepath.Dir(up) {
		if err := os.Chmod(up, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Mkdir(s.dir, 0o755), os.Lchown(s.dir, uid, uid)); err != nil {
		t.Fatal(err)
	}
	asUser := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = s.dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "HOME=/nonexistent")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v as uid %d: %v\n%s", args, uid, err, out)
		}
	}
	many := map[string]string{}
	for i := range 150 {
		many["many/"+strings.Repeat("x", i+1)] = strings.Repeat("y", i)
	}
	s.repo.Change(gittest.Change{Files: many, Links: map[string]string{"link": "many"}})
	s.sync("")
	allOwnedBy(t, s.dir, uid)
	for i := range 3 {
		s.repo.Commit(map[string]string{"a/b/c": strings.Repeat("1", i+1)}, "by agent")
		s.sync("")
		allOwnedBy(t, s.dir, uid)
		s.repo.Commit(map[string]string{"a/b/d": strings.Repeat("2", i+1)}, "by hand")
		asUser("pull", "-q")
		asUser("gc", "-q")
		asUser("fsck")
	}
	s.write("a/b/c", "edited")
	s.sync("")
	allOwnedBy(t, s.dir, uid)
}

func allOwnedBy(t *testing.T, dir string, uid int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(p, &st); err != nil {
			return err
		}
		if int(st.Uid) != uid {
			t.Errorf("%s belongs to uid %d", p, st.Uid)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestIndexLock(t *testing.T) {
	s := newSite(t)
	one := s.repo.Commit(map[string]string{"a": "1"}, "one")
	s.sync("")
	two := s.repo.Commit(map[string]string{"a": "2"}, "two")
	lock := filepath.Join(s.dir, ".git", "index.lock")
	if err := os.WriteFile(lock, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := s.client.Sync(t.Context(), s.dir, s.source(), git.Options{LockWait: time.Millisecond})
	s.fails(err, schema.Conflict, "index.lock", "delete the file")
	if s.read("a") != "1" {
		t.Error("files were changed")
	}
	if got := s.sync(one); len(got.Changed) != 0 { // nothing to do needs no lock
		t.Errorf("%+v", got)
	}
	done := make(chan error, 1)
	go func() {
		_, err := s.client.Sync(t.Context(), s.dir, s.source(), git.Options{})
		done <- err
	}()
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil || s.git("rev-parse", "HEAD") != two {
		t.Errorf("after the lock was gone: %v", err)
	}
	// What a killed agent leaves: a lock with its mark that nobody holds.
	s.repo.Commit(map[string]string{"a": "3"}, "three")
	if err := os.WriteFile(lock, []byte("berth\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.sync("")
	s.clean()
	if _, err := os.Stat(lock); err == nil {
		t.Error("the lock is still there")
	}
}

// A sync that was killed half way left files of its commit; the next one, to
// another commit, knows them as its own.
func TestTakesUpAfterKill(t *testing.T) {
	s := newSite(t)
	s.repo.Commit(map[string]string{"a": "1", "b": "1"}, "one")
	s.sync("")
	two := s.repo.Commit(map[string]string{"a": "2", "new": "2"}, "two")
	s.git("fetch", "-q")
	s.write("a", "2")
	s.write("new", "2")
	s.write(".git/berth/target", two+"\n")
	s.write(".git/berth/tmp/1", "half")
	s.repo.Commit(map[string]string{"a": "3", "new": "3"}, "three")
	got := s.sync("")
	if len(got.Drift) != 0 || s.read("a") != "3" || s.read("new") != "3" {
		t.Errorf("%+v", got)
	}
	s.clean()
	s.missing(".git/berth")
}

func TestDamagedRepositoryHeals(t *testing.T) {
	s := newSite(t)
	one := s.repo.Commit(map[string]string{"a": "1", "dir/b": "1"}, "one")
	s.sync("")
	tree := s.git("rev-parse", "HEAD:dir")
	if err := os.RemoveAll(filepath.Join(s.dir, ".git", "objects", tree[:2])); err != nil {
		t.Fatal(err)
	}
	s.git("read-tree", "--empty") // nothing to go by but objects
	packs, err := filepath.Glob(filepath.Join(s.dir, ".git", "objects", "pack", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packs {
		if err := os.Remove(p); err != nil {
			t.Fatal(err)
		}
	}
	s.write("data/db", "rows")
	got := s.sync("")
	if got.Commit != one || s.read("data/db") != "rows" {
		t.Errorf("%+v", got)
	}
	s.clean("data/")
	if err := os.WriteFile(filepath.Join(s.dir, ".git", "index"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s.sync("")
	s.clean("data/")
}

// A tracked file that was closed to others stays so when it is replaced.
func TestPermissionsStay(t *testing.T) {
	s := newSite(t)
	s.repo.Commit(map[string]string{"app.env": "1", "run": "1"}, "one")
	s.sync("")
	if err := os.Chmod(filepath.Join(s.dir, "app.env"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.repo.Change(gittest.Change{Files: map[string]string{"app.env": "2", "run": "2"}, Executable: []string{"run"}})
	s.sync("")
	for name, want := range map[string]os.FileMode{"app.env": 0o600, "run": 0o755} {
		if st, err := os.Stat(filepath.Join(s.dir, name)); err != nil || st.Mode().Perm() != want {
			t.Errorf("%s: %v, want %v (%v)", name, st.Mode().Perm(), want, err)
		}
	}
	s.clean()
}

func TestPartialClone(t *testing.T) {
	s := newSite(t)
	s.repo.Commit(map[string]string{"a": "1", "b": "b"}, "one")
	two := s.repo.Commit(map[string]string{"a": "2"}, "two")
	if out, err := exec.CommandContext(t.Context(), "git", "clone", "-q", "--filter=blob:none", s.repo.URL(), s.dir).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	one := s.git("rev-parse", "HEAD~1")
	got := s.sync(one)
	if s.read("a") != "1" || len(got.Warnings) != 1 {
		t.Errorf("%+v", got)
	}
	s.sync(two)
	s.clean()
}

func TestMergeLeftHalfDone(t *testing.T) {
	s := newSite(t)
	s.repo.Commit(map[string]string{"a": "1"}, "one")
	s.sync("")
	s.write("a", "local")
	s.git("commit", "-qam", "local")
	s.repo.Commit(map[string]string{"a": "2"}, "two")
	if _, err := s.tryGit("pull", "-q", "--no-rebase"); err == nil {
		t.Fatal("no conflict")
	}
	got := s.sync("")
	if len(got.Warnings) != 2 || s.read("a") != "2" || len(got.Drift) != 1 {
		t.Errorf("%+v", got)
	}
	if out := s.git("status"); strings.Contains(out, "merg") {
		t.Error(out)
	}
	s.clean()
	s.write("a", "local")
	s.git("commit", "-qam", "local")
	s.repo.Commit(map[string]string{"a": "3"}, "three")
	if _, err := s.tryGit("pull", "-q", "--rebase"); err == nil {
		t.Fatal("no conflict")
	}
	got = s.sync("")
	if !strings.Contains(strings.Join(got.Warnings, "\n"), "git rebase --quit") {
		t.Errorf("%q", got.Warnings)
	}
	s.git("rebase", "--quit")
	s.clean()
}

func TestConfigIsSettled(t *testing.T) {
	s := newSite(t)
	s.repo.Commit(map[string]string{"a": "1"}, "one")
	s.git2("init", "-q", "-b", "main", s.dir)
	s.write(".git/config", s.read(".git/config")+"# my comment\n[remote \"origin\"]\n\turl = http://ada:oldtoken@old.lan/x/y\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n[alias]\n\tst = status\n")
	got := s.sync("")
	if len(got.Warnings) != 1 || strings.Contains(strings.Join(got.Warnings, ""), "oldtoken") {
		t.Errorf("%q", got.Warnings)
	}
	text := s.read(".git/config")
	if !strings.Contains(text, "# my comment") || strings.Contains(text, "oldtoken") || s.git("config", "alias.st") != "status" {
		t.Error(text)
	}
	s.repo.Commit(map[string]string{"a": "2"}, "two")
	s.git("pull", "-q")
	s.clean()
	s.git("remote", "set-url", "origin", strings.Replace(s.repo.URL(), "http://", "http://ada:oldtoken@", 1))
	got = s.sync("")
	if len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "git remote set-url origin") {
		t.Errorf("%q", got.Warnings)
	}
}

func (s *site) git2(args ...string) {
	s.Helper()
	if out, err := exec.CommandContext(s.Context(), "git", args...).CombinedOutput(); err != nil {
		s.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

func TestFiltersAndLineEnds(t *testing.T) {
	s := newSite(t)
	// oid of "real content\n"
	pointer := "version https://git-lfs.github.com/spec/v1\noid sha256:7b6fc05e7c4b1d3dfcbe6b2e1a3c1d0ad9b0ee5dd1f2a9c7b1d3b8a0b4d3f0a1\nsize 13\n"
	s.repo.Commit(map[string]string{".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n*.bat eol=crlf\n", "x.bin": pointer, "y.bat": "a\nb\n"}, "one")
	got := s.sync("")
	all := strings.Join(got.Warnings, "\n")
	for _, w := range []string{"git lfs pull", "x.bin", "eol=crlf", "(lfs)"} {
		if !strings.Contains(all, w) {
			t.Errorf("warnings lack %q: %s", w, all)
		}
	}
	s.write("y.bat", "a\r\nb\r\n") // what git would have written
	if got := s.sync(""); len(got.Drift) != 0 || s.read("y.bat") != "a\r\nb\r\n" {
		t.Errorf("%+v", got)
	}
}

// Several stacks share one repository: however many syncs of the same commit are
// asked for at once, one fetches.
func TestOneFetchForMany(t *testing.T) {
	s := newSite(t)
	s.repo.Commit(map[string]string{"a": "1"}, "one")
	s.sync("")
	two := s.repo.Commit(map[string]string{"a": "2"}, "two")
	src := s.source()
	src.Commit = two
	before := s.forge.Requests()
	var wg sync.WaitGroup
	var mu sync.Mutex
	fetched := 0
	for range 8 {
		wg.Go(func() {
			res, err := s.client.Sync(t.Context(), s.dir, src, git.Options{})
			mu.Lock()
			defer mu.Unlock()
			if err != nil || res.Commit != two {
				t.Errorf("%+v %v", res, err)
			}
			if res.Fetched {
				fetched++
			}
		})
	}
	wg.Wait()
	if n := s.forge.Requests() - before; fetched != 1 || n != 2 {
		t.Errorf("%d fetched with %d requests", fetched, n)
	}
}

// The user pulls by hand while we sync and others push: each may meet the
// other's lock, nothing breaks.
func TestBesideGitPull(t *testing.T) {
	s := newSite(t)
	s.repo.Commit(map[string]string{"a": "0", "b/c": "0"}, "start")
	s.sync("")
	s.write("data/db", "rows")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	pulls, met := 0, 0
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			out, err := s.tryGit("pull", "-q", "--ff-only")
			pulls++
			if err != nil {
				met++
				if !strings.Contains(out, "lock") && !strings.Contains(out, "cannot fast-forward") && !strings.Contains(out, "Not possible") && !strings.Contains(out, "would be overwritten") {
					t.Errorf("git pull: %s", out)
				}
			}
		}
	})
	for i := range 25 {
		s.repo.Commit(map[string]string{"a": strings.Repeat("x", i), "b/c": strings.Repeat("y", i), "d" + strings.Repeat("z", i%3): "n"}, "push")
		if _, err := s.client.Sync(t.Context(), s.dir, s.source(), git.Options{}); err != nil && schema.CodeOf(err) != schema.Conflict {
			t.Errorf("sync: %v", err)
		}
	}
	close(stop)
	wg.Wait()
	t.Logf("%d pulls, %d met a lock", pulls, met)
	s.sync("")
	s.clean("data/")
}
