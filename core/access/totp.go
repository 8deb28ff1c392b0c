package access

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/base64"
	"image/png"
	"strings"
	"sync"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"

	"berth/schema"
)

// Codes of RFC 6238: SHA-1, six digits, a new one every 30 seconds; the one
// before and the one after are good too, as clocks differ.
const (
	codeStep   = 30
	codeDigits = 6
)

// Recovery codes: as many, and as long, as Komodo makes them.
const (
	recoveryCodes  = 10
	recoveryLength = 20
)

// Six digits can be guessed by whoever has the password and time. So there is an
// end to it: so many wrong codes per user and hour. Recovery codes and passkeys
// are always looked at.
const (
	maxWrongCodes = 10
	codeWindow    = time.Hour
)

// guesses counts wrong codes per user.
type guesses struct {
	now func() time.Time

	mu sync.Mutex
	by map[string][]time.Time
}

func newGuesses(now func() time.Time) *guesses {
	return &guesses{now: now, by: map[string][]time.Time{}}
}

// wait returns how long no code of the user is looked at.
func (g *guesses) wait(user string) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := g.recent(user)
	if len(list) < maxWrongCodes {
		return 0
	}
	return list[len(list)-maxWrongCodes].Add(codeWindow).Sub(g.now())
}

func (g *guesses) add(user string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.by[user] = append(g.recent(user), g.now())
}

func (g *guesses) forget(user string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.by, user)
}

func (g *guesses) recent(user string) []time.Time {
	list := g.by[user]
	for len(list) > 0 && g.now().Sub(list[0]) >= codeWindow {
		list = list[1:]
	}
	return list
}

// matchCode returns the time step whose code this is; ok is false for no step
// after last around now.
func matchCode(secret, code string, now time.Time, last int64) (step int64, ok bool) {
	if len(code) != codeDigits {
		return 0, false
	}
	at := now.Unix() / codeStep
	for s := at - 1; s <= at+1; s++ {
		want, err := hotp.GenerateCodeCustom(secret, uint64(s), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}) //nolint:gosec // a time after 1970
		if err == nil && s > last && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			return s, true
		}
	}
	return 0, false
}

// tidyCode takes out what people type into codes to read them better.
func tidyCode(code string) string {
	return strings.NewReplacer(" ", "", "-", "").Replace(strings.TrimSpace(code))
}

// NewTOTP is what somebody needs to make his authenticator show codes.
type NewTOTP struct {
	URI string
	PNG string // the same as a QR code, base64
}

// BeginTOTP makes a new secret for the caller. It counts once ConfirmTOTP has
// seen a code of it; what he had until then stays.
func (g *Gate) BeginTOTP(ctx context.Context) (NewTOTP, error) {
	u, c, err := g.changeable(ctx)
	if err != nil {
		return NewTOTP{}, err
	}
	key, err := totp.Generate(totp.GenerateOpts{Issuer: g.issuer(), AccountName: u.Username, Period: codeStep, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
	if err != nil {
		return NewTOTP{}, schema.Wrap(schema.Internal, err, "make a secret")
	}
	img, err := key.Image(240, 240)
	if err != nil {
		return NewTOTP{}, schema.Wrap(schema.Internal, err, "draw the QR code")
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return NewTOTP{}, schema.Wrap(schema.Internal, err, "draw the QR code")
	}
	sealed, err := g.cfg.Sealer.Seal([]byte(key.Secret()))
	if err != nil {
		return NewTOTP{}, schema.Wrap(schema.Internal, err, "seal the secret")
	}
	g.steps.put(enrolment(enrolTOTP, u.ID), c.Peer, challenge{kind: enrolTOTP, user: u.ID, sealed: sealed})
	return NewTOTP{URI: key.URL(), PNG: base64.StdEncoding.EncodeToString(b.Bytes())}, nil
}

// ConfirmTOTP makes the secret of BeginTOTP the caller's second factor and
// returns codes that are each good once instead; they are shown this once. His
// other sessions end.
func (g *Gate) ConfirmTOTP(ctx context.Context, code string) ([]string, error) {
	u, _, err := g.changeable(ctx)
	if err != nil {
		return nil, err
	}
	key := enrolment(enrolTOTP, u.ID)
	c, ok := g.steps.take(key, enrolTOTP)
	if !ok {
		return nil, schema.Errorf(schema.Invalid, "nothing is being enrolled: begin again")
	}
	plain, err := g.cfg.Sealer.Unseal(c.sealed)
	if err != nil {
		return nil, err
	}
	step, ok := matchCode(string(plain), tidyCode(code), g.cfg.Now(), 0)
	if !ok {
		g.steps.again(key, c)
		return nil, schema.Errorf(schema.Invalid, "the code is wrong: type the six digits that the authenticator shows now; is its clock right?")
	}
	codes, sums := make([]string, recoveryCodes), make([]string, recoveryCodes)
	for i := range codes {
		codes[i] = alnum(recoveryLength)
		sums[i] = digest(codes[i])
	}
	now := g.cfg.Now().UnixMilli()
	err = g.change(ctx, u.ID, func(u *User) error {
		u.TOTP = &TOTP{Sealed: c.sealed, Confirmed: now, Recovery: sums, Last: step}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return codes, g.endOthers(ctx, u.ID)
}

// RemoveTOTP ends the codes of the caller's authenticator, and his other sessions.
func (g *Gate) RemoveTOTP(ctx context.Context) error {
	return g.dropFactor(ctx, func(u *User) { u.TOTP = nil })
}

// useCode takes a code of the user, of his authenticator or a recovery code, and
// makes it useless. Errors: Unauthenticated; TooMany.
func (g *Gate) useCode(ctx context.Context, user, code string) error {
	wrong := schema.Errorf(schema.Unauthenticated, "the code is wrong or was used: wait for the next one, and see that the clock is right")
	err := g.change(ctx, user, func(u *User) error {
		if u.TOTP == nil || u.TOTP.Confirmed == 0 {
			return wrong
		}
		t := *u.TOTP
		sum, rest := digest(code), []string(nil)
		for _, r := range t.Recovery {
			if !equal(r, sum) {
				rest = append(rest, r)
			}
		}
		if len(rest) < len(t.Recovery) {
			t.Recovery, u.TOTP = rest, &t
			return nil
		}
		if d := g.codes.wait(user); d > 0 {
			return schema.Errorf(schema.TooMany, "too many wrong codes: use a recovery code, or try again in %d minutes", int(d.Minutes())+1)
		}
		plain, err := g.cfg.Sealer.Unseal(t.Sealed)
		if err != nil {
			return schema.Wrap(schema.Internal, err, "open the secret of the codes: was core's key replaced?")
		}
		step, ok := matchCode(string(plain), code, g.cfg.Now(), t.Last)
		if !ok {
			return wrong
		}
		t.Last, u.TOTP = step, &t
		return nil
	})
	if err == nil {
		g.codes.forget(user)
	} else if schema.CodeOf(err) == schema.Unauthenticated {
		g.codes.add(user)
	}
	return err
}

// issuer is how authenticators name this core.
func (g *Gate) issuer() string {
	if g.cfg.Title != "" {
		return strings.ReplaceAll(g.cfg.Title, ":", " ")
	}
	return "Berth"
}
