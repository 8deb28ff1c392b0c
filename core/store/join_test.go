package store_test

import (
	"context"
	"testing"
	"time"

	"berth/bus"
	"berth/bus/bustest"
	"berth/bus/hub"
	"berth/core/store"
)

// TestJoinAndRevoke is a server's life as core wires it: token, enrolment, a
// restart of core, revocation.
func TestJoinAndRevoke(t *testing.T) {
	o := hub.Options{Dir: t.TempDir(), Log: bustest.Log(t), LameDuck: -1}
	start := func() (*hub.Hub, *store.Principals) {
		h, err := hub.Start(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(h.Close)
		p, err := store.OpenPrincipals(t.Context(), h.Conn(), store.Options{Log: o.Log})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.OnRevoked(h.Kick))
		if err := h.Open(p); err != nil {
			t.Fatal(err)
		}
		return h, p
	}
	h, p := start()
	tok := bus.NewJoinToken(server, h.PublicKey(), nil)
	if err := p.NewToken(t.Context(), tok, "lxc-113", "admin"); err != nil {
		t.Fatal(err)
	}
	opts := bus.Options{URL: h.URL(), Agent: tok.Server, Token: tok.Secret, Seed: bustest.Seed(t), Log: o.Log}
	dial := func() (*bus.Conn, chan error, chan error) {
		lost, refused := make(chan error, 100), make(chan error, 100)
		opts.OnDisconnect = func(err error) { lost <- err }
		opts.OnRefused = func(err error) { refused <- err }
		c, err := bus.Dial(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := c.Wait(ctx); err != nil {
			t.Fatal(err)
		}
		return c, lost, refused
	}
	c, _, _ := dial()
	c.Close()
	h.Close()

	h, p = start()
	opts.URL = h.URL()
	_, lost, refused := dial() // the key is known; the used token does no harm
	if err := p.RevokeID(t.Context(), hub.KindAgent, server, "deleted"); err != nil {
		t.Fatal(err)
	}
	for what, ch := range map[string]chan error{"disconnected": lost, "refused": refused} {
		select {
		case err := <-ch:
			t.Log(what, err)
		case <-time.After(10 * time.Second):
			t.Errorf("not %s within 10 s", what)
		}
	}
	bustest.Eventually(t, 20*time.Second, "offline", func() bool { return !h.Online(server) })
}
