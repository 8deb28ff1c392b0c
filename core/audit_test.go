package core

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"berth/core/provider/providertest"
	"berth/schema"
)

// follow reads the stream of the record from its next entry on.
func (b *browser) follow() func() schema.Audit {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.url+"/stream/audit", http.NoBody)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Authorization", b.jwt)
	res, err := b.http.Do(req)
	if err != nil || res.StatusCode != http.StatusOK {
		b.t.Fatal(res, err)
	}
	b.t.Cleanup(func() { _ = res.Body.Close() })
	lines := bufio.NewScanner(res.Body)
	return func() schema.Audit {
		b.t.Helper()
		for lines.Scan() {
			if line := strings.TrimSpace(lines.Text()); strings.HasPrefix(line, "{") && len(line) > 2 {
				var a schema.Audit
				if err := json.Unmarshal([]byte(line), &a); err != nil {
					b.t.Fatalf("%v in %s", err, line)
				}
				return a
			}
		}
		b.t.Fatalf("the stream ended: %v", lines.Err())
		return schema.Audit{}
	}
}

// TestAuditSaysWhatUsersWereAndAre changes users and what they may do, and reads the
// stream: what was and what is, and no secret of anybody.
func TestAuditSaysWhatUsersWereAndAre(t *testing.T) {
	cfg := config(t, t.TempDir())
	cfg.AdminUsername, cfg.AdminPassword = "mira", testPassword
	info, _ := serve(t, cfg)
	me := newBrowser(t, "http://"+info.Addr)
	var in struct{ Data jwtAnswer }
	me.must("/auth/login/LoginLocalUser", map[string]any{"username": "mira", "password": testPassword}, &in)
	me.jwt = in.Data.JWT
	me.must("/write/CreateStack", map[string]any{"name": "web"}, nil)
	next := me.follow()
	kim := map[string]any{"type": "User", "id": "kim"}
	web := map[string]any{"type": "Stack", "id": "web"}
	secrets := []string{testPassword, "argon2", "hush"}
	for _, c := range []struct {
		path          string
		params        map[string]any
		before, after []string // empty for nothing at all
	}{
		{"/write/CreateLocalUser", map[string]any{"username": "kim", "password": "hush-hush-hush"}, nil, []string{"username = 'kim'", "enabled = true", "admin = false"}},
		{"/write/UpdateUserBasePermissions", map[string]any{"user_id": "kim", "create_servers": true}, []string{"create_servers = false"}, []string{"create_servers = true", "create_builds = false"}},
		{"/write/UpdateUserBasePermissions", map[string]any{"user_id": "kim", "enabled": false}, []string{"enabled = true"}, []string{"enabled = false", "create_servers = true"}},
		{"/write/UpdateUserBasePermissions", map[string]any{"user_id": "kim", "enabled": true}, []string{"enabled = false"}, []string{"enabled = true"}},
		{
			"/write/UpdatePermissionOnTarget",
			map[string]any{"user_target": kim, "resource_target": web, "permission": map[string]any{"level": "Execute", "specific": []string{"Logs"}}},
			nil,
			[]string{"type = 'Stack'", "id = 'web'", "level = 'Execute'", "specific = ['Logs']"},
		},
		{
			"/write/UpdatePermissionOnTarget",
			map[string]any{"user_target": kim, "resource_target": web, "permission": "Read"},
			[]string{"level = 'Execute'", "specific = ['Logs']"},
			[]string{"level = 'Read'", "specific = []"},
		},
		{
			"/write/UpdatePermissionOnResourceType",
			map[string]any{"user_target": kim, "resource_type": "Stack", "permission": map[string]any{"level": "Read", "specific": []string{"Inspect"}}},
			[]string{"username = 'kim'"},
			[]string{"[all.Stack]", "level = 'Read'", "specific = ['Inspect']"},
		},
		{"/write/UpdateUserAdmin", map[string]any{"user_id": "kim", "admin": true}, []string{"admin = false"}, []string{"admin = true", "super = false"}},
		{"/write/UpdateUserAdmin", map[string]any{"user_id": "kim", "admin": false}, []string{"admin = true"}, []string{"admin = false"}},
		{"/write/DeleteUser", map[string]any{"user": "kim"}, []string{"username = 'kim'"}, nil},
		{"/write/CreateServiceUser", map[string]any{"username": "kim", "description": "Builds."}, nil, []string{"kind = 'Service'", "description = 'Builds.'"}},
		{"/write/UpdateServiceUserDescription", map[string]any{"username": "kim", "description": "Deploys."}, []string{"description = 'Builds.'"}, []string{"description = 'Deploys.'"}},
	} {
		me.must(c.path, c.params, nil)
		rec := next()
		if rec.Request != c.path[len("/write/"):] || rec.Target.Kind != "user" || rec.Target.Name != "kim" || rec.Actor.Name != "mira" || rec.Code != "" {
			t.Errorf("%s: %+v", c.path, rec)
		}
		for text, parts := range map[string][]string{"before:\n" + rec.Before: c.before, "after:\n" + rec.After: c.after} {
			lacks := slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(text, p) })
			if whole := text[strings.Index(text, "\n")+1:]; lacks || (len(parts) == 0) != (whole == "") {
				t.Errorf("%s: %s, want %q", c.path, text, parts)
			}
		}
		noSecret(t, rec, secrets)
	}
	me.ownSecrets(next, secrets)
}

