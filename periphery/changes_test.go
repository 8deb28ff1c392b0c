package periphery_test

import (
	"os"
	"strings"
	"testing"

	"github.com/moby/moby/client"

	"berth/git/gittest"
	"berth/periphery/docker/dockertest"
	"berth/periphery/docker/dockertest/rig"
	"berth/schema"
)

// Row 4: each kind of input changed singly is a deploy that says why; nothing
// changed is recorded as that; not to know is a failure.
func TestRow04DeployIfChanged(t *testing.T) {
	s := newStack(t)
	s.a.useKey()
	dockertest.BuildImage(t, s.engine, "berthtest/moved", "x", rig.Behaviour{})
	const file = "services:\n  web: { image: 'berthtest/app:1', volumes: [ './conf:/conf:ro' ], environment: { A: '${A:-}', B: '${B:-}', P: '${DB_USER:-}' } }\n  db: { image: 'berthtest/moved:x' }\n"
	s.onHost(map[string]string{"compose.yaml": file, "conf/one": "1", "conf/two": "2", "more.env": "B=1\n", "hooks/post.sh": "true\n", "watched": "1", "restarted": "1"})
	s.a.copy("secrets/testdata/app.sops.env", s.dir("db.sops.env"))
	s.req.Config.AdditionalEnvFiles = []schema.EnvFile{{Path: "more.env", Track: true}, {Path: "db.env"}}
	s.req.Config.Environment = "A = 1\n"
	s.req.Config.PostDeploy = schema.SystemCommand{Command: "sh hooks/post.sh"}
	s.req.Config.ConfigFiles = []schema.FileDep{{Path: "watched", Requires: schema.RequiresRedeploy}, {Path: "restarted", Requires: schema.RequiresRestart, Services: schema.StrList{"db"}}, {Path: "compose.yaml", Requires: schema.RequiresNone}}
	s.req.IfChanged = true
	expect := func(what, reason string, change func()) {
		t.Helper()
		change()
		resp := s.up()
		if resp.Decision.What != "deploy" || !strings.Contains(resp.Decision.Reason, reason) {
			t.Errorf("%s: %s: %s, want %q", what, resp.Decision.What, resp.Decision.Reason, reason)
		}
		if resp = s.up(); resp.Decision.What != "unchanged" || resp.Deployed != nil || !strings.Contains(resp.Decision.Reason, "run #") {
			t.Errorf("after %s: %s: %s", what, resp.Decision.What, resp.Decision.Reason)
		}
	}
	file2 := func(name, text string) func() { return func() { write(t, s.dir(name), text) } }
	cfg := func(f func(c *schema.StackConfig)) func() { return func() { f(&s.req.Config) } }
	expect("nothing yet", "never deployed before", func() {})
	expect("compose file", "compose.yaml changed", file2("compose.yaml", strings.Replace(file, "A: '${A:-}'", "A: '${A:-}', NEW: 1", 1)))
	expect("env file", "more.env changed", file2("more.env", "B=2\n"))
	expect("sops file", "db.sops.env removed", func() {
		s.req.Config.AdditionalEnvFiles = s.req.Config.AdditionalEnvFiles[:1]
		if err := os.Remove(s.dir("db.sops.env")); err != nil {
			t.Fatal(err)
		}
	})
	expect("bind-mounted file", "conf/one changed", file2("conf/one", "changed"))
	expect("deleted file", "conf/two removed", func() { _ = os.Remove(s.dir("conf", "two")) })
	expect("new file", "conf/three added", file2("conf/three", ""))
	expect("environment", "environment A changed", cfg(func(c *schema.StackConfig) { c.Environment = "A = 2\n" }))
	expect("environment that no service uses", "environment UNUSED added", cfg(func(c *schema.StackConfig) { c.Environment = "A = 2\nUNUSED = 1" }))
	expect("setting", "extra_args changed", cfg(func(c *schema.StackConfig) { c.ExtraArgs = schema.StrList{"--remove-orphans"} }))
	expect("command", "post_deploy changed", cfg(func(c *schema.StackConfig) { c.PostDeploy.Command = "sh ./hooks/post.sh" }))
	expect("script", "hooks/post.sh changed", file2("hooks/post.sh", "true # again\n"))
	expect("config file", "watched changed", file2("watched", "2"))
	expect("image", "image berthtest/moved:x moved", func() {
		dockertest.BuildImage(t, s.engine, "berthtest/moved", "x", rig.Behaviour{Env: map[string]string{"MOVED": t.Name()}})
	})
	expect("container removed by hand", "no container of db", func() {
		if _, err := s.engine.API().ContainerRemove(t.Context(), s.req.Name+"-db-1", client.ContainerRemoveOptions{Force: true}); err != nil {
			t.Fatal(err)
		}
	})
	expect("failed before", "run #7 broke off", func() { s.req.Last.Dirty = "run #7 broke off" })
	before := s.started("db")
	expect("config file with restart", "restarted changed", file2("restarted", "2"))
	if s.started("db") == before {
		t.Error("db was not restarted")
	}
	s.unknown()
}

