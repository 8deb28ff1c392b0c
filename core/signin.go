package core

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"time"

	"berth/core/access"
	"berth/core/provider"
	"berth/schema"
)

// SignIn is who may sign in, and how.
type SignIn struct {
	NoPasswords    bool          // people sign in at a provider only
	SignUp         bool          // strangers may make themselves a user with a password
	NoRegistration bool          // no stranger becomes a user by himself, however he comes
	NoOIDCNew      bool          // nor one who comes from the OIDC provider
	EnableNew      bool          // who becomes a user by himself may act at once
	Locked         []string      // users who cannot change how they sign in; __ALL__ is everybody
	MinPassword    int           // longer than Berth asks for
	TokenTTL       time.Duration // how long tokens live; 0 is a day
	CrossSite      bool          // the cookie of a sign-in's steps also travels from pages of other origins
	OIDC           OIDC
	GitHub, Google OAuth
}

// OIDC is an OpenID Connect provider at which people sign in.
type OIDC struct {
	Enabled                bool
	Provider               string // its address
	ClientID, ClientSecret string
	RedirectHost           string // where browsers find it, when core finds it elsewhere
	FullEmail              bool   // usernames are whole email addresses
	AutoRedirect           bool   // the sign-in page goes straight there
	Audiences              []string
	GroupsClaim            string   // the claim with a person's groups
	AdminGroups            []string // whose members are administrators
}

// OAuth is how core is known to GitHub or Google.
type OAuth struct {
	Enabled    bool
	ID, Secret string
	// URL is that of a GitHub Enterprise Server, or of what stands for Google in a
	// test; API is that of GitHub's API, when it is not below.
	URL, API string
}

// check refuses half a configuration: nobody should learn of it by a button that
// does not work.
func (s SignIn) check() error {
	missing := func(name string, on bool, need map[string]string) error {
		for _, key := range []string{"address", "client id", "client secret"} {
			if v, ok := need[key]; on && ok && v == "" {
				return schema.Errorf(schema.Invalid, "sign-in by %s is enabled, and its %s is missing: set it, or do not enable it", name, key)
			}
		}
		return nil
	}
	for _, err := range []error{
		missing("OIDC", s.OIDC.Enabled, map[string]string{"address": s.OIDC.Provider, "client id": s.OIDC.ClientID}),
		missing("GitHub", s.GitHub.Enabled, map[string]string{"client id": s.GitHub.ID, "client secret": s.GitHub.Secret}),
		missing("Google", s.Google.Enabled, map[string]string{"client id": s.Google.ID, "client secret": s.Google.Secret}),
	} {
		if err != nil {
			return err
		}
	}
	if s.NoPasswords && !s.OIDC.Enabled && !s.GitHub.Enabled && !s.Google.Enabled {
		return schema.Errorf(schema.Invalid, "nobody could sign in: local_auth is false, and no provider is enabled")
	}
	return nil
}

func (s SignIn) rules() access.Rules {
	r := access.Rules{
		NoPasswords: s.NoPasswords, SignUp: s.SignUp, NoRegistration: s.NoRegistration, EnableNew: s.EnableNew,
		Locked: s.Locked, MinPassword: s.MinPassword, TokenTTL: s.TokenTTL, AutoRedirect: s.OIDC.AutoRedirect,
	}
	if s.NoOIDCNew {
		r.Closed = []access.UserKind{access.OIDCUser}
	}
	return r
}

func (s SignIn) providers() map[access.UserKind]access.Provider {
	out := map[access.UserKind]access.Provider{}
	if o := s.OIDC; o.Enabled {
		out[access.OIDCUser] = provider.NewOIDC(provider.OIDCConfig{
			Issuer: o.Provider, ClientID: o.ClientID, ClientSecret: o.ClientSecret, RedirectHost: o.RedirectHost, FullEmail: o.FullEmail,
			Audiences: o.Audiences, GroupsClaim: o.GroupsClaim, AdminGroups: o.AdminGroups,
		})
	}
	if g := s.GitHub; g.Enabled {
		out[access.GithubUser] = provider.NewGitHub(provider.GitHubConfig{ClientID: g.ID, ClientSecret: g.Secret, URL: g.URL, API: g.API})
	}
	if g := s.Google; g.Enabled {
		issuer := g.URL
		if issuer == "" {
			issuer = "https://accounts.google.com"
		}
		out[access.GoogleUser] = provider.NewOIDC(provider.OIDCConfig{Name: "Google", Issuer: issuer, ClientID: g.ID, ClientSecret: g.Secret})
	}
	return out
}

// pageHost is where browsers find core, without a path.
func (c *core) pageHost() string {
	u, err := url.Parse(c.pageAddress())
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// memberships are the groups that name users, as access sees them.
type memberships struct{ *core }

// edit changes the members of the groups that fn changes.
func (m memberships) edit(ctx context.Context, fn func(name string, users []string) []string) error {
	groups, err := m.kinds.groups.All()
	if err != nil {
		return err
	}
	for _, g := range groups {
		users := fn(g.Name, slices.Clone(g.Config.Users))
		if slices.Equal(users, g.Config.Users) {
			continue
		}
		patch, err := json.Marshal(map[string]any{"users": users})
		if err != nil {
			return err
		}
		if _, err := m.kinds.groups.Update(ctx, g.ID, patch); err != nil {
			return schema.Wrap(schema.CodeOf(err), err, "change who is in group %q", g.Name)
		}
	}
	return nil
}

// Join puts a user into those of the groups that there are here.
func (m memberships) Join(ctx context.Context, username string, groups []string) error {
	return m.edit(ctx, func(name string, users []string) []string {
		if slices.Contains(groups, name) && !slices.Contains(users, username) {
			return append(users, username)
		}
		return users
	})
}

// Rename keeps a user in his groups under his new name.
func (m memberships) Rename(ctx context.Context, was, username string) error {
	return m.edit(ctx, func(_ string, users []string) []string {
		if i := slices.Index(users, was); i >= 0 {
			users[i] = username
		}
		return users
	})
}

// Leave takes a user out of all groups that name him.
func (m memberships) Leave(ctx context.Context, username string) error {
	return m.edit(ctx, func(_ string, users []string) []string {
		return slices.DeleteFunc(users, func(n string) bool { return n == username })
	})
}

// Names reports whether a group has that name among its users: who takes it gets
// what they may.
func (m memberships) Names(username string) bool {
	groups, err := m.kinds.groups.All()
	return err != nil || slices.ContainsFunc(groups, func(g schema.Resource[schema.UserGroupConfig]) bool {
		return slices.Contains(g.Config.Users, username)
	})
}

// strangers are those whom a group names and who are no users. They may come yet,
// from a provider; a name that is misspelt takes rights away and says nothing.
func (c *core) strangers(g schema.UserGroupConfig) []schema.KeyError {
	var out []schema.KeyError
	var names []string
	known := map[string]bool{}
	for _, u := range c.gate.Users() {
		names = append(names, u.Username)
		known[u.Username], known[u.ID] = true, true
	}
	for _, n := range g.Users {
		if known[n] {
			continue
		}
		hint := "; it counts once there is one"
		if near := schema.Nearest(n, names); near != "" {
			hint = fmt.Sprintf(": did you mean %q?", near)
		}
		out = append(out, schema.KeyError{Path: "users", Msg: fmt.Sprintf("there is no user %q%s", n, hint)})
	}
	return out
}
