package e2e

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth/e2e/browser"
	"berth/e2e/homelab"
	"berth/e2e/wire"
	"berth/e2e/world"
)

// minute bounds what should take seconds.
const minute = time.Minute

// TestSeed is the day of a homelab's owner: a push deploys what it touched, and
// nothing else, on both servers.
func TestSeed(t *testing.T) {
	h := homelab.New(t, world.New(t))
	h.Apply(h.TOML(t, homelab.Settings{Procedure: "on-push"}))
	for _, part := range []struct {
		name string
		do   func(*testing.T, *homelab.Homelab)
	}{
		{"first push deploys all, live on the page", seedFirst},
		{"Row05 one service of one stack", seedOneService},
		{"a mounted config file", seedMountedFile},
		{"nothing that matters", seedNothing},
		{"if changed", seedIfChanged},
		{"a clone that belongs to somebody else", seedForeignClone},
	} {
		if !t.Run(part.name, func(t *testing.T) { h.Use(t); part.do(t, h) }) {
			return // each part stands on the one before
		}
	}
}

func seedFirst(t *testing.T, h *homelab.Homelab) {
	p := browser.Open(t, browser.Look{})
	signIn(p, h.URL)
	commit, v := h.Push(t, "on-push", map[string]string{"README.md": "# Home\n"}, "Open the homelab")
	p.Visit(h.URL + "/runs/" + v.Run)
	p.Until(`document.querySelector("#run-head h1").textContent.includes("on-push")`)
	browser.Eval[bool](p, `window.sameDocument = true`)
	// homeassistant waits behind the gate, so this run goes on: what is seen now is
	// seen while it runs.
	p.Until(`document.querySelector("#run-gantt").textContent.includes("homeassistant")`)
	p.Until(`document.querySelector("log-view").textContent.includes("Container")`)
	p.Until(`["dashy", "bookstack", "tandoor", "dispatcharr"].every(n => [...document.querySelectorAll(".glw")].some(l => l.textContent.includes(n) && l.querySelector(".ok")))`)
	if chip := p.Text("#run-head .chip"); !strings.Contains(chip, "running") {
		t.Errorf("the page says %q while homeassistant is not healthy yet, want running", chip)
	}
	h.Open(t)
	p.Until(`document.querySelector("#run-head .chip").textContent.trim() === "finished"`)
	if !browser.Eval[bool](p, `window.sameDocument === true`) {
		t.Error("the page was loaded again")
	}
	for name := range homelab.Stacks() {
		p.Until(`document.querySelector("#run-why").textContent.includes(` + quoted(name) + `)`)
	}
	if text := p.Text("#run-head"); !strings.Contains(text, commit[:7]) {
		t.Errorf("the page's head does not name commit %s: %s", commit[:7], text)
	}
	checkTree(t, h, v, commit, "Open the homelab")
	if len(h.Snapshot(t)) != 8 {
		t.Errorf("containers are %v, want 8 of them", h.Snapshot(t))
	}
}

// checkTree holds what the history says of a push.
func checkTree(t *testing.T, h *homelab.Homelab, v world.Verdict, commit, message string) {
	t.Helper()
	r := h.Ended(t, v.Run, minute)
	if r.State != "succeeded" || r.Action != "RunProcedure" || r.Parent != "" {
		t.Fatalf("the run is not a procedure's good end:\n%s", h.Tree(t, r, ""))
	}
	if r.Cause.Kind != "webhook" || r.Cause.Delivery == "" || r.Cause.Commit != commit || r.Cause.Message != message || r.Cause.By != "matt" {
		t.Errorf("cause is %+v", r.Cause)
	}
	if r.Commit != commit || r.Message != message {
		t.Errorf("commit is %q (%q), want %s (%q)", r.Commit, r.Message, commit, message)
	}
	if r.Actor.Kind != "webhook" || r.Actor.Name != "Forgejo" {
		t.Errorf("actor is %+v", r.Actor)
	}
	for i, want := range []string{"Pull", "Deploy"} {
		if len(r.Stages) != 2 || r.Stages[i].Name != want || r.Stages[i].State != "succeeded" || r.Stages[i].Ended < r.Stages[i].Started {
			t.Errorf("stages are %+v", r.Stages)
			break
		}
	}
	if len(r.Stages) == 2 && r.Stages[1].Started < r.Stages[0].Ended {
		t.Error("the second stage began before the first had ended")
	}
	children := h.Children(t, r.ID)
	want := slices.Sorted(maps.Keys(homelab.Stacks()))
	if got := slices.Sorted(maps.Keys(children)); !slices.Equal(got, slices.Sorted(slices.Values(append(want, "homelab-docker")))) {
		t.Errorf("children are of %v", got)
	}
	for name, c := range children {
		stage, action := "Deploy", "DeployStack"
		if name == "homelab-docker" {
			stage, action = "Pull", "PullRepo"
		}
		if c.State != "succeeded" || c.Stage != stage || !strings.HasPrefix(c.Action, action) || c.Parent != r.ID {
			t.Errorf("child is wrong:\n%s", h.Tree(t, c, ""))
		}
		if c.Commit != commit || c.Message != message {
			t.Errorf("%s: commit is %q (%q), want %s", name, c.Commit, c.Message, commit)
		}
		if c.Decision == nil || c.Decision.What == "" || c.Decision.Reason == "" {
			t.Errorf("%s: decision is %+v", name, c.Decision)
		}
		if c.Actor.Kind != "procedure" || c.Actor.Name == "" || c.Cause.Kind != "webhook" || c.Cause.Delivery != r.Cause.Delivery {
			t.Errorf("%s: actor %+v, cause %+v", name, c.Actor, c.Cause)
		}
		if c.Started < c.Queued || c.Ended < c.Started {
			t.Errorf("%s: queued %d, started %d, ended %d", name, c.Queued, c.Started, c.Ended)
		}
	}
}

