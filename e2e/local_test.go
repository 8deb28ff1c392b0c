package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"berth/e2e/program"
	"berth/e2e/wire"
	"berth/e2e/world"
	"berth/periphery/docker/dockertest"
	"berth/periphery/docker/dockertest/rig"
)

// TestRow10LocalDeploy deploys a stack on its server while core is away, from the
// clone that is there and with a variable that only core has; core shows the run
// when it is back, and knows what is deployed.
func TestRow10LocalDeploy(t *testing.T) {
	w := world.New(t, world.Options{Servers: []string{world.Nexus}})
	nexus := w.Servers[world.Nexus]
	for _, tag := range []string{"1", "2"} {
		dockertest.BuildImage(t, nexus.Engine, "berth-e2e/app", tag, rig.Behaviour{})
	}
	const secret = "geheim-e2e-0815"
	repo := w.Git.Repo("acme/stacks")
	compose := func(tag string) map[string]string {
		return map[string]string{"web/compose.yaml": "services:\n  web: { image: 'berth-e2e/app:" + tag + "', environment: { APP_TEXT: '${TEXT}' } }\n"}
	}
	first := repo.Commit(compose("1"), "one")
	w.Apply(`
[[variable]]
name = "PASS"
value = "` + secret + `"
is_secret = true

[[stack]]
name = "web"
[stack.config]
server = "nexus"
auto_pull = false
check_health = false
git_provider = "` + w.GitHost() + `"
git_https = false
repo = "acme/stacks"
run_directory = "web"
environment = "TEXT=[[PASS]]"
`)
	if out, err := w.CLI("deploy", "web"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	alone := func(args ...string) (string, int) {
		p := program.Start(t, program.Options{Args: append([]string{"periphery", "up", "web", "--data", nexus.Data, "--engine", nexus.Engine.Host()}, args...)})
		select {
		case <-p.Ended():
		case <-time.After(minute):
			t.Fatal("berth periphery up does not end")
		}
		code := p.Stop(t)
		return p.Output(), code
	}
	w.Core.Stop(t)
	dockertest.Wipe(t, nexus.Engine, "web") // somebody did harm by hand
	out, code := alone()
	if code != 0 || !strings.Contains(out, "asked for: new containers web-web-1") || strings.Contains(out, secret) {
		t.Fatalf("exit code %d:\n%s", code, out)
	}
	second := repo.Commit(compose("2"), "two")
	if out, code = alone("--pull"); code != 0 || !strings.Contains(out, second[:8]) {
		t.Fatalf("exit code %d:\n%s", code, out)
	}
	nexus.Agent.Kill()
	if out, code = alone(); code != 0 || !strings.Contains(out, "while the agent was not running") {
		t.Fatalf("exit code %d:\n%s", code, out)
	}
	w.RestartCore()
	w.RestartAgent(world.Nexus)
	var runs []wire.Run
	w.Until(minute, "core shows the deploys", func() bool {
		list, err := w.API.Runs(t.Context(), wire.Params{"kind": "stack", "target": "web"})
		runs = list
		return err == nil && len(list) == 4
	})
	slices.SortFunc(runs, func(a, b wire.Run) int { return int(a.Started - b.Started) })
	for i, want := range []struct{ commit, note string }{
		{first, "while core was away"}, {second, "while core was away"}, {second, "while the agent was not running"},
	} {
		r := runs[i+1]
		if r.Action != "DeployStack" || r.State != "succeeded" || r.Cause.Kind != "host" || !strings.Contains(r.Actor.Name, " on ") || r.Commit != want.commit ||
			!strings.Contains(r.Note, "deployed on the server by ") || !strings.Contains(r.Note, want.note) || r.Decision == nil || len(r.Steps) != 1 {
			t.Errorf("run %d: %+v", i, r)
		}
	}
	text, err := w.CLI("runs", "logs", runs[1].ID)
	if err != nil || !strings.Contains(text, "web") || strings.Contains(text, secret) {
		t.Errorf("%v\n%s", err, text)
	}
	// Core knows what is deployed: nothing is to be done.
	u, err := w.API.Execute(w.Context(minute), "DeployStackIfChanged", wire.Params{"stack": "web"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := w.API.AwaitRun(w.Context(minute), u.ID.OID, wire.Run.Terminal)
	if err != nil || r.Decision == nil || r.Decision.What != "unchanged" {
		t.Errorf("%v %+v", err, r)
	}
}
