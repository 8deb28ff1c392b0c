package access

import (
	"slices"
	"sync"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"berth/core/provider"
)

// A sign-in in steps: what core knows between two of them, and nobody else does.
const (
	// ChallengeTTL is how long somebody may take from one step to the next.
	ChallengeTTL = 3 * time.Minute
	// maxChallenges and maxPerNetwork bound what strangers can make core keep.
	// Who begins too many sign-ins loses his own oldest.
	maxChallenges = 4096
	maxPerNetwork = 64
	// maxCodes is how many wrong codes one sign-in may try.
	maxCodes = 5
)

type challengeKind string

const (
	secondFactor challengeKind = "second factor" // the first one was right
	redeemable   challengeKind = "redeem"        // signed in, a session is to be fetched
	linking      challengeKind = "link"          // may link a login elsewhere
	elsewhere    challengeKind = "elsewhere"     // is at a provider
	enrolTOTP    challengeKind = "totp"
	enrolPasskey challengeKind = "passkey"
)

// challenge is what is kept of somebody between two steps.
type challenge struct {
	kind    challengeKind
	user    string // id; empty while he is unknown
	how     string // how he signed in so far, for his list of sessions
	expires time.Time
	network string
	wrong   int                   // codes that were tried
	passkey *webauthn.SessionData // what the authenticator must sign
	sealed  string                // secret that is being enrolled
	trip    provider.Trip         // what the provider must answer to
	at      UserKind              // which provider
	landing string                // where the browser goes afterwards
}

// challenges keeps them in memory, by the SHA-256 of what the browser carries: a
// restart within three minutes asks people to begin again.
type challenges struct {
	now func() time.Time

	mu   sync.Mutex
	byID map[string]challenge
}

func newChallenges(now func() time.Time) *challenges {
	return &challenges{now: now, byID: map[string]challenge{}}
}

// begin keeps c for a browser and returns what that must carry.
func (s *challenges) begin(from string, c challenge) string {
	id := secret()
	s.put(digest(id), from, c)
	return id
}

// put keeps c under a key of core's own.
func (s *challenges) put(key, from string, c challenge) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	c.network, c.expires = network(from), now.Add(ChallengeTTL)
	var all, same []string // oldest first
	for k, o := range s.byID {
		if o.expires.Before(now) {
			delete(s.byID, k)
			continue
		}
		all = append(all, k)
		if o.network == c.network {
			same = append(same, k)
		}
	}
	age := func(a, b string) int { return s.byID[a].expires.Compare(s.byID[b].expires) }
	switch {
	case len(same) >= maxPerNetwork:
		delete(s.byID, slices.MinFunc(same, age))
	case len(all) >= maxChallenges:
		delete(s.byID, slices.MinFunc(all, age))
	}
	s.byID[key] = c
}

// take returns a challenge of that kind and forgets it: each is good once.
func (s *challenges) take(key string, kind challengeKind) (challenge, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.byID[key]
	if !ok || c.kind != kind {
		return challenge{}, false
	}
	delete(s.byID, key)
	return c, !c.expires.Before(s.now())
}

// again puts a challenge back after a wrong code, for as long as it had left.
func (s *challenges) again(key string, c challenge) {
	if c.wrong++; c.wrong >= maxCodes {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byID[key] = c
}

// peek returns a challenge of that kind and leaves it.
func (s *challenges) peek(key string, kind challengeKind) (challenge, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.byID[key]
	return c, ok && c.kind == kind && !c.expires.Before(s.now())
}

// enrolment is the key of what a user enrols: one at a time, whichever browser or
// program he uses.
func enrolment(kind challengeKind, user string) string { return "enrol " + string(kind) + " " + user }
