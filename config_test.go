package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/pflag"

	"berth/core"
	"berth/schema"
)

// envOf is an environment of NAME=value.
func envOf(kv ...string) (func(string) string, []string) {
	return func(name string) string {
		for _, e := range kv {
			if k, v, _ := strings.Cut(e, "="); k == name {
				return v
			}
		}
		return ""
	}, kv
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// loadCore reads the settings of core.
func loadCore(t *testing.T, args, kv []string) (core.Config, error) {
	t.Helper()
	s, err := loadSettings(t, inCore, args, kv)
	return s.core, err
}

// loadSettings reads the settings of a process.
func loadSettings(t *testing.T, in part, args, kv []string) (*settings, error) {
	t.Helper()
	s := newSettings(in)
	fs := pflag.NewFlagSet("berth", pflag.ContinueOnError)
	s.flags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	env, environ := envOf(append(kv, "HOME=/nonexistent")...)
	return s, s.load(fs, env, environ)
}

// Whoever writes a file is told of all its mistakes at once.
func TestAllMistakesOfAFile(t *testing.T) {
	file := write(t, "berth.toml", `lissten = ":1"
title = "${NOBODY_SET_IT}"
port = 99999
sync = "never"
webhook_secret = "changeme"
pool = 5

[logging]
lvl = "warn"

[[git_provider]]
domain = "x"
token = "y"
`)
	_, err := loadCore(t, []string{"--config", file}, nil)
	text := schema.SafeText(err)
	for _, want := range []string{
		":1: lissten: unknown key: did you mean listen?", ":2: title: ${NOBODY_SET_IT}: the variable is not set", `:3: port: "99999": want a port`, `:4: sync: "never": want`,
		":5: webhook_secret: this is a published sample", ":6: pool: unknown key", ":9: logging.lvl: unknown key", `:11: git_provider: unknown key "token"`,
	} {
		if strings.Count(text, file+want) != 1 {
			t.Errorf("it lacks %s:\n%s", want, text)
		}
	}
	if n := strings.Count(text, "\n"); schema.CodeOf(err) != schema.Invalid || n != 7 {
		t.Errorf("%d lines, %s", n+1, text)
	}
}

func TestPrecedence(t *testing.T) {
	file := write(t, "berth.toml", `
listen = ":1"
title = "from the file"
sync = "100ms"
trusted_proxy = ["10.0.0.0/8", "192.0.2.1"]
webhook_secret = "from the file"

[[git_provider]]
domain = "git.example"
https = false
accounts = [{ username = "ada", token = "t0ken" }]
`)
	secret := write(t, "secret", "from a secret's file\n")
	c, err := loadCore(t, []string{"--config", file, "--listen", ":3"}, []string{
		"BERTH_LISTEN=:2", "KOMODO_WEBHOOK_SECRET_FILE=" + secret, "BERTH_ALLOW_PLAINTEXT=true", "KOMODO_INIT_ADMIN_USERNAME=ada", "KOMODO_TITLE=from the environment",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := core.Config{
		Data: "/var/lib/berth", Listen: ":3", Title: "from the environment", Sync: 100 * time.Millisecond, AllowPlaintext: true, Backup: core.Backups{Keep: 14},
		WebhookSecret: "from a secret's file", AdminUsername: "ada",
		Proxies:  []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.1/32")},
		Accounts: core.Accounts{Git: []core.Account{{Provider: "git.example", Username: "ada", Token: "t0ken", HTTP: true}}},
		Poll:     5 * time.Minute, SystemProcedures: true, SignIn: core.SignIn{TokenTTL: 24 * time.Hour, OIDC: core.OIDC{GroupsClaim: "groups"}},
	}
	if d := cmp.Diff(want, c, cmpopts.EquateComparable(netip.Prefix{}), cmpopts.IgnoreFields(core.Config{}, "Log", "Ready"), cmpopts.IgnoreUnexported(core.Config{})); d != "" {
		t.Error(d)
	}
}

// Row 8: a key that is unknown is refused, with what was meant.
func TestRow08UnknownConfigKeyIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		env  []string
		want string
	}{
		"unknown key":         {file: "\nlissten = ':1'\n", want: "berth.toml:2: lissten: unknown key: did you mean listen?"},
		"nearly stack_dir":    {file: "stacks_dir = '/etc/komodo/stacks'\n", want: "berth.toml:1: stacks_dir: unknown key: did you mean stack_dir?"},
		"unknown table":       {file: "[[git_providers]]\ndomain='x'\n", want: "berth.toml:1: git_providers: unknown key: did you mean git_provider?"},
		"unknown nested key":  {file: "[[git_provider]]\ndomain='x'\ntoken='y'\n", want: `berth.toml:1: git_provider: unknown key "token"`},
		"duplicate key":       {file: "listen=':1'\nlisten=':2'\n", want: "berth.toml:2"},
		"not TOML":            {file: "listen\n", want: "berth.toml:1"},
		"wrong type":          {file: "listen = 5\n", want: "want a text"},
		"bad sync":            {file: "sync = 'never'\n", want: `berth.toml:1: sync: "never": want "always" or a time`},
		"bad proxy":           {env: []string{"BERTH_TRUSTED_PROXY=lan"}, want: `BERTH_TRUSTED_PROXY: "lan"`},
		"bad bool":            {env: []string{"BERTH_ALLOW_PLAINTEXT=yep"}, want: "want true or false"},
		"misspelt variable":   {env: []string{"BERTH_WEBHOOK_SECRT=x"}, want: "did you mean BERTH_WEBHOOK_SECRET?"},
		"value and its file":  {env: []string{"BERTH_WEBHOOK_SECRET=x", "BERTH_WEBHOOK_SECRET_FILE=y"}, want: "both set"},
		"missing secret file": {env: []string{"BERTH_WEBHOOK_SECRET_FILE=/nonexistent"}, want: "BERTH_WEBHOOK_SECRET_FILE"},
		"missing config file": {env: []string{"BERTH_CONFIG=/nonexistent.toml"}, want: "/nonexistent.toml"},
	} {
		t.Run(name, func(t *testing.T) {
			env := c.env
			if c.file != "" {
				env = append(env, "BERTH_CONFIG="+write(t, "berth.toml", c.file))
			}
			_, err := loadCore(t, nil, env)
			if err == nil || !strings.Contains(err.Error(), c.want) || schema.CodeOf(err) != schema.Invalid {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
	if _, err := loadCore(t, nil, []string{"BERTH_PORT_9120_TCP=x", "BERTH_SERVICE_HOST=y", "BERTH_HOST=z", "BERTH_OF_MY_OWN=1"}); err != nil {
		t.Errorf("what others put into the environment: %v", err)
	}
}

func TestClientConfigIsStrict(t *testing.T) {
	s := &station{t: t, home: t.TempDir()}
	dir := filepath.Join(s.home, ".config", "berth")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"host = \"x\"\nkye = \"y\"\n":     "cli.toml:2: kye: unknown key",
		"host = \"x\"\nhost = \"y\"\n":    "cli.toml:2",
		"host = \"http://127.0.0.1:1\"\n": "berth login",
	} {
		if err := os.WriteFile(filepath.Join(dir, "cli.toml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, errs := s.do("list"); !strings.Contains(errs, want) {
			t.Errorf("%q: %s", text, errs)
		}
	}
}

func TestKomodosOwnConfigIsRead(t *testing.T) {
	env, environ := envOf("HOME=" + t.TempDir())
	p := &program{world: world{env: env, environ: environ}}
	dir := home(env, "komodo")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	text := "default_profile = \"h\"\ntable_borders = \"Horizontal\"\n[[profile]]\nname = \"home\"\naliases = [\"h\"]\nhost = \"https://komodo.lan\"\nkey = \"K_x_K\"\nsecret = \"S_x_S\"\n"
	if err := os.WriteFile(filepath.Join(dir, "komodo.cli.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := p.account()
	if err != nil || a.Host != "https://komodo.lan" || a.Key != "K_x_K" || a.Secret != "S_x_S" {
		t.Errorf("%+v %v", a, err)
	}
}

// A default_profile that names nothing is said, instead of another core being asked.
func TestDefaultProfileThatIsNotThere(t *testing.T) {
	env, environ := envOf("HOME=" + t.TempDir())
	p := &program{world: world{env: env, environ: environ}}
	if err := os.MkdirAll(home(env, "komodo"), 0o700); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"default_profile = \"lab\"\n": "komodo.cli.toml: default_profile \"lab\": the file has no profile",
		"default_profile = \"lab\"\n[[profile]]\nname = \"home\"\nhost = \"https://komodo.lan\"\n": "default_profile \"lab\": there is no such profile: there are home",
	} {
		if err := os.WriteFile(filepath.Join(home(env, "komodo"), "komodo.cli.toml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := p.account(); schema.CodeOf(err) != schema.Invalid || !strings.Contains(schema.SafeText(err), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// What a backup keeps of the configuration is read again as it was.
func TestEffectiveConfiguration(t *testing.T) {
	file := write(t, "berth.toml", "title = \"a \\\"title\\\" \\u0001\"\ntrusted_proxy = [\"10.0.0.0/8\", \"192.0.2.1\"]\nbackup_keep = 3\nallow_plaintext = true\n"+
		"[[git_provider]]\ndomain = \"git.example\"\naccounts = [{ username = \"ada\", token = \"t0ken\" }]\n")
	load := func(file string, args, kv []string) (core.Config, []byte) {
		t.Helper()
		s, err := loadSettings(t, inCore, append(args, "--config", file), kv)
		if err != nil {
			t.Fatal(err)
		}
		return s.core, s.effective()
	}
	c, text := load(file, []string{"--listen", ":3", "--data", "/old"}, []string{"BERTH_WEBHOOK_SECRET=a secret", "BERTH_ADMIN_PASSWORD=not this"})
	if strings.Contains(string(text), "not this") || strings.Contains(string(text), "/old") {
		t.Errorf("it holds what a restored core must not get:\n%s", text)
	}
	again, same := load(write(t, "restored.toml", string(text)), []string{"--data", "/new"}, nil)
	c.Data, c.AdminPassword = "/new", ""
	if diff := cmp.Diff(c, again, cmpopts.EquateComparable(netip.Prefix{}), cmpopts.IgnoreUnexported(core.Config{})); diff != "" {
		t.Errorf("-was +restored: %s\n%s", diff, text)
	}
	if string(same) != string(text) {
		t.Errorf("written again it differs:\n%s\n%s", text, same)
	}
}
