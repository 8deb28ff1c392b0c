package access

import (
	"context"
	"slices"

	"berth/schema"
)

// What users change about themselves. Each change asks CallerOf for who it is.

// self returns the caller's user.
func (g *Gate) self(ctx context.Context) (User, Caller, error) {
	c, ok := CallerOf(ctx)
	if !ok {
		return User{}, c, schema.Errorf(schema.Unauthenticated, "not signed in")
	}
	u, err := g.User(c.UserID)
	return u, c, err
}

// changeable returns the caller's user when he may change how he signs in.
func (g *Gate) changeable(ctx context.Context) (User, Caller, error) {
	u, c, err := g.self(ctx)
	switch {
	case err != nil:
	case u.Kind == ServiceUser:
		err = schema.Errorf(schema.Denied, "%s is a service user: it has API keys and does not sign in", u.Username)
	case g.cfg.Rules.locks(u):
		err = schema.Errorf(schema.Denied, "how %s signs in is locked by core's configuration (lock_login_credentials_for)", u.Username)
	}
	return u, c, err
}

// change edits a user.
func (g *Gate) change(ctx context.Context, id string, fn func(u *User) error) error {
	var was User
	d, err := g.cfg.Users.Edit(ctx, id, func(u *User) error {
		was = *u
		if err := fn(u); err != nil {
			return err
		}
		u.Updated = g.cfg.Now().UnixMilli()
		return nil
	})
	if err == nil {
		recordUser(ctx, was, d.Value)
	}
	return err
}

// Rename gives the caller another username; Conflict when it is taken.
func (g *Gate) Rename(ctx context.Context, username string) error {
	u, _, err := g.changeable(ctx)
	if err != nil || u.Username == username {
		return err
	}
	if err := checkUsername(username); err != nil {
		return err
	}
	g.names.Lock()
	defer g.names.Unlock()
	if g.taken(username) {
		return errTaken(username)
	}
	if err := g.change(ctx, u.ID, func(u *User) error { u.Username = username; return nil }); err != nil || g.cfg.Groups == nil {
		return err
	}
	return g.cfg.Groups.Rename(ctx, u.Username, username)
}

// taken reports whether nobody may give himself that name: a user has it, or a
// group names it, whose rights would come with it.
func (g *Gate) taken(username string) bool {
	_, taken := g.userNamed(username)
	return taken || g.cfg.Groups != nil && g.cfg.Groups.Names(username)
}

func errTaken(username string) error {
	return schema.Errorf(schema.Conflict, "the name %q is taken: a user has it, or a group names it", username)
}

// SetPassword gives the caller a new password, and ends his other sessions. Who
// signed in elsewhere only can sign in with it from now on.
func (g *Gate) SetPassword(ctx context.Context, password string) error {
	u, _, err := g.changeable(ctx)
	if err != nil {
		return err
	}
	if err := g.checkPasswordForm(password); err != nil {
		return err
	}
	hash, err := g.passwords.hash(ctx, password)
	if err != nil {
		return err
	}
	if err := g.change(ctx, u.ID, func(u *User) error { u.Hash = hash; return nil }); err != nil {
		return err
	}
	return g.endOthers(ctx, u.ID)
}

// SetSkip2FA says whether the caller is asked for a second factor after a sign-in
// at a provider.
func (g *Gate) SetSkip2FA(ctx context.Context, skip bool) error {
	u, _, err := g.changeable(ctx)
	if err != nil {
		return err
	}
	return g.change(ctx, u.ID, func(u *User) error { u.Skip2FA = skip; return nil })
}

// Unlink takes away one of the caller's ways to sign in; Conflict when it is the
// last. His other sessions end.
func (g *Gate) Unlink(ctx context.Context, kind UserKind) error {
	u, _, err := g.changeable(ctx)
	if err != nil {
		return err
	}
	if kind != LocalUser && !slices.Contains(externalKinds(), kind) {
		return schema.Errorf(schema.Invalid, "provider: must be Local, Oidc, Github or Google")
	}
	if err := g.change(ctx, u.ID, func(u *User) error { return unlink(u, kind) }); err != nil {
		return err
	}
	return g.endOthers(ctx, u.ID)
}

func externalKinds() []UserKind { return []UserKind{OIDCUser, GithubUser, GoogleUser} }

func unlink(u *User, kind UserKind) error {
	_, linked := u.Logins[kind]
	switch {
	case kind == LocalUser && u.Hash == "", kind != LocalUser && !linked:
		return schema.Errorf(schema.NotFound, "%s has no such login", u.Username)
	case kind == LocalUser && len(u.Logins) == 0, kind != LocalUser && u.Hash == "" && len(u.Logins) == 1:
		return schema.Errorf(schema.Conflict, "this is the only way in which %s signs in: set a password or link another login first", u.Username)
	}
	if kind == LocalUser {
		u.Hash = ""
	} else {
		rest := map[UserKind]ExternalLogin{}
		for k, l := range u.Logins {
			if k != kind {
				rest[k] = l
			}
		}
		u.Logins = rest
	}
	if u.Kind != kind && (u.Kind != "" || kind != LocalUser) {
		return nil
	}
	u.Kind = LocalUser
	for _, k := range externalKinds() {
		if _, ok := u.Logins[k]; ok && u.Hash == "" {
			u.Kind = k
			break
		}
	}
	return nil
}

// FindUser returns a user by his id or his name; NotFound.
func (g *Gate) FindUser(text string) (User, error) {
	if u, err := g.User(text); err == nil {
		return u, nil
	}
	if u, ok := g.userNamed(text); ok {
		return u, nil
	}
	return User{}, schema.Errorf(schema.NotFound, "no user %q", text)
}
