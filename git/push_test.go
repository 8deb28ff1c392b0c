package git_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth/git"
	"berth/git/gittest"
	"berth/schema"
)

func edit(onto string, files map[string][]byte) git.Edit {
	return git.Edit{
		Branch: "main", Onto: onto, Files: files, Message: "sync: stack web\n\nfrom Berth", Name: "Berth", Email: "berth@localhost",
		When: time.Now(),
	}
}

func TestPushOverHTTPAndSSH(t *testing.T) {
	for _, how := range []string{"http", "ssh"} {
		t.Run(how, func(t *testing.T) {
			s := gittest.New(t, gittest.Config{Username: "ada", Password: "s3cret"})
			repo := s.Repo("team/app")
			one := repo.Commit(map[string]string{"a.toml": "1", "deep/b.toml": "1", "deep/er/c": "1", "run.sh": "x"}, "one")
			src := git.Source{URL: repo.URL(), Branch: "main", Auth: git.Auth{Username: "ada", Token: "s3cret"}}
			if how == "ssh" {
				src = git.Source{URL: repo.SSHURL(), Branch: "main", Auth: git.Auth{SSHKey: s.ClientKey(), KnownHosts: s.HostKeys()}}
			}
			c := git.New(slog.New(slog.DiscardHandler))
			defer c.Close()
			dir := t.TempDir() + "/mirror"
			if got, err := c.Fetch(t.Context(), dir, src); err != nil || got.Hash != one || got.Message != "one" {
				t.Fatalf("%+v, %v", got, err)
			}
			two, err := c.Push(t.Context(), dir, src, edit(one, map[string][]byte{"deep/b.toml": []byte("2\n"), "deep/new.toml": []byte("n"), "deep/er/c": nil}))
			if err != nil {
				t.Fatal(err)
			}
			if got := repo.Git("rev-parse", "main"); got != two {
				t.Fatalf("main is at %s, want %s", got, two)
			}
			if got := repo.Git("ls-tree", "-r", "--name-only", "main"); got != "a.toml\ndeep/b.toml\ndeep/new.toml\nrun.sh" {
				t.Errorf("files are %q", got)
			}
			if got := repo.Git("show", "main:deep/b.toml"); got != "2" {
				t.Errorf("deep/b.toml is %q", got)
			}
			repo.Git("fsck", "--strict")
			if got := repo.Git("log", "-1", "--format=%an %s %P", "main"); got != "Berth sync: stack web "+one {
				t.Errorf("commit is %q", got)
			}
			// What was pushed is known without a fetch.
			before := s.Requests()
			src.Commit = two
			if _, err := c.Fetch(t.Context(), dir, src); err != nil || s.Requests() != before {
				t.Errorf("%v, %d requests", err, s.Requests()-before)
			}
			// The remote has moved on: nothing is pushed.
			three := repo.Commit(map[string]string{"a.toml": "3"}, "three")
			_, err = c.Push(t.Context(), dir, src, edit(two, map[string][]byte{"a.toml": []byte("mine")}))
			if schema.CodeOf(err) != schema.Conflict || !strings.Contains(schema.SafeText(err), "moved on") {
				t.Errorf("%v", err)
			}
			if got := repo.Git("rev-parse", "main"); got != three {
				t.Errorf("main is at %s", got)
			}
			// A branch that is not there is made.
			other := edit(two, map[string][]byte{"a.toml": []byte("mine")})
			other.Branch = "berth/sync"
			four, err := c.Push(t.Context(), dir, src, other)
			if err != nil || repo.Git("rev-parse", "berth/sync") != four {
				t.Errorf("%s, %v", four, err)
			}
			src.Auth.Token, src.Auth.SSHKey = "wrong", nil
			if _, err := c.Push(t.Context(), dir, src, edit(three, map[string][]byte{"a.toml": []byte("x")})); err == nil || strings.Contains(err.Error(), "wrong") {
				t.Errorf("without credentials: %v", err)
			}
		})
	}
}

