package access

import "berth/schema"

// UserKind is how somebody came to be known.
type UserKind string

// The kinds of users, in the words of the wire. Service users do not sign in: they
// have API keys only.
const (
	LocalUser   UserKind = "Local"
	GoogleUser  UserKind = "Google"
	GithubUser  UserKind = "Github"
	OIDCUser    UserKind = "Oidc"
	ServiceUser UserKind = "Service"
)

// User is somebody who can sign in, or act by an API key.
type User struct {
	ID          string   `json:"id"`
	Username    string   `json:"username"`
	Kind        UserKind `json:"kind"`                  // Local when empty: older documents do not say
	Hash        string   `json:"hash,omitempty"`        // argon2id of the password; empty when there is none
	Description string   `json:"description,omitempty"` // of a service user
	Super       bool     `json:"super,omitempty"`       // may also change administrators
	Admin       bool     `json:"admin"`
	Enabled     bool     `json:"enabled"`
	// CreateServers and CreateBuilds let one who is no administrator create them.
	CreateServers bool `json:"create_servers,omitempty"`
	CreateBuilds  bool `json:"create_builds,omitempty"`
	// Logins are how he signs in elsewhere, by kind: Google, Github, Oidc.
	Logins  map[UserKind]ExternalLogin `json:"logins,omitempty"`
	TOTP    *TOTP                      `json:"totp,omitempty"`
	Passkey *Passkey                   `json:"passkey,omitempty"`
	// Skip2FA asks for no second factor after a sign-in elsewhere.
	Skip2FA bool `json:"skip_2fa,omitempty"`
	// LastView is when he last looked at the updates, in unix ms.
	LastView int64 `json:"last_view,omitempty"`
	// Recents are ids he looked at, by type of resource, newest first, at most 10 each.
	Recents map[string][]string `json:"recents,omitempty"`
	// All is what he may do with every resource of a type.
	All     schema.Levels `json:"all,omitempty"`
	Created int64         `json:"created"`           // unix ms
	Updated int64         `json:"updated,omitempty"` // unix ms
}

// ExternalLogin is who a user is at a provider.
type ExternalLogin struct {
	Provider string `json:"provider,omitempty"` // address of the OIDC provider
	ID       string `json:"id"`                 // his id there
	Avatar   string `json:"avatar,omitempty"`
}

// TOTP is a second factor: codes that change every 30 seconds.
type TOTP struct {
	Sealed    string   `json:"sealed"`              // the secret, sealed
	Confirmed int64    `json:"confirmed,omitempty"` // unix ms; 0 while it is being enrolled
	Recovery  []string `json:"recovery,omitempty"`  // SHA-256 of the codes not used yet
	Last      int64    `json:"last,omitempty"`      // time step of the last code: none is good twice
}

// Passkey is a second factor: a WebAuthn credential.
type Passkey struct {
	Credential []byte `json:"credential"` // as the WebAuthn library keeps it
	Created    int64  `json:"created"`    // unix ms
}
