package e2e

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/moby/client"

	"berth/e2e/program"
	"berth/e2e/wire"
	"berth/e2e/world"
	"berth/periphery/docker/dockertest"
	"berth/periphery/docker/dockertest/rig"
)

// selfSecret is in the environment of a stack that contains Berth.
const selfSecret = "a-value-that-no-disk-may-have"

// itself is a world whose parts move into containers of a stack named "berth".
type itself struct {
	*world.World
	engine *rig.Engine
	agent  bool // in a container
	core   bool // in a container
}

// newItself starts agent and core as processes, has the agent deploy the stack that
// contains them, and ends the processes: those in the containers take over.
func newItself(t *testing.T, agent, core bool) *itself {
	t.Helper()
	opts := world.Options{Servers: []string{world.Nexus}}
	if core {
		opts.CoreOn = world.Nexus
	}
	w := &itself{World: world.New(t, opts), agent: agent, core: core}
	w.engine = w.Servers[world.Nexus].Engine
	binary, err := os.ReadFile(program.Binary(t))
	if err != nil {
		t.Fatal(err)
	}
	berth, err := rig.Pack(binary)
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"test-1", "test-2"} {
		if err := berth.BuildImage(t.Context(), w.engine.Client, "berth", tag, rig.Behaviour{}); err != nil {
			t.Fatal(err)
		}
	}
	dockertest.BuildImage(t, w.engine, "berth", "broken", rig.Behaviour{}) // does not know berth's arguments
	dockertest.BuildImage(t, w.engine, "berth-e2e/app", "1", rig.Behaviour{})
	w.declare("berth:test-1", "check_health = false", "")
	if r := w.deploy(t, "DeployStack"); r.State != "succeeded" {
		t.Fatalf("the first deploy: %s: %s", r.State, r.Why())
	}
	if agent {
		w.Servers[world.Nexus].Agent.Stop(t)
	}
	if core {
		w.Core.Stop(t)
	}
	w.Until(minute, "all are back", func() bool { return w.online(t) })
	return w
}

// declare makes the stack; environment is a line of the agent's and core's.
func (w *itself) declare(image, settings, environment string) {
	s := w.Servers[world.Nexus]
	var services strings.Builder
	service := func(name, data, command string) {
		socket := strings.TrimPrefix(w.engine.Host(), "unix://")
		fmt.Fprintf(&services, `
  %s:
    image: %s
    command: [ %s ]
    network_mode: host
    restart: always
    stop_grace_period: 10s
    environment:
      DOCKER_HOST: %s
      SOME_SECRET: "[[SELF_SECRET]]"
      %s
    volumes:
      - %s:%s
      - %s:%s
`, name, image, command, w.engine.Host(), environment, data, data, filepath.Dir(socket), filepath.Dir(socket))
	}
	if w.agent {
		service("agent", s.Data, fmt.Sprintf("periphery, --data, %q, --allow-plaintext", s.Data))
	}
	if w.core {
		service("core", w.Data, fmt.Sprintf("core, --data, %q, --listen, %q, --allow-plaintext", w.Data, strings.TrimPrefix(w.URL, "http://")))
	}
	w.Apply(fmt.Sprintf(`
[[variable]]
name = "SELF_SECRET"
value = "%s"
is_secret = true

[[stack]]
name = "berth"
[stack.config]
server = "nexus"
auto_pull = false
%s
file_contents = """
services:%s
"""
`, selfSecret, settings, services.String()))
}

// deploy executes something on the stack and waits for the run's end, whoever is
// restarted meanwhile.
func (w *itself) deploy(t *testing.T, action string) wire.Run {
	t.Helper()
	var u wire.Update
	if err := w.API.Call(t.Context(), "execute", action, wire.Params{"stack": "berth"}, &u); err != nil {
		t.Fatal(err)
	}
	r, err := w.API.AwaitRun(w.Context(2*minute), u.ID.OID, wire.Run.Terminal)
	if err != nil {
		t.Fatalf("%s does not end: %v: %+v", action, err, r)
	}
	return r
}

func (w *itself) online(t *testing.T) bool {
	var got []struct {
		Name string
		Info struct{ State string }
	}
	return w.API.Call(t.Context(), "read", "ListServers", nil, &got) == nil && len(got) == 1 && got[0].Info.State == "Ok"
}

