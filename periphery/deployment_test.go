package periphery_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"berth/periphery/docker/dockertest"
	"berth/periphery/docker/dockertest/rig"
	"berth/schema"
)

// one is a deployment on an engine of its own.
type one struct {
	*yard
	req schema.DeploymentUpReq
	ups int
}

func newOne(t *testing.T) *one {
	t.Helper()
	y := newYard(t)
	dockertest.BuildImage(t, y.engine, "berthtest/app", "2", rig.Behaviour{})
	dockertest.BuildImage(t, y.engine, "berthtest/bad", "1", rig.Behaviour{Args: []string{"-say", "no luck\\nwith s3cret-value", "-exit", "3"}})
	dockertest.BuildImage(t, y.engine, "berthtest/ill", "1", rig.Behaviour{Args: []string{"-unhealthy"}, Health: true})
	cfg := schema.DefaultDeployment()
	cfg.Network, cfg.TerminationTimeout, cfg.ExtraArgs = "bridge", 5, schema.StrList{"--pull missing"}
	return &one{yard: y, req: schema.DeploymentUpReq{ID: "dddddddddddddddddddddddd", Name: "web", Image: "berthtest/app:1", Config: cfg}}
}

// try deploys.
func (o *one) try() (schema.DeploymentUpResp, *schema.Problem) {
	o.t.Helper()
	o.ups++
	id := fmt.Sprintf("one%d", o.ups)
	o.queueRun(id, fmt.Sprintf("run%d", o.ups), "deployment-"+o.req.ID, "deployment.up", o.req)
	res := o.wait(id)
	var resp schema.DeploymentUpResp
	if res.Problem == nil {
		if err := json.Unmarshal(res.Value, &resp); err != nil {
			o.t.Fatal(err)
		}
		if d := resp.Deployed; d != nil {
			d.Server = serverID
			o.req.Last = d
		}
	}
	return resp, res.Problem
}

// up deploys, which must succeed as the decision says.
func (o *one) up(what string, words ...string) schema.DeploymentUpResp {
	o.t.Helper()
	resp, problem := o.try()
	if problem != nil {
		o.t.Fatal(problem.Text)
	}
	if resp.Decision.What != what {
		o.t.Errorf("decision %+v, want %s", resp.Decision, what)
	}
	for _, w := range words {
		if !strings.Contains(resp.Decision.Reason, w) {
			o.t.Errorf("%q is not in %q", w, resp.Decision.Reason)
		}
	}
	return resp
}

// fails deploys, which must not succeed.
func (o *one) fails(code schema.Code, words ...string) {
	o.t.Helper()
	resp, problem := o.try()
	if problem == nil {
		o.t.Fatalf("it succeeded: %+v", resp)
	}
	if problem.Code != code {
		o.t.Errorf("code %s, want %s: %s", problem.Code, code, problem.Text)
	}
	for _, w := range words {
		if !strings.Contains(problem.Text, w) {
			o.t.Errorf("%q is not in %q", w, problem.Text)
		}
	}
}

func (o *one) inspect() container.InspectResponse {
	o.t.Helper()
	res, err := o.engine.API().ContainerInspect(o.t.Context(), "web", client.ContainerInspectOptions{})
	if err != nil {
		o.t.Fatal(err)
	}
	return res.Container
}

// A deployment is made once, left alone while nothing changed, and replaced by what
// changed, with the reason.
func TestDeploymentDecides(t *testing.T) {
	o := newOne(t)
	o.set(func(c *core) { c.vars["PASSWORD"] = schema.VariableValue{Value: "s3cret-value", Secret: true} })
	o.req.Config.Environment = "PASSWORD = [[PASSWORD]]\nCOST = \"5 $ `x`\""
	first := o.up("deploy", "there was no container").Container
	same(t, "containers", o.states(), "web running")
	if env := o.inspect().Config.Env; !slices.Contains(env, "PASSWORD=s3cret-value") || !slices.Contains(env, "COST=5 $ `x`") {
		t.Errorf("%q", env)
	}
	if again := o.up("unchanged", "settings and secrets"); again.Container != first || again.Deployed != nil {
		t.Errorf("%+v", again)
	}
	o.set(func(c *core) { c.vars["PASSWORD"] = schema.VariableValue{Value: "another-value", Secret: true} })
	second := o.up("deploy", "environment PASSWORD changed").Container
	if second == first || !slices.Contains(o.inspect().Config.Env, "PASSWORD=another-value") {
		t.Error("not recreated with the new secret")
	}
	o.req.Image = "berthtest/app:2"
	o.up("deploy", "image name changed")
	dockertest.BuildImage(t, o.engine, "berthtest/app", "2", rig.Behaviour{Env: map[string]string{"X": "1"}})
	o.up("deploy", "image berthtest/app:2 changed")
	o.done("deployment.do", schema.DeploymentDoReq{ID: o.req.ID, Name: "web", Verb: "stop"})
	o.up("deploy", "was exited")
	o.req.Force = true
	forced := o.up("deploy", "force").Container
	o.req.Force = false
	if o.up("unchanged").Container != forced {
		t.Error("another container")
	}
	o.req.Config.CustomName = "site"
	o.up("deploy", "name changed")
	same(t, "containers", o.states(), "site running")
}

