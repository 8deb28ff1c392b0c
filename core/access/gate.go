package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"log/slog"
	"math"
	"strings"
	"sync"
	"time"

	"berth/core/store"
	"berth/schema"
)

// Session is a sign-in of a user, by the SHA-256 of its secret.
type Session struct {
	User    string `json:"user"`
	Kind    string `json:"kind"` // page, token
	From    string `json:"from"`
	Agent   string `json:"agent,omitempty"` // the program, as it says itself
	How     string `json:"how,omitempty"`   // password, sign-up, setup, oidc, …, with "+ code" or "+ passkey"
	Created int64  `json:"created"`
	Expires int64  `json:"expires"` // unix ms
}

// Key is an API key; Hash is the SHA-256 of its secret.
type Key struct {
	Key     string   `json:"key"`
	Hash    string   `json:"hash"`
	User    string   `json:"user"`
	Name    string   `json:"name"`
	Created int64    `json:"created"`
	Expires int64    `json:"expires"`          // unix ms; 0 is never
	Used    int64    `json:"used,omitempty"`   // unix ms; when it was last used, within a minute
	Scopes  []string `json:"scopes,omitempty"` // what it is limited to, as ParseScope reads it
}

// Setting is a value of core's own, sealed.
type Setting struct {
	Sealed string `json:"sealed"`
}

// Config is what a Gate needs.
type Config struct {
	Users    *store.Bucket[User]
	Sessions *store.Bucket[Session]
	Keys     *store.Bucket[Key]
	Settings *store.Bucket[Setting]
	Grants   *store.Bucket[Grant] // explicit permissions; nil for none
	Things   Things               // what there are permissions on; nil for nothing
	Sealer   *store.Sealer
	Failures *Failures // shared by all doors
	Rules    Rules
	// Providers are where people can sign in besides here.
	Providers map[UserKind]Provider
	// Groups name users; may be nil.
	Groups Memberships
	// Host returns the address people use for core.
	Host  func() string
	Title string // of this installation, for authenticators
	Now   func() time.Time
	Log   *slog.Logger
	// Transparent lets every user read everything.
	Transparent bool
	// NoCreate lets only administrators create resources.
	NoCreate bool
}

// Memberships are groups that have users by name.
type Memberships interface {
	// Join puts a user into those of the groups that there are; others are ignored.
	Join(ctx context.Context, username string, groups []string) error
	// Rename keeps a user in his groups under his new name.
	Rename(ctx context.Context, was, username string) error
	// Leave takes a user out of all groups that name him.
	Leave(ctx context.Context, username string) error
	// Names reports whether a group has that name among its users.
	Names(username string) bool
}

// How long sign-ins live.
const (
	sessionTTL = 30 * 24 * time.Hour
	tokenTTL   = 24 * time.Hour
)

// adminID is the first administrator's id. It is fixed, so that two who use the
// setup link at once cannot both become him.
const adminID = "00000000000000000000a001"

// Gate knows users, sessions and keys.
type Gate struct {
	cfg       Config
	passwords *passwords
	jwtKey    []byte
	steps     *challenges
	codes     *guesses
	names     sync.Mutex // held while a username or a login elsewhere is taken

	mu    sync.Mutex           // guards what follows
	setup string               // SHA-256 of the setup link's token; empty when there is none
	rules map[string]*ruleset  // by user
	used  map[string]time.Time // keys used since that was last stored, by their document
}

// NewGate makes a gate and the key of its tokens, if there is none yet.
func NewGate(ctx context.Context, cfg Config) (*Gate, error) {
	g := &Gate{cfg: cfg, passwords: newPasswords(), used: map[string]time.Time{}}
	g.steps, g.codes = newChallenges(cfg.Now), newGuesses(cfg.Now)
	var err error
	g.jwtKey, err = g.secretSetting(ctx, "jwt")
	return g, err
}

// secretSetting returns 32 random bytes that stay the same, sealed at rest.
func (g *Gate) secretSetting(ctx context.Context, name string) ([]byte, error) {
	if s, err := g.cfg.Settings.Get(name); err == nil {
		plain, err := g.cfg.Sealer.Unseal(s.Value.Sealed)
		return plain, schema.Wrap(schema.Internal, err, "open core's setting %q: was core's key replaced?", name)
	}
	plain := make([]byte, 32)
	_, _ = rand.Read(plain) // never fails
	sealed, err := g.cfg.Sealer.Seal(plain)
	if err != nil {
		return nil, schema.Wrap(schema.Internal, err, "seal core's setting %q", name)
	}
	_, err = g.cfg.Settings.Create(ctx, name, Setting{Sealed: sealed})
	return plain, err
}

