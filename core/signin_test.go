package core

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"berth/core/provider/providertest"
	"berth/schema"
)

// browser is somebody's browser, with cookies.
type browser struct {
	t    *testing.T
	url  string
	jwt  string
	http *http.Client
}

func newBrowser(t *testing.T, address string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t: t, url: address, http: &http.Client{Jar: jar}}
}

// post returns the status of a request in the path form, and decodes its answer.
func (b *browser) post(path string, params map[string]any, into any) (int, string) {
	b.t.Helper()
	body, err := json.Marshal(params)
	if err != nil {
		b.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.url+path, bytes.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if b.jwt != "" {
		req.Header.Set("Authorization", b.jwt)
	}
	res, err := b.http.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if res.StatusCode == http.StatusOK && into != nil {
		if err := json.Unmarshal(text, into); err != nil {
			b.t.Fatalf("%s: %v in %s", path, err, text)
		}
	}
	return res.StatusCode, string(text)
}

func (b *browser) must(path string, params map[string]any, into any) {
	b.t.Helper()
	if status, text := b.post(path, params, into); status != http.StatusOK {
		b.t.Fatalf("%s: %d %s", path, status, text)
	}
}

// open follows an address until a page is there, and returns where that is.
func (b *browser) open(address string) *url.URL {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		b.t.Fatal(err)
	}
	res, err := b.http.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.Request.URL
}

type jwtAnswer struct {
	JWT string `json:"jwt"`
}

const testPassword = "correct horse battery"

