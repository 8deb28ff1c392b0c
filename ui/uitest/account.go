package uitest

import (
	"context"

	"berth/schema"
	"berth/ui/page"
)

// account is a World's user as he sees himself.
type account struct{ w *World }

// Profile implements ui.Account.
func (account) Profile(context.Context, string) (page.Profile, error) {
	return page.Profile{
		Name: Username, Password: true, OnlyLogin: true, Linkable: []page.Provider{{Word: "oidc", Name: "OpenID Connect"}},
		Sessions: []page.ProfileSession{{ID: "s1", Kind: "page", How: "password", From: "192.0.2.1", Agent: "Firefox", Current: true}, {ID: "s2", Kind: "token", How: "password", From: "192.0.2.2"}},
	}, nil
}

// BeginTOTP implements ui.Account.
func (account) BeginTOTP(context.Context, string) (uri, png string, err error) {
	return "otpauth://totp/Berth:mira?secret=JBSWY3DPEHPK3PXP", "iVBORw0KGgo=", nil
}

// ConfirmTOTP implements ui.Account.
func (account) ConfirmTOTP(_ context.Context, _, code string) ([]string, error) {
	if code != Code {
		return nil, schema.Errorf(schema.Invalid, "The code is wrong.")
	}
	return []string{"aaaaabbbbbcccccddddd"}, nil
}

// BeginPasskey implements ui.Account.
func (account) BeginPasskey(context.Context, string) (string, error) {
	return `{"publicKey":{"challenge":"CCCC"}}`, nil
}

// Change implements ui.Account: it remembers what was changed.
func (a account) Change(_ context.Context, _, what, value string) (string, error) {
	a.w.call(what, value, "")
	if what == "link" {
		return Pending, nil
	}
	return "", nil
}
