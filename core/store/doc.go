// Package store is core's state: typed buckets with revisions, sealed secrets,
// leases, counters, and who may connect.
//
// A Bucket mirrors its documents in memory by a watch, so reads never touch the
// disk and several cores stay equal. A write returns when it is on disk and the
// mirror has it. Everything here is safe for concurrent use. Documents handed
// out are shared: nobody may write into them.
//
// Errors: schema.NotFound for what is not there, Conflict when another write or
// holder was first, Invalid for a key that cannot be one, TooLarge beyond 1 MiB,
// Unavailable when the store does not answer; anything else is for the log.
package store
