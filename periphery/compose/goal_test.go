package compose_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/periphery/compose"
	"berth/periphery/docker/dockertest"
	"berth/periphery/docker/dockertest/rig"
	"berth/schema"
)

// What Before is told is what Up brings about, and Reached sees it; anything less
// is told in words.
func TestGoal(t *testing.T) {
	s := newStack(t, map[string]string{
		"compose.yaml": `
services:
  web: { image: "berthtest/app:1", volumes: [ "./web.conf:/etc/web.conf:ro" ], environment: [ "A=1" ], ports: [ "8080" ] }
  db: { image: "berthtest/health:1", volumes: [ "data:/data" ], secrets: [ pw ], deploy: { replicas: 2 } }
  once: { image: "berthtest/app:1", command: [ -exit, "0" ], restart: "no" }
volumes: { data: {} }
secrets: { pw: { file: ./pw } }
`,
		"web.conf": "one", "pw": "geheim",
	})
	dockertest.BuildImage(t, s.engine, "berthtest/health", "1", rig.Behaviour{Health: true})
	s.spec.Health = true
	var goal compose.Goal
	found := func() string {
		t.Helper()
		_, f, err := s.d.Reached(t.Context(), goal)
		if err != nil {
			t.Fatal(err)
		}
		if f.Reached {
			return ""
		}
		return f.Words
	}
	s.spec.Before = func(g compose.Goal) error {
		goal = g
		if words := found(); words != "db has no container, once has no container, web has no container" {
			t.Errorf("before: %s", words)
		}
		return nil
	}
	r := s.up()
	got, f, err := s.d.Reached(t.Context(), goal)
	if !f.Reached || err != nil {
		t.Fatalf("after: %s, %v", f.Words, err)
	}
	if diff := cmp.Diff(r.Services, got.Services) + cmp.Diff(r.Recreated, got.Recreated) + cmp.Diff(r.Inputs, got.Inputs); diff != "" {
		t.Error(diff)
	}
	first := goal

	s.write(map[string]string{"web.conf": "two"})
	s.spec.Run = "cccccccccccccccccccccccc"
	s.spec.Before = func(g compose.Goal) error {
		goal = g
		if words := found(); !strings.Contains(words, "web is still as before") || !strings.Contains(words, "db is as wanted") {
			t.Errorf("before the second: %s", words)
		}
		return schema.Errorf(schema.Failed, "no")
	}
	if _, err := s.try(t.Context()); err == nil || !strings.Contains(err.Error(), "no") {
		t.Errorf("Before's error is %v", err)
	}
	s.spec.Before = func(g compose.Goal) error { goal = g; return nil }
	s.up()
	if words := found(); words != "" {
		t.Errorf("after the second: %s", words)
	}
	goal, first = first, goal
	if words := found(); !strings.Contains(words, "web is still as before") {
		t.Errorf("the first goal after the second deploy: %q", words)
	}
	goal = first
	one := 1
	if _, _, err := s.d.Do(t.Context(), s.spec.Project, compose.Stop, compose.DoOptions{Services: []string{"web"}, StopTimeout: &one}, nil); err != nil {
		t.Fatal(err)
	}
	if words := found(); !strings.Contains(words, "web exited with code 0") && words != "" {
		t.Errorf("stopped: %q", words)
	}
}

// A container that shares another's network has that one's id in its hash: it is
// never taken for what was wanted.
func TestGoalOfSharedNamespace(t *testing.T) {
	s := newStack(t, map[string]string{"compose.yaml": `
services:
  web: { image: "berthtest/app:1" }
  side: { image: "berthtest/app:1", network_mode: "service:web", command: [ -port, "9090" ] }
`})
	var goal compose.Goal
	s.spec.Before = func(g compose.Goal) error { goal = g; return nil }
	s.up()
	_, f, err := s.d.Reached(t.Context(), goal)
	if err != nil || f.Reached || !strings.Contains(f.Words, "side shares another container and cannot be judged") {
		t.Errorf("%+v, %v", f, err)
	}
}
