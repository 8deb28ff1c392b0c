package api

import (
	"context"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"strings"

	"berth/core/access"
	"berth/schema"
)

// A sign-in in several steps needs a browser to carry something from one to the
// next: the cookie id, which names what core keeps of it and says nothing itself.
const stepCookie = "id"

// steps is that cookie of a request, as the rows see it.
type steps struct {
	visit access.Visit
	next  string // what the browser must carry from now on; empty leaves the cookie
	spent bool   // what it carried is of no more use
}

type stepsKey struct{}

// stepsOf returns the cookie of the request that ctx belongs to. Requests that do
// not come over HTTP have none: they cannot go several steps.
func stepsOf(ctx context.Context) *steps {
	s, ok := ctx.Value(stepsKey{}).(*steps)
	if !ok {
		return &steps{}
	}
	return s
}

func (a *API) stepsFrom(r *http.Request) *steps {
	s := &steps{visit: access.Visit{From: a.deps.Peers.Of(r), Agent: r.UserAgent()}}
	if c, err := r.Cookie(stepCookie); err == nil {
		s.visit.Pending = c.Value
	}
	return s
}

// setSteps hands the browser what the rows left for it.
func (a *API) setSteps(w http.ResponseWriter, r *http.Request, s *steps) {
	if s.next == "" && !s.spent {
		return
	}
	c := &http.Cookie{
		Name: stepCookie, Value: s.next, Path: "/", MaxAge: int(access.ChallengeTTL.Seconds()), HttpOnly: true,
		SameSite: http.SameSiteLaxMode, Secure: encrypted(r),
	}
	if a.deps.CrossSite && c.Secure { // without TLS browsers refuse it
		c.SameSite = http.SameSiteNoneMode
	}
	if s.next == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// encrypted reports whether the browser came by TLS. That a proxy says so can only
// keep the cookie from travelling in the clear.
func encrypted(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

type loginOptions struct {
	Local        bool `json:"local"`
	OIDC         bool `json:"oidc"`
	GitHub       bool `json:"github"`
	Google       bool `json:"google"`
	Closed       bool `json:"registration_disabled"`
	OIDCRedirect bool `json:"oidc_auto_redirect"`
}

type login struct {
	Username string `json:"username" doc:"Username."`
	Password string `json:"password" doc:"Password."`
}

type jwt struct {
	JWT string `json:"jwt"`
}

// loginAnswer is in, or what is asked for next.
type loginAnswer struct {
	Type string `json:"type"` // Jwt, Totp, Passkey
	Data any    `json:"data"` // {jwt}, {}, or what the browser needs to sign
}

type code struct {
	Code string `json:"code" doc:"The six digits of the authenticator, or a recovery code."`
}

type credential struct {
	Credential json.RawMessage `json:"credential" doc:"What the browser's navigator.credentials returned, as JSON."`
}

func (a *API) loginRows() []Row {
	return []Row{
		Login(spec{name: "GetLoginOptions", doc: "Say how one can sign in.", needs: access.Public, example: map[string]any{}},
			func(context.Context, None) (loginOptions, error) {
				o := a.deps.Gate.Options()
				return loginOptions{o.Local, o.OIDC, o.GitHub, o.Google, o.Closed, o.AutoRedirect}, nil
			}),
		Login(spec{name: "SignUpLocalUser", doc: "Make a user for oneself; where that is allowed an administrator may have to enable it.", needs: access.Public, example: map[string]any{"username": "bob", "password": "…"}},
			func(ctx context.Context, p login) (jwt, error) {
				token, err := a.deps.Gate.SignUp(ctx, stepsOf(ctx).visit, p.Username, p.Password)
				return jwt{token}, err
			}),
		Login(spec{name: "LoginLocalUser", doc: "Exchange a password for a token that lives a day, or for the question for a second factor.", needs: access.Public, example: map[string]any{"username": "admin", "password": "…"}}, a.loginLocal),
		Login(spec{name: "CompleteTotpLogin", doc: "End a sign-in with a code of the authenticator or a recovery code; the cookie of the first step goes with it.", needs: access.Public, example: map[string]any{"code": "123456"}}, a.completeCode),
		Login(spec{name: "CompletePasskeyLogin", doc: "End a sign-in with a passkey; the cookie of the first step goes with it.", needs: access.Public, example: map[string]any{"credential": map[string]any{}}}, a.completePasskey),
		Login(spec{name: "ExchangeForJwt", doc: "End a sign-in at a provider: the cookie of the way back is exchanged for a token.", needs: access.Public, example: map[string]any{}}, a.exchange),
	}
}

func (a *API) loginLocal(ctx context.Context, p login) (loginAnswer, error) {
	s := stepsOf(ctx)
	step, err := a.deps.Gate.SignIn(ctx, s.visit, p.Username, p.Password)
	if err != nil {
		return loginAnswer{}, err
	}
	if step.Token != "" {
		return loginAnswer{"Jwt", jwt{step.Token}}, nil
	}
	s.next = step.Pending
	if step.Passkey != nil {
		return loginAnswer{"Passkey", step.Passkey}, nil
	}
	return loginAnswer{"Totp", struct{}{}}, nil
}

// finished answers the last step of a sign-in. After a failure the cookie stays:
// another code may be tried.
func finished(ctx context.Context, token string, err error) (jwt, error) {
	if err == nil {
		stepsOf(ctx).spent = true
	}
	return jwt{token}, err
}

func (a *API) completeCode(ctx context.Context, p code) (jwt, error) {
	token, err := a.deps.Gate.CompleteCode(ctx, stepsOf(ctx).visit, p.Code)
	return finished(ctx, token, err)
}

func (a *API) completePasskey(ctx context.Context, p credential) (jwt, error) {
	token, err := a.deps.Gate.CompletePasskey(ctx, stepsOf(ctx).visit, p.Credential)
	return finished(ctx, token, err)
}

func (a *API) exchange(ctx context.Context, _ None) (jwt, error) {
	token, err := a.deps.Gate.Exchange(ctx, stepsOf(ctx).visit)
	return finished(ctx, token, err)
}

// externalRoutes are where browsers leave for a provider and come back.
func (a *API) externalRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /auth/{provider}/login", a.browse(func(ctx context.Context, v access.Visit, k access.UserKind, r *http.Request) (access.Away, error) {
		return a.deps.Gate.GoElsewhere(ctx, v, k, r.URL.Query().Get("redirect"))
	}))
	mux.HandleFunc("GET /auth/{provider}/link", a.browse(func(ctx context.Context, v access.Visit, k access.UserKind, _ *http.Request) (access.Away, error) {
		return a.deps.Gate.GoLink(ctx, v, k)
	}))
	mux.HandleFunc("GET /auth/{provider}/callback", a.browse(func(ctx context.Context, v access.Visit, k access.UserKind, r *http.Request) (access.Away, error) {
		return a.comeBack(ctx, v, k, r.URL.Query())
	}))
}

