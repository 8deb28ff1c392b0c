// Package secrets opens what was sealed for this host and keeps it from getting
// out again. It decrypts sops files with the host's age key (no environment, no
// network, no other program), finds such files beside a compose file, keeps
// decrypted files in memory-backed folders only, names secret contents by a
// keyed digest, and says which values are to be masked in everything that leaves
// the agent.
//
// Concurrency: all types may be used by many goroutines at once. Nothing here
// blocks on another goroutine for longer than a computation takes.
//
// No error of this package carries contents of a file, not even in its cause:
// the errors of the sops library quote lines and values and are never passed on.
package secrets
