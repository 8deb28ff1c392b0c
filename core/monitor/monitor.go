// Package monitor keeps the last that agents said of themselves and their
// containers, and says what changed.
//
// Concurrency: everything may be used by any number of goroutines; what is handed
// out is never written to again. It keeps nothing on disk: after a restart it
// knows a server again when its agent is back, which is at once.
package monitor

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"berth/schema"
)

// Server is what is known of one server's agent.
type Server struct {
	Online bool
	Since  time.Time // of the last change of Online; zero when it was never here
	Status *schema.AgentStatus
}

// Monitor holds the last word of every agent.
type Monitor struct {
	announce func(schema.Change)
	started  time.Time

	mu      sync.RWMutex
	servers map[string]Server
}

// New makes a monitor that calls announce, from many goroutines, when something
// about a server changed.
func New(announce func(schema.Change)) *Monitor {
	return &Monitor{announce: announce, started: time.Now(), servers: map[string]Server{}}
}

// Presence takes that an agent came or went.
func (m *Monitor) Presence(id string, online bool) {
	m.mu.Lock()
	s := m.servers[id]
	if s.Online == online && !s.Since.IsZero() {
		m.mu.Unlock()
		return
	}
	s.Online, s.Since = online, time.Now()
	m.servers[id] = s
	m.mu.Unlock()
	m.announce(schema.Change{Topic: "server", ID: id})
}

// Status takes what an agent says of itself.
func (m *Monitor) Status(id string, st schema.AgentStatus) {
	slices.SortFunc(st.Containers, func(a, b schema.Container) int { return cmp.Compare(a.Name, b.Name) })
	m.mu.Lock()
	s := m.servers[id]
	if older(st, s.Status) {
		m.mu.Unlock()
		return
	}
	s.Status = &st
	m.servers[id] = s
	m.mu.Unlock()
	m.announce(schema.Change{Topic: "server", ID: id})
}

// overtaken is by how much a status may be older than the one that came before it: by
// more, the agent's clock was set back.
const overtaken = 15 * time.Second

// older reports whether a status was overtaken by the one that is known.
func older(st schema.AgentStatus, known *schema.AgentStatus) bool {
	return known != nil && known.Started == st.Started && st.At < known.At && known.At-st.At < overtaken.Milliseconds()
}

// Forget drops what is known of a server that was deleted.
func (m *Monitor) Forget(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.servers, id)
}

// Server returns what is known of a server.
func (m *Monitor) Server(id string) Server {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.servers[id]
}

// Online reports whether a server's agent is connected, and since when it is so or
// not; one that has not been here since core started is away since then.
func (m *Monitor) Online(id string) (bool, time.Time) {
	s := m.Server(id)
	if s.Since.IsZero() {
		return false, m.started
	}
	return s.Online, s.Since
}

// Project returns the containers of a compose project on a server; known is false
// when nothing can be said of them.
func (m *Monitor) Project(server, project string) (list []schema.Container, known bool) {
	s := m.Server(server)
	if s.Status == nil || s.Status.Engine.Error != "" {
		return nil, false
	}
	for _, c := range s.Status.Containers {
		if c.Project == project {
			list = append(list, c)
		}
	}
	return list, s.Online
}

// Services groups a project's containers by service, in the order of names that
// are expected; those that have no container are there without.
func Services(list []schema.Container, expected []schema.DeployedService) []schema.ServiceView {
	var out []schema.ServiceView
	index := map[string]int{}
	add := func(name, image string) int {
		i, ok := index[name]
		if !ok {
			i = len(out)
			index[name] = i
			out = append(out, schema.ServiceView{Name: name, Image: image, State: "missing", Containers: []schema.Container{}})
		}
		return i
	}
	for _, e := range expected {
		add(e.Name, e.Image)
	}
	for _, c := range list {
		if c.OneOff {
			continue
		}
		i := add(c.Service, c.Image)
		out[i].Containers = append(out[i].Containers, c)
		out[i].Image = c.Image
		out[i].State = worse(out[i].State, stateOf(c))
	}
	return out
}

func stateOf(c schema.Container) string {
	if c.State == "running" && (c.Health == "unhealthy" || c.Health == "starting") {
		return c.Health
	}
	return c.State
}

// badness orders states: the worst of a service's containers is the service's.
func badness(state string) int {
	return slices.Index([]string{"missing", "running", "created", "starting", "paused", "exited", "removing", "restarting", "unhealthy", "dead"}, state)
}

func worse(a, b string) string {
	if badness(a) > badness(b) {
		return a
	}
	return b
}

// StackState is the state of a stack whose services are these; services to ignore
// do not count.
func StackState(services []schema.ServiceView, ignore []string) (schema.StackState, string) {
	count := map[string]int{}
	total := 0
	for _, s := range services {
		if slices.Contains(ignore, s.Name) {
			continue
		}
		count[s.State]++
		total++
	}
	if total == 0 && len(services) == 0 || total > 0 && count["missing"] == total {
		return schema.StackDown, "no containers"
	}
	for _, st := range []struct {
		word  string
		state schema.StackState
	}{
		{"dead", schema.StackDead}, {"restarting", schema.StackRestarting}, {"unhealthy", schema.StackUnhealthy}, {"removing", schema.StackRemoving},
	} {
		if n := count[st.word]; n > 0 {
			return st.state, words(n, total, st.word)
		}
	}
	running := count["running"] + count["starting"]
	switch {
	case running == total:
		return schema.StackRunning, ""
	case count["exited"] == total:
		return schema.StackStopped, "stopped"
	case count["paused"] == total:
		return schema.StackPaused, "paused"
	case count["created"] == total:
		return schema.StackCreated, "created, not started"
	}
	return schema.StackUnhealthy, words(total-running, total, "not running")
}

func words(n, total int, what string) string {
	if total == 1 {
		return what
	}
	return fmt.Sprintf("%d of %d services %s", n, total, what)
}
