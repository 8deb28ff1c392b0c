package periphery_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"berth/bus"
	"berth/bus/bustest"
	"berth/schema"
)

// answers asks the agent and returns its answer as clients read it.
func answers[Req, Resp any](y *yard, q schema.Query[Req, Resp], req Req) (Resp, string) {
	y.t.Helper()
	resp, err := bus.Ask(y.t.Context(), y.bus.Core, serverID, q, req)
	if err != nil {
		y.t.Fatalf("%s: %v", q.Name, err)
	}
	text, err := json.Marshal(resp)
	if err != nil {
		y.t.Fatal(err)
	}
	return resp, string(text)
}

// listens waits until the agent answers questions.
func (c *core) listens() {
	c.t.Helper()
	bustest.Eventually(c.t, 20*time.Second, "the agent answers", func() bool {
		_, err := bus.Ask(c.t.Context(), c.bus.Core, serverID, schema.Ping, struct{}{})
		return err == nil
	})
}

func TestInspections(t *testing.T) {
	y := newYard(t)
	y.listens()
	y.network("shared", nil)
	y.volume("data", map[string]string{"for": "tests"})
	y.make(thing{name: "web-app-1", project: "web", network: "shared", volume: "data", labels: map[string]string{"com.docker.compose.project.config_files": "/srv/a.yaml,/srv/b.yaml"}},
		thing{name: "web-db-1", project: "web", stopped: true})
	c, text := answers(y, schema.InspectContainer, schema.NamedReq{Name: "web-app-1"})
	if *c.ID != y.id("web-app-1") || c.State.Status != "running" || c.Config.Labels["com.docker.compose.service"] != "app" || *c.NetworkSettings.Networks["shared"].IPAddress == "" {
		t.Errorf("%s", text)
	}
	for _, part := range []string{`"ExposedPorts":[`, `"Volumes":[]`, `"Binds":[]`, `"Dns":[]`, `"PortBindings":{}`, `"Ports":{`, `"ConsoleSize":[0,0]`, `"Source":"data"`} {
		if !strings.Contains(text, part) {
			t.Errorf("no %s in %s", part, text)
		}
	}
	// What may be null is a text, a number, a yes or no, or an object; never a list.
	for _, m := range regexp.MustCompile(`"(Args|ExecIDs|Mounts|Env|Cmd|Entrypoint|OnBuild|Shell|Links|Aliases|DNSNames|CapAdd|CapDrop|Devices|Ulimits|MaskedPaths|Labels|Sysctls)":null`).FindAllString(text, -1) {
		t.Errorf("%s", m)
	}
	n, text := answers(y, schema.InspectNetwork, schema.NamedReq{Name: "shared"})
	if len(n.Containers) != 1 || n.Containers[0].ContainerID != *c.ID || *n.Containers[0].Name != "web-app-1" || *n.IPAM.Config[0].Subnet == "" {
		t.Errorf("%s", text)
	}
	if v, text := answers(y, schema.InspectVolume, schema.NamedReq{Name: "data"}); v.Labels["for"] != "tests" || v.Mountpoint == "" || v.CreatedAt == nil {
		t.Errorf("%s", text)
	}
	if i, text := answers(y, schema.InspectImage, schema.NamedReq{Name: image}); *i.ID != *c.Image || !slices.Contains(i.RepoTags, image) || len(i.RootFS.Layers) == 0 || i.Manifests != nil {
		t.Errorf("%s", text)
	}
	if h, text := answers(y, schema.ImageHistory, schema.NamedReq{Name: image}); len(h) == 0 || h[0].Created == 0 || h[0].Size == 0 {
		t.Errorf("%s", text)
	}
	if _, text := answers(y, schema.ComposeProjects, struct{}{}); text != `[{"name":"web","status":"created(1), running(1)","compose_files":["/srv/a.yaml","/srv/b.yaml"]}]` {
		t.Errorf("%s", text)
	}
	for _, q := range []schema.Query[schema.NamedReq, json.RawMessage]{{Name: "container.inspect"}, {Name: "network.inspect"}, {Name: "image.inspect"}, {Name: "image.history"}, {Name: "volume.inspect"}} {
		_, err := bus.Ask(t.Context(), y.bus.Core, serverID, q, schema.NamedReq{Name: "nobody"})
		if schema.CodeOf(err) != schema.NotFound || !strings.Contains(schema.SafeText(err), `"nobody" on this server`) {
			t.Errorf("%s: %v", q.Name, err)
		}
	}
	_, _ = answers(y, schema.NetworkCreate, schema.NamedReq{Name: "made"})
	if _, err := bus.Ask(t.Context(), y.bus.Core, serverID, schema.NetworkCreate, schema.NamedReq{Name: "made"}); schema.CodeOf(err) != schema.Conflict {
		t.Errorf("a network twice: %v", err)
	}
	if !slices.Contains(y.names(schema.EngineNetworks), "made") {
		t.Error(y.names(schema.EngineNetworks))
	}
}

