package access

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"berth/schema"
)

// NewKey makes an API key for a user; the secret is returned this once. expires
// is unix ms, 0 never. With scopes it may only what one of them allows.
func (g *Gate) NewKey(ctx context.Context, user, name string, expires int64, scopes ...string) (key, keySecret string, err error) {
	if name = strings.TrimSpace(name); name == "" || utf8.RuneCountInString(name) > 200 {
		return "", "", schema.Errorf(schema.Invalid, "name of an API key: must have 1 to 200 characters")
	}
	if _, err := g.User(user); err != nil {
		return "", "", err
	}
	if _, err := parseScopes(scopes); err != nil {
		return "", "", err
	}
	key, keySecret = "K_"+alnum(40)+"_K", "S_"+alnum(40)+"_S"
	doc := Key{Key: key, Hash: digest(keySecret), User: user, Name: name, Created: g.cfg.Now().UnixMilli(), Expires: expires, Scopes: scopes}
	if _, err := g.cfg.Keys.Create(ctx, keyDoc(key), doc); err != nil {
		return "", "", schema.Wrap(schema.CodeOf(err), err, "store the API key")
	}
	return key, keySecret, nil
}

// Keys lists the user's API keys, newest first, without their secrets.
func (g *Gate) Keys(user string) []Key {
	var out []Key
	for _, d := range g.cfg.Keys.List("") {
		if k := d.Value; k.User == user {
			k.Hash, k.Used = "", max(k.Used, g.usedAt(d.Key))
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b Key) int { return int(b.Created - a.Created) })
	return out
}

// DeleteKey removes an API key of the user; NotFound; Denied when it is
// somebody else's.
func (g *Gate) DeleteKey(ctx context.Context, user, key string) error {
	d, err := g.cfg.Keys.Get(keyDoc(key))
	switch {
	case err != nil:
		return schema.Errorf(schema.NotFound, "no API key %q", key)
	case d.Value.User != user:
		return schema.Errorf(schema.Denied, "the API key is another user's")
	}
	return g.cfg.Keys.Delete(ctx, d.Key, d.Rev)
}

// Authenticate says who sent a request by its headers: a token, or an API key and
// its secret. The first that is present decides. Errors: Unauthenticated; TooMany
// when the address failed too often. Valid credentials are never refused.
func (g *Gate) Authenticate(ctx context.Context, h http.Header, peer string) (Caller, error) {
	c, u, err := g.Identify(ctx, h, peer)
	if err == nil && !u.Enabled {
		return Caller{}, g.failed(peer, schema.SafeText(errDisabled()))
	}
	return c, err
}

// Identify is Authenticate for what disabled users may see too: themselves.
func (g *Gate) Identify(_ context.Context, h http.Header, peer string) (Caller, User, error) {
	var c Caller
	var u User
	var err error
	switch {
	case h.Get("Authorization") != "":
		c, u, err = g.byToken(h.Get("Authorization"))
	case h.Get("X-Api-Key") != "":
		c, u, err = g.byKey(h.Get("X-Api-Key"), h.Get("X-Api-Secret"))
	case h.Get("X-Api-Signature") != "":
		err = schema.Errorf(schema.Unauthenticated, "signed requests are not supported: send x-api-key and x-api-secret")
	default:
		return c, u, schema.Errorf(schema.Unauthenticated, "no credentials: send x-api-key and x-api-secret, or authorization")
	}
	if err != nil {
		return Caller{}, u, g.failed(peer, schema.SafeText(err))
	}
	c.Peer = peer
	return c, u, nil
}

func (g *Gate) byToken(header string) (Caller, User, error) {
	token := strings.TrimSpace(header)
	if len(token) > 7 && strings.EqualFold(token[:7], "bearer ") {
		token = strings.TrimSpace(token[7:])
	}
	c, err := readToken(g.jwtKey, token, g.cfg.Now())
	if err != nil {
		return Caller{}, User{}, err
	}
	u, err := g.sessionUser(c.Jti, tokenSession)
	if err != nil {
		return Caller{}, User{}, err
	}
	caller := g.callerOf(u, "api")
	caller.Session = c.Jti
	return caller, u, nil
}

// byKey compares digests, also when the key is unknown.
func (g *Gate) byKey(key, keySecret string) (Caller, User, error) {
	d, err := g.cfg.Keys.Get(keyDoc(key))
	k, hash := d.Value, d.Value.Hash
	if err != nil {
		hash = digest("")
	}
	match := equal(hash, digest(keySecret))
	u, noUser := g.User(k.User)
	switch {
	case keySecret == "":
		return Caller{}, User{}, schema.Errorf(schema.Unauthenticated, "x-api-secret is missing")
	case err != nil || !match:
		return Caller{}, User{}, schema.Errorf(schema.Unauthenticated, "the API key or its secret is wrong")
	case k.Expires > 0 && k.Expires+keyGrace.Milliseconds() < g.cfg.Now().UnixMilli():
		return Caller{}, User{}, schema.Errorf(schema.Unauthenticated, "the API key has expired")
	case noUser != nil:
		return Caller{}, User{}, schema.Errorf(schema.Unauthenticated, "the API key's user is gone")
	}
	c, err := g.callerOf(u, "api").limited(k)
	c.Actor = schema.Actor{Kind: "key", ID: u.ID, Name: u.Username + " (" + k.Name + ")"}
	if err == nil {
		g.mu.Lock()
		g.used[d.Key] = g.cfg.Now()
		g.mu.Unlock()
	}
	return c, u, err
}

// usedAt returns when a key was used that is not stored yet, or 0.
func (g *Gate) usedAt(doc string) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	if at, ok := g.used[doc]; ok {
		return at.UnixMilli()
	}
	return 0
}

// keyDoc is where a key is stored: what people send may not be a bucket's key.
func keyDoc(key string) string { return digest(key)[:32] }

// keyGrace is how long an expired key is still good: clocks differ.
const keyGrace = 5 * time.Minute

// User returns a user; NotFound.
func (g *Gate) User(id string) (User, error) {
	d, err := g.cfg.Users.Get(id)
	if err != nil {
		return User{}, schema.Errorf(schema.NotFound, "no user %q", id)
	}
	return d.Value, nil
}
