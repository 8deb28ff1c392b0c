package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"berth/bus"
	"berth/e2e/homelab"
	"berth/e2e/program"
	"berth/e2e/wire"
	"berth/e2e/world"
	"berth/periphery/docker/dockertest"
	"berth/periphery/docker/dockertest/rig"
	"berth/schema"
)

// vault is a third server, whose key falls into wrong hands.
const vault = "vault"

// busWorld is a stage on which somebody has an agent's key.
type busWorld struct {
	*homelab.Homelab
	id    map[string]string // of servers, by name
	token string            // with which vault joined
	dirs  [2]string         // data folders for vault's agents
}

// TestKeys holds who may do what on the bus of a running core.
func TestKeys(t *testing.T) {
	w := world.New(t, world.Options{Servers: []string{world.Nexus}})
	h := &busWorld{Homelab: &homelab.Homelab{World: w}, id: map[string]string{}, dirs: [2]string{t.TempDir(), t.TempDir()}}
	dockertest.BuildImage(t, w.Servers[world.Nexus].Engine, "berth-e2e/app", "1", rig.Behaviour{})
	for _, part := range []struct {
		name string
		do   func(*testing.T, *busWorld)
	}{
		{"join", keysJoin},
		{"a used token", keysUsedToken},
		{"an agent's key", keysOtherSubjects},
		{"an agent's word on another's work", keysForgery},
		{"revoked", keysRevoked},
		{"operators", keysOperators},
	} {
		if !t.Run(part.name, func(t *testing.T) { h.Use(t); part.do(t, h) }) && part.name == "join" {
			return
		}
	}
}

// keysJoin lets a server in by the one line, with a clock.
func keysJoin(t *testing.T, h *busWorld) {
	h.Servers[vault] = &world.Server{Name: vault, Engine: h.Servers[world.Nexus].Engine, Data: h.dirs[0]}
	began := time.Now()
	h.Join(vault)
	took := time.Since(began)
	t.Logf("from asking for a token to online: %s", took.Round(time.Millisecond))
	if took > 10*time.Second {
		t.Errorf("it took %s to be online, want less than 10 s", took)
	}
	for i, arg := range h.Servers[vault].Agent.Args {
		if arg == "--token" {
			h.token = h.Servers[vault].Agent.Args[i+1]
		}
	}
	var list []struct{ ID, Name string }
	if err := h.API.Call(t.Context(), "read", "ListServers", nil, &list); err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		h.id[s.Name] = s.ID
	}
	if h.id[vault] == "" || h.id[world.Nexus] == "" || h.token == "" {
		t.Fatalf("servers are %v", h.id)
	}
}

// keysUsedToken tries to join with tokens that are no good.
func keysUsedToken(t *testing.T, h *busWorld) {
	other, err := h.CLI("server", "join-token", "spare")
	if err != nil {
		t.Fatal(err)
	}
	spare := other[strings.Index(other, "berth_join_"):]
	spare = strings.TrimSpace(spare)
	for _, c := range []struct {
		name, token, text string
		code              int
	}{
		{"used", h.token, "the token was used", 3},
		{"cut off", h.token[:len(h.token)-9], "damaged", 2},
		{"no token", "hunter2", "must begin with berth_join_", 2},
		{"another secret", forged(t, spare), "the token was used, has expired, or is not of this core", 3},
	} {
		p := program.Start(t, program.Options{Name: c.name, Args: []string{
			"periphery", "--core", "https://" + strings.TrimPrefix(h.URL, "http://"), "--token", c.token, "--data", t.TempDir(),
		}})
		select {
		case <-p.Ended():
		case <-time.After(20 * time.Second):
			t.Errorf("%s: the agent goes on trying", c.name)
		}
		if code := p.Stop(t); code != c.code || !strings.Contains(p.Output(), c.text) {
			t.Errorf("%s: exit code %d, want %d with …%s…:\n%s", c.name, code, c.code, c.text, p.Output())
		}
	}
	h.AwaitServer(vault, "Ok")
}

