package periphery_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"berth/bus"
	"berth/bus/bustest"
	"berth/bus/hub"
	"berth/periphery"
	"berth/schema"
)

const (
	serverID = "0123456789abcdef01234567"
	runID    = "abcdefabcdefabcdefabcdef"
)

// core plays core's side of the bus: it asks for nothing that is not real, and
// remembers what it was asked and told.
type core struct {
	t    testing.TB
	opts hub.Options
	bus  *bustest.Bus
	seed []byte

	mu       sync.Mutex // guards what follows
	vars     map[string]schema.VariableValue
	git      []schema.AccountToken
	registry []schema.AccountToken
	asked    []schema.SecretsReq
	left     time.Duration            // a command may take
	keep     bool                     // answered commands stay in the queue, as if core had not taken notice
	ended    map[string]string        // command → why it is not wanted any more
	leases   map[string]string        // key → command
	begun    map[string]int           // command → how often
	results  map[string]schema.Result // by command
	told     map[string]int           // command → results
	statuses []schema.AgentStatus
	seen     []seen // statuses that it was made to see
}

// seen is a status and how many results had come before it.
type seen struct {
	schema.AgentStatus
	results int
}

func newCore(t testing.TB) *core {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	c := &core{
		t: t, seed: bustest.Seed(t), opts: hub.Options{Dir: t.TempDir(), Sync: time.Minute, Port: port, Log: slog.New(slog.DiscardHandler)}, left: time.Minute,
		vars: map[string]schema.VariableValue{}, ended: map[string]string{}, leases: map[string]string{}, begun: map[string]int{},
		results: map[string]schema.Result{}, told: map[string]int{},
	}
	c.bus = bustest.Open(t, c.opts)
	c.serve()
	return c
}

// down ends core; up starts it again.
func (c *core) down() { c.bus.Hub.Close() }

func (c *core) up() {
	c.t.Helper()
	c.bus = bustest.Reopen(c.t, c.opts, c.bus.Registry)
	c.serve()
}

func (c *core) serve() {
	c.t.Helper()
	conn := c.bus.Core
	check := func(err error) {
		c.t.Helper()
		if err != nil {
			c.t.Fatal(err)
		}
	}
	check(bus.ServeHello(conn, func() []byte { return c.seed }, "test", func(context.Context, string) (schema.Target, error) {
		return schema.Target{Kind: "server", ID: serverID, Name: "here"}, nil
	}))
	check(bus.Serve(conn, schema.AskPending, func(ctx context.Context, agent string, _ struct{}) (schema.PendingResp, error) {
		list, err := conn.Pending(ctx, agent)
		return schema.PendingResp{Commands: list}, err
	}))
	check(bus.Serve(conn, schema.AskBegin, c.begin))
	check(bus.Serve(conn, schema.AskRenew, func(_ context.Context, _ string, req schema.BeginReq) (schema.BeginResp, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if why, over := c.ended[req.Command]; over {
			return schema.BeginResp{Verdict: schema.VerdictCanceled, Reason: why}, nil
		}
		return schema.BeginResp{Verdict: schema.VerdictGo, Fence: req.Fence}, nil
	}))
	check(bus.Serve(conn, schema.AskSecrets, c.secrets))
	check(bus.Serve(conn, schema.AskSee, func(_ context.Context, _ string, st schema.AgentStatus) (struct{}, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.seen = append(c.seen, seen{st, len(c.results)})
		return struct{}{}, nil
	}))
	check(conn.OnStatus(func(_ string, st schema.AgentStatus) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.statuses = append(c.statuses, st)
	}))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = conn.Results(ctx, c.result) }()
	c.t.Cleanup(func() { cancel(); <-done })
}

