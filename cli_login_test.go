package main

import (
	"encoding/json"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"berth/cli/profile"
	"berth/core/api"
)

// TestLoginWithCode signs in with an authenticator, and with a recovery code.
func TestLoginWithCode(t *testing.T) {
	s := newStation(t)
	pw := write(t, "pw", "correct horse\n")
	a := profile.Account{Host: s.url}
	h := httpClient(a)
	h.Jar, _ = cookiejar.New(nil)
	var in struct{ Data struct{ JWT string } }
	call := func(g api.Group, name string, params, out any) {
		t.Helper()
		if err := api.NewClient(s.url, "", "", h, version).Call(t.Context(), g, name, params, out); err != nil {
			t.Fatal(err)
		}
	}
	call(api.GroupLogin, "LoginLocalUser", map[string]string{"username": "ada", "password": "correct horse"}, &in)
	h.Transport = bearer{h.Transport, in.Data.JWT}
	var made struct{ URI string }
	call(api.GroupManage, "BeginTotpEnrollment", struct{}{}, &made)
	u, err := url.Parse(made.URI)
	if err != nil {
		t.Fatal(err)
	}
	code, err := totp.GenerateCode(u.Query().Get("secret"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var confirmed struct {
		Codes []string `json:"recovery_codes"`
	}
	call(api.GroupManage, "ConfirmTotpEnrollment", map[string]string{"code": code}, &confirmed)

	s.typed = code + "\n" // it was used to enrol
	if status, _, errs := s.do("login", s.url, "--username", "ada", "--password-file", pw); status == 0 || !strings.Contains(errs, "the code is wrong") {
		t.Errorf("a code that was used: exit code %d, %s", status, errs)
	}
	s.typed = confirmed.Codes[0] + "\n"
	s.ok("login", s.url, "--username", "ada", "--password-file", pw)
	s.ok("list")
}

// TestLoginLeavesNoSession looks for the session of a sign-in: the key that it made
// is all that is left.
func TestLoginLeavesNoSession(t *testing.T) {
	s := newStation(t)
	code, _, errs := s.do("login", s.url, "--username", "ada", "--password-file", write(t, "pw", "correct horse\n"))
	if code != 0 || strings.Contains(errs, "stays open") {
		t.Fatalf("login: %d %s", code, errs)
	}
	var open []any
	if err := json.Unmarshal([]byte(s.ok("execute", "ListSessions", "--json")), &open); err != nil || len(open) > 0 {
		t.Errorf("sessions after the sign-in: %v %v", open, err)
	}
}
