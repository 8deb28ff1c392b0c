package access

import (
	"context"
	"encoding/json"
	"net"
	"net/url"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"berth/schema"
)

// passkeyUser is a user as the WebAuthn library sees him.
type passkeyUser struct {
	user  User
	creds []webauthn.Credential
}

// WebAuthnID is what the authenticator keeps him under.
func (p passkeyUser) WebAuthnID() []byte { return []byte(p.user.ID) }

// WebAuthnName is what the authenticator shows.
func (p passkeyUser) WebAuthnName() string { return p.user.Username }

// WebAuthnDisplayName is the same.
func (p passkeyUser) WebAuthnDisplayName() string { return p.user.Username }

// WebAuthnCredentials are his passkeys: one or none.
func (p passkeyUser) WebAuthnCredentials() []webauthn.Credential { return p.creds }

func newPasskeyUser(u User) (passkeyUser, error) {
	p := passkeyUser{user: u}
	if u.Passkey == nil {
		return p, nil
	}
	var c webauthn.Credential
	if err := json.Unmarshal(u.Passkey.Credential, &c); err != nil {
		return p, schema.Wrap(schema.Internal, err, "read the passkey of %s", u.Username)
	}
	p.creds = []webauthn.Credential{c}
	return p, nil
}

// webAuthn speaks for core's address. Passkeys belong to a name, never to an IP
// address; this machine's own has one.
func (g *Gate) webAuthn() (*webauthn.WebAuthn, error) {
	u, err := url.Parse(g.host())
	if err != nil || u.Hostname() == "" {
		return nil, schema.Errorf(schema.Unsupported, "passkeys need core's address: set url in its configuration")
	}
	id, origins := u.Hostname(), []string{u.Scheme + "://" + u.Host}
	if ip := net.ParseIP(id); ip != nil {
		if !ip.IsLoopback() {
			return nil, schema.Errorf(schema.Unsupported, "passkeys need a name, and core's address is %s: set url in its configuration", id)
		}
		id = "localhost"
		origins = append(origins, u.Scheme+"://localhost:"+u.Port())
	}
	w, err := webauthn.New(&webauthn.Config{
		RPID: id, RPDisplayName: g.issuer(), RPOrigins: origins,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementDiscouraged, UserVerification: protocol.VerificationPreferred,
		},
	})
	return w, schema.Wrap(schema.Internal, err, "prepare passkeys for %s", id)
}

// BeginPasskey returns what the caller's browser needs to make a passkey. What he
// had until now stays until ConfirmPasskey.
func (g *Gate) BeginPasskey(ctx context.Context) (json.RawMessage, error) {
	u, c, err := g.changeable(ctx)
	if err != nil {
		return nil, err
	}
	w, err := g.webAuthn()
	if err != nil {
		return nil, err
	}
	options, session, err := w.BeginRegistration(passkeyUser{user: u})
	if err != nil {
		return nil, schema.Wrap(schema.Internal, err, "begin a passkey")
	}
	g.steps.put(enrolment(enrolPasskey, u.ID), c.Peer, challenge{kind: enrolPasskey, user: u.ID, passkey: session})
	out, err := json.Marshal(options)
	return out, schema.Wrap(schema.Internal, err, "begin a passkey")
}

// ConfirmPasskey makes what the browser answered the caller's passkey, and ends
// his other sessions.
func (g *Gate) ConfirmPasskey(ctx context.Context, credential json.RawMessage) error {
	u, _, err := g.changeable(ctx)
	if err != nil {
		return err
	}
	c, ok := g.steps.take(enrolment(enrolPasskey, u.ID), enrolPasskey)
	if !ok {
		return schema.Errorf(schema.Invalid, "nothing is being enrolled: begin again")
	}
	w, err := g.webAuthn()
	if err != nil {
		return err
	}
	answer, err := protocol.ParseCredentialCreationResponseBytes(credential)
	if err != nil {
		return schema.Wrap(schema.Invalid, err, "this is no new passkey in the form of browsers: begin again")
	}
	made, err := w.CreateCredential(passkeyUser{user: u}, *c.passkey, answer)
	if err != nil {
		return schema.Wrap(schema.Invalid, err, "the passkey does not fit: it must be made for %s; begin again", w.Config.RPID)
	}
	kept, err := json.Marshal(made)
	if err != nil {
		return schema.Wrap(schema.Internal, err, "keep the passkey")
	}
	now := g.cfg.Now().UnixMilli()
	if err := g.change(ctx, u.ID, func(u *User) error { u.Passkey = &Passkey{Credential: kept, Created: now}; return nil }); err != nil {
		return err
	}
	return g.endOthers(ctx, u.ID)
}

// RemovePasskey ends the caller's passkey, and his other sessions.
func (g *Gate) RemovePasskey(ctx context.Context) error {
	return g.dropFactor(ctx, func(u *User) { u.Passkey = nil })
}

// dropFactor takes a second factor away from the caller, and ends his other sessions.
func (g *Gate) dropFactor(ctx context.Context, drop func(*User)) error {
	u, _, err := g.changeable(ctx)
	if err != nil {
		return err
	}
	if err := g.change(ctx, u.ID, func(u *User) error { drop(u); return nil }); err != nil {
		return err
	}
	return g.endOthers(ctx, u.ID)
}

// askPasskey returns what a browser needs to sign with the user's passkey, and
// what its answer must fit.
func (g *Gate) askPasskey(u User) (json.RawMessage, *webauthn.SessionData, error) {
	p, err := newPasskeyUser(u)
	if err != nil {
		return nil, nil, err
	}
	w, err := g.webAuthn()
	if err != nil {
		return nil, nil, err
	}
	options, session, err := w.BeginLogin(p)
	if err != nil {
		return nil, nil, schema.Wrap(schema.Internal, err, "ask for the passkey")
	}
	out, err := json.Marshal(options)
	return out, session, schema.Wrap(schema.Internal, err, "ask for the passkey")
}

// usePasskey checks a browser's answer to askPasskey; Unauthenticated. A counter
// that went back means that somebody has a copy of the key.
func (g *Gate) usePasskey(ctx context.Context, user string, session *webauthn.SessionData, credential json.RawMessage) error {
	u, err := g.User(user)
	if err != nil || u.Passkey == nil || session == nil {
		return schema.Errorf(schema.Unauthenticated, "this user has no passkey: sign in again")
	}
	p, err := newPasskeyUser(u)
	if err != nil {
		return err
	}
	w, err := g.webAuthn()
	if err != nil {
		return err
	}
	answer, err := protocol.ParseCredentialRequestResponseBytes(credential)
	if err != nil {
		return schema.Wrap(schema.Unauthenticated, err, "this is no answer of a passkey in the form of browsers")
	}
	used, err := w.ValidateLogin(p, *session, answer)
	if err != nil {
		return schema.Wrap(schema.Unauthenticated, err, "the passkey is not the user's")
	}
	if used.Authenticator.CloneWarning {
		g.cfg.Log.Error("a passkey's counter went back: somebody may have a copy of it", "user", u.Username)
		return schema.Errorf(schema.Unauthenticated, "the passkey seems to be copied: sign in with a code, and enrol a new one")
	}
	kept, err := json.Marshal(used)
	if err != nil {
		return schema.Wrap(schema.Internal, err, "keep the passkey")
	}
	return g.change(ctx, user, func(u *User) error {
		if u.Passkey == nil {
			return schema.Errorf(schema.Unauthenticated, "this user has no passkey any more: sign in again")
		}
		u.Passkey = &Passkey{Credential: kept, Created: u.Passkey.Created}
		return nil
	})
}
