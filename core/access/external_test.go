package access_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"

	"berth/core/access"
	"berth/core/provider"
	"berth/schema"
)

// place is a provider that says what the test says.
type place struct {
	who  provider.Identity
	err  error
	trip provider.Trip
}

func (p *place) Start(_ context.Context, t provider.Trip) (string, error) {
	p.trip = t
	return "https://id.example/authorize", nil
}

func (p *place) Finish(_ context.Context, code string, t provider.Trip) (provider.Identity, error) {
	if code != "good" || t != p.trip {
		return provider.Identity{}, errors.Join(p.err, schema.Errorf(schema.Unauthenticated, "another trip"))
	}
	return p.who, p.err
}

// memberships remember who was put where; a group names "ops".
type memberships struct{ joined *[]string }

func (m memberships) Join(_ context.Context, username string, groups []string) error {
	*m.joined = append(groups, username)
	return nil
}

func (m memberships) Rename(_ context.Context, was, username string) error {
	*m.joined = []string{was, username}
	return nil
}

func (m memberships) Leave(_ context.Context, username string) error {
	*m.joined = []string{username}
	return nil
}
func (m memberships) Names(username string) bool { return username == "ops" }

// away is a world with an administrator and providers.
func away(t *testing.T) (*world, *place) {
	t.Helper()
	w, p := newWorld(t), &place{who: provider.Identity{Provider: "https://id.example", ID: "u-1", Names: []string{"bob b.", "bob"}}}
	w.cfg.Providers = map[access.UserKind]access.Provider{access.OIDCUser: p, access.GithubUser: p}
	w.gate = w.open(t)
	return w, p
}

// trip goes to the provider and back.
func (w *world) trip(t *testing.T, p *place, landing string) (access.Away, error) {
	t.Helper()
	to, err := w.gate.GoElsewhere(t.Context(), access.Visit{}, access.OIDCUser, landing)
	if err != nil {
		t.Fatal(err)
	}
	return w.gate.ComeBack(t.Context(), access.Visit{Pending: to.Pending}, access.OIDCUser, url.Values{"state": {p.trip.State}, "code": {"good"}})
}

func TestSignInElsewhere(t *testing.T) {
	w, p := away(t)
	ctx := t.Context()
	_, err := w.trip(t, p, "/")
	wantCode(t, err, schema.Denied) // the first is made by the setup link
	w.admin(t)
	var joined []string
	w.cfg.Groups = memberships{&joined}
	w.cfg.Rules.EnableNew = true
	w.gate = w.open(t)
	p.who.Groups = []string{"dev"}
	back, err := w.trip(t, p, "/stacks?tag=x")
	if err != nil || back.To != "https://berth.example/stacks?redeem_ready=true&tag=x" {
		t.Fatalf("%+v, %v", back, err)
	}
	token, err := w.gate.Exchange(ctx, access.Visit{Pending: back.Pending})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.gate.Exchange(ctx, access.Visit{Pending: back.Pending})
	wantCode(t, err, schema.Unauthenticated)
	c, _ := access.CallerOf(w.as(t, token))
	if c.Username != "bob-b." || c.Admin || strings.Join(joined, " ") != "dev bob-b." {
		t.Errorf("who came: %+v, in %q", c, joined)
	}
	p.who.Names, p.who.Admin = []string{"renamed"}, true
	if back, err = w.trip(t, p, ""); err != nil || back.To != "https://berth.example?redeem_ready=true" {
		t.Fatalf("%+v, %v", back, err)
	}
	if u, _ := w.gate.User(c.UserID); !u.Admin || u.Username != "bob-b." {
		t.Errorf("the same again, of the administrators' group: %+v", u)
	}
	p.who.Admin = false
	if _, err = w.trip(t, p, ""); err != nil {
		t.Fatal(err)
	}
	if u, _ := w.gate.User(c.UserID); !u.Admin {
		t.Error("groups took something away")
	}
	p.who = provider.Identity{Provider: "https://id.example", ID: "u-2", Names: []string{"ada"}}
	if _, err = w.trip(t, p, ""); err != nil {
		t.Fatal(err)
	}
	if u, err := w.gate.FindUser("ada"); err != nil || u.Kind != access.LocalUser {
		t.Errorf("a stranger took the name of another: %+v, %v", u, err)
	}
	w.cfg.Rules.NoRegistration = true
	w.gate = w.open(t)
	p.who.ID = "u-3"
	_, err = w.trip(t, p, "")
	wantCode(t, err, schema.Denied)
}

