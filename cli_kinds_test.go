package main

import (
	"encoding/json"
	"strings"
	"testing"
)

const allKinds = `
[[server]]
name = "atlas"
config.enabled = true

[[builder]]
name = "local"
config = { type = "Server", params = { server_ids = ["atlas"] } }

[[build]]
name = "image"
tags = ["home"]
[build.config]
builder = "local"
version = "1.2.3"
dockerfile = "FROM scratch"

[[stack]]
name = "web"
tags = ["home"]
config.server = "atlas"
config.file_contents = "services: {}"

[[deployment]]
name = "proxy"
config.server = "atlas"
config.image = { type = "Image", params = { image = "caddy" } }

[[action]]
name = "greet"
config.file_contents = 'console.log("hello " + ARGS.who + " " + ARGS.n)'

[[action]]
name = "break"
config.file_contents = 'throw new Error("no")'

[[resource_sync]]
name = "fleet"
[resource_sync.config]
include_resources = false
include_variables = true
resource_path = ["all.toml"]
file_contents = '''
[[variable]]
name = "FROM_SYNC"
value = "1"
'''

[[alerter]]
name = "phone"
config.endpoint = { type = "Ntfy", params = { url = "http://127.0.0.1:1/x" } }

[[user_group]]
name = "family"
everyone = true

[[procedure]]
name = "nap"
[procedure.config]
schedule = "Every day at 03:00"
[[procedure.config.stage]]
name = "one"
executions = [{ execution = { type = "Sleep", params = { duration_ms = 1 } } }]
`

func TestListOfEveryKind(t *testing.T) {
	s := newStation(t)
	s.ok("login", s.url, "--username", "ada", "--password-file", write(t, "pw", "correct horse\n"))
	s.ok("apply", "--yes", write(t, "all.toml", allKinds))
	for kind, want := range map[string][]string{
		"servers": {"Server", "State", "Address", "Tags", "atlas", "inbound"}, "st": {"Stack", "web", "atlas", "home"}, "deployment": {"Deployment", "proxy"},
		"bd": {"Build", "Builder", "image", "local", "1.2.3", "home"}, "procedures": {"Next Run", "nap", "03:00:00"}, "ac": {"Action", "greet"},
		"syncs": {"Sync", "fleet"}, "builders": {"Builder", "local", "Server"}, "alrt": {"Alerter", "phone", "Ntfy", "false"}, "groups": {"Group", "family"},
		"schedules": {"Next Run", "nap", "Procedure", "Every day at 03:00"}, "alerts": {"When", "Level"},
	} {
		out := s.ok("list", kind, "-a")
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("list %s: lacks %q:\n%s", kind, w, out)
			}
		}
	}
	var items []struct {
		Name string
		Tags []string
	}
	if err := json.Unmarshal([]byte(s.ok("ls", "stacks", "-f", "json")), &items); err != nil || len(items) != 1 || len(items[0].Tags) != 1 || items[0].Tags[0] != "home" {
		t.Errorf("%+v %v", items, err)
	}
	if out := s.ok("list", "stacks", "--name", "w*"); !strings.Contains(out, "web") {
		t.Error(out)
	}
	if out := s.ok("list", "stacks", "--name", "x*"); out != "" {
		t.Error(out)
	}
	if out := s.ok("list", "servers", "--down"); !strings.Contains(out, "atlas") { // no agent
		t.Error(out)
	}
	if code, _, errs := s.do("list", "things"); code != 2 || !strings.Contains(errs, "deployments") {
		t.Errorf("%d %s", code, errs)
	}
}

func TestExecuteAsKmWritesIt(t *testing.T) {
	s := newStation(t)
	s.ok("login", s.url, "--username", "ada", "--password-file", write(t, "pw", "correct horse\n"))
	s.ok("apply", "--yes", write(t, "all.toml", allKinds))
	for _, c := range []struct {
		line string
		code int
		has  string
	}{
		{"run action greet who=you&n=2", 0, "hello you 2"},
		{"execute ac greet who=me&n=3 -y", 0, "hello me 3"},
		{"run action break", 1, "no"},
		{"x break-it", 2, ""},
		{"run pr nap", 0, "RunProcedure nap"},
		{"execute procedure nap -y", 0, "RunProcedure nap"},
		{"plan sync fleet", 0, "+ variable FROM_SYNC"},
		{"sync fleet", 0, "RunSync fleet"},
		{"run sync fleet", 0, "everything is as declared"},
		{"x commit fleet -y", 1, "is not managed"},
		{"send alert careful -l warning -d details -a phone -y", 1, "no alerter took it"},
		{"x auto-update -s -y", 0, "GlobalAutoUpdate"},
		{"x batch-run-procedure na* -y", 0, "RunProcedure nap"},
		{"x sleep 1 -y", 0, "Sleep"},
		{"deploy dp proxy --no-wait", 0, ""},
		{"deploy stack web --no-wait", 0, ""},
		{"deploy dp proxy --if-changed", 2, ""},
	} {
		code, out, errs := s.do(strings.Fields(c.line)...)
		if code != c.code || !strings.Contains(out+errs, c.has) {
			t.Errorf("berth %s: exit code %d, want %d and %q\n%s%s", c.line, code, c.code, c.has, out, errs)
		}
	}
}

func TestNamesAreCompleted(t *testing.T) {
	s := newStation(t)
	s.ok("login", s.url, "--username", "ada", "--password-file", write(t, "pw", "correct horse\n"))
	s.ok("apply", "--yes", write(t, "all.toml", allKinds))
	for line, want := range map[string]string{
		"deploy ": "web", "deploy dp ": "proxy", "run ": "nap", "run action ": "greet", "run build ": "image", "sync ": "fleet", "plan sync ": "fleet",
		"execute run-build ": "image", "execute ac ": "greet", "execute test-alerter ": "phone", "execute stop-deployment ": "proxy",
		"execute restart-container ": "atlas", "list ": "deployments",
	} {
		args := append([]string{"__complete"}, strings.Split(line, " ")...)
		if _, out, _ := s.do(args...); !strings.Contains(out, want) {
			t.Errorf("%q does not offer %s: %s", line, want, out)
		}
	}
}
