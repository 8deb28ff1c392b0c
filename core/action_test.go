package core

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"berth/schema"
)

// desk is an administrator at a core without servers.
type desk struct {
	t    *testing.T
	cfg  Config
	url  string
	jwt  string
	http *http.Client
	stop func() error
}

const hookSecret = "a-webhook-secret"

func newDesk(t *testing.T) *desk {
	d := &desk{t: t, cfg: config(t, t.TempDir())}
	d.cfg.AdminUsername, d.cfg.AdminPassword, d.cfg.WebhookSecret = "mira", "correct horse battery", hookSecret
	d.http = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // core's own certificate
	t.Cleanup(d.http.CloseIdleConnections)
	d.start()
	return d
}

func (d *desk) start() {
	d.t.Helper()
	var info Info
	info, d.stop = serve(d.t, d.cfg)
	d.url = "https://" + info.Addr
	var in struct {
		Data struct {
			JWT string `json:"jwt"`
		} `json:"data"`
	}
	d.must("auth/login", "LoginLocalUser", fmt.Sprintf(`{"username":%q,"password":%q}`, d.cfg.AdminUsername, d.cfg.AdminPassword), &in)
	d.jwt = in.Data.JWT
}

// call makes a request and returns its status and body.
func (d *desk) call(group, request, params string) (int, string) {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodPost, d.url+"/"+group+"/"+request, strings.NewReader(params))
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if d.jwt != "" {
		req.Header.Set("Authorization", d.jwt)
	}
	return d.send(req)
}

func (d *desk) send(req *http.Request) (int, string) {
	d.t.Helper()
	resp, err := d.http.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func (d *desk) must(group, request, params string, into any) {
	d.t.Helper()
	status, body := d.call(group, request, params)
	if status != http.StatusOK {
		d.t.Fatalf("%s: %d %s", request, status, body)
	}
	if into != nil {
		if err := json.Unmarshal([]byte(body), into); err != nil {
			d.t.Fatalf("%s: %v: %s", request, err, body)
		}
	}
}

// action creates an action.
func (d *desk) action(name string, config map[string]any) {
	d.t.Helper()
	b, err := json.Marshal(map[string]any{"name": name, "config": config})
	if err != nil {
		d.t.Fatal(err)
	}
	d.must("write", "CreateAction", string(b), nil)
}

// begin runs an action and returns the run's id.
func (d *desk) begin(name, args string) string {
	d.t.Helper()
	var u struct {
		ID struct {
			OID string `json:"$oid"`
		} `json:"_id"`
	}
	d.must("execute", "RunAction", fmt.Sprintf(`{"action":%q,"args":%s}`, name, args), &u)
	return u.ID.OID
}

// until waits until a run is so.
func (d *desk) until(id, what string, is func(schema.Run) bool) schema.Run {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var r schema.Run
		if status, body := d.call("read", "GetRun", fmt.Sprintf(`{"id":%q}`, id)); status == http.StatusOK && json.Unmarshal([]byte(body), &r) == nil && is(r) {
			return r
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			d.t.Fatalf("run %s is not %s: %+v\n%s", id, what, r, d.output(id))
		}
	}
}

func (d *desk) ended(id string) schema.Run {
	d.t.Helper()
	return d.until(id, "ended", func(r schema.Run) bool { return r.State.Terminal() })
}

// output returns what a run wrote.
func (d *desk) output(id string) string {
	d.t.Helper()
	var page struct {
		Chunks []schema.Output `json:"chunks"`
	}
	d.must("read", "GetRunOutput", fmt.Sprintf(`{"id":%q,"limit":5000}`, id), &page)
	var b strings.Builder
	for _, c := range page.Chunks {
		for _, e := range c.Entries {
			b.WriteString(e.Text + "\n")
		}
	}
	return b.String()
}

// push posts a push to a listener path and returns the run it starts.
func (d *desk) push(path, branch string) string {
	d.t.Helper()
	body := fmt.Appendf(nil, `{"ref":"refs/heads/%s","after":"%040d","head_commit":{"message":"say [[TOKEN]] and [["}}`, branch, time.Now().UnixNano())
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodPost, d.url+"/listener/"+path, bytes.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	mac := hmac.New(sha256.New, []byte(hookSecret))
	mac.Write(body)
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	req.Header.Set("X-GitHub-Event", "push")
	_, answer := d.send(req)
	var v struct{ Verdict, Run, Reason string }
	if err := json.Unmarshal([]byte(answer), &v); err != nil || v.Verdict != "accepted" {
		d.t.Fatalf("push to %s: %s", path, answer)
	}
	return v.Run
}

func (d *desk) variable(name, value string, secret bool) {
	d.t.Helper()
	d.must("write", "CreateVariable", fmt.Sprintf(`{"name":%q,"value":%q,"is_secret":%v}`, name, value, secret), nil)
}

