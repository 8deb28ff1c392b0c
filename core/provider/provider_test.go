package provider_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/core/provider"
	"berth/core/provider/providertest"
	"berth/schema"
)

const callback = "https://berth.example/auth/oidc/callback"

type place interface {
	Start(ctx context.Context, t provider.Trip) (string, error)
	Finish(ctx context.Context, code string, t provider.Trip) (provider.Identity, error)
}

// visit goes to a provider and back.
func visit(t *testing.T, p place) (provider.Identity, error) {
	t.Helper()
	trip := provider.NewTrip(callback)
	to, err := p.Start(t.Context(), trip)
	if err != nil {
		return provider.Identity{}, err
	}
	back := providertest.Browser(t, to).Query()
	if back.Get("state") != trip.State {
		t.Errorf("state %q came back, %q was sent", back.Get("state"), trip.State)
	}
	return p.Finish(t.Context(), back.Get("code"), trip)
}

func config(o *providertest.OIDC) provider.OIDCConfig {
	return provider.OIDCConfig{Name: "Keycloak", Issuer: o.URL, ClientID: providertest.ClientID, ClientSecret: providertest.ClientSecret, GroupsClaim: "groups", AdminGroups: []string{"ops"}}
}

func TestOIDC(t *testing.T) {
	o := providertest.NewOIDC(t)
	o.Callback = callback
	o.Claims = map[string]any{"sub": "u-1", "preferred_username": "ada", "email": "ada.l@example.org", "groups": []string{"dev", "ops"}}
	o.Info = map[string]any{"name": "Ada Lovelace", "picture": "https://x/ada.png", "preferred_username": "somebody else"}
	got, err := visit(t, provider.NewOIDC(config(o)))
	if err != nil {
		t.Fatal(err)
	}
	want := provider.Identity{
		Provider: o.URL, ID: "u-1", Avatar: "https://x/ada.png", Names: []string{"ada", "Ada Lovelace", "ada.l", "u-1"},
		Groups: []string{"dev", "ops"}, Admin: true,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}

	cfg := config(o)
	cfg.FullEmail, cfg.GroupsClaim, cfg.Issuer = true, "realm.roles", o.URL+"/"
	o.Claims = map[string]any{"sub": "u-1", "username": "ada", "email": "ada.l@example.org", "realm": map[string]any{"roles": "dev"}}
	o.Info = nil
	got, err = visit(t, provider.NewOIDC(cfg))
	if err != nil || got.Names[0] != "ada.l@example.org" || !slices.Equal(got.Groups, []string{"dev"}) || got.Admin {
		t.Errorf("full email and a path of claims: %+v, %v", got, err)
	}
}

func TestOIDCRefuses(t *testing.T) {
	o := providertest.NewOIDC(t)
	o.Callback = callback
	for name, spoil := range map[string]func(o *providertest.OIDC, c *provider.OIDCConfig){
		"nonce":     func(o *providertest.OIDC, _ *provider.OIDCConfig) { o.Nonce = "of another sign-in" },
		"signature": func(o *providertest.OIDC, _ *provider.OIDCConfig) { o.Forge = true },
		"audience":  func(o *providertest.OIDC, _ *provider.OIDCConfig) { o.Audience = []string{"another"} },
		"more audiences": func(o *providertest.OIDC, _ *provider.OIDCConfig) {
			o.Audience = []string{providertest.ClientID, "another"}
		},
		"client secret": func(_ *providertest.OIDC, c *provider.OIDCConfig) { c.ClientSecret = "guess" },
		"other person":  func(o *providertest.OIDC, _ *provider.OIDCConfig) { o.Info = map[string]any{"sub": "u-2"} },
	} {
		o.Nonce, o.Forge, o.Audience, o.Info = "", false, nil, nil
		cfg := config(o)
		spoil(o, &cfg)
		if who, err := visit(t, provider.NewOIDC(cfg)); schema.CodeOf(err) != schema.Unauthenticated {
			t.Errorf("wrong %s: %+v, %v", name, who, err)
		}
	}
	o.Nonce, o.Forge, o.Info = "", false, nil
	o.Audience = []string{providertest.ClientID, "another"}
	cfg := config(o)
	cfg.Audiences = []string{"another"}
	if _, err := visit(t, provider.NewOIDC(cfg)); err != nil {
		t.Errorf("an audience that is configured: %v", err)
	}
}

func TestOIDCTripIsNotMixed(t *testing.T) {
	o := providertest.NewOIDC(t)
	o.Callback = callback
	p := provider.NewOIDC(config(o))
	mine, other := provider.NewTrip(callback), provider.NewTrip(callback)
	to, err := p.Start(t.Context(), mine)
	if err != nil {
		t.Fatal(err)
	}
	code := providertest.Browser(t, to).Query().Get("code")
	_, err = p.Finish(t.Context(), code, other) // its verifier is another
	if schema.CodeOf(err) != schema.Unauthenticated {
		t.Errorf("a code of another trip: %v", err)
	}
}

func TestOIDCAway(t *testing.T) {
	p := provider.NewOIDC(provider.OIDCConfig{Issuer: "http://127.0.0.1:1"})
	if _, err := visit(t, p); schema.CodeOf(err) != schema.Unavailable {
		t.Errorf("a provider that is not there: %v", err)
	}
	o := providertest.NewOIDC(t)
	cfg := config(o)
	cfg.RedirectHost = "https://login.example.org"
	to, err := provider.NewOIDC(cfg).Start(t.Context(), provider.NewTrip(callback))
	if err != nil || !strings.HasPrefix(to, "https://login.example.org/authorize?") {
		t.Errorf("browsers go to %s, %v", to, err)
	}
}

func TestGitHub(t *testing.T) {
	g := providertest.NewGitHub(t)
	g.Callback = callback
	cfg := provider.GitHubConfig{ClientID: providertest.ClientID, ClientSecret: providertest.ClientSecret, URL: g.URL, API: g.URL}
	got, err := visit(t, provider.NewGitHub(cfg))
	want := provider.Identity{ID: "583231", Avatar: "https://avatars.example/1", Names: []string{"octocat"}}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Error(err, d)
	}
	cfg.ClientSecret = "guess"
	if _, err := visit(t, provider.NewGitHub(cfg)); schema.CodeOf(err) != schema.Unauthenticated {
		t.Errorf("a wrong secret: %v", err)
	}
}
