// Package resource holds what users manage, whatever its kind: a typed store per
// kind, the same with the type erased for API, UI and command line, and the way
// from TOML files to a plan and from a plan to stored resources.
//
// A kind is its settings type in schema and one Register call. References to
// other resources are stored as ids and shown as names; both are accepted
// wherever a resource is named. Secret settings are sealed before they are
// stored, and masked wherever they are shown.
//
// Concurrency: everything may be used by any number of goroutines at once. Writes
// of one Registry go one after another; writes of several cores meet at the
// revision of each document. Registering is for the time before the first use.
//
// Errors: schema.NotFound when nothing has that name or id, Conflict for a name
// that is taken, a resource that others refer to, or another write that came
// first, Invalid for settings that cannot be; else as store's.
package resource
