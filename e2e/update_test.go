package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"berth/e2e/wire"
	"berth/e2e/world"
	"berth/periphery/docker/dockertest"
)

const updateTOML = `
[[stack]]
name = "auto"
[stack.config]
server = "nexus"
registry_provider = %[1]q
registry_account = %[2]q
auto_update = true
auto_update_skip_services = ["still"]
file_contents = """
services:
  web: { image: '%[1]s/team/app:1' }
  still: { image: '%[1]s/team/app:1' }
"""

[[stack]]
name = "told"
[stack.config]
server = "nexus"
registry_provider = %[1]q
registry_account = %[2]q
poll_for_updates = true
file_contents = """
services: { web: { image: '%[1]s/team/app:1' } }
"""

[[deployment]]
name = "single"
[deployment.config]
server = "nexus"
image = { type = "Image", params = { image = "%[1]s/team/app:1" } }
image_registry_account = %[2]q
network = "bridge"
auto_update = true
`

// TestImageUpdates moves a tag at the registry: what updates by itself is deployed,
// what asks for it is told of, once, and every answer explains itself.
func TestImageUpdates(t *testing.T) {
	var host string
	w := world.New(t, world.Options{Servers: []string{world.Nexus}, Core: func(w *world.World) []string {
		host = w.Registry.Host(w.Servers[world.Nexus].Engine.Gateway)
		config := filepath.Join(w.Data, "registry.toml")
		writeFile(t, config, fmt.Sprintf("[[image_registry]]\ndomain = %q\nhttps = false\naccounts = [{ username = %q, token = %q }]\n",
			host, w.Registry.User, w.Registry.Password))
		return []string{"--config", config}
	}})
	program := dockertest.Compiled(t).Binary()
	w.Registry.Push(t, "team/app", "1", program, "one")
	w.Apply(fmt.Sprintf(updateTOML, host, w.Registry.User))
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
	for _, name := range []string{"auto", "told"} {
		if r := execute("DeployStack", wire.Params{"stack": name}); r.State != "succeeded" {
			t.Fatalf("deploy %s: %s", name, r.Why())
		}
	}
	if r := execute("Deploy", wire.Params{"deployment": "single"}); r.State != "succeeded" {
		t.Fatalf("deploy single: %s", r.Why())
	}
	auto, told := w.Containers(world.Nexus, "auto"), w.Containers(world.Nexus, "told")

	w.Registry.Push(t, "team/app", "1", program, "two")
	r := execute("GlobalAutoUpdate", nil)
	if r.State != "succeeded" || r.Decision == nil || !strings.Contains(strings.Join(r.Decision.Changes, "\n"), "the tag stands for") {
		t.Fatalf("%s: %s %+v", r.State, r.Why(), r.Decision)
	}
	now := w.Containers(world.Nexus, "auto")
	if now["auto-web-1"] == auto["auto-web-1"] || now["auto-still-1"] != auto["auto-still-1"] {
		t.Errorf("the stack that updates itself: before %v, now %v", auto, now)
	}
	if same := w.Containers(world.Nexus, "told"); same["told-web-1"] != told["told-web-1"] {
		t.Errorf("the stack that only tells was deployed: before %v, now %v", told, same)
	}
	if r := execute("GlobalAutoUpdate", nil); r.State != "succeeded" || r.Decision == nil || r.Decision.What != "unchanged" {
		t.Errorf("again: %s: %s %+v", r.State, r.Why(), r.Decision)
	}

	var alerts struct {
		Alerts []struct {
			Data struct{ Type string }
		}
	}
	if err := w.API.Call(t.Context(), "read", "ListAlerts", wire.Params{}, &alerts); err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, a := range alerts.Alerts {
		count[a.Data.Type]++
	}
	if count["StackImageUpdateAvailable"] != 1 || count["StackAutoUpdated"] != 1 || count["DeploymentAutoUpdated"] != 1 {
		t.Errorf("alerts: %v", count)
	}

	var check struct {
		Services []struct {
			Service   string
			Available bool `json:"update_available"`
			Reason    string
		}
	}
	if err := w.API.Call(t.Context(), "write", "CheckStackForUpdate", wire.Params{"stack": "told"}, &check); err != nil {
		t.Fatal(err)
	}
	if len(check.Services) != 1 || !check.Services[0].Available || !strings.Contains(check.Services[0].Reason, "the tag stands for") {
		t.Errorf("check: %+v", check)
	}
}
