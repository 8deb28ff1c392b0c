package access

import (
	"context"
	"encoding/base64"
	"net/url"
	"slices"
	"strings"

	"berth/core/provider"
	"berth/schema"
)

// Provider is where somebody can sign in besides here.
type Provider interface {
	// Start returns the address to which a browser goes.
	Start(ctx context.Context, t provider.Trip) (string, error)
	// Finish returns who came back with the code.
	Finish(ctx context.Context, code string, t provider.Trip) (provider.Identity, error)
}

// ProviderKind returns the kind of a provider's users by its word in addresses:
// oidc, github, google.
func ProviderKind(word string) (UserKind, error) {
	for _, k := range externalKinds() {
		if strings.ToLower(string(k)) == word {
			return k, nil
		}
	}
	return "", schema.Errorf(schema.NotFound, "no provider %q: there are oidc, github and google", word)
}

func (g *Gate) provider(kind UserKind) (Provider, error) {
	p, ok := g.cfg.Providers[kind]
	if !ok {
		return nil, schema.Errorf(schema.NotFound, "sign-in by %s is not configured here", kind)
	}
	return p, nil
}

// Away is where a browser goes next, and what it must carry back.
type Away struct {
	To      string
	Pending string
}

// GoElsewhere sends a browser to a provider; it ends at landing.
func (g *Gate) GoElsewhere(ctx context.Context, v Visit, kind UserKind, landing string) (Away, error) {
	return g.sendAway(ctx, v, kind, challenge{landing: g.Landing(landing)})
}

// BeginLink lets the caller's browser link a login elsewhere: it returns what that
// must carry to GoLink.
func (g *Gate) BeginLink(ctx context.Context) (string, error) {
	u, c, err := g.changeable(ctx)
	if err != nil {
		return "", err
	}
	return g.steps.begin(c.Peer, challenge{kind: linking, user: u.ID}), nil
}

// GoLink sends a browser to a provider whose answer becomes another login of who
// called BeginLink.
func (g *Gate) GoLink(ctx context.Context, v Visit, kind UserKind) (Away, error) {
	c, ok := g.steps.take(digest(v.Pending), linking)
	if !ok {
		return Away{}, schema.Errorf(schema.Unauthenticated, "nobody asked to link a login: begin at the profile, with cookies on")
	}
	return g.sendAway(ctx, v, kind, challenge{user: c.user, landing: g.host() + "/profile"})
}

func (g *Gate) sendAway(ctx context.Context, v Visit, kind UserKind, c challenge) (Away, error) {
	p, err := g.provider(kind)
	if err != nil {
		return Away{}, err
	}
	c.kind, c.at, c.trip = elsewhere, kind, provider.NewTrip(g.host()+"/auth/"+strings.ToLower(string(kind))+"/callback")
	to, err := p.Start(ctx, c.trip)
	if err != nil {
		return Away{}, err
	}
	return Away{To: to, Pending: g.steps.begin(v.From, c)}, nil
}

// ComeBack takes a browser back from a provider. Its next address says, as Komodo's
// clients expect, what is to be done: redeem_ready=true, totp=true or passkey=….
func (g *Gate) ComeBack(ctx context.Context, v Visit, kind UserKind, query url.Values) (Away, error) {
	p, err := g.provider(kind)
	if err != nil {
		return Away{}, err
	}
	c, ok := g.steps.take(digest(v.Pending), elsewhere)
	if !ok || c.at != kind || !equal(c.trip.State, query.Get("state")) {
		return Away{}, g.failed(v.From, "this sign-in did not begin in this browser, or it took too long: begin again at "+g.host()+", with cookies on")
	}
	if code := query.Get("error"); code != "" {
		return Away{}, schema.Errorf(schema.Unauthenticated, "%s says: %s", kind, cut(strings.TrimSpace(code+" "+query.Get("error_description")), 300))
	}
	who, err := p.Finish(ctx, query.Get("code"), c.trip)
	if err != nil {
		return Away{}, err
	}
	if c.user != "" {
		g.entersAs(ctx, c.user)
		if err := g.link(ctx, c.user, kind, who); err != nil {
			return Away{}, err
		}
		return Away{To: c.landing}, nil
	}
	u, err := g.userElsewhere(ctx, kind, who)
	if err != nil {
		return Away{}, err
	}
	enters(ctx, u, false)
	if u, err = g.grant(ctx, u, who); err != nil {
		return Away{}, err
	}
	return g.admitElsewhere(u, v, kind, c.landing)
}

