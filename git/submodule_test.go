package git_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth/git"
	"berth/git/gittest"
	"berth/schema"
)

func modules(at ...string) string {
	var b strings.Builder
	for i := 0; i < len(at); i += 2 {
		fmt.Fprintf(&b, "[submodule %q]\n\tpath = %s\n\turl = %s\n", at[i], at[i], at[i+1])
	}
	return b.String()
}

func TestSubmodules(t *testing.T) {
	s := newSite(t, gittest.Config{Username: "token", Password: "pw-for-modules"})
	inner, lib := s.forge.Repo("other/inner"), s.forge.Repo("team/lib")
	in1 := inner.Commit(map[string]string{"deep": "1"}, "inner")
	lib1 := lib.Change(gittest.Change{
		Files:   map[string]string{"lib.txt": "1", ".gitmodules": modules("inner", "../../other/inner.git")},
		Modules: map[string]string{"inner": in1},
	})
	lib.Commit(map[string]string{"lib.txt": "2, not pinned"}, "lib")
	s.repo.Change(gittest.Change{
		Files:   map[string]string{"app": "1", ".gitmodules": modules("vendor/lib", "../lib.git", "by-address", inner.URL())},
		Modules: map[string]string{"vendor/lib": lib1, "by-address": in1},
	})
	src := s.source()
	src.Auth = git.Auth{Token: "pw-for-modules"}
	got := s.syncFrom(src, git.Options{})
	if s.read("vendor/lib/lib.txt") != "1" || s.read("vendor/lib/inner/deep") != "1" || s.read("by-address/deep") != "1" {
		t.Errorf("%+v", got)
	}
	s.clean()
	if out := s.git("submodule", "status", "--recursive"); strings.Contains("\n"+out, "\n-") || strings.Contains("\n"+out, "\n+") {
		t.Error(out)
	}
	noSecretBelow(t, s.dir, "pw-for-modules")
	asked := s.forge.Requests()
	src.Commit = got.Commit
	s.syncFrom(src, git.Options{})
	if s.forge.Requests() != asked {
		t.Error("the network was asked for nothing new")
	}

	s.write("vendor/lib/data/db", "rows")
	s.write("vendor/lib/lib.txt", "edited")
	in2 := inner.Commit(map[string]string{"deep": "2"}, "inner")
	lib3 := lib.Change(gittest.Change{Files: map[string]string{"lib.txt": "3"}, Modules: map[string]string{"inner": in2}})
	s.repo.Change(gittest.Change{Modules: map[string]string{"vendor/lib": lib3}})
	src.Commit = ""
	got = s.syncFrom(src, git.Options{})
	if s.read("vendor/lib/lib.txt") != "3" || s.read("vendor/lib/inner/deep") != "2" || s.read("vendor/lib/data/db") != "rows" {
		t.Errorf("%+v", got)
	}
	if len(got.Drift) != 1 || got.Drift[0].Path != "vendor/lib/lib.txt" {
		t.Errorf("drift: %+v", got.Drift)
	}
	if out := s.git("status", "--porcelain", "--ignore-submodules=untracked"); out != "" {
		t.Error(out)
	}
}

func TestNoSubmodules(t *testing.T) {
	s := newSite(t)
	lib := s.forge.Repo("team/lib")
	one := lib.Commit(map[string]string{"x": "1"}, "one")
	s.repo.Change(gittest.Change{
		Files: map[string]string{"app": "1", ".gitmodules": modules("deep/lib", lib.URL())}, Modules: map[string]string{"deep/lib": one},
	})
	s.syncFrom(s.source(), git.Options{NoSubmodules: true})
	s.missing("deep/lib/x")
	s.clean()
	s.sync("")
	if s.read("deep/lib/x") != "1" {
		t.Error("the submodule was not fetched when wanted again")
	}
	two := lib.Commit(map[string]string{"x": "2"}, "two")
	s.repo.Change(gittest.Change{Files: map[string]string{"app": "2"}, Modules: map[string]string{"deep/lib": two}})
	asked := lib.Git("rev-parse", "HEAD")
	s.syncFrom(s.source(), git.Options{NoSubmodules: true})
	if s.read("deep/lib/x") != "1" || s.read("app") != "2" || asked != two {
		t.Error("a submodule that is there was touched")
	}
}

