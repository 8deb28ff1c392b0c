package e2e

import (
	"strings"
	"testing"
	"time"

	"berth/e2e/homelab"
	"berth/e2e/wire"
	"berth/e2e/world"
	"berth/periphery/docker/dockertest"
	"berth/periphery/docker/dockertest/rig"
)

const actionTOML = `
[[variable]]
name = "DEPLOY_TOKEN"
value = "tok3n/of+deploys"
is_secret = true

[[stack]]
name = "web"
[stack.config]
server = "nexus"
auto_pull = false
file_contents = "services: {app: {image: 'berth-e2e/app:1'}}"

[[action]]
name = "deploy all"
[action.config]
arguments = "only = none"
file_contents = """
const stacks = await komodo.read("ListStacks", {});
for (const stack of stacks.filter((s) => s.name === ARGS.only)) {
  console.log("deploying", stack.name, "with [[DEPLOY_TOKEN]]");
  const update = await komodo.execute_and_poll("DeployStack", { stack: stack.name });
  console.log(update.success ? "done" : "failed", btoa_("[[DEPLOY_TOKEN]]"));
}
function btoa_(s: string) { return JSON.stringify({ s }) }
"""
`

// TestActionDeploys runs an action that deploys a stack by the API.
func TestActionDeploys(t *testing.T) {
	w := world.New(t, world.Options{Servers: []string{world.Nexus}})
	h := &homelab.Homelab{World: w}
	dockertest.BuildImage(t, w.Servers[world.Nexus].Engine, "berth-e2e/app", "1", rig.Behaviour{})
	h.Apply(actionTOML)
	ctx := h.Context(2 * time.Minute)
	if out, err := h.CLI("run", "action", "deploy all", "only=web", "-y"); err != nil || !strings.Contains(out, "deploying web with <DEPLOY_TOKEN>") {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := h.Containers(world.Nexus, "web"); len(got) != 1 {
		t.Errorf("containers %v, want one", got)
	}
	runs, err := h.API.Runs(ctx, wire.Params{"action": "RunAction"})
	if err != nil || len(runs) != 1 {
		t.Fatalf("runs %v, %v", runs, err)
	}
	r := h.Ended(t, runs[0].ID, time.Minute)
	tree := h.Tree(t, r, "")
	if r.State != "succeeded" || !strings.Contains(tree, "DeployStack") {
		t.Errorf("the deploy is not a part of the run:\n%s", tree)
	}
	u, err := h.API.Await(ctx, r.ID)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, l := range u.Logs {
		text.WriteString(l.Stdout + l.Stderr)
	}
	if !strings.Contains(text.String(), "deploying web with <DEPLOY_TOKEN>\ndone {\"s\":\"<DEPLOY_TOKEN>\"}") || strings.Contains(text.String(), "tok3n") {
		t.Errorf("output:\n%s", text.String())
	}
}
