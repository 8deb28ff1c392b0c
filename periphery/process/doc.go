// Package process runs the commands that users hang on a deploy or a pull: the
// one place where a shell is allowed. A command runs in its own process group,
// with nothing on standard input and a small environment, its output passes
// line by line through a mask, and nothing of the group outlives a cancel or the
// agent itself.
//
// Concurrency: Run blocks its caller until the command is over and may be called
// by many goroutines at once. Its Output function is called by one goroutine at
// a time, never after Run returned; while it blocks, the command's output waits.
package process
