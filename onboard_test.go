package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"berth/bus"
	"berth/bus/bustest"
	"berth/periphery"
	"berth/schema"
)

// asked posts a request as the administrator and decodes the answer.
type asked struct {
	*station
	jwt string
}

func newAsked(t *testing.T) *asked {
	t.Helper()
	a := &asked{station: newStation(t)}
	var in struct {
		Data struct{ JWT string }
	}
	a.post("auth/login/LoginLocalUser", map[string]any{"username": "ada", "password": "correct horse"}, &in)
	a.jwt = in.Data.JWT
	return a
}

// post asks and returns the status; out is filled in when all went well.
func (a *asked) post(path string, params, out any) int {
	a.t.Helper()
	code, text := a.said(path, params)
	if code == http.StatusOK && out != nil {
		if err := json.Unmarshal([]byte(text), out); err != nil {
			a.t.Errorf("%s: %v\n%s", path, err, text)
		}
	}
	return code
}

// said asks and returns the status and the answer.
func (a *asked) said(path string, params any) (status int, answer string) {
	a.t.Helper()
	body, err := json.Marshal(params)
	if err != nil {
		a.t.Error(err)
		return 0, ""
	}
	r, err := http.NewRequestWithContext(a.t.Context(), http.MethodPost, a.url+"/"+path, bytes.NewReader(body))
	if err != nil {
		a.t.Error(err)
		return 0, ""
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", a.jwt)
	c := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // the test's own core
	resp, err := c.Do(r)
	if err != nil {
		a.t.Error(err)
		return 0, ""
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

func (a *asked) key(params map[string]any) (private string, k schema.OnboardingKey) {
	a.t.Helper()
	var made struct {
		PrivateKey string `json:"private_key"`
		Created    schema.OnboardingKey
	}
	if code := a.post("write/CreateOnboardingKey", params, &made); code != http.StatusOK {
		a.t.Fatalf("create an onboarding key: %d", code)
	}
	return made.PrivateKey, made.Created
}

// guest is an agent that comes by itself.
type guest struct {
	ready chan struct{}
	done  chan error
}

func (a *asked) agent(name, key, data string) *guest {
	a.t.Helper()
	return a.agentOf(periphery.Config{Core: a.url, ConnectAs: name, OnboardingKey: key, Data: data, TrustFirst: key == ""})
}

func (a *asked) agentOf(cfg periphery.Config) *guest {
	a.t.Helper()
	g := &guest{ready: make(chan struct{}, 1), done: make(chan error, 1)}
	cfg.Engine, cfg.Log, cfg.Version = "unix:///nonexistent.sock", slog.New(slog.DiscardHandler), "test"
	cfg.Ready = func() { g.ready <- struct{}{} }
	ctx, cancel := context.WithCancel(a.t.Context())
	end := make(chan struct{})
	go func() { defer close(end); g.done <- periphery.Run(ctx, cfg) }()
	a.t.Cleanup(func() { cancel(); <-end })
	return g
}

func (a *asked) joins(g *guest) {
	a.t.Helper()
	select {
	case <-g.ready:
	case err := <-g.done:
		a.t.Fatalf("the agent ended: %v", err)
	case <-time.After(30 * time.Second):
		a.t.Fatal("the agent did not join in time")
	}
}

type serverSeen struct {
	ID     oidSeen `json:"_id"`
	Name   string
	Tags   []string
	Config schema.ServerConfig
	Info   struct {
		PublicKey string `json:"public_key"`
		Attempted string `json:"attempted_public_key"`
	}
}

type oidSeen struct {
	OID string `json:"$oid"`
}

func (a *asked) server(name string) (s serverSeen) {
	a.t.Helper()
	if code := a.post("read/GetServer", map[string]any{"server": name}, &s); code != http.StatusOK {
		a.t.Fatalf("server %s: %d", name, code)
	}
	return s
}

func TestOnboardingMakesServers(t *testing.T) {
	a := newAsked(t)
	a.post("write/CreateServer", map[string]any{"name": "template", "config": map[string]any{"region": "attic", "enabled": false, "address": "https://old:8120"}}, nil)
	private, k := a.key(map[string]any{"name": "lab", "tags": []string{"lab"}, "copy_server": "template", "create_builder": true})
	a.joins(a.agent("nexus", private, t.TempDir()))
	a.joins(a.agent("vault", private, t.TempDir())) // many may use it

	s := a.server("nexus")
	if s.Config.Region != "attic" || !s.Config.Enabled || s.Config.Address != "" || len(s.Tags) != 1 || !strings.HasPrefix(s.Info.PublicKey, "U") {
		t.Errorf("the server: %+v", s)
	}
	var builder struct {
		Config struct {
			Params struct {
				ServerIDs []string `json:"server_ids"`
			}
		}
	}
	if code := a.post("read/GetBuilder", map[string]any{"builder": "vault"}, &builder); code != http.StatusOK {
		t.Errorf("the builder: %d", code)
	}
	var list []schema.OnboardingKey
	a.post("read/ListOnboardingKeys", map[string]any{}, &list)
	if len(list) != 1 || list[0].PublicKey != k.PublicKey || !slices.Equal(list[0].Onboarded, []string{s.ID.OID, a.server("vault").ID.OID}) {
		t.Errorf("the key: %+v", list)
	}
}

func TestOnboardingIsRefusedWithAWord(t *testing.T) {
	a := newAsked(t)
	private, k := a.key(map[string]any{"name": "lab"})
	refused := func(what, key, want string) {
		t.Helper()
		select {
		case err := <-a.agent("nexus", key, t.TempDir()).done:
			if schema.CodeOf(err) != schema.Denied || !strings.Contains(schema.SafeText(err), want) {
				t.Errorf("%s: %v, want %s", what, err, want)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%s: the agent goes on", what)
		}
	}
	refused("another key", bus.NewOnboardKey(), "does not know this onboarding key")
	a.post("write/UpdateOnboardingKey", map[string]any{"public_key": k.PublicKey, "enabled": false}, nil)
	refused("disabled", private, `"lab" is disabled`)
	a.post("write/UpdateOnboardingKey", map[string]any{"public_key": k.PublicKey, "enabled": true, "expires": time.Now().Add(-time.Minute).UnixMilli()}, &k)
	refused("expired", private, `"lab" expired at`)
	if !k.Enabled || k.Name != "lab" {
		t.Errorf("what was absent did not stay: %+v", k)
	}
	if code := a.post("write/DeleteOnboardingKey", map[string]any{"public_key": k.PublicKey}, nil); code != http.StatusOK {
		t.Errorf("delete: %d", code)
	}
	refused("deleted", private, "does not know this onboarding key")
	if code := a.post("write/DeleteOnboardingKey", map[string]any{"public_key": k.PublicKey}, nil); code != http.StatusNotFound {
		t.Errorf("delete again: %d", code)
	}
	if code := a.post("read/GetServer", map[string]any{"server": "nexus"}, nil); code != http.StatusNotFound {
		t.Errorf("a server was made: %d", code)
	}
}

// An agent that lost its key is let in again by an administrator, or with a
// privileged key; the key before is shut out.
func TestAgentThatLostItsKey(t *testing.T) {
	a := newAsked(t)
	plain, _ := a.key(map[string]any{"name": "plain"})
	a.joins(a.agent("nexus", plain, t.TempDir()))
	first := a.server("nexus").Info.PublicKey
	again := a.agent("nexus", plain, t.TempDir())
	bustest.Eventually(t, 20*time.Second, "the other key is shown", func() bool { return a.server("nexus").Info.Attempted != "" })
	if s := a.server("nexus"); s.Info.PublicKey != first || s.Info.Attempted == first {
		t.Fatalf("before it is confirmed: %+v", s.Info)
	}
	attempted := a.server("nexus").Info.Attempted
	a.ok("login", a.url, "--username", "ada", "--password-file", write(t, "pw", "correct horse\n"))
	a.ok("server", "confirm", "nexus", attempted)
	a.joins(again)
	if s := a.server("nexus"); s.Info.PublicKey != attempted || s.Info.Attempted != "" {
		t.Errorf("after: %+v", s.Info)
	}

	privileged, _ := a.key(map[string]any{"name": "privileged", "privileged": true})
	a.joins(a.agent("nexus", privileged, t.TempDir()))
	if s := a.server("nexus"); s.Info.PublicKey == attempted {
		t.Errorf("the privileged key changed nothing: %+v", s.Info)
	}
	var u schema.Run
	if code := a.post("write/RotateServerKeys", map[string]any{"server": "nexus"}, &u); code != http.StatusOK {
		t.Errorf("rotate: %d", code)
	}
	before := a.server("nexus").Info.PublicKey
	bustest.Eventually(t, 30*time.Second, "the agent has another key", func() bool { return a.server("nexus").Info.PublicKey != before })
}

// Without anything that proves core an agent joins nobody.
func TestOnboardingProvesCore(t *testing.T) {
	mine, err := bus.NewSeed()
	if err != nil {
		t.Fatal(err)
	}
	core := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var req schema.OnboardReq
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			t.Error(err)
		}
		resp, err := bus.AnswerOnboard(req, schema.OnboardResp{Server: schema.Target{ID: "0123456789abcdef01234567", Name: "nexus"}}, mine, []byte("a guess"))
		if err != nil {
			t.Error(err)
		}
		_ = json.NewEncoder(w).Encode(resp)
	}))
	defer core.Close()
	a := &asked{station: &station{t: t, url: core.URL}}
	other, err := bus.NewSeed()
	if err != nil {
		t.Fatal(err)
	}
	public, err := bus.PublicKey(other)
	if err != nil {
		t.Fatal(err)
	}
	for want, cfg := range map[string]periphery.Config{
		"does not know the onboarding key": {OnboardingKey: bus.NewOnboardKey()},
		"nothing proves that this is core": {},
		"core_public_keys does not name":   {CoreKeys: []string{public}, TrustFirst: true},
	} {
		cfg.Core, cfg.ConnectAs, cfg.Data = core.URL, "nexus", t.TempDir()
		if err := <-a.agentOf(cfg).done; schema.CodeOf(err) != schema.Denied || !strings.Contains(schema.SafeText(err), want) {
			t.Errorf("%v, want %s", err, want)
		}
		if periphery.Joined(filepath.Join(cfg.Data)) {
			t.Errorf("%s: it joined", want)
		}
	}
}

