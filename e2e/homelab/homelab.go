// Package homelab is the scene that users of a stack manager describe: one
// repository with a folder for each stack, four stacks on one server and one on
// another behind NAT, and a procedure that a push starts: pull the repository, then
// deploy all stacks at once.
//
// A Homelab belongs to one test, as its world does.
package homelab

import (
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"

	"berth/e2e/forge"
	"berth/e2e/wire"
	"berth/e2e/world"
	"berth/git/gittest"
	"berth/periphery/docker/dockertest"
	"berth/periphery/docker/dockertest/rig"
)

//go:embed scene
var scene embed.FS

// Secret signs the webhook.
const Secret = "a-webhook's-secret"

// Homelab is the scene on a world's stage.
type Homelab struct {
	*world.World
	Repo *gittest.FixtureRepo
	// Gate is a folder: services whose health check is behind it are healthy once
	// there is a file "open" in it.
	Gate string

	head string // newest commit pushed
}

// Stacks are the stacks and the server of each.
func Stacks() map[string]string {
	return map[string]string{
		"dashy": world.Nexus, "bookstack": world.Nexus, "tandoor": world.Nexus, "homeassistant": world.Nexus,
		"dispatcharr": world.LXC,
	}
}

// Settings are what the resource files are made with.
type Settings struct {
	Procedure string // its name
	Pause     int    // milliseconds between the two stages; 0 is no stage for it
	Clone     string // folder of a clone on the first server, whose files its stacks use; empty is a linked repo
	Deploy    string // execution of the second stage; DeployStack unless set
}

// New puts images, repository and files in place; Apply makes the resources.
func New(t testing.TB, w *world.World) *Homelab {
	t.Helper()
	h := &Homelab{World: w, Repo: w.Git.Repo("matt/homelab-docker"), Gate: t.TempDir()}
	if err := os.Chmod(h.Gate, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, s := range w.Servers {
		for _, tag := range []string{"1", "2"} {
			dockertest.BuildImage(t, s.Engine, "berth-e2e/app", tag, rig.Behaviour{})
		}
	}
	h.head = h.Repo.Commit(h.files(t), "Begin")
	return h
}

// files is the repository's first commit.
func (h *Homelab) files(t testing.TB) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := fs.WalkDir(scene, "scene/repo", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := scene.ReadFile(path)
		out[strings.TrimPrefix(path, "scene/repo/")] = strings.ReplaceAll(string(text), "@GATE@", h.Gate)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TOML is the resources as their user writes them.
func (h *Homelab) TOML(t testing.TB, s Settings) string {
	t.Helper()
	if s.Deploy == "" {
		s.Deploy = "DeployStack"
	}
	tmpl, err := template.ParseFS(scene, "scene/homelab.toml.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	err = tmpl.Execute(&text, map[string]any{"S": s, "GitHost": h.GitHost(), "Stacks": Stacks(), "Secret": Secret, "Nexus": world.Nexus})
	if err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// Push commits files and sends the webhook that a Forgejo sends for it, to the
// procedure with the given name or id.
func (h *Homelab) Push(t testing.TB, procedure string, files map[string]string, message string) (commit string, v world.Verdict) {
	t.Helper()
	before := h.head
	h.head = h.Repo.Commit(files, message)
	d, err := forge.Forgejo.Push(forge.Push{
		Owner: "matt", Repo: "homelab-docker", URL: h.Git.URL(), Before: before, After: h.head,
		Message: message, Login: "matt", Modified: slices.Sorted(maps.Keys(files)),
	})
	if err != nil {
		t.Fatal(err)
	}
	v = h.Deliver("github/procedure/"+procedure+"/main", Secret, d)
	if v.Status != 200 || v.Verdict != "accepted" || v.Run == "" {
		t.Fatalf("the webhook was answered %+v", v)
	}
	return h.head, v
}

// Head is the newest commit.
func (h *Homelab) Head() string { return h.head }

// Open opens the gate: what waits behind it becomes healthy.
func (h *Homelab) Open(t testing.TB) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(h.Gate, "open"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Shut shuts the gate again.
func (h *Homelab) Shut(t testing.TB) {
	t.Helper()
	if err := os.Remove(filepath.Join(h.Gate, "open")); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
}

// Ended waits for a run's end.
func (h *Homelab) Ended(t testing.TB, id string, limit time.Duration) wire.Run {
	t.Helper()
	return h.Until(t, id, limit, "has ended", wire.Run.Terminal)
}

// Until waits until a run is as wanted.
func (h *Homelab) Until(t testing.TB, id string, limit time.Duration, what string, is func(wire.Run) bool) wire.Run {
	t.Helper()
	r, err := h.API.AwaitRun(h.Context(limit), id, is)
	if err != nil {
		t.Fatalf("run %s %s: not so within %s (%v); it is %s\n%s", id, what, limit, err, r.State, h.Tree(t, r, ""))
	}
	return r
}

// Children are the runs that a run started, by their target's name, which no two
// of them share.
func (h *Homelab) Children(t testing.TB, parent string) map[string]wire.Run {
	t.Helper()
	list, err := h.API.Runs(t.Context(), wire.Params{"parent": parent, "limit": 1000})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]wire.Run{}
	for _, r := range list {
		if other, twice := out[r.Target.Name]; twice {
			t.Errorf("run #%d started two runs for %s: #%d and #%d", r.Number, r.Target.Name, other.Number, r.Number)
		}
		out[r.Target.Name] = r
	}
	return out
}

// Tree is a run and what it started, as text for a failure.
func (h *Homelab) Tree(t testing.TB, r wire.Run, indent string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s#%d %s %s: %s: %s\n", indent, r.Number, r.Action, r.Target.Name, r.State, r.Why())
	for _, s := range r.Steps {
		fmt.Fprintf(&text, "%s  - %s: %s %s (queued at %d ms, began at %d, ended at %d)\n", indent, s.Name, s.State, s.Note,
			s.Queued-r.Queued, s.Started-r.Queued, s.Ended-r.Queued)
		if s.Child == "" {
			continue
		}
		if c, err := h.API.Run(t.Context(), s.Child); err == nil {
			text.WriteString(h.Tree(t, c, indent+"    "))
		}
	}
	return text.String()
}

// Snapshot is the id of every container of the homelab, by "stack/service".
func (h *Homelab) Snapshot(t testing.TB) map[string]string {
	t.Helper()
	out := map[string]string{}
	for stack, server := range Stacks() {
		list, err := h.Servers[server].Engine.Containers(t.Context(), stack)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range list {
			key := stack + "/" + c.Service
			if out[key] != "" {
				t.Errorf("%s has two containers: %s and %s", key, out[key], c.ID)
			}
			out[key] = c.ID
			if c.State != "running" {
				t.Errorf("%s is %s, want running", key, c.Status)
			}
		}
	}
	return out
}
