package ui_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"berth/schema"
	"berth/ui"
	"berth/ui/asset"
	"berth/ui/uitest"
)

func layers() []string { return []string{"tokens", "base", "shell", "parts", "pages"} }

// unbundled returns a server of a build without the browser bundle.
func unbundled(t *testing.T, w *uitest.World) *ui.Server {
	t.Helper()
	set, err := asset.New(fstest.MapFS{}, os.DirFS("css"), layers())
	if err != nil {
		t.Fatal(err)
	}
	return ui.NewWith(w.Deps(), set)
}

// bundled returns a server with a bundle of empty files.
func bundled(t *testing.T, w *uitest.World) *ui.Server {
	t.Helper()
	set, err := asset.New(fstest.MapFS{
		"manifest.json":      {Data: []byte(`{"files":{"app.ts":{"path":"app-AAAA.js","imports":["chunk-BBBB.js"]},"app.css":{"path":"app-CCCC.css"},"icons.svg":{"path":"icons-DDDD.svg"}}}`)},
		"app-AAAA.js":        {Data: []byte("1")},
		"app-CCCC.css":       {Data: []byte("a{}")},
		"icons-DDDD.svg":     {Data: []byte("<svg/>")},
		"secret-outside.txt": {Data: []byte("not in the manifest")},
	}, os.DirFS("css"), layers())
	if err != nil {
		t.Fatal(err)
	}
	return ui.NewWith(w.Deps(), set)
}

func get(t *testing.T, h http.Handler, path string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	return send(h, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody), headers...)
}

func post(t *testing.T, h http.Handler, path string, form url.Values, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return send(h, r, append([]string{"Sec-Fetch-Site", "same-origin"}, headers...)...)
}

