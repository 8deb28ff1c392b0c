package hub_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"berth/bus"
	"berth/bus/bustest"
	"berth/bus/hub"
	"berth/schema"
)

// slow is a registry that takes its time and counts who is in it.
type slow struct {
	*bustest.Registry
	mu       sync.Mutex
	now, max int
}

func (s *slow) Lookup(nkey string) (hub.Principal, bool) {
	s.mu.Lock()
	s.now++
	s.max = max(s.max, s.now)
	s.mu.Unlock()
	<-time.After(20 * time.Millisecond)
	s.mu.Lock()
	s.now--
	s.mu.Unlock()
	return s.Registry.Lookup(nkey)
}

func TestOnlySoManyLoginsAtATime(t *testing.T) {
	h, err := hub.Start(t.Context(), hub.Options{Dir: t.TempDir(), Sync: time.Minute, Log: bustest.Log(t), LameDuck: -1, MaxLogins: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	reg := &slow{Registry: bustest.NewRegistry()}
	if err := h.Open(reg); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h.Handler())
	defer srv.Close()
	b := &bustest.Bus{Hub: h, Core: h.Conn(), Registry: reg.Registry}
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			o := b.AgentOptions(t, fmt.Sprintf("%024x", i))
			o.URL = srv.URL
			b.Dial(t, o)
		})
	}
	wg.Wait()
	reg.mu.Lock()
	defer reg.mu.Unlock()
	if reg.max != 2 {
		t.Errorf("%d logins at a time, want 2", reg.max)
	}
}

func TestAgentInCoresOwnProcess(t *testing.T) {
	b := bustest.New(t)
	o := b.AgentOptions(t, agentA)
	o.URL, o.InProcess = "", b.Hub.InProcess()
	c := b.Dial(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := c.Enqueue(ctx, agentA, schema.Command{ID: "c1"}, 0); err == nil {
		t.Error("an agent in core's process has core's rights")
	}
}

func TestJoinToken(t *testing.T) {
	tok := bus.NewJoinToken(agentA, bustest.Public(t, bustest.Seed(t)), []string{"pin"})
	got, err := bus.ParseJoinToken(" " + tok.String() + "\n")
	if err != nil || got.Secret != tok.Secret || got.Core != tok.Core || got.Server != agentA || got.Pin[0] != "pin" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, s := range []string{"", "berth_join_", "berth_join_%%", tok.String()[:40], "x" + tok.String()} {
		if _, err := bus.ParseJoinToken(s); err == nil {
			t.Errorf("%q was taken", s)
		}
	}
}
