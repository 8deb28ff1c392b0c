package access

import (
	"context"
	"encoding/json"

	"berth/schema"
)

// Step is what a sign-in leads to: in at once, or a second factor first.
type Step struct {
	Token   string          // in: a session of pages, or a token
	Pending string          // else what the browser must carry to the next step
	Passkey json.RawMessage // what the browser needs to sign; nil asks for a code
	Codes   bool            // the user also has codes
}

// SignIn checks a password. Errors: Unauthenticated; TooMany when the address
// guessed wrong too often; Denied when passwords are not accepted here.
func (g *Gate) SignIn(ctx context.Context, v Visit, username, password string) (Step, error) {
	if g.cfg.Rules.NoPasswords {
		return Step{}, schema.Errorf(schema.Denied, "passwords are not accepted here: sign in at a provider")
	}
	u, err := g.checkPassword(ctx, v, username, password)
	if err != nil {
		return Step{}, err
	}
	if u.TOTP.enrolled() || u.Passkey != nil {
		return g.askSecond(u, v, "password")
	}
	token, err := g.admit(ctx, u, v, "password")
	return Step{Token: token}, err
}

func (t *TOTP) enrolled() bool { return t != nil && t.Confirmed > 0 }

// askSecond asks for the second factor: the passkey before codes.
func (g *Gate) askSecond(u User, v Visit, how string) (Step, error) {
	c := challenge{kind: secondFactor, user: u.ID, how: how}
	s := Step{Codes: u.TOTP.enrolled()}
	if u.Passkey != nil {
		var err error
		if s.Passkey, c.passkey, err = g.askPasskey(u); err != nil && !s.Codes {
			return Step{}, err
		}
	}
	s.Pending = g.steps.begin(v.From, c)
	return s, nil
}

func errPending() error {
	return schema.Errorf(schema.Unauthenticated, "this sign-in is over: begin again, with cookies on, and take at most %d minutes", int(ChallengeTTL.Minutes()))
}

// CompleteCode ends a sign-in with a code of the authenticator or a recovery
// code. A few wrong codes may be tried. Errors: Unauthenticated; TooMany.
func (g *Gate) CompleteCode(ctx context.Context, v Visit, code string) (string, error) {
	key := digest(v.Pending)
	c, ok := g.steps.take(key, secondFactor)
	if !ok {
		return "", g.failed(v.From, schema.SafeText(errPending()))
	}
	g.entersAs(ctx, c.user)
	if err := g.useCode(ctx, c.user, tidyCode(code)); err != nil {
		g.steps.again(key, c)
		if schema.CodeOf(err) == schema.Unauthenticated {
			return "", g.failed(v.From, schema.SafeText(err))
		}
		return "", err
	}
	return g.finish(ctx, v, c, c.how+" + code")
}

// CompletePasskey ends a sign-in with what the browser signed; Unauthenticated.
func (g *Gate) CompletePasskey(ctx context.Context, v Visit, credential json.RawMessage) (string, error) {
	c, ok := g.steps.take(digest(v.Pending), secondFactor)
	if !ok {
		return "", g.failed(v.From, schema.SafeText(errPending()))
	}
	g.entersAs(ctx, c.user)
	if err := g.usePasskey(ctx, c.user, c.passkey, credential); err != nil {
		if schema.CodeOf(err) == schema.Unauthenticated {
			return "", g.failed(v.From, schema.SafeText(err))
		}
		return "", err
	}
	return g.finish(ctx, v, c, c.how+" + passkey")
}

// Exchange ends a sign-in at a provider; Unauthenticated.
func (g *Gate) Exchange(ctx context.Context, v Visit) (string, error) {
	c, ok := g.steps.take(digest(v.Pending), redeemable)
	if !ok {
		return "", g.failed(v.From, schema.SafeText(errPending()))
	}
	return g.finish(ctx, v, c, c.how)
}

// Second returns what a sign-in waits for that came from a provider: whether a
// passkey or codes, so that a page can ask for them.
func (g *Gate) Second(v Visit) (codes bool, err error) {
	c, ok := g.steps.peek(digest(v.Pending), secondFactor)
	if !ok {
		return false, errPending()
	}
	u, err := g.User(c.user)
	return u.TOTP.enrolled(), err
}

func (g *Gate) finish(ctx context.Context, v Visit, c challenge, how string) (string, error) {
	u, err := g.User(c.user)
	if err != nil {
		return "", errPending()
	}
	return g.admit(ctx, u, v, how)
}

// SignUp makes a user for a stranger and lets him in; until an administrator has
// enabled him he may do nothing, unless the rules say otherwise. While there is
// nobody, only the setup link makes a user: whoever comes first must not own all.
// Errors: Denied when registration is closed; Conflict when the name is taken.
func (g *Gate) SignUp(ctx context.Context, v Visit, username, password string) (string, error) {
	if g.Options().Closed {
		return "", schema.Errorf(schema.Denied, "nobody can sign up here: an administrator makes users")
	}
	if g.Fresh(ctx) {
		return "", schema.Errorf(schema.Denied, "there is no administrator yet: open the setup link that core wrote to its log")
	}
	if g.cfg.Failures.Wait(v.From) > 0 {
		return "", g.failed(v.From, "try again later")
	}
	if err := g.checkCredentials(username, password); err != nil {
		return "", err
	}
	hash, err := g.passwords.hash(ctx, password)
	if err != nil {
		return "", err
	}
	u, err := g.add(ctx, User{Username: username, Kind: LocalUser, Hash: hash, Enabled: g.cfg.Rules.EnableNew})
	if err != nil {
		return "", g.counted(v.From, err)
	}
	g.cfg.Log.Info("somebody signed up", "user", username, "from", v.From, "enabled", u.Enabled)
	if v.Page && !u.Enabled {
		return "", schema.Errorf(schema.Denied, "the user %s is made: an administrator must enable it now", username)
	}
	return g.admit(ctx, u, v, "sign-up")
}

// counted counts an attempt that told somebody which names are taken.
func (g *Gate) counted(from string, err error) error {
	if d := g.cfg.Failures.Add(from); d > 0 {
		return tooMany(from, d)
	}
	return err
}

// add makes a user, whose name must be free; Conflict.
func (g *Gate) add(ctx context.Context, u User) (User, error) {
	g.names.Lock()
	defer g.names.Unlock()
	if g.taken(u.Username) {
		return User{}, errTaken(u.Username)
	}
	u.ID, u.Created = schema.NewID(), g.cfg.Now().UnixMilli()
	u.Updated = u.Created
	if _, err := g.cfg.Users.Create(ctx, u.ID, u); err != nil {
		return User{}, schema.Wrap(schema.CodeOf(err), err, "make the user")
	}
	recordUser(ctx, User{}, u)
	return u, nil
}
