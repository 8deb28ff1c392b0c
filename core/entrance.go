package core

import (
	"context"
	"encoding/json"

	"berth/core/access"
	"berth/core/api"
	"berth/ui"
	"berth/ui/page"
)

// entrance is how people get in, as the pages see it.
type entrance struct {
	gate *access.Gate
	api  *api.API // which records who comes
}

func visit(c ui.Credentials) access.Visit {
	return access.Visit{Page: true, From: c.From, Agent: c.Agent, Pending: c.Pending}
}

// Ways are how one can sign in.
func (d entrance) Ways() page.Ways {
	o := d.gate.Options()
	w := page.Ways{Password: o.Local, AutoRedirect: o.AutoRedirect}
	for _, p := range []struct {
		on bool
		page.Provider
	}{{o.OIDC, page.Provider{Word: "oidc", Name: "OpenID Connect"}}, {o.GitHub, page.Provider{Word: "github", Name: "GitHub"}}, {o.Google, page.Provider{Word: "google", Name: "Google"}}} {
		if p.on {
			w.Providers = append(w.Providers, p.Provider)
		}
	}
	return w
}

// enter makes the last step of a sign-in, which is recorded.
func (d entrance) enter(ctx context.Context, c ui.Credentials, request string, in func(ctx context.Context) (string, error)) (session string, err error) {
	err = d.api.Enter(ctx, c.From, request, func(ctx context.Context) (err error) {
		session, err = in(ctx)
		return err
	})
	return session, err
}

// SignIn checks a password.
func (d entrance) SignIn(ctx context.Context, c ui.Credentials) (ui.Entry, error) {
	var s access.Step
	err := d.api.Enter(ctx, c.From, "LoginLocalUser", func(ctx context.Context) (err error) {
		s, err = d.gate.SignIn(ctx, visit(c), c.Username, c.Password)
		return err
	})
	return ui.Entry{Session: s.Token, Pending: s.Pending, Passkey: string(s.Passkey), Codes: s.Codes}, err
}

// Code ends a sign-in with a code.
func (d entrance) Code(ctx context.Context, c ui.Credentials) (string, error) {
	return d.enter(ctx, c, "CompleteTotpLogin", func(ctx context.Context) (string, error) { return d.gate.CompleteCode(ctx, visit(c), c.Code) })
}

// Passkey ends a sign-in with what the browser signed.
func (d entrance) Passkey(ctx context.Context, c ui.Credentials) (string, error) {
	return d.enter(ctx, c, "CompletePasskeyLogin", func(ctx context.Context) (string, error) {
		return d.gate.CompletePasskey(ctx, visit(c), json.RawMessage(c.Passkey))
	})
}

// Redeem ends a sign-in at a provider.
func (d entrance) Redeem(ctx context.Context, c ui.Credentials) (string, error) {
	return d.enter(ctx, c, "ExchangeForJwt", func(ctx context.Context) (string, error) { return d.gate.Exchange(ctx, visit(c)) })
}

// HasCodes reports whether a sign-in that waits can be ended with a code.
func (d entrance) HasCodes(_ context.Context, c ui.Credentials) (bool, error) {
	return d.gate.Second(visit(c))
}
