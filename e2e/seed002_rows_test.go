package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"berth/e2e/wire"
	"berth/git/gittest"
	"berth/periphery/docker"
)

// gitOpsPush is row 12 of behaviour.md §9.1: settings of one stack, files of
// another that comes before it, in one commit and thus in one run.
func gitOpsPush(t *testing.T, g *gitOps) {
	before := g.ids(t)
	const file = declared + "stacks-server04.toml"
	const compose = "docker/stacks/server04/traefik/compose.yaml"
	toml := strings.Replace(g.files[file], "name = \"traefik\"\n", "name = \"traefik\"\ndeploy = true\n", 1)
	toml = strings.Replace(toml, "name = \"vaultwarden\"\n", "name = \"vaultwarden\"\ndeploy = true\nafter = [\"traefik\"]\n", 1)
	toml = strings.Replace(toml, "VAULT=vault.", "VAULT=keys.", 1)
	r := g.push(t, gittest.Change{Message: "Another door", Files: map[string]string{
		file: toml, compose: strings.Replace(g.files[compose], "APP_TEXT: traefik", "APP_TEXT: another door", 1),
	}})
	if r.State != "succeeded" || r.Action != "RunSync" || r.Commit != g.head || r.Cause.Kind != "webhook" {
		t.Fatalf("the run of the push:\n%s", g.Tree(t, r, ""))
	}
	children := g.Children(t, r.ID)
	first, second := children["traefik"], children["vaultwarden"]
	if len(children) != 2 || first.State != "succeeded" || second.State != "succeeded" || second.Queued < first.Ended || first.Commit != g.head {
		t.Errorf("the deploys of the push:\n%s", g.Tree(t, r, ""))
	}
	after := g.ids(t)
	var fresh []string
	for name, id := range after {
		if before[name] != id {
			fresh = append(fresh, name)
		}
	}
	slices.Sort(fresh)
	if diff := cmp.Diff([]string{"traefik-traefik-1", "vaultwarden-vaultwarden-1"}, fresh); diff != "" || len(after) != len(before) {
		t.Errorf("new containers (-want +got):\n%s", diff)
	}
	if got := g.environment(t, "server04", "vaultwarden", "vaultwarden")["VAULT"]; got != "keys.example.org" {
		t.Errorf("VAULT is %q", got)
	}
}

// gitOpsTargets is row 13 of behaviour.md §9.1: one declaration is a stack, and a
// run, for each of three hosts.
func gitOpsTargets(t *testing.T, g *gitOps) {
	const text = `[[stack]]
name = "probe"
targets = ["nvr", "kasm", "omni"]
deploy = true
[stack.config]
file_contents = """
services: {probe: {image: "berth-e2e/app:1", pull_policy: missing, environment: {HOST: "${HOSTNAME}"}}}
"""
environment = """
HOSTNAME={{host.name}}
"""
`
	r := g.push(t, gittest.Change{Message: "Probe three hosts", Files: map[string]string{declared + "probe.toml": text}})
	children := g.Children(t, r.ID)
	if r.State != "succeeded" || len(children) != 3 {
		t.Fatalf("want three deploys:\n%s", g.Tree(t, r, ""))
	}
	for _, host := range []string{"nvr", "kasm", "omni"} {
		if c := children["probe-"+host]; c.State != "succeeded" || c.Server.Name != host {
			t.Errorf("the deploy on %s: %+v", host, c)
		}
		if got := g.environment(t, host, "probe-"+host, "probe")["HOST"]; got != host {
			t.Errorf("HOST on %s is %q", host, got)
		}
	}
}

// gitOpsSurvives takes the sync's own declaration away.
func gitOpsSurvives(t *testing.T, g *gitOps) {
	r := g.push(t, gittest.Change{Message: "Who am I", Delete: []string{declared + "sync.toml"}})
	if r.State != "succeeded" || !slices.Equal(g.names(t, "ListResourceSyncs"), []string{theSync}) {
		t.Errorf("syncs %v\n%s", g.names(t, "ListResourceSyncs"), g.Tree(t, r, ""))
	}
	ctx, cancel := context.WithTimeout(t.Context(), minute)
	defer cancel()
	if u, err := g.API.Execute(ctx, "RunSync", wire.Params{"sync": theSync}); err != nil || !u.Success {
		t.Errorf("and runs: %+v, %v", u, err)
	}
}

