package sync_test

import (
	"fmt"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"berth/core/sync"
	"berth/core/sync/synctest"
	"berth/schema"
)

// fleet commits so many stacks, each with a folder of its own, and makes a sync of
// them. It returns what declares them.
func fleet(b *testing.B, w *synctest.World, n int) string {
	b.Helper()
	files, text := map[string]string{}, "[[server]]\nname = \"one\"\n\n"
	for i := range n {
		name := fmt.Sprintf("s%04d", i)
		text += fmt.Sprintf("[[stack]]\nname = %q\ndescription = \"stack number %d\"\ntags = [\"app\", \"home\"]\ndeploy = true\n[stack.config]\nserver = \"one\"\ngit_provider = %q\ngit_https = false\nrepo = \"a/b\"\nfile_paths = [\"stacks/%s/compose.yaml\"]\nenvironment = \"\"\"\nTZ = UTC\nNAME = %s\n\"\"\"\n\n",
			name, i, w.Forge.URL(), name, name)
		files["stacks/"+name+"/compose.yaml"] = "services: {web: {image: app}}\n"
	}
	files["berth/all.toml"] = text
	w.Forge.Repo("a/b").Commit(files, "all")
	w.Sync("mono", "a/b", map[string]any{"resource_path": []string{"berth"}, "delete": true})
	return text
}

// BenchmarkPlan plans syncs whose commit is fetched. floor is what git's diff of two
// trees and the TOML library take for the same.

func BenchmarkPlan(b *testing.B) {
	for _, n := range []int{100, 1000} {
		b.Run(fmt.Sprintf("create %d stacks", n), func(b *testing.B) {
			w := synctest.New(b)
			fleet(b, w, n)
			p, err := w.Plan(b.Context(), "mono", sync.Request{})
			w.Must(err)
			for b.Loop() { // the commit is fetched
				p, err = w.Plan(b.Context(), "mono", sync.Request{Commit: p.Commit})
				w.Must(err)
			}
			if p.Counts() != fmt.Sprintf("%d create, %d deploy", n+1, n) {
				b.Fatal(p.Counts(), p.Problem)
			}
		})
		b.Run(fmt.Sprintf("one of %d stacks changed", n), func(b *testing.B) {
			w := synctest.New(b)
			text := fleet(b, w, n)
			first := w.All("mono", true)
			for _, name := range w.Names("stack") {
				w.SetDeployed(name, &schema.Deployed{Commit: first.Commit})
			}
			second := w.Forge.Repo("a/b").Commit(map[string]string{"stacks/s0042/compose.yaml": "services: {}\n"}, "one")
			_, err := w.Plan(b.Context(), "mono", sync.Request{})
			w.Must(err)
			b.Run("ours", func(b *testing.B) {
				var p schema.SyncPlan
				for b.Loop() {
					p, err = w.Plan(b.Context(), "mono", sync.Request{Commit: second})
					w.Must(err)
				}
				if p.Counts() != "1 deploy" || len(p.Deploys) != n {
					b.Fatal(p.Counts(), p.Problem)
				}
			})
			b.Run("floor", func(b *testing.B) {
				for b.Loop() {
					var tree map[string]any
					w.Must(toml.Unmarshal([]byte(text), &tree))
					if out := w.Forge.Repo("a/b").Git("diff-tree", "-r", "--name-only", first.Commit, second); out != "stacks/s0042/compose.yaml" {
						b.Fatal(out)
					}
				}
			})
		})
	}
}
