package periphery_test

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"berth/bus"
	"berth/bus/bustest"
	"berth/bus/hub"
	"berth/schema"
)

// keys plays core's part in changes of keys, over the registry of the test's bus.
type keys struct {
	c     *core
	added chan string // a key was let in; take it to go on
	stuck bool        // core dies before it hears that the key is to be kept

	mu   sync.Mutex // guards what follows
	kept string
	deny bool
}

func (k *keys) serve() {
	k.c.t.Helper()
	err := bus.Serve(k.c.bus.Core, schema.AskKeyAdd, func(ctx context.Context, agent string, req schema.KeyReq) (struct{}, error) {
		k.mu.Lock()
		deny := k.deny
		k.mu.Unlock()
		if deny {
			return struct{}{}, schema.Errorf(schema.Denied, "no more keys today")
		}
		k.c.bus.Registry.Add(hub.Principal{NKey: req.NKey, Kind: hub.KindAgent, ID: agent})
		if k.added != nil {
			select {
			case k.added <- req.NKey:
			case <-ctx.Done():
			}
		}
		return struct{}{}, nil
	})
	if err == nil {
		err = bus.Serve(k.c.bus.Core, schema.AskKeyKeep, func(_ context.Context, _ string, req schema.KeyReq) (struct{}, error) {
			k.mu.Lock()
			defer k.mu.Unlock()
			if k.stuck {
				return struct{}{}, schema.Errorf(schema.Unavailable, "core is away")
			}
			k.kept = req.NKey
			return struct{}{}, nil
		})
	}
	if err != nil {
		k.c.t.Fatal(err)
	}
}

func (k *keys) keptIs(want string) {
	k.c.t.Helper()
	bustest.Eventually(k.c.t, 30*time.Second, "core was told to keep "+want, func() bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.kept == want
	})
}

func (a *agent) public() string {
	a.c.t.Helper()
	seed, err := bus.LoadSeed(a.path("key.nk"))
	if err != nil {
		a.c.t.Fatal(err)
	}
	return bustest.Public(a.c.t, seed)
}

func (c *core) resultOf(id string) schema.Result {
	c.t.Helper()
	var res schema.Result
	bustest.Eventually(c.t, 30*time.Second, "an answer to "+id, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		var there bool
		res, there = c.results[id]
		return there
	})
	return res
}

func absent(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Stat(path); err == nil {
		t.Errorf("%s is still there", path)
	}
}

func TestAnAgentChangesItsKey(t *testing.T) {
	c := newCore(t)
	k := &keys{c: c}
	k.serve()
	a := c.newAgent()
	first := a.public()
	k.keptIs(first)

	c.queue(runID+"-1", "", schema.KeyRotate.Name, schema.KeyRotateReq{})
	if res := c.resultOf(runID + "-1"); res.Problem != nil {
		t.Fatal(res.Problem)
	}
	second := a.public()
	if second == first {
		t.Fatal("the key is the same")
	}
	k.keptIs(second)
	c.bus.Registry.Revoke(first)
	c.bus.Hub.Kick(first)
	if _, err := bus.Ask(t.Context(), c.bus.Core, serverID, schema.Ping, struct{}{}); err != nil {
		t.Errorf("it does not answer on its new key: %v", err)
	}
	absent(t, a.path("key.next.nk"))

	k.mu.Lock()
	k.deny = true
	k.mu.Unlock()
	c.queue(runID+"-2", "", schema.KeyRotate.Name, schema.KeyRotateReq{})
	if res := c.resultOf(runID + "-2"); res.Problem == nil || res.Problem.Code != schema.Denied {
		t.Errorf("%+v", res.Problem)
	}
	if a.public() != second {
		t.Error("a key that core did not let in is used")
	}
	absent(t, a.path("key.next.nk"))
	a.end()
	a.cfg.Token = ""
	a.start()
	a.end()
}

// An agent that is killed after core has let the new key in goes on with the old.
func TestAnAgentKilledBeforeItsNewKeyIsKept(t *testing.T) {
	c := newCore(t)
	k := &keys{c: c, added: make(chan string)}
	k.serve()
	a := c.newAgent()
	first := a.public()
	c.queue(runID+"-1", "", schema.KeyRotate.Name, schema.KeyRotateReq{})
	bustest.Eventually(t, 20*time.Second, "a next key", func() bool { _, err := os.Stat(a.path("key.next.nk")); return err == nil })
	a.end() // core has the key and has not answered
	if a.public() != first {
		t.Fatal("the key was changed before core had answered")
	}
	a.cfg.Token = ""
	a.start()
	k.keptIs(first)
	a.end()
}

// An agent that is killed after it has made the new key its own, before core has
// forgotten the old, goes on with the new.
func TestAnAgentKilledBeforeItsOldKeyIsForgotten(t *testing.T) {
	c := newCore(t)
	k := &keys{c: c}
	k.serve()
	a := c.newAgent()
	first := a.public()
	k.keptIs(first)
	k.mu.Lock()
	k.stuck = true
	k.mu.Unlock()
	c.queue(runID+"-1", "", schema.KeyRotate.Name, schema.KeyRotateReq{})
	c.resultOf(runID + "-1")
	second := a.public()
	if second == first {
		t.Fatal("the key is the same")
	}
	a.end()
	k.mu.Lock()
	k.stuck = false
	k.mu.Unlock()
	a.cfg.Token = ""
	a.start()
	k.keptIs(second)
	a.end()
}

// A core that was restored from a backup knows a key that the agent has changed
// twice since: it comes in with that, and has the newest one let in.
func TestARestoredCoreKnowsOnlyAnOldKey(t *testing.T) {
	c := newCore(t)
	k := &keys{c: c}
	k.serve()
	a := c.newAgent()
	first := a.public()
	c.queue(runID+"-1", "", schema.KeyRotate.Name, schema.KeyRotateReq{})
	if res := c.resultOf(runID + "-1"); res.Problem != nil {
		t.Fatal(res.Problem)
	}
	middle := a.public()
	k.keptIs(middle)
	c.queue(runID+"-2", "", schema.KeyRotate.Name, schema.KeyRotateReq{})
	if res := c.resultOf(runID + "-2"); res.Problem != nil {
		t.Fatal(res.Problem)
	}
	second := a.public()
	k.keptIs(second)
	restart := func(known string, while func()) {
		t.Helper()
		c.down()
		while()
		c.bus.Registry = bustest.NewRegistry()
		c.bus.Registry.Add(hub.Principal{NKey: known, Kind: hub.KindAgent, ID: serverID})
		k.mu.Lock()
		k.kept = ""
		k.mu.Unlock()
		c.up()
		k.serve()
	}
	restart(first, func() {}) // while the agent runs
	k.keptIs(second)
	if _, ok := c.bus.Registry.Lookup(second); !ok || a.public() != second {
		t.Error("the newer key was not let in again")
	}
	a.cfg.Token = ""
	restart(middle, a.end) // and when it starts
	a.start()
	k.keptIs(second)
	a.end()
}