func (c *core) begin(ctx context.Context, agent string, req schema.BeginReq) (schema.BeginResp, error) {
	list, err := c.bus.Core.Pending(ctx, agent)
	if err != nil {
		return schema.BeginResp{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if why, over := c.ended[req.Command]; over {
		return schema.BeginResp{Verdict: schema.VerdictGone, Reason: why}, nil
	}
	for _, cmd := range list {
		if cmd.ID != req.Command {
			continue
		}
		if holder := c.leases[cmd.Key]; cmd.Key != "" && holder != "" && holder != cmd.ID {
			return schema.BeginResp{Verdict: schema.VerdictHeld, Reason: "other work on it goes on"}, nil
		}
		if cmd.Key != "" {
			c.leases[cmd.Key] = cmd.ID
		}
		c.begun[cmd.ID]++
		return schema.BeginResp{Verdict: schema.VerdictGo, Fence: 7, Left: c.left.Milliseconds(), TTL: 30_000}, nil
	}
	return schema.BeginResp{Verdict: schema.VerdictGone}, nil
}

func (c *core) secrets(_ context.Context, _ string, req schema.SecretsReq) (schema.SecretsResp, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, req)
	if c.begun[req.Command] == 0 {
		return schema.SecretsResp{}, schema.Errorf(schema.Denied, "not begun")
	}
	resp := schema.SecretsResp{Variables: map[string]schema.VariableValue{}}
	for _, name := range req.Variables {
		if v, ok := c.vars[name]; ok {
			resp.Variables[name] = v
		}
	}
	pick := func(have []schema.AccountToken, want []schema.AccountRef) (out []schema.AccountToken) {
		for _, t := range have {
			if slices.Contains(want, t.AccountRef) {
				out = append(out, t)
			}
		}
		return out
	}
	resp.Git, resp.Registry = pick(c.git, req.Git), pick(c.registry, req.Registry)
	return resp, nil
}

func (c *core) result(ctx context.Context, agent string, res schema.Result) error {
	c.mu.Lock()
	if _, twice := c.results[res.Command]; !twice {
		c.results[res.Command] = res
	}
	c.told[res.Command]++
	for key, holder := range c.leases {
		if holder == res.Command {
			delete(c.leases, key)
		}
	}
	keep := c.keep
	c.mu.Unlock()
	if keep {
		return nil
	}
	return c.bus.Core.Dequeue(ctx, agent, res.Command)
}

// queue puts a command where the agent finds it.
func (c *core) queue(id, key, verb string, args any) {
	c.t.Helper()
	c.queueRun(id, runID, key, verb, args)
}

// queueRun does so for a run of its own.
func (c *core) queueRun(id, run, key, verb string, args any) {
	c.t.Helper()
	data, err := json.Marshal(args)
	if err != nil {
		c.t.Fatal(err)
	}
	cmd := schema.Command{ID: id, Run: run, Step: "step", Verb: verb, Key: key, Args: data, Queued: time.Now().UnixMilli(), Timeout: c.left.Milliseconds()}
	if err := c.bus.Core.Enqueue(c.t.Context(), serverID, cmd, time.Hour); err != nil {
		c.t.Fatal(err)
	}
	c.nudge()
}

func (c *core) nudge() {
	c.t.Helper()
	if err := c.bus.Core.Notify(c.t.Context(), serverID, bus.NoticeNudge, struct{}{}); err != nil {
		c.t.Fatal(err)
	}
}

func (c *core) cancel(id string) {
	c.t.Helper()
	c.mu.Lock()
	c.ended[id] = "canceled by ada"
	c.mu.Unlock()
	if err := c.bus.Core.Notify(c.t.Context(), serverID, bus.NoticeCancel, schema.BeginReq{Command: id}); err != nil {
		c.t.Fatal(err)
	}
}

// wait returns the result of a command.
func (c *core) wait(id string) schema.Result {
	c.t.Helper()
	var res schema.Result
	bustest.Eventually(c.t, 60*time.Second, "result of "+id, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		var ok bool
		res, ok = c.results[id]
		return ok
	})
	return res
}

// times returns how often a command was begun and its result told.
func (c *core) times(id string) (begun, told int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.begun[id], c.told[id]
}

// set changes what core knows or does.
func (c *core) set(f func(c *core)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(c)
}

// output returns the entries of a command, after checking that no index is
// missing or comes with other contents.
func (c *core) output(id string) []schema.Entry {
	c.t.Helper()
	var out []schema.Entry
	end := false
	err := c.bus.Core.Output(c.t.Context(), runID, id, 0, func(_ uint64, agent string, chunk schema.Output) error {
		if chunk.First != len(out) || agent != serverID || chunk.Step != "step" {
			c.t.Errorf("chunk begins at %d, have %d entries; agent %s, step %q", chunk.First, len(out), agent, chunk.Step)
		}
		out, end = append(out, chunk.Entries...), end || chunk.End
		return nil
	})
	if err != nil {
		c.t.Fatal(err)
	}
	if !end {
		c.t.Errorf("output of %s has no end", id)
	}
	return out
}

// text is the output of a command as one text.
func (c *core) text(id string) string {
	var b strings.Builder
	for _, e := range c.output(id) {
		b.WriteString(string(e.Kind) + " " + e.Phase + " " + string(e.State) + " " + e.ID + " " + e.Text + "\n")
	}
	return b.String()
}

// agent is one agent of the test: it can be stopped and started on its folder.
type agent struct {
	c    *core
	cfg  periphery.Config
	stop func()
}

// newAgent joins an agent and starts it.
func (c *core) newAgent() *agent {
	c.t.Helper()
	token := bus.NewJoinToken(serverID, bustest.Public(c.t, c.seed), nil)
	c.bus.Registry.AddToken(token.Hash(), serverID)
	keys := filepath.Join(c.t.TempDir(), "age.key")
	a := &agent{c: c, cfg: periphery.Config{
		Core: c.bus.Hub.URL(), Token: token.String(), Data: c.t.TempDir(), AgeKeys: []string{keys}, Version: "test",
		Log: slog.New(slog.NewTextHandler(c.t.Output(), &slog.HandlerOptions{Level: slog.LevelError})),
	}}
	c.t.Cleanup(func() { a.end() })
	a.start()
	return a
}

func (a *agent) start() {
	a.c.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan struct{})
	cfg := a.cfg
	cfg.Ready = func() { close(ready) }
	done := make(chan error, 1)
	go func() { done <- periphery.Run(ctx, cfg) }()
	a.stop = func() {
		cancel()
		if err := <-done; err != nil {
			a.c.t.Errorf("agent: %v", err)
		}
	}
	select {
	case <-ready:
	case err := <-done:
		a.stop = nil
		cancel()
		a.c.t.Fatalf("start agent: %v", err)
	case <-time.After(20 * time.Second):
		cancel()
		a.c.t.Fatal("the agent is not ready after 20 s")
	}
}

// end stops the agent as a signal would.
func (a *agent) end() {
	if a.stop != nil {
		a.stop()
		a.stop = nil
	}
}

func (a *agent) path(elem ...string) string {
	return filepath.Join(append([]string{a.cfg.Data}, elem...)...)
}

// useKey gives the host the age key of the sops fixtures.
func (a *agent) useKey() {
	a.c.t.Helper()
	a.copy("secrets/testdata/age-key.txt", a.cfg.AgeKeys[0])
	if err := os.Chmod(a.cfg.AgeKeys[0], 0o600); err != nil {
		a.c.t.Fatal(err)
	}
}

func (a *agent) copy(from, to string) {
	a.c.t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		a.c.t.Fatal(err)
	}
	write(a.c.t, to, string(data))
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(data)
}
