package api

import (
	"context"
	"encoding/json"
	"strings"

	"berth/core/access"
	"berth/schema"
)

type newUsername struct {
	Username string `json:"username" doc:"New username."`
}

type newPassword struct {
	Password string `json:"password" doc:"New password."`
}

type unlinked struct {
	Provider access.UserKind `json:"provider" doc:"Local, Oidc, Github or Google."`
}

type skip2FA struct {
	Skip bool `json:"external_skip_2fa" doc:"Ask for no second factor after a sign-in at a provider."`
}

type newTOTP struct {
	URI string `json:"uri"`
	PNG string `json:"png"` // base64
}

type recoveryCodes struct {
	Codes []string `json:"recovery_codes"` // shown this once
}

type newKeyV2 struct {
	Name      string `json:"name" doc:"What it is for."`
	Expires   int64  `json:"expires,omitempty" doc:"Unix milliseconds; 0 or absent is never."`
	PublicKey string `json:"public_key,omitempty" doc:"One's own public key."`
}

type newKeyV2Answer struct {
	PrivateKey string `json:"private_key,omitempty"`
}

// session is a sign-in in a list.
type session struct {
	ID      string `json:"id"`
	UserID  string `json:"user_id"`
	Kind    string `json:"kind"` // page, token
	How     string `json:"how"`
	From    string `json:"from"`
	Agent   string `json:"agent"`
	Created int64  `json:"created_at"`
	Expires int64  `json:"expires"`
	Current bool   `json:"current"` // by which this request came
}

type ofUser struct {
	User string `json:"user,omitempty" doc:"Id or name of another user, for administrators; absent is oneself."`
}

type sessionID struct {
	Session string `json:"session" doc:"Id of the session, as ListSessions gives it."`
}

// done is the handler of a change that answers nothing.
func done[P any](change func(ctx context.Context, p P) error) func(context.Context, P) (None, error) {
	return func(ctx context.Context, p P) (None, error) { return None{}, change(ctx, p) }
}

func (a *API) manageRows() []Row {
	g := a.deps.Gate
	return append([]Row{
		Manage(spec{name: "UpdateUsername", doc: "Change one's own username.", needs: access.AnyUser, example: map[string]any{"username": "ada"}},
			done(func(ctx context.Context, p newUsername) error { return g.Rename(ctx, p.Username) })),
		Manage(spec{name: "UpdatePassword", doc: "Change one's own password; one's other sessions end.", needs: access.AnyUser, example: map[string]any{"password": "…"}},
			done(func(ctx context.Context, p newPassword) error { return g.SetPassword(ctx, p.Password) })),
		Manage(spec{name: "BeginExternalLoginLink", doc: "Let this browser link a login elsewhere: it goes to /auth/{provider}/link next.", needs: access.AnyUser, example: map[string]any{}}, a.beginLink),
		Manage(spec{name: "UnlinkLogin", doc: "Take away one of one's ways to sign in, not the last; one's other sessions end.", needs: access.AnyUser, example: map[string]any{"provider": "Github"}},
			done(func(ctx context.Context, p unlinked) error { return g.Unlink(ctx, p.Provider) })),
		Manage(spec{name: "UpdateExternalSkip2fa", doc: "Say whether a sign-in at a provider asks for one's second factor.", needs: access.AnyUser, example: map[string]any{"external_skip_2fa": true}},
			done(func(ctx context.Context, p skip2FA) error { return g.SetSkip2FA(ctx, p.Skip) })),
		Manage(spec{name: "CreateApiKeyV2", doc: "Keys that sign requests are not supported: this says so.", needs: access.AnyUser, example: map[string]any{"name": "ci"}},
			func(context.Context, newKeyV2) (newKeyV2Answer, error) { return newKeyV2Answer{}, noKeysV2() }),
		Manage(spec{name: "DeleteApiKeyV2", doc: "Keys that sign requests are not supported: this says so.", needs: access.AnyUser, example: map[string]any{"name": "ci"}},
			done(func(context.Context, newKeyV2) error { return noKeysV2() })),
		Manage(spec{name: "ListSessions", own: true, doc: "List one's own sessions, or another user's as an administrator.", needs: access.AnyUser, example: map[string]any{}}, a.listSessions),
		Manage(spec{name: "RevokeSession", own: true, doc: "End one of one's own sessions, or anybody's as an administrator.", needs: access.AnyUser, example: map[string]any{"session": strings.Repeat("0", 64)}},
			done(func(ctx context.Context, p sessionID) error { return g.RevokeSession(ctx, p.Session) })),
	}, a.factorRows()...)
}