func send(h http.Handler, r *http.Request, headers ...string) *httptest.ResponseRecorder {
	r.AddCookie(&http.Cookie{Name: "berth_session", Value: uitest.Session})
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Cookie" && headers[i+1] == "" {
			r.Header.Del("Cookie")
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestPages(t *testing.T) {
	w := uitest.Homelab()
	w.StackList[0].Resource.Description = `<img src=x onerror=alert(1)>`
	w.StackList[0].Resource.Config.Links = schema.StrList{"javascript:alert(1)"}
	w.RunList[0].Message = `"><script>alert(2)</script>`
	for name, c := range map[string]struct {
		path   string
		status int
		has    []string
		hasNot []string
	}{
		"overview":     {"/", 200, []string{"homeassistant", "last run failed", "attic is unreachable", "1 command waiting", `href="/runs/1191"`, "3 servers"}, []string{"First steps"}},
		"runs":         {"/runs", 200, []string{"#1191", "push to main of matt/homelab-docker", "Unchanged:"}, []string{"#1195"}},
		"runs, parts":  {"/runs?all=1", 200, []string{"#1195"}, nil},
		"runs, failed": {"/runs?state=failed", 200, []string{"port 8081 is already in use"}, []string{"push to main of"}},
		"run": {"/runs/1191", 200, []string{
			"stage", "Pull", "Deploy", "2 inputs differ from the last success", "tandoor/nginx.conf changed", "waiting for server lxc-113",
			"unhealthy after 28 s", `action="/runs/1191/cancel"`, "#d-",
		}, nil},
		"run by id":     {"/runs/" + w.RunList[4].ID, 200, []string{"hx-sse:connect", `hx-sse:close="end"`, "Pull complete", "&lt;script&gt;alert(1)", `<progress max="100"`}, []string{"<script>alert"}},
		"run that ends": {"/runs/1196", 200, []string{"What went wrong", "No such file", "health"}, []string{"hx-sse:connect=\"/runs"}},
		"log alone":     {"/runs/1191?lane=Deploy/3&part=log", 200, []string{"log-view"}, nil},
		"servers":       {"/servers", 200, []string{"192.0.2.226", "unreachable", "Debian"}, nil},
		"server":        {"/servers/nexus", 200, []string{"tandoor-nginx-1", "8082→80", "age1ql3z"}, nil},
		"server, away":  {"/servers/attic", 200, []string{"The agent is not connected"}, nil},
		"stacks":        {"/stacks?state=bad", 200, []string{"homeassistant"}, []string{">dashy<"}},
		"stack":         {"/stacks/dashy", 200, []string{"&lt;img src=x", "4be1d07", "9f31c2e", "Destroy"}, []string{"<img src=x", `href="javascript`}},
		"stack, config": {"/stacks/dashy?tab=config", 200, []string{"Run directory", `value="dashy"`, `name="has:auto_pull"`}, nil},
		"stack, toml":   {"/stacks/dashy?tab=toml", 200, []string{"[[stack]]"}, nil},
		"repo":          {"/repos/homelab", 200, []string{"git.example.org/matt/homelab-docker", "tandoor"}, nil},
		"procedure":     {"/procedures/deploy-homelab", 200, []string{"Pull homelab", "Deploy if changed tandoor"}, nil},
		"variables":     {"/variables", 200, []string{"FORGEJO_TOKEN", "•••", "matt"}, []string{"canary-secret-value"}},
		"webhooks":      {"/webhooks", 200, []string{"http://example.com/listener/github/procedure/", "the signature does not fit", "Send again", "run #1191"}, nil},
		"apply":         {"/apply", 200, []string{"Show the plan"}, nil},
		"confirm":       {"/do/DestroyStack?target=dashy", 200, []string{"Volumes and files stay", `pattern="dashy"`}, nil},
		"unknown stack": {"/stacks/nowhere", 404, []string{"Nothing is moored here", "nowhere"}, nil},
		"unknown page":  {"/what", 404, []string{"Nothing is moored here"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			for kind, h := range map[string]*ui.Server{"bundled": bundled(t, w), "unbundled": unbundled(t, w)} {
				r := get(t, h, c.path)
				body := r.Body.String()
				if r.Code != c.status {
					t.Fatalf("%s: status %d, want %d", kind, r.Code, c.status)
				}
				checkPage(t, body, c.has, c.hasNot)
			}
		})
	}
}

func checkPage(t *testing.T, body string, has, hasNot []string) {
	t.Helper()
	for _, s := range has {
		if !strings.Contains(strings.ToLower(body), strings.ToLower(s)) {
			t.Errorf("lacks %q", s)
		}
	}
	for _, s := range append(hasNot, " style=", "<script>", "hx-on", "canary-secret-value") {
		if strings.Contains(body, s) {
			t.Errorf("has %q", s)
		}
	}
}

func TestHeaders(t *testing.T) {
	h := bundled(t, uitest.Homelab())
	for _, path := range []string{"/", "/login", "/static/app-AAAA.js", "/nowhere", "/favicon.svg"} {
		got := get(t, h, path).Header()
		csp := got.Get("Content-Security-Policy")
		for _, s := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
			if !strings.Contains(csp, s) {
				t.Errorf("%s: policy lacks %q: %s", path, s, csp)
			}
		}
		if strings.Contains(csp, "unsafe") || got.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", path, got)
		}
	}
}

func TestAnotherSiteChangesNothing(t *testing.T) {
	w := uitest.Homelab()
	h := bundled(t, w)
	for name, headers := range map[string][]string{
		"fetch metadata": {"Sec-Fetch-Site", "cross-site"},
		"same site":      {"Sec-Fetch-Site", "same-site"},
		"origin":         {"Sec-Fetch-Site", "", "Origin", "https://evil.example"},
	} {
		if r := post(t, h, "/do/DeployStack?target=dashy", nil, headers...); r.Code != http.StatusForbidden {
			t.Errorf("%s: status %d", name, r.Code)
		}
	}
	if c := w.Called(); len(c) != 0 {
		t.Errorf("called: %v", c)
	}
	if r := post(t, h, "/do/DeployStack?target=dashy", nil, "Sec-Fetch-Site", "", "Origin", "http://example.com"); r.Code != http.StatusSeeOther {
		t.Errorf("own origin: status %d", r.Code)
	}
}

