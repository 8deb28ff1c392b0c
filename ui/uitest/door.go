package uitest

import (
	"context"

	"berth/schema"
	"berth/ui"
	"berth/ui/page"
)

// What signs in a user with a second factor, in a World.
const (
	Careful = "grace" // also has Password, and a second factor
	Pending = "waits"
	Code    = "123456"
)

// door is a World's way in: one user has a second factor, and one provider knows
// everybody who comes back with Pending.
type door struct{ w *World }

// Ways implements ui.Door.
func (d door) Ways() page.Ways {
	return page.Ways{Password: true, Providers: []page.Provider{{Word: "oidc", Name: "OpenID Connect"}}, AutoRedirect: d.w.AutoRedirect}
}

// SignIn implements ui.Door.
func (d door) SignIn(_ context.Context, c ui.Credentials) (ui.Entry, error) {
	switch {
	case c.Password != Password || c.Username != Username && c.Username != Careful:
		return ui.Entry{}, schema.Errorf(schema.Unauthenticated, "User name or password is wrong.")
	case c.Username == Careful:
		return ui.Entry{Pending: Pending, Passkey: `{"publicKey":{"challenge":"AAAA"}}`, Codes: true}, nil
	}
	return ui.Entry{Session: Session}, nil
}

func (d door) waits(c ui.Credentials) error {
	if c.Pending != Pending {
		return schema.Errorf(schema.Unauthenticated, "This sign-in is over: begin again.")
	}
	return nil
}

// Code implements ui.Door.
func (d door) Code(_ context.Context, c ui.Credentials) (string, error) {
	if err := d.waits(c); err != nil {
		return "", err
	}
	if c.Code != Code {
		return "", schema.Errorf(schema.Unauthenticated, "The code is wrong.")
	}
	return Session, nil
}

// Passkey implements ui.Door: it takes no passkey.
func (d door) Passkey(_ context.Context, c ui.Credentials) (string, error) {
	if err := d.waits(c); err != nil {
		return "", err
	}
	return "", schema.Errorf(schema.Unauthenticated, "The passkey is not the user's.")
}

// Redeem implements ui.Door.
func (d door) Redeem(_ context.Context, c ui.Credentials) (string, error) { return Session, d.waits(c) }

// HasCodes implements ui.Door.
func (d door) HasCodes(_ context.Context, c ui.Credentials) (bool, error) { return true, d.waits(c) }
