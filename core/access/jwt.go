package access

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"berth/schema"
)

// claims are what a token says; times are in milliseconds, as Komodo's clients
// read them.
type claims struct {
	Sub string `json:"sub"`
	Iat int64  `json:"iat"`
	Exp int64  `json:"exp"`
	// Jti names the session the token belongs to: when that ends, the token does.
	Jti string `json:"jti"`
}

// tokenHeader is {"typ":"JWT","alg":"HS256"}: the only one that is made, and the
// only algorithm that is accepted.
const tokenHeader = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9"

func signToken(key []byte, c claims) string {
	body, _ := json.Marshal(c) // plain strings and numbers
	text := tokenHeader + "." + base64.RawURLEncoding.EncodeToString(body)
	return text + "." + base64.RawURLEncoding.EncodeToString(tokenSum(key, text))
}

func tokenSum(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// readToken checks signature and expiry; Unauthenticated.
func readToken(key []byte, token string, now time.Time) (claims, error) {
	var c claims
	parts := strings.Split(token, ".")
	bad := schema.Errorf(schema.Unauthenticated, "the token is not valid: sign in again")
	if len(parts) != 3 {
		return c, bad
	}
	sum, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || !hmac.Equal(sum, tokenSum(key, parts[0]+"."+parts[1])) {
		return c, bad
	}
	var head struct {
		Alg string `json:"alg"`
	}
	if err := decodePart(parts[0], &head); err != nil || head.Alg != "HS256" {
		return c, bad
	}
	if err := decodePart(parts[1], &c); err != nil || c.Sub == "" {
		return c, bad
	}
	if c.Exp <= now.UnixMilli() {
		return c, schema.Errorf(schema.Unauthenticated, "the token has expired: sign in again")
	}
	return c, nil
}

func decodePart(part string, into any) error {
	b, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}
