package compose

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/client"

	"berth/periphery/docker/dockertest"
	"berth/periphery/docker/dockertest/rig"
)

// meeting is an engine's API whose starts wait for each other.
type meeting struct {
	client.APIClient
	here chan struct{}
}

func (m *meeting) ContainerStart(ctx context.Context, id string, o client.ContainerStartOptions) (client.ContainerStartResult, error) {
	select {
	case m.here <- struct{}{}:
	case <-m.here:
	case <-time.After(10 * time.Second):
		return client.ContainerStartResult{}, errors.New("nobody else starts at the same time")
	}
	return m.APIClient.ContainerStart(ctx, id, o)
}

// TestStartsInParallel fails when the SDK's start lock is no longer where
// startlock.go looks for it.
func TestStartsInParallel(t *testing.T) {
	e := dockertest.Engine(t)
	dockertest.BuildImage(t, e, "berthtest/app", "1", rig.Behaviour{})
	d := New(e.Client, []byte("k"), nil)
	name := dockertest.Project(t, e)
	project := &types.Project{Name: name, Services: types.Services{}, Environment: types.Mapping{}}
	for _, s := range []string{"a", "b"} {
		project.Services[s] = types.ServiceConfig{
			Name: s, Image: "berthtest/app:1",
			CustomLabels: types.Labels{api.ProjectLabel: name, api.ServiceLabel: s, api.OneoffLabel: "False"},
		}
	}
	both := &meeting{APIClient: e.API(), here: make(chan struct{})}
	session, err := d.session(parallelStart{both, func() bool { return false }}, nil, newJob(nil, nil), never(func(string) {}))
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Up(t.Context(), project, api.UpOptions{Start: api.StartOptions{Project: project}}); err != nil {
		t.Fatal(err)
	}
	if !startMx.TryLock() {
		t.Fatal("the start lock is left locked")
	}
	startMx.Unlock()
}
