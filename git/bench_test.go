package git_test

import (
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"testing"

	"berth/git"
	"berth/git/gittest"
)

// benchSite is a repository of 2000 files in 100 folders, cloned.
func benchSite(b *testing.B) (*gittest.FixtureRepo, *git.Client, string) {
	b.Helper()
	repo := gittest.New(b).Repo("team/app")
	files := map[string]string{}
	for i := range 2000 {
		files[fmt.Sprintf("stack%02d/conf/f%d", i%100, i)] = fmt.Sprintf("content of file %d\n", i)
	}
	repo.Commit(files, "all")
	c := git.New(slog.New(slog.DiscardHandler))
	b.Cleanup(c.Close)
	dir := filepath.Join(b.TempDir(), "app")
	if _, err := c.Sync(b.Context(), dir, git.Source{URL: repo.URL(), Branch: "main"}, git.Options{}); err != nil {
		b.Fatal(err)
	}
	return repo, c, dir
}

func pull(b *testing.B, dir string) {
	cmd := exec.CommandContext(b.Context(), "git", "pull", "-q")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v %s", err, out)
	}
}

func BenchmarkSyncNoop(b *testing.B) {
	repo, c, dir := benchSite(b)
	src := git.Source{URL: repo.URL(), Branch: "main", Commit: repo.Git("rev-parse", "main")}
	b.Run("exact", func(b *testing.B) {
		for b.Loop() {
			if _, err := c.Sync(b.Context(), dir, src, git.Options{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("branch", func(b *testing.B) {
		src.Commit = ""
		for b.Loop() {
			if _, err := c.Sync(b.Context(), dir, src, git.Options{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("git-pull", func(b *testing.B) {
		for b.Loop() {
			pull(b, dir)
		}
	})
}

func BenchmarkSyncOneFile(b *testing.B) {
	repo, c, dir := benchSite(b)
	push := func(i int) string {
		return repo.Commit(map[string]string{"stack07/conf/f7": fmt.Sprint("new ", i, b.Name())}, "one file")
	}
	b.Run("berth", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			b.StopTimer()
			src := git.Source{URL: repo.URL(), Branch: "main", Commit: push(i)}
			b.StartTimer()
			if _, err := c.Sync(b.Context(), dir, src, git.Options{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("git-pull", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			b.StopTimer()
			push(-i)
			b.StartTimer()
			pull(b, dir)
		}
	})
}

func BenchmarkFiles(b *testing.B) {
	repo, c, dir := benchSite(b)
	h := repo.Git("rev-parse", "main")
	for b.Loop() {
		if _, err := c.Files(b.Context(), dir, h, "stack07"); err != nil {
			b.Fatal(err)
		}
	}
}