// TestActions holds what the runs of actions do.
func TestActions(t *testing.T) {
	d := newDesk(t)
	d.variable("TOKEN", "s3cret/value+1", true)
	d.variable("GREETING", "hello", false)
	for _, part := range []struct {
		name string
		do   func(*testing.T, *desk)
	}{
		{"speaks with the API", actionSpeaks},
		{"masks secrets", actionMasks},
		{"errors name the action and the line", actionErrors},
		{"arguments are merged", actionArguments},
		{"a push runs it", actionPushed},
		{"an endless loop is canceled", actionCanceled},
		{"what it starts is a part of its run", actionStarts},
		{"does not start itself", actionItself},
		{"batch", actionBatch},
	} {
		t.Run(part.name, func(t *testing.T) {
			d.t = t
			part.do(t, d)
			d.t = nil
		})
	}
	d.t = t
	t.Run("restart", func(t *testing.T) { d.t = t; actionRestart(t, d) })
}

func actionSpeaks(t *testing.T, d *desk) {
	d.action("fresh", map[string]any{})
	fresh := d.begin("fresh", "{}")
	if r := d.ended(fresh); r.State != schema.StateSucceeded {
		t.Errorf("the starter script: %s %s", r.State, r.Note)
	}
	d.action("speaks", map[string]any{"file_contents": `
const stacks = await komodo.read("ListStacks", {});
console.log(stacks.length, typeof (await komodo.core_version()));
const me = await komodo.getUser();
console.log(me.username, me.admin);
const made = await komodo.write("CreateProcedure", { name: "made by a script" });
console.log(made.name);
const update = await komodo.execute_and_poll("Sleep", { duration_ms: 5 });
console.log(update.success, update.status === Types.UpdateStatus.Complete);
`})
	id := d.begin("speaks", "{}")
	r := d.ended(id)
	if want, got := "0 string\nAction speaks true\nmade by a script\ntrue true\n", d.output(id); r.State != schema.StateSucceeded || got != want {
		t.Errorf("%s %s: %q, want %q", r.State, r.Note, got, want)
	}
	var u struct {
		Logs []struct{ Stage, Stdout string } `json:"logs"`
	}
	d.must("read", "GetUpdate", fmt.Sprintf(`{"id":%q}`, id), &u)
	if len(u.Logs) == 0 || u.Logs[0].Stage != "Execute Action" || !strings.Contains(u.Logs[0].Stdout, "Action speaks") {
		t.Errorf("logs of the update: %+v", u.Logs)
	}
}

func actionMasks(t *testing.T, d *desk) {
	d.action("masks", map[string]any{"file_contents": `
console.log("[[GREETING]]", "[[TOKEN]]", encodeURIComponent("[[TOKEN]]"), ["[[TOKEN]]"], "[[UNKNOWN]]", "[[[TOKEN]]]", [[1]].length);
const v = await komodo.read("GetVariable", { name: "TOKEN" });
throw new Error("bad: " + "[[TOKEN]]" + v.value);
`})
	id := d.begin("masks", "{}")
	r := d.ended(id)
	got := d.output(id)
	if !strings.HasPrefix(got, `hello <TOKEN> <TOKEN> [ "<TOKEN>" ] [[UNKNOWN]] [[TOKEN]] 1`+"\n") {
		t.Errorf("output %q", got)
	}
	b, _ := json.Marshal(r)
	if strings.Contains(got+string(b), "s3cret") || !strings.Contains(r.Problem.Text, "bad: <TOKEN>") {
		t.Errorf("run %s\noutput %s", b, got)
	}
}

func actionErrors(t *testing.T, d *desk) {
	for name, c := range map[string]struct{ source, want string }{
		"thrown":  {"\n\nthrow new Error('no')", `action "thrown": line 3: Error: no`},
		"syntax":  {"const = 1", `action "syntax": line 1:7: `},
		"request": {"await komodo.read('GetStack', { stack: 'nope' })", `action "request": line 1: Error: GetStack: `},
		"network": {"await fetch('https://example.com')", `actions have no network`},
		"keyed":   {"const k = '[[ACTION_API_KEY]]'", `[[ACTION_API_KEY]] is not there`},
		"empty":   {"", `it has no script`},
		"quoted":  {"const x = `[[GREETING]]`;\nconst y = [[BAD]];", ``},
	} {
		d.action(name, map[string]any{"file_contents": c.source})
		if c.want == "" {
			continue
		}
		r := d.ended(d.begin(name, "{}"))
		if r.State != schema.StateFailed || !strings.Contains(r.Problem.Text, c.want) {
			t.Errorf("%s: %s %+v, want %q", name, r.State, r.Problem, c.want)
		}
	}
	d.variable("BAD", `a"b`+"`"+`hidden-part`, true)
	r := d.ended(d.begin("quoted", "{}"))
	if r.State != schema.StateFailed || !strings.Contains(r.Problem.Text, "GREETING, BAD in their places") || strings.Contains(r.Problem.Text, "hidden") {
		t.Errorf("quoted: %+v", r.Problem)
	}
}

