// Package journal remembers on disk which commands the agent began, how they
// ended and whether core knows, so that a command that arrives twice runs once
// and a result is reported until it is confirmed, whatever is killed in between.
//
// A command is started, then done with a result, then reported. Start and Done
// return when their record is synced to disk; concurrent ones share a sync.
// Reported rides along with the next sync: losing it means to report once more.
//
// Concurrency: all methods may be called by many goroutines at once. They wait
// for the disk, never for each other's callers. One process has a journal open
// at a time.
//
// The file journal.log has one line per write: the CRC-32C of its records in
// hex, their length in bytes, and a JSON array of them. A last line that is not
// whole was never confirmed to anybody and is dropped; any other bad line is a
// damaged disk, and the journal is refused.
package journal
