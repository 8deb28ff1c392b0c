package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"berth/cli/profile"
	"berth/core"
	"berth/schema"
)

// station is a core that command lines are run against.
type station struct {
	t     *testing.T
	name  string // of the program; berth without
	url   string
	home  string
	env   []string
	typed string // what is typed at the questions
}

func newStation(t *testing.T) *station {
	t.Helper()
	s := &station{t: t, home: t.TempDir()}
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan core.Info, 1), make(chan error, 1)
	cfg := core.Config{
		Data: t.TempDir(), Listen: "127.0.0.1:0", AdminUsername: "ada", AdminPassword: "correct horse", Version: "test",
		Log: slog.New(slog.DiscardHandler), Ready: func(i core.Info) { ready <- i },
	}
	go func() { done <- core.Run(ctx, cfg) }()
	select {
	case i := <-ready:
		s.url = i.URL
	case err := <-done:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

// do runs a command line and returns its exit code and what it printed.
func (s *station) do(args ...string) (code int, out, errs string) {
	s.t.Helper()
	var stdout, stderr bytes.Buffer
	env, environ := envOf(append([]string{"HOME=" + s.home}, s.env...)...)
	code = run(s.t.Context(), args, world{name: s.name, in: strings.NewReader(s.typed), out: &stdout, err: &stderr, env: env, environ: environ})
	return code, stdout.String(), stderr.String()
}

// ok runs a command line that must end well.
func (s *station) ok(args ...string) string {
	s.t.Helper()
	code, out, errs := s.do(args...)
	if code != 0 {
		s.t.Fatalf("berth %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

const declared = `
[[server]]
name = "atlas"
config.enabled = true

[[stack]]
name = "web"
config.server = "atlas"
config.file_contents = "services: {}"

[[procedure]]
name = "nap"
[[procedure.config.stage]]
name = "one"
executions = [{ execution = { type = "Sleep", params = { duration_ms = 300 } } }]
`

func TestCommandLine(t *testing.T) {
	s := newStation(t)
	code, _, errs := s.do("list", "--host", s.url)
	if code != 3 || !strings.Contains(errs, "berth login") {
		t.Errorf("without a key: %d %s", code, errs)
	}
	s.ok("login", s.url, "--username", "ada", "--password-file", write(t, "pw", "correct horse\n"))
	path := filepath.Join(s.home, ".config", "berth", "cli.toml")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the kept key: %v %v", info, err)
	}
	file := write(t, "all.toml", declared)

	if code, out, errs := s.do("apply", file); code != 2 || !strings.Contains(out, "+ stack web") || !strings.Contains(errs, "--yes") {
		t.Errorf("apply with nobody to ask: %d %s %s", code, out, errs)
	}
	if out := s.ok("apply", "--yes", filepath.Dir(file)); !strings.Contains(out, "Applied.") {
		t.Error(out)
	}
	if out := s.ok("apply", "--yes", file); !strings.Contains(out, "Nothing to change.") {
		t.Error(out)
	}
	if out := s.ok("list"); !strings.Contains(out, "atlas") || !strings.Contains(out, "web") || !strings.Contains(out, "nap") {
		t.Error(out)
	}
	var items []struct{ Name string }
	if err := json.Unmarshal([]byte(s.ok("list", "stacks", "--json")), &items); err != nil || len(items) != 1 {
		t.Errorf("%v %v", items, err)
	}
	if out := s.ok("run", "nap"); !strings.Contains(out, "✓ #1 RunProcedure nap") {
		t.Error(out)
	}
	if out := s.ok("run", "procedure", "nap", "-y"); !strings.Contains(out, "✓ ") {
		t.Error("as km writes it:", out)
	}
	if out := s.ok("runs"); !strings.Contains(out, "RunProcedure") || !strings.Contains(out, "succeeded") {
		t.Error(out)
	}
	if code, _, errs := s.do("runs", "--state", "faild"); code != 2 || !strings.Contains(errs, "queued, waiting, running") {
		t.Errorf("a state that is none: %d %s", code, errs)
	}
	if out := s.ok("__complete", "execute", ""); !strings.Contains(out, "restart-stack") {
		t.Error("nothing completes a request:", out)
	}
	if code, _, errs := s.do("execute", "remove-swarm-stacks", "web", "web", "-y"); code != 4 || !strings.Contains(errs, "no swarm") {
		t.Errorf("a swarm that there is not: %d %s", code, errs)
	}
	if out := s.ok("runs", "show", "1"); !strings.Contains(out, "one / ") {
		t.Error(out)
	}
	if out := s.ok("runs", "logs", "-f", "1"); !strings.Contains(out, "✓ #1") {
		t.Error(out)
	}
	id := strings.TrimSpace(s.ok("deploy", "web", "--no-wait"))
	s.ok("runs", "cancel", id)
	if code, _, _ := s.do("runs", "logs", "-f", id); code != schema.Canceled.ExitCode() {
		t.Errorf("following a canceled run: exit code %d", code)
	}
	if code, _, errs := s.do("deploy", "wbe"); code != 4 || !strings.Contains(errs, `did you mean "web"?`) {
		t.Errorf("an unknown stack: %d %s", code, errs)
	}
}

func TestExecuteVerb(t *testing.T) {
	s := newStation(t)
	s.ok("login", s.url, "--username", "ada", "--password-file", write(t, "pw", "correct horse\n"))
	s.ok("apply", "-y", write(t, "all.toml", declared))
	for _, c := range []struct {
		args      string
		code      int
		out, errs string
	}{
		{"execute sleep 10 -y", 0, "✓", ""},
		{"x -y sleep --duration-ms 10", 0, "✓", ""},
		{"x sleep 10", 2, "", "--yes"},
		{"x sleep soon -y", 2, "", "want a whole number"},
		{"x sleep -y", 2, "", "duration_ms is missing: berth execute sleep DURATION_MS"},
		{"x sleep 1 2 -y", 2, "", "too many arguments"},
		{"x sleep 1 --loud yes -y", 2, "", "no parameter --loud"},
		{"x pr nap -y", 0, "✓", ""},
		{"x get-stack web", 0, `"name": "web"`, ""},
		{"x get-docker-containers-summary", 0, `"running": 0`, ""},
		{"x GetVersion", 0, `"version": "test"`, ""},
		{"x restrat-stack web -y", 2, "", "did you mean restart-stack?"},
		{"x deploy-stack --help", 0, "berth execute deploy-stack STACK [SERVICES…] [STOP_TIME]", ""},
		{"execute", 0, "batch-deploy-stack", ""},
		{"execute --help", 0, "kebab-case", ""},
		{"x update-resource-meta {\"type\":\"Stack\",\"id\":\"web\"} --description hello -y", 0, "{}", ""},
		{"x batch-run-procedure none* -y", 0, "[]", ""},
		{"x sleep 1 -y --no-wait --json", 0, `"operation": "Sleep"`, ""},
	} {
		t.Run(c.args, func(t *testing.T) {
			code, out, errs := s.do(strings.Fields(c.args)...)
			if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(errs, c.errs) {
				t.Errorf("exit code %d\n%s\n%s", code, out, errs)
			}
		})
	}
}

func TestAdminVerbs(t *testing.T) {
	s := newStation(t)
	s.ok("login", s.url, "--username", "ada", "--password-file", write(t, "pw", "correct horse\n"))
	line := s.ok("server", "join-token", "vault")
	if !strings.HasPrefix(line, "berth periphery --core ") || strings.Count(line, "\n") != 1 {
		t.Errorf("not one line: %q", line)
	}
	if out := s.ok("server", "ls"); !strings.Contains(out, "vault") {
		t.Error(out)
	}
	s.ok("server", "revoke", "vault", "--yes")
	out := s.ok("key", "create", "ci")
	s.env = strings.Fields(out)
	s.env = append(s.env, "BERTH_HOST="+s.url)
	s.home = t.TempDir()
	if out := s.ok("key", "ls"); !strings.Contains(out, "ci") || regexp.MustCompile(`\bS_`).MatchString(out) {
		t.Error(out)
	}
	s.ok("operator", "create", "ada", "--role", "read")
	seed := filepath.Join(s.home, ".config", "nats", "context", "berth-ada.nk")
	if info, err := os.Stat(seed); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if code, _, _ := s.do("operator", "create", "eve", "--role", "root"); code != 2 {
		t.Errorf("exit code %d", code)
	}
	s.ok("hooks", "ls")
}

func TestForeignCertificateIsNotTrusted(t *testing.T) {
	s := newStation(t)
	ip := ""
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && n.IP.To4() != nil {
			ip = n.IP.String()
		}
	}
	if ip == "" {
		t.Fatal("this test needs an address other than loopback: give the machine one")
	}
	forward, err := net.Listen("tcp", ip+":0") // the same core under an address that is not this machine's own
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = forward.Close() })
	go relay(forward, strings.TrimPrefix(s.url, "https://"))
	url := "https://" + forward.Addr().String()
	pw := write(t, "pw", "correct horse\n")
	code, _, errs := s.do("login", url, "--username", "ada", "--password-file", pw)
	_, pin, found := strings.Cut(errs, "give --pin ")
	if code != 3 || !found {
		t.Fatalf("%d %s", code, errs)
	}
	if code, _, errs := s.do("login", url, "--pin", strings.Repeat("0", 64), "--username", "ada", "--password-file", pw); code == 0 || !strings.Contains(errs, "another key") {
		t.Errorf("with another pin: %d %s", code, errs)
	}
	s.ok("login", url, "--pin", strings.TrimSpace(pin), "--username", "ada", "--password-file", pw)
	s.ok("list")
}

