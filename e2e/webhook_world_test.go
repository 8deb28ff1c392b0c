package e2e

import (
	"fmt"
	"testing"

	"berth/e2e/forge"
	"berth/e2e/homelab"
	"berth/e2e/wire"
	"berth/git/gittest"
)

// hookWorld is one stack with its own repository, and the doors to it.
type hookWorld struct {
	*homelab.Homelab
	repo *gittest.FixtureRepo
	head string
}

// push commits version n of the stack.
func (h *hookWorld) push(n int) string {
	h.head = h.repo.Commit(map[string]string{
		"compose.yaml": fmt.Sprintf("services:\n  app:\n    image: berth-e2e/app:1\n    environment: {APP_TEXT: version %d}\n", n),
	}, fmt.Sprintf("version %d", n))
	return h.head
}

// delivery is what a forge sends for the newest commit.
func (h *hookWorld) delivery(t *testing.T, f forge.Forge, p forge.Push) forge.Delivery {
	t.Helper()
	p.Owner, p.Repo, p.URL = "harbour", "web", h.Git.URL()
	if p.After == "" {
		p.After = h.head
	}
	d, err := f.Push(p)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// logged is a delivery as the log shows it.
type logged struct {
	ID, Verdict, Reason, Forge, Event, Run, Action, Again string
	Target                                                wire.RunTarget
	Cause                                                 wire.Cause
}

func (h *hookWorld) log(t *testing.T) map[string]logged {
	t.Helper()
	var list []logged
	if err := h.API.Call(t.Context(), "read", "ListDeliveries", wire.Params{"limit": 1000}, &list); err != nil {
		t.Fatal(err)
	}
	out := map[string]logged{}
	for _, d := range list {
		out[d.ID] = d
	}
	return out
}

func (h *hookWorld) runs(t *testing.T, p wire.Params) []wire.Run {
	t.Helper()
	p["limit"] = 1000
	list, err := h.API.Runs(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// idle waits until no run goes on.
func (h *hookWorld) idle(t *testing.T) {
	t.Helper()
	h.World.Until(minute, "all runs have ended", func() bool { return len(h.runs(t, wire.Params{"pending": true})) == 0 })
}
