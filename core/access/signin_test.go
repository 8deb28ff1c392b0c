package access_test

import (
	"context"
	"encoding/base64"
	"image/png"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"
	"github.com/pquerna/otp/totp"

	"berth/core/access"
	"berth/schema"
)

// as returns a context in which the user asks by the session that a token shows.
func (w *world) as(t *testing.T, token string) context.Context {
	t.Helper()
	c, err := w.gate.Authenticate(t.Context(), headers("authorization", token), "192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	return access.WithCaller(t.Context(), c)
}

func (w *world) mustToken(t *testing.T) string {
	t.Helper()
	token, err := w.token(t.Context(), access.Credentials{Username: "ada", Password: password})
	if err != nil || token == "" {
		t.Fatalf("sign in: %q, %v", token, err)
	}
	return token
}

func (w *world) code(t *testing.T, uri string) string {
	t.Helper()
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	code, err := totp.GenerateCode(u.Query().Get("secret"), w.clock.t)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// enrol gives ada an authenticator.
func (w *world) enrol(ctx context.Context, t *testing.T) (uri string, recovery []string) {
	t.Helper()
	made, err := w.gate.BeginTOTP(ctx)
	if err != nil {
		t.Fatal(err)
	}
	recovery, err = w.gate.ConfirmTOTP(ctx, w.code(t, made.URI))
	if err != nil {
		t.Fatal(err)
	}
	w.clock.t = w.clock.t.Add(time.Minute) // the code just used is good no more
	return made.URI, recovery
}

// first does the first step of a sign-in with a second factor.
func (w *world) first(t *testing.T) (access.Step, access.Visit) {
	t.Helper()
	s, err := w.gate.SignIn(t.Context(), access.Visit{From: "192.0.2.1"}, "ada", password)
	if err != nil || s.Token != "" || s.Pending == "" {
		t.Fatalf("first step: %+v, %v", s, err)
	}
	return s, access.Visit{From: "192.0.2.1", Pending: s.Pending}
}

func TestTOTP(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.admin(t)
	mine, other := w.mustToken(t), w.mustToken(t)
	me := w.as(t, mine)
	made, err := w.gate.BeginTOTP(me)
	if err != nil {
		t.Fatal(err)
	}
	img, err := base64.StdEncoding.DecodeString(made.PNG)
	if err != nil {
		t.Error(err)
	}
	if _, err := png.Decode(strings.NewReader(string(img))); err != nil {
		t.Errorf("QR code: %v", err)
	}
	if !strings.HasPrefix(made.URI, "otpauth://totp/Berth:ada?") || strings.Contains(made.URI, "=%3D") {
		t.Errorf("URI %s", made.URI)
	}
	w.mustToken(t) // not asked for: nothing is confirmed
	_, err = w.gate.ConfirmTOTP(me, "000000")
	wantCode(t, err, schema.Invalid)
	code := w.code(t, made.URI)
	recovery, err := w.gate.ConfirmTOTP(me, code)
	if err != nil || len(recovery) != 10 || len(recovery[0]) != 20 {
		t.Fatalf("recovery codes %q, %v", recovery, err)
	}
	w.as(t, mine)
	_, err = w.gate.Authenticate(ctx, headers("authorization", other), "")
	wantCode(t, err, schema.Unauthenticated) // other sessions have ended
	if u := w.users.List("")[0].Value; strings.Contains(u.TOTP.Sealed, "secret") || slices.Contains(u.TOTP.Recovery, recovery[0]) {
		t.Errorf("kept in the clear: %+v", u.TOTP)
	}

	s, v := w.first(t)
	if s.Passkey != nil || !s.Codes {
		t.Errorf("asks for %+v", s)
	}
	_, err = w.gate.CompleteCode(ctx, v, code)
	wantCode(t, err, schema.Unauthenticated) // it was used to enrol
	w.clock.t = w.clock.t.Add(30 * time.Second)
	token, err := w.gate.CompleteCode(ctx, v, w.code(t, made.URI))
	if err != nil {
		t.Fatal(err)
	}
	w.as(t, token)
	_, err = w.gate.CompleteCode(ctx, v, recovery[0])
	wantCode(t, err, schema.Unauthenticated) // the step was used

	_, v = w.first(t)
	w.clock.t = w.clock.t.Add(3*time.Minute + time.Second)
	_, err = w.gate.CompleteCode(ctx, v, recovery[0])
	wantCode(t, err, schema.Unauthenticated) // it took too long
	_, v = w.first(t)
	if _, err = w.gate.CompleteCode(ctx, v, recovery[0][:10]+"-"+recovery[0][10:]); err != nil {
		t.Errorf("a recovery code: %v", err)
	}
	_, v = w.first(t)
	_, err = w.gate.CompleteCode(ctx, v, recovery[0])
	wantCode(t, err, schema.Unauthenticated) // good once

	if err := w.gate.RemoveTOTP(me); err != nil {
		t.Fatal(err)
	}
	w.mustToken(t)
}

func TestCodesAreNotGuessed(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.admin(t)
	uri, recovery := w.enrol(w.as(t, w.mustToken(t)), t)
	wrong := "000000"
	if w.code(t, uri) == wrong {
		wrong = "000001"
	}
	for range 2 {
		_, v := w.first(t)
		for range 5 {
			if _, err := w.gate.CompleteCode(ctx, v, wrong); err == nil {
				t.Fatal("a wrong code is good")
			}
		}
		_, err := w.gate.CompleteCode(ctx, v, w.code(t, uri))
		if schema.CodeOf(err) == "" {
			t.Error("a sign-in may try codes without end")
		}
	}
	_, v := w.first(t)
	_, err := w.gate.CompleteCode(ctx, v, w.code(t, uri))
	wantCode(t, err, schema.TooMany) // ten wrong ones within the hour
	if _, err = w.gate.CompleteCode(ctx, v, recovery[3]); err != nil {
		t.Errorf("a recovery code after wrong codes: %v", err)
	}
	w.clock.t = w.clock.t.Add(time.Hour)
	_, v = w.first(t)
	if _, err = w.gate.CompleteCode(ctx, v, w.code(t, uri)); err != nil {
		t.Errorf("an hour later: %v", err)
	}
}

func TestPasskey(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.admin(t)
	me := w.as(t, w.mustToken(t))
	rp := virtualwebauthn.RelyingParty{Name: "Berth", ID: "berth.example", Origin: "https://berth.example"}
	key, cred := virtualwebauthn.NewAuthenticator(), virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2)
	options, err := w.gate.BeginPasskey(me)
	if err != nil {
		t.Fatal(err)
	}
	asked, err := virtualwebauthn.ParseAttestationOptions(string(options))
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := virtualwebauthn.RelyingParty{Name: "Evil", ID: "berth.example", Origin: "https://evil.example"}
	wantCode(t, w.gate.ConfirmPasskey(me, []byte(virtualwebauthn.CreateAttestationResponse(elsewhere, key, cred, *asked))), schema.Invalid)
	answer := virtualwebauthn.CreateAttestationResponse(rp, key, cred, *asked)
	wantCode(t, w.gate.ConfirmPasskey(me, []byte(answer)), schema.Invalid) // each question is good once
	options, err = w.gate.BeginPasskey(me)
	if err != nil {
		t.Fatal(err)
	}
	if asked, err = virtualwebauthn.ParseAttestationOptions(string(options)); err != nil {
		t.Fatal(err)
	}
	if err := w.gate.ConfirmPasskey(me, []byte(virtualwebauthn.CreateAttestationResponse(rp, key, cred, *asked))); err != nil {
		t.Fatal(err)
	}
	key.AddCredential(cred)

	s, v := w.first(t)
	sign := func(cred virtualwebauthn.Credential) []byte {
		want, err := virtualwebauthn.ParseAssertionOptions(string(s.Passkey))
		if err != nil {
			t.Fatal(err)
		}
		return []byte(virtualwebauthn.CreateAssertionResponse(rp, key, cred, *want))
	}
	stranger := virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2)
	stranger.ID = cred.ID
	_, err = w.gate.CompletePasskey(ctx, v, sign(stranger))
	wantCode(t, err, schema.Unauthenticated)
	s, _ = w.first(t)
	old := sign(cred)
	_, v = w.first(t)
	_, err = w.gate.CompletePasskey(ctx, v, old)
	wantCode(t, err, schema.Unauthenticated) // signed for another sign-in
	s, v = w.first(t)
	token, err := w.gate.CompletePasskey(ctx, v, sign(cred))
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.gate.CompletePasskey(ctx, v, sign(cred))
	wantCode(t, err, schema.Unauthenticated)
	if err := w.gate.RemovePasskey(w.as(t, token)); err != nil {
		t.Fatal(err)
	}
	w.mustToken(t)
}

