// Package periphery is the agent on a server: it dials out to core, takes the
// commands that wait for its server, does them against the local Docker engine,
// and says what became of them.
//
// Concurrency: Run owns every goroutine. Each command has one, at most
// Config.Workers at once, and its own Job, which nobody else touches. A command
// is journaled before it is acted on and its result is journaled before it is
// reported, so that one that comes twice is done once; after a crash reality is
// looked at before anything is answered.
package periphery
