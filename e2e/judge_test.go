package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"berth/e2e/world"
	"berth/periphery/docker/dockertest"
	"berth/periphery/docker/dockertest/rig"
)

// judgeTOML is what the judge finds. It takes the git host, the registry, its account,
// the address of an alerter and a folder on the server.
const judgeTOML = `
[[server]]
name = "spare"

[[builder]]
name = "local"
config = { type = "Server", params = { server = "nexus" } }

[[repo]]
name = "code"
[repo.config]
server = "nexus"
builder = "local"
git_provider = %[1]q
git_https = false
repo = "harbour/code"

[[build]]
name = "image"
[build.config]
builder = "local"
dockerfile = "FROM berth-e2e/app:1"
image_registry = [{ domain = %[2]q, account = %[3]q }]

[[build]]
name = "from-git"
[build.config]
builder = "local"
git_provider = %[1]q
git_https = false
repo = "harbour/code"

[[stack]]
name = "web"
tags = ["prod"]
[stack.config]
server = "nexus"
auto_pull = false
file_contents = """
services:
  app: { image: 'berth-e2e/app:1', volumes: ['data:/data'] }
volumes: { data: {} }
"""

[[stack]]
name = "pulled"
[stack.config]
server = "nexus"
registry_provider = %[2]q
registry_account = %[3]q
file_contents = "services: {app: {image: '%[2]s/team/app:1'}}"

[[stack]]
name = "hosted"
[stack.config]
server = "nexus"
files_on_host = true
run_directory = %[5]q

[[deployment]]
name = "single"
[deployment.config]
server = "nexus"
image = { type = "Image", params = { image = "berth-e2e/app:1" } }
network = "bridge"

[[deployment]]
name = "pulled"
[deployment.config]
server = "nexus"
image = { type = "Image", params = { image = "%[2]s/team/app:1" } }
image_registry_account = %[3]q
network = "bridge"

[[procedure]]
name = "nightly"
[[procedure.config.stage]]
name = "nap"
enabled = true
executions = [{ execution.type = "Sleep", execution.params.duration_ms = 10, enabled = true }]

[[action]]
name = "hello"
[action.config]
file_contents = "console.log('hello', ARGS.WHO)"

[[action]]
name = "broken"
[action.config]
file_contents = "throw new Error('as it should')"

[[resource_sync]]
name = "declared"
[resource_sync.config]
file_contents = """
[[variable]]
name = "DECLARED"
value = "1"
"""

[[resource_sync]]
name = "written"
[resource_sync.config]
managed = true
file_contents = """
[[variable]]
name = "WRITTEN_BACK"
value = "1"
"""

[[resource_sync]]
name = "from-git"
[resource_sync.config]
git_provider = %[1]q
git_https = false
git_account = "bot"
repo = "harbour/code"
resource_path = ["resources"]

[[alerter]]
name = "hook"
[alerter.config]
enabled = true
endpoint = { type = "Custom", params = { url = %[4]q } }
`

// verdict is what the judge says of one call.
type verdict struct {
	Group    string   `json:"group"`
	Name     string   `json:"name"`
	Status   int      `json:"status"`
	Problems []string `json:"problems"`
	Took     int      `json:"took"`
}

// TestOfficialClient drives the published client through every request that it
// knows: each answer has the shape that it declares, each execution does what it says.
func TestOfficialClient(t *testing.T) {
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(hook.Close)
	var host string
	w := world.New(t, world.Options{Servers: []string{world.Nexus}, Core: func(w *world.World) []string {
		host = w.Registry.Host(w.Servers[world.Nexus].Engine.Gateway)
		config := filepath.Join(w.Data, "judge.toml")
		writeFile(t, config, fmt.Sprintf("backup_recipient = [\"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\"]\n[[image_registry]]\ndomain = %q\nhttps = false\naccounts = [{ username = %q, token = %q }]\n",
			host, w.Registry.User, w.Registry.Password))
		return []string{"--config", config}
	}})
	engine := w.Servers[world.Nexus].Engine
	dockertest.BuildImage(t, engine, "berth-e2e/app", "1", rig.Behaviour{})
	dockertest.BuildImage(t, engine, "berth-e2e/spare", "1", rig.Behaviour{})
	w.Registry.Push(t, "team/app", "1", dockertest.Compiled(t).Binary(), "one")
	w.Git.Repo("harbour/code").Commit(map[string]string{"Dockerfile": "FROM berth-e2e/app:1\n", "resources/v.toml": "[[variable]]\nname = \"FROM_GIT\"\nvalue = \"1\"\n"}, "begin")
	w.Apply(fmt.Sprintf(judgeTOML, w.GitHost(), host, w.Registry.User, hook.URL, t.TempDir()))
	judge := judgeFolder(t)
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "node", filepath.Join(judge, "judge.mjs"), w.URL, world.Admin, world.Password)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("the judge: %v\n%s", err, stderr.String())
	}
	calls := 0
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		var v verdict
		if err := json.Unmarshal(s.Bytes(), &v); err != nil {
			t.Fatalf("%v: %s", err, s.Text())
		}
		calls++
		if len(v.Problems) > 0 {
			t.Errorf("%s %s (%d):\n\t%s", v.Group, v.Name, v.Status, strings.Join(v.Problems, "\n\t"))
		}
	}
	t.Logf("%d calls", calls)
}

// judgeFolder copies the judge and fetches what it needs.
func judgeFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("judge")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("fetch the published client: %v\n%s", err, out)
	}
	return dir
}