// Invite returns the token of a one-time link that makes the first administrator,
// or "" when there is one. The token is good until it is used or core ends; each
// call makes a new one.
func (g *Gate) Invite(ctx context.Context) string {
	if !g.Fresh(ctx) {
		return ""
	}
	token := secret()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.setup = digest(token)
	return token
}

// Fresh reports that there is no user yet: only the setup link lets one in.
func (g *Gate) Fresh(context.Context) bool { return g.cfg.Users.Len() == 0 }

// SetupOpen reports whether the token of a setup link is still good.
func (g *Gate) SetupOpen(ctx context.Context, token string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.setup != "" && equal(g.setup, digest(token)) && g.Fresh(ctx)
}

// Credentials is what somebody types to get in.
type Credentials struct {
	Token    string // of the setup link
	Username string
	Password string
	From     string // peer address
}

// Setup creates the first administrator with the token of the one-time link and
// returns his session. Errors: Denied for a token that is used or wrong; Invalid.
func (g *Gate) Setup(ctx context.Context, c Credentials) (string, error) {
	if !g.SetupOpen(ctx, c.Token) {
		if d := g.cfg.Failures.Add(c.From); d > 0 {
			return "", tooMany(c.From, d)
		}
		return "", schema.Errorf(schema.Denied, "this setup link is used up or wrong: the newest one is in core's log")
	}
	u, err := g.CreateAdmin(ctx, c.Username, c.Password)
	if err != nil {
		return "", err
	}
	g.mu.Lock()
	g.setup = ""
	g.mu.Unlock()
	return g.admit(ctx, u, Visit{Page: true, From: c.From}, "setup")
}

// CreateAdmin creates the first administrator; Conflict when there is one.
func (g *Gate) CreateAdmin(ctx context.Context, username, password string) (User, error) {
	if err := g.checkCredentials(username, password); err != nil {
		return User{}, err
	}
	if !g.Fresh(ctx) {
		return User{}, schema.Errorf(schema.Conflict, "there is an administrator already")
	}
	hash, err := g.passwords.hash(ctx, password)
	if err != nil {
		return User{}, err
	}
	u := User{ID: adminID, Username: username, Kind: LocalUser, Hash: hash, Super: true, Admin: true, Enabled: true, Created: g.cfg.Now().UnixMilli()}
	if _, err := g.cfg.Users.Create(ctx, u.ID, u); err != nil {
		return User{}, schema.Wrap(schema.CodeOf(err), err, "create the administrator")
	}
	recordUser(ctx, User{}, u)
	return u, nil
}

func (g *Gate) checkPassword(ctx context.Context, v Visit, username, password string) (User, error) {
	u, known := g.userNamed(username)
	enters(ctx, u, false)
	if len(password) > 4*maxPassword {
		password = ""
	}
	ok, err := g.passwords.matches(ctx, u.Hash, password, g.cfg.Failures.Wait(v.From) > 0)
	if err != nil {
		return User{}, err
	}
	if !ok || !known || u.Kind == ServiceUser {
		return User{}, g.failed(v.From, "the username or the password is wrong")
	}
	if !u.Enabled {
		return User{}, g.failed(v.From, schema.SafeText(errDisabled()))
	}
	return u, nil
}

// failed counts a failure and returns what the other is told.
func (g *Gate) failed(peer, text string) error {
	if d := g.cfg.Failures.Add(peer); d > 0 {
		return tooMany(peer, d)
	}
	return schema.Errorf(schema.Unauthenticated, "%s", text)
}

func tooMany(peer string, d time.Duration) error {
	return schema.Errorf(schema.TooMany, "too many failed attempts from %s: try again in %d s", peer, int(math.Ceil(d.Seconds())))
}

func (g *Gate) userNamed(name string) (User, bool) {
	for _, d := range g.cfg.Users.List("") {
		if d.Value.Username == name {
			return d.Value, true
		}
	}
	return User{}, false
}

// Session returns who a session of pages belongs to; Unauthenticated.
func (g *Gate) Session(_ context.Context, token string) (Caller, error) {
	u, err := g.sessionUser(digest(token), pageSession)
	if err == nil && !u.Enabled {
		err = errDisabled()
	}
	if err != nil {
		return Caller{}, err
	}
	c := g.callerOf(u, "click")
	c.Session = digest(token)
	return c, nil
}

// As returns a user as a caller, as of now; NotFound, or Denied when he is disabled.
func (g *Gate) As(user, via string) (Caller, error) {
	u, err := g.User(user)
	if err != nil {
		return Caller{}, err
	}
	if !u.Enabled {
		return Caller{}, schema.Errorf(schema.Denied, "%s is disabled", u.Username)
	}
	return g.callerOf(u, via), nil
}

