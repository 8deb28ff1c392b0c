package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/core"
	"berth/schema"
)

const komodosCore = `
title = "Homelab"
host = "https://komodo.lan"
port = 9121
bind_ip = "[::]"
private_key = "file:/config/keys/core.key"
timezone = "Europe/Berlin"
passkey = ""
resource_poll_interval = "1-hr"
monitoring_interval = "15-sec"
ssl_enabled = false
ssl_key_file = "/config/ssl/key.pem"
ssl_cert_file = "/config/ssl/cert.pem"
database.address = "mongo:27017"
database.username = "${DB_USER}"
google_oauth.enabled = false
cors_allowed_origins = []
keep_stats_for_days = 14
disable_init_resources = true
webhook_secret = "w3bh00k"

[logging]
level = "warn"
stdio = "standard"

[[git_provider]]
domain = "git.example"
accounts = [{ username = "ada", token = "t0ken" }]

[[docker_registry]]
domain = "ghcr.io"
accounts = [{ username = "ada", token = "t0ken" }]
organizations = ["lab"]
`

// A file of Komodo's core is read as it is, in each of its three forms.
func TestKomodosCoreConfig(t *testing.T) {
	yaml := `
title: Homelab
host: https://komodo.lan
port: 9121
bind_ip: "[::]"
timezone: Europe/Berlin
resource_poll_interval: 1-hr
ssl_enabled: false
ssl_cert_file: /config/ssl/cert.pem
database: {address: "mongo:27017", username: "${DB_USER}"}
disable_init_resources: true
webhook_secret: w3bh00k
logging:
  level: warn
git_provider:
  - domain: git.example
    accounts: [{username: ada, token: t0ken}]
docker_registry:
  - domain: ghcr.io
    accounts: [{username: ada, token: t0ken}]
`
	json := `{"title": "Homelab", "host": "https://komodo.lan", "port": 9121, "bind_ip": "[::]", "timezone": "Europe/Berlin",
"resource_poll_interval": "1-hr", "disable_init_resources": true, "webhook_secret": "w3bh00k", "logging": {"level": "warn"},
"git_provider": [{"domain": "git.example", "accounts": [{"username": "ada", "token": "t0ken"}]}],
"docker_registry": [{"domain": "ghcr.io", "accounts": [{"username": "ada", "token": "t0ken"}]}]}`
	for name, text := range map[string]string{"core.config.toml": komodosCore, "core.config.yaml": yaml, "core.config.json": json} {
		t.Run(name, func(t *testing.T) {
			s, err := loadSettings(t, inCore, []string{"--config", write(t, name, text)}, []string{"DB_USER=me", "KOMODO_LOGGING_PRETTY=true"})
			if err != nil {
				t.Fatal(err)
			}
			c := s.core
			got := []any{c.Title, c.URL, c.Listen, c.Zone, c.Poll.String(), c.CertFile, c.SystemProcedures, c.WebhookSecret, s.lvl, c.Accounts}
			want := []any{"Homelab", "https://komodo.lan", "[::]:9121", "Europe/Berlin", "1h0m0s", "", false, "w3bh00k", "warn", core.Accounts{
				Git:      []core.Account{{Provider: "git.example", Username: "ada", Token: "t0ken"}},
				Registry: []core.Account{{Provider: "ghcr.io", Username: "ada", Token: "t0ken"}},
			}}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// What an upgrade of Komodo trips over is said in a word (seed 003).
func TestKomodosTraps(t *testing.T) {
	peri := "root_directory = \"/etc/komodo\"\nrepo_dir = \"/srv/repos\"\npasskeys = []\nallowed_ips = []\nport = 8120\nssl_enabled = true\n"
	for name, c := range map[string]struct {
		in        part
		file, ext string
		env       []string
		want      string
	}{
		"a directory twice":        {in: inAgent, file: "root_directory = \"/path/one\"\nroot_directory = \"/path/two\"\n", want: ".toml:2: root_directory"},
		"twice in YAML":            {in: inCore, ext: ".yaml", file: "title: a\ntitle: b\n", want: ".yaml:2: "},
		"twice in JSON":            {in: inCore, ext: ".json", file: "{\n\"title\": \"a\",\n\"title\": \"b\"}", want: ".json:3: title: the key stands there twice"},
		"under both names":         {in: inCore, file: "url = \"https://a\"\nhost = \"https://b\"\n", want: ".toml:1: url: it is the same setting as host"},
		"repo_dir is stack_dir":    {in: inAgent, file: "repo_dir = \"/srv/komodo\"\nstack_dir = \"/srv/komodo/stacks\"\n", want: "lie in each other"},
		"sample webhook secret":    {in: inCore, file: "webhook_secret = \"a_random_webhook_secret\"\n", want: ".toml:1: webhook_secret: this is a published sample"},
		"sample JWT secret":        {in: inCore, env: []string{"KOMODO_JWT_SECRET=a_random_jwt_secret"}, want: "KOMODO_JWT_SECRET: this is a published sample"},
		"sample passkey":           {in: inAgent, env: []string{"PERIPHERY_PASSKEYS=a_random_passkey"}, want: "PERIPHERY_PASSKEYS: this is a published sample"},
		"sample password":          {in: inUp, env: []string{"KOMODO_INIT_ADMIN_PASSWORD=changeme"}, want: "KOMODO_INIT_ADMIN_PASSWORD: this is a published sample"},
		"sample host":              {in: inCore, file: "host = \"https://komodo.example.com\"\n", want: "Komodo's sample file"},
		"bad host":                 {in: inCore, file: "\nhost = \"komodo.lan\"\n", want: `.toml:2: host: "komodo.lan": want an address like https://`},
		"bad port":                 {in: inCore, file: "port = 99999\n", want: "want a port"},
		"port is a text":           {in: inCore, file: "port = \"nine\"\n", want: "want a port"},
		"bad bind_ip":              {in: inCore, file: "bind_ip = \"eth0\"\n", want: "want an address of this machine"},
		"flag is a number":         {in: inCore, file: "ssl_enabled = 1\n", want: ".toml:1: ssl_enabled: want true or false"},
		"ignored, of wrong type":   {in: inCore, file: "[logging]\npretty = \"maybe\"\n", want: `.toml:2: logging.pretty: "maybe": want true or false`},
		"unknown in a table":       {in: inCore, file: "[logging]\nlvl = \"warn\"\n", want: ".toml:2: logging.lvl: unknown key: did you mean logging.level?"},
		"secrets of core":          {in: inCore, file: "[secrets]\nTOKEN = \"x\"\n", want: ".toml:1: secrets: it can have no effect: make each a variable"},
		"secrets of an agent":      {in: inAgent, file: "[secrets]\nTOKEN = \"x\"\n", want: "encrypt it with sops"},
		"logins of an agent":       {in: inAgent, file: "[[git_provider]]\ndomain = \"x\"\n", want: "put it into core's configuration"},
		"a shell":                  {in: inCore, file: "title = \"$(cat /etc/hostname)\"\n", want: ".toml:1: title: $(cat /etc/hostname) would be run by a shell"},
		"a misspelt host":          {in: inCore, file: "conect_as = \"$(hostname)\"\n", want: ".toml:1: conect_as: only connect_as can be $(hostname)"},
		"variable that is missing": {in: inCore, file: "title = \"${NOBODY_SET_IT}\"\n", want: ".toml:1: title: ${NOBODY_SET_IT}: the variable is not set"},
		"misspelt variable":        {in: inCore, env: []string{"KOMODO_WEBHOOK_SECRT=x"}, want: "did you mean KOMODO_WEBHOOK_SECRET?"},
		"core's address":           {in: inAgent, env: []string{"PERIPHERY_CORE_ADDRESS=ftp://core"}, want: "scheme must be"},
	} {
		t.Run(name, func(t *testing.T) {
			var args []string
			if c.file != "" {
				args = []string{"--config", write(t, "komodo.config"+map[bool]string{true: ".toml"}[c.ext == ""]+c.ext, c.file)}
			}
			_, err := loadSettings(t, c.in, args, c.env)
			if schema.CodeOf(err) != schema.Invalid || !strings.Contains(schema.SafeText(err), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
	t.Run("without effect", func(t *testing.T) {
		s, err := loadSettings(t, inUp, []string{"--config", write(t, "x.toml", peri)}, []string{"KOMODO_FIRST_SERVER=https://periphery:8120", "KOMODO_PASSKEY=hush"})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		s.say(slog.New(slog.NewTextHandler(&out, nil)))
		if !strings.Contains(out.String(), "agents dial core") || !strings.Contains(out.String(), "KOMODO_FIRST_SERVER") || strings.Contains(out.String(), "hush") {
			t.Errorf("it says\n%s", &out)
		}
		if s.agent.Repos != "/srv/repos" || s.agent.Data != "/etc/komodo/periphery" || s.core.Data != "/var/lib/berth" {
			t.Errorf("folders %s %s %s", s.agent.Repos, s.agent.Data, s.core.Data)
		}
	})
}

// An environment that core and agents share moves the data of agents alone.
func TestRootDirectoryIsTheAgents(t *testing.T) {
	const root = "PERIPHERY_ROOT_DIRECTORY=/etc/komodo"
	for name, c := range map[string]struct {
		in          part
		args, env   []string
		core, agent string
	}{
		"core":                    {in: inCore, env: []string{root}, core: "/var/lib/berth"},
		"up":                      {in: inUp, env: []string{root}, core: "/var/lib/berth", agent: "/etc/komodo/periphery"},
		"up, both said":           {in: inUp, env: []string{root, "BERTH_DATA=/srv/berth"}, core: "/srv/berth", agent: "/etc/komodo/periphery"},
		"agent":                   {in: inAgent, env: []string{root}, core: "/etc/komodo", agent: "/etc/komodo/periphery"},
		"agent, a flag":           {in: inAgent, env: []string{root}, args: []string{"--data", "/srv"}, core: "/srv", agent: "/srv/periphery"},
		"up, a flag":              {in: inUp, env: []string{root}, args: []string{"--data", "/srv"}, core: "/srv", agent: "/srv/periphery"},
		"agent, our own variable": {in: inAgent, env: []string{"BERTH_DATA=/srv"}, core: "/srv", agent: "/srv/periphery"},
	} {
		s, err := loadSettings(t, c.in, c.args, c.env)
		if err != nil {
			t.Fatal(err)
		}
		if s.core.Data != c.core || c.agent != "" && s.agent.Data != c.agent {
			t.Errorf("%s: core in %s, agent in %s", name, s.core.Data, s.agent.Data)
		}
	}
}

// One file serves berth up, core and agents: what is another's is no mistake.
func TestOneFileForAll(t *testing.T) {
	file := write(t, "berth.toml", "listen = \"127.0.0.1:9\"\nserver = \"nexus\"\ncore = [\"https://core:9120\", \"10.0.0.1\"]\nage_key_file = \"/k\"\nstack_dir = \"/srv/stacks\"\nwebhook_secret = \"s\"\nlog_format = \"json\"\n")
	for _, in := range []part{inCore, inUp, inAgent} {
		s, err := loadSettings(t, in, []string{"--config", file}, nil)
		if err != nil {
			t.Fatal(err)
		}
		heeds := map[string]string{"listen": s.core.Listen, "server": s.server, "core": s.agent.Core, "stacks": s.agent.Stacks, "format": s.format}
		want := map[part]map[string]string{
			inCore:  {"listen": "127.0.0.1:9", "server": "", "core": "", "stacks": "", "format": "json"},
			inUp:    {"listen": "127.0.0.1:9", "server": "nexus", "core": "", "stacks": "/srv/stacks", "format": "json"},
			inAgent: {"listen": "", "server": "", "core": "https://core:9120,10.0.0.1", "stacks": "/srv/stacks", "format": "json"},
		}[in]
		if d := cmp.Diff(want, heeds); d != "" {
			t.Errorf("%v: %s", in, d)
		}
	}
}

func TestSeveralFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"1.config.toml":     "title = \"first\"\ntrusted_proxy = [\"10.0.0.1\"]\n[logging]\nlevel = \"warn\"\n[[git_provider]]\ndomain = \"a\"\n",
		"2.config.yaml":     "title: second\ntrusted_proxy: [10.0.0.2]\nlogging: {pretty: true}\ngit_provider: [{domain: b, accounts: [{username: u, token: t}]}]\n",
		"notes.toml":        "nothing = \"to us\"\n",
		"3.config.toml.bak": "nothing",
		"last.json":         `{"timezone": "UTC"}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	paths := "KOMODO_CONFIG_PATHS=" + dir + "," + filepath.Join(dir, "last.json")
	s, err := loadSettings(t, inCore, nil, []string{paths})
	if err != nil {
		t.Fatal(err)
	}
	if c := s.core; c.Title != "second" || len(c.Proxies) != 2 || s.lvl != "warn" || len(c.Accounts.Git) != 1 || c.Zone != "UTC" {
		t.Errorf("%+v", c)
	}
	s, err = loadSettings(t, inCore, nil, []string{paths, "KOMODO_EXTEND_CONFIG_ARRAYS=false", "KOMODO_MERGE_NESTED_CONFIG=false"})
	if err != nil || len(s.core.Proxies) != 1 || s.lvl != "info" {
		t.Errorf("neither added: %+v %s %v", s.core.Proxies, s.lvl, err)
	}
	if _, err = loadSettings(t, inCore, []string{"--config-path", dir, "--config-keyword", "notes*"}, nil); err == nil || !strings.Contains(err.Error(), "notes.toml:1: nothing: unknown key") {
		t.Errorf("another keyword: %v", err)
	}
}

// A value is a text, or what variables make of it.
func TestVariablesInValues(t *testing.T) {
	s, err := loadSettings(t, inCore, []string{"--config", write(t, "x.toml", "title = \"${A}-$${A}\"\nport = \"${P}\"\nwebhook_secret = \"pa$$word$\"\n")}, []string{"A=lab", "P=9999"})
	if err != nil || s.core.Title != "lab-${A}" || s.core.Listen != ":9999" || s.core.WebhookSecret != "pa$$word$" {
		t.Errorf("%q %q %v", s.core.Title, s.core.Listen, err)
	}
	again, err := loadSettings(t, inCore, []string{"--config", write(t, "y.toml", string(s.effective()))}, nil)
	if err != nil || again.core.Title != s.core.Title || again.core.Listen != s.core.Listen || again.core.WebhookSecret != "pa$$word$" {
		t.Errorf("written and read again: %q %q %v", again.core.Title, again.core.Listen, err)
	}
}
