// Package schedule starts procedures and actions at their times.
//
// What is next, what was last and what was missed is stored for every schedule
// before anything is done about it, and the id of a run is derived from the resource
// and the time it is for: a restart at any moment neither forgets a time nor starts
// it twice. A time is missed when core was not there, or could not start it, for
// longer than grace after it, or when the run of an earlier time still goes on; a
// missed time is an alert, and is made up for once if the resource says so.
//
// Concurrency: Run's one goroutine decides everything and is the only writer; Next
// and List may be called from any goroutine at any time. Changes of resources wake
// it; they only say that the source is to be read again, which is done every minute
// anyhow.
package schedule