func TestActs(t *testing.T) {
	for name, c := range map[string]struct {
		path string
		form url.Values
		to   string
		want []uitest.Call
	}{
		"deploy":         {"/do/DeployStack?target=dashy", nil, "/runs/1191", []uitest.Call{{What: "start", Name: "DeployStack", Data: `{"stack":"dashy"}`}}},
		"run procedure":  {"/do/RunProcedure?target=deploy-homelab", nil, "/runs/1191", []uitest.Call{{What: "start", Name: "RunProcedure", Data: `{"procedure":"deploy-homelab"}`}}},
		"destroy":        {"/do/DestroyStack?target=dashy", url.Values{"typed": {"dashy"}}, "/runs/1191", []uitest.Call{{What: "start", Name: "DestroyStack", Data: `{"stack":"dashy"}`}}},
		"destroy, typo":  {"/do/DestroyStack?target=dashy", url.Values{"typed": {"dashi"}}, "", nil},
		"unknown action": {"/do/FormatDisk?target=dashy", nil, "", nil},
		"cancel":         {"/runs/1191/cancel", nil, "/runs/1191", []uitest.Call{{What: "cancel", Name: schema.DeriveID("uitest", "running")}}},
		"redeliver":      {"/webhooks/d9/again", nil, "/webhooks#d-d9", []uitest.Call{{What: "redeliver", Name: "d9"}}},
		"revoke":         {"/servers/nexus/revoke", url.Values{"typed": {"nexus"}}, "/servers/nexus", []uitest.Call{{What: "revoke", Name: "nexus"}}},
		"delete":         {"/delete/stack/dashy", url.Values{"typed": {"dashy"}}, "/stacks", []uitest.Call{{What: "delete", Name: "stack/dashy"}}},
		"variable":       {"/variables", url.Values{"name": {"A"}, "value": {"b"}, "secret": {"on"}}, "/variables", []uitest.Call{{What: "save", Name: "variable/A", Data: `{"value":"b","is_secret":true}`}}},
		"save what changed": {"/config/stack/dashy", url.Values{
			"has:auto_pull": {"1"}, "has:branch": {"1"}, "branch": {"main"}, "has:file_paths": {"1"}, "file_paths": {"a.yaml\r\n b.yaml"},
			"has:webhook_secret": {"1"}, "webhook_secret": {""}, "has:pre_deploy": {"1"}, "pre_deploy.command": {"make\r\n"}, "pre_deploy.path": {""},
		}, "/stacks/dashy?tab=config&saved=1", []uitest.Call{{What: "save", Name: "stack/dashy", Data: `{"auto_pull":false,"file_paths":["a.yaml","b.yaml"],"pre_deploy":{"command":"make\n","path":"","shell_mode":false}}`}}},
		"save nothing":  {"/config/stack/dashy", url.Values{"has:branch": {"1"}, "branch": {"main"}}, "/stacks/dashy?tab=config&saved=1", nil},
		"sign in":       {"/login", url.Values{"username": {uitest.Username}, "password": {uitest.Password}, "next": {"/runs"}}, "/runs", nil},
		"open redirect": {"/login", url.Values{"username": {uitest.Username}, "password": {uitest.Password}, "next": {"//evil.example/x"}}, "/", nil},
		"setup":         {"/setup", url.Values{"token": {uitest.Token}, "username": {"a"}, "password": {"long enough"}, "again": {"long enough"}}, "/", []uitest.Call{{What: "setup", Name: "a"}}},
		"setup, differ": {"/setup", url.Values{"token": {uitest.Token}, "username": {"a"}, "password": {"long enough"}, "again": {"long enuff"}}, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := uitest.Homelab()
			r := post(t, bundled(t, w), c.path, c.form)
			if to := r.Header().Get("Location"); to != c.to {
				t.Errorf("goes to %q, want %q (status %d)", to, c.to, r.Code)
			}
			if d := cmp.Diff(c.want, w.Called()); d != "" {
				t.Errorf("calls (-want +got):\n%s", d)
			}
		})
	}
}

