package schema

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
)

// NewID returns a fresh id: 24 lowercase hex digits, the form that Komodo's
// clients expect of every document (reference: http-api.md §2.1).
func NewID() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails (Go 1.24)
	return hex.EncodeToString(b[:])
}

// DeriveID returns the id that always belongs to the given parts: a child run
// started twice by a run that was taken up again is the same child.
func DeriveID(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// IsID reports whether s has the form of an id: then it is one, and never a name.
func IsID(s string) bool {
	if len(s) != 24 {
		return false
	}
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
