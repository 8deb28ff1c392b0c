// Package backup writes everything that core needs to be built again into one
// encrypted file, and builds it again from there.
//
// A file is a tar archive inside of age's format: a header, the parts (core's own
// files, its settings, and a snapshot of every stream and bucket), each cut into
// pieces of at most a megabyte, and last a manifest with the digest of every part.
// Nothing is ever whole in memory, and nothing of it is on a disk in clear.
//
// What is in a file is of one moment: the buckets are read while core's writes are
// held, and logs, which only grow, are cut at that moment when they are restored.
//
// A Source may be read by any number of callers; they go one after the other.
// Restore is for a folder that nobody else uses.
package backup