// PermitStarter is Permit for whoever started a run, with what he may now. Core
// itself may everything.
func (g *Gate) PermitStarter(s schema.Starter, needs Level, target schema.Target) error {
	switch {
	case s.User == "" && s.Level == "":
		return nil
	case s.User == "":
		return Caller{Username: "this operator", Everywhere: Level(s.Level)}.permit(needs, "", target)
	}
	c, err := g.As(s.User, "run")
	if err != nil {
		return schema.Wrap(schema.Denied, err, "the user who started this run is gone or disabled")
	}
	if s.Key != "" {
		k, err := g.cfg.Keys.Get(keyDoc(s.Key))
		if err != nil {
			return schema.Errorf(schema.Denied, "the API key that started this run was deleted")
		}
		if c, err = c.limited(k.Value); err != nil {
			return err
		}
	}
	return c.permit(needs, "", target)
}

// sessionUser returns whose session it is, enabled or not.
func (g *Gate) sessionUser(key, kind string) (User, error) {
	d, err := g.cfg.Sessions.Get(key)
	if err != nil || d.Value.Kind != kind || d.Value.Expires <= g.cfg.Now().UnixMilli() {
		return User{}, schema.Errorf(schema.Unauthenticated, "the session has ended: sign in again")
	}
	u, err := g.cfg.Users.Get(d.Value.User)
	if err != nil {
		return User{}, schema.Errorf(schema.Unauthenticated, "this user is gone")
	}
	return u.Value, nil
}

// Logout ends a session; one that is not there has ended already.
func (g *Gate) Logout(ctx context.Context, token string) error {
	return g.cfg.Sessions.Delete(ctx, digest(token), 0)
}

// Run removes sessions that have expired, now and every hour, and stores when keys
// were used, every minute, until ctx ends.
func (g *Gate) Run(ctx context.Context) error {
	hour, minute := time.NewTicker(time.Hour), time.NewTicker(time.Minute)
	defer hour.Stop()
	defer minute.Stop()
	g.expire(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hour.C:
			g.expire(ctx)
		case <-minute.C:
			g.storeUse(ctx)
		}
	}
}

// expire removes sessions that have expired.
func (g *Gate) expire(ctx context.Context) {
	now := g.cfg.Now().UnixMilli()
	for _, d := range g.cfg.Sessions.List("") {
		if d.Value.Expires > now {
			continue
		}
		if err := g.cfg.Sessions.Delete(ctx, d.Key, d.Rev); err != nil {
			g.cfg.Log.Warn("remove an expired session", "err", err)
		}
	}
}

// storeUse stores when keys were used.
func (g *Gate) storeUse(ctx context.Context) {
	g.mu.Lock()
	used := g.used
	g.used = map[string]time.Time{}
	g.mu.Unlock()
	for doc, at := range used {
		_, err := g.cfg.Keys.Edit(ctx, doc, func(k *Key) error {
			k.Used = max(k.Used, at.UnixMilli())
			return nil
		})
		if err != nil && schema.CodeOf(err) != schema.NotFound && ctx.Err() == nil {
			g.cfg.Log.Warn("store when an API key was used", "err", err)
		}
	}
}

func actorOf(u User) schema.Actor {
	return schema.Actor{Kind: "user", ID: u.ID, Name: u.Username}
}

func (g *Gate) callerOf(u User, via string) Caller {
	return Caller{UserID: u.ID, Username: u.Username, Admin: u.Admin, Actor: actorOf(u), Via: via, gate: g}
}

// limited returns the caller as he is by a key.
func (c Caller) limited(k Key) (Caller, error) {
	var err error
	if c.scopes, err = parseScopes(k.Scopes); err != nil {
		return c, schema.Errorf(schema.Denied, "the scopes of this API key are not known to this version of Berth")
	}
	c.Key, c.Admin = k.Key, c.Admin && !c.Scoped()
	return c, nil
}

// secret returns 32 random bytes as text.
func secret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// digest is how secrets of this strength are stored: they cannot be guessed, so
// one round of SHA-256 is enough.
func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// alnum returns n random letters and digits.
func alnum(n int) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	var b strings.Builder
	buf := make([]byte, 1)
	for b.Len() < n {
		_, _ = rand.Read(buf)
		if int(buf[0]) < 4*len(letters) { // else the first letters would come more often
			b.WriteByte(letters[int(buf[0])%len(letters)])
		}
	}
	return b.String()
}
