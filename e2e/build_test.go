package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"berth/e2e/forge"
	"berth/e2e/homelab"
	"berth/e2e/wire"
	"berth/e2e/world"
	"berth/git/gittest"
	"berth/periphery/docker/dockertest"
	"berth/periphery/docker/dockertest/rig"
	"berth/schema"
)

// buildWorld is a custom image as the seed has it: a Dockerfile in a repository
// that adds files to a base, built on a server, pushed to a registry.
type buildWorld struct {
	*homelab.Homelab
	repo *gittest.FixtureRepo
	head string
	reg  string // the registry, as the engine reaches it
}

// buildTOML takes the git host, the registry, its account and the secret.
const buildTOML = `
[[builder]]
name = "local"
config = { type = "Server", params = { server = "nexus" } }

[[builder]]
name = "far"
config = { type = "Url", params = { address = "https://periphery-9:8120" } }

[[builder]]
name = "cloud"
config = { type = "Aws", params = {} }

[[repo]]
name = "image"
[repo.config]
builder = "local"
git_provider = %[1]q
git_https = false
repo = "harbour/image"
on_clone.command = "echo cloned > made-on-clone"

[[build]]
name = "periphery-custom"
[build.config]
builder = "local"
linked_repo = "image"
build_path = "docker"
image_registry = [{ domain = %[2]q, account = %[3]q }]
webhook_secret = %[4]q
build_args = "BASE_TAG = 1"
secret_args = "TOKEN = [[BUILD_TOKEN]]"

[[build]]
name = "stranger"
[build.config]
builder = "local"
dockerfile = "FROM berth-e2e/app:1"
image_registry = { domain = %[2]q, account = "nobody" }

[[build]]
name = "far-away"
[build.config]
builder = "far"
dockerfile = "FROM berth-e2e/app:1"

[[build]]
name = "in-the-cloud"
[build.config]
builder = "cloud"
dockerfile = "FROM berth-e2e/app:1"

[[deployment]]
name = "agent"
[deployment.config]
server = "nexus"
image = { type = "Build", params = { build = "periphery-custom" } }
redeploy_on_build = true
network = "bridge"

[[deployment]]
name = "agent-resting"
[deployment.config]
server = "nexus"
image = { type = "Build", params = { build = "periphery-custom" } }
redeploy_on_build = true
network = "bridge"

[[variable]]
name = "BUILD_TOKEN"
value = "kanarienvogel-41-build"
is_secret = true
`

// TestBuilds holds what builds do from a push to the registry and to what runs the
// image, over HTTP.
func TestBuilds(t *testing.T) {
	config := filepath.Join(t.TempDir(), "core.toml")
	w := world.New(t, world.Options{Servers: []string{world.Nexus}, Core: func(w *world.World) []string {
		writeFile(t, config, fmt.Sprintf("[[image_registry]]\ndomain = %q\nhttps = false\naccounts = [{ username = %q, token = %q }]\n",
			w.Registry.Host(w.Servers[world.Nexus].Engine.Gateway), w.Registry.User, w.Registry.Password))
		return []string{"--config", config}
	}})
	b := &buildWorld{
		Homelab: &homelab.Homelab{World: w}, repo: w.Git.Repo("harbour/image"), reg: w.Registry.Host(w.Servers[world.Nexus].Engine.Gateway),
	}
	dockertest.BuildImage(t, w.Servers[world.Nexus].Engine, "berth-e2e/app", "1", rig.Behaviour{})
	b.push(dockerfile("first"))
	b.Apply(fmt.Sprintf(buildTOML, b.GitHost(), b.reg, w.Registry.User, homelab.Secret))
	for _, part := range []struct {
		name string
		do   func(*testing.T, *buildWorld)
	}{
		{"a failed build keeps the version", buildFailed},
		{"push, build, registry", buildPushed},
		{"a push ends the build that goes on", buildPreempted},
		{"a push deploys what runs the image", buildDeploys},
		{"refused", buildRefused},
		{"a repo on its builder", buildRepo},
	} {
		t.Run(part.name, func(t *testing.T) { b.Use(t); part.do(t, b) })
	}
}

// dockerfile is that of the custom image, with a text in it.
func dockerfile(text string, more ...string) map[string]string {
	return map[string]string{"docker/Dockerfile": `ARG BASE_TAG
FROM berth-e2e/app:${BASE_TAG}
ARG VERSION
COPY sops-decrypt.sh /opt/
LABEL text="` + text + `" version=$VERSION
` + strings.Join(more, "\n") + "\n", "docker/sops-decrypt.sh": "#!/bin/sh\n# " + text + "\n"}
}

func (b *buildWorld) push(files map[string]string) {
	b.head = b.repo.Commit(files, "image of the day")
}

