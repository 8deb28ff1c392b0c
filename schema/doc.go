// Package schema is what Berth says and stores: the settings of every kind of
// resource, runs and their events, the verbs an agent understands, and errors.
//
// It holds values and pure functions only: no I/O, no goroutines, no imports
// beyond the standard library. Every value is safe to copy and to share as long
// as nobody writes to it.
package schema
