// Package update finds out whether the registry has a newer image than the one that
// runs.
//
// Only core asks registries, by HEAD, once per image and account whatever the number
// of services that run it: answers are kept for a while, a registry is asked a few
// things at a time, and one that says it has had enough is left alone until it may be
// asked again.
//
// Concurrency: a Checker may be used by any number of goroutines at once; it starts
// none that outlives a call.
package update