// hook tells core of the newest commit, and returns the run.
func (b *buildWorld) hook(t *testing.T) string {
	t.Helper()
	d, err := forge.GitHub.Push(forge.Push{Owner: "harbour", Repo: "image", URL: b.Git.URL(), After: b.head, Message: "image of the day"})
	if err != nil {
		t.Fatal(err)
	}
	v := b.Deliver("github/build/periphery-custom", homelab.Secret, d)
	if v.Verdict != "accepted" || v.Run == "" {
		t.Fatalf("the webhook was answered %+v", v)
	}
	return v.Run
}

// run executes a request and waits for the end of its run.
func (b *buildWorld) run(t *testing.T, request string, p wire.Params) wire.Run {
	t.Helper()
	var u wire.Update
	if err := b.API.Call(t.Context(), "execute", request, p, &u); err != nil {
		t.Fatal(err)
	}
	return b.Ended(t, u.ID.OID, time.Minute)
}

// listed is a build as ListBuilds shows it.
type listed struct {
	Name string
	Info struct {
		State   string
		Version struct{ Major, Minor, Patch int }
		Hash    string `json:"built_hash"`
	}
}

func (b *buildWorld) listed(t *testing.T) listed {
	t.Helper()
	var list []listed
	if err := b.API.Call(t.Context(), "read", "ListBuilds", nil, &list); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(l listed) bool { return l.Name == "periphery-custom" })
	return list[i]
}

func (b *buildWorld) version(t *testing.T) string {
	v := b.listed(t).Info.Version
	return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
}

func buildFailed(t *testing.T, b *buildWorld) {
	r := b.run(t, "RunBuild", wire.Params{"build": "periphery-custom"})
	if r.State != "succeeded" || b.version(t) != "0.0.1" {
		t.Fatalf("%s: %s, version %s", r.State, r.Why(), b.version(t))
	}
	b.push(dockerfile("broken", `RUN ["/app", "-exit", "7"]`))
	r = b.run(t, "RunBuild", wire.Params{"build": "periphery-custom"})
	if r.State != "failed" || !strings.Contains(r.Why(), "exit code: 7") || !strings.Contains(r.Why(), "periphery-custom") {
		t.Errorf("%s: %s", r.State, r.Why())
	}
	if l := b.listed(t); b.version(t) != "0.0.1" || l.Info.State != "Failed" {
		t.Errorf("after a failed build: version %s, %s", b.version(t), l.Info.State)
	}
}

func buildPushed(t *testing.T, b *buildWorld) {
	b.push(dockerfile("second"))
	r := b.Ended(t, b.hook(t), time.Minute)
	if r.State != "succeeded" || r.Commit != b.head || b.version(t) != "0.0.2" {
		t.Fatalf("%s: %s, version %s\n%s", r.State, r.Why(), b.version(t), b.Tree(t, r, ""))
	}
	if r.Decision == nil || !strings.Contains(r.Decision.Reason, "commit "+b.head[:7]) || !strings.Contains(r.Decision.Reason, "0.0.2") ||
		!slices.ContainsFunc(r.Decision.Changes, func(c string) bool { return strings.HasPrefix(c, "deployment agent: it is not deployed") }) {
		t.Errorf("decision: %+v", r.Decision)
	}
	for _, tag := range []string{"latest", "0.0.2", "0.0", "0", b.head[:7]} {
		if !strings.Contains(r.Note, tag) {
			t.Errorf("%s is not in %q", tag, r.Note)
		}
	}
	d, err := forge.GitHub.Push(forge.Push{Owner: "harbour", Repo: "image", URL: b.Git.URL(), Branch: "other", After: b.head})
	if err != nil {
		t.Fatal(err)
	}
	if v := b.Deliver("github/build/periphery-custom", homelab.Secret, d); v.Verdict != "ignored" || !strings.Contains(v.Reason, "other") {
		t.Errorf("another branch: %+v", v)
	}
	var versions []struct{ Version struct{ Patch int } }
	if err := b.API.Call(t.Context(), "read", "ListBuildVersions", wire.Params{"build": "periphery-custom"}, &versions); err != nil || len(versions) != 2 || versions[0].Version.Patch != 2 {
		t.Errorf("%+v, %v", versions, err)
	}
}

