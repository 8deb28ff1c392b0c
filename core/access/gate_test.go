package access_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"berth/bus"
	"berth/bus/bustest"
	"berth/core/access"
	"berth/core/store"
	"berth/schema"
)

type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

type world struct {
	gate  *access.Gate
	clock *clock
	keys  *store.Bucket[access.Key]
	users *store.Bucket[access.User]
	cfg   access.Config
}

func newWorld(t *testing.T) *world {
	t.Helper()
	b := bustest.New(t)
	w := &world{clock: &clock{time.UnixMilli(1_800_000_000_000)}}
	sealer, err := store.OpenSealer(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w.users, w.keys = open[access.User](t, b, bus.BucketUsers), open[access.Key](t, b, bus.BucketKeys)
	w.cfg = access.Config{
		Users: w.users, Keys: w.keys, Sessions: open[access.Session](t, b, bus.BucketSessions),
		Settings: open[access.Setting](t, b, bus.BucketSettings), Sealer: sealer,
		Failures: access.NewFailures(w.clock.now), Now: w.clock.now, Log: bustest.Log(t),
		Host: func() string { return "https://berth.example" },
	}
	w.gate = w.open(t)
	return w
}

func (w *world) open(t *testing.T) *access.Gate {
	t.Helper()
	g, err := access.NewGate(t.Context(), w.cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func open[T any](t *testing.T, b *bustest.Bus, name string) *store.Bucket[T] {
	t.Helper()
	bucket, err := store.Open[T](t.Context(), b.Core, name, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return bucket
}

// login signs in at the pages, token at the API.
func (w *world) login(ctx context.Context, c access.Credentials) (string, error) {
	s, err := w.gate.SignIn(ctx, access.Visit{Page: true, From: c.From}, c.Username, c.Password)
	return s.Token, err
}

func (w *world) token(ctx context.Context, c access.Credentials) (string, error) {
	s, err := w.gate.SignIn(ctx, access.Visit{From: c.From}, c.Username, c.Password)
	return s.Token, err
}

const password = "correct horse"

func (w *world) admin(t *testing.T) access.User {
	t.Helper()
	u, err := w.gate.CreateAdmin(t.Context(), "ada", password)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func wantCode(t *testing.T, err error, want schema.Code) {
	t.Helper()
	if got := schema.CodeOf(err); got != want {
		t.Errorf("code %q, want %q: %v", got, want, err)
	}
}

func TestSetupOnce(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	if !w.gate.Fresh(ctx) {
		t.Fatal("a new store has a user")
	}
	old := w.gate.Invite(ctx)
	token := w.gate.Invite(ctx)
	if w.gate.SetupOpen(ctx, old) || !w.gate.SetupOpen(ctx, token) || w.gate.SetupOpen(ctx, "") {
		t.Error("only the newest link is good")
	}
	_, err := w.gate.Setup(ctx, access.Credentials{Token: old, Username: "eve", Password: password})
	wantCode(t, err, schema.Denied)
	_, err = w.gate.Setup(ctx, access.Credentials{Token: token, Username: "ada", Password: "short"})
	wantCode(t, err, schema.Invalid)
	session, err := w.gate.Setup(ctx, access.Credentials{Token: token, Username: "ada", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	if a, err := w.gate.Session(ctx, session); err != nil || a.Username != "ada" {
		t.Errorf("session of the new administrator: %+v, %v", a, err)
	}
	_, err = w.gate.Setup(ctx, access.Credentials{Token: token, Username: "eve", Password: password})
	wantCode(t, err, schema.Denied)
	if w.gate.Invite(ctx) != "" {
		t.Error("an invitation although there is an administrator")
	}
	_, err = w.gate.CreateAdmin(ctx, "eve", password)
	wantCode(t, err, schema.Conflict)
}

func TestLogin(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.admin(t)
	for _, c := range []access.Credentials{
		{Username: "ada", Password: "wrong horse"}, {Username: "eve", Password: password}, {Username: "ada"}, {},
	} {
		_, err := w.login(ctx, c)
		wantCode(t, err, schema.Unauthenticated)
	}
	session, err := w.login(ctx, access.Credentials{Username: "ada", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	w.gate = w.open(t) // a restart
	if _, err := w.gate.Session(ctx, session); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	if err := w.gate.Logout(ctx, session); err != nil {
		t.Error(err)
	}
	_, err = w.gate.Session(ctx, session)
	wantCode(t, err, schema.Unauthenticated)
	wantCode(t, w.gate.Logout(ctx, session), "")
}

func TestSessionExpires(t *testing.T) {
	w := newWorld(t)
	w.admin(t)
	session, err := w.login(t.Context(), access.Credentials{Username: "ada", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	w.clock.t = w.clock.t.Add(31 * 24 * time.Hour)
	_, err = w.gate.Session(t.Context(), session)
	wantCode(t, err, schema.Unauthenticated)
}

func TestLimitNeverLocksOut(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.admin(t)
	var codes []string
	for range 8 {
		_, err := w.login(ctx, access.Credentials{Username: "ada", Password: "guess guess", From: "203.0.113.7"})
		codes = append(codes, string(schema.CodeOf(err)))
	}
	want := strings.Repeat("unauthenticated ", 5) + strings.Repeat("too_many ", 3)
	if got := strings.Join(codes, " ") + " "; got != want {
		t.Errorf("answers to eight guesses:\n%s\nwant\n%s", got, want)
	}
	if _, err := w.login(ctx, access.Credentials{Username: "ada", Password: password, From: "203.0.113.7"}); err != nil {
		t.Errorf("the right password from the same address: %v", err)
	}
	w.clock.t = w.clock.t.Add(16 * time.Second)
	_, err := w.login(ctx, access.Credentials{Username: "ada", Password: "guess guess", From: "203.0.113.7"})
	wantCode(t, err, schema.Unauthenticated)
}

func headers(kv ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(kv); i += 2 {
		h.Set(kv[i], kv[i+1])
	}
	return h
}

func TestAuthenticate(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	u := w.admin(t)
	key, secret, err := w.gate.NewKey(ctx, u.ID, "ci", 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(key) != 44 || len(secret) != 44 || !strings.HasPrefix(key, "K_") || !strings.HasSuffix(secret, "_S") {
		t.Errorf("form of key %q and secret of %d characters", key, len(secret))
	}
	soon := w.clock.t.Add(time.Minute).UnixMilli()
	brief, briefSecret, err := w.gate.NewKey(ctx, u.ID, "brief", soon)
	if err != nil {
		t.Fatal(err)
	}
	token, err := w.token(ctx, access.Credentials{Username: "ada", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	w.clock.t = w.clock.t.Add(10 * time.Minute)
	forged := "eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0." + strings.Split(token, ".")[1] + "."
	for name, c := range map[string]struct {
		h    http.Header
		want schema.Code
	}{
		"key":             {headers("x-api-key", key, "x-api-secret", secret), ""},
		"token":           {headers("authorization", token), ""},
		"bearer":          {headers("authorization", "Bearer "+token), ""},
		"nothing":         {headers(), schema.Unauthenticated},
		"wrong secret":    {headers("x-api-key", key, "x-api-secret", briefSecret), schema.Unauthenticated},
		"no secret":       {headers("x-api-key", key), schema.Unauthenticated},
		"unknown key":     {headers("x-api-key", "K_x_K", "x-api-secret", ""), schema.Unauthenticated},
		"odd key":         {headers("x-api-key", "a.b>*", "x-api-secret", "x"), schema.Unauthenticated},
		"expired key":     {headers("x-api-key", brief, "x-api-secret", briefSecret), schema.Unauthenticated},
		"garbage token":   {headers("authorization", "Bearer a.b.c"), schema.Unauthenticated},
		"alg none":        {headers("authorization", forged), schema.Unauthenticated},
		"cut token":       {headers("authorization", token[:len(token)-2]), schema.Unauthenticated},
		"token decides":   {headers("authorization", "x", "x-api-key", key, "x-api-secret", secret), schema.Unauthenticated},
		"signed requests": {headers("x-api-signature", "x"), schema.Unauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			c2, err := w.gate.Authenticate(ctx, c.h, "peer of "+name)
			wantCode(t, err, c.want)
			if err == nil && (c2.Username != "ada" || !c2.Admin || c2.Actor.Name == "") {
				t.Errorf("caller %+v", c2)
			}
			if err != nil && (strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), briefSecret)) {
				t.Error("the error holds a secret")
			}
		})
	}
	w.clock.t = w.clock.t.Add(25 * time.Hour)
	_, err = w.gate.Authenticate(ctx, headers("authorization", token), "p")
	wantCode(t, err, schema.Unauthenticated)
}

func TestKeys(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	u := w.admin(t)
	key, secret, err := w.gate.NewKey(ctx, u.ID, "ci", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range w.keys.List("") {
		if strings.Contains(d.Value.Hash, secret) || d.Value.Hash == "" {
			t.Error("the secret is stored")
		}
	}
	if list := w.gate.Keys(u.ID); len(list) != 1 || list[0].Hash != "" || list[0].Name != "ci" {
		t.Errorf("list %+v", list)
	}
	wantCode(t, w.gate.DeleteKey(ctx, "someone else", key), schema.Denied)
	wantCode(t, w.gate.DeleteKey(ctx, u.ID, "K_unknown_K"), schema.NotFound)
	wantCode(t, w.gate.DeleteKey(ctx, u.ID, key), "")
	_, err = w.gate.Authenticate(ctx, headers("x-api-key", key, "x-api-secret", secret), "p")
	wantCode(t, err, schema.Unauthenticated)
	_, _, err = w.gate.NewKey(ctx, u.ID, " ", 0)
	wantCode(t, err, schema.Invalid)
}

func TestPermit(t *testing.T) {
	ctx := t.Context()
	wantCode(t, access.Permit(ctx, access.Public, schema.Target{}), "")
	wantCode(t, access.Permit(ctx, access.CanRead, schema.Target{}), schema.Unauthenticated)
	admin := access.WithCaller(ctx, access.Caller{Username: "ada", Admin: true})
	wantCode(t, access.Permit(admin, access.IsAdmin, schema.Target{}), "")
	other := access.WithCaller(context.WithoutCancel(ctx), access.Caller{Username: "bob"})
	wantCode(t, access.Permit(other, access.AnyUser, schema.Target{}), "")
	wantCode(t, access.Permit(other, access.CanExec, schema.Target{Kind: "stack", Name: "web"}), schema.Denied)
}

func TestPeers(t *testing.T) {
	p := access.NewPeers([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
	for name, c := range map[string]struct {
		remote, xff, real, want string
	}{
		"no proxy":              {"203.0.113.7:1", "198.51.100.1", "198.51.100.2", "203.0.113.7"},
		"proxy":                 {"10.0.0.1:1", "198.51.100.1", "", "198.51.100.1"},
		"two proxies":           {"10.0.0.1:1", "198.51.100.1, 10.9.9.9", "", "198.51.100.1"},
		"what the client wrote": {"10.0.0.1:1", "1.1.1.1, 198.51.100.1", "", "198.51.100.1"},
		"garbage":               {"10.0.0.1:1", "x", "", "10.0.0.1"},
		"real ip":               {"10.0.0.1:1", "", "198.51.100.2", "198.51.100.2"},
		"nothing":               {"10.0.0.1:1", "", "", "10.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = c.remote
			if c.xff != "" {
				r.Header.Set("X-Forwarded-For", c.xff)
			}
			if c.real != "" {
				r.Header.Set("X-Real-Ip", c.real)
			}
			if got := p.Of(r); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
