package e2e

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/client"

	"berth/e2e/wire"
	"berth/e2e/world"
	"berth/periphery/docker/dockertest/rig"
)

// TestRow37Canary deploys with secrets of every kind, well and badly, and looks for
// them in all that Berth keeps, says and shows.
//
// The one place where values must be is outside of Berth: below its data root, the
// engine keeps a container's environment in its configuration, a decrypted file
// that was given to a container in that container's layer, and what the container
// itself prints in its log.
func TestRow37Canary(t *testing.T) {
	h := newCanaryWorld(t)
	for _, part := range []struct {
		name string
		do   func(*testing.T, *canaryWorld)
	}{
		{"Row30 sops as its users have it", canarySops},
		{"variables", canaryVariables},
		{"runs that fail", canaryFailures},
		{"keys", canaryKeys},
		{"answers, pages, logs", canaryShown},
		{"killed half way", canaryKilled},
		{"Row32 disks and streams", canaryKept},
	} {
		t.Run(part.name, func(t *testing.T) { h.Use(t); part.do(t, h) })
	}
}

// deploy deploys a stack to the end of its run.
func (h *canaryWorld) deploy(t *testing.T, stack string) wire.Run {
	t.Helper()
	return h.execute(t, "DeployStack", wire.Params{"stack": stack})
}

func (h *canaryWorld) execute(t *testing.T, request string, p wire.Params) wire.Run {
	t.Helper()
	var u wire.Update
	if err := h.API.Call(t.Context(), "execute", request, p, &u); err != nil {
		t.Fatal(err)
	}
	h.runs = append(h.runs, u.ID.OID)
	return h.Ended(t, u.ID.OID, minute)
}

