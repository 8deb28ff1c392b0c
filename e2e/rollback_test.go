package e2e

import (
	"fmt"
	"strings"
	"testing"

	"berth/e2e/homelab"
	"berth/e2e/wire"
	"berth/e2e/world"
	"berth/periphery/docker/dockertest"
	"berth/periphery/docker/dockertest/rig"
)

const rollbackTOML = `
[[stack]]
name = "web"
[stack.config]
server = "nexus"
auto_pull = false
git_provider = %q
git_https = false
repo = "harbour/web"

[[stack]]
name = "inline"
[stack.config]
server = "nexus"
auto_pull = false
file_contents = "services: {app: {image: 'berth-e2e/app:1'}}"
`

// TestRollback goes back to the commit that came up before, and is told when there is
// none.
func TestRollback(t *testing.T) {
	w := world.New(t, world.Options{Servers: []string{world.Nexus}})
	h := &homelab.Homelab{World: w}
	dockertest.BuildImage(t, w.Servers[world.Nexus].Engine, "berth-e2e/app", "1", rig.Behaviour{})
	repo := w.Git.Repo("harbour/web")
	release := func(n int) string {
		return repo.Commit(map[string]string{"compose.yaml": fmt.Sprintf("services: {app: {image: 'berth-e2e/app:1', environment: {RELEASE: '%d'}}}\n", n)}, fmt.Sprint("release ", n))
	}
	execute := func(request string, p wire.Params) (wire.Run, error) {
		var u wire.Update
		if err := w.API.Call(t.Context(), "execute", request, p, &u); err != nil {
			return wire.Run{}, err
		}
		return h.Ended(t, u.ID.OID, minute), nil
	}
	deploy := func(request, commit string, p wire.Params) {
		t.Helper()
		r, err := execute(request, p)
		if err != nil || r.State != "succeeded" || r.Commit != commit {
			t.Fatalf("%s: %v %s at %s, want %s: %s", request, err, r.State, r.Commit, commit, r.Why())
		}
	}
	first := release(1)
	w.Apply(fmt.Sprintf(rollbackTOML, w.GitHost()))
	if _, err := execute("RollbackStack", wire.Params{"stack": "web"}); err == nil || !strings.Contains(err.Error(), "409") || !strings.Contains(err.Error(), "nothing to go back to") {
		t.Errorf("never deployed: %v", err)
	}
	deploy("DeployStack", first, wire.Params{"stack": "web"})
	if _, err := execute("RollbackStack", wire.Params{"stack": "web"}); err == nil || !strings.Contains(err.Error(), "name the commit") {
		t.Errorf("deployed once: %v", err)
	}
	second := release(2)
	deploy("DeployStack", second, wire.Params{"stack": "web"})
	newer := w.Containers(world.Nexus, "web")
	deploy("RollbackStack", first, wire.Params{"stack": "web"})
	if older := w.Containers(world.Nexus, "web"); older["web-app-1"] == newer["web-app-1"] {
		t.Errorf("the container of the second release runs: %v", older)
	}
	deploy("RollbackStack", second, wire.Params{"stack": "web", "commit": second})
	deploy("DeployStackIfChanged", second, wire.Params{"stack": "web"})
	r, err := execute("RollbackStack", wire.Params{"stack": "inline", "commit": first})
	if err != nil || r.State != "failed" || !strings.Contains(r.Why(), "in no repository") {
		t.Errorf("without a repository: %v %s %s", err, r.State, r.Why())
	}
}
