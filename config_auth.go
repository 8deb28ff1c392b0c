package main

// authKeys are what Komodo's core can be told of users and logins and has no effect
// here.
func authKeys() []key {
	var out []key
	add := func(none string, k kind, secret bool, names ...string) {
		for _, n := range names {
			out = append(out, key{core: n, in: cores, none: none, read: unread(k), secret: secret})
		}
	}
	const (
		local   = "there always is the login with username and password"
		length  = "passwords have at least as many characters as Berth asks for"
		users   = "administrators make users, nobody signs up"
		rights  = "what a user may do is what he was given"
		limit   = "five wrong guesses in fifteen seconds are too many, from any address; what is right is never locked out"
		session = "a session lasts until it is ended"
		other   = "there is no login through others yet"
	)
	add(local, aFlag, false, "local_auth")
	add(length, aNumber, false, "min_password_length")
	add(users, aFlag, false, "enable_new_users", "disable_user_registration", "disable_local_user_registration", "disable_oidc_user_registration")
	add(rights, aFlag, false, "transparent_mode", "disable_non_admin_create", "ui_write_disabled")
	add(rights, aList, false, "lock_login_credentials_for")
	add(limit, aFlag, false, "auth_rate_limit_disabled")
	add(limit, aNumber, false, "auth_rate_limit_max_attempts", "auth_rate_limit_window_seconds")
	add(session, aText, false, "jwt_ttl")
	add(other, aFlag, false, "oidc_enabled", "oidc_use_full_email", "oidc_auto_redirect", "google_oauth.enabled", "github_oauth.enabled")
	add(other, aText, false, "oidc_provider", "oidc_redirect_host", "oidc_client_id", "google_oauth.id", "github_oauth.id")
	add(other, aText, true, "oidc_client_secret", "google_oauth.secret", "github_oauth.secret")
	add(other, aList, false, "oidc_additional_audiences")
	return out
}