// forged is a join token for the same server with another secret.
func forged(t *testing.T, token string) string {
	t.Helper()
	tok, err := bus.ParseJoinToken(token)
	if err != nil {
		t.Fatal(err)
	}
	tok.Secret = "guessed-guessed-guessed-guessed-"
	return tok.String()
}

// thief is a connection with vault's key.
type thief struct {
	*bus.Conn

	mu   sync.Mutex
	errs []string
}

// steal connects with the key of vault's agent, as whichever agent.
func (h *busWorld) steal(t *testing.T, as string) *thief {
	t.Helper()
	dir := filepath.Join(h.Servers[vault].Data, "periphery")
	seed, err := bus.LoadSeed(filepath.Join(dir, "key.nk"))
	if err != nil {
		t.Fatal(err)
	}
	var joined struct {
		Core string
		Pin  []string
	}
	if err := json.Unmarshal(must(os.ReadFile(filepath.Join(dir, "core.json"))), &joined); err != nil {
		t.Fatal(err)
	}
	th := &thief{}
	th.Conn, err = bus.Dial(t.Context(), bus.Options{URL: joined.Core, Pin: joined.Pin, Seed: seed, Agent: as, OnRefused: th.note})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(th.Close)
	th.NATS().SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { th.note(err) })
	return th
}

func (th *thief) note(err error) {
	th.mu.Lock()
	defer th.mu.Unlock()
	th.errs = append(th.errs, err.Error())
}

func (th *thief) heard(text string) bool {
	th.mu.Lock()
	defer th.mu.Unlock()
	for _, e := range th.errs {
		if strings.Contains(e, text) {
			return true
		}
	}
	return false
}