// is checks how a deploy ended and what it left behind: one container per service,
// of the image, running; nothing that finished it, nothing that was kept; no secret
// on the disk.
func (w *itself) is(t *testing.T, r wire.Run, state, image string, words ...string) {
	t.Helper()
	if r.State != state {
		t.Errorf("run #%d is %s, want %s: %s\n%s", r.Number, r.State, state, r.Why(), output(t, w.World, r.ID))
	}
	for _, word := range words {
		if !strings.Contains(r.Why(), word) {
			t.Errorf("%q is not in %q", word, r.Why())
		}
	}
	for _, s := range r.Steps {
		if s.Ended == 0 || s.State != state {
			t.Errorf("step %s is %s, ended %d", s.Name, s.State, s.Ended)
		}
	}
	w.Until(minute, "the agent is online", func() bool { return w.online(t) })
	want := map[string]string{}
	if w.agent {
		want["berth-agent-1"] = image + " running"
	}
	if w.core {
		want["berth-core-1"] = image + " running"
	}
	w.Until(minute, fmt.Sprintf("containers are %v", want), func() bool {
		list, err := w.engine.API().ContainerList(t.Context(), client.ContainerListOptions{All: true})
		got := map[string]string{}
		for _, c := range list.Items {
			got[strings.TrimPrefix(c.Names[0], "/")] = c.Image + " " + string(c.State)
		}
		return err == nil && fmt.Sprint(got) == fmt.Sprint(want)
	})
	w.noSecret(t)
}