// browse sends a browser to where next says.
func (a *API) browse(next func(context.Context, access.Visit, access.UserKind, *http.Request) (access.Away, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s := a.stepsFrom(r)
		k, err := access.ProviderKind(r.PathValue("provider"))
		var to access.Away
		if err == nil {
			to, err = next(r.Context(), s.visit, k, r)
		}
		s.next, s.spent = to.Pending, true
		a.setSteps(w, r, s)
		if err != nil {
			a.failBrowser(w, r, err)
			return
		}
		secure(w)
		w.Header().Set("Referrer-Policy", "no-referrer") // addresses hold codes here
		http.Redirect(w, r, to.To, http.StatusSeeOther)
	}
}

// failBrowser answers an error to a browser that people look at.
func (a *API) failBrowser(w http.ResponseWriter, r *http.Request, err error) {
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		a.fail(w, r, err)
		return
	}
	code := schema.CodeOf(err)
	a.deps.Log.Warn("a sign-in at a provider failed", "err", err)
	secure(w)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'")
	w.WriteHeader(code.HTTPStatus())
	_, _ = io.WriteString(w, "<!DOCTYPE html><meta charset=utf-8><title>Sign in</title><h1>That did not work</h1><p>"+
		html.EscapeString(schema.SafeText(err))+"</p><p><a href=\"/login\">Sign in</a></p>")
}