func TestSubmodulesMadeByHand(t *testing.T) {
	s := newSite(t)
	lib := s.forge.Repo("team/lib")
	one := lib.Commit(map[string]string{"x": "1"}, "one")
	s.repo.Change(gittest.Change{Files: map[string]string{".gitmodules": modules("lib", lib.URL())}, Modules: map[string]string{"lib": one}})
	s.git2("clone", "-q", "--recurse-submodules", s.repo.URL(), s.dir)
	two := lib.Commit(map[string]string{"x": "2"}, "two")
	s.repo.Change(gittest.Change{Modules: map[string]string{"lib": two}})
	s.sync("")
	if s.read("lib/x") != "2" {
		t.Error("submodule was not brought forward")
	}
	s.clean()
	three := lib.Commit(map[string]string{"x": "3"}, "three")
	s.repo.Change(gittest.Change{Modules: map[string]string{"lib": three}})
	s.git("pull", "-q")
	s.git("submodule", "update", "-q")
	s.clean()
	s.sync("")
	s.clean()
}

func TestSubmoduleCredentialsStayAtHome(t *testing.T) {
	s := newSite(t, gittest.Config{Username: "token", Password: "pw"})
	other := gittest.New(t, gittest.Config{Username: "token", Password: "pw"}) // would accept it
	lib := other.Repo("x/lib")
	h := lib.Commit(map[string]string{"x": "1"}, "one")
	s.repo.Change(gittest.Change{Files: map[string]string{".gitmodules": modules("lib", lib.URL())}, Modules: map[string]string{"lib": h}})
	src := s.source()
	src.Auth = git.Auth{Token: "pw"}
	_, err := s.client.Sync(t.Context(), s.dir, src, git.Options{})
	s.fails(err, schema.Denied, "submodule lib", "asks for credentials", lib.URL())
}

func TestHostileSubmodules(t *testing.T) {
	for name, text := range map[string]string{
		"name":  "[submodule \"../../evil\"]\n\tpath = lib\n\turl = ../lib\n",
		"path":  "[submodule \"x\"]\n\tpath = ../lib\n\turl = ../lib\n",
		"local": modules("lib", "/etc"),
		"file":  modules("lib", "file:///etc"),
		"ext":   modules("lib", "ext::sh -c id"),
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			h := s.forge.Repo("team/lib").Commit(map[string]string{"x": "1"}, "one")
			s.repo.Change(gittest.Change{Files: map[string]string{".gitmodules": text}, Modules: map[string]string{"lib": h}})
			res, err := s.client.Sync(t.Context(), s.dir, s.source(), git.Options{})
			if err == nil && !strings.Contains(strings.Join(res.Warnings, ""), "left out") {
				t.Error("accepted")
			}
			s.missing("lib/x")
			s.missing("../evil")
			s.missing(".git/evil")
		})
	}
	t.Run("through a link", func(t *testing.T) {
		s := newSite(t)
		h := s.forge.Repo("team/lib").Commit(map[string]string{"x": "1"}, "one")
		s.repo.Change(gittest.Change{Files: map[string]string{".gitmodules": modules("lib", "../lib.git")}, Modules: map[string]string{"lib": h}})
		s.write("keep", "")
		elsewhere := t.TempDir()
		if err := os.Symlink(elsewhere, filepath.Join(s.dir, "lib")); err != nil {
			t.Fatal(err)
		}
		_, err := s.client.Sync(t.Context(), s.dir, s.source(), git.Options{})
		s.fails(err, schema.Conflict)
		if left, _ := os.ReadDir(elsewhere); len(left) != 0 {
			t.Errorf("wrote through a link: %v", left)
		}
	})
}