func TestContainerStats(t *testing.T) {
	y := newYard(t)
	y.listens()
	y.make(thing{name: "one"}, thing{name: "two"}, thing{name: "ended", stopped: true})
	all, text := answers(y, schema.ContainerStats, schema.ContainerStatsReq{})
	if len(all) != 2 || all[0].Name != "one" || all[1].ID != y.id("two") {
		t.Fatalf("%s", text)
	}
	for what, form := range map[string]string{
		all[0].CPU: `^\d+\.\d\d%$`, all[0].Mem: `^\d+\.\d\d%$`, all[0].Usage: `^[\d.]+[KMG]iB / [\d.]+[MGT]iB$`,
		all[0].Net: `^[\d.]+[kM]?B / [\d.]+[kM]?B$`, all[0].Block: `^[\d.]+[kMG]?B / [\d.]+[kMG]?B$`, all[0].PIDs: `^[1-9]\d*$`,
	} {
		if !regexp.MustCompile(form).MatchString(what) {
			t.Errorf("%q is not %s", what, form)
		}
	}
	y.make(thing{name: "newer"})
	if one, text := answers(y, schema.ContainerStats, schema.ContainerStatsReq{Name: "newer"}); len(one) != 1 || one[0].Name != "newer" {
		t.Errorf("%s", text)
	}
	if _, err := bus.Ask(t.Context(), y.bus.Core, serverID, schema.ContainerStats, schema.ContainerStatsReq{Name: "ended"}); schema.CodeOf(err) != schema.Conflict {
		t.Error(err)
	}
	if _, err := bus.Ask(t.Context(), y.bus.Core, serverID, schema.ContainerStats, schema.ContainerStatsReq{Name: "nobody"}); schema.CodeOf(err) != schema.NotFound {
		t.Error(err)
	}
}

func TestSearchLog(t *testing.T) {
	y := newYard(t)
	y.listens()
	y.make(thing{name: "deaf", project: "deaf", args: []string{"-deaf", "SIGTERM"}})
	find := func(s *schema.LogSearch) string {
		t.Helper()
		a, _ := answers(y, schema.ContainerLog, schema.ContainerLogReq{Container: "deaf", Search: s})
		b, _ := answers(y, schema.StackLog, schema.StackLogReq{Project: "deaf", Search: s})
		if (a.Stdout+a.Stderr == "") != (b.Stdout+b.Stderr == "") {
			t.Errorf("the container's log %q, the stack's %q", a, b)
		}
		return a.Stdout + a.Stderr
	}
	y.until(t, func() bool { return strings.Contains(find(nil), "serving") })
	if got := find(&schema.LogSearch{Terms: []string{"SERVING", "nothing"}}); !strings.Contains(got, "serving") {
		t.Errorf("any: %q", got)
	}
	if got := find(&schema.LogSearch{Terms: []string{"serving", "nothing"}, All: true}); got != "" {
		t.Errorf("all: %q", got)
	}
	if got := find(&schema.LogSearch{Terms: []string{"serving"}, Invert: true}); strings.Contains(got, "serving") {
		t.Errorf("others: %q", got)
	}
	if _, err := bus.Ask(t.Context(), y.bus.Core, serverID, schema.ContainerLog, schema.ContainerLogReq{Container: "deaf", Search: &schema.LogSearch{}}); schema.CodeOf(err) != schema.Invalid {
		t.Error(err)
	}
}
