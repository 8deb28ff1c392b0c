package webhook

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"berth/bus/bustest"
	"berth/core/run"
	"berth/schema"
)

// engine records what is started, each id once, as the real one does.
type engine struct {
	mu      sync.Mutex
	started []run.StartReq
	fail    error
	never   map[string]error // runs that cannot start, and why
	wake    chan struct{}
}

func (e *engine) Start(_ context.Context, req run.StartReq) (*schema.Run, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.never[req.ID]; err != nil {
		return nil, err
	}
	if e.fail != nil {
		return nil, e.fail
	}
	if !slices.ContainsFunc(e.started, func(s run.StartReq) bool { return s.ID == req.ID }) {
		e.started = append(e.started, req)
	}
	select {
	case e.wake <- struct{}{}:
	default:
	}
	return &schema.Run{ID: req.ID}, nil
}

func (e *engine) list() []run.StartReq {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.started)
}

// wait blocks until n runs are started.
func (e *engine) wait(t *testing.T, n int) []run.StartReq {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		if list := e.list(); len(list) >= n {
			return list
		}
		select {
		case <-e.wake:
		case <-deadline:
			t.Fatalf("%d runs started, want %d", len(e.list()), n)
		}
	}
}

type targets map[string]Target

func (m targets) Find(_ context.Context, kind, ref string) (Target, error) {
	for _, t := range m {
		if t.Kind == kind && (t.ID == ref || t.Name == ref) {
			return t, nil
		}
	}
	return Target{}, schema.Errorf(schema.NotFound, "there is no %s %q", kind, ref)
}

const coreSecret = "s3cret-of-core"

func someTargets() targets {
	m := targets{}
	for _, t := range []Target{
		{Target: schema.Target{Kind: "procedure", Name: "deploy"}, Enabled: true},
		{Target: schema.Target{Kind: "procedure", Name: "disabled"}},
		{Target: schema.Target{Kind: "procedure", Name: "own secret"}, Enabled: true, Secret: "its own"},
		{Target: schema.Target{Kind: "stack", Name: "web"}, Enabled: true, Branch: "main"},
		{Target: schema.Target{Kind: "stack", Name: "forced"}, Enabled: true, Branch: "main", Force: true},
		{Target: schema.Target{Kind: "repo", Name: "homelab"}, Enabled: true, Branch: "develop"},
	} {
		t.ID = schema.DeriveID(t.Kind, t.Name)
		m[t.ID] = t
	}
	return m
}

type world struct {
	h       *Handler
	engine  *engine
	bus     *bustest.Bus
	targets targets
	secret  string
	stop    func()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{bus: bustest.New(t), targets: someTargets(), secret: coreSecret, engine: &engine{wake: make(chan struct{}, 1)}}
	w.start(t)
	return w
}

// start opens a handler on the world's bus, as a new process would.
func (w *world) start(t *testing.T) {
	t.Helper()
	j, err := OpenJournal(t.Context(), w.bus.Core.JetStream())
	if err != nil {
		t.Fatal(err)
	}
	w.h = New(Config{
		Targets: w.targets, Runs: w.engine, Journal: j, Secret: w.secret,
		Peer: func(r *http.Request) string { return strings.SplitN(r.RemoteAddr, ":", 2)[0] },
		Link: func(run string) string { return "https://berth.example/runs/" + run }, Log: bustest.Log(t),
	})
	w.stop = func() {}
}

// run serves until stop.
func (w *world) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.h.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { w.stop() })
}

// post sends a delivery and returns the status and the answer.
func (w *world) post(t *testing.T, path string, h http.Header, body []byte) (int, Answer) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
	r.Header = h
	rec := httptest.NewRecorder()
	w.h.ServeHTTP(rec, r)
	var a Answer
	if err := json.Unmarshal(rec.Body.Bytes(), &a); err != nil {
		t.Fatalf("answer %q: %v", rec.Body, err)
	}
	return rec.Code, a
}

