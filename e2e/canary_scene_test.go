package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
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

	"berth/e2e/homelab"
	"berth/e2e/world"
	"berth/git/gittest"
	"berth/periphery/docker/dockertest"
	"berth/periphery/docker/dockertest/rig"
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

// step is a file by which a hook and the test wait for each other.
func (h *canaryWorld) step(name string) string { return filepath.Join(filepath.Dir(h.args), name) }
