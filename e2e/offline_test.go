package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth/e2e/homelab"
	"berth/e2e/wire"
	"berth/e2e/world"
)

// TestOffline pushes while an agent is away: after its return there is one deploy,
// of the newest commit, and the history says what became of the others.
func TestOffline(t *testing.T) {
	h := homelab.New(t, world.New(t))
	h.Apply(h.TOML(t, homelab.Settings{Procedure: "on-push"}))
	h.Open(t)
	_, v := h.Push(t, "on-push", map[string]string{"README.md": "# Home\n"}, "Begin")
	if r := h.Ended(t, v.Run, minute); r.State != "succeeded" {
		t.Fatalf("the first push does not end well:\n%s", h.Tree(t, r, ""))
	}
	for _, part := range []struct {
		name string
		do   func(*testing.T, *homelab.Homelab)
	}{
		{"three pushes", offlineThree},
		{"core restarts meanwhile", offlineRestart},
		{"a line that goes dead", offlineCut},
	} {
		t.Run(part.name, func(t *testing.T) { h.Use(t); part.do(t, h) })
	}
}

// channel is dispatcharr's compose file with a text of its own.
func channel(t *testing.T, h *homelab.Homelab, text string) map[string]string {
	t.Helper()
	lines := strings.Split(compose(t, h, "dispatcharr"), "\n")
	for i, l := range lines {
		if strings.Contains(l, "APP_TEXT:") {
			lines[i] = "      APP_TEXT: " + text
		}
	}
	return map[string]string{"dispatcharr/docker-compose.yml": strings.Join(lines, "\n")}
}

// awaits waits until the child of a push that deploys dispatcharr waits for its
// server, and returns it.
func awaits(t *testing.T, h *homelab.Homelab, push string) wire.Run {
	t.Helper()
	var child wire.Run
	h.Until(t, push, minute, "waits for lxc-113", func(r wire.Run) bool {
		list, err := h.API.Runs(t.Context(), wire.Params{"parent": r.ID, "kind": "stack", "target": "dispatcharr"})
		if err != nil || len(list) == 0 {
			return false
		}
		child = list[0]
		return len(child.Steps) > 0 && child.Steps[0].State == "waiting" || child.Terminal()
	})
	return child
}

// superseded checks a run that a newer one took the place of.
func superseded(t *testing.T, h *homelab.Homelab, id string, by wire.Run) {
	t.Helper()
	r := h.Ended(t, id, minute)
	if want := fmt.Sprintf("superseded by run #%d", by.Number); r.State != "superseded" || !strings.Contains(r.Why(), want) {
		t.Errorf("the run is %s (%s), want %s:\n%s", r.State, r.Why(), want, h.Tree(t, r, ""))
	}
	for _, c := range h.Children(t, id) {
		if !c.Terminal() {
			t.Errorf("its child has not ended:\n%s", h.Tree(t, c, ""))
		}
		if c.Target.Name == "dispatcharr" && c.State != "superseded" {
			t.Errorf("dispatcharr's deploy is %s, want superseded:\n%s", c.State, h.Tree(t, c, ""))
		}
	}
}

// deployedOnce checks that dispatcharr was deployed once since a time, as the
// newest push has it.
func deployedOnce(t *testing.T, h *homelab.Homelab, push, commit string, since time.Time) {
	t.Helper()
	r := h.Ended(t, push, minute)
	c := h.Children(t, push)["dispatcharr"]
	quick(t, h, r)
	if r.State != "succeeded" || c.State != "succeeded" || c.Commit != commit {
		t.Errorf("the newest push ended otherwise (commit %s, want %s):\n%s", c.Commit, commit, h.Tree(t, r, ""))
	}
	if diff := cmp.Diff([]string{"dispatcharr"}, h.Created(world.LXC, "dispatcharr", since)); diff != "" {
		t.Errorf("containers that were made (-want +got):\n%s", diff)
	}
	list, err := h.API.Runs(t.Context(), wire.Params{"pending": true})
	if err != nil || len(list) != 0 {
		t.Errorf("runs that have not ended: %+v (%v)", list, err)
	}
}

func offlineThree(t *testing.T, h *homelab.Homelab) {
	since := time.Now()
	h.Servers[world.LXC].Agent.Kill()
	h.AwaitServer(world.LXC, "NotOk")
	var pushes, commits []string
	for i := range 3 {
		commit, v := h.Push(t, "on-push", channel(t, h, fmt.Sprintf("offline %d", i)), fmt.Sprintf("Push %d", i))
		pushes, commits = append(pushes, v.Run), append(commits, commit)
		c := awaits(t, h, v.Run)
		if note := c.Steps[0].Note; !strings.HasPrefix(note, "waiting for server lxc-113 since 2") {
			t.Errorf("push %d waits with %q", i, note)
		}
	}
	newest, err := h.API.Run(t.Context(), pushes[2])
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range pushes[:2] {
		r := h.Ended(t, id, minute)
		if r.State != "superseded" || !strings.Contains(r.Why(), "superseded by run #") {
			t.Errorf("an older push is %s (%s), want superseded:\n%s", r.State, r.Why(), h.Tree(t, r, ""))
		}
	}
	superseded(t, h, pushes[1], newest)
	if len(h.Created(world.LXC, "dispatcharr", since)) != 0 {
		t.Error("something was deployed while the agent was away")
	}
	h.RestartAgent(world.LXC)
	deployedOnce(t, h, pushes[2], commits[2], since)
}

// offlineRestart kills core while runs wait: they wait on.
func offlineRestart(t *testing.T, h *homelab.Homelab) {
	since := time.Now()
	h.Servers[world.LXC].Agent.Kill()
	h.AwaitServer(world.LXC, "NotOk")
	_, first := h.Push(t, "on-push", channel(t, h, "before the restart"), "Before")
	awaits(t, h, first.Run)
	h.Core.Kill()
	h.RestartCore()
	awaits(t, h, first.Run)
	commit, second := h.Push(t, "on-push", channel(t, h, "after the restart"), "After")
	newest, err := h.API.AwaitRun(h.Context(minute), second.Run, func(wire.Run) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	superseded(t, h, first.Run, newest)
	h.RestartAgent(world.LXC)
	deployedOnce(t, h, second.Run, commit, since)
}

// offlineCut pulls the cable: neither end is told, and what is sent meanwhile is
// lost or late.
func offlineCut(t *testing.T, h *homelab.Homelab) {
	since := time.Now()
	h.Home.Cut(t)
	_, first := h.Push(t, "on-push", channel(t, h, "cut"), "Cut")
	h.Until(t, first.Run, minute, "has done all but dispatcharr", func(r wire.Run) bool {
		ended := 0
		for _, s := range r.Steps {
			if s.Stage == "Deploy" && s.Ended != 0 {
				ended++
			}
		}
		return ended == 4
	})
	commit, second := h.Push(t, "on-push", channel(t, h, "cut again"), "Cut again")
	newest, err := h.API.AwaitRun(h.Context(minute), second.Run, func(wire.Run) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	superseded(t, h, first.Run, newest)
	h.Home.Plug(t)
	deployedOnce(t, h, second.Run, commit, since)
}