// keysOtherSubjects uses an agent's key for what is not its own.
func keysOtherSubjects(t *testing.T, h *busWorld) {
	th := h.steal(t, h.id[vault])
	if err := th.Wait(h.Context(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	nexus := h.id[world.Nexus]
	for _, s := range []string{"agent." + nexus + ".cmd.>", "agent.*.out.>", "_INBOX." + nexus + ".>", "_INBOX.core.>", "run.>", "cmdq.>", "$KV.>", ">"} {
		if _, err := th.NATS().SubscribeSync(s); err != nil {
			t.Fatal(err)
		}
		h.World.Until(20*time.Second, "subscribing to "+s+" is refused", func() bool { return th.heard(`"` + s + `"`) })
	}
	for _, s := range []string{
		"agent." + nexus + ".res.c1", "agent." + nexus + ".out.r1.c1", "agent." + nexus + ".evt.status", "agent." + nexus + ".ask.secrets",
		"agent." + nexus + ".cmd.nudge", "cmdq." + nexus + ".c1", "run.r1", "$KV.RESOURCES.x", "$JS.API.STREAM.DELETE.RUNS", "$JS.API.DIRECT.GET.KV_RESOURCES",
	} {
		if err := th.NATS().Publish(s, []byte("{}")); err != nil {
			t.Fatal(err)
		}
		h.World.Until(20*time.Second, "publishing to "+s+" is refused", func() bool { return th.heard(`"` + s + `"`) })
	}
	// Under another's name, with its own key: the inbox alone gives it away.
	as := h.steal(t, nexus)
	ctx := h.Context(2 * time.Second)
	if resp, err := bus.Request(ctx, as.Conn, schema.AskPending, struct{}{}); err == nil {
		t.Errorf("vault's key may ask as nexus: %+v", resp)
	}
	if log := h.Core.Output(); !strings.Contains(log, "FLEET/agent:"+h.id[vault]) || !strings.Contains(log, "Publish Violation") {
		t.Error("core's log does not name who tried")
	}
}

// keysForgery reports on, asks about and writes into work of another server.
func keysForgery(t *testing.T, h *busWorld) {
	gate := filepath.Join(t.TempDir(), "gate")
	h.Apply(fmt.Sprintf(`
[[variable]]
name = "PRIZE"
is_secret = true
value = "not for vault"
[[stack]]
name = "slow"
[stack.config]
server = "nexus"
auto_pull = false
environment = "PRIZE=[[PRIZE]]"
file_contents = "services: {app: {image: 'berth-e2e/app:1', environment: ['PRIZE=${PRIZE}']}}"
pre_deploy = { shell_mode = true, command = "echo begun; until [ -e %s ]; do sleep 0.1; done" }
`, gate))
	var u wire.Update
	if err := h.API.Call(t.Context(), "execute", "DeployStack", wire.Params{"stack": "slow"}, &u); err != nil {
		t.Fatal(err)
	}
	r := h.Until(t, u.ID.OID, minute, "works on the server", func(r wire.Run) bool {
		return len(r.Steps) == 1 && r.Steps[0].Started != 0
	})
	cmd := r.Steps[0].Command
	th := h.steal(t, h.id[vault])
	if err := th.Wait(h.Context(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	ctx := h.Context(20 * time.Second)
	if resp, err := bus.Request(ctx, th.Conn, schema.AskSecrets, schema.SecretsReq{Command: cmd, Variables: []string{"PRIZE"}}); err == nil || len(resp.Variables) > 0 {
		t.Errorf("vault was told %+v (%v)", resp, err)
	}
	if resp, err := bus.Request(ctx, th.Conn, schema.AskBegin, schema.BeginReq{Command: cmd}); err == nil && resp.Verdict == schema.VerdictGo {
		t.Errorf("vault may begin nexus's command: %+v", resp)
	}
	if resp, err := bus.Request(ctx, th.Conn, schema.AskRenew, schema.BeginReq{Command: cmd, Fence: 1 << 40}); err == nil && resp.Verdict == schema.VerdictGo {
		t.Errorf("vault may renew nexus's lease: %+v", resp)
	}
	if err := th.Report(ctx, cmd, schema.Result{Command: cmd, Run: r.ID, Step: r.Steps[0].Name, Value: json.RawMessage(`{"decision":{"what":"deploy","reason":"forged"}}`)}); err != nil {
		t.Error(err)
	}
	err := th.Emit(ctx, schema.Output{Run: r.ID, Step: r.Steps[0].Name, Command: cmd, Entries: []schema.Entry{{Kind: schema.EntryLine, At: 1, Text: "forged line"}}})
	if err == nil {
		err = th.Flush(ctx)
	}
	if err != nil {
		t.Error(err)
	}
	var out struct{ Chunks []json.RawMessage }
	h.World.Until(20*time.Second, "the hook's line is in the output", func() bool {
		if err := h.API.Call(t.Context(), "read", "GetRunOutput", wire.Params{"id": r.ID}, &out); err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(must(json.Marshal(out))), "begun")
	})
	if r, err := h.API.Run(t.Context(), r.ID); err != nil || r.Terminal() {
		t.Errorf("vault's word ended nexus's work: %s: %s (%v)", r.State, r.Why(), err)
	}
	writeFile(t, gate, "")
	r = h.Ended(t, r.ID, minute)
	if r.State != "succeeded" || r.Decision == nil || strings.Contains(r.Decision.Reason, "forged") {
		t.Errorf("the run is %s, its decision %+v: %s", r.State, r.Decision, r.Why())
	}
	if err := h.API.Call(t.Context(), "read", "GetRunOutput", wire.Params{"id": r.ID, "limit": 5000}, &out); err != nil || strings.Contains(string(must(json.Marshal(out))), "forged line") {
		t.Errorf("vault's line is in the output of nexus's run (%v)", err)
	}
}

// keysRevoked shuts a key out, at once and for good; the machine may join again.
func keysRevoked(t *testing.T, h *busWorld) {
	agent := h.Servers[vault].Agent
	th := h.steal(t, h.id[vault])
	if err := th.Wait(h.Context(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if out, err := h.CLI("server", "revoke", vault, "--yes"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	h.World.Until(20*time.Second, "both connections of the key are ended", func() bool {
		return !th.Connected() && strings.Contains(agent.Output(), "lost the bus")
	})
	t.Logf("from the command's start to both disconnected: %s", time.Since(began).Round(time.Millisecond))
	h.AwaitServer(vault, "NotOk")
	agent.Await(t, "revoked", 20*time.Second)
	if th.Connected() {
		t.Error("the key is back in")
	}
	// Its key stays out. A new token lets the same machine in, with a new key.
	line, err := h.CLI("server", "join-token", vault)
	if err != nil {
		t.Fatal(err)
	}
	agent.Stop(t)
	token := strings.TrimSpace(line[strings.Index(line, "berth_join_"):])
	again := agent.Options
	again.Args = append([]string{}, again.Args...)
	for i := range again.Args {
		if again.Args[i] == "--token" {
			again.Args[i+1] = token
		}
	}
	p := program.Start(t, again)
	h.AwaitServer(vault, "Ok")
	if th.Connected() {
		t.Error("the revoked key came in with its successor")
	}
	// The token stays in the unit's command line: it is not taken for a new one.
	p.Kill()
	p = program.Start(t, again)
	p.Await(t, "joined", 20*time.Second)
	p.Stop(t)
}

// keysOperators lets people look with the stock client, and no more.
func keysOperators(t *testing.T, h *busWorld) {
	for _, role := range []string{"read", "exec"} {
		dir := t.TempDir()
		if out, err := h.CLI("operator", "create", "ada-"+role, "--role", role, "--out", dir); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		var file struct {
			URL, NKey   string
			InboxPrefix string `json:"inbox_prefix"`
		}
		if err := json.Unmarshal(must(os.ReadFile(filepath.Join(dir, "berth-ada-"+role+".json"))), &file); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var errs []string
		sign, err := nats.NkeyOptionFromSeed(file.NKey)
		if err != nil {
			t.Fatal(err)
		}
		nc, err := nats.Connect(file.URL, sign, nats.CustomInboxPrefix(file.InboxPrefix), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err.Error())
		}))
		if err != nil {
			t.Fatalf("connect by the context file %+v: %v", file, err)
		}
		js := must(jetstream.New(nc))
		runs, err := js.Stream(t.Context(), "RUNS")
		if err != nil {
			t.Fatalf("an operator reads runs: %v", err)
		}
		if m, err := runs.GetMsg(t.Context(), runs.CachedInfo().State.LastSeq); err != nil || !strings.HasPrefix(m.Subject, "run.") {
			t.Errorf("%s: read the newest event: %v", role, err)
		}
		refused := []string{
			"agent." + h.id[world.Nexus] + ".cmd.nudge", "agent." + h.id[world.Nexus] + ".res.c1", "fleet.cmd.ping", "cmdq." + h.id[world.Nexus] + ".c1", "run.r1",
			"$KV.RESOURCES.x", "$JS.API.STREAM.DELETE.RUNS", "$JS.API.STREAM.PURGE.CMDQ", "$JS.API.DIRECT.GET.KV_RESOURCES", "$JS.API.STREAM.MSG.GET.KV_USERS", "core.api.execute.x", "berth.api.write.x",
		}
		own := "berth.api.execute.DeployStack"
		if role == "read" {
			refused = append(refused, own)
		} else if err := nc.Publish(own, nil); err != nil {
			t.Error(err)
		}
		for _, s := range refused {
			if err := nc.Publish(s, []byte("{}")); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
				t.Fatal(err)
			}
			h.World.Until(20*time.Second, role+": publishing to "+s+" is refused", func() bool {
				mu.Lock()
				defer mu.Unlock()
				return strings.Contains(strings.Join(errs, "\n"), `"`+s+`"`)
			})
		}
		mu.Lock()
		if strings.Contains(strings.Join(errs, "\n"), own) != (role == "read") {
			t.Errorf("%s: of its own exec subject: %v", role, errs)
		}
		mu.Unlock()
		nc.Close()
	}
}
