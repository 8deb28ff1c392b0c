// Package script runs TypeScript in a sandbox: no file system, no network, no
// environment, no other program. What a script can do is compute, write to its
// output and make the requests of the API, through the Caller it is given.
//
// A script is bundled and lowered by esbuild, from memory alone, and executed by
// goja, an interpreter: endless loops end when their context does. Memory is
// watched, not fenced: see Limits for what is guaranteed and what is not.
//
// Concurrency: a Runner may run any number of scripts at once. Each script has one
// goroutine that executes it and one per request it has under way; Run returns
// when all have ended. Only an interpreter stuck inside one builtin is left behind after
// a while: the Runner counts these and refuses new scripts when there are too many.
// The prelude bounds what builtins are given, so that it takes arithmetic with huge
// numbers, or texts compared a great many times, to get there.
package script
