package store_test

import (
	"slices"
	"testing"
	"time"

	"berth/bus/bustest"
	"berth/bus/hub"
	"berth/core/store"
	"berth/schema"
)

func TestAnAgentChangesItsKey(t *testing.T) {
	b := bustest.New(t)
	p, err := store.OpenPrincipals(t.Context(), b.Core, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	kicked := make(chan string, 10)
	defer p.OnRevoked(func(nkey string) { kicked <- nkey })()
	key := func() string { return bustest.Public(t, bustest.Seed(t)) }
	first, second, foreign := key(), key(), key()
	for nkey, id := range map[string]string{first: "a1", foreign: "a2"} {
		if err := p.Add(t.Context(), hub.Principal{NKey: nkey, Kind: hub.KindAgent, ID: id, Name: "name of " + id}); err != nil {
			t.Fatal(err)
		}
	}
	code := func(err error, want schema.Code) {
		t.Helper()
		if schema.CodeOf(err) != want {
			t.Errorf("%v, want code %q", err, want)
		}
	}
	code(p.AddKey(t.Context(), "a1", "nonsense"), schema.Invalid)
	code(p.AddKey(t.Context(), "a1", foreign), schema.Denied)
	code(p.AddKey(t.Context(), "nobody", key()), schema.Denied)
	code(p.AddKey(t.Context(), "a1", second), "")
	code(p.AddKey(t.Context(), "a1", second), "")
	for _, nkey := range []string{first, second} { // both are let in meanwhile
		if pr, ok := p.Lookup(nkey); !ok || pr.ID != "a1" || pr.Name != "name of a1" || pr.Revoked {
			t.Errorf("%+v, %v", pr, ok)
		}
	}
	code(p.AddKey(t.Context(), "a1", key()), "")
	code(p.AddKey(t.Context(), "a1", key()), schema.TooMany)
	code(p.KeepKey(t.Context(), "a1", foreign), schema.Denied)
	code(p.KeepKey(t.Context(), "a1", second), "")
	code(p.KeepKey(t.Context(), "a1", second), "")
	if _, ok := p.Lookup(first); ok {
		t.Error("the old key is still let in")
	}
	if _, ok := p.Lookup(foreign); !ok {
		t.Error("another agent's key is gone")
	}
	var gone []string
	for range 2 {
		select {
		case k := <-kicked:
			gone = append(gone, k)
		case <-time.After(5 * time.Second):
			t.Fatal("nobody was told")
		}
	}
	if !slices.Contains(gone, first) || slices.Contains(gone, second) {
		t.Errorf("kicked %v", gone)
	}
}
