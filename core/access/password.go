package access

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"berth/schema"
)

// Cost of a password: OWASP's second choice, 19 MiB for about 25 ms.
const (
	argonTime   = 2
	argonMemory = 19 << 10 // KiB
	argonLanes  = 1
	argonKey    = 32
)

// Limits of what people may type.
const (
	maxPassword = 1000
	maxUsername = 100
)

// passwords hashes and checks passwords, two at a time: more would only make
// each slower, and take 19 MiB each. The third place is for addresses that
// guessed wrong too often, so that they wait for each other and for nobody else.
type passwords struct {
	fast, slow chan struct{}
}

func newPasswords() *passwords {
	return &passwords{fast: make(chan struct{}, 2), slow: make(chan struct{}, 1)}
}

// hash returns the password's argon2id in the usual form with its parameters.
func (p *passwords) hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	sum, err := p.sum(ctx, p.fast, password, salt)
	if err != nil {
		return "", err
	}
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonLanes,
		enc.EncodeToString(salt), enc.EncodeToString(sum)), nil
}

// matches reports whether the password has the hash; an empty hash never matches
// and takes as long as any other. suspect puts the caller at the end of the line.
func (p *passwords) matches(ctx context.Context, hash, password string, suspect bool) (bool, error) {
	lane := p.fast
	if suspect {
		lane = p.slow
	}
	salt, want, ok := parseHash(hash)
	if !ok {
		salt, want = make([]byte, 16), make([]byte, argonKey)
	}
	sum, err := p.sum(ctx, lane, password, salt)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(sum, want) == 1 && ok, nil
}

func (p *passwords) sum(ctx context.Context, lane chan struct{}, password string, salt []byte) ([]byte, error) {
	select {
	case lane <- struct{}{}:
		defer func() { <-lane }()
	case <-ctx.Done():
		return nil, schema.Wrap(schema.Unavailable, ctx.Err(), "too many sign-ins at once, try again")
	}
	return argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonLanes, argonKey), nil
}

// parseHash reads what hash wrote, with today's parameters only.
func parseHash(hash string) (salt, sum []byte, ok bool) {
	prefix := fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$", argon2.Version, argonMemory, argonTime, argonLanes)
	rest, found := strings.CutPrefix(hash, prefix)
	a, b, two := strings.Cut(rest, "$")
	if !found || !two {
		return nil, nil, false
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(a)
	sum, err2 := base64.RawStdEncoding.DecodeString(b)
	return salt, sum, err1 == nil && err2 == nil && len(sum) == argonKey
}

// checkCredentials refuses usernames and passwords that cannot be.
func (g *Gate) checkCredentials(username, password string) error {
	if err := checkUsername(username); err != nil {
		return err
	}
	return g.checkPasswordForm(password)
}

const usernameLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@-"

func checkUsername(username string) error {
	for _, c := range username {
		if !strings.ContainsRune(usernameLetters, c) {
			return schema.Errorf(schema.Invalid, "username: only letters, digits, . _ @ and - are allowed")
		}
	}
	switch {
	case username == "" || len(username) > maxUsername:
		return schema.Errorf(schema.Invalid, "username: must have 1 to %d characters", maxUsername)
	case schema.IsID(username):
		return schema.Errorf(schema.Invalid, "username: it has the form of an id, choose another")
	}
	return nil
}

func (g *Gate) checkPasswordForm(password string) error {
	least := max(schema.MinPassword, g.cfg.Rules.MinPassword)
	if n := utf8.RuneCountInString(password); n < least || n > maxPassword {
		return schema.Errorf(schema.Invalid, "password: must have %d to %d characters", least, maxPassword)
	}
	return nil
}