// gitOpsUnhealthy is row 15 of behaviour.md §9.1: what does not become healthy is a
// failed run; with rollback_on_failure the last good commit runs again.
func gitOpsUnhealthy(t *testing.T, g *gitOps) {
	const dir = "docker/stacks/seaweedfs/filer/"
	toml := fmt.Sprintf(`[[stack]]
name = "filer"
deploy = true
[stack.config]
server_id = "seaweedfs"
git_provider = %q
git_https = false
repo = %q
file_paths = [%q]
health_timeout = 20
`, g.GitHost(), theSync, dir+"compose.yaml")
	const compose = `services:
  filer:
    image: berth-e2e/app:1
    pull_policy: missing
    command: [%s]
    healthcheck: { test: [CMD, /app, -health], interval: 1s, timeout: 2s, retries: 2 }
`
	good, bad := fmt.Sprintf(compose, ""), fmt.Sprintf(compose, "-unhealthy")
	const file = declared + "filer.toml"
	if r := g.push(t, gittest.Change{Message: "A filer", Files: map[string]string{file: toml, dir + "compose.yaml": good}}); r.State != "succeeded" {
		t.Fatalf("the good one:\n%s", g.Tree(t, r, ""))
	}
	first := g.head
	failed := func(message string, files map[string]string) wire.Run {
		t.Helper()
		r := g.push(t, gittest.Change{Message: message, Files: files})
		c := g.Children(t, r.ID)["filer"]
		if r.State != "failed" || c.State != "failed" || !strings.Contains(c.Why(), "filer") || !strings.Contains(c.Why(), "unhealthy") {
			t.Fatalf("%s:\n%s", message, g.Tree(t, r, ""))
		}
		return c
	}
	failed("It fails", map[string]string{dir + "compose.yaml": bad})
	if got := g.command(t); got != "-unhealthy" {
		t.Errorf("without rollback_on_failure %q runs", got)
	}
	c := failed("It fails and goes back", map[string]string{file: toml + "rollback_on_failure = true\n", dir + "compose.yaml": bad + "# again\n"})
	if got := g.command(t); got != "" || !strings.Contains(c.Why(), "rolled back to "+first[:7]) {
		t.Errorf("%q runs: %s", got, c.Why())
	}
	if c.Decision == nil || c.Decision.What != "roll back" {
		t.Errorf("decision: %+v", c.Decision)
	}
	if n := strings.Count(c.Why(), "is unhealthy"); n != 1 {
		t.Errorf("the reason is told %d times: %s", n, c.Why())
	}
	if r := g.push(t, gittest.Change{Message: "It works again", Files: map[string]string{dir + "compose.yaml": good}}); r.State != "succeeded" {
		t.Errorf("and mended:\n%s", g.Tree(t, r, ""))
	}
}

// gitOpsItself is row 39 of behaviour.md §9.5: the sync's own settings are changed
// by git like any other, and count from the next run; and, with a real engine, that
// what a deleted stack runs goes first.
func gitOpsItself(t *testing.T, g *gitOps) {
	const file, other = declared + "sync.toml", declared + "filer.toml"
	before := g.files[file]
	r := g.push(t, gittest.Change{Message: "Take down what is deleted", Files: map[string]string{file: before + "destroy_on_delete = true\n"}})
	if r.State != "succeeded" {
		t.Fatalf("the sync's own change:\n%s", g.Tree(t, r, ""))
	}
	r = g.push(t, gittest.Change{Message: "No filer", Delete: []string{other}})
	if c := g.Children(t, r.ID)["filer"]; r.State != "succeeded" || c.Action != "DestroyStack" || c.State != "succeeded" {
		t.Errorf("a deleted stack:\n%s", g.Tree(t, r, ""))
	}
	if left := g.Containers("seaweedfs", "filer"); len(left) != 0 || slices.Contains(g.names(t, "ListStacks"), "filer") {
		t.Errorf("still there: %v, %v", left, g.names(t, "ListStacks"))
	}
	if r = g.push(t, gittest.Change{Message: "As before", Files: map[string]string{file: before}}); r.State != "succeeded" {
		t.Errorf("back again:\n%s", g.Tree(t, r, ""))
	}
}

// command is how the filer was started.
func (g *gitOps) command(t *testing.T) string {
	t.Helper()
	c, err := g.Servers["seaweedfs"].Engine.API().ContainerInspect(t.Context(), g.container(t, "seaweedfs", "filer", "filer"), client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(c.Container.Config.Cmd, " ")
}

// gitOpsForeign is row 14 of behaviour.md §9.1: software of another installer stays,
// whatever syncs delete, batches destroy and prunes remove.
func gitOpsForeign(t *testing.T, g *gitOps) {
	api := g.Servers["kasm"].Engine.API()
	c, err := api.ContainerCreate(t.Context(), client.ContainerCreateOptions{Name: "kasm_proxy", Config: &container.Config{
		Image: "berth-e2e/app:1", Labels: map[string]string{docker.LabelProject: "kasm", docker.LabelService: "proxy"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.VolumeCreate(t.Context(), client.VolumeCreateOptions{Name: "kasm_db"}); err != nil {
		t.Fatal(err)
	}
	g.push(t, gittest.Change{Message: "No probes", Delete: []string{declared + "probe.toml"}})
	r := g.newest(t, "RunSync")
	if r.State != "succeeded" {
		t.Errorf("the sync:\n%s", g.Tree(t, r, ""))
	}
	g.km(t, "km execute batch-destroy-stack '*' --yes")
	g.km(t, "km execute prune-system kasm --yes")
	left := g.ids(t)
	if left["kasm_proxy"] != c.ID {
		t.Errorf("kasm_proxy is gone: %v", left)
	}
	if _, err := api.VolumeInspect(t.Context(), "kasm_db", client.VolumeInspectOptions{}); err != nil {
		t.Error(err)
	}
	for name := range left {
		if strings.HasPrefix(name, "traefik") || strings.HasPrefix(name, "komodo-") {
			t.Errorf("%s was not destroyed", name)
		}
	}
}
