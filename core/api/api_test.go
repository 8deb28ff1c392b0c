package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"berth/bus"
	"berth/bus/bustest"
	"berth/core/access"
	"berth/core/api"
	"berth/core/resource"
	"berth/core/run"
	"berth/core/store"
	"berth/schema"
)

// views are what a monitor would know: every server is there, every stack runs.
type views struct {
	servers    *resource.Kind[schema.ServerConfig]
	stacks     *resource.Kind[schema.StackConfig]
	repos      *resource.Kind[schema.RepoConfig]
	procedures *resource.Kind[schema.ProcedureConfig]
}

func (v views) Servers(context.Context) ([]schema.ServerView, error) {
	list, err := v.servers.All()
	var out []schema.ServerView
	for _, r := range list {
		out = append(out, schema.ServerView{Resource: r, State: schema.ServerOk, Online: true, Joined: true, Status: &schema.AgentStatus{
			Version:    "1.2.3",
			Containers: []schema.Container{{ID: "c1", Name: "web-1", State: "running", Ports: []schema.Port{{Private: 80, Public: 8080, Proto: "tcp"}}}},
		}})
	}
	return out, err
}

func (v views) Stacks(context.Context) ([]schema.StackView, error) {
	list, err := v.stacks.All()
	var out []schema.StackView
	for _, r := range list {
		out = append(out, schema.StackView{
			Resource: r, State: schema.StackRunning, Server: schema.Target{Kind: "server", ID: r.Config.ServerID, Name: "atlas"},
			Deployed: &schema.Deployed{Project: r.Name, Commit: "1481a2de7b2a7d02428ad93446ab166be7793fbb"},
			Services: []schema.ServiceView{{Name: "web", Image: "nginx", State: "healthy", Containers: []schema.Container{{Name: "web-1"}}}},
		})
	}
	return out, err
}

func (v views) Repos(context.Context) ([]schema.RepoView, error) {
	list, err := v.repos.All()
	var out []schema.RepoView
	for _, r := range list {
		out = append(out, schema.RepoView{Resource: r, State: "Ok"})
	}
	return out, err
}

func (v views) Procedures(context.Context) ([]schema.ProcedureView, error) {
	list, err := v.procedures.All()
	var out []schema.ProcedureView
	for _, r := range list {
		out = append(out, schema.ProcedureView{Resource: r, State: "Ok"})
	}
	return out, err
}

type fleet struct{}

func (fleet) Join(_ context.Context, by schema.Actor, server string) (api.Join, error) {
	return api.Join{Command: "berth periphery --token for-" + server + "-by-" + by.Name}, nil
}
func (fleet) Revoke(context.Context, schema.Actor, string) error { return nil }
func (fleet) Operator(_ context.Context, _ schema.Actor, o api.OperatorParams) (api.Operator, error) {
	return api.Operator{URL: "tls://core:4222", InboxPrefix: "_INBOX." + o.Name}, nil
}

type deliveries struct{}

func (deliveries) Recent(int) []schema.Delivery { return []schema.Delivery{{ID: "d1"}} }
func (deliveries) Get(_ context.Context, id string) (schema.Delivery, error) {
	return schema.Delivery{}, schema.Errorf(schema.NotFound, "no delivery %q", id)
}
func (deliveries) Redeliver(_ context.Context, _ schema.Actor, id string) (schema.Delivery, error) {
	return schema.Delivery{ID: "again", Again: id}, nil
}

// world is the API over a live bus, with a real engine, registry and gate.
type world struct {
	t           *testing.T
	api         *api.API
	engine      *run.Engine
	server      *httptest.Server
	key, secret string
	release     chan struct{} // lets RunProcedure's runs end
	deps        api.Deps
}

