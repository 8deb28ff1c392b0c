package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/keyservice"
	"github.com/getsops/sops/v3/stores/dotenv"
	sopsjson "github.com/getsops/sops/v3/stores/json"
	"github.com/moby/moby/client"
	"github.com/nats-io/nats.go/jetstream"

	"berth/bus/hub"
	"berth/e2e/forge"
	"berth/e2e/homelab"
	"berth/e2e/wire"
	"berth/e2e/world"
	"berth/periphery/docker/dockertest"
	"berth/periphery/docker/dockertest/rig"
	"berth/periphery/git/gittest"
)

// canaries are secrets that are looked for afterwards. Each has characters that
// quoting, JSON, URLs and HTML write otherwise.
func canaries() map[string]string {
	return map[string]string{
		"sops env":          `canary-env-5b1f+/"x" 7e`,
		"sops json":         `canary-json-c0ffee<&>'9'`,
		"variable":          `canary-variable-8d2/+e&7f`,
		"registry password": `canary-registry-31&+0a`,
		"git token":         `canary-git-token-77ab%/4`,
		"webhook secret":    `canary-webhook-9e+c`,
		"admin's password":  world.Password,
	}
}

// canaryWorld is a server with an age key, and stacks that use every kind of
// secret.
type canaryWorld struct {
	*homelab.Homelab
	secret  map[string]string
	keyFile string
	key     *age.X25519Identity
	private *gittest.FixtureRepo // behind the git token
	args    string               // file with the arguments of all processes, as a hook saw them
	tmp     string               // TMPDIR of core and the agent
	runs    []string             // ids
}

// mark is printed beside the secrets and is none: it must be found everywhere, or
// the search is no good.
const mark = "not-a-secret-4711"

// TestCanary deploys with secrets of every kind, well and badly, and looks for
// them in all that Berth keeps, says and shows.
//
// The one place where values must be is outside of Berth: below its data root, the
// engine keeps a container's environment in its configuration, a decrypted file
// that was given to a container in that container's layer, and what the container
// itself prints in its log.
func TestCanary(t *testing.T) {
	h := newCanaryWorld(t)
	for _, part := range []struct {
		name string
		do   func(*testing.T, *canaryWorld)
	}{
		{"sops as its users have it", canarySops},
		{"variables", canaryVariables},
		{"runs that fail", canaryFailures},
		{"keys", canaryKeys},
		{"answers, pages, logs", canaryShown},
		{"killed half way", canaryKilled},
		{"disks and streams", canaryKept},
	} {
		t.Run(part.name, func(t *testing.T) { h.Use(t); part.do(t, h) })
	}
}

func newCanaryWorld(t *testing.T) *canaryWorld {
	t.Helper()
	h := &canaryWorld{
		secret: canaries(), keyFile: filepath.Join(t.TempDir(), "age", "keys.txt"), args: filepath.Join(t.TempDir(), "args"), tmp: t.TempDir(),
	}
	var err error
	if h.key, err = age.GenerateX25519Identity(); err != nil {
		t.Fatal(err)
	}
	h.putKey(t)
	private := gittest.New(t, gittest.Config{Username: "deploy", Password: h.secret["git token"], SSHAddr: "-"})
	h.private = private.Repo("ada/homeops")
	config := filepath.Join(t.TempDir(), "core.toml")
	w := world.New(t, world.Options{
		Servers: []string{world.Nexus}, RegistryPassword: h.secret["registry password"],
		Agent: []string{"--age-key-file", h.keyFile}, Env: []string{"TMPDIR=" + h.tmp},
		Core: func(w *world.World) []string {
			text := fmt.Sprintf("[[git_provider]]\ndomain = %q\nhttps = false\naccounts = [{ username = %q, token = %q }]\n\n[[image_registry]]\ndomain = %q\nhttps = false\naccounts = [{ username = %q, token = %q }]\n",
				host(private.URL()), "deploy", h.secret["git token"], w.Registry.Host(w.Servers[world.Nexus].Engine.Gateway), w.Registry.User, w.Registry.Password)
			writeFile(t, config, text)
			return []string{"--config", config}
		},
	})
	h.Homelab = &homelab.Homelab{World: w}
	engine := w.Servers[world.Nexus].Engine
	dockertest.BuildImage(t, engine, "berth-e2e/app", "1", rig.Behaviour{})
	w.Registry.Push(t, "team/app", "1", dockertest.Compiled(t).Binary(), "one")
	h.private.Commit(h.homeops(t), "Begin")
	h.Apply(h.toml())
	return h
}