func TestNamesOfGroupsAreNotTaken(t *testing.T) {
	w, p := away(t)
	w.admin(t)
	var renamed []string
	w.cfg.Groups, w.cfg.Rules.SignUp = memberships{&renamed}, true
	w.gate = w.open(t)
	me := w.as(t, w.mustToken(t))
	wantCode(t, w.gate.Rename(me, "ops"), schema.Conflict)
	_, err := w.gate.SignUp(t.Context(), access.Visit{}, "ops", password)
	wantCode(t, err, schema.Conflict)
	p.who.Names = []string{"ops"}
	if _, err := w.trip(t, p, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := w.gate.FindUser("ops"); err == nil {
		t.Error("who comes from a provider took the name that a group gives rights to")
	}
	if err := w.gate.Rename(me, "grace"); err != nil || strings.Join(renamed, " ") != "ada grace" {
		t.Errorf("groups were told %q, %v", renamed, err)
	}
}

func TestFirstAdministratorByGroup(t *testing.T) {
	w, p := away(t)
	p.who.Admin = true
	back, err := w.trip(t, p, "")
	if err != nil {
		t.Fatal(err)
	}
	token, err := w.gate.Exchange(t.Context(), access.Visit{Page: true, Pending: back.Pending})
	if err != nil {
		t.Fatal(err)
	}
	if c, err := w.gate.Session(t.Context(), token); err != nil || !c.Admin {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestTripsAreNotMixed(t *testing.T) {
	w, p := away(t)
	w.admin(t)
	ctx := t.Context()
	good := func() url.Values { return url.Values{"state": {p.trip.State}, "code": {"good"}} }
	for name, try := range map[string]func(pending string) error{
		"another browser": func(string) error {
			_, err := w.gate.ComeBack(ctx, access.Visit{Pending: "of nobody"}, access.OIDCUser, good())
			return err
		},
		"another state": func(pending string) error {
			_, err := w.gate.ComeBack(ctx, access.Visit{Pending: pending}, access.OIDCUser, url.Values{"state": {"x"}, "code": {"good"}})
			return err
		},
		"another provider": func(pending string) error {
			_, err := w.gate.ComeBack(ctx, access.Visit{Pending: pending}, access.GithubUser, good())
			return err
		},
		"twice": func(pending string) error {
			_, err := w.gate.ComeBack(ctx, access.Visit{Pending: pending}, access.OIDCUser, good())
			wantCode(t, err, "")
			_, err = w.gate.ComeBack(ctx, access.Visit{Pending: pending}, access.OIDCUser, good())
			return err
		},
		"refused there": func(pending string) error {
			_, err := w.gate.ComeBack(ctx, access.Visit{Pending: pending}, access.OIDCUser, url.Values{"state": {p.trip.State}, "error": {"access_denied"}})
			return err
		},
	} {
		to, err := w.gate.GoElsewhere(ctx, access.Visit{}, access.OIDCUser, "")
		if err != nil {
			t.Fatal(err)
		}
		if err := try(to.Pending); schema.CodeOf(err) != schema.Unauthenticated && schema.CodeOf(err) != schema.TooMany {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := w.gate.GoElsewhere(ctx, access.Visit{}, access.GoogleUser, "")
	wantCode(t, err, schema.NotFound)
}

func TestSecondFactorAfterProvider(t *testing.T) {
	w, p := away(t)
	ctx := t.Context()
	w.admin(t)
	me := w.as(t, w.mustToken(t))
	pending, err := w.gate.BeginLink(me)
	if err != nil {
		t.Fatal(err)
	}
	to, err := w.gate.GoLink(ctx, access.Visit{Pending: pending}, access.OIDCUser)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.gate.GoLink(ctx, access.Visit{Pending: pending}, access.OIDCUser)
	wantCode(t, err, schema.Unauthenticated)
	back, err := w.gate.ComeBack(ctx, access.Visit{Pending: to.Pending}, access.OIDCUser, url.Values{"state": {p.trip.State}, "code": {"good"}})
	if err != nil || back.To != "https://berth.example/profile" || back.Pending != "" {
		t.Fatalf("linked: %+v, %v", back, err)
	}
	_, recovery := w.enrol(me, t)
	back, err = w.trip(t, p, "/x")
	if err != nil || back.To != "https://berth.example/x?totp=true" {
		t.Fatalf("%+v, %v", back, err)
	}
	_, err = w.gate.Exchange(ctx, access.Visit{Pending: back.Pending})
	wantCode(t, err, schema.Unauthenticated) // not before the second factor
	if _, err = w.gate.CompleteCode(ctx, access.Visit{Pending: back.Pending}, recovery[0]); err != nil {
		t.Error(err)
	}
	if err := w.gate.SetSkip2FA(me, true); err != nil {
		t.Fatal(err)
	}
	if back, err = w.trip(t, p, "/x"); err != nil || back.To != "https://berth.example/x?redeem_ready=true" {
		t.Fatalf("%+v, %v", back, err)
	}
	if err := w.gate.Unlink(me, access.LocalUser); err != nil {
		t.Fatal(err)
	}
	if u, _ := w.gate.FindUser("ada"); u.Kind != access.OIDCUser {
		t.Errorf("a user without a password is %s", u.Kind)
	}
	wantCode(t, w.gate.Unlink(me, access.OIDCUser), schema.Conflict)
}

func TestLanding(t *testing.T) {
	w := newWorld(t)
	const host = "https://berth.example"
	for to, want := range map[string]string{
		"":                            host,
		"/stacks":                     host + "/stacks",
		"https://berth.example/a?b=c": host + "/a?b=c",
		"https://evil.example/":       host,
		"http://berth.example/":       host,
		"https://berth.example.evil/": host,
		"https://berth.example@evil/": host,
		"https://a:b@berth.example/":  host,
		"//evil.example/":             host,
		"/\\evil.example":             host,
		"https:berth.example":         host,
		"javascript:alert(1)":         host,
		"stacks":                      host,
		"/\t/evil.example":            host,
		"https://berth.example:444/":  host,
	} {
		if got := w.gate.Landing(to); got != want {
			t.Errorf("after %q to %q, want %q", to, got, want)
		}
	}
}
