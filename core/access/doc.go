// Package access says who is asking and what they may do: users, sessions, API
// keys and the tokens of API logins, the one-time link that makes the first
// administrator, and limits on wrong guesses.
//
// Passwords are kept as argon2id, secrets of keys and sessions as SHA-256; none
// can be read back. Whoever shows something valid always gets in: the limit on
// failures per address only changes what the others are told.
//
// Concurrency: a Gate may be used by any number of goroutines. Hashing passwords
// is bounded to two at a time.
//
// Errors: schema.Unauthenticated when nobody is known to ask, Denied when he may
// not, TooMany after wrong guesses, Unavailable while too many passwords are being
// hashed; else as store's.
package access
