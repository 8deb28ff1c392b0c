package compose_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/moby/moby/client"
)

func TestInterruptedReplacementIsPutRight(t *testing.T) {
	file := "services: { web: { image: 'berthtest/app:1', environment: { A: VALUE } } }"
	s := newStack(t, map[string]string{"compose.yaml": strings.Replace(file, "VALUE", "1", 1)})
	api, ctx := s.engine.API(), t.Context()
	for i, removed := range []bool{false, true} {
		s.write(map[string]string{"compose.yaml": strings.Replace(file, "VALUE", "one"+strconv.Itoa(i), 1)})
		s.up()
		// As compose does it: the new one under a temporary name, the old one
		// stopped, perhaps removed; then the agent was killed.
		old := s.ids()["web-1"]
		s.write(map[string]string{"compose.yaml": strings.Replace(file, "VALUE", "two"+strconv.Itoa(i), 1)})
		in, err := api.ContainerInspect(ctx, old, client.ContainerInspectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = api.ContainerCreate(ctx, client.ContainerCreateOptions{
			Name: old[:12] + "_" + s.spec.Project + "-web-1", Config: in.Container.Config,
		})
		if err != nil {
			t.Fatal(err)
		}
		if removed {
			_, err = api.ContainerRemove(ctx, old, client.ContainerRemoveOptions{Force: true})
		} else {
			_, err = api.ContainerStop(ctx, old, client.ContainerStopOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
		r := s.up()
		if ids := s.ids(); len(ids) != 1 || ids["web-1"] == "" || ids["web-1"] == old {
			t.Errorf("removed=%v: containers = %v\n%s", removed, ids, s.transcript())
		}
		if len(r.Warnings) != 1 {
			t.Errorf("warnings = %q", r.Warnings)
		}
	}
}

func TestVolumeIsNeverRecreated(t *testing.T) {
	file := "services: { web: { image: 'berthtest/app:1', volumes: [ 'keep:/keep' ] } }\nvolumes: { keep: { labels: { a: LABEL } } }"
	s := newStack(t, map[string]string{"compose.yaml": strings.Replace(file, "LABEL", "one", 1)})
	s.up()
	created := func() string {
		v, err := s.engine.API().VolumeInspect(t.Context(), s.spec.Project+"_keep", client.VolumeInspectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return v.Volume.CreatedAt + v.Volume.Labels["a"]
	}
	before := created()
	s.write(map[string]string{"compose.yaml": strings.Replace(file, "LABEL", "two", 1)})
	r := s.up()
	if created() != before {
		t.Error("the volume was recreated")
	}
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "Volume") {
		t.Errorf("warnings = %q", r.Warnings)
	}
}