// actions stand for core/actions.go: what they do is not of interest here.
func (w *world) actions() []run.Action {
	quick := func(ctx context.Context, r *run.Run) (run.Outcome, error) {
		return run.Outcome{Note: "done"}, r.Note(ctx, run.Note{Decision: &schema.Decision{What: "deploy", Reason: "the first deploy"}})
	}
	slow := func(ctx context.Context, _ *run.Run) (run.Outcome, error) {
		select {
		case <-w.release:
			return run.Outcome{}, nil
		case <-ctx.Done():
			return run.Outcome{}, context.Cause(ctx)
		}
	}
	fail := func(context.Context, *run.Run) (run.Outcome, error) {
		return run.Outcome{}, schema.Errorf(schema.Failed, "the clone is broken")
	}
	type stack struct {
		Stack    string   `json:"stack"`
		Services []string `json:"services,omitempty"`
		StopTime *int     `json:"stop_time,omitempty"`
	}
	type batch struct {
		Pattern string   `json:"pattern"`
		Tags    []string `json:"tags,omitempty"`
	}
	return []run.Action{
		{Name: "DeployStack", Kind: "stack", Param: "stack", Doc: "Deploy a stack.", Params: stack{}, Body: quick},
		{Name: "BatchDeployStack", Doc: "Deploy stacks.", Params: batch{}, Body: quick},
		{Name: "PullRepo", Kind: "repo", Param: "repo", Doc: "Pull a repo.", Params: struct {
			Repo string `json:"repo"`
		}{}, Body: fail},
		{Name: "RunProcedure", Kind: "procedure", Param: "procedure", Doc: "Run a procedure.", Params: struct {
			Procedure string `json:"procedure"`
		}{}, Body: slow},
		{Name: "CancelProcedure", Kind: "procedure", Param: "procedure", Doc: "Cancel.", Body: quick},
		{Name: "Sleep", Doc: "Wait.", Params: struct {
			Duration int64 `json:"duration_ms"`
		}{}, Body: quick},
	}
}

func open[T any](t *testing.T, b *bustest.Bus, name string) *store.Bucket[T] {
	t.Helper()
	bucket, err := store.Open[T](t.Context(), b.Core, name, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return bucket
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, release: make(chan struct{})}
	b := bustest.New(t)
	must(t, bus.Migrate(t.Context(), b.Core, bus.MigrateOptions{}))
	sealer, err := store.OpenSealer(t.TempDir())
	must(t, err)
	g := resource.NewRegistry(resource.Options{Bucket: open[json.RawMessage](t, b, bus.BucketResources), Sealer: sealer, Now: time.Now, Log: bustest.Log(t)})
	resource.Register(g, "variable", schema.DefaultVariable, resource.Named(schema.VariableName), resource.Flat())
	v := views{
		servers:    resource.Register(g, "server", schema.DefaultServer),
		repos:      resource.Register(g, "repo", schema.DefaultRepo, resource.Named(schema.RepoName)),
		stacks:     resource.Register(g, "stack", schema.DefaultStack, resource.Named(schema.StackName)),
		procedures: resource.Register(g, "procedure", schema.DefaultProcedure),
	}
	w.startEngine(b, g)
	gate, err := access.NewGate(t.Context(), access.Config{
		Users: open[access.User](t, b, bus.BucketUsers), Sessions: open[access.Session](t, b, bus.BucketSessions),
		Keys: open[access.Key](t, b, bus.BucketKeys), Settings: open[access.Setting](t, b, bus.BucketSettings),
		Sealer: sealer, Failures: access.NewFailures(time.Now), Now: time.Now, Log: bustest.Log(t),
	})
	must(t, err)
	u, err := gate.CreateAdmin(t.Context(), "ada", "correct horse")
	must(t, err)
	w.key, w.secret, err = gate.NewKey(t.Context(), u.ID, "test", 0)
	must(t, err)
	w.deps = api.Deps{
		Gate: gate, Kinds: g, Views: v, Engine: w.engine, Output: b.Core, Deliveries: deliveries{}, Fleet: fleet{},
		Tail: func(ctx context.Context) iter.Seq2[uint64, schema.Output] {
			return func(func(uint64, schema.Output) bool) { <-ctx.Done() }
		},
		StackLog: func(_ context.Context, server string, req schema.StackLogReq) (schema.StackLogResp, error) {
			return schema.StackLogResp{Stdout: "lines of " + req.Project}, nil
		},
		Title: "test", Version: "0.1.0", Now: time.Now, Log: bustest.Log(t),
	}
	w.api = api.New(w.deps)
	w.server = httptest.NewServer(w.api)
	t.Cleanup(w.server.Close)
	return w
}

