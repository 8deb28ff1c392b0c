package periphery_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"berth/bus/bustest"
	"berth/schema"
)

// run has the agent run a service of the stack once.
func (s *stack) run(req schema.ServiceRunReq) (id string, resp schema.ServiceRunResp, problem *schema.Problem) {
	s.t.Helper()
	id = s.sendRun(req)
	res := s.wait(id)
	if res.Problem == nil {
		if err := json.Unmarshal(res.Value, &resp); err != nil {
			s.t.Fatal(err)
		}
	}
	return id, resp, res.Problem
}

func (s *stack) sendRun(req schema.ServiceRunReq) string {
	s.n++
	id := fmt.Sprintf("run%d", s.n)
	req.Up = s.req
	s.queue(id, "stack-"+s.req.ID, "service.run", req)
	return id
}

func TestRunService(t *testing.T) {
	s := newStack(t)
	s.onHost(map[string]string{"compose.yaml": `
services:
  web: { image: 'berthtest/app:1' }
  db: { image: 'berthtest/app:1', healthcheck: { test: [ CMD, /app, -health ], interval: 0.2s } }
  job:
    image: berthtest/app:1
    command: [ -show, 'A,B', -say, "hello\nworld", -exit, '0' ]
    environment: { A: file }
    ports: [ '18977:80' ]
    depends_on: { db: { condition: service_healthy } }
    configs: [ { source: note, target: /note } ]
    profiles: [ tools ]
configs: { note: { content: "from a config" } }
`})
	s.up()
	s.has(map[string]string{"web": "running", "db": "running"})
	before := s.ids()

	id, resp, problem := s.run(schema.ServiceRunReq{Service: "job", Env: map[string]string{"B": "given"}})
	if problem != nil || resp.ExitCode != 0 || resp.Container != s.req.Name+"-job-run-"+id {
		t.Fatalf("%+v %+v\n%s", resp, problem, s.text(id))
	}
	text := s.text(id)
	for _, want := range []string{"hello\n", "world\n", "A=file\n", "B=given\n", "exit code 0\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	id, resp, problem = s.run(schema.ServiceRunReq{Service: "job", Command: []string{"-cat", "/note", "-exit", "7"}, NoDeps: true, User: "1000", Workdir: "/", NoTTY: true})
	if problem != nil || resp.ExitCode != 7 || !strings.Contains(s.text(id), `/note: "from a config"`) || !strings.Contains(s.text(id), "exiting with 7") {
		t.Errorf("%+v %+v\n%s", resp, problem, s.text(id))
	}
	if _, _, problem = s.run(schema.ServiceRunReq{Service: "job", Entrypoint: "/nothing 'here'"}); problem == nil || !strings.Contains(problem.Text, "/nothing") {
		t.Errorf("%+v", problem)
	}
	if _, _, problem = s.run(schema.ServiceRunReq{Service: "nobody"}); problem == nil || problem.Code != schema.Invalid || !strings.Contains(problem.Text, "nobody") {
		t.Errorf("%+v", problem)
	}
	if got := s.ids(); len(got) != 2 || got[s.req.Name+"-web-1"] != before[s.req.Name+"-web-1"] || got[s.req.Name+"-db-1"] != before[s.req.Name+"-db-1"] {
		t.Errorf("containers after: %v, before: %v", got, before)
	}

	// What it needs is created when it is missing, and nothing else.
	s.queue("down", "", "stack.do", schema.StackDoReq{ID: s.req.ID, Name: s.req.Name, Project: s.req.Name, Verb: "down"})
	s.wait("down")
	if id, resp, problem = s.run(schema.ServiceRunReq{Service: "job"}); problem != nil || resp.ExitCode != 0 {
		t.Errorf("%+v %+v\n%s", resp, problem, s.text(id))
	}
	s.has(map[string]string{"db": "running"})
}

func TestRunServiceEnds(t *testing.T) {
	s := newStack(t)
	s.onHost(map[string]string{"compose.yaml": "services: { web: { image: 'berthtest/app:1', profiles: [ x ] } }\n"})
	name := func(id string) string { return s.req.Name + "-web-run-" + id }
	id, resp, problem := s.run(schema.ServiceRunReq{Service: "web", Detach: true})
	if problem != nil || !resp.Detached {
		t.Fatalf("%+v %+v", resp, problem)
	}
	if c, err := s.engine.Inspect(t.Context(), name(id)); err != nil || c.State != "running" {
		t.Errorf("detached: %+v, %v", c, err)
	}
	if err := s.engine.Act(t.Context(), name(id), "stop", zeroTime()); err != nil {
		t.Error(err)
	}
	bustest.Eventually(t, 20*time.Second, "the detached container to remove itself", func() bool {
		_, err := s.engine.Inspect(t.Context(), name(id))
		return schema.CodeOf(err) == schema.NotFound
	})
	id = s.sendRun(schema.ServiceRunReq{Service: "web"})
	bustest.Eventually(t, 20*time.Second, "the container to run", func() bool {
		c, err := s.engine.Inspect(t.Context(), name(id))
		return err == nil && c.State == "running"
	})
	s.cancel(id)
	if res := s.wait(id); res.Problem == nil || res.Problem.Code != schema.Canceled {
		t.Errorf("%+v", res.Problem)
	}
	if _, err := s.engine.Inspect(t.Context(), name(id)); schema.CodeOf(err) != schema.NotFound {
		t.Errorf("the container of a canceled run is still there: %v", err)
	}
}
