package access

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"berth/schema"
)

// Rules say who may sign in, and how.
type Rules struct {
	// NoPasswords refuses passwords: people sign in at a provider only.
	NoPasswords bool
	// SignUp lets strangers make themselves a user with a password.
	SignUp bool
	// NoRegistration keeps strangers out, also those a provider vouches for.
	NoRegistration bool
	// Closed are kinds of users that strangers cannot become.
	Closed []UserKind
	// EnableNew lets those who come by themselves in at once; else an
	// administrator enables them first.
	EnableNew bool
	// Locked are users whose credentials only an administrator changes; __ALL__
	// is everybody.
	Locked []string
	// MinPassword asks for longer passwords than schema.MinPassword.
	MinPassword int
	// TokenTTL is how long tokens live; 0 is a day.
	TokenTTL time.Duration
	// AutoRedirect asks the sign-in page to go straight to the OIDC provider.
	AutoRedirect bool
}

// everybody in Rules.Locked.
const everybody = "__ALL__"

func (r Rules) locks(u User) bool {
	return slices.Contains(r.Locked, everybody) || slices.Contains(r.Locked, u.Username)
}

func (r Rules) tokenTTL() time.Duration {
	if r.TokenTTL > 0 {
		return r.TokenTTL
	}
	return tokenTTL
}

// Locked reports whether a user cannot change how he signs in.
func (g *Gate) Locked(u User) bool { return u.Kind == ServiceUser || g.cfg.Rules.locks(u) }

// Options are the ways to sign in that there are.
type Options struct {
	Local, OIDC, GitHub, Google bool
	Closed                      bool // strangers cannot make themselves a user with a password
	AutoRedirect                bool
}

// Options returns how one can sign in.
func (g *Gate) Options() Options {
	has := func(k UserKind) bool { _, ok := g.cfg.Providers[k]; return ok }
	r := g.cfg.Rules
	return Options{
		Local: !r.NoPasswords, OIDC: has(OIDCUser), GitHub: has(GithubUser), Google: has(GoogleUser),
		Closed: !r.SignUp || r.NoRegistration || r.NoPasswords, AutoRedirect: r.AutoRedirect && has(OIDCUser),
	}
}

// host is the address people use for core, without a slash at its end.
func (g *Gate) host() string {
	if g.cfg.Host == nil {
		return ""
	}
	return strings.TrimRight(g.cfg.Host(), "/")
}

// Landing returns where somebody goes after a sign-in: an address of this core,
// whole or as a path, or core's own when it is anything else. Others could use
// core's good name to lead people elsewhere.
func (g *Gate) Landing(to string) string {
	host := g.host()
	if to == "" || strings.ContainsAny(to, "\\\r\n\t") {
		return host
	}
	u, err := url.Parse(to)
	own, herr := url.Parse(host)
	switch {
	case err != nil || herr != nil || u.User != nil || u.Opaque != "":
		return host
	case u.Scheme == "" && u.Host == "" && strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "//"):
		return host + to
	case u.Scheme == own.Scheme && u.Host == own.Host && own.Host != "":
		return to
	}
	return host
}

// errDisabled is what somebody is told whose user is there and may not act.
func errDisabled() error {
	return schema.Errorf(schema.Unauthenticated, "this user is disabled: an administrator must enable it")
}