// signed returns a recorded delivery with its signature.
func signed(t *testing.T, name, secret string) (http.Header, []byte) {
	t.Helper()
	h, body := recorded(t, name)
	h.Set("X-Hub-Signature-256", sign(secret, body))
	h.Set("X-Gitlab-Token", secret)
	return h, body
}

func TestVerdicts(t *testing.T) {
	for name, c := range map[string]struct {
		path, delivery, secret string
		status                 int
		verdict                schema.Verdict
		reason, action         string
	}{
		"procedure":         {"/listener/github/procedure/deploy/main", "forgejo-push", "", 200, schema.VerdictAccepted, "", "RunProcedure"},
		"gitlab":            {"/listener/gitlab/procedure/deploy/main", "gitlab-push", "", 200, schema.VerdictAccepted, "", "RunProcedure"},
		"own secret":        {"/listener/github/procedure/own%20secret/main", "github-push", "its own", 200, schema.VerdictAccepted, "", "RunProcedure"},
		"not core's":        {"/listener/github/procedure/own%20secret/main", "github-push", "", 401, schema.VerdictRefused, "signature wrong", ""},
		"stack":             {"/listener/github/stack/web/deploy", "github-push", "", 200, schema.VerdictAccepted, "", "DeployStackIfChanged"},
		"forced stack":      {"/listener/github/stack/forced/deploy", "github-push", "", 200, schema.VerdictAccepted, "", "DeployStack"},
		"refresh":           {"/listener/github/stack/web/refresh", "github-push", "", 200, schema.VerdictIgnored, "refresh: nothing to do", "RefreshStackCache"},
		"repo":              {"/listener/github/repo/homelab/pull", "gitea-push", "", 200, schema.VerdictAccepted, "", "PullRepo"},
		"clone":             {"/listener/github/repo/homelab/clone", "gitea-push", "", 200, schema.VerdictAccepted, "", "CloneRepo"},
		"any branch":        {"/listener/github/procedure/deploy/__ANY__", "gitea-push", "", 200, schema.VerdictAccepted, "", "RunProcedure"},
		"wrong branch":      {"/listener/github/procedure/deploy/main", "gitea-push", "", 200, schema.VerdictIgnored, "branch: pushed develop, listening to main", "RunProcedure"},
		"repo's branch":     {"/listener/github/repo/homelab/pull", "github-push", "", 200, schema.VerdictIgnored, "branch: pushed main, listening to develop", "PullRepo"},
		"disabled":          {"/listener/github/procedure/disabled/main", "github-push", "", 200, schema.VerdictIgnored, "disabled", "RunProcedure"},
		"ping":              {"/listener/github/procedure/deploy/main", "github-ping", "", 200, schema.VerdictIgnored, "ping", "RunProcedure"},
		"deleted branch":    {"/listener/github/procedure/deploy/main", "github-deleted", "", 200, schema.VerdictIgnored, "deleted", "RunProcedure"},
		"tag":               {"/listener/gitlab/procedure/deploy/main", "gitlab-tag", "", 200, schema.VerdictIgnored, "tag", "RunProcedure"},
		"wrong signature":   {"/listener/github/procedure/deploy/main", "github-push", "other", 401, schema.VerdictRefused, "signature wrong", ""},
		"unknown target":    {"/listener/github/procedure/nobody/main", "github-push", "", 404, schema.VerdictRefused, `no procedure "nobody"`, ""},
		"unknown kind":      {"/listener/github/alerter/x/y", "github-push", "", 404, schema.VerdictRefused, "no webhook address", ""},
		"unknown option":    {"/listener/github/stack/web/explode", "github-push", "", 404, schema.VerdictRefused, "no webhook address", ""},
		"unknown forge":     {"/listener/svn/stack/web/deploy", "github-push", "", 404, schema.VerdictRefused, "no webhook address", ""},
		"too short an URL":  {"/listener/github/stack", "github-push", "", 404, schema.VerdictRefused, "no webhook address", ""},
		"slash in a branch": {"/listener/github/procedure/deploy/feature/x", "github-push", "", 200, schema.VerdictIgnored, "listening to feature/x", "RunProcedure"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.run(t)
			h, body := signed(t, c.delivery, cmp.Or(c.secret, coreSecret))
			status, a := w.post(t, c.path, h, body)
			if status != c.status || a.Verdict != c.verdict || !strings.Contains(a.Reason, c.reason) {
				t.Fatalf("status %d, answer %+v", status, a)
			}
			log := w.h.cfg.Journal.Recent(10)
			if len(log) != 1 || log[0].Verdict != c.verdict || log[0].Action != c.action || log[0].ID != a.Delivery || log[0].Took == 0 {
				t.Errorf("journal %+v", log)
			}
			if c.verdict != schema.VerdictAccepted {
				w.stop()
				if n := len(w.engine.list()); n != 0 || a.Run != "" {
					t.Errorf("%d runs started, answer %+v", n, a)
				}
				return
			}
			got := w.engine.wait(t, 1)[0]
			if got.ID != a.Run || got.Action != c.action || !strings.Contains(string(got.Params), got.Target.ID) || a.URL == "" {
				t.Errorf("started %+v with %s for answer %+v", got, got.Params, a)
			}
			if got.Cause.Kind != "webhook" || got.Cause.Delivery != a.Delivery || got.Cause.Commit == "" || got.Cause.By == "" || got.Cause.Repo == "" {
				t.Errorf("cause %+v", got.Cause)
			}
		})
	}
}

