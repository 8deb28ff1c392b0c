package compose_test

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"berth/periphery/compose"
	"berth/schema"
)

func TestDoAndState(t *testing.T) {
	s := newStack(t, map[string]string{"compose.yaml": `
services:
  web: { image: "berthtest/app:1", volumes: [ "keep:/keep" ] }
  api: { image: "berthtest/app:1" }
volumes: { keep: {} }
`})
	ctx, p := t.Context(), s.spec.Project
	if _, _, err := s.d.Do(ctx, p, compose.Restart, compose.DoOptions{}, nil); schema.CodeOf(err) != schema.NotFound {
		t.Errorf("restart of nothing: %v", err)
	}
	s.up()
	state := func(service string) string {
		list, err := s.d.State(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(list, func(x compose.Service) bool { return x.Name == service })
		if i < 0 {
			return "none"
		}
		return list[i].State
	}
	seconds := 1
	for _, step := range []struct {
		action compose.Action
		web    string
	}{
		{compose.Stop, "exited"},
		{compose.Start, "running"},
		{compose.Pause, "paused"},
		{compose.Unpause, "running"},
		{compose.Restart, "running"},
		{compose.Kill, "exited"},
		{compose.Start, "running"},
	} {
		changed, _, err := s.d.Do(ctx, p, step.action, compose.DoOptions{Services: []string{"web"}, StopTimeout: &seconds}, nil)
		if err != nil {
			t.Fatalf("%s: %v", step.action, err)
		}
		if !slices.Equal(changed, []string{p + "-web-1"}) {
			t.Errorf("%s changed %v", step.action, changed)
		}
		// The engine's list follows its actions by a moment.
		deadline := time.Now().Add(5 * time.Second)
		for state("web") != step.web && time.Now().Before(deadline) {
			runtime.Gosched()
		}
		if got := state("web"); got != step.web || state("api") != "running" {
			t.Errorf("after %s web is %s and api is %s", step.action, got, state("api"))
		}
	}
	if _, _, err := s.d.Do(ctx, p, compose.Stop, compose.DoOptions{Services: []string{"nope"}}, nil); schema.CodeOf(err) != schema.NotFound {
		t.Errorf("stop of an unknown service: %v", err)
	}
	if _, _, err := s.d.Do(ctx, p, compose.Down, compose.DoOptions{StopTimeout: &seconds}, nil); err != nil {
		t.Fatal(err)
	}
	if state("web") != "none" {
		t.Error("containers are left after down")
	}
	if _, err := s.engine.API().VolumeInspect(ctx, p+"_keep", client.VolumeInspectOptions{}); err != nil {
		t.Errorf("down took the volume: %v", err)
	}
	if _, _, err := s.d.Do(ctx, p, compose.Down, compose.DoOptions{}, nil); err != nil {
		t.Errorf("down of nothing: %v", err)
	}
}
