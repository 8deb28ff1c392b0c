package periphery_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"berth/bus"
	"berth/periphery/docker"
	"berth/periphery/docker/dockertest"
	"berth/periphery/docker/dockertest/rig"
	"berth/schema"
)

func TestContainerVerbs(t *testing.T) {
	y := newYard(t)
	y.make(thing{name: "web", stopped: true, volume: "data"})
	for _, step := range []struct{ verb, did, state string }{
		{"start", "started", "running"},
		{"start", "", "running"},
		{"pause", "paused", "paused"},
		{"unpause", "unpaused", "running"},
		{"restart", "restarted", "running"},
		{"stop", "stopped", "exited"},
		{"stop", "", "exited"},
		{"start", "started", "running"},
		{"pause", "paused", "paused"},
		{"destroy", "destroyed", ""},
	} {
		did, resp := y.done("container.do", schema.ContainerDoReq{Container: "web", Verb: step.verb})
		var want, states []string
		if step.did != "" {
			want = []string{"container web " + step.did}
		} else if !strings.HasSuffix(left(resp, "web"), "already") {
			t.Errorf("%s again: %+v", step.verb, resp)
		}
		if step.state != "" {
			states = []string{"web " + step.state}
		}
		same(t, step.verb, did, want...)
		same(t, step.verb, y.states(), states...)
	}
	if got := y.names(schema.EngineVolumes); !slices.Equal(got, []string{"data"}) {
		t.Errorf("volumes after destroy: %v", got)
	}
	_, problem := y.do("container.do", schema.ContainerDoReq{Container: "web", Verb: "stop"})
	if problem == nil || problem.Code != schema.NotFound || !strings.Contains(problem.Text, `no container "web"`) {
		t.Errorf("%+v", problem)
	}
	y.make(thing{name: "web"})
	core := y.id("web")
	for _, verb := range []string{"stop", "pause", "destroy"} {
		if _, problem = y.do("container.do", schema.ContainerDoReq{Container: "web", Verb: verb, Core: core}); problem == nil || problem.Code != schema.Conflict {
			t.Errorf("%s core: %+v", verb, problem)
		}
	}
	y.done("container.do", schema.ContainerDoReq{Container: core[:12], Verb: "restart", Core: core})
}

func TestStopSignalAndTime(t *testing.T) {
	y := newYard(t)
	y.make(thing{name: "deaf", args: []string{"-deaf", "SIGTERM,SIGINT"}}, thing{name: "told", args: []string{"-deaf", "SIGTERM"}})
	said := func(name, word string) {
		t.Helper()
		y.until(t, func() bool {
			lines, err := y.engine.Tail(t.Context(), name, 20)
			return err == nil && strings.Contains(strings.Join(lines, "\n"), word)
		})
	}
	said("deaf", "serving")
	said("told", "serving")
	hour, one := 3600, 1
	began := time.Now()
	y.done("container.do", schema.ContainerDoReq{Container: "told", Verb: "stop", Signal: "SIGINT", Time: &hour})
	if code := y.exit("told"); code != 0 || time.Since(began) > 30*time.Second {
		t.Errorf("told by SIGINT: code %d after %s", code, time.Since(began))
	}
	began = time.Now()
	y.done("container.do", schema.ContainerDoReq{Container: "deaf", Verb: "stop", Signal: "SIGINT", Time: &one})
	if code := y.exit("deaf"); code != 137 || time.Since(began) > 9*time.Second {
		t.Errorf("deaf, killed after a second: code %d after %s", code, time.Since(began))
	}
	said("deaf", "heard interrupt")
}

func (y *yard) exit(name string) int {
	y.t.Helper()
	c, err := y.engine.Inspect(y.t.Context(), name)
	if err != nil {
		y.t.Fatal(err)
	}
	return c.ExitCode
}

func (y *yard) until(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to be")
		}
	}
}

func TestDelete(t *testing.T) {
	y := newYard(t)
	dockertest.BuildImage(t, y.engine, "berthtest/app", "2", rig.Behaviour{})
	y.network("net", nil)
	y.network("used", nil)
	y.volume("vol", nil)
	y.volume("used", nil)
	y.make(thing{name: "web", network: "used", volume: "used"})
	for _, req := range []schema.EngineDeleteReq{{Kind: "image", Name: "berthtest/app:2"}, {Kind: "network", Name: "net"}, {Kind: "volume", Name: "vol"}} {
		did, _ := y.done("engine.delete", req)
		same(t, req.Kind, did, req.Kind+" "+req.Name+" deleted")
		if _, problem := y.do("engine.delete", req); problem == nil || problem.Code != schema.NotFound || !strings.Contains(problem.Text, req.Name) {
			t.Errorf("%s again: %+v", req.Kind, problem)
		}
	}
	for _, req := range []schema.EngineDeleteReq{{Kind: "image", Name: "berthtest/app:1"}, {Kind: "network", Name: "used"}, {Kind: "volume", Name: "used"}} {
		if _, problem := y.do("engine.delete", req); problem == nil || problem.Code != schema.Conflict || !strings.Contains(problem.Text, "has to go first") {
			t.Errorf("%s in use: %+v", req.Kind, problem)
		}
	}
	if _, problem := y.do("engine.delete", schema.EngineDeleteReq{Kind: "host", Name: "x"}); problem == nil || problem.Code != schema.Invalid {
		t.Errorf("%+v", problem)
	}
}

func zeroTime() docker.StopOptions {
	zero := 0
	return docker.StopOptions{Timeout: &zero}
}

func TestEngineList(t *testing.T) {
	y := newYard(t)
	dockertest.BuildImage(t, y.engine, "berthtest/app", "2", rig.Behaviour{})
	y.network("used", nil)
	y.network("idle", nil)
	y.volume("used", nil)
	y.volume("idle", nil)
	y.make(thing{name: "web", network: "used", volume: "used", stopped: true})
	ask := func(kind string) schema.EngineListResp {
		t.Helper()
		resp, err := bus.Ask(t.Context(), y.bus.Core, serverID, schema.EngineList, schema.EngineListReq{Kind: kind})
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	images := ask(schema.EngineImages).Images
	if len(images) != 2 || images[0].Name != "berthtest/app:1" || !images[0].InUse || images[1].InUse || images[0].Size == 0 || images[0].Created == 0 {
		t.Errorf("%+v", images)
	}
	volumes := ask(schema.EngineVolumes).Volumes
	if len(volumes) != 2 || volumes[0].Name != "idle" || volumes[0].InUse || !volumes[1].InUse || volumes[0].Scope != "local" || volumes[0].Created == nil {
		t.Errorf("%+v", volumes)
	}
	networks := map[string]schema.EngineNetwork{}
	for _, n := range ask(schema.EngineNetworks).Networks {
		networks[n.Name] = n
	}
	if n := networks["used"]; !n.InUse || n.Driver != "bridge" || n.Subnet == nil || n.ID == "" || networks["idle"].InUse || networks["host"].Name == "" {
		t.Errorf("%+v", networks)
	}
	if _, err := bus.Ask(t.Context(), y.bus.Core, serverID, schema.EngineList, schema.EngineListReq{Kind: "host"}); schema.CodeOf(err) != schema.Invalid {
		t.Error(err)
	}
}
