package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth/e2e/homelab"
	"berth/e2e/wire"
	"berth/e2e/world"
)

// patience is how long a push takes that something is killed in: nobody waits for
// a lease or a delivery to run out.
const patience = 15 * time.Second

// crash is one push in whose middle something is killed.
type crash struct {
	*homelab.Homelab
	since time.Time
	run   string
}

// TestCrash kills core, an agent or both at every stage of a push: what was
// accepted comes to its end, and nothing is done twice.
func TestCrash(t *testing.T) {
	h := homelab.New(t, world.New(t))
	h.Apply(h.TOML(t, homelab.Settings{Procedure: "on-push", Pause: 1500}))
	h.Open(t)
	_, v := h.Push(t, "on-push", map[string]string{"README.md": "# Home\n"}, "Begin")
	if r := h.Ended(t, v.Run, minute); r.State != "succeeded" {
		t.Fatalf("the first push does not end well:\n%s", h.Tree(t, r, ""))
	}
	pushes := 1
	for _, point := range []struct {
		name     string
		attempts int // of a deploy on the server whose agent is killed, at most
		strike   func(*testing.T, *crash)
	}{
		{"core, after the 2xx", 1, func(t *testing.T, c *crash) {
			c.Core.Kill()
			c.RestartCore()
			c.Open(t)
		}},
		{"core, between the stages", 1, func(t *testing.T, c *crash) {
			c.Until(t, c.run, minute, "is between its stages", between)
			c.Core.Kill()
			c.RestartCore()
			if r, err := c.API.Run(t.Context(), c.run); err != nil || r.Terminal() {
				t.Errorf("after the restart the run is %s (%v)", r.State, err)
			}
			c.Open(t)
		}},
		{"core, while a deploy runs", 1, func(t *testing.T, c *crash) {
			c.working(t)
			c.Core.Kill()
			c.RestartCore()
			c.Open(t)
		}},
		{"core, and the deploy ends without it", 1, func(t *testing.T, c *crash) {
			c.working(t)
			c.Core.Kill()
			c.Open(t)
			c.World.Until(minute, "homeassistant is healthy", func() bool { return c.health(t) == "healthy" })
			c.RestartCore()
		}},
		{"agent, while a deploy runs", 2, func(t *testing.T, c *crash) {
			c.working(t)
			c.Servers[world.Nexus].Agent.Kill()
			c.RestartAgent(world.Nexus)
			c.Open(t)
		}},
		{"agent, and its containers are healthy without it", 2, func(t *testing.T, c *crash) {
			c.working(t)
			c.Servers[world.Nexus].Agent.Kill()
			c.Open(t)
			c.World.Until(minute, "homeassistant is healthy", func() bool { return c.health(t) == "healthy" })
			c.RestartAgent(world.Nexus)
		}},
		{"both, while a deploy runs", 2, func(t *testing.T, c *crash) {
			c.working(t)
			c.Servers[world.Nexus].Agent.Kill()
			c.Core.Kill()
			c.RestartCore()
			c.RestartAgent(world.Nexus)
			c.Open(t)
		}},
		{"core, again and again", 1, func(t *testing.T, c *crash) {
			for range 5 {
				c.further(t)
				c.Core.Kill()
				c.RestartCore()
			}
			c.Open(t)
		}},
		{"both, the agent back first", 2, func(t *testing.T, c *crash) {
			c.working(t)
			c.Core.Kill()
			c.Servers[world.Nexus].Agent.Kill()
			c.StartAgent(world.Nexus)
			c.Open(t)
			c.RestartCore()
		}},
	} {
		t.Run(point.name, func(t *testing.T) {
			h.Use(t)
			pushes++
			c := strike(t, h, pushes)
			point.strike(t, c)
			c.check(t, pushes, point.attempts)
		})
	}
	t.Run("agent, more often than is tried again", func(t *testing.T) { h.Use(t); crashTooOften(t, h) })
	t.Run("agent, in a command of the user's", func(t *testing.T) { h.Use(t); crashInHook(t, h) })
}

