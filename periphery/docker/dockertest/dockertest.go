// Package dockertest gives a test real Docker engines and images, without any
// registry. What is missing is a failure that says what to do, never a skip.
package dockertest

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"berth/periphery/docker"
	"berth/periphery/docker/dockertest/rig"
)

// Engine returns the machine's own engine, started first if need be. It is shared:
// name projects with Project and they are wiped at the test's end.
func Engine(t testing.TB) *rig.Engine {
	t.Helper()
	e, err := rig.Machine(t.Context())
	if err != nil {
		t.Fatalf("this test needs a Docker engine: %v", err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// Engines returns n engines side by side, each in a network namespace of its own,
// gone with all they had at the test's end.
func Engines(t testing.TB, n int) []*rig.Engine {
	t.Helper()
	engines := make([]*rig.Engine, n)
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { engines[i], errs[i] = rig.Isolated(t.Context()) })
	}
	wg.Wait()
	for _, e := range engines {
		if e != nil {
			t.Cleanup(func() {
				if err := e.Close(); err != nil {
					t.Errorf("remove engine: %v", err)
				}
			})
		}
	}
	for _, err := range errs {
		if err != nil {
			t.Fatalf("this test needs %d Docker engines side by side: %v", n, err)
		}
	}
	return engines
}

// BuildImage gives the engine an image name:tag that behaves as told.
func BuildImage(t testing.TB, e *rig.Engine, name, tag string, b rig.Behaviour) {
	t.Helper()
	if err := Compiled(t).BuildImage(t.Context(), e.Client, name, tag, b); err != nil {
		t.Fatalf("build image %s:%s: %v", name, tag, err)
	}
}

// compiled is the test program, compiled once for a test binary.
var compiled = sync.OnceValues(func() (*rig.App, error) { return rig.Compile(context.Background()) })

// Compiled returns the test program.
func Compiled(t testing.TB) *rig.App {
	t.Helper()
	app, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	return app
}

// Project returns a project name that no other test uses. Containers, networks
// and volumes of it are removed at the test's end.
func Project(t testing.TB, e *rig.Engine) string {
	t.Helper()
	name := "t-" + strings.ToLower(strings.NewReplacer("/", "-", " ", "-", "=", "-", "#", "-").Replace(t.Name()))
	if len(name) > 50 {
		name = name[:50]
	}
	Wipe(t, e, name) // of a test that was killed
	t.Cleanup(func() { Wipe(t, e, name) })
	return name
}

// Wipe removes containers, networks and volumes of a compose project.
func Wipe(t testing.TB, e *rig.Engine, project string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	label := client.Filters{}.Add("label", docker.LabelProject+"="+project)
	api := e.API()
	list, err := api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: label})
	if err != nil {
		t.Errorf("wipe project %s: %v", project, err)
		return
	}
	for _, c := range list.Items {
		_, _ = api.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	}
	networks, err := api.NetworkList(ctx, client.NetworkListOptions{Filters: label})
	if err == nil {
		for _, n := range networks.Items {
			_, _ = api.NetworkRemove(ctx, n.ID, client.NetworkRemoveOptions{})
		}
	}
	volumes, err := api.VolumeList(ctx, client.VolumeListOptions{Filters: label})
	if err == nil {
		for _, v := range volumes.Items {
			_, _ = api.VolumeRemove(ctx, v.Name, client.VolumeRemoveOptions{Force: true})
		}
	}
}