func TestEmptySecretIsRefused(t *testing.T) {
	w := &world{bus: bustest.New(t), targets: someTargets(), engine: &engine{wake: make(chan struct{}, 1)}}
	w.start(t)
	h, body := signed(t, "github-push", "")
	status, a := w.post(t, "/listener/github/procedure/deploy/main", h, body)
	if status != 403 || a.Verdict != schema.VerdictRefused || !strings.Contains(a.Reason, "--webhook-secret") {
		t.Errorf("status %d, %+v", status, a)
	}
}

func TestBadBodies(t *testing.T) {
	w := newWorld(t)
	big := bytes.Repeat([]byte("x"), 10<<20)
	for name, c := range map[string]struct {
		body   []byte
		status int
		reason string
	}{
		"garbage": {[]byte("\xff\xfe{{{"), 422, "not a JSON object"},
		"empty":   {nil, 422, "not a JSON object"},
		"10 MB":   {big, 413, "larger than 2 MB"},
	} {
		t.Run(name, func(t *testing.T) {
			h := http.Header{"X-Github-Event": {"push"}, "X-Hub-Signature-256": {sign(coreSecret, c.body)}}
			status, a := w.post(t, "/listener/github/procedure/deploy/main", h, c.body)
			if status != c.status || a.Verdict != schema.VerdictRefused || !strings.Contains(a.Reason, c.reason) {
				t.Errorf("status %d, %+v", status, a)
			}
		})
	}
	if n := len(w.engine.list()); n != 0 {
		t.Errorf("%d runs", n)
	}
}

// counting counts what is read of a body.
type counting struct {
	r io.Reader
	n int
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

func TestBodyIsNotReadBeyondTheLimit(t *testing.T) {
	w := newWorld(t)
	body := &counting{r: io.LimitReader(zeros{}, 1<<30)}
	r := httptest.NewRequest(http.MethodPost, "/listener/github/procedure/deploy/main", io.NopCloser(body))
	r.ContentLength = -1
	rec := httptest.NewRecorder()
	w.h.ServeHTTP(rec, r)
	if rec.Code != 413 || body.n > MaxBody+64<<10 {
		t.Errorf("status %d after reading %d bytes", rec.Code, body.n)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
