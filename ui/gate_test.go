package ui_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"berth/ui/uitest"
)

// cookie returns a cookie that an answer sets, as the browser sends it.
func cookie(r *httptest.ResponseRecorder, name string) string {
	for _, c := range r.Result().Cookies() {
		if c.Name == name && c.MaxAge >= 0 {
			return name + "=" + c.Value
		}
	}
	return ""
}

func TestSecondFactor(t *testing.T) {
	h := bundled(t, uitest.Homelab())
	r := post(t, h, "/login", url.Values{"username": {uitest.Careful}, "password": {uitest.Password}, "next": {"/runs"}})
	step := cookie(r, "id")
	if r.Code != http.StatusOK || step == "" || cookie(r, "berth_session") != "" {
		t.Fatalf("first step: %d, cookies %v", r.Code, r.Result().Cookies())
	}
	if c := r.Result().Cookies()[0]; !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.MaxAge != 180 {
		t.Errorf("cookie of the step: %v", c)
	}
	for _, want := range []string{`name="code"`, `data-passkey="get"`, `value="/runs"`, `data-options="{&#34;publicKey&#34;`} {
		if !strings.Contains(r.Body.String(), want) {
			t.Errorf("the second step lacks %s", want)
		}
	}
	r = post(t, h, "/login/second", url.Values{"code": {"000000"}, "next": {"/runs"}}, "Cookie", step)
	if r.Code != http.StatusUnauthorized || !strings.Contains(r.Body.String(), "The code is wrong.") || !strings.Contains(r.Body.String(), `name="code"`) {
		t.Errorf("a wrong code: %d", r.Code)
	}
	r = post(t, h, "/login/second", url.Values{"passkey": {"{}"}}, "Cookie", step)
	if r.Code != http.StatusUnauthorized || !strings.Contains(r.Body.String(), "passkey is not") {
		t.Errorf("a wrong passkey: %d", r.Code)
	}
	r = post(t, h, "/login/second", url.Values{"code": {uitest.Code}, "next": {"/runs"}}, "Cookie", "")
	if r.Code != http.StatusUnauthorized || cookie(r, "berth_session") != "" {
		t.Errorf("without the first step: %d", r.Code)
	}
	r = post(t, h, "/login/second", url.Values{"code": {uitest.Code}, "next": {"/runs"}}, "Cookie", step)
	if r.Code != http.StatusSeeOther || r.Header().Get("Location") != "/runs" || cookie(r, "berth_session") == "" {
		t.Errorf("the right code: %d to %q", r.Code, r.Header().Get("Location"))
	}
}

func TestSignInElsewhere(t *testing.T) {
	w := uitest.Homelab()
	h := bundled(t, w)
	r := get(t, h, "/login?next=/runs", "Cookie", "")
	const leave = "/auth/oidc/login?redirect=%2Flogin%2Fback%3Fnext%3D%252Fruns"
	if !strings.Contains(r.Body.String(), `href="`+leave+`"`) {
		t.Error("the sign-in page has no way to the provider")
	}
	step := "id=" + uitest.Pending
	r = get(t, h, "/login/back?next=/runs&redeem_ready=true", "Cookie", step)
	if r.Code != http.StatusSeeOther || r.Header().Get("Location") != "/runs" || cookie(r, "berth_session") == "" {
		t.Errorf("back: %d to %q", r.Code, r.Header().Get("Location"))
	}
	r = get(t, h, "/login/back?next=//evil.example&redeem_ready=true", "Cookie", step)
	if r.Header().Get("Location") != "/" {
		t.Errorf("back to %q", r.Header().Get("Location"))
	}
	r = get(t, h, "/login/back?redeem_ready=true", "Cookie", "id=of-nobody")
	if r.Code != http.StatusUnauthorized || cookie(r, "berth_session") != "" {
		t.Errorf("back without having left: %d", r.Code)
	}
	options := base64.RawURLEncoding.EncodeToString([]byte(`{"publicKey":{"challenge":"BBBB"}}`))
	r = get(t, h, "/login/back?passkey="+options, "Cookie", step)
	if r.Code != http.StatusOK || !strings.Contains(r.Body.String(), "BBBB") {
		t.Errorf("back with a passkey to show: %d", r.Code)
	}
	if r = get(t, h, "/login/back?totp=true", "Cookie", step); r.Code != http.StatusOK || strings.Contains(r.Body.String(), "data-passkey") {
		t.Errorf("back with a code to type: %d", r.Code)
	}
	w.AutoRedirect = true
	if r = get(t, h, "/login?next=/runs", "Cookie", ""); r.Header().Get("Location") != leave {
		t.Errorf("straight to the provider: %d to %q", r.Code, r.Header().Get("Location"))
	}
	if r = get(t, h, "/login?local", "Cookie", ""); r.Code != http.StatusOK {
		t.Errorf("without going there: %d", r.Code)
	}
}

func TestProfile(t *testing.T) {
	w := uitest.Homelab()
	h := bundled(t, w)
	for path, want := range map[string][]string{
		"/profile/totp":         {"data:image/png;base64,iVBORw0KGgo=", "JBSWY3DPEHPK3PXP", `action="/profile/confirm-totp"`},
		"/profile/confirm-totp": {"aaaaabbbbbcccccddddd"},
		"/profile/passkey":      {`data-passkey="create"`, "CCCC"},
		"/profile/link":         {`href="/auth/oidc/link"`},
		"/profile/revoke":       {"Done."},
	} {
		value := map[string]string{"/profile/confirm-totp": uitest.Code, "/profile/link": "oidc", "/profile/revoke": "s2"}[path]
		r := post(t, h, path, url.Values{"value": {value}})
		for _, text := range append(want, "192.0.2.2", "Add an authenticator") {
			if r.Code != http.StatusOK || !strings.Contains(r.Body.String(), text) {
				t.Errorf("%s: %d, without %q", path, r.Code, text)
			}
		}
		if linked := cookie(r, "id") != ""; linked != (path == "/profile/link") {
			t.Errorf("%s sets the cookie of a step: %v", path, linked)
		}
	}
	if r := post(t, h, "/profile/confirm-totp", url.Values{"value": {"000000"}}); r.Code != http.StatusUnprocessableEntity || !strings.Contains(r.Body.String(), "The code is wrong.") {
		t.Errorf("a wrong code: %d", r.Code)
	}
	if r := get(t, h, "/profile", "Cookie", ""); r.Code != http.StatusSeeOther {
		t.Errorf("a stranger's profile: %d", r.Code)
	}
}
