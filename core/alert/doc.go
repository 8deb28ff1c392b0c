// Package alert tells people what they should know: alerts are stored, and sent by
// every alerter that takes them.
//
// An alert is on disk before Raise returns, and with it, by the time it is marked
// as dispatched, one delivery for each alerter that takes it: the outbox. Run sends
// what is due, tries again with growing pauses for a day, and keeps what became of
// each delivery where it can be seen. A stop of core in between repeats at most the
// delivery that was being sent.
//
// Concurrency: all methods may be used by any number of goroutines at once. One Run
// per process; deliveries of one alerter go one after another, those of different
// alerters do not wait for each other.
package alert
