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
		rights = "what a user may do is what he was given"
		limit  = "five wrong guesses in fifteen seconds are too many, from any address; what is right is never locked out"
	)
	add(rights, aFlag, false, "ui_write_disabled")
	add(limit, aFlag, false, "auth_rate_limit_disabled")
	add(limit, aNumber, false, "auth_rate_limit_max_attempts", "auth_rate_limit_window_seconds")
	return append(out, signInKeys()...)
}