// A new container that ends, is ill or cannot be made leaves the one before as it
// was.
func TestDeploymentRollsBack(t *testing.T) {
	o := newOne(t)
	o.set(func(c *core) { c.vars["TOKEN"] = schema.VariableValue{Value: "s3cret-value", Secret: true} })
	o.req.Config.Environment, o.req.Config.Ports = "TOKEN=[[TOKEN]]", "127.0.0.1:18080:8080"
	before := o.up("deploy").Container
	started := o.inspect().State.StartedAt

	o.req.Config.ExtraArgs = schema.StrList{"--pull missing", "--cap-add NOT_A_CAP"}
	o.fails(schema.Failed, "create container web", "what ran before was not touched")
	if in := o.inspect(); in.ID != before || in.State.StartedAt != started {
		t.Error("it was touched")
	}
	o.req.Config.ExtraArgs = schema.StrList{"--pull missing"}
	o.req.Image = "berthtest/bad:1"
	o.fails(schema.Failed, "exited with code 3", "no luck\nwith <TOKEN>", "rolled back", "web runs again")
	same(t, "after a bad one", o.states(), "web running")
	o.req.Image = "berthtest/ill:1"
	o.fails(schema.Failed, "is unhealthy", "rolled back", "web runs again")
	same(t, "after an ill one", o.states(), "web running")
	if o.inspect().ID != before {
		t.Error("another container")
	}
	o.req.Image = "127.0.0.1:1/nowhere:1"
	o.fails(schema.Unavailable, "pull image 127.0.0.1:1/nowhere:1", "does not serve")
	same(t, "after none", o.states(), "web running")
	o.req.Image = "berthtest/app:2"
	o.up("deploy") // on the same port
	same(t, "containers", o.states(), "web running")
}

// Foreign containers are refused, adopted when asked for, and never destroyed.
func TestDeploymentNames(t *testing.T) {
	o := newOne(t)
	o.make(thing{name: "web"})
	foreign := o.id("web")
	o.fails(schema.Conflict, "Berth did not make", "adopt = true")
	_, problem := o.do("deployment.do", schema.DeploymentDoReq{ID: o.req.ID, Name: "web", Verb: "destroy"})
	if problem == nil || problem.Code != schema.Conflict {
		t.Errorf("%+v", problem)
	}
	o.req.Adopt, o.req.Image = true, "berthtest/bad:1"
	o.fails(schema.Failed, "web runs again")
	if o.id("web") != foreign {
		t.Error("the foreign container is gone")
	}
	o.req.Image = "berthtest/app:1"
	o.up("deploy", "is adopted")
	same(t, "containers", o.states(), "web running")
	o.make(thing{name: "shop-web-1", project: "shop"})
	o.req.Config.CustomName = "shop-web-1"
	o.fails(schema.Conflict, `compose project "shop"`)
	o.req.Config.CustomName = ""
	o.req.ID, o.req.Last = "eeeeeeeeeeeeeeeeeeeeeeee", nil
	o.fails(schema.Conflict, "another deployment")
	o.req.ID = "dddddddddddddddddddddddd"
	o.req.Core, o.req.Force = o.id("web"), true
	o.fails(schema.Conflict, "core runs in")
}

// All verbs, on the container and on none.
func TestDeploymentVerbs(t *testing.T) {
	o := newOne(t)
	do := func(verb string) schema.DeploymentDoReq {
		return schema.DeploymentDoReq{ID: o.req.ID, Name: "web", Verb: verb}
	}
	if _, problem := o.do("deployment.do", do("start")); problem == nil || problem.Code != schema.NotFound {
		t.Errorf("start of none: %+v", problem)
	}
	if did, resp := o.done("deployment.do", do("destroy")); len(did) > 0 || left(resp, "web") == "" {
		t.Errorf("destroy of none: %+v", resp)
	}
	o.up("deploy")
	for _, step := range []struct{ verb, did, state string }{
		{"stop", "stopped", "exited"},
		{"start", "started", "running"},
		{"pause", "paused", "paused"},
		{"unpause", "unpaused", "running"},
		{"restart", "restarted", "running"},
	} {
		did, _ := o.done("deployment.do", do(step.verb))
		same(t, step.verb, did, "container web "+step.did)
		same(t, step.verb, o.states(), "web "+step.state)
	}
	pull := do("pull")
	pull.Up = &o.req
	if did, resp := o.done("deployment.do", pull); len(did) > 0 || len(resp.Left) != 1 {
		t.Errorf("pull: %+v", resp)
	}
	o.done("deployment.do", do("destroy"))
	same(t, "destroyed", o.states())
}

// The signal and the time of the one before are the settings', or those asked for.
func TestDeploymentSignals(t *testing.T) {
	o := newOne(t)
	dockertest.BuildImage(t, o.engine, "berthtest/deaf", "1", rig.Behaviour{Args: []string{"-deaf", "SIGTERM"}})
	o.req.Image, o.req.Config.TerminationSignal, o.req.Config.TerminationTimeout = "berthtest/deaf:1", "SIGINT", 3600
	o.up("deploy")
	o.req.Force = true
	began := time.Now()
	o.up("deploy")
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("by SIGINT: %s", took)
	}
	one := 1
	o.req.Config.TerminationSignal, o.req.StopTime = "SIGTERM", &one
	began = time.Now()
	o.up("deploy")
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("killed after a second: %s", took)
	}
}
