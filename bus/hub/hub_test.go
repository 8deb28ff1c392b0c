package hub_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"berth/bus"
	"berth/bus/bustest"
	"berth/bus/hub"
	"berth/schema"
)

const (
	agentA = "aaaaaaaaaaaaaaaaaaaaaaaa"
	agentB = "bbbbbbbbbbbbbbbbbbbbbbbb"
)

// denied collects permission violations of a connection.
type denied struct {
	mu   sync.Mutex
	seen []string
}

func (d *denied) attach(nc *nats.Conn) {
	nc.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.seen = append(d.seen, err.Error())
	})
}

func (d *denied) has(subject string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.seen {
		if strings.Contains(s, `"`+subject+`"`) {
			return true
		}
	}
	return false
}

func TestAgentIsDeniedWhatIsNotItsOwn(t *testing.T) {
	b := bustest.New(t)
	b.Agent(t, agentB)
	nc := b.Agent(t, agentA).NATS()
	var d denied
	d.attach(nc)
	for _, s := range []string{
		">", "_INBOX.>", "_INBOX.core.>", "_INBOX." + agentB + ".>", "agent.>", "agent.*.cmd.>", "agent." + agentB + ".cmd.>",
		"agent." + agentB + ".evt.>", "agent." + agentA + ".evt.>", "agent." + agentB + ".res.>", "agent." + agentB + ".out.>", "agent.*.ask.>", "run.>", "cmdq.>",
		"$SYS.>", "$KV.>", "$JS.>", "$SRV.>", "berth.api.>", "core.api.>", "$SYS.REQ.USER.AUTH",
	} {
		t.Run("sub "+s, func(t *testing.T) {
			if _, err := nc.SubscribeSync(s); err != nil {
				t.Fatal(err)
			}
			bustest.Eventually(t, 20*time.Second, "the subscription is refused", func() bool { return d.has(s) })
		})
	}
	for _, s := range []string{
		"agent." + agentB + ".evt.status", "agent." + agentB + ".res.c1", "agent." + agentB + ".out.r.c", "agent." + agentB + ".ask.pending", "agent." + agentB + ".cmd.nudge",
		"agent." + agentA + ".cmd.nudge", "fleet.cmd.ping", "_INBOX.core.x.y", "_INBOX." + agentB + ".x", "run.r1", "cmdq." + agentA + ".c1", "$KV.AGENTS.x", "$KV.LEASE.x",
		"$JS.API.INFO", "$JS.API.STREAM.LIST", "$JS.API.STREAM.INFO.RUNS", "$JS.API.STREAM.DELETE.RUNS", "$JS.API.STREAM.PURGE.CMDQ", "$JS.API.DIRECT.GET.CMDQ",
		"$JS.API.CONSUMER.MSG.NEXT.RES.engine", "$JS.API.CONSUMER.CREATE.RUNS", "$JS.ACK.RES.engine.1.1.1.1.0", "$JS.FC.x",
		"$SYS.REQ.USER.AUTH", "$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER." + b.Hub.Conn().NATS().ConnectedServerId() + ".KICK", "$SRV.PING", "berth.api.read.GetVersion", "berth.api.execute.x", "core.api.read.GetVersion",
	} {
		t.Run("pub "+s, func(t *testing.T) {
			if err := nc.Publish(s, []byte("x")); err != nil {
				t.Fatal(err)
			}
			bustest.Eventually(t, 20*time.Second, "the publish is refused", func() bool { return d.has(s) })
		})
	}
}

func TestOperatorRoles(t *testing.T) {
	b := bustest.New(t)
	if _, err := b.Core.Append(t.Context(), "r1", 0, schema.Event{V: 1, N: 1, Type: schema.RunQueued}); err != nil {
		t.Fatal(err)
	}
	read, exec := b.Operator(t, "alice", hub.RoleRead), b.Operator(t, "bob", hub.RoleExec)
	if events, _, err := read.History(t.Context(), "r1"); err != nil || len(events) != 1 {
		t.Errorf("an operator reads runs: %v, %v", events, err)
	}
	tests := map[*bus.Conn][]string{
		read: {"berth.api.execute.x", "berth.api.write.x", "core.api.read.x", "agent." + agentA + ".cmd.nudge", "run.r1", "$JS.API.STREAM.DELETE.RUNS", "$JS.API.DIRECT.GET.KV_TOKENS.x", "$KV.AGENTS.x"},
		exec: {"berth.api.write.x", "core.api.execute.x", "agent." + agentA + ".cmd.nudge", "$JS.API.STREAM.MSG.GET.KV_VARIABLES", "$JS.API.CONSUMER.CREATE.KV_AGENTS"},
	}
	for c, subjects := range tests {
		var d denied
		d.attach(c.NATS())
		for _, s := range subjects {
			if err := c.NATS().Publish(s, nil); err != nil {
				t.Fatal(err)
			}
			bustest.Eventually(t, 20*time.Second, s+" is refused", func() bool { return d.has(s) })
		}
	}
	if err := exec.NATS().Publish("berth.api.execute.x", nil); err != nil {
		t.Error(err)
	}
}