func (w *world) startEngine(b *bustest.Bus, g *resource.Registry) {
	w.t.Helper()
	leases, err := store.OpenLeases(w.t.Context(), b.Core, 1)
	must(w.t, err)
	w.engine = run.New(run.Config{
		Conn: b.Core, States: open[schema.Run](w.t, b, bus.BucketRunState), Meta: open[run.Checkpoint](w.t, b, bus.BucketSettings),
		Leases: leases, Actions: w.actions(), Log: bustest.Log(w.t),
		Resolve: func(_ context.Context, kind, name string) (t, server schema.Target, err error) {
			k, err := g.Kind(kind)
			if err == nil {
				t, err = k.Find(name)
			}
			return t, server, err
		},
		Online: func(string) (bool, time.Time) { return true, time.Time{} },
	})
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- w.engine.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		must(w.t, <-done)
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// post sends a body with the key of the administrator and returns the status and
// the answer.
func (w *world) post(path, body string) (int, string) {
	w.t.Helper()
	return w.send(path, body, http.Header{"Content-Type": {"application/json"}, "X-Api-Key": {w.key}, "X-Api-Secret": {w.secret}})
}

func (w *world) send(path, body string, h http.Header) (int, string) {
	w.t.Helper()
	method := http.MethodPost
	if body == "GET" {
		method, body = http.MethodGet, ""
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.server.URL+path, strings.NewReader(body))
	must(w.t, err)
	req.Header = h
	res, err := w.server.Client().Do(req)
	must(w.t, err)
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	must(w.t, err)
	return res.StatusCode, string(b)
}

// ok posts and decodes a good answer.
func ok[T any](w *world, path, body string) T {
	w.t.Helper()
	status, text := w.post(path, body)
	var v T
	if status != http.StatusOK {
		w.t.Fatalf("POST %s %s: %d %s", path, body, status, text)
	}
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		w.t.Fatalf("POST %s: %v in %s", path, err, text)
	}
	return v
}

// fixture declares one of each kind.
func (w *world) fixture() {
	w.t.Helper()
	ok[any](w, "/write/ApplyResources", `{"files":[{"name":"all.toml","text":"[[server]]\nname='atlas'\nconfig.enabled=true\n[[repo]]\nname='homelab'\nconfig.server='atlas'\nconfig.repo='ada/homelab'\n[[stack]]\nname='web'\ntags=['prod','edge']\nconfig.server='atlas'\nconfig.linked_repo='homelab'\nconfig.webhook_secret='hush hush'\n[[stack]]\nname='db'\nconfig.server='atlas'\nconfig.file_contents='services: {}'\n[[procedure]]\nname='deploy'\n[[procedure.config.stage]]\nname='one'\nexecutions=[{execution={type='DeployStack',params={stack='web'}}}]\n[[variable]]\nname='TOKEN'\nvalue='tell nobody'\nis_secret=true\n"}]}`)
}

func TestEveryRowIsDocumented(t *testing.T) {
	w := newWorld(t)
	seen := map[string]bool{}
	for _, r := range w.api.Rows() {
		name := string(r.Group) + "/" + r.Name
		if len(r.Doc) < 5 || !strings.HasSuffix(r.Doc, ".") && r.Group != api.GroupExecute {
			t.Errorf("%s: doc %q is not a sentence", name, r.Doc)
		}
		if r.Needs == "" {
			t.Errorf("%s: no permission", name)
		}
		if r.Needs == access.Public && r.Group != api.GroupLogin {
			t.Errorf("%s is open to everybody", name)
		}
		if r.Example == nil {
			t.Errorf("%s: no example", name)
		}
		if r.Result == nil {
			t.Errorf("%s: no result", name)
		}
		for _, p := range r.Params {
			if p.Required && r.Example[p.Name] == nil {
				t.Errorf("%s: the example lacks %q", name, p.Name)
			}
			if p.Doc == "" && r.Group != api.GroupExecute {
				t.Errorf("%s: parameter %q has no doc", name, p.Name)
			}
		}
		for k := range r.Example {
			known := false
			for _, p := range r.Params {
				known = known || p.Name == k
			}
			if !known {
				t.Errorf("%s: the example has %q, which is no parameter", name, k)
			}
		}
		seen[r.Name] = true
	}
	for _, name := range strings.Fields(`GetVersion GetCoreInfo ListServers GetServer GetServerState GetServersSummary ListStacks GetStack
		ListStackServices GetStacksSummary GetStackLog ListRepos GetRepo ListProcedures GetProcedure ListVariables GetVariable
		ListUpdates GetUpdate ListFullServers ListFullStacks ListFullRepos ListFullProcedures GetServerActionState GetStackActionState
		GetRepoActionState GetProcedureActionState ListTags GetContainersSummary ListAllContainers CreateStack UpdateStack DeleteStack
		RenameStack CopyStack CreateServer CreateRepo CreateProcedure CreateVariable UpdateVariableValue DeleteVariable
		UpdateResourceMeta RefreshStackCache CreateApiKey DeleteApiKey GetLoginOptions LoginLocalUser DeployStack BatchDeployStack
		PullRepo RunProcedure CancelProcedure Sleep PlanResources ApplyResources CancelRun GetRun ListRuns GetRunOutput ListDeliveries
		Redeliver CreateJoinToken RevokeServer CreateOperator`) {
		if !seen[name] {
			t.Errorf("no request %s", name)
		}
	}
}

