package resource

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

// manyStacks are n stacks of one repository on ten servers.
func manyStacks(n int) string {
	var b strings.Builder
	for i := range 10 {
		fmt.Fprintf(&b, "[[server]]\nname = \"edge-%d\"\nconfig.enabled = true\n\n##\n\n", i)
	}
	b.WriteString("[[repo]]\nname = \"iac\"\n[repo.config]\nrepo = \"acme/iac\"\n\n##\n\n")
	for i := range n {
		fmt.Fprintf(&b, `[[stack]]
name = "app-%04d"
tags = ["prod", "team-%d"]
deploy = true
[stack.config]
server = "edge-%d"
linked_repo = "iac"
run_directory = "stacks/app-%04d"
file_paths = ["compose.yaml"]
poll_for_updates = true
environment = """
DOMAIN = app-%d.example.com
TOKEN = [[APP_%d_TOKEN]]
"""

##

`, i, i%7, i%10, i, i, i)
	}
	return b.String()
}

// BenchmarkPlan1000 is a plan of 1,000 stacks in one file: all new, none changed,
// and each changed.
func BenchmarkPlan1000(b *testing.B) {
	text := manyStacks(1000)
	w := newWorld(b)
	plan := func(b *testing.B, text string) Plan {
		p, err := w.PlanScope(b.Context(), []File{{"stacks.toml", text}}, Scope{Delete: true})
		if err != nil || p.Err() != nil {
			b.Fatal(err, p.Err())
		}
		return p
	}
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			plan(b, text)
		}
	})
	if err := w.Apply(b.Context(), plan(b, text)); err != nil {
		b.Fatal(err)
	}
	for name, text := range map[string]string{"unchanged": text, "changed": strings.ReplaceAll(text, "poll_for_updates", "auto_update")} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				plan(b, text)
			}
		})
	}
	b.Run("floor", func(b *testing.B) { unmarshal(b, text) })
}

// BenchmarkDecode10000 reads and checks 10,000 declarations; floor is what the
// TOML library alone takes for the same text.
func BenchmarkDecode10000(b *testing.B) {
	text := manyStacks(10000)
	d := newDesk()
	b.Run("ours", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			p := &planner{reg: d.Registry, names: map[string]map[string]*planned{}, ids: map[string]*planned{}}
			entries, issues := d.parse(File{"stacks.toml", text})
			for _, e := range entries {
				d.kind(e.kind).propose(e, p)
			}
			if len(issues)+len(p.issues) > 0 {
				b.Fatal(issues, p.issues)
			}
		}
	})
	b.Run("floor", func(b *testing.B) { unmarshal(b, text) })
}

func unmarshal(b *testing.B, text string) {
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		var tree map[string]any
		if err := toml.Unmarshal([]byte(text), &tree); err != nil {
			b.Fatal(err)
		}
	}
}