// TestTOTPLogin goes the steps as Komodo's client does.
func TestTOTPLogin(t *testing.T) {
	cfg := config(t, t.TempDir())
	cfg.AdminUsername, cfg.AdminPassword = "mira", testPassword
	info, _ := serve(t, cfg)
	login := map[string]any{"username": "mira", "password": testPassword}
	me := newBrowser(t, "http://"+info.Addr)
	var in struct {
		Type string
		Data json.RawMessage
	}
	var got jwtAnswer
	enter := func(b *browser) {
		t.Helper()
		b.must("/auth/login/LoginLocalUser", login, &in)
		got = jwtAnswer{}
		_ = json.Unmarshal(in.Data, &got)
	}
	enter(me)
	me.jwt = got.JWT
	if in.Type != "Jwt" || me.jwt == "" {
		t.Fatalf("%s %s", in.Type, in.Data)
	}
	other := newBrowser(t, me.url)
	enter(other)
	other.jwt = got.JWT
	var made struct{ URI, PNG string }
	me.must("/auth/manage/BeginTotpEnrollment", map[string]any{}, &made)
	u, err := url.Parse(made.URI)
	if err != nil || made.PNG == "" {
		t.Fatal(made, err)
	}
	code, err := totp.GenerateCode(u.Query().Get("secret"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var confirmed struct {
		Codes []string `json:"recovery_codes"`
	}
	me.must("/auth/manage/ConfirmTotpEnrollment", map[string]any{"code": code}, &confirmed)
	if status, _ := other.post("/auth/manage/GetUserId", map[string]any{}, nil); status != http.StatusUnauthorized {
		t.Errorf("another session after the enrolment: %d", status)
	}
	var sessions []struct {
		ID      string
		Current bool
	}
	me.must("/auth/manage/ListSessions", map[string]any{}, &sessions)
	if len(sessions) != 1 || !sessions[0].Current {
		t.Errorf("sessions %+v", sessions)
	}

	fresh := newBrowser(t, me.url)
	enter(fresh)
	if in.Type != "Totp" || string(in.Data) != "{}" {
		t.Fatalf("asked for %s %s", in.Type, in.Data)
	}
	if status, text := newBrowser(t, me.url).post("/auth/login/CompleteTotpLogin", map[string]any{"code": confirmed.Codes[0]}, nil); status != http.StatusUnauthorized {
		t.Errorf("a code without the first step: %d %s", status, text)
	}
	if status, _ := fresh.post("/auth/login/CompleteTotpLogin", map[string]any{"code": "nonsense"}, nil); status != http.StatusUnauthorized {
		t.Errorf("a wrong code: %d", status)
	}
	fresh.must("/auth/login/CompleteTotpLogin", map[string]any{"code": confirmed.Codes[0]}, &got)
	fresh.jwt = got.JWT
	fresh.must("/auth/manage/RevokeSession", map[string]any{"session": sessions[0].ID}, nil)
	if status, _ := me.post("/auth/manage/GetUserId", map[string]any{}, nil); status != http.StatusUnauthorized {
		t.Errorf("a session that was ended: %d", status)
	}
	if status, text := fresh.post("/auth/manage/CreateApiKeyV2", map[string]any{"name": "x"}, nil); status != http.StatusNotImplemented || !strings.Contains(text, "CreateApiKey") {
		t.Errorf("keys that sign: %d %s", status, text)
	}
}

// TestOIDCLogin goes to a provider and back, and gets what its groups give.
func TestOIDCLogin(t *testing.T) {
	o := providertest.NewOIDC(t)
	cfg := config(t, t.TempDir())
	cfg.AdminUsername, cfg.AdminPassword = "mira", testPassword
	cfg.SignIn = SignIn{EnableNew: true, OIDC: OIDC{
		Enabled: true, Provider: o.URL, ClientID: providertest.ClientID, ClientSecret: providertest.ClientSecret, GroupsClaim: "groups", AdminGroups: []string{"ops"},
	}}
	info, _ := serve(t, cfg)
	host := "http://" + info.Addr
	o.Callback = host + "/auth/oidc/callback"
	o.Claims = map[string]any{"sub": "u-1", "preferred_username": "ada", "groups": []string{"dev", "unknown"}}
	admin := newBrowser(t, host)
	var in struct{ Data jwtAnswer }
	admin.must("/auth/login/LoginLocalUser", map[string]any{"username": "mira", "password": testPassword}, &in)
	admin.jwt = in.Data.JWT
	admin.must("/write/ApplyResources", map[string]any{"files": []map[string]string{{"name": "a.toml", "text": "[[user_group]]\nname = 'dev'\n"}}}, nil)

	ada := newBrowser(t, host)
	var options struct{ OIDC, Local bool }
	ada.must("/auth/login/GetLoginOptions", map[string]any{}, &options)
	if !options.OIDC || !options.Local {
		t.Errorf("options %+v", options)
	}
	if at := ada.open(host + "/auth/oidc/login?redirect=/favicon.svg"); at.String() != host+"/favicon.svg?redeem_ready=true" {
		t.Fatalf("ended at %s", at)
	}
	var got jwtAnswer
	ada.must("/auth/login/ExchangeForJwt", map[string]any{}, &got)
	if status, _ := ada.post("/auth/login/ExchangeForJwt", map[string]any{}, nil); status != http.StatusUnauthorized {
		t.Errorf("exchanged twice: %d", status)
	}
	ada.jwt = got.JWT
	var id struct{ ID string }
	ada.must("/auth/manage/GetUserId", map[string]any{}, &id)
	var text struct{ TOML string }
	admin.must("/read/ExportAllResourcesToToml", map[string]any{"include_user_groups": true}, &text)
	if !strings.Contains(text.TOML, `"ada"`) && !strings.Contains(text.TOML, `'ada'`) {
		t.Errorf("ada did not join her group:\n%s", text.TOML)
	}
	if at := ada.open(host + "/auth/oidc/login?redirect=https://evil.example/"); at.Host != info.Addr {
		t.Errorf("led to %s", at)
	}

	page := newBrowser(t, host) // the pages' own way
	if at := page.open(host + "/auth/oidc/login?redirect=/login/back?next=/runs"); at.Path != "/runs" {
		t.Errorf("the pages end at %s", at)
	}
	link := newBrowser(t, host)
	if at := link.open(o.Callback + "?state=x&code=y"); at.Path != "/auth/oidc/callback" {
		t.Errorf("a way back that nobody went: %s", at)
	}
}

func TestHalfAProviderIsRefused(t *testing.T) {
	for name, s := range map[string]SignIn{
		"OIDC":   {OIDC: OIDC{Enabled: true, Provider: "https://id.example"}},
		"GitHub": {GitHub: OAuth{Enabled: true, ID: "x"}},
		"Google": {Google: OAuth{Enabled: true, Secret: "x"}},
		"nobody": {NoPasswords: true},
	} {
		if err := s.check(); schema.CodeOf(err) != schema.Invalid || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (SignIn{NoPasswords: true, GitHub: OAuth{Enabled: true, ID: "x", Secret: "y"}}).check(); err != nil {
		t.Error(err)
	}
}