// noSecret looks for the secret in what agent and core keep.
func (w *itself) noSecret(t *testing.T) {
	t.Helper()
	for _, dir := range []string{w.Data, w.Servers[world.Nexus].Data} {
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return nil //nolint:nilerr // gone meanwhile
			}
			if data, err := os.ReadFile(path); err == nil && bytes.Contains(data, []byte(selfSecret)) {
				t.Errorf("the secret is in %s", path)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// phases lists the phases that the output of a run has, each once.
func phases(t *testing.T, w *itself, run string) []string {
	t.Helper()
	var page struct {
		Chunks []struct{ Entries []struct{ Ph string } }
	}
	if err := w.API.Call(t.Context(), "read", "GetRunOutput", wire.Params{"id": run}, &page); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range page.Chunks {
		for _, e := range c.Entries {
			if e.Ph != "" && !slices.Contains(out, e.Ph) {
				out = append(out, e.Ph)
			}
		}
	}
	return out
}

// selfDeploys is what holds wherever the parts of Berth run.
func selfDeploys(t *testing.T, w *itself, wantPhases ...string) {
	w.declare("berth:test-2", "health_timeout = 30", "")
	r := w.deploy(t, "DeployStack")
	w.is(t, r, "succeeded", "berth:test-2")
	if got := phases(t, w, r.ID); !slices.Equal(got, wantPhases) {
		t.Errorf("phases are %v, want %v", got, wantPhases)
	}
	r = w.deploy(t, "DeployStackIfChanged")
	if w.is(t, r, "succeeded", "berth:test-2"); r.Decision == nil || r.Decision.What != "unchanged" {
		t.Errorf("the deploy was not recorded: %+v", r.Decision)
	}
	w.declare("berth:broken", "health_timeout = 30", "")
	w.is(t, w.deploy(t, "DeployStack"), "failed", "berth:test-2", "rolled back to the image before")
	w.declare("berth:test-1", "health_timeout = 30", "")
	w.is(t, w.deploy(t, "DeployStackIfChanged"), "succeeded", "berth:test-1")
}

// TestRow01SelfDeployAgent deploys the stack that the agent's own container is of.
func TestRow01SelfDeployAgent(t *testing.T) {
	w := newItself(t, true, false)
	selfDeploys(t, w, "config", "hand over", "pull", "up", "health", "answer")
	// An agent that runs, and that core never hears of.
	w.declare("berth:test-2", "health_timeout = 10", `BERTH_CORE: "http://127.0.0.1:1"`)
	w.is(t, w.deploy(t, "DeployStack"), "failed", "berth:test-1", "have not answered within 10s", "rolled back to the image before")
}

// TestRow01SelfDeployCore deploys the stack that core's container is of, by an agent
// that is a service of the host.
func TestRow01SelfDeployCore(t *testing.T) {
	w := newItself(t, false, true)
	selfDeploys(t, w, "config", "pull", "up", "health", "answer")
}

// TestRow01SelfDeployBoth deploys the stack that has core and agent.
func TestRow01SelfDeployBoth(t *testing.T) {
	w := newItself(t, true, true)
	selfDeploys(t, w, "config", "hand over", "pull", "up", "health", "answer")
	t.Run("what finishes it is killed", func(t *testing.T) { w.Use(t); selfKilled(t, w) })
}

// selfKilled kills what finishes a deploy when the containers before have been
// replaced: they come back, and the deploy is tried again.
func selfKilled(t *testing.T, w *itself) {
	w.declare("berth:test-2", "health_timeout = 30", "")
	var u wire.Update
	if err := w.API.Call(t.Context(), "execute", "DeployStack", wire.Params{"stack": "berth"}, &u); err != nil {
		t.Fatal(err)
	}
	w.Until(minute, "a container is kept", func() bool {
		return slices.ContainsFunc(slices.Collect(maps.Keys(w.Containers(world.Nexus, "berth"))), func(name string) bool { return strings.HasSuffix(name, ".berth-old") })
	})
	list, err := w.engine.Labelled(t.Context(), "berth.finish", "")
	for id := range list {
		c, ierr := w.engine.API().ContainerInspect(t.Context(), id, client.ContainerInspectOptions{})
		if ierr != nil || c.Container.State.Pid == 0 {
			t.Fatalf("what finishes it does not run: %v", ierr)
		}
		err = syscall.Kill(c.Container.State.Pid, syscall.SIGKILL)
	}
	if err != nil || len(list) != 1 {
		t.Fatalf("%d finish it: %v", len(list), err)
	}
	r, err := w.API.AwaitRun(w.Context(2*minute), u.ID.OID, wire.Run.Terminal)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Steps) != 2 || r.Steps[0].State != "failed" || !strings.Contains(r.Steps[0].Problem.Text, "rolled back to the image before") {
		t.Errorf("the steps are %+v", r.Steps)
	}
	r.Steps = r.Steps[1:]
	w.is(t, r, "succeeded", "berth:test-2")
}

// TestRow02SelfLast deploys all stacks at once: the one that contains core begins
// when all others have ended, and none is lost.
func TestRow02SelfLast(t *testing.T) {
	w := newItself(t, false, true)
	w.declare("berth:test-2", "health_timeout = 30", "")
	var toml strings.Builder
	for _, name := range []string{"a", "c", "z"} {
		fmt.Fprintf(&toml, `
[[stack]]
name = "other-%s"
[stack.config]
server = "nexus"
auto_pull = false
file_contents = "services: { app: { image: 'berth-e2e/app:1' } }"
`, name)
	}
	toml.WriteString(`
[[procedure]]
name = "deploy-all"
[[procedure.config.stage]]
name = "all"
enabled = true
executions = [ { execution.type = "BatchDeployStack", execution.params.pattern = "*", enabled = true } ]
`)
	w.Apply(toml.String())
	var u wire.Update
	if err := w.API.Call(t.Context(), "execute", "RunProcedure", wire.Params{"procedure": "deploy-all"}, &u); err != nil {
		t.Fatal(err)
	}
	r, err := w.API.AwaitRun(w.Context(2*minute), u.ID.OID, wire.Run.Terminal)
	if err != nil || r.State != "succeeded" {
		t.Fatalf("%v: %s: %s", err, r.State, r.Why())
	}
	all, err := w.API.Runs(t.Context(), wire.Params{"limit": 100})
	if err != nil {
		t.Fatal(err)
	}
	var batch, last wire.Run
	var others []wire.Run
	for _, c := range all {
		switch {
		case c.Action == "BatchDeployStack":
			batch = c
		case c.Action == "DeployStack" && c.Parent != "" && c.Target.Name == "berth":
			last = c
		case c.Action == "DeployStack" && c.Parent != "":
			others = append(others, c)
		}
	}
	if batch.Decision == nil || !strings.Contains(batch.Decision.Reason, "berth: last, because it contains Berth itself") {
		t.Errorf("the batch does not say why: %+v", batch.Decision)
	}
	if len(others) != 3 || last.State != "succeeded" {
		t.Errorf("%d others, and the last is %s: %s", len(others), last.State, last.Why())
	}
	for _, o := range others {
		if o.State != "succeeded" || o.Ended > last.Queued {
			t.Errorf("%s is %s, ended at %d; the last was begun at %d", o.Target.Name, o.State, o.Ended, last.Queued)
		}
	}
}
