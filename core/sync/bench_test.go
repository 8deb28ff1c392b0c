package sync_test

import (
	"fmt"
	"testing"

	"berth/core/sync"
	"berth/core/sync/synctest"
	"berth/schema"
)

// fleet commits so many stacks, each with a folder of its own, and makes a sync of
// them.
func fleet(b *testing.B, w *synctest.World, n int) {
	b.Helper()
	files, toml := map[string]string{}, "[[server]]\nname = \"one\"\n\n"
	for i := range n {
		name := fmt.Sprintf("s%04d", i)
		toml += fmt.Sprintf("[[stack]]\nname = %q\ndescription = \"stack number %d\"\ntags = [\"app\", \"home\"]\ndeploy = true\n[stack.config]\nserver = \"one\"\ngit_provider = %q\ngit_https = false\nrepo = \"a/b\"\nfile_paths = [\"stacks/%s/compose.yaml\"]\nenvironment = \"\"\"\nTZ = UTC\nNAME = %s\n\"\"\"\n\n",
			name, i, w.Forge.URL(), name, name)
		files["stacks/"+name+"/compose.yaml"] = "services: {web: {image: app}}\n"
	}
	files["berth/all.toml"] = toml
	w.Forge.Repo("a/b").Commit(files, "all")
	w.Sync("mono", "a/b", map[string]any{"resource_path": []string{"berth"}, "delete": true})
}

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
			fleet(b, w, n)
			first := w.All("mono", true)
			for _, name := range w.Names("stack") {
				w.SetDeployed(name, &schema.Deployed{Commit: first.Commit})
			}
			second := w.Forge.Repo("a/b").Commit(map[string]string{"stacks/s0042/compose.yaml": "services: {}\n"}, "one")
			_, err := w.Plan(b.Context(), "mono", sync.Request{})
			w.Must(err)
			var p schema.SyncPlan
			for b.Loop() {
				p, err = w.Plan(b.Context(), "mono", sync.Request{Commit: second})
				w.Must(err)
			}
			if p.Counts() != "1 deploy" || len(p.Deploys) != n {
				b.Fatal(p.Counts(), p.Problem)
			}
		})
	}
}
