package provider

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"berth/schema"
)

// OIDCConfig is how core is known to an OpenID Connect provider.
type OIDCConfig struct {
	Name         string // as people know it, for messages
	Issuer       string // its address, below which /.well-known/openid-configuration is
	ClientID     string
	ClientSecret string // empty for a client without one: PKCE protects it
	// RedirectHost is where browsers find the provider, when that is not where core
	// does.
	RedirectHost string
	// FullEmail makes a user's name his whole email address.
	FullEmail bool
	// Audiences are others for whom an accepted token may be meant as well.
	Audiences []string
	// GroupsClaim names the claim with a person's groups, as groups or
	// realm_access.roles; AdminGroups are those whose members are administrators.
	GroupsClaim string
	AdminGroups []string
	HTTP        *http.Client     // nil is the usual one
	Now         func() time.Time // nil is the machine's clock
}

// OIDC is an OpenID Connect provider.
type OIDC struct {
	cfg OIDCConfig

	mu    sync.Mutex
	seen  *oidc.Provider // nil until it was found
	last  error          // of the last try to find it
	tried time.Time      // when that was
}

// pause is how long a provider that was not found is not looked for again: people
// who wait for one that is away must not wait for each other too.
const pause = 5 * time.Second

// NewOIDC describes a provider; nothing is asked of it yet.
func NewOIDC(cfg OIDCConfig) *OIDC {
	cfg.HTTP = client(cfg.HTTP)
	if cfg.Name == "" {
		cfg.Name = "the OIDC provider"
	}
	return &OIDC{cfg: cfg}
}

// find discovers the provider, once.
func (o *OIDC) find(ctx context.Context) (*oidc.Provider, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.seen != nil {
		return o.seen, nil
	}
	if o.last != nil && time.Since(o.tried) < pause {
		return nil, o.last
	}
	ctx = oidc.ClientContext(ctx, o.cfg.HTTP)
	p, err := oidc.NewProvider(ctx, o.cfg.Issuer)
	// People write the address with and without the slash at its end. Only what the
	// provider itself says counts, and only that may differ.
	if e, ok := errors.AsType[*oidc.IssuerMismatchError](err); ok && strings.TrimRight(e.Discovered, "/") == strings.TrimRight(o.cfg.Issuer, "/") {
		p, err = oidc.NewProvider(ctx, e.Discovered)
	}
	if err != nil {
		err = schema.Wrap(schema.Unavailable, err, "%s (%s) cannot be asked: %v", o.cfg.Name, o.cfg.Issuer, err)
		if ctx.Err() == nil { // else it was the browser that went away
			o.last, o.tried = err, time.Now()
		}
		return nil, err
	}
	o.seen = p
	return p, nil
}

func (o *OIDC) oauth(p *oidc.Provider, callback string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: o.cfg.ClientID, ClientSecret: o.cfg.ClientSecret, Endpoint: p.Endpoint(), RedirectURL: callback,
		Scopes: []string{oidc.ScopeOpenID, "profile", "email"},
	}
}

// Start returns the address to which a browser goes to sign in.
func (o *OIDC) Start(ctx context.Context, t Trip) (string, error) {
	p, err := o.find(ctx)
	if err != nil {
		return "", err
	}
	to := o.oauth(p, t.Callback).AuthCodeURL(t.State, oidc.Nonce(t.Nonce), oauth2.S256ChallengeOption(t.Verifier))
	if o.cfg.RedirectHost == "" {
		return to, nil
	}
	u, err := url.Parse(to)
	host, herr := url.Parse(o.cfg.RedirectHost)
	if err := errors.Join(err, herr); err != nil {
		return "", schema.Wrap(schema.Internal, err, "address of %s", o.cfg.Name)
	}
	u.Scheme, u.Host = host.Scheme, host.Host
	return u.String(), nil
}

