package bus_test

import (
	"context"
	"testing"
	"time"

	"berth/bus"
	"berth/bus/bustest"
	"berth/bus/hub"
	"berth/schema"
)

func TestALineLogsInWithAnotherKey(t *testing.T) {
	b := bustest.New(t)
	o := b.AgentOptions(t, "a1")
	c := b.Dial(t, o)
	if err := bus.Answer(c, schema.Ping, func(context.Context, struct{}) (schema.AgentStatus, error) {
		return schema.AgentStatus{Version: "here"}, nil
	}); err != nil {
		t.Fatal(err)
	}
	wait := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		return c.Wait(ctx)
	}
	next := bustest.Seed(t)
	b.Registry.Add(hub.Principal{NKey: bustest.Public(t, next), Kind: hub.KindAgent, ID: "a1"})
	if err := c.Rekey(next); err != nil {
		t.Fatal(err)
	}
	if err := wait(); err != nil || c.Key() != bustest.Public(t, next) {
		t.Fatalf("%v, key %s", err, c.Key())
	}
	b.Registry.Revoke(bustest.Public(t, o.Seed)) // the one before is not needed any more
	b.Hub.Kick(bustest.Public(t, o.Seed))
	st, err := bus.Ask(t.Context(), b.Core, "a1", schema.Ping, struct{}{})
	if err != nil || st.Version != "here" {
		t.Errorf("it does not answer any more: %v", err)
	}
	// A key that is not known is refused, and given up for one that is.
	if err := c.Rekey(bustest.Seed(t)); err != nil {
		t.Fatal(err)
	}
	if err := c.UseKey(next); err != nil {
		t.Fatal(err)
	}
	if err := wait(); err != nil || c.Key() != bustest.Public(t, next) {
		t.Errorf("%v, key %s", err, c.Key())
	}
}