// admitElsewhere says what a browser does next whose user is known now.
func (g *Gate) admitElsewhere(u User, v Visit, kind UserKind, landing string) (Away, error) {
	how := strings.ToLower(string(kind))
	if u.Skip2FA || !u.TOTP.enrolled() && u.Passkey == nil {
		id := g.steps.begin(v.From, challenge{kind: redeemable, user: u.ID, how: how})
		return Away{To: with(landing, "redeem_ready", "true"), Pending: id}, nil
	}
	s, err := g.askSecond(u, v, how)
	if err != nil {
		return Away{}, err
	}
	if s.Passkey != nil {
		return Away{To: with(landing, "passkey", base64.RawURLEncoding.EncodeToString(s.Passkey)), Pending: s.Pending}, nil
	}
	return Away{To: with(landing, "totp", "true"), Pending: s.Pending}, nil
}

func with(address, key, value string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	q := u.Query()
	q.Set(key, value)
	u.RawQuery = q.Encode()
	return u.String()
}

// owner returns whose login it is.
func (g *Gate) owner(kind UserKind, who provider.Identity) (User, bool) {
	for _, d := range g.cfg.Users.List("") {
		l, ok := d.Value.Logins[kind]
		if ok && l.ID == who.ID && l.Provider == who.Provider {
			return d.Value, true
		}
	}
	return User{}, false
}

func loginOf(who provider.Identity) ExternalLogin {
	return ExternalLogin{Provider: who.Provider, ID: who.ID, Avatar: who.Avatar}
}

// link adds a login to a user; Conflict when it is another's.
func (g *Gate) link(ctx context.Context, user string, kind UserKind, who provider.Identity) error {
	g.names.Lock()
	defer g.names.Unlock()
	if o, ok := g.owner(kind, who); ok && o.ID != user {
		return schema.Errorf(schema.Conflict, "this %s login belongs to another user here", kind)
	}
	return g.change(ctx, user, func(u *User) error {
		if old, ok := u.Logins[kind]; ok && (old.ID != who.ID || old.Provider != who.Provider) {
			return schema.Errorf(schema.Conflict, "%s has another %s login already: unlink it first", u.Username, kind)
		}
		setLogin(u, kind, who)
		return nil
	})
}

func setLogin(u *User, kind UserKind, who provider.Identity) {
	logins := map[UserKind]ExternalLogin{kind: loginOf(who)}
	for k, l := range u.Logins {
		if k != kind {
			logins[k] = l
		}
	}
	u.Logins = logins
}

// userElsewhere returns whose login it is, and makes a user for a stranger if the
// rules let him in. While there is nobody, only who is an administrator by his
// groups gets in: else the setup link would be closed by whoever comes first.
func (g *Gate) userElsewhere(ctx context.Context, kind UserKind, who provider.Identity) (User, error) {
	if u, ok := g.owner(kind, who); ok {
		return u, nil
	}
	switch {
	case g.cfg.Rules.NoRegistration || slices.Contains(g.cfg.Rules.Closed, kind):
		return User{}, schema.Errorf(schema.Denied, "nobody here has this %s login, and new users cannot register: an administrator makes users", kind)
	case g.Fresh(ctx) && !who.Admin:
		return User{}, schema.Errorf(schema.Denied, "there is no administrator yet: open the setup link that core wrote to its log")
	}
	name, err := g.freeName(who.Names)
	if err != nil {
		return User{}, err
	}
	u, err := g.add(ctx, User{
		Username: name, Kind: kind, Enabled: g.cfg.Rules.EnableNew || who.Admin,
		Logins: map[UserKind]ExternalLogin{kind: loginOf(who)},
	})
	if err == nil {
		g.cfg.Log.Info("somebody came from a provider for the first time", "user", u.Username, "provider", kind, "enabled", u.Enabled)
	}
	return u, err
}

// freeName makes a username of the first name that can be one. A taken one gets an
// ending: it is somebody else's.
func (g *Gate) freeName(names []string) (string, error) {
	for _, n := range names {
		n = strings.Trim(strings.Map(func(r rune) rune {
			if strings.ContainsRune(usernameLetters, r) {
				return r
			}
			return '-'
		}, cut(n, maxUsername-6)), "-")
		if n == "" || schema.IsID(n) {
			continue
		}
		if g.taken(n) {
			n += "-" + strings.ToLower(alnum(5))
		}
		return n, checkUsername(n)
	}
	return "", schema.Errorf(schema.Invalid, "the provider sends no name that could be a username")
}

// grant gives a user what his groups at the provider give. It takes nothing away:
// what an administrator gave by hand stays.
func (g *Gate) grant(ctx context.Context, u User, who provider.Identity) (User, error) {
	if who.Admin && !u.Admin && u.Enabled {
		if err := g.change(ctx, u.ID, func(u *User) error { u.Admin = true; return nil }); err != nil {
			return u, err
		}
		g.cfg.Log.Warn("a user became administrator by his groups at the provider", "user", u.Username)
	}
	if g.cfg.Groups != nil && len(who.Groups) > 0 {
		if err := g.cfg.Groups.Join(ctx, u.Username, who.Groups); err != nil {
			return u, schema.Wrap(schema.CodeOf(err), err, "put %s into his groups", u.Username)
		}
	}
	return g.User(u.ID)
}
