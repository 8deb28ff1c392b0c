package api_test

import (
	"context"
	"encoding/json"
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
			Version: "0.1.0", Host: &schema.HostInfo{CPU: "fast", Arch: "x86_64"},
			Stats:      &schema.HostStats{HostUse: schema.HostUse{CPU: 12.5}, Rate: "15-sec", Disks: []schema.HostDisk{{Mount: "/", Used: 1, Total: 4}, {Mount: "/d", Used: 2, Total: 4}}},
			Containers: []schema.Container{{ID: "c1", Name: "web-1", State: "running", Ports: []schema.Port{{Private: 80, Public: 8080, Proto: "tcp"}}}},
		}})
	}
	return out, err
}

func (v views) Stacks(context.Context, ...string) ([]schema.StackView, error) {
	list, err := v.stacks.All()
	var out []schema.StackView
	for _, r := range list {
		out = append(out, schema.StackView{
			Resource: r, State: schema.StackRunning, Server: schema.Target{Kind: "server", ID: r.Config.ServerID, Name: "atlas"},
			Deployed: &schema.Deployed{Project: r.Name, Commit: "1481a2de7b2a7d02428ad93446ab166be7793fbb"},
			Services: []schema.ServiceView{{Name: "web", Image: "nginx", State: "healthy", Containers: []schema.Container{{ID: "c1", Name: "web-1", State: "running", ImageID: "sha256:1"}}}},
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
	bus         *bustest.Bus
	api         *api.API
	engine      *run.Engine
	gate        *access.Gate
	kinds       *resource.Registry
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
		talkAction(),
		{Name: "DeployStack", Kind: "stack", Param: "stack", Doc: "Deploy a stack.", Params: stack{}, Body: quick},
		{Name: "BatchDeployStack", Open: true, Doc: "Deploy stacks.", Params: batch{}, Body: quick},
		{Name: "PullRepo", Kind: "repo", Param: "repo", Doc: "Pull a repo.", Params: struct {
			Repo string `json:"repo"`
		}{}, Body: fail},
		{Name: "RunProcedure", Kind: "procedure", Param: "procedure", Doc: "Run a procedure.", Params: struct {
			Procedure string `json:"procedure"`
		}{}, Body: slow},
		{Name: "BatchRunProcedure", Doc: "Run procedures.", Params: batch{}, Body: quick},
		{Name: "CancelProcedure", Kind: "procedure", Param: "procedure", Doc: "Cancel.", Body: quick},
		{Name: "Sleep", Open: true, Doc: "Wait.", Params: struct {
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
	w.bus = b
	must(t, bus.Migrate(t.Context(), b.Core, bus.MigrateOptions{}))
	sealer, err := store.OpenSealer(t.TempDir())
	must(t, err)
	g := resource.NewRegistry(resource.Options{Bucket: open[json.RawMessage](t, b, bus.BucketResources), Sealer: sealer, Now: time.Now, Log: bustest.Log(t)})
	resource.Register(g, "swarm", schema.DefaultSwarm)
	resource.Register(g, "variable", schema.DefaultVariable, resource.Named(schema.VariableName), resource.Flat())
	v := views{
		servers:    resource.Register(g, "server", schema.DefaultServer),
		repos:      resource.Register(g, "repo", schema.DefaultRepo, resource.Named(schema.RepoName)),
		stacks:     resource.Register(g, "stack", schema.DefaultStack, resource.Named(schema.StackName)),
		procedures: resource.Register(g, "procedure", schema.DefaultProcedure),
	}
	resource.Register(g, "user_group", schema.DefaultUserGroup, resource.Flat())
	w.kinds = g
	w.startEngine(b, g)
	gate, err := access.NewGate(t.Context(), access.Config{
		Users: open[access.User](t, b, bus.BucketUsers), Sessions: open[access.Session](t, b, bus.BucketSessions),
		Keys: open[access.Key](t, b, bus.BucketKeys), Settings: open[access.Setting](t, b, bus.BucketSettings),
		Grants: open[access.Grant](t, b, bus.BucketGrants), Things: g,
		Sealer: sealer, Failures: access.NewFailures(time.Now), Now: time.Now, Log: bustest.Log(t),
	})
	must(t, err)
	w.gate = gate
	g.Guard(gate)
	u, err := gate.CreateAdmin(t.Context(), "ada", "correct horse")
	must(t, err)
	w.key, w.secret, err = gate.NewKey(t.Context(), u.ID, "test", 0)
	must(t, err)
	w.deps = api.Deps{
		Gate: gate, Kinds: g, Views: v, Engine: w.engine, Approvals: w.engine, Output: b.Core, Deliveries: deliveries{}, Fleet: fleet{},
		Tail: func(ctx context.Context) iter.Seq2[uint64, schema.Output] {
			return func(yield func(uint64, schema.Output) bool) {
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				err := b.Core.Tail(ctx, func(seq uint64, agent string, out schema.Output) {
					if agent == host.ID && !yield(seq, out) { // core checks this by the run's steps
						cancel()
					}
				})
				if err != nil && ctx.Err() == nil {
					w.t.Error(err)
				}
			}
		},
		Ask: w.ask, History: w,
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
		Permit: func(s schema.Starter, needs access.Level, t schema.Target) error {
			return w.gate.PermitStarter(s, needs, t)
		},
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
	return w.send(path, body, w.auth())
}

func (w *world) auth() http.Header {
	return http.Header{"Content-Type": {"application/json"}, "X-Api-Key": {w.key}, "X-Api-Secret": {w.secret}}
}

func jsonText(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

func (w *world) send(path, body string, h http.Header) (int, string) {
	w.t.Helper()
	method := http.MethodPost
	if body == "GET" {
		method, body = http.MethodGet, ""
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.server.URL+path, strings.NewReader(body))
	must(w.t, err)
	req.Header = h.Clone()
	if h == nil {
		req.Header = http.Header{}
	}
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