func TestStrangers(t *testing.T) {
	w := uitest.Homelab()
	h := bundled(t, w)
	if r := get(t, h, "/runs/1191?lane=x", "Cookie", ""); r.Code != http.StatusSeeOther || r.Header().Get("Location") != "/login?next=%2Fruns%2F1191%3Flane%3Dx" {
		t.Errorf("page: %d %s", r.Code, r.Header().Get("Location"))
	}
	for _, path := range []string{"/events?topic=/runs", "/runs/1191/output"} {
		if r := get(t, h, path, "Cookie", "", "Accept", "text/event-stream"); r.Code != http.StatusUnauthorized {
			t.Errorf("%s: %d", path, r.Code)
		}
	}
	if r := get(t, h, "/", "Cookie", "", "Sec-Fetch-Site", "cross-site"); !strings.Contains(r.Body.String(), `http-equiv="refresh"`) {
		t.Errorf("link from another site: %s", r.Body)
	}
	if r := post(t, h, "/do/DeployStack?target=dashy", nil, "Cookie", ""); r.Code != http.StatusUnauthorized || len(w.Called()) != 0 {
		t.Errorf("action: %d %v", r.Code, w.Called())
	}
	r := post(t, h, "/login", url.Values{"username": {"mira"}, "password": {"wrong"}})
	if r.Code != http.StatusUnauthorized || !strings.Contains(r.Body.String(), "User name or password is wrong.") || strings.Contains(r.Body.String(), `value="wrong"`) {
		t.Errorf("wrong password: %d", r.Code)
	}
	r = post(t, h, "/login", url.Values{"username": {uitest.Username}, "password": {uitest.Password}}, "X-Forwarded-Proto", "https")
	if c := r.Header().Get("Set-Cookie"); !strings.Contains(c, "HttpOnly") || !strings.Contains(c, "SameSite=Strict") || !strings.Contains(c, "Secure") {
		t.Errorf("cookie: %s", c)
	}
	if r := get(t, h, "/setup?token=old"); r.Code != http.StatusGone {
		t.Errorf("used setup link: %d", r.Code)
	}
	w.NoUser = true
	if r := get(t, h, "/login", "Cookie", ""); !strings.Contains(r.Body.String(), "setup link") {
		t.Errorf("fresh: %s", r.Body)
	}
}

func TestApplyShowsThePlanFirst(t *testing.T) {
	w := uitest.Homelab()
	w.PlanAnswer = ui.Plan{
		Items:  []ui.PlanItem{{Kind: "stack", Name: "dashy", Change: "update", Fields: []ui.FieldChange{{Field: "branch", Old: "main", New: "<dev>"}}}},
		Issues: []ui.Issue{{Line: 3, Key: "stack[0].config.brnach", Text: "unknown key, did you mean branch?", Warning: true}},
	}
	h := bundled(t, w)
	r := post(t, h, "/apply", url.Values{"text": {"[[stack]]"}, "do": {"plan"}})
	checkPage(t, r.Body.String(), []string{"&lt;dev&gt;", "did you mean branch", "line 3", "Apply 1 change", "0 to create, 1 to update"}, nil)
	if len(w.Called()) != 0 {
		t.Errorf("calls: %v", w.Called())
	}
	w.PlanAnswer.Issues[0].Warning = false
	r = post(t, h, "/apply", url.Values{"text": {"[[stack]]"}, "do": {"plan"}})
	checkPage(t, r.Body.String(), []string{"did you mean"}, []string{"Apply 1 change"})
	w.PlanAnswer.Issues = nil
	r = post(t, h, "/apply", url.Values{"text": {"[[stack]]"}, "do": {"apply"}})
	checkPage(t, r.Body.String(), []string{"Applied"}, []string{"Apply 1 change"})
	if d := cmp.Diff([]uitest.Call{{What: "apply", Data: "[[stack]]"}}, w.Called()); d != "" {
		t.Error(d)
	}
}