func TestPasskeyNeedsAName(t *testing.T) {
	w := newWorld(t)
	w.admin(t)
	w.cfg.Host = func() string { return "https://192.0.2.7:9120" }
	w.gate = w.open(t)
	_, err := w.gate.BeginPasskey(w.as(t, w.mustToken(t)))
	wantCode(t, err, schema.Unsupported)
	w.cfg.Host = func() string { return "http://127.0.0.1:9120" }
	w.gate = w.open(t)
	options, err := w.gate.BeginPasskey(w.as(t, w.mustToken(t)))
	if err != nil || !strings.Contains(string(options), `"id":"localhost"`) {
		t.Errorf("on this machine: %s, %v", options, err)
	}
}

func TestOwnCredentials(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.admin(t)
	page, err := w.login(ctx, access.Credentials{Username: "ada", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	me := w.as(t, w.mustToken(t))
	wantCode(t, w.gate.SetPassword(me, "short"), schema.Invalid)
	if err := w.gate.SetPassword(me, "a better battery"); err != nil {
		t.Fatal(err)
	}
	_, err = w.gate.Session(ctx, page)
	wantCode(t, err, schema.Unauthenticated)
	_, err = w.login(ctx, access.Credentials{Username: "ada", Password: password})
	wantCode(t, err, schema.Unauthenticated)
	wantCode(t, w.gate.Rename(me, "not a name"), schema.Invalid)
	if err := w.gate.Rename(me, "grace"); err != nil {
		t.Fatal(err)
	}
	if _, err = w.login(ctx, access.Credentials{Username: "grace", Password: "a better battery"}); err != nil {
		t.Error(err)
	}
	wantCode(t, w.gate.Unlink(me, access.LocalUser), schema.Conflict)
	wantCode(t, w.gate.Unlink(me, access.GithubUser), schema.NotFound)
	wantCode(t, w.gate.Unlink(me, "Myspace"), schema.Invalid)
}

func TestLockedCredentials(t *testing.T) {
	w := newWorld(t)
	w.admin(t)
	for _, locked := range []string{"ada", "__ALL__"} {
		w.cfg.Rules.Locked = []string{locked}
		w.gate = w.open(t)
		me := w.as(t, w.mustToken(t))
		wantCode(t, w.gate.SetPassword(me, "a better battery"), schema.Denied)
		wantCode(t, w.gate.Rename(me, "grace"), schema.Denied)
		_, err := w.gate.BeginTOTP(me)
		wantCode(t, err, schema.Denied)
		_, err = w.gate.BeginPasskey(me)
		wantCode(t, err, schema.Denied)
		_, err = w.gate.BeginLink(me)
		wantCode(t, err, schema.Denied)
	}
}

func TestSignUp(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	_, err := w.gate.SignUp(ctx, access.Visit{}, "bob", password)
	wantCode(t, err, schema.Denied) // closed unless opened
	w.cfg.Rules.SignUp = true
	w.gate = w.open(t)
	_, err = w.gate.SignUp(ctx, access.Visit{}, "bob", password)
	wantCode(t, err, schema.Denied) // the first is made by the setup link
	w.admin(t)
	token, err := w.gate.SignUp(ctx, access.Visit{}, "bob", password)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.gate.Authenticate(ctx, headers("authorization", token), "")
	wantCode(t, err, schema.Unauthenticated) // not enabled yet
	if _, u, err := w.gate.Identify(ctx, headers("authorization", token), ""); err != nil || u.Username != "bob" || u.Admin {
		t.Errorf("he himself: %+v, %v", u, err)
	}
	_, err = w.gate.SignUp(ctx, access.Visit{}, "bob", password)
	wantCode(t, err, schema.Conflict)
	w.cfg.Rules.EnableNew = true
	w.gate = w.open(t)
	if token, err = w.gate.SignUp(ctx, access.Visit{}, "eve", password); err != nil {
		t.Fatal(err)
	}
	w.as(t, token)
	w.cfg.Rules.NoPasswords = true
	w.gate = w.open(t)
	_, err = w.gate.SignIn(ctx, access.Visit{}, "eve", password)
	wantCode(t, err, schema.Denied)
}

func TestSessions(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	ada := w.admin(t)
	w.cfg.Rules = access.Rules{SignUp: true, EnableNew: true, TokenTTL: time.Hour}
	w.gate = w.open(t)
	bob, err := w.gate.SignUp(ctx, access.Visit{Agent: "curl/8"}, "bob", password)
	if err != nil {
		t.Fatal(err)
	}
	asBob := w.as(t, bob)
	token := w.mustToken(t)
	asAda := w.as(t, token)
	list := w.gate.Sessions(asAda, ada.ID)
	if len(list) != 1 || !list[0].Current || list[0].How != "password" || list[0].Expires-list[0].Created != time.Hour.Milliseconds() {
		t.Fatalf("sessions %+v", list)
	}
	wantCode(t, w.gate.RevokeSession(asBob, list[0].ID), schema.NotFound)
	wantCode(t, w.gate.RevokeSession(asBob, "../x"), schema.NotFound)
	c, _ := access.CallerOf(asBob)
	bobs := w.gate.Sessions(asAda, c.UserID)
	if len(bobs) != 1 || bobs[0].Agent != "curl/8" || bobs[0].Current {
		t.Fatalf("sessions of bob %+v", bobs)
	}
	if err := w.gate.RevokeSession(asAda, bobs[0].ID); err != nil {
		t.Fatal(err)
	}
	_, err = w.gate.Authenticate(ctx, headers("authorization", bob), "")
	wantCode(t, err, schema.Unauthenticated)
	w.gate = w.open(t) // a restart
	w.as(t, token)
	w.clock.t = w.clock.t.Add(time.Hour)
	_, err = w.gate.Authenticate(ctx, headers("authorization", token), "")
	wantCode(t, err, schema.Unauthenticated)
}

func TestStepsAreBounded(t *testing.T) {
	w := newWorld(t)
	w.admin(t)
	w.enrol(w.as(t, w.mustToken(t)), t)
	_, mine := w.first(t)
	for range 70 {
		if _, err := w.gate.SignIn(t.Context(), access.Visit{From: "203.0.113.9"}, "ada", password); err != nil {
			t.Fatal(err)
		}
	}
	_, err := w.gate.CompleteCode(t.Context(), mine, "000000")
	if !strings.Contains(err.Error(), "code is wrong") {
		t.Errorf("somebody else's sign-ins ended mine: %v", err)
	}
}