func noSecret(t *testing.T, rec schema.Audit, secrets []string) {
	t.Helper()
	text, err := json.Marshal(rec)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range secrets {
		if s == "" || strings.Contains(string(text), s) {
			t.Errorf("a secret (%q): %s", s, text)
		}
	}
}

// ownSecrets makes a key and enrols a second factor, and looks that neither is recorded.
func (b *browser) ownSecrets(next func() schema.Audit, secrets []string) {
	t := b.t
	t.Helper()
	var key struct{ Key, Secret string }
	b.must("/write/CreateApiKeyForServiceUser", map[string]any{"user_id": "kim", "name": "ci"}, &key)
	var made struct{ URI string }
	b.must("/auth/manage/BeginTotpEnrollment", map[string]any{}, &made)
	u, err := url.Parse(made.URI)
	if err != nil {
		t.Fatal(err)
	}
	code, err := totp.GenerateCode(u.Query().Get("secret"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var confirmed struct {
		Codes []string `json:"recovery_codes"`
	}
	b.must("/auth/manage/ConfirmTotpEnrollment", map[string]any{"code": code}, &confirmed)
	b.must("/auth/manage/UpdatePassword", map[string]any{"password": "hush hush another one"}, nil)
	secrets = append(append(secrets, key.Secret, u.Query().Get("secret"), code, "totp ="), confirmed.Codes...)
	for _, want := range []string{"CreateApiKeyForServiceUser", "BeginTotpEnrollment", "ConfirmTotpEnrollment", "UpdatePassword"} {
		rec := next()
		if rec.Request != want {
			t.Errorf("%s is recorded, not %s", rec.Request, want)
		}
		noSecret(t, rec, secrets)
	}
}

// TestAuditSaysWhoCameFromAProvider fails on the way back from one, and comes for the
// first time.
func TestAuditSaysWhoCameFromAProvider(t *testing.T) {
	o := providertest.NewOIDC(t)
	cfg := config(t, t.TempDir())
	cfg.AdminUsername, cfg.AdminPassword = "mira", testPassword
	cfg.SignIn = SignIn{EnableNew: true, OIDC: OIDC{Enabled: true, Provider: o.URL, ClientID: providertest.ClientID, ClientSecret: providertest.ClientSecret}}
	info, _ := serve(t, cfg)
	me := newBrowser(t, "http://"+info.Addr)
	o.Callback = me.url + "/auth/oidc/callback"
	o.Claims = map[string]any{"sub": "u-1", "preferred_username": "ada"}
	var in struct{ Data jwtAnswer }
	me.must("/auth/login/LoginLocalUser", map[string]any{"username": "mira", "password": testPassword}, &in)
	me.jwt = in.Data.JWT
	next := me.follow()
	for range 3 { // the same failure is recorded once a minute
		newBrowser(t, me.url).open(o.Callback + "?state=hush-1&code=hush-2")
	}
	ada := newBrowser(t, me.url)
	ada.open(me.url + "/auth/oidc/login?redirect=/favicon.svg")
	ada.must("/auth/login/ExchangeForJwt", map[string]any{}, nil)
	for _, want := range []schema.Audit{
		{Request: "OidcCallback", Code: schema.Unauthenticated},
		{Request: "OidcCallback", Target: schema.Target{Name: "ada"}},
		{Request: "ExchangeForJwt", Target: schema.Target{Name: "ada"}, Actor: schema.Actor{Name: "ada"}},
	} {
		rec := next()
		if rec.Request != want.Request || rec.Code != want.Code || rec.Target.Name != want.Target.Name || rec.Actor.Name != want.Actor.Name || rec.From == "" {
			t.Errorf("%+v, want %+v", rec, want)
		}
		if made := rec.Request == "OidcCallback" && rec.Code == ""; made != strings.Contains(rec.After, "logins = ['Oidc']") {
			t.Errorf("after: %q", rec.After)
		}
		noSecret(t, rec, []string{"hush", o.URL})
	}
	page := newBrowser(t, me.url) // what one changes on the pages is recorded as well
	page.open(me.url + "/auth/oidc/login?redirect=/login/back?next=/runs")
	page.submit("/profile/password", "hush hush a password")
	page.submit("/profile/unlink", "oidc")
	rec := next()
	for rec.Request != "UnlinkLogin" {
		noSecret(t, rec, []string{"hush", o.URL})
		rec = next()
	}
	if rec.Code != "" || rec.Via != "click" || rec.Actor.Name != "ada" || rec.Target.Name != "ada" || !strings.Contains(rec.Before, "'Oidc']") || strings.Contains(rec.After, "logins") || rec.After == "" {
		t.Errorf("on the page: %+v", rec)
	}
}

// submit sends a form of the profile's page.
func (b *browser) submit(path, value string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.url+path, strings.NewReader(url.Values{"value": {value}}.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", b.url)
	res, err := b.http.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	if text, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusOK {
		b.t.Fatalf("%s: %d %.500s %v", path, res.StatusCode, text, err)
	}
}
