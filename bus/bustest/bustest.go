// Package bustest is a live bus for a test: the real hub on a temporary folder,
// with a registry in memory. Everything ends with the test.
package bustest

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"berth/bus"
	"berth/bus/hub"
	"berth/schema"
)

// Bus is a running hub.
type Bus struct {
	Hub      *hub.Hub
	Core     *bus.Conn
	Registry *Registry
}

// New starts a hub on a temporary folder and opens its doors. Its writes are not
// synced, which makes it quick; Open syncs unless told otherwise.
func New(t testing.TB) *Bus {
	t.Helper()
	return Open(t, hub.Options{Dir: t.TempDir(), Sync: time.Minute})
}

// Open starts a hub with the given options, which must name a folder. Unset, Log
// goes to the test's output and LameDuck is off.
func Open(t testing.TB, o hub.Options) *Bus {
	t.Helper()
	return Reopen(t, o, NewRegistry())
}

// Reopen is Open with the registry of an earlier hub: core after a restart.
func Reopen(t testing.TB, o hub.Options, reg *Registry) *Bus {
	t.Helper()
	if o.Log == nil {
		o.Log = Log(t)
	}
	if o.LameDuck == 0 {
		o.LameDuck = -1
	}
	h, err := hub.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	if err := h.Open(reg); err != nil {
		t.Fatal(err)
	}
	return &Bus{Hub: h, Core: h.Conn(), Registry: reg}
}

// Agent connects an agent with a fresh, enrolled key.
func (b *Bus) Agent(t testing.TB, id string) *bus.Conn {
	t.Helper()
	return b.Dial(t, b.AgentOptions(t, id))
}

// AgentOptions enrols a fresh key for an agent and returns how it connects.
func (b *Bus) AgentOptions(t testing.TB, id string) bus.Options {
	t.Helper()
	seed := Seed(t)
	b.Registry.Add(hub.Principal{NKey: Public(t, seed), Kind: hub.KindAgent, ID: id})
	return bus.Options{URL: b.Hub.URL(), Agent: id, Seed: seed, Name: id, Log: Log(t)}
}

// Operator connects an operator, as the stock CLI would.
func (b *Bus) Operator(t testing.TB, id string, role hub.Role) *bus.Conn {
	t.Helper()
	seed := Seed(t)
	b.Registry.Add(hub.Principal{NKey: Public(t, seed), Kind: hub.KindOperator, ID: id, Role: role})
	return b.Dial(t, bus.Options{URL: b.Hub.URL(), Inbox: bus.Inbox(id), Seed: seed, Name: id, Log: Log(t)})
}

// Dial connects and waits until the connection stands.
func (b *Bus) Dial(t testing.TB, o bus.Options) *bus.Conn {
	t.Helper()
	c, err := bus.Dial(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := c.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	return c
}

// Seed makes an nkey.
func Seed(t testing.TB) []byte {
	t.Helper()
	seed, err := bus.NewSeed()
	if err != nil {
		t.Fatal(err)
	}
	return seed
}

// Public returns the public half of a seed.
func Public(t testing.TB, seed []byte) string {
	t.Helper()
	pub, err := bus.PublicKey(seed)
	if err != nil {
		t.Fatal(err)
	}
	return pub
}

// Log writes warnings and errors into the test's output.
func Log(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// Eventually waits until cond holds, at most for d.
func Eventually(t testing.TB, d time.Duration, what string, cond func() bool) {
	t.Helper()
	deadline := time.NewTimer(d)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-deadline.C:
			t.Fatalf("not within %s: %s", d, what)
		case <-tick.C:
		}
	}
}

// Registry is a hub.Registry in memory. Safe for concurrent use.
type Registry struct {
	mu         sync.Mutex
	principals map[string]hub.Principal
	tokens     map[string]string // hash → agent id
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry {
	return &Registry{principals: map[string]hub.Principal{}, tokens: map[string]string{}}
}

// Add sets a principal.
func (r *Registry) Add(p hub.Principal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.principals[p.NKey] = p
}

// Revoke revokes a key.
func (r *Registry) Revoke(nkey string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.principals[nkey]
	p.Revoked = true
	r.principals[nkey] = p
}

// AddToken lets an agent in once.
func (r *Registry) AddToken(hash, agent string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tokens[hash] = agent
}

// Lookup implements hub.Registry.
func (r *Registry) Lookup(nkey string) (hub.Principal, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, ok := r.principals[nkey]
	return p, ok
}

// Redeem implements hub.Registry.
func (r *Registry) Redeem(_ context.Context, hash, nkey string) (hub.Principal, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id, ok := r.tokens[hash]
	if !ok {
		return hub.Principal{}, schema.Errorf(schema.Denied, "unknown token")
	}
	delete(r.tokens, hash)
	p := hub.Principal{NKey: nkey, Kind: hub.KindAgent, ID: id}
	r.principals[nkey] = p
	return p, nil
}