// pushed pushes files and checks which containers, and no others, are new.
func pushed(t *testing.T, h *homelab.Homelab, files map[string]string, message string, fresh ...string) wire.Run {
	t.Helper()
	before := h.Snapshot(t)
	commit, v := h.Push(t, "on-push", files, message)
	checkTree(t, h, v, commit, message)
	after := h.Snapshot(t)
	var got []string
	for name := range after {
		if after[name] != before[name] {
			got = append(got, name)
		}
	}
	slices.Sort(got)
	slices.Sort(fresh)
	if diff := cmp.Diff(fresh, got); diff != "" {
		t.Errorf("new containers (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after))); diff != "" {
		t.Errorf("containers before and after:\n%s", diff)
	}
	r, err := h.API.Run(t.Context(), v.Run)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func seedOneService(t *testing.T, h *homelab.Homelab) {
	keep := writeDatabase(t, filepath.Join(h.Servers[world.Nexus].Data, "periphery", "repos", "homelab-docker", "bookstack", "db"))
	text := compose(t, h, "bookstack")
	r := pushed(t, h, map[string]string{"bookstack/docker-compose.yml": strings.Replace(text, "APP_TEXT: bookstack", "APP_TEXT: more books", 1)},
		"Buy books", "bookstack/bookstack")
	if d := h.Children(t, r.ID)["bookstack"].Decision; d == nil || d.What != "deploy" || !strings.Contains(d.Reason, "bookstack") {
		t.Errorf("decision is %+v, want a reason that names the container", d)
	}
	keep(t)
	pushed(t, h, map[string]string{"dispatcharr/docker-compose.yml": strings.Replace(compose(t, h, "dispatcharr"), "APP_TEXT: dispatcharr", "APP_TEXT: channels", 1)},
		"Add channels", "dispatcharr/dispatcharr")
	keep(t)
}

// writeDatabase puts files where a database keeps its own, beside the compose
// file; the function it returns checks that nobody touched them.
func writeDatabase(t *testing.T, dir string) func(*testing.T) {
	t.Helper()
	type fact struct {
		Ino      uint64
		UID, GID uint32
		Mode     uint32
		Mtim     syscall.Timespec
		Text     string
	}
	look := func(t *testing.T) map[string]fact {
		t.Helper()
		out := map[string]fact{}
		err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
			if err != nil {
				return err
			}
			s := info.Sys().(*syscall.Stat_t)
			f := fact{Ino: s.Ino, UID: s.Uid, GID: s.Gid, Mode: s.Mode, Mtim: s.Mtim}
			if info.Mode().IsRegular() {
				text, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				f.Text = string(text)
			}
			out[path] = f
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for name, text := range map[string]string{"ibdata1": strings.Repeat("page", 4096), "mysql/user.frm": "root", "docker-compose.yml": "not: yours", ".git/index": "neither"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, 999, 999); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	before := look(t)
	return func(t *testing.T) {
		t.Helper()
		if diff := cmp.Diff(before, look(t)); diff != "" {
			t.Errorf("the database folder was touched:\n%s", diff)
		}
	}
}

func seedMountedFile(t *testing.T, h *homelab.Homelab) {
	pushed(t, h, map[string]string{"dashy/conf.yml": "title: Start page\n"}, "Name the start page", "dashy/dashy")
	pushed(t, h, map[string]string{"tandoor/nginx/site.conf": "listen 8080;\n", "tandoor/nginx/more.conf": "gzip on;\n"}, "Move nginx", "tandoor/nginx")
	pushed(t, h, map[string]string{"tandoor/app.env": "APP_TEXT=soups\n"}, "Cook soups", "tandoor/web")
}

func seedNothing(t *testing.T, h *homelab.Homelab) {
	pushed(t, h, map[string]string{"docs/notes.md": "nothing\n"}, "Write notes")
}

// seedIfChanged deploys by "if changed", where each target that did not change
// says so.
func seedIfChanged(t *testing.T, h *homelab.Homelab) {
	h.Apply(h.TOML(t, homelab.Settings{Procedure: "on-push", Deploy: "DeployStackIfChanged"}))
	r := pushed(t, h, map[string]string{"dashy/conf.yml": "title: Home again\n"}, "Come home", "dashy/dashy")
	for name, c := range h.Children(t, r.ID) {
		want := "unchanged"
		switch name {
		case "dashy":
			want = "deploy"
		case "homelab-docker":
			want = "pull"
		}
		if c.Decision == nil || c.Decision.What != want {
			t.Errorf("%s: decision is %+v, want %s", name, c.Decision, want)
		}
		if name == "dashy" && c.Decision != nil && !strings.Contains(c.Decision.Reason, "conf.yml") {
			t.Errorf("the reason does not name the file: %+v", c.Decision)
		}
	}
}

// seedForeignClone is the seed's own way: the stacks' files are on the server, in a
// clone that belongs to its owner and not to the agent's user.
func seedForeignClone(t *testing.T, h *homelab.Homelab) {
	const matt = 1234
	clone := filepath.Join(t.TempDir(), "home", "matt", "repos", "homelab-docker")
	for _, args := range [][]string{
		{"git", "clone", "-q", h.Repo.URL(), clone}, {"chown", "-R", "1234:1234", clone}, {"chmod", "755", clone},
	} {
		if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	h.Apply(h.TOML(t, homelab.Settings{Procedure: "on-push", Clone: clone}))
	// The folders that are mounted are others now.
	pushed(t, h, map[string]string{"README.md": "# By hand\n"}, "Move in", "bookstack/db", "dashy/dashy", "tandoor/nginx")
	keep := writeDatabase(t, filepath.Join(clone, "bookstack", "db"))
	text := compose(t, h, "bookstack")
	pushed(t, h, map[string]string{"bookstack/docker-compose.yml": strings.Replace(text, "APP_TEXT: more books", "APP_TEXT: old books", 1), "new/file": "new\n"},
		"Sell books", "bookstack/bookstack")
	pushed(t, h, map[string]string{"dashy/conf.yml": "title: Hers\n"}, "Name it again", "dashy/dashy")
	keep(t)
	for _, name := range []string{"bookstack/docker-compose.yml", "new/file", "new", ".git/HEAD", ".git/index"} {
		info, err := os.Stat(filepath.Join(clone, name))
		if err != nil {
			t.Error(err)
			continue
		}
		if s := info.Sys().(*syscall.Stat_t); s.Uid != matt || s.Gid != matt {
			t.Errorf("%s belongs to %d:%d now, want %d as before", name, s.Uid, s.Gid, matt)
		}
	}
	out, err := exec.CommandContext(t.Context(), "git", "-c", "safe.directory=*", "-C", clone, "status", "--porcelain").CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "?? bookstack/db/" {
		t.Errorf("git status in the clone says %q (%v), want only the database", out, err)
	}
}

// compose is a stack's compose file at the newest commit.
func compose(t *testing.T, h *homelab.Homelab, stack string) string {
	t.Helper()
	return h.Repo.Git("show", h.Head()+":"+stack+"/docker-compose.yml") + "\n"
}

func signIn(p *browser.Page, url string) {
	p.Visit(url + "/login")
	p.Type("#username", world.Admin)
	p.Type("#password", world.Password)
	p.Click("button[type=submit]")
	p.Until(`location.pathname === "/"`)
}

// quoted is a text as a JavaScript string; it holds nothing that needs escaping.
func quoted(s string) string { return `"` + s + `"` }
