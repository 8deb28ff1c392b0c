// Package run starts runs, records their steps, awaits agents, cancels, and takes
// up after a restart what was not finished.
//
// A run is a plain Go function. It touches the world only through Do, Local,
// Child and Sleep, whose names are stable: a step that is recorded as finished
// answers from the record when the function runs again after a restart, an
// unfinished one is awaited again. Code between steps must depend on nothing but
// the run's record and the answers of its steps.
//
// The log of events (stream RUNS, one subject per run, compare-and-set) is the
// truth; a schema.Run is its fold, kept in memory and written behind to a bucket
// so that a start need not read the whole log.
//
// Concurrency: every run that has not ended has one goroutine; steps of a run may
// run in parallel. A run's lock guards its record and orders its appends; the
// engine's lock guards the tables of runs and is never held while the log is
// written. Watchers that are slow lose changes, never order: a change says what
// to look at again.
package run
