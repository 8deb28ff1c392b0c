package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth/e2e/world"
)

// TestCoreKeys changes what core proves itself by, while its agents look on.
func TestCoreKeys(t *testing.T) {
	w := world.New(t, world.Options{Engines: 1})
	type remembered struct {
		Key  string
		Pin  []string
		Next json.RawMessage
	}
	known := func(server string) remembered {
		t.Helper()
		var r remembered
		b, err := os.ReadFile(filepath.Join(w.Servers[server].Data, "periphery", "core.json"))
		if err == nil {
			err = json.Unmarshal(b, &r)
		}
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	before := known(world.Nexus)
	if out, code := w.Berth("execute", "rotate-core-keys", "--yes"); code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	after := known(world.Nexus)
	if after.Key == before.Key || after.Next != nil || strings.Join(after.Pin, "") == strings.Join(before.Pin, "") || known(world.LXC).Key != after.Key {
		t.Errorf("the agents remember %+v and %+v, before it was %+v", after, known(world.LXC), before)
	}
	w.Core.Kill()
	w.RestartCore()
	for _, name := range []string{world.Nexus, world.LXC} {
		w.Servers[name].Agent.Kill()
		w.RestartAgent(name)
	}

	w.Servers[world.LXC].Agent.Kill()
	w.AwaitServer(world.LXC, "NotOk")
	out, code := w.Berth("execute", "rotate-core-keys", "--yes")
	if code == 0 || !strings.Contains(out, world.LXC+" is offline") {
		t.Errorf("exit code %d: %s", code, out)
	}
	if known(world.Nexus).Key != after.Key {
		t.Error("an agent knows a key that core does not use")
	}
	w.RestartAgent(world.LXC)
}