func TestProfiles(t *testing.T) {
	s := newStation(t)
	pw := write(t, "pw", "correct horse\n")
	s.ok("login", s.url, "--username", "ada", "--password-file", pw)
	path := filepath.Join(s.home, ".config", "berth", "cli.toml")
	before, err := profile.Own(path, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	if code, _, errs := s.do("-p", "staging", "list"); code != 2 || !strings.Contains(errs, "berth login URL -p staging") {
		t.Errorf("with no profile at all: %d %s", code, errs)
	}
	s.ok("login", s.url, "-p", "staging", "--username", "ada", "--password-file", pw)
	s.ok("login", s.url, "-p", "staging", "--username", "ada", "--password-file", pw)
	after, err := profile.Own(path, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	if after.Key != before.Key || after.Secret != before.Secret {
		t.Error("the login for a profile replaced the key that is used without one")
	}
	if len(after.Profiles) != 1 || after.Profiles[0].Name != "staging" || after.Profiles[0].Key == before.Key || after.Profiles[0].Host != s.url {
		t.Errorf("%d profiles", len(after.Profiles))
	}
	s.ok("-p", "staging", "list")
	s.ok("list", "--profile", "staging")
	for _, args := range [][]string{{"-p", "stagng", "list"}, {"execute", "-p", "stagng", "list-stacks"}, {"runs", "-p", "stagng"}} {
		if code, _, errs := s.do(args...); code != 2 || !strings.Contains(errs, `no profile "stagng": there are staging`) {
			t.Errorf("%v: %d %s", args, code, errs)
		}
	}
}

// relay hands connections on.
func relay(l net.Listener, to string) {
	for {
		in, err := l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", to)
		if err != nil {
			_ = in.Close()
			return
		}
		go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
		go func() { _, _ = io.Copy(in, out); _ = in.Close() }()
	}
}

func TestApplyNamesTheMistake(t *testing.T) {
	s := newStation(t)
	s.ok("login", s.url, "--username", "ada", "--password-file", write(t, "pw", "correct horse\n"))
	code, out, errs := s.do("apply", "--yes", write(t, "bad.toml", "[[stack]]\nname = \"a\"\nname = \"b\"\n"))
	if code != 2 || !strings.Contains(errs, "bad.toml:3") {
		t.Errorf("%d %s %s", code, out, errs)
	}
	_, _, errs = s.do("apply", "--plan", write(t, "odd.toml", "[[stack]]\nname = \"a\"\nconfig.brunch = \"b\"\n"))
	if !strings.Contains(errs, "warning: ") || !strings.Contains(errs, "did you mean branch") {
		t.Error(errs)
	}
}

func TestHelpTeaches(t *testing.T) {
	s := &station{t: t, home: t.TempDir()}
	for _, args := range [][]string{{"--help"}, {"apply", "--help"}, {"deploy", "--help"}, {"runs", "--help"}, {"up", "--help"}, {"periphery", "--help"}} {
		if out := s.ok(args...); !strings.Contains(out, "berth ") || len(out) < 300 {
			t.Errorf("berth %s: %s", strings.Join(args, " "), out)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if out := s.ok("completion", shell); !strings.Contains(out, "berth") {
			t.Errorf("no completion for %s", shell)
		}
	}
	code, _, errs := s.do("nonsense")
	if code != 2 || !strings.Contains(errs, `unknown command "nonsense"`) {
		t.Errorf("%d %s", code, errs)
	}
	if !slices.Contains([]string{"dev\n"}, s.ok("version")) {
		t.Error("no version")
	}
}
