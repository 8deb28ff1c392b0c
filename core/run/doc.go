// Package run starts runs, records their steps, awaits agents, cancels, and takes
// up after a restart what was not finished.
//
// A run is a plain Go function. It decides what to do through Plan and touches the
// world only through Do, Child, Local and Sleep, whose names are stable: what is recorded
// answers from the record when the function runs again after a restart, a step
// that has not ended is awaited again. Code between steps must depend on nothing
// but the run's record and the answers of its steps.
//
// The log of events (stream RUNS, one subject per run, compare-and-set) is the
// truth; a schema.Run is its fold, kept in memory and written behind to a bucket
// so that a start need not read the whole log.
//
// Concurrency: every run that has not ended has one goroutine; steps of a run may
// run in parallel. Records are never written to, but replaced, and may be shared.
// A run's write lock orders its appends and is held while the log is written; the
// engine's lock guards the tables and queues, is taken after it, and never held
// while anything is written. Watchers that are slow lose changes, never order: a
// change says what to look at again.
package run
