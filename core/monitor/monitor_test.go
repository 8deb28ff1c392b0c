package monitor

import (
	"testing"

	"berth/schema"
)

func container(service, state, health string) schema.Container {
	return schema.Container{Name: service + "-1", Service: service, Project: "p", State: state, Health: health, Image: service + ":1"}
}

func TestStackState(t *testing.T) {
	expected := []schema.DeployedService{{Name: "web", Image: "web:1"}, {Name: "db", Image: "db:1"}}
	for name, tc := range map[string]struct {
		list   []schema.Container
		ignore []string
		want   schema.StackState
		why    string
	}{
		"running":          {list: []schema.Container{container("web", "running", ""), container("db", "running", "healthy")}, want: schema.StackRunning},
		"unhealthy":        {list: []schema.Container{container("web", "running", "unhealthy"), container("db", "running", "")}, want: schema.StackUnhealthy, why: "1 of 2 services unhealthy"},
		"missing":          {list: []schema.Container{container("web", "running", "")}, want: schema.StackUnhealthy, why: "1 of 2 services not running"},
		"none":             {want: schema.StackDown, why: "no containers"},
		"stopped":          {list: []schema.Container{container("web", "exited", ""), container("db", "exited", "")}, want: schema.StackStopped, why: "stopped"},
		"job is ignored":   {list: []schema.Container{container("web", "exited", ""), container("db", "running", "")}, ignore: []string{"web"}, want: schema.StackRunning},
		"restarting":       {list: []schema.Container{container("web", "restarting", ""), container("db", "running", "")}, want: schema.StackRestarting, why: "1 of 2 services restarting"},
		"worst of several": {list: []schema.Container{container("web", "running", ""), container("web", "dead", ""), container("db", "running", "")}, want: schema.StackDead, why: "1 of 2 services dead"},
	} {
		t.Run(name, func(t *testing.T) {
			got, why := StackState(Services(tc.list, expected), tc.ignore)
			if got != tc.want || why != tc.why {
				t.Errorf("%s (%q), want %s (%q)", got, why, tc.want, tc.why)
			}
		})
	}
}

// Statuses go two ways: one that was overtaken does not count.
func TestOvertaken(t *testing.T) {
	m := New(func(schema.Change) {})
	state := func() string { return m.Server("a").Status.Containers[0].State }
	for _, c := range []struct {
		at, started int64
		state, want string
	}{
		{1000, 1, "running", "running"},
		{3000, 1, "exited", "exited"},
		{2000, 1, "running", "exited"},
		{2500, 2, "running", "running"}, // another process of the agent
		{60_000, 2, "exited", "exited"},
		{30_000, 2, "running", "running"}, // its clock was set back
	} {
		m.Status("a", schema.AgentStatus{At: c.at, Started: c.started, Containers: []schema.Container{container("web", c.state, "")}})
		if got := state(); got != c.want {
			t.Errorf("after %+v: %s", c, got)
		}
	}
}

func TestPresence(t *testing.T) {
	var said []schema.Change
	m := New(func(c schema.Change) { said = append(said, c) })
	if on, since := m.Online("a"); on || since.IsZero() {
		t.Error("a server that never came is away since core started")
	}
	m.Presence("a", true)
	m.Presence("a", true) // nothing new
	m.Status("a", schema.AgentStatus{Containers: []schema.Container{container("web", "running", "")}})
	if list, known := m.Project("a", "p"); !known || len(list) != 1 {
		t.Errorf("%v %v", list, known)
	}
	m.Presence("a", false)
	if list, known := m.Project("a", "p"); known || len(list) != 1 {
		t.Errorf("of an absent server the last is shown, as not known: %v %v", list, known)
	}
	if len(said) != 3 {
		t.Errorf("said %v", said)
	}
}