func actionArguments(t *testing.T, d *desk) {
	d.action("arguments", map[string]any{
		"arguments_format": "yaml", "arguments": "a: 1\nlist: [x]\ndeep: {b: '[[GREETING]]', c: 2}\n",
		"file_contents": `console.log(JSON.stringify(ARGS))`,
	})
	id := d.begin("arguments", `{"a":2,"list":["y"],"deep":{"c":"[[GREETING]]"}}`)
	d.ended(id)
	if want, got := `{"a":2,"deep":{"b":"hello","c":"hello"},"list":["x","y"]}`+"\n", d.output(id); got != want {
		t.Errorf("have %s, want %s", got, want)
	}
}

func actionPushed(t *testing.T, d *desk) {
	d.action("pushed", map[string]any{"file_contents": `console.log(ARGS.WEBHOOK_BRANCH, ARGS.WEBHOOK_BODY.head_commit.message)`})
	for _, option := range []string{"main", "__ANY__"} {
		id := d.push("github/action/pushed/"+option, "main")
		r := d.ended(id)
		if want, got := "main say [[TOKEN]] and [[\n", d.output(id); got != want || r.Cause.Kind != "webhook" {
			t.Errorf("%s: %q, want %q (%s)", option, got, want, r.Note)
		}
	}
}

func actionCanceled(t *testing.T, d *desk) {
	d.action("endless", map[string]any{"file_contents": `console.log("going"); while (true) {}`})
	id := d.begin("endless", "{}")
	d.until(id, "writing", func(schema.Run) bool { return d.output(id) == "going\n" })
	began := time.Now()
	d.must("execute", "CancelAction", `{"action":"endless"}`, nil)
	if r := d.ended(id); r.State != schema.StateCanceled || time.Since(began) > 5*time.Second {
		t.Errorf("%s %s after %s", r.State, r.Note, time.Since(began))
	}
	if status, body := d.call("execute", "CancelAction", `{"action":"endless"}`); status != http.StatusConflict {
		t.Errorf("nothing to cancel: %d %s", status, body)
	}
}

func actionStarts(t *testing.T, d *desk) {
	d.action("starts", map[string]any{"file_contents": `
const u = await komodo.execute("Sleep", { duration_ms: 60000 });
console.log(u._id.$oid);
if (ARGS.wait) await sleep(1e6);
`})
	id := d.begin("starts", "{}")
	r := d.ended(id)
	child := strings.TrimSpace(d.output(id))
	s := r.Step("1 Sleep")
	if r.State != schema.StateSucceeded || s == nil || s.Child != child || s.State != schema.StateSucceeded || !strings.Contains(s.Note, "goes on") {
		t.Errorf("run %s, step %+v", r.State, s)
	}
	c := d.until(child, "known", func(schema.Run) bool { return true })
	if c.State.Terminal() || c.Parent != id || c.Actor.Kind != "action" || c.Cause.Kind != "run" {
		t.Errorf("child %+v", c)
	}
	d.must("execute", "CancelRun", fmt.Sprintf(`{"id":%q}`, child), nil)
	// What still goes on is canceled with the action.
	id = d.begin("starts", `{"wait":true}`)
	r = d.until(id, "writing", func(r schema.Run) bool { return r.Step("1 Sleep") != nil })
	d.must("execute", "CancelRun", fmt.Sprintf(`{"id":%q}`, id), nil)
	d.ended(id)
	if c := d.ended(r.Step("1 Sleep").Child); c.State != schema.StateCanceled {
		t.Errorf("child of a canceled action: %s", c.State)
	}
}

func actionItself(t *testing.T, d *desk) {
	d.action("itself", map[string]any{"file_contents": `
const u = await komodo.execute_and_poll("RunAction", { action: "itself" });
console.log(u.success, u.logs.at(-1).stderr);
`})
	id := d.begin("itself", "{}")
	d.ended(id)
	if got := d.output(id); !strings.HasPrefix(got, "false") || !strings.Contains(got, "would start itself") {
		t.Errorf("output %q", got)
	}
}

func actionBatch(t *testing.T, d *desk) {
	var items []struct{ Status string }
	d.must("execute", "BatchRunAction", `{"pattern":"speaks, argum*"}`, &items)
	if len(items) != 2 || items[0].Status != "Ok" {
		t.Errorf("have %+v", items)
	}
}

// actionRestart stops core in the middle of a script, and looks at what starts with
// core.
func actionRestart(t *testing.T, d *desk) {
	d.action("at startup", map[string]any{"run_at_startup": true, "file_contents": `console.log("up")`})
	d.action("half", map[string]any{"file_contents": `console.log("half"); await sleep(1e6)`})
	id := d.begin("half", "{}")
	d.until(id, "writing", func(schema.Run) bool { return d.output(id) == "half\n" })
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	d.start()
	r := d.ended(id)
	if r.State != schema.StateFailed || r.Problem.Code != schema.Interrupted || !strings.Contains(r.Problem.Text, "interrupted by a restart of core") {
		t.Errorf("%s %+v", r.State, r.Problem)
	}
	var runs []schema.Run
	d.until(id, "followed by the action of the start", func(schema.Run) bool {
		d.must("read", "ListRuns", `{"action":"RunAction","limit":50}`, &runs)
		return slices.ContainsFunc(runs, func(r schema.Run) bool { return r.Cause.Kind == "startup" && r.State == schema.StateSucceeded })
	})
}
