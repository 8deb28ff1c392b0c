package providertest

import (
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
)

// GitHub is a GitHub whose one user signs in without being asked.
type GitHub struct {
	URL      string // also of its API
	Callback string
	ID       int64
	Login    string

	mu    sync.Mutex
	codes map[string]string // challenges by code
}

// NewGitHub starts one that ends with the test.
func NewGitHub(t testing.TB) *GitHub {
	t.Helper()
	g := &GitHub{ID: 583231, Login: "octocat", codes: map[string]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login/oauth/authorize", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("client_id") != ClientID || q.Get("redirect_uri") != g.Callback || q.Get("scope") != "read:user" || q.Get("state") == "" {
			http.Error(w, "unknown client", http.StatusBadRequest)
			return
		}
		code := rand.Text()
		g.mu.Lock()
		g.codes[code] = q.Get("code_challenge")
		g.mu.Unlock()
		http.Redirect(w, r, g.Callback+"?"+url.Values{"state": {q.Get("state")}, "code": {code}}.Encode(), http.StatusFound)
	})
	mux.HandleFunc("POST /login/oauth/access_token", func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		challenge, ok := g.codes[r.PostFormValue("code")]
		delete(g.codes, r.PostFormValue("code"))
		g.mu.Unlock()
		if !ok || challenge == "" || r.PostFormValue("code_verifier") == "" || r.PostFormValue("client_secret") != ClientSecret {
			answer(w, map[string]string{"error": "bad_verification_code", "error_description": "The code is wrong."}) // as GitHub does: with status 200
			return
		}
		answer(w, map[string]string{"access_token": "gho_x", "token_type": "bearer", "scope": "read:user"})
	})
	mux.HandleFunc("GET /user", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer gho_x" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		answer(w, map[string]any{"id": g.ID, "login": g.Login, "avatar_url": "https://avatars.example/1"})
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	g.URL = s.URL
	return g
}