func buildPreempted(t *testing.T, b *buildWorld) {
	b.push(dockerfile("slow", `RUN ["/app", "-sleep", "2m", "-exit", "0"]`))
	slow := b.hook(t)
	b.Until(t, slow, 30*time.Second, "builds", func(r wire.Run) bool {
		return slices.ContainsFunc(r.Steps, func(s wire.Step) bool { return s.Name == "build" && s.Started != 0 })
	})
	b.push(dockerfile("third"))
	next := b.Ended(t, b.hook(t), time.Minute)
	if r := b.Ended(t, slow, time.Second); r.State != "canceled" || !strings.Contains(r.Why(), fmt.Sprintf("#%d", next.Number)) {
		t.Errorf("the slow one: %s: %s", r.State, r.Why())
	}
	if next.State != "succeeded" || b.version(t) != "0.0.3" {
		t.Errorf("%s: %s, version %s", next.State, next.Why(), b.version(t))
	}
	b.push(dockerfile("slow again", `RUN ["/app", "-sleep", "2m", "-exit", "0"]`))
	slow = b.hook(t)
	b.Until(t, slow, 30*time.Second, "builds", func(r wire.Run) bool {
		return slices.ContainsFunc(r.Steps, func(s wire.Step) bool { return s.Name == "build" && s.Started != 0 })
	})
	if r := b.run(t, "CancelBuild", wire.Params{"build": "periphery-custom"}); r.State != "succeeded" {
		t.Errorf("%s: %s", r.State, r.Why())
	}
	if r := b.Ended(t, slow, 10*time.Second); r.State != "canceled" || b.version(t) != "0.0.3" {
		t.Errorf("%s: %s, version %s", r.State, r.Why(), b.version(t))
	}
	if r := b.run(t, "CancelBuild", wire.Params{"build": "periphery-custom"}); r.State != "warning" {
		t.Errorf("nothing to cancel: %s: %s", r.State, r.Why())
	}
	b.push(dockerfile("fourth"))
}

func buildRefused(t *testing.T, b *buildWorld) {
	for build, words := range map[string][]string{
		"stranger":     {"nobody", b.reg, "image_registry"},
		"far-away":     {"periphery-9", "dial in"},
		"in-the-cloud": {"cloud", "AWS"},
	} {
		r := b.run(t, "RunBuild", wire.Params{"build": build})
		for _, w := range words {
			if r.State != "failed" || !strings.Contains(r.Why(), w) {
				t.Errorf("%s: %s: %q is not in %q", build, r.State, w, r.Why())
			}
		}
	}
	for _, flag := range []string{"--secret id=x", "--output=type=local,dest=/", "--frobnicate", "--ssh default"} {
		err := b.API.Call(t.Context(), "write", "UpdateBuild", wire.Params{"id": "stranger", "config": wire.Params{"extra_args": []string{flag}}}, nil)
		if name, _, _ := strings.Cut(strings.Fields(flag)[0], "="); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s at save: %v", flag, err)
		}
	}
	if err := b.API.Call(t.Context(), "write", "UpdateBuild", wire.Params{"id": "periphery-custom", "config": wire.Params{"version": "2.0.0"}}, nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2.0.1", "2.0.2"} {
		if r := b.run(t, "RunBuild", wire.Params{"build": "periphery-custom"}); r.State != "succeeded" || b.version(t) != want {
			t.Errorf("%s: %s, version %s, want %s", r.State, r.Why(), b.version(t), want)
		}
	}
}

func buildRepo(t *testing.T, b *buildWorld) {
	r := b.run(t, "BuildRepo", wire.Params{"repo": "image"})
	if r.State != "succeeded" || r.Commit != b.head {
		t.Errorf("%s: %s", r.State, r.Why())
	}
}

// buildDeploys deploys what runs the image, after a push.
func buildDeploys(t *testing.T, b *buildWorld) {
	if r := b.run(t, "Deploy", wire.Params{"deployment": "agent"}); r.State != "succeeded" {
		t.Fatalf("%s: %s", r.State, r.Why())
	}
	before := b.Containers(world.Nexus, "")["agent"]
	b.push(dockerfile("to be deployed"))
	r := b.Ended(t, b.hook(t), time.Minute)
	children := b.Children(t, r.ID)
	if c := children["agent"]; r.State != "succeeded" || c.State != "succeeded" || c.Action != "Deploy" || len(children) != 1 {
		t.Errorf("deployed after the build: %s\n%s", r.Why(), b.Tree(t, r, ""))
	}
	if r.Decision == nil || !slices.ContainsFunc(r.Decision.Changes, func(c string) bool { return strings.HasPrefix(c, "deployment agent-resting: it is not deployed") }) {
		t.Errorf("decision: %+v", r.Decision)
	}
	list, err := b.Servers[world.Nexus].Engine.Containers(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(c schema.Container) bool { return c.Name == "agent" })
	if i < 0 || list[i].ID == before || !strings.HasSuffix(list[i].Image, ":"+b.version(t)) {
		t.Errorf("agent does not run version %s: %+v", b.version(t), list)
	}
}