// started returns when a service's container was started.
func (s *stack) started(service string) string {
	s.t.Helper()
	d, err := s.engine.Inspect(s.t.Context(), s.req.Name+"-"+service+"-1")
	if err != nil {
		s.t.Fatal(err)
	}
	return d.Started.String()
}

// unknown: whatever keeps the agent from knowing is a failure, not "unchanged".
func (s *stack) unknown() {
	s.t.Helper()
	t, good := s.t, read(s.t, s.dir("compose.yaml"))
	write(t, s.dir("compose.yaml"), "services: [")
	s.fails(schema.Invalid, "compose.yaml")
	if err := os.Remove(s.dir("compose.yaml")); err != nil {
		t.Fatal(err)
	}
	s.fails(schema.NotFound, "compose.yaml")
	write(t, s.dir("compose.yaml"), good)
	s.a.copy("secrets/testdata/app.sops.env", s.dir("db.sops.env"))
	if err := os.Remove(s.a.cfg.AgeKeys[0]); err != nil {
		t.Fatal(err)
	}
	s.fails(schema.Denied, "db.sops.env", "add recipient")
	_ = os.Remove(s.dir("db.sops.env"))
	s.a.end()
	s.a.cfg.Engine = "unix:///nonexistent/docker.sock"
	s.a.start()
	s.fails(schema.Unavailable, "/nonexistent/docker.sock")
}

// Row 4: also a git host that is down, or refuses, is a failure.
func TestRow04DeployIfChangedFromGit(t *testing.T) {
	s := newStack(t)
	const token = "kanarienvogel-04"
	forge := gittest.New(t, gittest.Config{Username: "ada", Password: token, SSHAddr: "-"})
	repo := forge.Repo("team/app")
	repo.Commit(map[string]string{
		"compose.yaml": "services: { web: { image: 'berthtest/app:1', volumes: [ './data:/data' ] } }\n", "data/app.conf": "1", "README": "1",
	}, "one")
	host, _, _ := strings.Cut(strings.TrimPrefix(repo.URL(), "http://"), "/")
	s.req.Source = &schema.GitSource{Provider: host, Account: "ada", Repo: "team/app", Branch: "main"}
	access := func(token string) {
		s.git = []schema.AccountToken{{AccountRef: schema.AccountRef{Provider: host, Account: "ada"}, Token: token, HTTP: true}}
	}
	access(token)
	s.req.IfChanged = true
	s.up()
	write(t, s.dir("data", "written-by-the-container"), "rows")
	repo.Commit(map[string]string{"README": "2"}, "two")
	if resp := s.up(); resp.Decision.What != "unchanged" || resp.Commit.Message != "two" {
		t.Errorf("%+v", resp)
	}
	repo.Commit(map[string]string{"data/app.conf": "2"}, "three")
	if resp := s.up(); resp.Decision.Reason != "data/app.conf changed" || len(resp.Recreated) != 1 {
		t.Errorf("%+v", resp)
	}
	access("revoked")
	s.fails(schema.Denied, host, "ada")
	access(token)
	if err := os.RemoveAll(repo.Dir()); err != nil {
		t.Fatal(err)
	}
	s.fails(schema.NotFound, strings.TrimSuffix(repo.URL(), ".git"))
	s.req.Source.Provider, s.req.Source.Account = "127.0.0.1:1", ""
	s.fails(schema.Unavailable, "127.0.0.1:1")
}

// An attempt that was interrupted is never followed by "unchanged", and what a
// deploy of some services left undone is not forgotten.
func TestIfChangedAfterHalves(t *testing.T) {
	s := newStack(t)
	s.onHost(map[string]string{"compose.yaml": "services: { web: { image: 'berthtest/app:1' }, db: { image: 'berthtest/app:1', environment: [ 'A=${A}' ] } }\n"})
	s.req.IfChanged = true
	s.req.Config.Environment = "A = 1"
	s.up()
	s.req.Resume = true
	if resp := s.up(); resp.Decision.What != "deploy" || !strings.Contains(resp.Decision.Reason, "interrupted") {
		t.Errorf("%+v", resp.Decision)
	}
	s.req.Resume = false
	s.req.Config.Environment = "A = 2"
	s.req.Services, s.req.IfChanged = []string{"web"}, false
	s.up()
	s.req.Services, s.req.IfChanged = nil, true
	if resp := s.up(); resp.Decision.What != "deploy" || !strings.Contains(resp.Decision.Reason, "environment A changed") || len(resp.Recreated) != 1 {
		t.Errorf("%+v", resp.Decision)
	}
	s.req.Last.Server = "ffffffffffffffffffffffff"
	if resp := s.up(); resp.Decision.Reason != "it was deployed on another server" || len(resp.Recreated) != 0 {
		t.Errorf("%+v", resp)
	}
}