// factorRows are about second factors.
func (a *API) factorRows() []Row {
	g := a.deps.Gate
	return []Row{
		Manage(spec{name: "BeginTotpEnrollment", doc: "Make a secret for an authenticator; it counts once ConfirmTotpEnrollment has seen a code.", needs: access.AnyUser, example: map[string]any{}},
			func(ctx context.Context, _ None) (newTOTP, error) {
				t, err := g.BeginTOTP(ctx)
				return newTOTP(t), err
			}),
		Manage(spec{name: "ConfirmTotpEnrollment", doc: "Make the authenticator one's second factor; ten recovery codes are shown this once, and one's other sessions end.", needs: access.AnyUser, example: map[string]any{"code": "123456"}},
			func(ctx context.Context, p code) (recoveryCodes, error) {
				codes, err := g.ConfirmTOTP(ctx, p.Code)
				return recoveryCodes{codes}, err
			}),
		Manage(spec{name: "UnenrollTotp", doc: "Ask for codes no more; one's other sessions end.", needs: access.AnyUser, example: map[string]any{}},
			done(func(ctx context.Context, _ None) error { return g.RemoveTOTP(ctx) })),
		Manage(spec{name: "BeginPasskeyEnrollment", doc: "Say what the browser needs to make a passkey; it counts once ConfirmPasskeyEnrollment has seen it.", needs: access.AnyUser, example: map[string]any{}},
			func(ctx context.Context, _ None) (json.RawMessage, error) { return g.BeginPasskey(ctx) }),
		Manage(spec{name: "ConfirmPasskeyEnrollment", doc: "Make the passkey one's second factor; one's other sessions end.", needs: access.AnyUser, example: map[string]any{"credential": map[string]any{}}},
			done(func(ctx context.Context, p credential) error { return g.ConfirmPasskey(ctx, p.Credential) })),
		Manage(spec{name: "UnenrollPasskey", doc: "Ask for the passkey no more; one's other sessions end.", needs: access.AnyUser, example: map[string]any{}},
			done(func(ctx context.Context, _ None) error { return g.RemovePasskey(ctx) })),
	}
}

func noKeysV2() error {
	return schema.Errorf(schema.Unsupported, "keys that sign requests are not supported: make an API key with CreateApiKey, which has a secret")
}

func (a *API) beginLink(ctx context.Context, _ None) (None, error) {
	pending, err := a.deps.Gate.BeginLink(ctx)
	if err == nil {
		stepsOf(ctx).next = pending
	}
	return None{}, err
}

func (a *API) listSessions(ctx context.Context, p ofUser) ([]session, error) {
	c, _ := access.CallerOf(ctx)
	id := c.UserID
	if p.User != "" && p.User != c.UserID && p.User != c.Username {
		if !c.Admin {
			return nil, schema.Errorf(schema.Denied, "only administrators see the sessions of others")
		}
		u, err := a.deps.Gate.FindUser(p.User)
		if err != nil {
			return nil, err
		}
		id = u.ID
	}
	out := []session{}
	for _, s := range a.deps.Gate.Sessions(ctx, id) {
		out = append(out, session{s.ID, s.User, s.Kind, s.How, s.From, s.Agent, s.Created, s.Expires, s.Current})
	}
	return out, nil
}
