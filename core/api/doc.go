// Package api is Berth's HTTP API: one table of requests, served in the wire form
// that Komodo's clients speak, and its client.
//
// A request is a row: group, name, what it does, what it needs, the types of its
// parameters and its result, an example, and a handler. The HTTP routes, OpenAPI,
// the pages under /docs, the command line and its completions read the same row.
// A kind of resource adds its rows by being registered, an execution by being in
// the engine's list of actions; anything else is one Read, Write or Execute call.
//
// Concurrency: an API and a Client may be used by any number of goroutines.
package api
