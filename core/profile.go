package core

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"berth/core/access"
	"berth/core/api"
	"berth/schema"
	"berth/ui/page"
)

// profile is somebody's own user, as the pages see it.
type profile struct {
	gate *access.Gate
	api  *api.API // which records what is changed
}

// as returns a context in which the session's user asks.
func (p profile) as(ctx context.Context, session string) (context.Context, error) {
	c, err := p.gate.Session(ctx, session)
	if asks, ok := access.CallerOf(ctx); ok {
		c.Peer = asks.Peer
	}
	c.Via = "click"
	ctx, _ = access.WithRecord(access.WithCaller(ctx, c))
	return ctx, err
}

// Profile shows the session's user.
func (p profile) Profile(ctx context.Context, session string) (page.Profile, error) {
	c, err := p.gate.Session(ctx, session)
	if err != nil {
		return page.Profile{}, err
	}
	u, err := p.gate.User(c.UserID)
	if err != nil {
		return page.Profile{}, err
	}
	out := page.Profile{
		Name: u.Username, Locked: p.gate.Locked(u), Password: u.Hash != "", Passkey: u.Passkey != nil,
		OnlyLogin: len(u.Logins) == 0 || u.Hash == "" && len(u.Logins) == 1,
	}
	if u.TOTP != nil && u.TOTP.Confirmed > 0 {
		out.TOTP, out.Recovery = true, len(u.TOTP.Recovery)
	}
	ways := entrance(p).Ways().Providers
	for kind := range u.Logins {
		word := strings.ToLower(string(kind))
		name := string(kind)
		for _, w := range ways {
			if w.Word == word {
				name = w.Name
			}
		}
		out.Linked = append(out.Linked, page.Provider{Word: word, Name: name})
	}
	slices.SortFunc(out.Linked, func(a, b page.Provider) int { return strings.Compare(a.Word, b.Word) })
	for _, w := range ways {
		if kind, err := access.ProviderKind(w.Word); err == nil {
			if _, linked := u.Logins[kind]; !linked {
				out.Linkable = append(out.Linkable, w)
			}
		}
	}
	for _, s := range p.gate.Sessions(access.WithCaller(ctx, c), u.ID) {
		out.Sessions = append(out.Sessions, page.ProfileSession{ID: s.ID, Kind: s.Kind, How: s.How, From: s.From, Agent: s.Agent, Created: s.Created, Current: s.Current})
	}
	return out, nil
}

// BeginTOTP makes a secret for an authenticator.
func (p profile) BeginTOTP(ctx context.Context, session string) (uri, png string, err error) {
	if ctx, err = p.as(ctx, session); err != nil {
		return "", "", err
	}
	made, err := p.gate.BeginTOTP(ctx)
	return made.URI, made.PNG, err
}

// ConfirmTOTP turns the authenticator on, and returns the recovery codes.
func (p profile) ConfirmTOTP(ctx context.Context, session, code string) ([]string, error) {
	ctx, err := p.as(ctx, session)
	if err != nil {
		return nil, err
	}
	codes, err := p.gate.ConfirmTOTP(ctx, code)
	p.api.Own(ctx, "ConfirmTotpEnrollment", err)
	return codes, err
}

// BeginPasskey returns what the browser needs to make a passkey.
func (p profile) BeginPasskey(ctx context.Context, session string) (string, error) {
	ctx, err := p.as(ctx, session)
	if err != nil {
		return "", err
	}
	options, err := p.gate.BeginPasskey(ctx)
	return string(options), err
}

// Change changes something about the session's user by its word in addresses.
func (p profile) Change(ctx context.Context, session, what, value string) (pending string, err error) {
	if ctx, err = p.as(ctx, session); err != nil {
		return "", err
	}
	if request := requestOf(what); request != "" {
		defer func() { p.api.Own(ctx, request, err) }()
	}
	switch what {
	case "password":
		return "", p.gate.SetPassword(ctx, value)
	case "confirm-passkey":
		return "", p.gate.ConfirmPasskey(ctx, json.RawMessage(value))
	case "drop-totp":
		return "", p.gate.RemoveTOTP(ctx)
	case "drop-passkey":
		return "", p.gate.RemovePasskey(ctx)
	case "revoke":
		return "", p.gate.RevokeSession(ctx, value)
	case "link":
		return p.gate.BeginLink(ctx)
	case "unlink":
		if value == "local" {
			return "", p.gate.Unlink(ctx, access.LocalUser)
		}
		kind, err := access.ProviderKind(value)
		if err != nil {
			return "", err
		}
		return "", p.gate.Unlink(ctx, kind)
	}
	return "", schema.Errorf(schema.NotFound, "There is nothing called %q to change.", what)
}

// requestOf is the request that does the same as a word of the profile's addresses.
func requestOf(what string) string {
	return map[string]string{
		"password": "UpdatePassword", "confirm-passkey": "ConfirmPasskeyEnrollment", "drop-totp": "UnenrollTotp", "drop-passkey": "UnenrollPasskey",
		"revoke": "RevokeSession", "link": "BeginExternalLoginLink", "unlink": "UnlinkLogin",
	}[what]
}