func TestFallbackWithoutBundle(t *testing.T) {
	h := unbundled(t, uitest.Homelab())
	body := get(t, h, "/").Body.String()
	checkPage(t, body, []string{"go tool task gen", `href="/static/own.css"`}, []string{"<script", `class="icon"`})
	css := get(t, h, "/static/own.css")
	if css.Code != http.StatusOK || !strings.Contains(css.Body.String(), "@layer tokens {") {
		t.Errorf("styles: %d", css.Code)
	}
	if r := get(t, h, "/static/own.css", "If-None-Match", css.Header().Get("ETag")); r.Code != http.StatusNotModified {
		t.Errorf("styles again: %d", r.Code)
	}
}

func TestFreshInstallationSaysWhatToDo(t *testing.T) {
	h := bundled(t, &uitest.World{})
	for path, want := range map[string]string{"/": "First steps", "/servers": "Join a server", "/stacks": "Paste TOML", "/repos": "Paste TOML", "/procedures": "Paste TOML", "/webhooks": "Nothing came in yet", "/runs": "No runs", "/variables": "No variables yet"} {
		if r := get(t, h, path); r.Code != 200 || !strings.Contains(r.Body.String(), want) {
			t.Errorf("%s: %d, lacks %q", path, r.Code, want)
		}
	}
}

func TestOutputAsText(t *testing.T) {
	w := uitest.Homelab()
	body := get(t, bundled(t, w), "/runs/1195/output.txt").Body.String()
	for _, s := range []string{"== source done", "589b7251471a Pull complete", "<script>alert(1)</script>"} {
		if !strings.Contains(body, s) {
			t.Errorf("lacks %q:\n%s", s, body)
		}
	}
	if strings.Contains(body, "Downloading") {
		t.Error("has a download's steps")
	}
}

func TestPalette(t *testing.T) {
	h := bundled(t, uitest.Homelab())
	body := get(t, h, "/palette?q=deploy+tand").Body.String()
	checkPage(t, body, []string{"Deploy tandoor", `data-href="/do/DeployStack?target=tandoor"`}, []string{"dashy"})
	body = get(t, h, "/palette?q=start+tand").Body.String()
	start, restart := strings.Index(body, ">Start tandoor"), strings.Index(body, ">Restart tandoor")
	if start < 0 || restart < 0 || start > restart {
		t.Errorf("start stands at %d, restart at %d: %s", start, restart, body)
	}
	checkPage(t, get(t, h, "/palette?q=zzz").Body.String(), []string{"Nothing matches"}, nil)
}

// The policy forbids inline styles and scripts, and htmx's evaluated attributes.
func TestTemplatesKeepThePolicy(t *testing.T) {
	bad := regexp.MustCompile(`\sstyle=|hx-on|"js:|javascript:|<style|<script>|onclick=`)
	n := 0
	err := filepath.WalkDir(".", func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() && d.Name() == "node_modules" {
			return filepath.SkipDir
		}
		if strings.HasSuffix(p, ".templ") {
			n++
			text, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			if m := bad.Find(text); m != nil {
				t.Errorf("%s has %q", p, m)
			}
		}
		return nil
	})
	if err != nil || n == 0 {
		t.Fatalf("%d templates, %v", n, err)
	}
}

func TestLockNamesNoRegistry(t *testing.T) {
	text, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), `"resolved"`) || !strings.Contains(string(text), `"integrity": "sha512-`) {
		t.Error("package-lock.json must hold digests and no addresses: ui/.npmrc sees to it")
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	h := bundled(t, uitest.Homelab())
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- h.Run(ctx) }()
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	r := get(t, h, "/events?topic=/") // the hub is closed: the stream ends at once
	if !strings.Contains(r.Body.String(), "event: hello") {
		t.Errorf("stream: %s", r.Body)
	}
}