func TestPushRefusedByTheServer(t *testing.T) {
	s := gittest.New(t)
	repo := s.Repo("team/app")
	one := repo.Commit(map[string]string{"a": "1"}, "one")
	hook := "#!/bin/sh\necho protected >&2\nexit 1\n"
	if err := os.WriteFile(filepath.Join(repo.Dir(), "hooks", "update"), []byte(hook), 0o755); err != nil {
		t.Fatal(err)
	}
	c := git.New(slog.New(slog.DiscardHandler))
	defer c.Close()
	dir, src := t.TempDir(), git.Source{URL: repo.URL(), Branch: "main"}
	if _, err := c.Fetch(t.Context(), dir, src); err != nil {
		t.Fatal(err)
	}
	_, err := c.Push(t.Context(), dir, src, edit(one, map[string][]byte{"a": []byte("2")}))
	if schema.CodeOf(err) != schema.Denied {
		t.Errorf("%v", err)
	}
	if _, err := c.Push(t.Context(), dir, src, edit(one, map[string][]byte{"a": []byte("1")})); schema.CodeOf(err) != schema.Conflict {
		t.Errorf("an edit that changes nothing: %v", err)
	}
	if _, err := c.Push(t.Context(), dir, src, edit(one, map[string][]byte{"../x": []byte("1"), ".git/config": nil})); schema.CodeOf(err) != schema.Invalid {
		t.Errorf("a file in .git: %v", err)
	}
}

func TestSnapshot(t *testing.T) {
	s := gittest.New(t)
	repo := s.Repo("team/app")
	one := repo.Change(gittest.Change{
		Files: map[string]string{"stacks/a/compose.yaml": "a", "stacks/a/x/y.env": "1", "stacks/b/compose.yaml": "b", "README.md": "r"},
		Links: map[string]string{"stacks/c": "a", "out": "/etc/passwd", "up": "../x", "loop": "pool", "pool": "loop", "one.yaml": "stacks/c/compose.yaml"},
	})
	two := repo.Change(gittest.Change{Files: map[string]string{"stacks/a/x/y.env": "2", "stacks/a/z": "new"}, Delete: []string{"README.md"}})
	c := git.New(slog.New(slog.DiscardHandler))
	defer c.Close()
	dir, src := t.TempDir(), git.Source{URL: repo.URL(), Branch: "main"}
	heads, err := c.Heads(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	if at, err := heads.Find("main"); err != nil || at.Hash != two {
		t.Errorf("%+v, %v", at, err)
	}
	if _, err := heads.Find("mian"); schema.CodeOf(err) != schema.NotFound {
		t.Errorf("%v", err)
	}
	if _, err := c.Fetch(t.Context(), dir, src); err != nil {
		t.Fatal(err)
	}
	was, err := c.Open(dir, one)
	if err != nil {
		t.Fatal(err)
	}
	defer was.Close()
	now, err := c.Open(dir, two)
	if err != nil {
		t.Fatal(err)
	}
	defer now.Close()
	find := func(s *git.Snapshot, p string) git.File {
		f, ok, err := s.Find(p)
		if !ok || err != nil {
			t.Fatalf("find %s: %v", p, err)
		}
		return f
	}
	if find(was, "stacks/b") != find(now, "stacks/b") || find(was, "stacks/a") == find(now, "stacks/a") {
		t.Error("a folder's hash tells whether something below changed")
	}
	got, more, err := now.Changed(t.Context(), was, find(was, "stacks"), find(now, "stacks"), 10)
	if err != nil || more || strings.Join(got, " ") != "stacks/a/x/y.env stacks/a/z" {
		t.Errorf("%v %v %v", got, more, err)
	}
	if got, more, _ := now.Changed(t.Context(), was, find(was, "."), find(now, "."), 1); !more || len(got) != 1 {
		t.Errorf("%v %v", got, more)
	}
	f, ok, err := now.Follow("one.yaml")
	if !ok || err != nil || f.Path != "one.yaml" {
		t.Fatalf("%+v %v %v", f, ok, err)
	}
	if b, err := now.Read(f, 10); err != nil || string(b) != "a" {
		t.Errorf("%q %v", b, err)
	}
	for _, p := range []string{"out", "up", "loop"} {
		if _, _, err := now.Follow(p); schema.CodeOf(err) != schema.Invalid {
			t.Errorf("%s: %v", p, err)
		}
	}
	if root, err := c.Origin(t.Context(), dir, two, nil); err != nil || root != one {
		t.Errorf("%s %v", root, err)
	}
}
