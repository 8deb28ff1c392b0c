package ui

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"berth/schema"
	"berth/ui/page"
)

const (
	sessionCookie = "berth_session"
	themeCookie   = "berth_theme"
	// stepCookie names what core keeps of a sign-in between its steps. It is Lax,
	// so that it comes along when a provider sends the browser back.
	stepCookie = "id"
)

// who returns who a request's session belongs to.
func (s *Server) who(r *http.Request) (schema.Actor, error) {
	c, err := r.Cookie(sessionCookie)
	if err != nil || c.Value == "" {
		return schema.Actor{}, schema.Errorf(schema.Unauthenticated, "Sign in first.")
	}
	return s.Gate.Session(r.Context(), c.Value)
}

// signIn answers somebody who is not signed in.
func (s *Server) signIn(w http.ResponseWriter, r *http.Request, cause error) error {
	if code := schema.CodeOf(cause); code != schema.Unauthenticated {
		return cause
	}
	if fragment(r) || strings.Contains(r.Header.Get("Accept"), "text/event-stream") || r.Method != http.MethodGet {
		return cause
	}
	// The session's cookie does not travel with a link from another site. Such a
	// link gets one hop inside this site, which carries it.
	if r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		_, err := fmt.Fprintf(w, `<!DOCTYPE html><meta charset="utf-8"><title>Berth</title><meta http-equiv="refresh" content="0">`)
		return err
	}
	http.Redirect(w, r, "/login?"+url.Values{"next": {r.URL.RequestURI()}}.Encode(), http.StatusSeeOther)
	return nil
}

func (s *Server) loginPage(w http.ResponseWriter, r *http.Request) error {
	v := page.GateView{Theme: themeOf(r), Next: local(r.URL.Query().Get("next")), Ways: s.Door.Ways()}
	if s.Gate.Fresh(r.Context()) {
		s.write(w, r, http.StatusOK, page.Fresh(v))
		return nil
	}
	if _, err := s.who(r); err == nil {
		return redirect(w, r, v.Next)
	}
	if v.Ways.AutoRedirect && !r.URL.Query().Has("local") {
		http.Redirect(w, r, v.Leave("oidc"), http.StatusSeeOther)
		return nil
	}
	s.write(w, r, http.StatusOK, page.Login(v))
	return nil
}

func (s *Server) login(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return schema.Wrap(schema.Invalid, err, "read the form")
	}
	v := page.GateView{Theme: themeOf(r), Next: local(r.PostForm.Get("next")), Ways: s.Door.Ways()}
	c := s.credentials(r)
	entry, err := s.Door.SignIn(r.Context(), c)
	if err != nil {
		if !usersFault(err) {
			return err
		}
		v.Username, v.Error = c.Username, schema.SafeText(err)
		s.write(w, r, schema.CodeOf(err).HTTPStatus(), page.Login(v))
		return nil
	}
	if entry.Session != "" {
		setSession(w, r, entry.Session)
		return redirect(w, r, v.Next)
	}
	setStep(w, r, entry.Pending)
	v.Passkey, v.Codes = entry.Passkey, entry.Codes
	s.write(w, r, http.StatusOK, page.Second(v))
	return nil
}

// second takes the second factor.
func (s *Server) second(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return schema.Wrap(schema.Invalid, err, "read the form")
	}
	v := page.GateView{Theme: themeOf(r), Next: local(r.PostForm.Get("next")), Ways: s.Door.Ways()}
	c := s.credentials(r)
	end := s.Door.Code
	if c.Passkey != "" {
		end = s.Door.Passkey
	}
	session, err := end(r.Context(), c)
	if err == nil {
		setStep(w, r, "")
		setSession(w, r, session)
		return redirect(w, r, v.Next)
	}
	if !usersFault(err) {
		return err
	}
	v.Error = schema.SafeText(err)
	again := page.Login
	if codes, perr := s.Door.HasCodes(r.Context(), c); perr == nil && codes { // another code may be tried
		v.Codes, again = true, page.Second
	}
	s.write(w, r, schema.CodeOf(err).HTTPStatus(), again(v))
	return nil
}

// back is where a browser comes back to that signed in at a provider.
func (s *Server) back(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	v := page.GateView{Theme: themeOf(r), Next: local(q.Get("next")), Ways: s.Door.Ways()}
	c := s.credentials(r)
	var err error
	if q.Get("redeem_ready") == "true" {
		var session string
		if session, err = s.Door.Redeem(r.Context(), c); err == nil {
			setStep(w, r, "")
			setSession(w, r, session)
			return redirect(w, r, v.Next)
		}
	} else if v.Codes, err = s.Door.HasCodes(r.Context(), c); err == nil {
		var options []byte
		if options, err = base64.RawURLEncoding.DecodeString(q.Get("passkey")); err == nil {
			v.Passkey = string(options)
			s.write(w, r, http.StatusOK, page.Second(v))
			return nil
		}
		err = schema.Errorf(schema.Invalid, "This address is damaged: sign in again.")
	}
	if !usersFault(err) {
		return err
	}
	v.Error = schema.SafeText(err)
	s.write(w, r, schema.CodeOf(err).HTTPStatus(), page.Login(v))
	return nil
}

