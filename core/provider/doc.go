// Package provider asks others who somebody is: an OpenID Connect provider, Google,
// GitHub. It sends browsers there and reads what comes back; what that person may
// do here is not its matter.
//
// Every trip has a state, a nonce and a PKCE verifier of its own, all made and kept
// by the caller. Providers are looked up when they are first needed, so that core
// starts without them.
//
// Concurrency: an OIDC or GitHub may be used by any number of goroutines.
//
// Errors: schema.Unavailable when the provider cannot be asked, Unauthenticated
// when what came back proves nothing.
package provider