func TestScenarios(t *testing.T) {
	w := newWorld(t)
	w.fixture()
	for _, c := range []struct {
		name, path, body string
		status           int
		want             []string
		not              string
	}{
		{"path form", "/read/GetVersion", `{}`, 200, []string{`{"version":"0.1.0"}`}, ""},
		{"body form", "/read", `{"type":"GetVersion","params":{}}`, 200, []string{`{"version":"0.1.0"}`}, ""},
		{"old name", "/read", `{"type":"GetDockerContainersSummary","params":{}}`, 200, []string{`"running":1`, `"total":1`, `"unknown":0`}, ""},
		{"unknown, path form", "/read/ListStack", `{}`, 404, []string{"did you mean ListStacks?", `"trace":[]`}, ""},
		{"unknown, body form", "/read", `{"type":"ListStack","params":{}}`, 422, []string{"did you mean ListStacks?"}, ""},
		{"wrong group", "/read/DeployStack", `{"stack":"web"}`, 404, []string{"it is posted to /execute"}, ""},
		{"no params", "/read", `{"type":"ListStacks"}`, 422, []string{"params is missing"}, ""},
		{"no type", "/read", `{"params":{}}`, 422, []string{"type is missing"}, ""},
		{"not JSON", "/read/ListStacks", `{`, 400, []string{"not JSON"}, ""},
		{"missing parameter", "/read/GetStack", `{}`, 422, []string{`parameter \"stack\" is missing`}, ""},
		{"wrong type of parameter", "/read/ListStacks", `{"page":"one"}`, 422, []string{`parameter \"page\": want a whole number`}, ""},
		{"unknown keys are ignored", "/read/GetStack", `{"stack":"web","whatever":1}`, 200, []string{`"name":"web"`}, ""},
		{"by alias", "/read/GetStack", `{"id":"web"}`, 200, []string{`"_id":{"$oid":"`, `"config":{`, `"deployed_hash":"1481a2d"`, `"base_permission":"None"`}, "hush"},
		{"not found", "/read/GetStack", `{"stack":"wbe"}`, 404, []string{`did you mean \"web\"?`}, ""},
		{"list", "/read/ListStacks", `{}`, 200, []string{`"state":"running"`, `"server_name":"atlas"`, `"linked_repo_name":"homelab"`, `"type":"Stack"`}, "hush"},
		{"list by tag", "/read/ListStacks", `{"query":{"tags":["prod"]}}`, 200, []string{`"name":"web"`}, `"name":"db"`},
		{"list by term", "/read/ListStacks", `{"query":{"terms":"D"}}`, 200, []string{`"name":"db"`}, `"name":"web"`},
		{"list by server", "/read/ListStacks", `{"query":{"specific":{"server_ids":["atlas"],"states":["down"]}}}`, 200, []string{`[]`}, ""},
		{"list page", "/read/ListStacks", `{"limit":1,"page":1}`, 200, []string{`"name":"web"`}, `"name":"db"`},
		{"procedure has no info", "/read/GetProcedure", `{"procedure":"deploy"}`, 200, []string{`"info":null`, `"stages":[`}, ""},
		{"full list", "/read/ListFullServers", `{"limit":0}`, 200, []string{`"config":{`, `"attempted_public_key":""`}, ""},
		{"server state", "/read/GetServerState", `{"server":"atlas"}`, 200, []string{`{"status":"Ok"}`}, ""},
		{"summary", "/read/GetStacksSummary", `{}`, 200, []string{`"running":2`, `"down":0`, `"total":2`}, ""},
		{"servers summary", "/read/GetServersSummary", `{}`, 200, []string{`"healthy":1`, `"warning":0`}, ""},
		{"action state", "/read/GetStackActionState", `{"stack":"web"}`, 200, []string{`"deploying":false`, `"destroying":false`}, ""},
		{"services", "/read/ListStackServices", `{"stack":"web"}`, 200, []string{`"service":"web"`, `"state":"Healthy"`, `"swarm_service":null`}, ""},
		{"stack log", "/read/GetStackLog", `{"stack":"web","services":[]}`, 200, []string{`"stdout":"lines of web"`, `"success":true`}, ""},
		{"containers", "/read/ListAllContainers", `{}`, 200, []string{`"PublicPort":8080`, `"IP":null`, `"server_name":"atlas"`}, ""},
		{"tags", "/read/ListTags", `{"query":{"name":"prod"}}`, 200, []string{`"name":"prod"`}, "edge"},
		{"variables", "/read/ListVariables", `{}`, 200, []string{`"name":"TOKEN"`, `"is_secret":true`}, "tell nobody"},
		{"core info", "/read/GetCoreInfo", `{}`, 200, []string{`"default_pagination_limit":50`}, ""},
		{"rename answers an update", "/write/RenameRepo", `{"id":"homelab","name":"homelab"}`, 200, []string{`"operation":"RenameRepo"`, `"status":"Complete"`}, ""},
		{"name in use", "/write/CreateStack", `{"name":"web"}`, 409, []string{"already"}, ""},
		{"bad setting", "/write/CreateStack", `{"name":"x","config":{"brunch":"main"}}`, 422, []string{"did you mean branch?"}, ""},
		{"in use", "/write/DeleteServer", `{"id":"atlas"}`, 409, []string{"is used by"}, ""},
		{"bad variable name", "/write/CreateVariable", `{"name":"9x"}`, 422, []string{"9x"}, ""},
		{"unknown resource", "/execute/DeployStack", `{"stack":"nobody"}`, 404, []string{`there is no stack`}, ""},
		{"execution without its target", "/execute/DeployStack", `{}`, 422, []string{`parameter \"stack\" is missing`}, ""},
		{"execution with a wrong type", "/execute/DeployStack", `{"stack":"web","services":"one"}`, 422, []string{"parameters"}, ""},
		{"unknown run", "/read/GetUpdate", `{"id":"66c33c7c1a2b3c4d5e6f7a8b"}`, 404, []string{"no run"}, ""},
		{"filter operator", "/read/ListUpdates", `{"query":{"x":{"$where":"1"}}}`, 422, []string{"$where"}, ""},
		{"plan with a mistake", "/read/PlanResources", `{"files":[{"name":"a.toml","text":"[[stack]]\nname='x'\nconfig.brunch='y'\n"}]}`, 200, []string{`"line":3`, "did you mean branch"}, ""},
		{"apply with a mistake", "/write/ApplyResources", `{"files":[{"name":"a.toml","text":"[[stack]]\nname='x'\nname='y'\n"}]}`, 422, []string{"a.toml:3"}, ""},
		{"join token", "/write/CreateJoinToken", `{"server":"vault"}`, 200, []string{"for-vault-by-ada"}, ""},
		{"redeliver", "/execute/Redeliver", `{"id":"d1"}`, 200, []string{`"again":"d1"`}, ""},
		{"requests", "/read/ListRequests", `{}`, 200, []string{`"name":"DeployStack"`, `"own":true`}, ""},
		{"empty body", "/read/GetVersion", ``, 400, []string{"not JSON"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, text := w.post(c.path, c.body)
			if status != c.status {
				t.Errorf("status %d: %s", status, text)
			}
			for _, s := range c.want {
				if !strings.Contains(text, s) {
					t.Errorf("the answer lacks %s: %s", s, text)
				}
			}
			if c.not != "" && strings.Contains(text, c.not) {
				t.Errorf("the answer has %s: %s", c.not, text)
			}
			if c.status != 200 {
				var p struct {
					Error string   `json:"error"`
					Trace []string `json:"trace"`
				}
				if err := json.Unmarshal([]byte(text), &p); err != nil || p.Error == "" || p.Trace == nil {
					t.Errorf("not an error of the wire: %s", text)
				}
			}
		})
	}
}

