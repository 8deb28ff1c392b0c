package e2e

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth/e2e/program"
	"berth/e2e/wire"
	"berth/periphery/docker/dockertest"
	"berth/periphery/docker/dockertest/rig"
)

// alone is a `berth up`: core and agent in one process and one folder.
type alone struct {
	t    *testing.T
	data string
	addr string
	env  []string
	p    *program.Process
	api  *wire.Client
}

// start starts it and waits until core answers and the server is there.
func (a *alone) start() {
	a.t.Helper()
	a.p = program.Start(a.t, program.Options{Name: "up", Args: []string{"up", "--data", a.data, "--listen", a.addr}, Env: a.env})
	ctx := a.t.Context()
	url := "http://" + a.addr
	a.until("core answers", func() bool { return (&wire.Client{URL: url}).Ready(ctx) == nil })
	var err error
	if a.api, err = wire.Login(ctx, url, backupAdmin, backupPass); err != nil {
		a.t.Fatal(err)
	}
	a.until("the server is there", func() bool {
		var list []struct{ Info struct{ State string } }
		return a.api.Call(ctx, "read", "ListServers", nil, &list) == nil && len(list) == 1 && list[0].Info.State == "Ok"
	})
}

func (a *alone) until(what string, is func() bool) {
	a.t.Helper()
	for deadline := time.Now().Add(2 * minute); !is(); <-time.After(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			a.t.Fatalf("%s: not within %s\n%s", what, 2*minute, a.p.Output())
		}
	}
}

// berth runs a verb as the administrator.
func (a *alone) berth(args ...string) {
	a.t.Helper()
	env := []string{"KOMODO_ADDRESS=http://" + a.addr, "KOMODO_API_KEY=" + a.api.Key, "KOMODO_API_SECRET=" + a.api.Secret}
	p := program.Start(a.t, program.Options{Args: args, Env: env})
	select {
	case <-p.Ended():
	case <-time.After(2 * minute):
		a.t.Fatalf("berth %v does not end", args)
	}
	if code := p.Stop(a.t); code != 0 {
		a.t.Fatalf("berth %v: exit code %d: %s", args, code, p.Output())
	}
}

// deploy deploys a stack if it changed, and returns what was decided and why.
func (a *alone) deploy(stack string) *wire.Run {
	a.t.Helper()
	u, err := a.api.Execute(a.t.Context(), "DeployStackIfChanged", wire.Params{"stack": stack})
	if err != nil {
		a.t.Fatal(err)
	}
	r, err := a.api.AwaitRun(a.t.Context(), u.ID.OID, wire.Run.Terminal)
	if err != nil || r.State == "failed" || r.Decision == nil {
		a.t.Fatalf("%v %+v", err, r)
	}
	return &r
}

const backupAdmin = "ada"

// TestRow36RestoreOfBerthUp loses the machine on which core and agent are one, but for
// what runs: restored from one file into an empty folder, core knows what is deployed,
// and a deploy leaves it alone for the reason that nothing of it changed.
func TestRow36RestoreOfBerthUp(t *testing.T) {
	engine := dockertest.Engines(t, 1)[0]
	dockertest.BuildImage(t, engine, "berth-e2e/app", "1", rig.Behaviour{})
	dir := t.TempDir()
	pass := filepath.Join(dir, "pass")
	writeAll(t, map[string]string{pass: backupPass + "\n"})
	a := &alone{t: t, data: filepath.Join(dir, "old"), addr: freePort(t), env: []string{
		"KOMODO_INIT_ADMIN_USERNAME=" + backupAdmin, "KOMODO_INIT_ADMIN_PASSWORD=" + backupPass, "DOCKER_HOST=" + engine.Host(),
	}}
	a.start()
	var servers []struct{ Name string }
	if err := a.api.Call(t.Context(), "read", "ListServers", nil, &servers); err != nil || len(servers) != 1 {
		t.Fatalf("%v %v", err, servers)
	}
	toml := filepath.Join(dir, "berth.toml")
	writeAll(t, map[string]string{toml: `
[[variable]]
name = "PASS"
value = "` + backupSecret + `"
is_secret = true

[[stack]]
name = "web"
[stack.config]
server = "` + servers[0].Name + `"
auto_pull = false
check_health = false
environment = "TEXT=[[PASS]]"
file_contents = """
services:
  web: { image: 'berth-e2e/app:1', environment: { APP_TEXT: '${TEXT}' } }
"""
`})
	a.berth("apply", "--yes", toml)
	if r := a.deploy("web"); r.Decision.What == "unchanged" {
		t.Fatalf("the first deploy: %+v", r.Decision)
	}
	before := a.deploy("web")
	if before.Decision.What != "unchanged" {
		t.Fatalf("deployed again: %+v", before.Decision)
	}
	running := containers(t, engine, "web")
	file := filepath.Join(dir, "up.age")
	a.berth("backup", file, "--passphrase-file", pass)
	a.p.Kill()
	if err := os.RemoveAll(a.data); err != nil {
		t.Fatal(err)
	}

	a.data = filepath.Join(dir, "new")
	a.berth("restore", file, "--data", a.data, "--passphrase-file", pass)
	a.start()
	after := a.deploy("web")
	if after.Decision.What != "unchanged" || after.Decision.Reason != before.Decision.Reason || strings.Contains(after.Decision.Reason, "never") {
		t.Errorf("after the restore: %+v\nbefore: %+v", after.Decision, before.Decision)
	}
	if now := containers(t, engine, "web"); len(now) != 1 || now["web-web-1"] != running["web-web-1"] {
		t.Errorf("it ran in %v, now in %v", running, now)
	}
}

// containers are the ids of a project's containers, by name.
func containers(t *testing.T, engine *rig.Engine, project string) map[string]string {
	t.Helper()
	list, err := engine.Containers(t.Context(), project)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, c := range list {
		out[c.Name] = c.ID
	}
	return out
}

// freePort is an address of this machine that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
