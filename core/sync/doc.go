// Package sync plans what resource syncs do: it reads their sources at one exact
// commit, has core/resource plan what follows for the resources, decides which
// stacks and deployments that commit wants deployed, and keeps for every sync what
// is pending. It writes resources back to where they came from. Runs of syncs are
// core/execution's, which ask here for the plan.
//
// Concurrency: a Syncer may be used by any number of goroutines. Repositories are
// fetched one after another each, into one store whatever the number of syncs and
// stacks that use them; one sync is looked at by one goroutine at a time. Run is
// the only goroutine of its own: it looks at sources by time and at syncs that
// changed.
package sync
