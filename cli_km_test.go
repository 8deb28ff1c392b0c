package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// newKm is a core that is asked by the name km, with Komodo's configuration alone.
func newKm(t *testing.T) *station {
	t.Helper()
	s := newStation(t)
	s.ok("login", s.url, "--username", "ada", "--password-file", write(t, "pw", "correct horse\n"))
	s.ok("apply", "--yes", write(t, "all.toml", allKinds))
	made := map[string]string{}
	if err := json.Unmarshal([]byte(s.ok("key", "create", "km", "--json")), &made); err != nil {
		t.Fatal(err)
	}
	s.home, s.name = t.TempDir(), "/usr/local/bin/km"
	s.configure("komodo.cli.toml", "default_profile = \"home\"\n[[profile]]\nname = \"home\"\naliases = [\"h\"]\nhost = \""+s.url+"\"\nkey = \""+made["key"]+"\"\nsecret = \"${THE_SECRET}\"\n")
	s.env = []string{"THE_SECRET=" + made["secret"]}
	t.Chdir(t.TempDir())
	return s
}

func (s *station) configure(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.home, ".config", "komodo", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// TestKm runs command lines as Komodo's users type them.
func TestKm(t *testing.T) {
	s := newKm(t)
	for _, c := range []struct {
		line string
		code int
		has  string
	}{
		{"execute sync fleet -y", 0, "EXECUTION SUCCESSFUL"},
		{"execute procedure nap --yes", 0, "FINISHED in"},
		{"run pr nap -y", 0, "EXECUTION SUCCESSFUL"},
		{"run -y action greet who=you&n=2", 0, "hello you 2"},
		{"run action greet who=you&n=2 -y", 0, `Data: RunAction {"action":"greet","args":{"n":"2","who":"you"}}`},
		{"x -y sleep 1", 0, "Link: '" + s.url + "/runs/"},
		{"execute none", 0, "EXECUTION SUCCESSFUL"},
		{"execute run-action break -y", 1, "EXECUTION FAILED"},
		{"execute deploy-stack web", 2, "give --yes"},
		{"deploy stack nobody -y", 4, "nobody"},
		{"execute batch-run-procedure na* -y", 0, "EXECUTION SUCCESSFUL"},
		{"send alert careful -l warning -d details -a phone -y", 1, "no alerter took it"},
		{"execute cancel-procedure nap -u 000000000000000000000000 -y", 5, "does not run"},
		{"execute auto-update -s -y", 0, "GlobalAutoUpdate"},
		{"execute stop-stack web 30 app --yes --no-wait", 0, ""},
		{"execute stop-stack web app --yes --no-wait", 0, ""},
		{"execute run-stack-service web app ls --no-deps -e A=1&B=2 --workdir /tmp -y --no-wait", 0, ""},
		{"execute remove-swarm-nodes sw one two -f -y", 4, `{"force":true,"nodes":["one","two"],"swarm":"sw"}`},
		{"execute stop-container --help", 0, "km execute stop-container SERVER CONTAINER [SIGNAL] [TIME]"},
		{"execute update-swarm-node --help", 0, "-a, --availability"},
		{"list servers", 0, ""},
		{"list servers -a", 0, "not-ok"},
		{"list stacks -a", 0, "web"},
		{"list -a", 0, "fleet"},
		{"ls st -a -n w* -s atlas -l", 0, "/stacks/web"},
		{"list procedures -l", 0, "/procedures/nap"},
		{"list -p 1 stacks -a", 0, "web"},
		{"list schedules -t home -f json", 0, "[]"},
		{"list schedules -t nothing", 4, "no tag"},
		{"list sched", 0, "Every day at 03:00"},
		{"list terminals", 2, ""},
		{"list stacks -m sometimes", 2, "want exclude, include or only"},
		{"list stack web", 2, ""},
		{"list things", 2, "unknown kind"},
		{"ps -a", 0, "Container"},
		{"container -f json", 0, "[]"},
		{"inspect nobody", 4, "berth ps -a"},
		{"core-info", 0, `"webhook_base_url"`},
		{"core", 0, `"webhook_base_url"`},
		{"config", 0, "CLI Config"},
		{"config reference", 0, "KOMODO_"},
		{"cf -a", 0, `"config_profile": "home"`},
		{"-p h config", 0, s.url},
		{"-p nobody ls", 2, "there are home, h"},
		{"key gen", 0, "Public Key: MCowBQYDK2VuAyEA"},
		{"k g -f j", 0, `{"private_key":"MC4CAQAwBQYDK2VuBCIEI`},
		{"k comp 0123456789abcdef0123456789abcdef -f jp", 0, `"private_key": "MC4CAQAwBQYDK2VuBCIEIDAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVm"`},
		{"key compute nonsense", 2, "no private X25519 key"},
		{"new ak ci -e 30", 0, "Secret: S_"},
		{"create onboarding-key rack -e 7 -t home -p -s atlas -b", 0, "Onboarding Key: O_"},
		{"cr ok --copy nobody", 4, "nobody"},
		{"connect atlas", 2, "terminals are not in this version"},
		{"ssh atlas ls -n ssh", 2, "terminals"},
		{"exec web sh -s atlas", 2, "terminals"},
		{"attach web", 2, "terminals"},
		{"db copy --uri mongodb://x", 2, "no database"},
		{"db v1-downgrade -y", 2, "no database"},
		{"set var GREETING hello -y", 0, "Made."},
		{"set var GREETING hi -y", 0, "Set."},
		{"update variable GREETING hush -s true -y", 0, "Set."},
		{"list variables", 0, "GREETING"},
		{"update stack web auto_pull=false&links=https://a&links=https://b -y", 0, "Changed."},
		{"copy procedure nap nap-next", 0, "Made procedure nap-next."},
		{"copy procedure nap nap-next", 5, "nap-next"},
		{"copy stack nobody other", 4, "nobody"},
		{"set stk web auto_pul=false -y", 2, "did you mean auto_pull?"},
		{"set stk web auto_pull=perhaps -y", 2, "want true or false"},
		{"set stk nobody auto_pull=true -y", 4, "nobody"},
		{"update srv atlas enabled=false", 2, "--yes"},
		{"update user eve password x -y", 3, "the API key is ada's"},
		{"nonsense", 2, `unknown command "nonsense" for "km"`},
		{"create nonsense", 2, "unknown command"},
		{"-d true list -a", 0, "komodo.cli.toml"},
	} {
		code, out, errs := s.do(strings.Fields(c.line)...)
		if code != c.code || !strings.Contains(out+errs, c.has) {
			t.Errorf("km %s: exit code %d, want %d and %q\n%s%s", c.line, code, c.code, c.has, out, errs)
		}
	}
	if out := s.ok("list", "servers"); out != "" {
		t.Errorf("a server that is down is listed: %s", out)
	}
	if out := s.ok("config", "-a"); strings.Contains(out, "S_") || !strings.Contains(out, "####") {
		t.Error("secrets are shown:", out)
	}
	if out := s.ok("config", "--unsanitized"); !strings.Contains(out, strings.TrimPrefix(s.env[0], "THE_SECRET=")) {
		t.Error(out)
	}
	var stacks []struct {
		Tags []string
		Info struct {
			Server string `json:"server_id"`
		}
	}
	if err := json.Unmarshal([]byte(s.ok("list", "stacks", "-a", "-f", "j")), &stacks); err != nil || len(stacks) != 1 || stacks[0].Tags[0] != "home" || stacks[0].Info.Server != "atlas" {
		t.Errorf("%+v %v", stacks, err)
	}
	if out := s.ok("execute", "get-stack", "web"); !strings.Contains(out, `"https://b"`) {
		t.Error("the update of the stack:", out)
	}
}

func TestKmTables(t *testing.T) {
	s := newKm(t)
	s.env = append(s.env, "KOMODO_CLI_TABLE_BORDERS=all")
	if out := s.ok("list", "servers", "-a"); !strings.Contains(out, "│ atlas  │ not-ok │ inbound │") || !strings.HasPrefix(out, "┌─") {
		t.Error(out)
	}
	s.env = append(s.env, "KOMODO_CLI_TABLE_BORDERS=dotted")
	s.env[len(s.env)-2] = ""
	if code, _, errs := s.do("list", "servers", "-a"); code != 2 || !strings.Contains(errs, "want Horizontal") {
		t.Error(code, errs)
	}
}

func TestBackupsAreNamedAndPruned(t *testing.T) {
	s := newKm(t)
	dir := t.TempDir()
	s.env = append(s.env, "BERTH_BACKUP_PASSPHRASE=four words that hold", "KOMODO_CLI_MAX_BACKUPS=1")
	if err := os.WriteFile(filepath.Join(dir, "core-2020-01-02_03-04-05.age"), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "core-other.age"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.ok("db", "backup", "-f", dir, "-y")
	if code, _, errs := s.do("db", "rst", "-f", dir); code != 2 || !strings.Contains(errs, "berth restore "+dir+"/core-2") || strings.Contains(errs, "core-2020") {
		t.Error(code, errs)
	}
	if code, _, errs := s.do("db", "prune", "-f", dir); code != 2 || !strings.Contains(errs, "--yes") {
		t.Error(code, errs)
	}
	if out := s.ok("database", "prune", "-f", dir, "-y"); !strings.Contains(out, "1 backup removed, 1 left") {
		t.Error(out)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("%v %v", left, err)
	}
}

func TestManPages(t *testing.T) {
	s := &station{t: t, home: t.TempDir()}
	dir := filepath.Join(t.TempDir(), "man1")
	s.ok("docs", "man", dir)
	for name, want := range map[string]string{"berth-execute-stop-container.1": "--signal", "berth-list-stacks.1": "--links", "berth.1": "berth-apply"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s lacks %s: %v\n%.300s", name, want, err, text)
		}
	}
}

func TestKmNamesAreCompleted(t *testing.T) {
	s := newKm(t)
	for line, want := range map[string]string{
		"execute dep": "deploy-stack", "execute deploy-stack ": "web", "run -y action ": "greet", "execute deploy-stack --": "--services",
		"update stack ": "web", "list stacks -n ": "web", "list stacks -s ": "atlas", "-p ": "home", "execute batch-deploy-stack ": "web",
		"execute stop-container ": "atlas", "ps -s ": "atlas", "list ": "deployments", "set ": "variable",
	} {
		args := append([]string{"__complete"}, strings.Split(line, " ")...)
		if _, out, errs := s.do(args...); !strings.Contains(out, want) {
			t.Errorf("%q does not offer %s: %s%s", line, want, out, errs)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if out := s.ok("completion", shell); !strings.Contains(out, "km") {
			t.Errorf("no completion for %s", shell)
		}
	}
}

// TestKmWithoutFiles is km in a container: all from the environment, the command line,
// or a .env beside.
func TestKmWithoutFiles(t *testing.T) {
	s := newKm(t)
	line := s.ok("create", "api-key", "here", "--json")
	var made struct{ Key, Secret string }
	if err := json.Unmarshal([]byte(line), &made); err != nil {
		t.Fatal(err)
	}
	s.home, s.env = t.TempDir(), nil
	if code, _, errs := s.do("list"); code == 0 {
		t.Errorf("without anything: %s", errs)
	}
	s.ok("execute", "-a", s.url, "-k", made.Key, "-s", made.Secret, "sleep", "1", "-y")
	s.ok("run", "pr", "nap", "-y", "--host", s.url, "-k", made.Key, "-s", made.Secret)
	s.ok("execute", "auto-update", "-s", "-y", "-k", made.Key, "--secret", made.Secret, "-a", s.url)
	if err := os.WriteFile(".env", []byte("HERE="+s.url+"\nKOMODO_CLI_HOST=${HERE}\nKOMODO_CLI_KEY="+made.Key+"\nKOMODO_CLI_SECRET='"+made.Secret+"'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.ok("list", "-a")
	s.env = []string{"KOMODO_CLI_SECRET=S_wrong_S"}
	if code, _, errs := s.do("list"); code != 3 {
		t.Errorf("the environment is not before .env: %d %s", code, errs)
	}
}
