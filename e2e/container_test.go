package e2e

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"berth/e2e/wire"
	"berth/e2e/world"
	"berth/periphery/docker"
	"berth/periphery/docker/dockertest"
	"berth/periphery/docker/dockertest/rig"
)

const tidyTOML = `
[[stack]]
name = "blog"
[stack.config]
server = "nexus"
auto_pull = false
check_health = false
file_contents = """
services:
  web: { image: 'berth-e2e/app:1', volumes: [ data:/data ] }
  safe: { image: 'berth-e2e/app:1', labels: { komodo.skip: } }
  job: { image: 'berth-e2e/app:1', profiles: [ tools ], command: [ -say, 'job is done', -exit, '3' ] }
volumes: { data: {} }
"""

[[procedure]]
name = "tidy"
[[procedure.config.stage]]
name = "prune"
enabled = true
executions = [ { execution.type = "PruneSystem", execution.params.server = "nexus" } ]
`

// TestRow14ServerExecutions does what the table says of a server's containers, on a server
// that has software besides Berth's: that is never touched by what works on many.
func TestRow14ServerExecutions(t *testing.T) {
	w := world.New(t, world.Options{Servers: []string{world.Nexus}})
	engine := w.Servers[world.Nexus].Engine
	for _, tag := range []string{"1", "2", "3"} {
		dockertest.BuildImage(t, engine, "berth-e2e/app", tag, rig.Behaviour{})
	}
	_, err := engine.API().ContainerCreate(t.Context(), client.ContainerCreateOptions{
		Name: "kasm-web-1", Config: &container.Config{Image: "berth-e2e/app:1", Labels: map[string]string{docker.LabelProject: "kasm", docker.LabelService: "web"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	execute := func(request string, params wire.Params) wire.Run {
		t.Helper()
		u, err := w.API.Execute(w.Context(minute), request, params)
		if err != nil {
			t.Fatalf("%s: %v", request, err)
		}
		r, err := w.API.Run(t.Context(), u.ID.OID)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	is := func(r wire.Run, state, what string, words ...string) {
		t.Helper()
		if r.State != state || what != "" && (r.Decision == nil || r.Decision.What != what) {
			t.Errorf("%s: %s, %+v: %s; want %s, %s", r.Action, r.State, r.Decision, r.Why(), state, what)
		}
		for _, word := range words {
			if all := r.Why() + strings.Join(r.Decision.Changes, "\n"); !strings.Contains(all, word) {
				t.Errorf("%s: %q is not in %q", r.Action, word, all)
			}
		}
	}
	states := func(want ...string) {
		t.Helper()
		list, err := engine.Containers(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range list {
			got = append(got, c.Name+" "+c.State)
		}
		if !slices.Equal(got, want) {
			t.Errorf("containers are %v, want %v", got, want)
		}
	}
	nexus := wire.Params{"server": "nexus"}
	is(execute("StopAllContainers", nexus), "warning", "nothing", "1 container: not managed by Berth")
	is(execute("StartContainer", wire.Params{"server": "nexus", "container": "kasm-web-1"}), "succeeded", "start", "kasm-web-1 started")
	w.Apply(tidyTOML)
	is(execute("DeployStack", wire.Params{"stack": "blog"}), "succeeded", "deploy")
	states("blog-safe-1 running", "blog-web-1 running", "kasm-web-1 running")

	is(execute("StopAllContainers", nexus), "succeeded", "stop", "blog-web-1 stopped", "kasm-web-1: not managed by Berth", "blog-safe-1: it has the label komodo.skip")
	states("blog-safe-1 running", "blog-web-1 exited", "kasm-web-1 running")
	is(execute("StopAllContainers", nexus), "succeeded", "unchanged", "blog-web-1: stopped already")
	is(execute("StartAllContainers", nexus), "succeeded", "start")
	states("blog-safe-1 running", "blog-web-1 running", "kasm-web-1 running")

	is(execute("PruneSystem", nexus), "succeeded", "prune", "image berth-e2e/app:2 removed", "image berth-e2e/app:3 removed")
	is(execute("PruneSystem", nexus), "succeeded", "nothing", "nothing to prune")
	is(execute("RunProcedure", wire.Params{"procedure": "tidy"}), "succeeded", "")

	r := execute("RunStackService", wire.Params{"stack": "blog", "service": "job"})
	is(r, "failed", "run", "exit code 3")
	if out := output(t, w, r.ID); !strings.Contains(out, "job is done") {
		t.Errorf("the output of the service is missing:\n%s", out)
	}
	is(execute("RunStackService", wire.Params{"stack": "blog", "service": "job", "command": []string{"-exit", "0"}, "no_tty": true}), "succeeded", "run", "exit code 0")

	// A stack that is down keeps its data, whatever is pruned.
	is(execute("DestroyContainer", wire.Params{"server": "nexus", "container": "blog-web-1", "time": 0}), "succeeded", "destroy")
	is(execute("PruneVolumes", nexus), "succeeded", "nothing", "volume blog_data: service web of project blog has no container")
	is(execute("DeleteVolume", wire.Params{"server": "nexus", "name": "blog_data"}), "succeeded", "delete", "volume blog_data deleted")
	is(execute("DeleteImage", wire.Params{"server": "nexus", "name": "berth-e2e/app:1"}), "failed", "")
	states("blog-safe-1 running", "kasm-web-1 running")

	var refused *wire.AnswerError
	err = w.API.Call(t.Context(), "execute", "StopContainer", wire.Params{"server": "nexus", "container": "kasm-web-1", "signal": "SIGNAL"}, nil)
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "SIGHUP") {
		t.Errorf("an unknown signal: %v", err)
	}
}

// output is what a run's steps wrote.
func output(t *testing.T, w *world.World, run string) string {
	t.Helper()
	var u wire.Update
	if err := w.API.Call(t.Context(), "read", "GetUpdate", wire.Params{"id": run}, &u); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, l := range u.Logs {
		b.WriteString(l.Stdout + l.Stderr)
	}
	return b.String()
}
