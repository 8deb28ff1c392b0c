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

const deploymentTOML = `
[[variable]]
name = "APP_SECRET"
value = "kanarienvogel-77-app"
is_secret = true

[[deployment]]
name = "api"
[deployment.config]
server = "nexus"
image.type = "Image"
image.params.image = "berth-e2e/app:1"
network = "bridge"
restart = "unless-stopped"
ports = "8080:8080"
command = "-show SECRET"
environment = [{ variable = "SECRET", value = "\"[[APP_SECRET]]\"" }]
extra_args = ["--memory 64m", "--pull=missing"]

[[deployment]]
name = "worker"
tags = []
[deployment.config]
server = "nexus"
image = { type = "Image", params = { image = "berth-e2e/app:1" } }
network = "none"
extra_args = "--pull missing"

[[deployment]]
name = "resting"
[deployment.config]
server = "nexus"
image = { type = "Image", params = { image = "berth-e2e/app:1" } }
extra_args = "--pull missing"
`

// singles is a server with deployments.
type singles struct{ *homelab.Homelab }

// run executes a request and waits for the end of its run, which must be as named
// and say the words.
func (s *singles) run(t *testing.T, request string, p wire.Params, state string, words ...string) {
	t.Helper()
	var u wire.Update
	if err := s.API.Call(t.Context(), "execute", request, p, &u); err != nil {
		t.Fatal(err)
	}
	r := s.Ended(t, u.ID.OID, time.Minute)
	why := r.Why()
	if r.Decision != nil {
		why += "\n" + r.Decision.What + ": " + r.Decision.Reason
	}
	if r.State != state {
		t.Errorf("%s %v: %s: %s", request, p, r.State, why)
	}
	for _, w := range words {
		if !strings.Contains(why, w) {
			t.Errorf("%s %v: %q is not in %q", request, p, w, why)
		}
	}
}

// batch executes one that must name so many deployments.
func (s *singles) batch(t *testing.T, request, pattern string, n int) {
	t.Helper()
	var list []struct{ Status string }
	if err := s.API.Call(t.Context(), "execute", request, wire.Params{"pattern": pattern}, &list); err != nil || len(list) != n {
		t.Errorf("%s %s: %+v, %v", request, pattern, list, err)
	}
}

// stands waits until a deployment is in a state, as ListDeployments shows it.
func (s *singles) stands(t *testing.T, name, state string) {
	t.Helper()
	s.World.Until(20*time.Second, name+" is "+state, func() bool {
		var list []struct {
			Name string
			Info struct{ State, Image, Server string }
		}
		if err := s.API.Call(t.Context(), "read", "ListDeployments", nil, &list); err != nil {
			t.Fatal(err)
		}
		for _, d := range list {
			if d.Name == name {
				return d.Info.State == state && d.Info.Image != ""
			}
		}
		return false
	})
}

// TestDeployments holds what deployments do, over HTTP: deployed, left alone,
// replaced, rolled back, every verb, how they stand.
func TestDeployments(t *testing.T) {
	w := world.New(t, world.Options{Servers: []string{world.Nexus}})
	s := &singles{&homelab.Homelab{World: w}}
	engine := w.Servers[world.Nexus].Engine
	dockertest.BuildImage(t, engine, "berth-e2e/app", "1", rig.Behaviour{})
	dockertest.BuildImage(t, engine, "berth-e2e/bad", "1", rig.Behaviour{Args: []string{"-say", "no luck", "-exit", "3"}})
	w.Apply(deploymentTOML)
	api := wire.Params{"deployment": "api"}
	update := func(config wire.Params) error {
		return s.API.Call(t.Context(), "write", "UpdateDeployment", wire.Params{"id": "api", "config": config}, nil)
	}

	s.stands(t, "api", "not_deployed")
	s.run(t, "Deploy", api, "succeeded", "there was no container")
	s.stands(t, "api", "running")
	first := w.Containers(world.Nexus, "")["api"]
	s.run(t, "Deploy", api, "succeeded", "unchanged")
	if w.Containers(world.Nexus, "")["api"] != first {
		t.Error("an unchanged deployment was replaced")
	}
	for _, flag := range []string{"--frobnicate", "--rm", "--name x"} {
		if err := update(wire.Params{"extra_args": []string{flag}}); err == nil || !strings.Contains(err.Error(), strings.Fields(flag)[0]) {
			t.Errorf("%s at save: %v", flag, err)
		}
	}
	if err := s.API.Call(t.Context(), "write", "UpdateVariableValue", wire.Params{"name": "APP_SECRET", "value": "kanarienvogel-78-app"}, nil); err != nil {
		t.Fatal(err)
	}
	s.run(t, "Deploy", api, "succeeded", "environment SECRET changed")
	second := w.Containers(world.Nexus, "")["api"]
	if second == first {
		t.Error("it was not replaced for another secret")
	}
	if err := update(wire.Params{"image": wire.Params{"type": "Image", "params": wire.Params{"image": "berth-e2e/bad:1"}}, "command": ""}); err != nil {
		t.Fatal(err)
	}
	s.run(t, "Deploy", api, "failed", "with exit code 3", "no luck", "rolled back", "api runs again")
	if w.Containers(world.Nexus, "")["api"] != second {
		t.Error("the container before is not back")
	}
	var log struct{ Stdout, Stderr string }
	if err := s.API.Call(t.Context(), "read", "GetDeploymentLog", wire.Params{"deployment": "api", "tail": 10}, &log); err != nil || !strings.Contains(log.Stdout, "SECRET=kanarienvogel-78-app") {
		t.Errorf("%+v, %v", log, err)
	}
	for _, step := range [][2]string{
		{"StopDeployment", "exited"}, {"StartDeployment", "running"}, {"PauseDeployment", "paused"}, {"UnpauseDeployment", "running"}, {"RestartDeployment", "running"},
	} {
		s.run(t, step[0], api, "succeeded", "container api")
		s.stands(t, "api", step[1])
	}
	s.run(t, "PullDeployment", api, "succeeded", "newest already")
	s.batch(t, "BatchDeploy", "work*", 1)
	s.stands(t, "worker", "running")
	var sum map[string]int
	if err := s.API.Call(t.Context(), "read", "GetDeploymentsSummary", nil, &sum); err != nil || sum["total"] != 3 || sum["running"] != 2 || sum["not_deployed"] != 1 {
		t.Errorf("%v, %v", sum, err)
	}
	var one struct {
		State     string
		Container *struct{ Name string }
	}
	if err := s.API.Call(t.Context(), "read", "GetDeploymentContainer", api, &one); err != nil || one.State != "running" || one.Container == nil || one.Container.Name != "api" {
		t.Errorf("%+v, %v", one, err)
	}
	s.batch(t, "BatchDestroyDeployment", "*", 3)
	s.stands(t, "worker", "not_deployed")
	s.stands(t, "api", "not_deployed")
	if left := w.Containers(world.Nexus, ""); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	s.run(t, "StartDeployment", api, "failed", "deploy it first")
	s.batch(t, "BatchDeploy", "nothing-*", 0)
}