func TestTransport(t *testing.T) {
	w := newWorld(t)
	js := "application/json"
	good := func() http.Header {
		return http.Header{"Content-Type": {js}, "X-Api-Key": {w.key}, "X-Api-Secret": {w.secret}}
	}
	with := func(key, value string) http.Header {
		h := good()
		h.Set(key, value)
		return h
	}
	for _, c := range []struct {
		name, path, body string
		h                http.Header
		status           int
		want             string
	}{
		{"nobody", "/read/GetVersion", `{}`, http.Header{"Content-Type": {js}}, 401, "no credentials"},
		{"wrong secret", "/read/GetVersion", `{}`, with("X-Api-Secret", "S_x_S"), 401, "wrong"},
		{"wrong secret on manage", "/auth/manage/CreateApiKey", `{"name":"x"}`, with("X-Api-Secret", "S_x_S"), 401, "wrong"},
		{"no content type", "/read/GetVersion", `{}`, with("Content-Type", ""), 415, "content-type"},
		{"text", "/read/GetVersion", `{}`, with("Content-Type", "text/plain"), 415, "content-type"},
		{"charset", "/read/GetVersion", `{}`, with("Content-Type", "application/json; charset=utf-8"), 200, "0.1.0"},
		{"too large", "/read/GetVersion", `{"x":"` + strings.Repeat("x", 3<<20) + `"}`, good(), 413, "2 MB"},
		{"version for all", "/version", "GET", http.Header{}, 200, "0.1.0"},
		{"login options for all", "/auth/login/GetLoginOptions", `{}`, http.Header{"Content-Type": {js}}, 200, `"local":true`},
		{"wrong password", "/auth/login/LoginLocalUser", `{"username":"ada","password":"x"}`, http.Header{"Content-Type": {js}}, 401, "wrong"},
		{"user", "/user", "GET", good(), 200, `"username":"ada"`},
		{"nobody's user", "/user", "GET", http.Header{}, 401, "no credentials"},
		{"docs", "/docs", "GET", http.Header{}, 200, "ListStacks"},
		{"docs of a request", "/docs/read/GetStack", "GET", http.Header{}, 200, "curl -X POST"},
		{"docs of a login", "/docs/auth/login/LoginLocalUser", "GET", http.Header{}, 200, "curl -X POST"},
		{"OpenAPI", "/docs/openapi.json", "GET", http.Header{}, 200, `"openapi":"3.1.0"`},
		{"get instead of post", "/read/GetVersion", "GET", good(), 405, ""},
		{"slash at the end", "/read/", `{}`, good(), 404, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, text := w.send(c.path, c.body, c.h)
			if status != c.status || !strings.Contains(text, c.want) {
				t.Errorf("%d %.300s", status, text)
			}
		})
	}
}

