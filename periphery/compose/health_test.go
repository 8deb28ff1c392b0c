package compose_test

import (
	"strings"
	"testing"
	"time"

	"berth/periphery/compose"
	"berth/periphery/docker/dockertest"
	"berth/periphery/docker/dockertest/rig"
	"berth/schema"
)

func TestHealth(t *testing.T) {
	s := newStack(t, nil)
	dockertest.BuildImage(t, s.engine, image, "checked", rig.Behaviour{Health: true})
	s.spec.Health = true
	s.spec.HealthTimeout = 30 * time.Second
	for _, c := range []struct {
		name, service string
		ignore        bool
		want          []string // in the error; none is success
	}{
		{"runs", "{ image: 'berthtest/app:1' }", false, nil},
		{"healthy", "{ image: 'berthtest/app:checked' }", false, nil},
		{"one shot", "{ image: 'berthtest/app:1', command: [ -exit, '0' ] }", false, nil},
		{
			"exits", "{ image: 'berthtest/app:1', command: [ -say, 'cannot find my mind', -exit, '3' ] }", false,
			[]string{`service "web"`, "exited with code 3", "cannot find my mind"},
		},
		{"ignored", "{ image: 'berthtest/app:1', command: [ -exit, '3' ] }", true, nil},
		{
			"loops", "{ image: 'berthtest/app:1', restart: always, command: [ -say, 'again', -exit, '4' ] }", false,
			[]string{`service "web"`, "restarts again and again", "exit code 4", "again"},
		},
		{
			"unhealthy", "{ image: 'berthtest/app:checked', command: [ -unhealthy ] }", false,
			[]string{`service "web"`, "is unhealthy", "status 503"},
		},
		{"no such program", "{ image: 'berthtest/app:1', entrypoint: [ /nope ] }", false, []string{"/nope"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.t = t
			s.spec.IgnoreServices = nil
			if c.ignore {
				s.spec.IgnoreServices = []string{"web"}
			}
			s.write(map[string]string{"compose.yaml": "services: { web: " + c.service + " }"})
			r, err := s.try(t.Context())
			if len(c.want) == 0 {
				if err != nil {
					t.Fatalf("%v\n%s", err, s.transcript())
				}
				if last := r.Phases[len(r.Phases)-1]; last.Name != compose.PhaseHealth || last.State != schema.PhaseDone {
					t.Errorf("phases = %+v", r.Phases)
				}
				return
			}
			if schema.CodeOf(err) != schema.Failed && schema.CodeOf(err) != schema.Expired {
				t.Fatalf("error = %v (%s)\n%s", err, schema.CodeOf(err), s.transcript())
			}
			for _, w := range c.want {
				if !strings.Contains(schema.SafeText(err), w) {
					t.Errorf("error %q lacks %q", schema.SafeText(err), w)
				}
			}
		})
	}
}

func TestHealthTimesOut(t *testing.T) {
	s := newStack(t, map[string]string{"compose.yaml": `
services: { web: { image: "berthtest/app:1", healthcheck: { test: [ CMD, /app, -health, -port, "1" ], interval: 1s, start_period: 60s } } }`})
	s.spec.Health, s.spec.HealthTimeout = true, 1500*time.Millisecond
	_, err := s.try(t.Context())
	if schema.CodeOf(err) != schema.Expired || !strings.Contains(schema.SafeText(err), `service "web"`) {
		t.Errorf("error = %v", err)
	}
}