// environment is that of a project's only container.
func environment(t *testing.T, engine *rig.Engine, project string) map[string]string {
	t.Helper()
	list, err := engine.Containers(t.Context(), project)
	if err != nil || len(list) != 1 {
		t.Fatalf("containers of %s: %v (%v)", project, list, err)
	}
	c, err := engine.API().ContainerInspect(t.Context(), list[0].ID, client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, kv := range c.Container.Config.Env {
		name, value, _ := strings.Cut(kv, "=")
		out[name] = value
	}
	return out
}

// canarySops deploys by the pattern of the handbook, with no script and no sops
// on the server.
func canarySops(t *testing.T, h *canaryWorld) {
	if r := h.deploy(t, "my-service"); r.State != "succeeded" {
		t.Fatalf("the run did not succeed:\n%s", h.Tree(t, r, ""))
	}
	env := environment(t, h.Servers[world.Nexus].Engine, "my-service")
	for name, want := range map[string]string{"MY_SECRET": h.secret["sops env"], "DB_USER": "app", "PLAIN": "value"} {
		if env[name] != want {
			t.Errorf("%s in the container is %q, want %q", name, env[name], want)
		}
	}
	if h.Registry.Pulled("team/app") == 0 {
		t.Error("the image was not pulled")
	}
	id := slices.Collect(maps.Values(h.Containers(world.Nexus, "my-service")))[0]
	if got := h.printed(t, "my-service"); !strings.Contains(got, "canary-json") {
		t.Errorf("the container, which prints its decrypted file, said %q", got)
	}
	if r := h.deploy(t, "my-service"); r.State != "succeeded" {
		t.Errorf("once more: %s: %s", r.State, r.Why())
	}
	if again := slices.Collect(maps.Values(h.Containers(world.Nexus, "my-service")))[0]; again != id {
		t.Error("deployed again without any change, the container was recreated")
	}
}

// printed is the last output of a stack's container.
func (h *canaryWorld) printed(t *testing.T, project string) string {
	t.Helper()
	engine := h.Servers[world.Nexus].Engine
	list, err := engine.Containers(t.Context(), project)
	if err != nil || len(list) != 1 {
		t.Fatalf("containers of %s: %v (%v)", project, list, err)
	}
	lines, err := engine.Tail(t.Context(), list[0].ID, 10)
	if err != nil {
		t.Error(err)
	}
	return strings.Join(lines, "\n")
}

func canaryVariables(t *testing.T, h *canaryWorld) {
	for _, name := range []string{"vars", "only-env"} {
		if r := h.deploy(t, name); r.State != "succeeded" {
			t.Fatalf("the run did not succeed:\n%s", h.Tree(t, r, ""))
		}
		env := environment(t, h.Servers[world.Nexus].Engine, name)
		if want := h.secret["variable"]; env["B"] != want || name == "vars" && env["A"] != want {
			t.Errorf("the container of %s lacks the variable", name)
		}
	}
	if r := h.execute(t, "PullRepo", wire.Params{"repo": "homeops"}); r.State != "succeeded" {
		t.Errorf("pull: %s: %s", r.State, r.Why())
	}
	args, err := os.ReadFile(h.args)
	if err != nil || !strings.Contains(string(args), "periphery") {
		t.Fatalf("the arguments of processes, as seen by the hook: %.200q (%v)", args, err)
	}
	h.search(t, "arguments of processes while the hook ran", args)
}

// canaryFailures deploys what cannot work, each with the secret where errors
// quote it.
func canaryFailures(t *testing.T, h *canaryWorld) {
	for name, why := range map[string]string{
		"fails": "exit status 3", "dies": "app", "bad-port": "", "bad-image": "", "bad-mount": "", "bad-yaml": "", "bad-args": "", "bad-token": "nothing-like-it",
	} {
		if r := h.deploy(t, name); r.State != "failed" || !strings.Contains(r.Why(), why) {
			t.Errorf("%s: %s: %s, want it failed for …%s…", name, r.State, r.Why(), why)
		}
	}
}

// canaryKeys is what stands in the way of decryption: the error names the file,
// the recipient and what to do.
func canaryKeys(t *testing.T, h *canaryWorld) {
	defer h.putKey(t)
	mine := h.key.Recipient().String()
	for _, c := range []struct {
		name, stack string
		spoil       func() error
		want        []string
	}{
		{"no key", "my-service", func() error { return os.Remove(h.keyFile) }, []string{".sops.env", mine, h.keyFile, "put the key"}},
		{"mode", "my-service", func() error { return os.Chmod(h.keyFile, 0o644) }, []string{h.keyFile, "0644", "chmod 600"}},
		{"owner", "my-service", func() error { return os.Chown(h.keyFile, 1234, 1234) }, []string{h.keyFile, "uid 1234", "chown 0"}},
		{"another host's file", "foreign", func() error { return nil }, []string{"foreign/.sops.env", mine, "sops updatekeys"}},
	} {
		h.putKey(t)
		if err := c.spoil(); err != nil {
			t.Fatal(err)
		}
		r := h.deploy(t, c.stack)
		if r.State != "failed" {
			t.Errorf("%s: %s", c.name, r.State)
		}
		for _, want := range c.want {
			if !strings.Contains(r.Why(), want) {
				t.Errorf("%s: the error lacks %q: %s", c.name, want, r.Why())
			}
		}
	}
	h.putKey(t) // counts without a restart of the agent
	if r := h.deploy(t, "my-service"); r.State != "succeeded" {
		t.Errorf("with the key back in place: %s: %s", r.State, r.Why())
	}
}

// canaryKilled ends core while a hook prints the secret, and then the agent: what
// has not been sent, what was begun and what was read is on their disks.
func canaryKilled(t *testing.T, h *canaryWorld) {
	var u wire.Update
	if err := h.API.Call(t.Context(), "execute", "DeployStack", wire.Params{"stack": "slow"}, &u); err != nil {
		t.Fatal(err)
	}
	there := func(name string) func() bool {
		return func() bool { _, err := os.Stat(h.step(name)); return err == nil }
	}
	h.World.Until(minute, "the hook has begun", there("begun"))
	h.Core.Kill()
	writeFile(t, h.step("go"), "")
	h.World.Until(minute, "the hook has printed", there("printed"))
	agent := h.Servers[world.Nexus].Agent
	agent.Kill()
	h.searchFiles(t)
	h.RestartCore()
	h.RestartAgent(world.Nexus)
	if r := h.Ended(t, u.ID.OID, minute); r.State != "failed" || !strings.Contains(r.Why(), "interrupted") {
		t.Errorf("the run ended %s: %s", r.State, r.Why())
	}
	h.search(t, "the killed agent's log", []byte(agent.Output()))
	var raw json.RawMessage
	if err := h.API.Call(t.Context(), "read", "GetRunOutput", wire.Params{"id": u.ID.OID, "limit": 5000}, &raw); err != nil {
		t.Fatal(err)
	}
	h.search(t, "output of the interrupted run", raw)
}
