package provider

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"time"

	"golang.org/x/oauth2"
)

// Trip is one browser's way to a provider and back.
type Trip struct {
	State    string // comes back with the browser
	Nonce    string // comes back inside the provider's signature
	Verifier string // of PKCE: shows that who sent the browser takes it back
	Callback string // where it comes back
}

// NewTrip makes the secrets of a trip.
func NewTrip(callback string) Trip {
	return Trip{State: random(), Nonce: random(), Verifier: oauth2.GenerateVerifier(), Callback: callback}
}

func random() string {
	b := make([]byte, 24)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// Identity is who somebody is at a provider.
type Identity struct {
	Provider string   // address of the OIDC provider; empty elsewhere
	ID       string   // stays the same when he renames himself
	Avatar   string   // address of his picture
	Names    []string // what to call him, best first
	Groups   []string // that the provider says he is in
	Admin    bool     // one of them is a group of administrators
}

// timeout is how long a provider may take to answer.
const timeout = 15 * time.Second

// client speaks to a provider; nil is the usual one.
func client(c *http.Client) *http.Client {
	if c == nil {
		c = &http.Client{}
	}
	copied := *c
	copied.Timeout = timeout
	return &copied
}
