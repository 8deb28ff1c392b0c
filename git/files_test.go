package git_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/git"
	"berth/schema"
)

func TestFiles(t *testing.T) {
	s := newSite(t)
	h := s.repo.Commit(map[string]string{"a/x": "1", "a/b/y": "2", "c": "3"}, "one")
	s.sync("")
	files, err := s.client.Files(t.Context(), s.dir, h, "a/b", "./a", "c", "nowhere", "c/deeper")
	if err != nil {
		t.Fatal(err)
	}
	want := []git.File{
		{Path: "a/b/y", Mode: 0o100644, Hash: s.git("rev-parse", "HEAD:a/b/y")},
		{Path: "a/x", Mode: 0o100644, Hash: s.git("rev-parse", "HEAD:a/x")},
		{Path: "c", Mode: 0o100644, Hash: s.git("rev-parse", "HEAD:c")},
	}
	if diff := cmp.Diff(want, files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	_, err = s.client.Files(t.Context(), s.dir, strings.Repeat("1", 40))
	s.fails(err, schema.NotFound)
}

func TestResolve(t *testing.T) {
	s := newSite(t)
	h := s.repo.Commit(map[string]string{"a": "1"}, "one")
	for _, branch := range []string{"main", ""} {
		got, err := s.client.Resolve(context.Background(), git.Source{URL: s.repo.URL(), Branch: branch})
		if err != nil || got.Hash != h || got.Branch != "main" {
			t.Errorf("%q: %+v %v", branch, got, err)
		}
	}
}

func TestWhere(t *testing.T) {
	s := newSite(t)
	h := s.repo.Commit(map[string]string{"a/x": "1"}, "one\n\nmore")
	s.sync("")
	root, at, err := s.client.Where(filepath.Join(s.dir, "a"))
	if err != nil || root != s.dir || at.Hash != h || at.Branch != "main" || at.Message != "one\n\nmore" {
		t.Errorf("%s %+v %v", root, at, err)
	}
	_, _, err = s.client.Where(t.TempDir())
	s.fails(err, schema.NotFound)
}
