// Package world sets the stage of an end-to-end test: core and two agents as
// processes of the real binary, each agent with a Docker engine of its own, one of
// them behind NAT where core cannot reach it, a git server and an image registry.
//
//	nexus   an agent on the machine, its engine in a namespace
//	lxc-113 an agent behind NAT, its engine in another namespace
//
// A World belongs to one test; its methods end the test when the stage breaks.
// Subtests share it: each calls Use first.
package world

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth/e2e/forge"
	"berth/e2e/nat"
	"berth/e2e/program"
	"berth/e2e/registry"
	"berth/e2e/wire"
	"berth/git/gittest"
	"berth/periphery/docker/dockertest"
	"berth/periphery/docker/dockertest/rig"
)

// The two servers.
const (
	Nexus = "nexus"
	LXC   = "lxc-113"
)

// The first administrator.
const (
	Admin    = "admin"
	Password = "an-admin's-password"
)

// plaintext is the flag with which core and agents accept HTTP beyond loopback: the
// world's network is the test's alone.
const plaintext = "--allow-plaintext"

// World is the stage.
type World struct {
	root  testing.TB // what was started lives as long as it
	t     testing.TB // which a broken stage ends: root, or the subtest of Use
	opts  Options
	netns string // of core

	URL      string // of core, as every part reaches it
	Data     string // core's data folder
	Core     *program.Process
	API      *wire.Client
	Home     *nat.Home
	Servers  map[string]*Server
	Git      *gittest.Fixture
	Registry *registry.Registry
}

// Server is one of the servers.
type Server struct {
	Name   string
	Engine *rig.Engine
	Netns  string // of the agent; empty is the machine's
	Data   string
	Agent  *program.Process
}

// Options are what a test wants to be otherwise. The zero value is the whole stage.
type Options struct {
	Servers []string // which there are, by any names; the two unless set
	Engines int      // how many the servers share, taking turns; each has its own unless set
	// Core returns further arguments of core's, once git server, registry and
	// engines are there.
	Core func(w *World) []string
	// CoreOn is the server on whose engine's network core runs; empty is the machine.
	CoreOn string
	// Agent are further arguments of the agents'.
	Agent []string
	// Env are variables for core and the agents.
	Env []string
	// RegistryPassword is the registry's, unless empty.
	RegistryPassword string
}

// New builds the stage up to a core that answers and agents that are online. At
// most one Options may be given.
func New(t testing.TB, opts ...Options) *World {
	t.Helper()
	w := &World{root: t, t: t, Home: nat.New(t), Data: t.TempDir(), Servers: map[string]*Server{}}
	if len(opts) > 0 {
		w.opts = opts[0]
	}
	if len(w.opts.Servers) == 0 {
		w.opts.Servers = []string{Nexus, LXC}
	}
	engines := dockertest.Engines(t, cmp.Or(w.opts.Engines, len(w.opts.Servers)))
	for i, name := range w.opts.Servers {
		w.Servers[name] = &Server{Name: name, Engine: engines[i%len(engines)], Data: t.TempDir()}
		if name == LXC {
			w.Servers[name].Netns = w.Home.Netns
		}
	}
	w.Git = gittest.New(t, gittest.Config{HTTPAddr: w.Home.Outside + ":0", SSHAddr: w.Home.Outside + ":0"})
	w.Registry = registry.New(t, "puller", cmp.Or(w.opts.RegistryPassword, "a-registry-password"))
	if s := w.Servers[w.opts.CoreOn]; s != nil {
		w.netns = s.Engine.Netns
		w.StartCore(s.Engine.Addr + ":9120")
	} else {
		w.StartCore(freeAddr(t, w.Home.Outside))
	}
	for _, name := range w.opts.Servers {
		w.Join(name)
	}
	return w
}

// Use gives the world to a subtest until that ends. Subtests go one after the other.
func (w *World) Use(t *testing.T) {
	w.t = t
	t.Cleanup(func() { w.t = w.root })
}

