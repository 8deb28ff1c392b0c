package e2e_test

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"berth/core"
	"berth/e2e/browser"
)

// TestPasskeyInTheBrowser enrols a passkey at the profile and signs in with it, as
// a person does with a browser that has an authenticator.
func TestPasskeyInTheBrowser(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan core.Info, 1), make(chan error, 1)
	go func() {
		done <- core.Run(ctx, core.Config{
			Data: t.TempDir(), Listen: "127.0.0.1:0", AdminUsername: "mira", AdminPassword: "correct horse battery",
			Sync: time.Minute, Log: slog.New(slog.DiscardHandler), Ready: func(i core.Info) { ready <- i },
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	var info core.Info
	select {
	case info = <-ready:
	case err := <-done:
		done <- nil
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(info.Addr)
	if err != nil {
		t.Fatal(err)
	}
	host := "http://localhost:" + port // a passkey belongs to a name
	p := browser.Open(t, browser.Look{})
	p.Authenticator()
	password := func() {
		t.Helper()
		p.Visit(host + "/login")
		p.Type("#username", "mira")
		p.Type("#password", "correct horse battery")
		p.Click("button[type=submit]")
	}
	password()
	p.Until(`location.pathname === "/"`)
	p.Visit(host + "/profile")
	p.Click(`form[action="/profile/passkey"] button`)
	p.Until(`document.querySelector("form[data-passkey=create]")`)
	p.Click("form[data-passkey=create] button")
	p.Until(`document.querySelector("form[action='/profile/drop-passkey']")`)
	p.Visit(host + "/profile")
	p.Click(`form[action="/logout"] button`)
	p.Until(`location.pathname === "/login"`)

	password()
	p.Until(`document.querySelector("form[data-passkey=get]")`)
	p.Click("form[data-passkey=get] button")
	p.Until(`location.pathname === "/" && document.querySelector(".me")`)
}
