// Package providertest is an OpenID Connect provider and a GitHub in-process, for
// tests of signing in elsewhere. They check what a real one checks: the client, the
// address of the way back, PKCE, and that a code is used once.
//
// Concurrency: fields may be changed between sign-ins, by one goroutine.
package providertest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Client is who may ask.
const (
	ClientID     = "berth"
	ClientSecret = "a secret of the test"
)

// OIDC is a provider whose one user signs in without being asked.
type OIDC struct {
	URL      string
	Callback string         // the only address to which it sends browsers back
	Claims   map[string]any // of the user, in the token
	Info     map[string]any // more, said only when asked
	Audience []string       // of tokens; ClientID when nil
	Nonce    string         // sent instead of the right one, if set
	Forge    bool           // sign with a key that is not published
	Deny     bool           // the user says no

	key, forged *rsa.PrivateKey
	mu          sync.Mutex
	codes       map[string]url.Values // what was asked, by code
}

// NewOIDC starts a provider that ends with the test.
func NewOIDC(t testing.TB) *OIDC {
	t.Helper()
	o := &OIDC{Claims: map[string]any{"sub": "u-1"}, codes: map[string]url.Values{}}
	var err error
	if o.key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	if o.forged, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", o.discovery)
	mux.HandleFunc("GET /keys", o.keys)
	mux.HandleFunc("GET /authorize", o.authorize)
	mux.HandleFunc("POST /token", o.token)
	mux.HandleFunc("GET /userinfo", o.userinfo)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	o.URL = s.URL
	return o
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_grant", "error_description": why})
}

func (o *OIDC) discovery(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]any{
		"issuer": o.URL, "authorization_endpoint": o.URL + "/authorize", "token_endpoint": o.URL + "/token",
		"jwks_uri": o.URL + "/keys", "userinfo_endpoint": o.URL + "/userinfo",
		"id_token_signing_alg_values_supported": []string{"RS256"},
	})
}

func (o *OIDC) keys(w http.ResponseWriter, _ *http.Request) {
	answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: o.key.Public(), KeyID: "one", Algorithm: "RS256", Use: "sig"}}})
}

func (o *OIDC) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	switch {
	case q.Get("client_id") != ClientID || q.Get("response_type") != "code":
		http.Error(w, "unknown client", http.StatusBadRequest)
	case q.Get("redirect_uri") != o.Callback:
		http.Error(w, "this client does not come back to "+q.Get("redirect_uri"), http.StatusBadRequest)
	case q.Get("scope") != "openid profile email" || q.Get("nonce") == "" || q.Get("state") == "":
		http.Error(w, "scope, nonce or state is missing", http.StatusBadRequest)
	case q.Get("code_challenge") == "" || q.Get("code_challenge_method") != "S256":
		http.Error(w, "PKCE is required", http.StatusBadRequest)
	case o.Deny:
		http.Redirect(w, r, o.Callback+"?"+url.Values{"state": {q.Get("state")}, "error": {"access_denied"}}.Encode(), http.StatusFound)
	default:
		code := rand.Text()
		o.mu.Lock()
		o.codes[code] = q
		o.mu.Unlock()
		http.Redirect(w, r, o.Callback+"?"+url.Values{"state": {q.Get("state")}, "code": {code}}.Encode(), http.StatusFound)
	}
}

// redeem returns what was asked for a code, once.
func (o *OIDC) redeem(code string) (url.Values, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	q, ok := o.codes[code]
	delete(o.codes, code)
	return q, ok
}

func (o *OIDC) token(w http.ResponseWriter, r *http.Request) {
	id, secret, basic := r.BasicAuth()
	if basic {
		id, _ = url.QueryUnescape(id)
		secret, _ = url.QueryUnescape(secret)
	} else {
		id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	asked, ok := o.redeem(r.PostFormValue("code"))
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	switch {
	case id != ClientID || secret != ClientSecret:
		refuse(w, "wrong client")
		return
	case !ok || r.PostFormValue("redirect_uri") != asked.Get("redirect_uri"):
		refuse(w, "unknown code")
		return
	case base64.RawURLEncoding.EncodeToString(sum[:]) != asked.Get("code_challenge"):
		refuse(w, "wrong verifier")
		return
	}
	signed, err := o.sign(asked.Get("nonce"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, map[string]any{"access_token": "let me in", "token_type": "Bearer", "expires_in": 60, "id_token": signed})
}

func (o *OIDC) sign(nonce string) (string, error) {
	key := o.key
	if o.Forge {
		key = o.forged
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", "one"))
	if err != nil {
		return "", err
	}
	claims := maps.Clone(o.Claims)
	claims["iss"], claims["nonce"] = o.URL, nonce
	if o.Nonce != "" {
		claims["nonce"] = o.Nonce
	}
	claims["aud"] = []string{ClientID}
	if o.Audience != nil {
		claims["aud"] = slices.Clone(o.Audience)
	}
	claims["iat"], claims["exp"] = time.Now().Unix(), time.Now().Add(time.Minute).Unix()
	return jwt.Signed(signer).Claims(claims).Serialize()
}

func (o *OIDC) userinfo(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer let me in" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	info := map[string]any{"sub": o.Claims["sub"]}
	maps.Copy(info, o.Info)
	answer(w, info)
}

// Browser follows an address of the provider and returns where it is sent back.
func Browser(t testing.TB, address string) *url.URL {
	t.Helper()
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := c.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	to, err := res.Location()
	if err != nil {
		t.Fatalf("%s answers %s", strings.SplitN(address, "?", 2)[0], res.Status)
	}
	return to
}