// freeAddr returns an address of the machine that nobody listens on.
func freeAddr(t testing.TB, host string) string {
	t.Helper()
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Context ends with the test, or when the time is up.
func (w *World) Context(limit time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(w.t.Context(), limit)
	w.t.Cleanup(cancel)
	return ctx
}

// StartCore starts core and waits until it answers.
func (w *World) StartCore(addr string) {
	w.t.Helper()
	w.URL = "http://" + addr
	args := []string{"core", "--data", w.Data, "--listen", addr, plaintext}
	if w.opts.Core != nil {
		args = append(args, w.opts.Core(w)...)
	}
	w.Core = program.Start(w.root, program.Options{
		Name: "core", Args: args, Netns: w.netns,
		Env: append([]string{"KOMODO_INIT_ADMIN_USERNAME=" + Admin, "KOMODO_INIT_ADMIN_PASSWORD=" + Password}, w.opts.Env...),
	})
	w.awaitCore()
	var err error
	if w.API, err = wire.Login(w.Context(20*time.Second), w.URL, Admin, Password); err != nil {
		w.t.Fatalf("sign in: %v", err)
	}
}

// RestartCore starts core again after Core.Kill or Core.Stop.
func (w *World) RestartCore() {
	w.t.Helper()
	w.Core = w.Core.Restart(w.root)
	w.awaitCore()
}

func (w *World) awaitCore() {
	w.t.Helper()
	if err := (&wire.Client{URL: w.URL}).Ready(w.Context(30 * time.Second)); err != nil {
		w.t.Fatalf("core does not answer at %s: %v", w.URL, err)
	}
}

// CLI runs a client verb of berth's with the administrator's key, and returns what
// it printed.
func (w *World) CLI(args ...string) (string, error) {
	w.t.Helper()
	out, code := w.Berth(args...)
	if code != 0 {
		return out, fmt.Errorf("berth %s: exit code %d: %s", strings.Join(args, " "), code, out)
	}
	return out, nil
}

// Berth is CLI for a test that looks at the exit code.
func (w *World) Berth(args ...string) (out string, code int) {
	w.t.Helper()
	p := program.Start(w.t, program.Options{Args: args, Env: []string{
		"KOMODO_ADDRESS=" + w.URL, "KOMODO_API_KEY=" + w.API.Key, "KOMODO_API_SECRET=" + w.API.Secret,
	}})
	select {
	case <-p.Ended():
	case <-time.After(2 * time.Minute):
		w.t.Fatalf("berth %s did not end within 2 minutes", strings.Join(args, " "))
	}
	code = p.Stop(w.t)
	return p.Output(), code
}

// Join enrols the agent of a server with a token, as an administrator does it, and
// waits until it is online.
func (w *World) Join(name string) {
	w.t.Helper()
	s := w.Servers[name]
	line, err := w.CLI("server", "join-token", name)
	if err != nil {
		w.t.Fatal(err)
	}
	_, args, found := strings.Cut(line, "berth ")
	if !found {
		w.t.Fatalf("join-token printed no command line: %q", line)
	}
	s.Agent = program.Start(w.root, program.Options{
		Name: name, Netns: s.Netns,
		Args: append(append(strings.Fields(args), "--data", s.Data, plaintext), w.opts.Agent...),
		Env:  append([]string{"DOCKER_HOST=" + s.Engine.Host()}, w.opts.Env...),
	})
	w.AwaitServer(name, "Ok")
}

// RestartAgent starts an agent again after its Kill or Stop and waits until it is
// online.
func (w *World) RestartAgent(name string) {
	w.t.Helper()
	w.StartAgent(name)
	w.AwaitServer(name, "Ok")
}

// StartAgent is RestartAgent without the wait: for when core is not there.
func (w *World) StartAgent(name string) {
	w.t.Helper()
	s := w.Servers[name]
	s.Agent = s.Agent.Restart(w.root)
}

// AwaitServer waits until core sees a server in a state: Ok, NotOk.
func (w *World) AwaitServer(name, state string) {
	w.t.Helper()
	w.Until(20*time.Second, name+" is "+state, func() bool {
		var got []struct {
			Name string
			Info struct{ State string }
		}
		return w.API.Call(w.t.Context(), "read", "ListServers", nil, &got) == nil &&
			strings.Contains(fmt.Sprintf("%+v", got), fmt.Sprintf("{Name:%s Info:{State:%s}}", name, state))
	})
}

// Until asks until something is so.
func (w *World) Until(limit time.Duration, what string, is func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-ctx.Done():
			w.t.Fatalf("not so within %s: %s", limit, what)
		case <-tick.C:
		}
	}
}

// Apply makes core's resources what a TOML text says.
func (w *World) Apply(toml string) {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), "berth.toml")
	write(w.t, path, toml)
	if out, err := w.CLI("apply", "--yes", path); err != nil {
		w.t.Fatalf("%v\n%s", err, out)
	}
}

// GitHost is the git server as TOML names it: git_provider.
func (w *World) GitHost() string { return strings.TrimPrefix(w.Git.URL(), "http://") }

// Verdict is core's answer to a webhook.
type Verdict struct {
	Status   int    `json:"-"`
	Verdict  string `json:"verdict"`
	Reason   string `json:"reason"`
	Delivery string `json:"delivery"`
	Run      string `json:"run"`
	URL      string `json:"url"`
}

// Deliver sends a delivery to a listener path, such as
// "github/procedure/on-push/main".
func (w *World) Deliver(path, secret string, d forge.Delivery) Verdict {
	w.t.Helper()
	a, err := forge.Deliver(w.Context(30*time.Second), w.URL+"/listener/"+path, secret, d)
	if err != nil {
		w.t.Fatal(err)
	}
	v := Verdict{Status: a.Status}
	if err := json.Unmarshal(a.Body, &v); err != nil {
		w.t.Fatalf("the answer to a webhook is no JSON: %d %s", a.Status, a.Body)
	}
	return v
}

// Containers returns the ids of a server's containers by name.
func (w *World) Containers(server, project string) map[string]string {
	w.t.Helper()
	list, err := w.Servers[server].Engine.Containers(w.t.Context(), project)
	if err != nil {
		w.t.Fatal(err)
	}
	ids := map[string]string{}
	for _, c := range list {
		ids[c.Name] = c.ID
	}
	return ids
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