func TestDocsLoadNothingFromElsewhere(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/docs", "/docs/read/GetStack"} {
		_, text := w.send(path, "GET", http.Header{})
		for _, bad := range []string{"<script", "src=", "@import", "<link"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s has %s", path, bad)
			}
		}
	}
}

func TestOpenAPIIsWhole(t *testing.T) {
	w := newWorld(t)
	_, text := w.send("/docs/openapi.json", "GET", http.Header{})
	var doc struct {
		Paths      map[string]any
		Components struct{ Schemas map[string]any }
	}
	must(t, json.Unmarshal([]byte(text), &doc))
	for _, r := range w.api.Rows() {
		if doc.Paths["/"+string(r.Group)+"/"+r.Name] == nil {
			t.Errorf("no path for %s", r.Name)
		}
	}
	for part := range strings.SplitSeq(text, `"$ref":"#/components/schemas/`) {
		name, _, _ := strings.Cut(part, `"`)
		if !strings.HasPrefix(part, "{") && doc.Components.Schemas[name] == nil {
			t.Errorf("a reference to %q, which is not there", name)
		}
	}
}

func TestLoginAndToken(t *testing.T) {
	w := newWorld(t)
	_, text := w.send("/auth/login", `{"type":"LoginLocalUser","params":{"username":"ada","password":"correct horse"}}`, http.Header{"Content-Type": {"application/json"}})
	var a struct {
		Type string
		Data struct{ JWT string }
	}
	must(t, json.Unmarshal([]byte(text), &a))
	if a.Type != "Jwt" || strings.Count(a.Data.JWT, ".") != 2 {
		t.Fatal(text)
	}
	status, text := w.send("/user", "GET", http.Header{"Authorization": {a.Data.JWT}})
	if status != 200 || strings.Contains(text, "argon") {
		t.Errorf("%d %s", status, text)
	}
}