// crashTooOften kills the agent in each attempt: the run fails and says why, and
// the next deploy finishes what was left. The container that is to be replaced does
// not listen to the signal that ends it, which gives the time.
func crashTooOften(t *testing.T, h *homelab.Homelab) {
	stubborn := func(text string) {
		h.Apply(fmt.Sprintf(`
[[stack]]
name = "stubborn"
[stack.config]
server = "nexus"
auto_pull = false
file_contents = """
services:
  app:
    image: berth-e2e/app:1
    environment: {APP_TEXT: %s}
    stop_signal: SIGWINCH
    stop_grace_period: 10s
"""
`, text))
	}
	stubborn("one")
	if u, err := h.API.Execute(h.Context(minute), "DeployStack", wire.Params{"stack": "stubborn"}); err != nil || !u.Success {
		t.Fatalf("the first deploy: %+v, %v", u, err)
	}
	stubborn("two")
	var u wire.Update
	if err := h.API.Call(t.Context(), "execute", "DeployStack", wire.Params{"stack": "stubborn"}, &u); err != nil {
		t.Fatal(err)
	}
	for attempt := range 3 {
		h.Until(t, u.ID.OID, minute, fmt.Sprintf("works on attempt %d", attempt+1), func(r wire.Run) bool {
			return len(r.Steps) > attempt && inPhase(t, h, r, r.Steps[attempt].Command, "up")
		})
		h.Servers[world.Nexus].Agent.Kill()
		h.RestartAgent(world.Nexus)
	}
	r := h.Ended(t, u.ID.OID, minute)
	if r.State != "failed" || r.Problem == nil || r.Problem.Code != "interrupted" {
		t.Errorf("want failed with \"interrupted\":\n%s", h.Tree(t, r, ""))
	}
	if !strings.Contains(r.Why(), "stubborn") || !strings.Contains(r.Why(), "restarted") {
		t.Errorf("the run does not say what happened to whom: %s", r.Why())
	}
	oneAfterAnother(t, r, 3)
	if u, err := h.API.Execute(h.Context(minute), "DeployStackIfChanged", wire.Params{"stack": "stubborn"}); err != nil || !u.Success {
		t.Errorf("the next deploy: %+v, %v", u, err)
	}
	list, err := h.Servers[world.Nexus].Engine.Containers(t.Context(), "stubborn")
	if err != nil || len(list) != 1 || list[0].State != "running" || list[0].Name != "stubborn-app-1" {
		t.Errorf("containers are %+v (%v), want one that runs", list, err)
	}
}

// inPhase reports whether a command has said that it is in a phase of its work.
func inPhase(t *testing.T, h *homelab.Homelab, r wire.Run, command, phase string) bool {
	t.Helper()
	var page struct {
		Chunks []struct {
			Command string
			Entries []struct{ Ph string }
		}
	}
	if err := h.API.Call(t.Context(), "read", "GetRunOutput", wire.Params{"id": r.ID}, &page); err != nil {
		t.Fatal(err)
	}
	for _, c := range page.Chunks {
		for _, e := range c.Entries {
			if c.Command == command && e.Ph == phase {
				return true
			}
		}
	}
	return false
}

// crashInHook kills the agent while a command of the user's runs, which nobody may
// repeat without being asked.
func crashInHook(t *testing.T, h *homelab.Homelab) {
	h.Shut(t)
	log := filepath.Join(h.Gate, "log")
	h.Apply(fmt.Sprintf(`
[[stack]]
name = "hooked"
[stack.config]
server = "nexus"
auto_pull = false
pre_deploy.command = """
echo began >> %[1]s/log
while [ ! -e %[1]s/open ]; do sleep 0.05; done
"""
file_contents = """
services:
  app:
    image: berth-e2e/app:1
"""
`, h.Gate))
	began := func() int {
		text, _ := os.ReadFile(log)
		return strings.Count(string(text), "began")
	}
	var u wire.Update
	if err := h.API.Call(t.Context(), "execute", "DeployStack", wire.Params{"stack": "hooked"}, &u); err != nil {
		t.Fatal(err)
	}
	h.World.Until(minute, "the command runs", func() bool { return began() == 1 })
	h.Servers[world.Nexus].Agent.Kill()
	h.RestartAgent(world.Nexus)
	r := h.Ended(t, u.ID.OID, minute)
	if r.State != "failed" || r.Problem == nil || r.Problem.Code != "interrupted" {
		t.Errorf("want failed with \"interrupted\":\n%s", h.Tree(t, r, ""))
	}
	if began() != 1 {
		t.Errorf("the command was begun %d times without being asked for again", began())
	}
	h.Open(t)
	if u, err := h.API.Execute(h.Context(minute), "DeployStack", wire.Params{"stack": "hooked"}); err != nil || !u.Success {
		t.Errorf("the next deploy: %+v, %v", u, err)
	}
	if n := len(h.Containers(world.Nexus, "hooked")); n != 1 || began() != 2 {
		t.Errorf("%d containers and %d commands, want 1 and 2", n, began())
	}
}

// quick checks that a run did not wait for what nobody has to wait for.
func quick(t *testing.T, h *homelab.Homelab, r wire.Run) {
	t.Helper()
	if took := time.Duration(r.Ended-r.Queued) * time.Millisecond; took > patience {
		t.Errorf("the run took %s, want %s at most:\n%s", took, patience, h.Tree(t, r, ""))
	}
}