func host(u string) string { return strings.TrimPrefix(u, "http://") }

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (h *canaryWorld) putKey(t *testing.T) {
	t.Helper()
	_ = os.Remove(h.keyFile)
	writeFile(t, h.keyFile, h.key.String()+"\n")
}

// image is the registry's image, as the engine names it.
func (h *canaryWorld) image() string {
	return h.Registry.Host(h.Servers[world.Nexus].Engine.Gateway) + "/team/app:1"
}

// homeops is the repository of somebody who keeps secrets with sops: as in his
// handbook, file for file.
func (h *canaryWorld) homeops(t *testing.T) map[string]string {
	t.Helper()
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	const dir = "docker/stacks/nexus/"
	env := "MY_SECRET=" + h.secret["sops env"] + "\nDB_USER=app\n"
	small := "services: {app: {image: 'berth-e2e/app:1', env_file: .env}}\n"
	return map[string]string{
		dir + "my-service/compose.yaml": fmt.Sprintf(`services:
  app:
    image: %s
    env_file: .env
    environment: {PLAIN: "${NON_SECRET_VAR}"}
    volumes: ["./app.json:/run/app.json:ro"]
    command: ["-cat", "/run/app.json"]
`, h.image()),
		dir + "my-service/.sops.env":     string(seal(t, ".sops.env", env, h.key.Recipient())),
		dir + "my-service/app.sops.json": string(seal(t, "app.sops.json", string(must(json.Marshal(map[string]string{"token": h.secret["sops json"]}))), h.key.Recipient())),
		dir + "foreign/compose.yaml":     small,
		dir + "foreign/.sops.env":        string(seal(t, ".sops.env", env, other.Recipient())),
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// seal encrypts a file as the sops tool does.
func seal(t *testing.T, name, plain string, to *age.X25519Recipient) []byte {
	t.Helper()
	var store sops.Store = &dotenv.Store{}
	if strings.HasSuffix(name, ".json") {
		store = &sopsjson.Store{}
	}
	branches, err := store.LoadPlainFile([]byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	master := must(sopsage.MasterKeyFromRecipient(to.String()))
	tree := sops.Tree{Branches: branches, Metadata: sops.Metadata{
		UnencryptedSuffix: sops.DefaultUnencryptedSuffix, Version: "3.9.4", LastModified: time.Now().UTC(), KeyGroups: []sops.KeyGroup{{master}},
	}}
	key, errs := tree.GenerateDataKeyWithKeyServices([]keyservice.KeyServiceClient{keyservice.NewLocalClient()})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	cipher := aes.NewCipher()
	mac := must(tree.Encrypt(key, cipher))
	tree.Metadata.MessageAuthenticationCode = must(cipher.Encrypt(mac, key, tree.Metadata.LastModified.Format(time.RFC3339)))
	return must(store.EmitEncryptedFile(tree))
}

// toml are the resources: first the handbook's pattern as it stands there, then
// what fails and prints.
func (h *canaryWorld) toml() string {
	text := ""
	for _, name := range []string{"my-service", "foreign"} {
		text += fmt.Sprintf(`
[[stack]]
name = "%[1]s"
description = "What this service does"
tags = ["category", "nexus"]
[stack.config]
server_id = "nexus"
file_paths = ["docker/stacks/nexus/%[1]s/compose.yaml"]
repo = "ada/homeops"
branch = "main"
environment = """
NON_SECRET_VAR=value
"""
git_provider = "%[2]s"
git_https = false
git_account = "deploy"
registry_provider = "%[3]s"
registry_account = "%[4]s"
webhook_secret = %[5]q
[stack.config.pre_deploy]
path = "docker/stacks/nexus/%[1]s"
command = "sops-decrypt.sh"
`, name, host(h.privateURL()), strings.TrimSuffix(h.image(), "/team/app:1"), h.Registry.User, h.secret["webhook secret"])
	}
	text += fmt.Sprintf("\n[[variable]]\nname = \"CANARY\"\nis_secret = true\nvalue = %q\n", h.secret["variable"])
	printing := "echo " + mark + ` "[[CANARY]]"
echo -n "[[CANARY]]" | base64
echo "[[CANARY]]" >&2
printf '%s' "[[CANARY]]" | od -An -tx1 | tr -d ' \n'; echo
cat /proc/[0-9]*/cmdline | tr '\0' ' ' > ` + h.args
	stack := func(name, settings string) {
		text += fmt.Sprintf("\n[[stack]]\nname = %q\n[stack.config]\nserver = \"nexus\"\nauto_pull = false\n%s\n", name, settings)
	}
	pre := func(command string) string {
		return "pre_deploy = { shell_mode = true, command = '''\n" + command + "\n''' }\n"
	}
	const contents = `file_contents = """
services:
  app:
    image: berth-e2e/app:1
    environment: ["A=[[CANARY]]", "B=${TOKEN}"]
"""
`
	const env = "environment = \"\"\"\nTOKEN = [[CANARY]]\n\"\"\"\n"
	stack("vars", contents+env+pre(printing))
	stack("slow", contents+env+pre("echo "+mark+" \"[[CANARY]]\"; touch "+h.step("begun")+"; until [ -e "+h.step("go")+" ]; do sleep 0.05; done\n"+
		"for i in $(seq 200); do echo \"[[CANARY]] $i\"; done; touch "+h.step("printed")+"; sleep 600"))
	stack("only-env", "environment = \"\"\"\nTOKEN = [[CANARY]]\n\"\"\"\nfile_contents = \"\"\"\nservices: {app: {image: 'berth-e2e/app:1', environment: [\"B=${TOKEN}\"]}}\n\"\"\"\n")
	stack("fails", contents+env+pre(printing+"\nexit 3"))
	stack("dies", `file_contents = """
services:
  app:
    image: berth-e2e/app:1
    environment: {TOKEN: "[[CANARY]]"}
    command: ["-show", "TOKEN", "-exit", "1"]
"""
`+"health_timeout = 5\n")
	stack("bad-port", "file_contents = \"\"\"\nservices: {app: {image: 'berth-e2e/app:1', ports: [\"[[CANARY]]\"]}}\n\"\"\"\n")
	stack("bad-image", env+"file_contents = \"\"\"\nservices: {app: {image: \"${TOKEN}\"}}\n\"\"\"\n")
	stack("bad-mount", env+"file_contents = \"\"\"\nservices: {app: {image: 'berth-e2e/app:1', volumes: [\"/nowhere/[[CANARY]]:relative\"]}}\n\"\"\"\n")
	stack("bad-yaml", "file_contents = \"\"\"\nservices: {app: {image: 'berth-e2e/app:1', [[CANARY]]: [}}\n\"\"\"\n")
	stack("bad-args", "file_contents = \"services: {app: {image: 'berth-e2e/app:1'}}\"\nextra_args = [\"--[[CANARY]]\"]\n")
	stack("bad-token", fmt.Sprintf("repo = \"ada/homeops\"\ngit_provider = %q\ngit_https = false\ngit_account = \"deploy\"\nbranch = \"nothing-like-it\"\n", host(h.privateURL())))
	text += fmt.Sprintf(`
[[repo]]
name = "homeops"
[repo.config]
server = "nexus"
git_provider = "%s"
git_https = false
git_account = "deploy"
repo = "ada/homeops"
on_pull = { command = "echo %s '[[CANARY]]'" }
`, host(h.privateURL()), mark)
	return text
}

func (h *canaryWorld) privateURL() string {
	return strings.TrimSuffix(h.private.URL(), "/ada/homeops.git")
}

// deploy deploys a stack to the end of its run.
func (h *canaryWorld) deploy(t *testing.T, stack string) wire.Run {
	t.Helper()
	return h.execute(t, "DeployStack", wire.Params{"stack": stack})
}

func (h *canaryWorld) execute(t *testing.T, request string, p wire.Params) wire.Run {
	t.Helper()
	var u wire.Update
	if err := h.API.Call(t.Context(), "execute", request, p, &u); err != nil {
		t.Fatal(err)
	}
	h.runs = append(h.runs, u.ID.OID)
	return h.Ended(t, u.ID.OID, minute)
}

// environment is that of a project's only container.
func environment(t *testing.T, engine *rig.Engine, project string) map[string]string {
	t.Helper()
	list, err := engine.Containers(t.Context(), project)
	if err != nil || len(list) != 1 {
		t.Fatalf("containers of %s: %v (%v)", project, list, err)
	}
	c, err := engine.API().ContainerInspect(t.Context(), list[0].ID, client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, kv := range c.Container.Config.Env {
		name, value, _ := strings.Cut(kv, "=")
		out[name] = value
	}
	return out
}

// canarySops deploys by the pattern of the handbook, with no script and no sops
// on the server.
func canarySops(t *testing.T, h *canaryWorld) {
	if r := h.deploy(t, "my-service"); r.State != "succeeded" {
		t.Fatalf("the run did not succeed:\n%s", h.Tree(t, r, ""))
	}
	env := environment(t, h.Servers[world.Nexus].Engine, "my-service")
	for name, want := range map[string]string{"MY_SECRET": h.secret["sops env"], "DB_USER": "app", "PLAIN": "value"} {
		if env[name] != want {
			t.Errorf("%s in the container is %q, want %q", name, env[name], want)
		}
	}
	if h.Registry.Pulled("team/app") == 0 {
		t.Error("the image was not pulled")
	}
	id := slices.Collect(maps.Values(h.Containers(world.Nexus, "my-service")))[0]
	if got := h.printed(t, "my-service"); !strings.Contains(got, "canary-json") {
		t.Errorf("the container, which prints its decrypted file, said %q", got)
	}
	if r := h.deploy(t, "my-service"); r.State != "succeeded" {
		t.Errorf("once more: %s: %s", r.State, r.Why())
	}
	if again := slices.Collect(maps.Values(h.Containers(world.Nexus, "my-service")))[0]; again != id {
		t.Error("deployed again without any change, the container was recreated")
	}
}

// printed is the last output of a stack's container.
func (h *canaryWorld) printed(t *testing.T, project string) string {
	t.Helper()
	engine := h.Servers[world.Nexus].Engine
	list, err := engine.Containers(t.Context(), project)
	if err != nil || len(list) != 1 {
		t.Fatalf("containers of %s: %v (%v)", project, list, err)
	}
	lines, err := engine.Tail(t.Context(), list[0].ID, 10)
	if err != nil {
		t.Error(err)
	}
	return strings.Join(lines, "\n")
}

func canaryVariables(t *testing.T, h *canaryWorld) {
	for _, name := range []string{"vars", "only-env"} {
		if r := h.deploy(t, name); r.State != "succeeded" {
			t.Fatalf("the run did not succeed:\n%s", h.Tree(t, r, ""))
		}
		env := environment(t, h.Servers[world.Nexus].Engine, name)
		if want := h.secret["variable"]; env["B"] != want || name == "vars" && env["A"] != want {
			t.Errorf("the container of %s lacks the variable", name)
		}
	}
	if r := h.execute(t, "PullRepo", wire.Params{"repo": "homeops"}); r.State != "succeeded" {
		t.Errorf("pull: %s: %s", r.State, r.Why())
	}
	args, err := os.ReadFile(h.args)
	if err != nil || !strings.Contains(string(args), "periphery") {
		t.Fatalf("the arguments of processes, as seen by the hook: %.200q (%v)", args, err)
	}
	h.search(t, "arguments of processes while the hook ran", args)
}

// canaryFailures deploys what cannot work, each with the secret where errors
// quote it.
func canaryFailures(t *testing.T, h *canaryWorld) {
	for name, why := range map[string]string{
		"fails": "exit status 3", "dies": "app", "bad-port": "", "bad-image": "", "bad-mount": "", "bad-yaml": "", "bad-args": "", "bad-token": "nothing-like-it",
	} {
		if r := h.deploy(t, name); r.State != "failed" || !strings.Contains(r.Why(), why) {
			t.Errorf("%s: %s: %s, want it failed for …%s…", name, r.State, r.Why(), why)
		}
	}
}

// canaryKeys is what stands in the way of decryption: the error names the file,
// the recipient and what to do.
func canaryKeys(t *testing.T, h *canaryWorld) {
	defer h.putKey(t)
	mine := h.key.Recipient().String()
	for _, c := range []struct {
		name, stack string
		spoil       func() error
		want        []string
	}{
		{"no key", "my-service", func() error { return os.Remove(h.keyFile) }, []string{".sops.env", mine, h.keyFile, "put the key"}},
		{"mode", "my-service", func() error { return os.Chmod(h.keyFile, 0o644) }, []string{h.keyFile, "0644", "chmod 600"}},
		{"owner", "my-service", func() error { return os.Chown(h.keyFile, 1234, 1234) }, []string{h.keyFile, "uid 1234", "chown 0"}},
		{"another host's file", "foreign", func() error { return nil }, []string{"foreign/.sops.env", mine, "sops updatekeys"}},
	} {
		h.putKey(t)
		if err := c.spoil(); err != nil {
			t.Fatal(err)
		}
		r := h.deploy(t, c.stack)
		if r.State != "failed" {
			t.Errorf("%s: %s", c.name, r.State)
		}
		for _, want := range c.want {
			if !strings.Contains(r.Why(), want) {
				t.Errorf("%s: the error lacks %q: %s", c.name, want, r.Why())
			}
		}
	}
	h.putKey(t) // counts without a restart of the agent
	if r := h.deploy(t, "my-service"); r.State != "succeeded" {
		t.Errorf("with the key back in place: %s: %s", r.State, r.Why())
	}
}

// step is a file by which a hook and the test wait for each other.
func (h *canaryWorld) step(name string) string { return filepath.Join(filepath.Dir(h.args), name) }

// canaryKilled ends core while a hook prints the secret, and then the agent: what
// has not been sent, what was begun and what was read is on their disks.
func canaryKilled(t *testing.T, h *canaryWorld) {
	var u wire.Update
	if err := h.API.Call(t.Context(), "execute", "DeployStack", wire.Params{"stack": "slow"}, &u); err != nil {
		t.Fatal(err)
	}
	there := func(name string) func() bool {
		return func() bool { _, err := os.Stat(h.step(name)); return err == nil }
	}
	h.World.Until(minute, "the hook has begun", there("begun"))
	h.Core.Kill()
	writeFile(t, h.step("go"), "")
	h.World.Until(minute, "the hook has printed", there("printed"))
	agent := h.Servers[world.Nexus].Agent
	agent.Kill()
	h.searchFiles(t)
	h.RestartCore()
	h.RestartAgent(world.Nexus)
	if r := h.Ended(t, u.ID.OID, minute); r.State != "failed" || !strings.Contains(r.Why(), "interrupted") {
		t.Errorf("the run ended %s: %s", r.State, r.Why())
	}
	h.search(t, "the killed agent's log", []byte(agent.Output()))
	var raw json.RawMessage
	if err := h.API.Call(t.Context(), "read", "GetRunOutput", wire.Params{"id": u.ID.OID, "limit": 5000}, &raw); err != nil {
		t.Fatal(err)
	}
	h.search(t, "output of the interrupted run", raw)
}

// searchFiles looks into every file of core's, the agent's and temporary folders.
func (h *canaryWorld) searchFiles(t *testing.T) {
	t.Helper()
	for name, dir := range map[string]string{"core's data": h.Data, "the agent's data": h.Servers[world.Nexus].Data, "temporary files": h.tmp} {
		files := 0
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			files++
			rel, _ := filepath.Rel(dir, path)
			h.search(t, name+": "+rel, append(data, rel...))
			return nil
		})
		if err != nil || files == 0 && name != "temporary files" {
			t.Errorf("%s: read %d files (%v)", name, files, err)
		}
	}
}

// writings are the forms in which a secret is looked for.
func writings(v string) map[string]string {
	out := map[string]string{"plain": v, "hex": hex.EncodeToString([]byte(v)), "query": url.QueryEscape(v), "path": url.PathEscape(v)}
	quoted := must(json.Marshal(v))
	out["JSON"] = string(quoted[1 : len(quoted)-1])
	for shift := range 3 {
		text := base64.StdEncoding.EncodeToString(append(make([]byte, shift), v...))
		out[fmt.Sprintf("base64+%d", shift)] = text[(shift*8+5)/6 : (shift+len(v))*8/6]
	}
	return out
}

// search fails when a secret is in data in any form.
func (h *canaryWorld) search(t *testing.T, where string, data []byte) {
	t.Helper()
	for name, v := range h.secret {
		for form, text := range writings(v) {
			if at := bytes.Index(data, []byte(text)); at >= 0 {
				t.Errorf("%s: the %s is there (%s): …%q…", where, name, form, data[max(0, at-80):min(len(data), at+len(text)+20)])
				break
			}
		}
	}
}

// canaryShown looks at all that people and clients are shown, and at the logs.
func canaryShown(t *testing.T, h *canaryWorld) {
	d := must(forge.GitHub.Push(forge.Push{Owner: "ada", Repo: "homeops", After: h.private.Git("rev-parse", "main")}))
	v := h.Deliver("github/stack/my-service/deploy", h.secret["webhook secret"], d)
	h.Ended(t, v.Run, minute)
	token := must(forge.GitLab.Push(forge.Push{Owner: "ada", Repo: "homeops", After: h.private.Git("rev-parse", "main")}))
	h.Deliver("gitlab/stack/my-service/deploy", h.secret["webhook secret"], token)
	h.Deliver("gitlab/stack/my-service/deploy", h.secret["variable"], token) // a wrong one
	h.unseal(t)
	seen := &bytes.Buffer{}
	look := func(where string, data []byte) {
		h.search(t, where, data)
		seen.Write(data)
	}
	h.answers(t, look)
	h.shownPages(t, look)
	look("core's log", []byte(h.Core.Output()))
	look("the agent's log", []byte(h.Servers[world.Nexus].Agent.Output()))
	for _, want := range []string{mark, "my-service", "exit status 3"} {
		if !strings.Contains(seen.String(), want) {
			t.Errorf("what was searched does not hold %q: the search is no good", want)
		}
	}
}

// unseal tries to have a secret shown by calling it none.
func (h *canaryWorld) unseal(t *testing.T) {
	t.Helper()
	for request, p := range map[string]wire.Params{
		"UpdateVariableIsSecret":    {"name": "CANARY", "is_secret": false},
		"UpdateVariableDescription": {"name": "CANARY", "description": "mine"},
	} {
		var raw json.RawMessage
		if err := h.API.Call(t.Context(), "write", request, p, &raw); err != nil {
			raw = []byte(err.Error())
		}
		h.search(t, request, raw)
		if err := h.API.Call(t.Context(), "read", "GetVariable", wire.Params{"name": "CANARY"}, &raw); err != nil {
			t.Error(err)
		}
		h.search(t, "GetVariable after "+request, raw)
	}
}

// answers asks core for everything that can be read.
func (h *canaryWorld) answers(t *testing.T, look func(string, []byte)) {
	t.Helper()
	var rows []struct {
		Group, Name string
		Params      []struct {
			Name     string
			Required bool
		}
	}
	if err := h.API.Call(t.Context(), "read", "ListRequests", nil, &rows); err != nil {
		t.Fatal(err)
	}
	ask := func(name string, p wire.Params) bool {
		var raw json.RawMessage
		err := h.API.Call(t.Context(), "read", name, p, &raw)
		look(fmt.Sprintf("%s %v", name, p), raw)
		if err != nil {
			look(name+"'s error", []byte(err.Error()))
		}
		return err == nil
	}
	var deliveries []struct{ ID string }
	if err := h.API.Call(t.Context(), "read", "ListDeliveries", nil, &deliveries); err != nil {
		t.Fatal(err)
	}
	of := map[string][]string{
		"id": h.runs, "stack": {"my-service", "vars", "fails"}, "repo": {"homeops"}, "server": {world.Nexus}, "name": {"CANARY"}, "variable": {"CANARY"},
	}
	for _, d := range deliveries {
		of["id"] = append(of["id"], d.ID)
	}
	asked := 0
	for _, r := range rows {
		if r.Group != "read" || r.Name == "GetStackLog" || r.Name == "SearchStackLog" {
			continue // a container's own output is its owner's affair
		}
		needs := slices.DeleteFunc(slices.Clone(r.Params), func(p struct {
			Name     string
			Required bool
		}) bool {
			return !p.Required
		})
		switch {
		case len(needs) == 0:
			ask(r.Name, nil)
			asked++
		case len(needs) == 1:
			for _, value := range of[needs[0].Name] {
				if ask(r.Name, wire.Params{needs[0].Name: value}) {
					asked++
				}
			}
		}
	}
	if asked < 40 {
		t.Errorf("only %d questions were answered", asked)
	}
}

// shownPages reads every page.
func (h *canaryWorld) shownPages(t *testing.T, look func(string, []byte)) {
	t.Helper()
	jar := must(cookiejar.New(nil))
	web := &http.Client{Jar: jar, Timeout: 20 * time.Second}
	get := func(path string, form url.Values) {
		t.Helper()
		method, body := http.MethodGet, io.Reader(nil)
		if form != nil {
			method, body = http.MethodPost, strings.NewReader(form.Encode())
		}
		req := must(http.NewRequestWithContext(t.Context(), method, h.URL+path, body))
		req.Header.Set("Sec-Fetch-Site", "same-origin")
		if form != nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		resp, err := web.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		data := must(io.ReadAll(resp.Body))
		if resp.StatusCode != http.StatusOK {
			t.Errorf("page %s: %s", path, resp.Status)
		}
		look("page "+path, data)
	}
	get("/login", url.Values{"username": {world.Admin}, "password": {world.Password}})
	paths := []string{"/", "/runs", "/stacks", "/repos", "/servers", "/procedures", "/variables", "/webhooks", "/apply", "/servers/" + world.Nexus, "/repos/homeops"}
	for _, s := range []string{"my-service", "vars", "fails", "dies", "only-env"} {
		paths = append(paths, "/stacks/"+s)
	}
	for _, id := range h.runs {
		paths = append(paths, "/runs/"+id, "/runs/"+id+"/output", "/runs/"+id+"/output.txt")
	}
	for _, path := range paths {
		get(path, nil)
	}
}

// canaryKept stops everything and reads what is left: the files as they are, and
// every message of every stream and bucket, because blocks are compressed.
func canaryKept(t *testing.T, h *canaryWorld) {
	if code := h.Servers[world.Nexus].Agent.Stop(t); code != 0 {
		t.Errorf("the agent ended with %d", code)
	}
	if code := h.Core.Stop(t); code != 0 {
		t.Errorf("core ended with %d", code)
	}
	h.searchFiles(t)
	ctx, cancel := context.WithTimeout(t.Context(), minute)
	defer cancel()
	dir := filepath.Join(t.TempDir(), "bus")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(h.Data, "core", "bus"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "identity.nk"), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := hub.Start(ctx, hub.Options{Dir: dir, LameDuck: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	held, marked := map[string]int{}, false
	streams := b.Conn().JetStream().ListStreams(ctx)
	for info := range streams.Info() {
		s, err := b.Conn().JetStream().Stream(ctx, info.Config.Name)
		if err != nil {
			t.Fatal(err)
		}
		for seq := info.State.FirstSeq; seq <= info.State.LastSeq; seq++ {
			m, err := s.GetMsg(ctx, seq)
			if err != nil {
				if strings.Contains(err.Error(), jetstream.ErrMsgNotFound.Error()) || strings.Contains(err.Error(), "not found") {
					continue
				}
				t.Fatal(err)
			}
			held[info.Config.Name]++
			marked = marked || bytes.Contains(m.Data, []byte(mark))
			h.search(t, fmt.Sprintf("stream %s, %s, #%d", info.Config.Name, m.Subject, seq), append(m.Data, fmt.Sprint(m.Subject, m.Header)...))
		}
	}
	if err := streams.Err(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"RUNS", "OUT", "RES", "DELIVERIES", "KV_RESOURCES", "KV_RUNS_STATE", "KV_DEPLOYED", "KV_USERS"} {
		if held[name] == 0 {
			t.Errorf("nothing was read of %s; read %v", name, held)
		}
	}
	if !marked {
		t.Error("the mark printed beside the secrets is in no stream: the search is no good")
	}
}
