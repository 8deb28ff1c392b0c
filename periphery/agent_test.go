package periphery_test

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"berth/bus"
	"berth/bus/bustest"
	"berth/periphery"
	"berth/periphery/docker/dockertest"
	"berth/schema"
)

// refuses starts an agent that must end by itself.
func refuses(t *testing.T, cfg periphery.Config, code schema.Code, words ...string) {
	t.Helper()
	cfg.Log = slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := periphery.Run(ctx, cfg)
	if schema.CodeOf(err) != code {
		t.Errorf("%s, want %s: %v", schema.CodeOf(err), code, err)
	}
	for _, w := range words {
		if !strings.Contains(schema.SafeText(err), w) {
			t.Errorf("%q is not in %q", w, schema.SafeText(err))
		}
	}
}

func TestJoin(t *testing.T) {
	c := newCore(t)
	core := bustest.Public(t, c.seed)
	refuses(t, periphery.Config{Data: t.TempDir(), Core: c.bus.Hub.URL()}, schema.Invalid, "server join-token")
	token := bus.NewJoinToken(serverID, core, nil)
	refuses(t, periphery.Config{Data: t.TempDir(), Token: token.String()}, schema.Invalid, "--core")
	refuses(t, periphery.Config{Data: t.TempDir(), Core: c.bus.Hub.URL(), Token: token.String()}, schema.Denied, "token was used, has expired")
	refuses(t, periphery.Config{Data: t.TempDir(), Core: "http://core.example:9120", Token: token.String()}, schema.Invalid, "plaintext")

	other := bus.NewJoinToken(serverID, bustest.Public(t, bustest.Seed(t)), nil)
	c.bus.Registry.AddToken(other.Hash(), serverID)
	refuses(t, periphery.Config{Data: t.TempDir(), Core: c.bus.Hub.URL(), Token: other.String()}, schema.Denied, "it is not the core")

	a := c.newAgent()
	refuses(t, a.cfg, schema.Conflict, "another agent uses this data folder")
	if !periphery.Joined(a.cfg.Data) {
		t.Error("not joined")
	}
	a.end()
	a.start() // with the token that was used: it is known by its key
	a.end()
	before := read(t, a.path("key.nk"))
	fresh := bus.NewJoinToken(serverID, core, nil)
	a.cfg.Token = fresh.String()
	refuses(t, a.cfg, schema.Denied, "token was used, has expired") // not known to core: nothing is lost by it
	if read(t, a.path("key.nk")) != before {
		t.Error("a refused token cost the agent its key")
	}
	c.bus.Registry.AddToken(fresh.Hash(), serverID)
	a.start()
	a.end()
	if read(t, a.path("key.nk")) == before {
		t.Error("joined anew with the old key")
	}
	a.start() // the same token again is the one it joined with
	a.end()
	a.cfg.Token, a.cfg.Core = "", ""
	a.start()
	a.end()
	if info, err := os.Stat(a.path("key.nk")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	write(t, a.path("core.json"), "{")
	refuses(t, a.cfg, schema.Invalid, "core.json is damaged")
}

func TestStatus(t *testing.T) {
	s := newStack(t)
	s.onHost(map[string]string{"compose.yaml": "services: { web: { image: 'berthtest/app:1' } }\n"})
	last := func(want func(schema.AgentStatus) bool) func() bool {
		return func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(s.statuses) > 0 && want(s.statuses[len(s.statuses)-1])
		}
	}
	mine := func(st schema.AgentStatus) bool {
		return slices.ContainsFunc(st.Containers, func(c schema.Container) bool {
			return c.Project == s.req.Name && c.Stack == s.req.ID && c.State == "running"
		})
	}
	s.up()
	bustest.Eventually(t, 20*time.Second, "a status with the new container", last(mine))
	dockertest.Wipe(t, s.engine, s.req.Name)
	bustest.Eventually(t, 20*time.Second, "a status without it", last(func(st schema.AgentStatus) bool { return !mine(st) }))
	st, err := bus.Ask(t.Context(), s.bus.Core, serverID, schema.Ping, struct{}{})
	if err != nil || st.Version != "test" || st.Engine.Version == "" || st.Arch == "" || st.Started == 0 || len(st.Recipients) != 1 { // it made itself an age identity
		t.Errorf("%+v, %v", st, err)
	}
	own := st.Recipients
	s.a.useKey()
	if st, err = bus.Ask(t.Context(), s.bus.Core, serverID, schema.Ping, struct{}{}); err != nil || len(st.Recipients) != 1 || st.Recipients[0] == own[0] {
		t.Errorf("%+v, %v", st.Recipients, err)
	}
	s.a.end()
	s.a.cfg.Engine = "unix:///nonexistent.sock"
	s.a.start()
	bustest.Eventually(t, 20*time.Second, "a status without an engine", last(func(st schema.AgentStatus) bool { return strings.Contains(st.Engine.Error, "does not answer") }))
}

func TestStackLog(t *testing.T) {
	s := newStack(t)
	s.onHost(map[string]string{"compose.yaml": "services: { web: { image: 'berthtest/app:1', command: [ -say, 'one\\ntwo' ] }, db: { image: 'berthtest/app:1', command: [ -say, 'three' ] } }\n"})
	s.up()
	s.log("web")
	s.log("db")
	ask := func(req schema.StackLogReq) schema.StackLogResp {
		t.Helper()
		req.Project = s.req.Name
		resp, err := bus.Ask(t.Context(), s.bus.Core, serverID, schema.StackLog, req)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	all := ask(schema.StackLogReq{}).Stdout
	for _, want := range []string{"-web-1 | one\n", "-web-1 | two\n", "-db-1 | three\n"} {
		if !strings.Contains(all, s.req.Name+want) {
			t.Errorf("%q is not in %q", want, all)
		}
	}
	if got := ask(schema.StackLogReq{Services: []string{"web"}, Tail: 2}).Stdout; strings.Contains(got, "three") || strings.Count(got, "\n") != 2 {
		t.Errorf("%q", got)
	}
	_, err := bus.Ask(t.Context(), s.bus.Core, serverID, schema.StackLog, schema.StackLogReq{Project: "none-such"})
	if schema.CodeOf(err) != schema.NotFound {
		t.Error(err)
	}
}