func TestKeyOverTheWire(t *testing.T) {
	w := newWorld(t)
	k := ok[struct{ Key, Secret string }](w, "/auth/manage/CreateApiKey", `{"name":"second"}`)
	if _, text := w.post("/read/ListApiKeys", `{}`); !strings.Contains(text, k.Key) || strings.Contains(text, k.Secret) {
		t.Error(text)
	}
	h := http.Header{"Content-Type": {"application/json"}, "X-Api-Key": {k.Key}, "X-Api-Secret": {k.Secret}}
	if status, text := w.send("/read/GetVersion", `{}`, h); status != 200 {
		t.Error(status, text)
	}
	ok[any](w, "/auth/manage/DeleteApiKey", `{"key":"`+k.Key+`"}`)
	if status, text := w.send("/read/GetVersion", `{}`, h); status != 401 {
		t.Error(status, text)
	}
}

type update struct {
	ID struct {
		OID string `json:"$oid"`
	} `json:"_id"`
	Operation string
	Status    string
	Success   bool
	Operator  string
	EndTS     *int64 `json:"end_ts"`
	Target    struct{ Type, ID string }
	Logs      []api.Log
	Other     string `json:"other_data"`
}

func (w *world) finished(id string) update {
	w.t.Helper()
	if _, err := w.engine.Wait(w.t.Context(), id); err != nil {
		w.t.Fatal(err)
	}
	return ok[update](w, "/read/GetUpdate", `{"id":"`+id+`"}`)
}

func TestExecution(t *testing.T) {
	w := newWorld(t)
	w.fixture()
	u := ok[update](w, "/execute/DeployStack", `{"stack":"web"}`)
	if u.ID.OID == "" || u.Status == "" || !u.Success || u.Target.Type != "Stack" || !schema.IsID(u.Target.ID) || u.Logs == nil {
		t.Errorf("answer %+v", u)
	}
	u = w.finished(u.ID.OID)
	if u.Status != "Complete" || !u.Success || u.EndTS == nil || u.Operation != "DeployStack" || !strings.Contains(u.Other, "first deploy") {
		t.Errorf("update %+v", u)
	}
	u = ok[update](w, "/execute", `{"type":"PullRepo","params":{"repo":"homelab"}}`)
	u = w.finished(u.ID.OID)
	if u.Success || len(u.Logs) == 0 || u.Logs[len(u.Logs)-1].Stage != "Task Error" || !strings.Contains(u.Logs[len(u.Logs)-1].Stderr, "broken") {
		t.Errorf("a failed one: %+v", u)
	}
	r := ok[schema.Run](w, "/read/GetRun", `{"id":"1"}`)
	if r.Number != 1 || r.Actor.Kind != "key" || r.Cause.Kind != "api" || r.Target.Name != "web" {
		t.Errorf("run %+v", r)
	}
	for query, n := range map[string]int{
		`{}`: 2, `{"success":false}`: 1, `{"operation":"DeployStack"}`: 1, `{"target.type":"Repo"}`: 1,
		`{"$or":[{"operation":"DeployStack"},{"operation":"PullRepo"}]}`: 2, `{"operation":{"$in":["X"]}}`: 0,
		`{"start_ts":{"$gt":1}}`: 2, `{"operator":"` + u.Operator + `","success":{"$ne":true}}`: 1,
	} {
		list := ok[struct {
			Updates []struct{ Username string }
			Next    *int `json:"next_page"`
		}](w, "/read/ListUpdates", `{"query":`+query+`}`)
		if len(list.Updates) != n || list.Next != nil {
			t.Errorf("%s: %d updates, want %d", query, len(list.Updates), n)
		}
	}
}

func TestBatch(t *testing.T) {
	w := newWorld(t)
	w.fixture()
	list := ok[[]struct {
		Status string
		Data   update
	}](w, "/execute/BatchDeployStack", `{"pattern":"w*, nothing"}`)
	if len(list) != 1 || list[0].Status != "Ok" || list[0].Data.Operation != "DeployStack" {
		t.Errorf("%+v", list)
	}
	if list := ok[[]any](w, "/execute/BatchDeployStack", `{"pattern":"*","tags":["prod"]}`); len(list) != 1 {
		t.Errorf("by tag: %v", list)
	}
	if list := ok[[]any](w, "/execute/BatchDeployStack", `{"pattern":"nothing"}`); len(list) != 0 {
		t.Errorf("nothing matches: %v", list)
	}
}

