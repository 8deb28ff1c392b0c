package core

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// clientFolder holds the client as core serves it, as a package of its own.
func (c *client) clientFolder() string {
	c.t.Helper()
	dir := c.t.TempDir()
	for _, name := range []string{"lib", "types", "responses", "terminal"} {
		for _, ext := range []string{".js", ".d.ts"} {
			res := c.get("/client/" + name + ext)
			if res.Status != http.StatusOK || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/plain") {
				c.t.Fatalf("%s%s: %d %s", name, ext, res.Status, res.Header.Get("Content-Type"))
			}
			if have, want := res.Header.Get("X-TypeScript-Types"), "/client/"+name+".d.ts"; ext == ".js" && have != want {
				c.t.Errorf("%s%s: types %q", name, ext, have)
			}
			c.write(filepath.Join(dir, name+ext), res.Text)
		}
	}
	c.write(filepath.Join(dir, "package.json"), `{"type":"module"}`)
	return dir
}

func (c *client) write(path, text string) {
	c.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// run starts a command and fails the test with what it wrote when it fails.
func (c *client) run(dir string, env []string, name string, args ...string) string {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func needs(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Fatalf("%s is not installed. Run: .ci/bare.sh node", program)
	}
}

// clientScript uses the client as a script would.
const clientScript = `
import { KomodoClient, CancelToken, Types } from "./lib.js";
const [url, jwt] = [process.env.CORE, process.env.JWT];
const client = new KomodoClient(url, { type: "jwt", params: { jwt } });
const seen = {};
seen.version = await client.core_version();
seen.user = (await client.getUser()).username;
seen.made = (await client.write("CreateProcedure", { name: "nothing" })).name;
seen.listed = (await client.read("ListProcedures", {})).map((p) => p.name);
seen.ran = (await client.execute_and_poll("RunProcedure", { procedure: "nothing" })).status;
seen.batch = (await client.execute_and_poll("BatchRunProcedure", { pattern: "nothing" })).map((u) => u.status);
const { key, secret } = await client.auth.manage("CreateApiKey", { name: "script" });
const byKey = KomodoClient(url + "/", { type: "api-key", params: { key, secret } });
seen.options = typeof (await byKey.auth.login("GetLoginOptions", {})).local;
seen.refused = await byKey.read("GetStack", { stack: "nobody" }).catch((e) => e);
seen.unreachable = await KomodoClient("http://127.0.0.1:1", { type: "jwt", params: { jwt } }).read("GetVersion", {}).catch((e) => e.status);
seen.terminal = (() => { try { client.execute_server_terminal({}); } catch (e) { return e.message; } })();
seen.names = Types.requests.read.includes("ListStacks");
if (globalThis.WebSocket) { // not in every Node
  const cancel = new CancelToken();
  const heard = new Promise((done) => {
    byKey.subscribe_to_update_websocket({ on_login: () => byKey.execute("RunProcedure", { procedure: "nothing" }), on_update: (u) => { if (u.status === "Complete") { cancel.cancel(); done(u.operation); } }, cancel });
  });
  seen.heard = await heard;
}
console.log(JSON.stringify(seen));
`

// TestClientTalksToCore has Node import the client that core serves.
func TestClientTalksToCore(t *testing.T) {
	needs(t, "node")
	c := administered(t)
	dir := c.clientFolder()
	c.write(filepath.Join(dir, "script.js"), clientScript)
	out := c.run(dir, []string{"CORE=" + c.url, "JWT=" + c.jwt, "NODE_TLS_REJECT_UNAUTHORIZED=0", "NODE_NO_WARNINGS=1", "NODE_OPTIONS=--experimental-websocket"}, "node", "script.js")
	var seen struct {
		Version, User, Made, Ran, Options, Terminal, Heard string
		Listed, Batch                                      []string
		Unreachable                                        int
		Names                                              bool
		Refused                                            struct {
			Status int
			Result struct {
				Error string
				Trace []string
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &seen); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	switch {
	case seen.Version != "0.9.0", seen.User != "mira", seen.Made != "nothing", len(seen.Listed) == 0, seen.Ran != "Complete",
		len(seen.Batch) != 1 || seen.Batch[0] != "Complete", seen.Options != "boolean", seen.Unreachable != 1, !seen.Names,
		!strings.Contains(seen.Terminal, "no terminals"), seen.Heard != "RunProcedure",
		seen.Refused.Status != 404 || seen.Refused.Result.Error == "" || seen.Refused.Result.Trace == nil:
		t.Errorf("the script saw %s", out)
	}
}

// typedScript must compile, but for the lines whose mistakes are marked.
const typedScript = `
import { KomodoClient, Types } from "./lib.js";
const client = new KomodoClient("https://core", { type: "api-key", params: { key: "K", secret: "S" } });
const stacks = await client.read("ListStacks", { query: { tags: ["prod"] } });
const first: string = stacks[0].name;
const image: Types.Stack = await client.read("GetStack", { stack: first });
const branch: string = image.config.branch;
await client.write("UpdateStack", { id: first, config: { auto_update: true, links: "https://example.com" } });
const update = await client.execute_and_poll("DeployStack", { stack: first, services: ["web"] });
const status: "Queued" | "InProgress" | "Complete" = update.status;
client.get_update_websocket({ on_update: (u: Types.UpdateListItem) => console.log(u.operation, branch, status) });
// @ts-expect-error there is no such request
await client.read("ListNonsense", {});
// @ts-expect-error a parameter is missing
await client.read("GetStack", {});
// @ts-expect-error a parameter has the wrong type
await client.execute("DeployStack", { stack: 1 });
// @ts-expect-error there is no such member
stacks[0].nonsense;
`

// TestClientIsTyped compiles a script with TypeScript itself.
func TestClientIsTyped(t *testing.T) {
	needs(t, "npm")
	c := administered(t)
	dir := c.clientFolder()
	c.write(filepath.Join(dir, "script.ts"), typedScript)
	c.run(dir, nil, "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", "typescript@5.9.3")
	c.run(dir, nil, filepath.Join("node_modules", ".bin", "tsc"), "--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom", "script.ts")
}

func TestClientHasNoOtherFiles(t *testing.T) {
	c := administered(t)
	for _, path := range []string{"/client/nonsense.js", "/client", "/client/", "/client/lib.ts"} {
		res := c.get(path)
		var p struct{ Error string }
		if res.Status != http.StatusNotFound || res.Path != path || json.Unmarshal([]byte(res.Text), &p) != nil || p.Error == "" {
			t.Errorf("%s: %d at %s %.200s", path, res.Status, res.Path, res.Text)
		}
	}
}

func TestPlacesThatAreNotRequests(t *testing.T) {
	c := administered(t)
	if res := c.get("/version"); res.Status != http.StatusOK || res.Text != "0.9.0" || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("version: %d %q", res.Status, res.Text)
	}
	if res := c.get("/user"); res.Status != http.StatusUnauthorized {
		t.Errorf("user without credentials: %d", res.Status)
	}
	for path, want := range map[string]int{"/nonsense": 405, "/user": 405, "/version": 405, "/read/Nonsense": 404, "/client/lib.js": 405, "/ws/update": 405} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url+path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", c.jwt)
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil || res.StatusCode != want {
			t.Errorf("POST %s: %d, want %d %v", path, res.StatusCode, want, err)
		}
	}
}
