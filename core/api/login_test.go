package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"berth/core/api"
)

// TestManageChecksSecrets: what one changes about oneself needs the key's secret,
// as everything else does.
func TestManageChecksSecrets(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/auth/manage/GetUserId", "/auth/manage/CreateApiKey", "/auth/manage/UpdatePassword", "/auth/manage/BeginTotpEnrollment", "/auth/manage/ListSessions"} {
		body := `{"name":"x","password":"a better battery"}`
		for _, secret := range []string{"", "S_wrong_S"} {
			h := w.auth()
			h.Set("X-Api-Secret", secret)
			if status, text := w.send(path, body, h); status != http.StatusUnauthorized && status != http.StatusTooManyRequests {
				t.Errorf("%s with the secret %q: %d %s", path, secret, status, text)
			}
		}
	}
	if status, text := w.post("/auth/manage/GetUserId", "{}"); status != http.StatusOK {
		t.Errorf("with the right one: %d %s", status, text)
	}
}

// TestLoginMistakes: what a user cannot do is never core's fault.
func TestLoginMistakes(t *testing.T) {
	w := newWorld(t)
	for path, want := range map[string]int{
		"/auth/login/SignUpLocalUser":           http.StatusForbidden,
		"/auth/login/ExchangeForJwt":            http.StatusUnauthorized,
		"/auth/login/CompleteTotpLogin":         http.StatusUnauthorized,
		"/auth/login/CompletePasskeyLogin":      http.StatusUnauthorized,
		"/auth/manage/ConfirmTotpEnrollment":    http.StatusUnprocessableEntity,
		"/auth/manage/ConfirmPasskeyEnrollment": http.StatusUnprocessableEntity,
		"/auth/manage/UnlinkLogin":              http.StatusConflict,
		"/auth/manage/RevokeSession":            http.StatusNotFound,
		"/auth/manage/CreateApiKeyV2":           http.StatusNotImplemented,
	} {
		body := `{"username":"bob","password":"a better battery","code":"123456","credential":{},"provider":"Local","session":"x","name":"ci"}`
		if status, text := w.post(path, body); status != want {
			t.Errorf("%s: %d, want %d: %s", path, status, want, text)
		}
	}
	h := http.Header{"Accept": {"text/html"}}
	status, text := w.send("/auth/oidc/callback?code=x&state=<b>", "GET", h)
	if status != http.StatusNotFound || !strings.Contains(text, "not configured") || strings.Contains(text, "<b>") {
		t.Errorf("a provider that is not configured: %d %s", status, text)
	}
	if status, text = w.send("/auth/myspace/login", "GET", nil); status != http.StatusNotFound || !strings.Contains(text, `"error"`) {
		t.Errorf("a provider there is not: %d %s", status, text)
	}
}

// TestStepCookie: what the browser carries between two steps travels as little as
// the configuration allows.
func TestStepCookie(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		cross bool
		proto string
		want  string
	}{{false, "http", "HttpOnly; SameSite=Lax"}, {false, "https", "HttpOnly; Secure; SameSite=Lax"}, {true, "http", "HttpOnly; SameSite=Lax"}, {true, "https", "HttpOnly; Secure; SameSite=None"}} {
		d := w.deps
		d.CrossSite = c.cross
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/auth/manage/BeginExternalLoginLink", strings.NewReader("{}"))
		req.Header = w.auth()
		req.Header.Set("X-Forwarded-Proto", c.proto)
		res := httptest.NewRecorder()
		api.New(d).ServeHTTP(res, req)
		cookie := res.Header().Get("Set-Cookie")
		if !strings.HasPrefix(cookie, "id=") || !strings.HasSuffix(cookie, "; Path=/; Max-Age=180; "+c.want) {
			t.Errorf("%+v: cookie %q", c, cookie)
		}
	}
}