// TestOperatorFindsAgents does what `nats micro ls` does.
func TestOperatorFindsAgents(t *testing.T) {
	b := bustest.New(t)
	a := b.Agent(t, agentA)
	err := bus.Answer(a, schema.Ping, func(context.Context, struct{}) (schema.AgentStatus, error) { return schema.AgentStatus{}, nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := a.NATS().Flush(); err != nil {
		t.Fatal(err)
	}
	op := b.Operator(t, "alice", hub.RoleRead).NATS()
	for _, subject := range []string{"$SRV.PING", "$SRV.INFO.periphery", "$SRV.STATS.periphery"} {
		m, err := op.Request(subject, nil, 5*time.Second)
		if err != nil || !strings.Contains(string(m.Data), agentA) {
			t.Errorf("%s: %v", subject, err)
		}
	}
}

func TestServeRefusesForeignReplyAddress(t *testing.T) {
	b := bustest.New(t)
	asked := make(chan string, 10)
	err := bus.Serve(b.Core, schema.AskPending, func(_ context.Context, agent string, _ struct{}) (schema.PendingResp, error) {
		asked <- agent
		return schema.PendingResp{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	victim, err := b.Agent(t, agentB).NATS().SubscribeSync("agent." + agentB + ".cmd.>")
	if err != nil {
		t.Fatal(err)
	}
	a := b.Agent(t, agentA)
	for _, reply := range []string{"agent." + agentB + ".cmd.cancel", "run.r1", "_INBOX." + agentB + ".x", "_INBOX.core.x"} {
		if err := a.NATS().PublishRequest("agent."+agentA+".ask.pending", reply, []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := bus.Request(t.Context(), a, schema.AskPending, struct{}{}); err != nil {
		t.Fatal(err)
	}
	if got := <-asked; got != agentA || len(asked) != 0 {
		t.Errorf("a question with a foreign reply address was answered")
	}
	if n, _, _ := victim.Pending(); n != 0 {
		t.Errorf("%d messages reached the other agent", n)
	}
}

// refusal dials and waits for core's refusal.
func refusal(t *testing.T, o bus.Options) {
	t.Helper()
	refused := make(chan error, 10)
	o.OnRefused = func(err error) {
		select {
		case refused <- err:
		default:
		}
	}
	c, err := bus.Dial(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	select {
	case err := <-refused:
		t.Log(err)
	case <-time.After(10 * time.Second):
		t.Error("not refused within 10 s")
	}
	if c.Connected() {
		t.Error("connected")
	}
}

func TestTokensAndKeys(t *testing.T) {
	b := bustest.New(t)
	b.Registry.AddToken(bus.TokenHash("secret"), agentA)
	o := bus.Options{URL: b.Hub.URL(), Agent: agentA, Seed: bustest.Seed(t), Token: "secret"}
	b.Dial(t, o)
	b.Dial(t, o) // the key is known now: the token does not matter
	t.Run("used token", func(t *testing.T) {
		refusal(t, bus.Options{URL: b.Hub.URL(), Agent: agentA, Seed: bustest.Seed(t), Token: "secret"})
	})
	t.Run("unknown key", func(t *testing.T) { refusal(t, bus.Options{URL: b.Hub.URL(), Agent: agentA, Seed: bustest.Seed(t)}) })
	t.Run("revoked key with a fresh token", func(t *testing.T) {
		b.Registry.Revoke(bustest.Public(t, o.Seed))
		b.Registry.AddToken(bus.TokenHash("fresh"), agentA)
		o := o
		o.Token = "fresh"
		refusal(t, o)
	})
	t.Run("stolen public key", func(t *testing.T) {
		opts := b.AgentOptions(t, agentB)
		_, err := nats.Connect(b.Hub.URL(), nats.Nkey(bustest.Public(t, opts.Seed), func([]byte) ([]byte, error) { return make([]byte, 64), nil }))
		if !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("wrong signature: %v", err)
		}
	})
	t.Run("no key", func(t *testing.T) {
		if _, err := nats.Connect(b.Hub.URL(), nats.Token("fresh")); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("token alone: %v", err)
		}
	})
}

func TestKickAndPresence(t *testing.T) {
	b := bustest.New(t)
	presence := make(chan string, 100)
	b.Hub.OnPresence(func(id string, online bool) {
		_ = b.Hub.Online(id) // asking from the callback is allowed
		presence <- fmt.Sprintf("%.1s %v", id, online)
	})
	want := func(s string) {
		t.Helper()
		select {
		case got := <-presence:
			if got != s {
				t.Errorf("presence %q, want %q", got, s)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("no presence, want %q", s)
		}
	}
	o := b.AgentOptions(t, agentA)
	lost := make(chan struct{}, 10)
	o.OnDisconnect = func(error) { lost <- struct{}{} }
	b.Dial(t, o)
	want("a true")
	second := b.Dial(t, o)
	second.Close() // one connection is left: still online
	key := bustest.Public(t, o.Seed)
	b.Registry.Revoke(key)
	began := time.Now()
	b.Hub.Kick(key)
	<-lost
	if d := time.Since(began); d > time.Second {
		t.Errorf("kicked after %s", d)
	}
	want("a false")
	b.Agent(t, agentB)
	want("b true")
	if b.Hub.Online(agentA) || !b.Hub.Online(agentB) {
		t.Error("online is wrong")
	}
	if len(presence) != 0 {
		t.Errorf("unexpected presence: %s", <-presence)
	}
}