func TestCancel(t *testing.T) {
	w := newWorld(t)
	w.fixture()
	u := ok[update](w, "/execute/RunProcedure", `{"procedure":"deploy"}`)
	if st := ok[map[string]bool](w, "/read/GetProcedureActionState", `{"procedure":"deploy"}`); !st["running"] {
		t.Errorf("state %v", st)
	}
	ok[update](w, "/execute/CancelProcedure", `{"procedure":"deploy"}`)
	if u = w.finished(u.ID.OID); u.Success {
		t.Errorf("%+v", u)
	}
	if status, text := w.post("/execute/CancelRun", `{"id":"`+u.ID.OID+`"}`); status != 409 {
		t.Errorf("a run that has ended: %d %s", status, text)
	}
	if status, _ := w.post("/execute/CancelProcedure", `{"procedure":"deploy"}`); status != 409 {
		t.Errorf("nothing runs: %d", status)
	}
}

func TestMetaAndCopy(t *testing.T) {
	w := newWorld(t)
	w.fixture()
	ok[any](w, "/write/UpdateResourceMeta", `{"target":{"type":"Stack","id":"db"},"description":"the data","tags":["prod"]}`)
	status, text := w.post("/read/GetStack", `{"stack":"db"}`)
	if status != 200 || !strings.Contains(text, `"description":"the data"`) {
		t.Error(text)
	}
	ok[any](w, "/write/CopyStack", `{"name":"db2","id":"db"}`)
	ok[any](w, "/write/UpdateStack", `{"id":"db2","config":{"branch":"next"}}`)
	if _, text := w.post("/read/GetStack", `{"stack":"db2"}`); !strings.Contains(text, `"branch":"next"`) || !strings.Contains(text, `"file_contents":"services: {}`) {
		t.Error(text)
	}
	ok[any](w, "/write/DeleteStack", `{"id":"db2"}`)
	if status, _ := w.post("/read/GetStack", `{"stack":"db2"}`); status != 404 {
		t.Error(status)
	}
	v := ok[map[string]any](w, "/write/UpdateVariableValue", `{"name":"TOKEN","value":"new and secret"}`)
	if v["value"] == "new and secret" {
		t.Errorf("the value of a secret comes back: %v", v)
	}
}

func TestApplyKeepsToThePlan(t *testing.T) {
	w := newWorld(t)
	w.fixture()
	files := `"files":[{"name":"a.toml","text":"[[stack]]\nname='db'\nconfig.server='atlas'\nconfig.file_contents='services: {}'\nconfig.branch='next'\n"}]`
	plan := ok[struct {
		Digest  string
		Changes []struct{ Op string }
	}](w, "/read/PlanResources", `{`+files+`}`)
	if len(plan.Changes) != 1 || plan.Changes[0].Op != "update" || plan.Digest == "" {
		t.Fatalf("%+v", plan)
	}
	ok[any](w, "/write/UpdateStack", `{"id":"db","config":{"branch":"other"}}`)
	if status, text := w.post("/write/ApplyResources", `{`+files+`,"digest":"`+plan.Digest+`"}`); status != 409 {
		t.Errorf("%d %s", status, text)
	}
}

func TestClientFollows(t *testing.T) {
	w := newWorld(t)
	w.fixture()
	c := api.NewClient(w.server.URL, w.key, w.secret, w.server.Client(), "test")
	var u api.Update
	must(t, c.Call(t.Context(), api.GroupExecute, "RunProcedure", map[string]any{"procedure": "deploy"}, &u))
	first := make(chan struct{})
	done := make(chan error, 1)
	var last *schema.Run
	go func() {
		once := false
		done <- c.Follow(t.Context(), u.ID.OID, func(i api.StreamItem) error {
			if i.Run != nil {
				last = i.Run
				if !once && i.Run.State == schema.StateRunning {
					once = true
					close(first)
				}
			}
			return nil
		})
	}()
	<-first
	close(w.release)
	must(t, <-done)
	if last == nil || last.State != schema.StateSucceeded {
		t.Errorf("last record %+v", last)
	}
	err := c.Call(t.Context(), api.GroupRead, "GetStack", map[string]any{"stack": "nobody"}, nil)
	var e *schema.Error
	if !errors.As(err, &e) || e.Code != schema.NotFound || !strings.Contains(e.Text, "nobody") {
		t.Errorf("error %v", err)
	}
}