// credentials reads what a form of the gate holds, and the cookie of its steps.
func (s *Server) credentials(r *http.Request) Credentials {
	f := r.PostForm
	c := Credentials{
		Token: f.Get("token"), Username: strings.TrimSpace(f.Get("username")), Password: f.Get("password"),
		Code: f.Get("code"), Passkey: f.Get("passkey"), From: s.peer(r), Agent: r.UserAgent(),
	}
	if id, err := r.Cookie(stepCookie); err == nil {
		c.Pending = id.Value
	}
	return c
}

// usersFault reports whether a form is shown again with the error.
func usersFault(err error) bool {
	switch schema.CodeOf(err) {
	case schema.Invalid, schema.Unauthenticated, schema.Denied, schema.TooMany, schema.Conflict, schema.NotFound, schema.TooLarge:
		return true
	case schema.Unsupported, schema.Unavailable, schema.Expired, schema.Canceled, schema.Superseded, schema.Interrupted, schema.Failed, schema.Internal:
	}
	return false
}

func (s *Server) logout(w http.ResponseWriter, r *http.Request) error {
	if c, err := r.Cookie(sessionCookie); err == nil && c.Value != "" {
		if err := s.Gate.Logout(r.Context(), c.Value); err != nil {
			s.Log.Warn("end a session", "err", err)
		}
	}
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: encrypted(r)})
	return redirect(w, r, "/login?local") // and not straight in again by a provider
}

func (s *Server) setupPage(w http.ResponseWriter, r *http.Request) error {
	token := r.URL.Query().Get("token")
	// The address holds the token: it must not travel on in a Referer.
	w.Header().Set("Referrer-Policy", "no-referrer")
	v := page.GateView{Theme: themeOf(r), Token: token, Expired: !s.Gate.SetupOpen(r.Context(), token)}
	status := http.StatusOK
	if v.Expired {
		status = http.StatusGone
	}
	s.write(w, r, status, page.Setup(v))
	return nil
}

func (s *Server) setup(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return schema.Wrap(schema.Invalid, err, "read the form")
	}
	w.Header().Set("Referrer-Policy", "no-referrer")
	c := s.credentials(r)
	var session string
	err := error(schema.Errorf(schema.Invalid, "The two passwords differ."))
	if c.Password == r.PostForm.Get("again") {
		session, err = s.Gate.Setup(r.Context(), c)
	}
	if err != nil {
		if !usersFault(err) {
			return err
		}
		v := page.GateView{Theme: themeOf(r), Token: c.Token, Username: c.Username, Error: schema.SafeText(err)}
		s.write(w, r, schema.CodeOf(err).HTTPStatus(), page.Setup(v))
		return nil
	}
	setSession(w, r, session)
	return redirect(w, r, "/")
}

func (s *Server) theme(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return schema.Wrap(schema.Invalid, err, "read the form")
	}
	v := r.PostForm.Get("v")
	if v != "light" && v != "dark" {
		v = ""
	}
	http.SetCookie(w, &http.Cookie{Name: themeCookie, Value: v, Path: "/", MaxAge: 400 * 24 * 3600, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: encrypted(r)})
	if r.Header.Get("Sec-Fetch-Dest") == "empty" {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return redirect(w, r, local(r.PostForm.Get("back")))
}

func themeOf(r *http.Request) string {
	if c, err := r.Cookie(themeCookie); err == nil && (c.Value == "light" || c.Value == "dark") {
		return c.Value
	}
	return ""
}

func setSession(w http.ResponseWriter, r *http.Request, session string) {
	http.SetCookie(w, &http.Cookie{
		Name: sessionCookie, Value: session, Path: "/", Expires: time.Now().Add(30 * 24 * time.Hour),
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: encrypted(r),
	})
}

func setStep(w http.ResponseWriter, r *http.Request, pending string) {
	c := &http.Cookie{Name: stepCookie, Value: pending, Path: "/", MaxAge: 180, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: encrypted(r)}
	if pending == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

func encrypted(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// base returns the address people use for this site.
func base(r *http.Request) string {
	if encrypted(r) {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

func (s *Server) peer(r *http.Request) string {
	if s.Peer != nil {
		return s.Peer(r)
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

func favicon(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "image/svg+xml")
	w.Header().Set("Cache-Control", "public, max-age=86400")
	_, _ = w.Write([]byte(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 20" fill="none" stroke="#2a6fe0" stroke-width="2" stroke-linecap="round"><path d="M3 13h14M5.5 13V8h4v5M9.5 13V4h5v9"/><path d="M2.5 16.8c1.25 0 1.25-.9 2.5-.9s1.25.9 2.5.9 1.25-.9 2.5-.9 1.25.9 2.5.9 1.25-.9 2.5-.9 1.25.9 2.5.9" stroke-width="1.5"/></svg>`))
}

func (s *Server) licenses(w http.ResponseWriter, r *http.Request) error {
	url := s.assets.URL("licenses.txt")
	if url == "" {
		return schema.Errorf(schema.NotFound, "This build has no third-party browser code, so there are no licences to show.")
	}
	http.Redirect(w, r, url, http.StatusFound)
	return nil
}
