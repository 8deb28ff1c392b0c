package main

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"berth/core"
)

// signInKeys are who may sign in, and how.
func signInKeys() []key {
	in := func(at func(s *core.SignIn) *bool) reader {
		return toFlag(func(c *configs) *bool { return at(&c.core.SignIn) })
	}
	keys := []key{
		{name: "local-auth", core: "local_auth", def: "true", doc: "passwords are accepted; false where people sign in at a provider only", read: aReader(aFlag, func(c *configs, v string) error {
			on, err := strconv.ParseBool(v)
			c.core.SignIn.NoPasswords = !on
			if err != nil {
				return errors.New("want true or false")
			}
			return nil
		})},
		{name: "sign-up", doc: "strangers may make themselves a user with a password", read: in(func(s *core.SignIn) *bool { return &s.SignUp })},
		{name: "enable-new-users", core: "enable_new_users", doc: "who becomes a user by himself may act at once; else an administrator enables him first", read: in(func(s *core.SignIn) *bool { return &s.EnableNew })},
		{name: "disable-user-registration", core: "disable_user_registration", doc: "nobody becomes a user by himself, also not one whom a provider knows", read: in(func(s *core.SignIn) *bool { return &s.NoRegistration })},
		{core: "disable_oidc_user_registration", doc: "nobody becomes a user by signing in at the OIDC provider", read: in(func(s *core.SignIn) *bool { return &s.NoOIDCNew })},
		{core: "disable_local_user_registration", none: "nobody signs up with a password unless sign_up is set", read: unread(aFlag)},
		{name: "lock-login-credentials-for", core: "lock_login_credentials_for", doc: "users who cannot change how they sign in; __ALL__ is everybody", read: toList(func(c *configs) *[]string { return &c.core.SignIn.Locked })},
		{name: "min-password-length", core: "min_password_length", doc: "characters that a new password needs; 10 at least", read: toNumber(func(c *configs) *int { return &c.core.SignIn.MinPassword })},
		{name: "jwt-ttl", core: "jwt_ttl", def: "1-day", doc: "how long tokens of API logins live, as 12h, 1-day or 2-wk", read: lifetime(func(c *configs) *time.Duration { return &c.core.SignIn.TokenTTL })},
	}
	keys = append(keys, key{core: "session_allow_cross_site", doc: "the cookie of a sign-in's steps also travels from pages of the origins in cors_allowed_origins; over TLS only", read: in(func(s *core.SignIn) *bool { return &s.CrossSite })})
	keys = append(keys, oidcKeys()...)
	keys = append(keys, oauthKeys("github", "GitHub", func(c *configs) *core.OAuth { return &c.core.SignIn.GitHub })...)
	keys = append(keys, oauthKeys("google", "Google", func(c *configs) *core.OAuth { return &c.core.SignIn.Google })...)
	keys = append(keys, key{name: "github-url", doc: "address of a GitHub Enterprise Server, instead of github.com", read: webAddress(func(c *configs) *string { return &c.core.SignIn.GitHub.URL })})
	for i := range keys {
		keys[i].in = cores
	}
	return keys
}

func oidcKeys() []key {
	text := func(at func(o *core.OIDC) *string) reader {
		return toText(func(c *configs) *string { return at(&c.core.SignIn.OIDC) })
	}
	flag := func(at func(o *core.OIDC) *bool) reader {
		return toFlag(func(c *configs) *bool { return at(&c.core.SignIn.OIDC) })
	}
	list := func(at func(o *core.OIDC) *[]string) reader {
		return toList(func(c *configs) *[]string { return at(&c.core.SignIn.OIDC) })
	}
	return []key{
		{name: "oidc-enabled", core: "oidc_enabled", doc: "people may sign in at an OpenID Connect provider", read: flag(func(o *core.OIDC) *bool { return &o.Enabled })},
		{name: "oidc-provider", core: "oidc_provider", doc: "its address, below which /.well-known/openid-configuration is", read: webAddress(func(c *configs) *string { return &c.core.SignIn.OIDC.Provider })},
		{name: "oidc-client-id", core: "oidc_client_id", doc: "core's id there; its redirect address there is URL/auth/oidc/callback", read: text(func(o *core.OIDC) *string { return &o.ClientID })},
		{name: "oidc-client-secret", core: "oidc_client_secret", secret: true, doc: "core's secret there; none for a public client", read: text(func(o *core.OIDC) *string { return &o.ClientSecret })},
		{name: "oidc-redirect-host", core: "oidc_redirect_host", doc: "where browsers find the provider, when core finds it elsewhere", read: webAddress(func(c *configs) *string { return &c.core.SignIn.OIDC.RedirectHost })},
		{name: "oidc-use-full-email", core: "oidc_use_full_email", doc: "new users are named by their whole email address", read: flag(func(o *core.OIDC) *bool { return &o.FullEmail })},
		{name: "oidc-additional-audiences", core: "oidc_additional_audiences", doc: "others for whom an accepted token may be meant as well", read: list(func(o *core.OIDC) *[]string { return &o.Audiences })},
		{name: "oidc-auto-redirect", core: "oidc_auto_redirect", doc: "the sign-in page goes straight to the provider", read: flag(func(o *core.OIDC) *bool { return &o.AutoRedirect })},
		{name: "oidc-groups-claim", def: "groups", doc: "the claim with a person's groups, as groups or realm_access.roles: he joins the user groups of those names", read: text(func(o *core.OIDC) *string { return &o.GroupsClaim })},
		{name: "oidc-admin-group", doc: "groups at the provider whose members become administrators", read: list(func(o *core.OIDC) *[]string { return &o.AdminGroups })},
	}
}

// oauthKeys are those of a provider that has an address of its own.
func oauthKeys(word, name string, at func(c *configs) *core.OAuth) []key {
	return []key{
		{name: word + "-enabled", core: word + "_oauth.enabled", doc: "people may sign in at " + name, read: toFlag(func(c *configs) *bool { return &at(c).Enabled })},
		{name: word + "-client-id", core: word + "_oauth.id", doc: "core's id there; its redirect address there is URL/auth/" + word + "/callback", read: toText(func(c *configs) *string { return &at(c).ID })},
		{name: word + "-client-secret", core: word + "_oauth.secret", secret: true, doc: "core's secret there", read: toText(func(c *configs) *string { return &at(c).Secret })},
	}
}

// lifetime reads times of at least a minute, also in Komodo's words.
func lifetime(at func(c *configs) *time.Duration) reader {
	return aReader(aText, func(c *configs, v string) error {
		unit := time.Duration(0)
		count, word, ok := strings.Cut(v, "-")
		if ok {
			unit = map[string]time.Duration{"sec": time.Second, "min": time.Minute, "hr": time.Hour, "day": 24 * time.Hour, "wk": 7 * 24 * time.Hour}[word]
		}
		d, err := time.ParseDuration(v)
		if n, nerr := strconv.Atoi(count); ok && nerr == nil && n > 0 && n < 10_000 && unit > 0 {
			d, err = time.Duration(n)*unit, nil
		}
		if err != nil || d < time.Minute {
			return errors.New("want a time of at least a minute, as 12h, 1-day or 2-wk")
		}
		*at(c) = d
		return nil
	})
}