// Finish returns who came back with the code.
func (o *OIDC) Finish(ctx context.Context, code string, t Trip) (Identity, error) {
	p, err := o.find(ctx)
	if err != nil {
		return Identity{}, err
	}
	ctx = oidc.ClientContext(ctx, o.cfg.HTTP)
	token, err := o.oauth(p, t.Callback).Exchange(ctx, code, oauth2.VerifierOption(t.Verifier))
	if err != nil {
		return Identity{}, refused(o.cfg.Name, err)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := p.Verifier(&oidc.Config{ClientID: o.cfg.ClientID, Now: o.cfg.Now}).Verify(ctx, raw)
	if err != nil {
		return Identity{}, schema.Wrap(schema.Unauthenticated, err, "%s sent a token that is not good: %v", o.cfg.Name, err)
	}
	if err := o.checkToken(id, t); err != nil {
		return Identity{}, err
	}
	claims := map[string]any{}
	if err := id.Claims(&claims); err != nil {
		return Identity{}, schema.Wrap(schema.Unauthenticated, err, "read what %s says of you", o.cfg.Name)
	}
	if err := o.moreClaims(ctx, p, token, id.Subject, claims); err != nil {
		return Identity{}, err
	}
	return o.identity(id, claims), nil
}

// checkToken checks what the library leaves to us: the trip, and whom else the
// token is for.
func (o *OIDC) checkToken(id *oidc.IDToken, t Trip) error {
	if id.Nonce != t.Nonce {
		return schema.Errorf(schema.Unauthenticated, "%s sent a token of another sign-in: begin again", o.cfg.Name)
	}
	for _, aud := range id.Audience {
		if aud != o.cfg.ClientID && !slices.Contains(o.cfg.Audiences, aud) {
			return schema.Errorf(schema.Unauthenticated, "%s sent a token that is also for %q: name it in oidc_additional_audiences if that is right", o.cfg.Name, aud)
		}
	}
	return nil
}

// moreClaims adds what the provider says only when asked. The signed token wins.
func (o *OIDC) moreClaims(ctx context.Context, p *oidc.Provider, token *oauth2.Token, subject string, claims map[string]any) error {
	if p.UserInfoEndpoint() == "" {
		return nil
	}
	info, err := p.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return schema.Wrap(schema.Unavailable, err, "ask %s who you are: %v", o.cfg.Name, err)
	}
	if info.Subject != subject {
		return schema.Errorf(schema.Unauthenticated, "%s says that you are two people", o.cfg.Name)
	}
	more := map[string]any{}
	if err := info.Claims(&more); err != nil {
		return schema.Wrap(schema.Unauthenticated, err, "read what %s says of you", o.cfg.Name)
	}
	maps.Copy(more, claims)
	maps.Copy(claims, more)
	return nil
}

func (o *OIDC) identity(id *oidc.IDToken, claims map[string]any) Identity {
	text := func(key string) string { s, _ := claims[key].(string); return strings.TrimSpace(s) }
	email := text("email")
	if !o.cfg.FullEmail {
		email, _, _ = strings.Cut(email, "@")
	}
	names := []string{text("preferred_username"), text("username"), text("name"), email, id.Subject}
	if o.cfg.FullEmail && email != "" {
		names = slices.Insert(names, 0, email)
	}
	out := Identity{Provider: id.Issuer, ID: id.Subject, Avatar: text("picture"), Groups: groupsOf(claims, o.cfg.GroupsClaim)}
	for _, n := range names {
		if n != "" {
			out.Names = append(out.Names, n)
		}
	}
	out.Admin = slices.ContainsFunc(out.Groups, func(g string) bool { return slices.Contains(o.cfg.AdminGroups, g) })
	return out
}

// groupsOf reads a list of names, or one name, at a claim or at a path of claims.
func groupsOf(claims map[string]any, claim string) []string {
	if claim == "" {
		return nil
	}
	v, ok := claims[claim]
	if !ok {
		first, rest, deep := strings.Cut(claim, ".")
		inner, _ := claims[first].(map[string]any)
		if !deep || inner == nil {
			return nil
		}
		return groupsOf(inner, rest)
	}
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, item := range v {
			if s, ok := item.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}

// refused explains that a provider gave no token for a code.
func refused(name string, err error) error {
	if e, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		why := e.ErrorDescription
		if why == "" {
			why = e.ErrorCode
		}
		if why == "" && e.Response != nil {
			why = e.Response.Status
		}
		return schema.Wrap(schema.Unauthenticated, err, "%s refused the sign-in: %s; are client id and secret right?", name, why)
	}
	return schema.Wrap(schema.Unavailable, err, "%s cannot be asked: %v", name, err)
}