// strike pushes a change of two stacks, one of which waits behind the gate.
func strike(t *testing.T, h *homelab.Homelab, n int) *crash {
	t.Helper()
	h.Shut(t)
	c := &crash{Homelab: h, since: time.Now()}
	text := strings.Replace(compose(t, h, "homeassistant"), `command: ["-say", "`, fmt.Sprintf(`command: ["-say", "%d `, n), 1)
	_, v := h.Push(t, "on-push", map[string]string{
		"homeassistant/docker-compose.yml": text, "dashy/conf.yml": fmt.Sprintf("title: %d\n", n),
	}, fmt.Sprintf("Change %d", n))
	c.run = v.Run
	return c
}

// further waits until something more has been recorded of the push, or nothing
// more will be before the gate opens.
func (c *crash) further(t *testing.T) {
	t.Helper()
	before := c.events(t)
	c.World.Until(minute, "the push goes further", func() bool { return c.events(t) >= before+3 || c.health(t) == "starting" })
}

// events counts what is recorded of the push and of what it started.
func (c *crash) events(t *testing.T) int {
	t.Helper()
	r, err := c.API.AwaitRun(c.Context(minute), c.run, func(wire.Run) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	n := r.Events
	for _, child := range c.Children(t, c.run) {
		n += child.Events
	}
	return n
}

// between reports whether the procedure's run has done its first stage and not
// begun its last one.
func between(r wire.Run) bool {
	return len(r.Stages) == 3 && r.Stages[0].Ended != 0 && r.Stages[1].Started != 0 && r.Stages[2].Started == 0
}

// working waits until homeassistant's new container is there and waits for its
// health check.
func (c *crash) working(t *testing.T) {
	t.Helper()
	c.World.Until(minute, "homeassistant has a new container that is starting", func() bool {
		return len(c.Created(world.Nexus, "homeassistant", c.since)) > 0 && c.health(t) == "starting"
	})
}

func (c *crash) health(t *testing.T) string {
	t.Helper()
	list, err := c.Servers[world.Nexus].Engine.Containers(t.Context(), "homeassistant")
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range list {
		if in.Service == "homeassistant" {
			return in.Health
		}
	}
	return ""
}

// check holds how a push ends that was struck: well, with everything done once.
func (c *crash) check(t *testing.T, pushes, attempts int) {
	t.Helper()
	r := c.Ended(t, c.run, minute)
	tree := c.Tree(t, r, "")
	quick(t, c.Homelab, r)
	if r.State != "succeeded" {
		t.Fatalf("the run did not end well:\n%s", tree)
	}
	list, err := c.API.Runs(t.Context(), wire.Params{"action": "RunProcedure", "limit": 1000})
	if err != nil || len(list) != pushes {
		t.Errorf("there are %d runs of the procedure (%v), want one for each of %d pushes", len(list), err, pushes)
	}
	children := c.Children(t, r.ID)
	if want := append(slices.Sorted(maps.Keys(homelab.Stacks())), "homelab-docker"); len(children) != len(want) {
		t.Errorf("children are %v, want %v", slices.Sorted(maps.Keys(children)), want)
	}
	for name, child := range children {
		most := 1
		if homelab.Stacks()[name] == world.Nexus {
			most = attempts
		}
		oneAfterAnother(t, child, most)
		if child.State != "succeeded" {
			t.Errorf("a child did not end well:\n%s", c.Tree(t, child, ""))
		}
	}
	for stack, server := range homelab.Stacks() {
		var want []string
		if stack == "homeassistant" || stack == "dashy" {
			want = []string{stack}
		}
		if diff := cmp.Diff(want, c.Created(server, stack, c.since)); diff != "" {
			t.Errorf("containers that were made for %s (-want +got):\n%s\n%s", stack, diff, tree)
		}
	}
	if n := len(c.Snapshot(t)); n != 8 {
		t.Errorf("there are %d containers, want 8", n)
	}
}

// oneAfterAnother checks that a stack's deploys of one run did not overlap, and
// that there were not more than told.
func oneAfterAnother(t *testing.T, r wire.Run, most int) {
	t.Helper()
	n, last := 0, int64(0)
	for _, s := range r.Steps {
		if s.Ended == 0 || s.Ended < s.Started {
			t.Errorf("#%d %s: step %q has not ended well: %+v", r.Number, r.Target.Name, s.Name, s)
		}
		if !strings.HasPrefix(s.Name, "deploy") {
			continue
		}
		n++
		if s.Started < last {
			t.Errorf("#%d %s: %q began before the attempt before it had ended", r.Number, r.Target.Name, s.Name)
		}
		last = s.Ended
	}
	if n > most {
		t.Errorf("#%d %s was deployed %d times, want %d at most", r.Number, r.Target.Name, n, most)
	}
}