// An agent connects from where its server's allowed_ips let it, and from nowhere else.
func TestAllowedIPsOfAServer(t *testing.T) {
	a := newAsked(t)
	for name, ips := range map[string]string{"near": "127.0.0.0/8", "far": "10.0.0.0/8"} {
		if code := a.post("write/CreateServer", map[string]any{"name": name, "config": map[string]any{"enabled": true, "allowed_ips": []string{ips}}}, nil); code != http.StatusOK {
			t.Fatalf("create %s: %d", name, code)
		}
	}
	if code := a.post("write/UpdateServer", map[string]any{"id": "near", "config": map[string]any{"allowed_ips": []string{"127.0.0.0/8", "lan"}}}, nil); code != http.StatusUnprocessableEntity && code != http.StatusBadRequest {
		t.Errorf("a malformed entry: %d", code)
	}
	private, _ := a.key(map[string]any{"name": "lab"})
	far := a.agent("far", private, t.TempDir())
	a.joins(a.agent("near", private, t.TempDir()))
	bustest.Eventually(t, 20*time.Second, "the key of the other is known", func() bool { return a.server("far").Info.PublicKey != "" })
	select {
	case <-far.ready:
		t.Error("it connects from elsewhere")
	case err := <-far.done:
		t.Errorf("it gave up: %v", err)
	case <-time.After(2 * time.Second):
	}
	a.post("write/UpdateServer", map[string]any{"id": "far", "config": map[string]any{"allowed_ips": []string{}}}, nil)
	a.joins(far)
}
