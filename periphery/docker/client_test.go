package docker_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"berth/periphery/docker"
	"berth/periphery/docker/dockertest"
	"berth/periphery/docker/dockertest/rig"
	"berth/schema"
)

func TestEngine(t *testing.T) {
	e := dockertest.Engine(t)
	ctx := t.Context()
	if info := e.Info(ctx); info.Version == "" || info.API == "" || info.Error != "" {
		t.Errorf("Info = %+v", info)
	}
	down, err := docker.Open("unix:///nonexistent/docker.sock")
	if err != nil {
		t.Fatal(err)
	}
	err = down.Ping(ctx)
	if schema.CodeOf(err) != schema.Unavailable || !strings.Contains(schema.SafeText(err), "/nonexistent/docker.sock") {
		t.Errorf("Ping of nothing: %v", err)
	}
	if _, err := docker.Open("nonsense"); schema.CodeOf(err) != schema.Invalid {
		t.Errorf("Open(nonsense): %v", err)
	}
	if _, err := e.Image(ctx, "no/such:image"); schema.CodeOf(err) != schema.NotFound {
		t.Errorf("Image of nothing: %v", err)
	}
}

func TestContainer(t *testing.T) {
	e := dockertest.Engine(t)
	ctx, project := t.Context(), dockertest.Project(t, e)
	dockertest.BuildImage(t, e, "berthtest/docker", "1", rig.Behaviour{Health: true})
	dockertest.BuildImage(t, e, "berthtest/docker", "2", rig.Behaviour{Health: true})
	one, err := e.Image(ctx, "berthtest/docker:1")
	if err != nil {
		t.Fatal(err)
	}
	two, _ := e.Image(ctx, "berthtest/docker:2")
	if one.ID == two.ID {
		t.Error("images of different tags have the same id")
	}

	seen := make(chan docker.Event, 100)
	watching := make(chan struct{})
	watched := make(chan error, 1)
	watchCtx, stop := context.WithCancel(ctx)
	go func() {
		watched <- e.Watch(watchCtx, func() { close(watching) }, func(ev docker.Event) {
			if ev.Project == project {
				seen <- ev
			}
		})
	}()
	<-watching
	created, err := e.API().ContainerCreate(ctx, client.ContainerCreateOptions{
		Name: project + "-a-1",
		Config: &container.Config{
			Image: "berthtest/docker:1", Cmd: []string{"-say", "one\\ntwo"},
			Labels: map[string]string{docker.LabelProject: project, docker.LabelService: "a"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.API().ContainerStart(ctx, created.ID, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	deadline := time.After(20 * time.Second)
	for healthy := false; !healthy; {
		select {
		case ev := <-seen:
			healthy = ev.Action == "health_status: healthy"
		case <-deadline:
			t.Fatal("no event said that the container is healthy")
		}
	}
	list, err := e.Containers(ctx, project)
	if err != nil || len(list) != 1 {
		t.Fatalf("Containers = %v, %v", list, err)
	}
	c := list[0]
	if c.State != "running" || c.Health != "healthy" || c.Service != "a" || c.Name != project+"-a-1" || c.ImageID != one.ID {
		t.Errorf("container = %+v", c)
	}
	lines, err := e.Tail(ctx, c.ID, 20)
	if err != nil || len(lines) < 2 || lines[0] != "one" || lines[1] != "two" {
		t.Errorf("Tail = %q, %v", lines, err)
	}
	var out, errOut bytes.Buffer
	if err := e.Logs(ctx, c.ID, docker.LogOptions{}, &out, &errOut); err != nil || !strings.HasPrefix(out.String(), "one\ntwo\n") {
		t.Errorf("Logs = %q, %v", out.String(), err)
	}
	stop()
	if err := <-watched; err != nil {
		t.Errorf("Watch ended with %v", err)
	}
}

func TestEnginesSideBySide(t *testing.T) {
	if testing.Short() {
		t.Log("two engines start in about three seconds")
	}
	engines := dockertest.Engines(t, 2)
	for _, e := range engines {
		dockertest.BuildImage(t, e, "berthtest/side", "1", rig.Behaviour{})
		if list, err := e.Containers(t.Context(), ""); err != nil || len(list) != 0 {
			t.Errorf("engine %s: containers %v, %v", e.Addr, list, err)
		}
	}
	if engines[0].Addr == engines[1].Addr {
		t.Error("two engines, one address")
	}
}
