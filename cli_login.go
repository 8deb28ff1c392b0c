package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"berth/cli/profile"
	"berth/core/api"
	"berth/schema"
)

// loginCommand exchanges a password for an API key and keeps it.
func (p *program) loginCommand() *cobra.Command {
	var user, name, passwordFile string
	c := &cobra.Command{
		Use: "login [URL]", Short: "Sign in: make an API key and keep it for the other verbs", Args: cobra.MaximumNArgs(1),
		Long:    "Sign in with username and password. An API key is made and kept in the configuration file, which only you can read.",
		Example: "  berth login https://berth.example:9120\n  berth login https://staging.example -p staging\n  berth login http://127.0.0.1:9120 --username ada --password-file /run/secrets/ada",
		RunE: func(c *cobra.Command, args []string) error {
			a, _, err := p.findAccount() // the profile may be new
			if err != nil {
				return err
			}
			if len(args) == 1 && args[0] != a.Host {
				a.Host = args[0]
				a.Pin = cmp.Or(p.client.pin, p.env("BERTH_PIN")) // what is kept is the key of another core
			}
			if err := p.pinned(c.Context(), &a); err != nil {
				return err
			}
			if user, err = p.ask("Username: ", user); err != nil {
				return err
			}
			password, err := p.password(passwordFile)
			if err != nil {
				return err
			}
			return p.login(c.Context(), a, user, password, name)
		},
	}
	c.Flags().StringVar(&user, "username", "", "username")
	c.Flags().StringVar(&passwordFile, "password-file", "", "file that holds the password")
	c.Flags().StringVar(&name, "name", "berth on "+hostName(), "name of the API key")
	return c
}

// pinned asks whether to trust core's own certificate, which no authority has
// signed, and pins its key. On this machine, and with a pin, nothing is asked.
func (p *program) pinned(ctx context.Context, a *profile.Account) error {
	res, err := httpClient(*a).Do(probe(ctx, a.Host))
	if err == nil {
		return res.Body.Close()
	}
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); !untrusted {
		return nil // what else is wrong, the sign-in will say
	}
	key := ""
	unsafe, _ := http.DefaultTransport.(*http.Transport)
	unsafe = unsafe.Clone()
	unsafe.TLSClientConfig = &tls.Config{
		MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, //nolint:gosec // nothing is sent: the key is shown to the user
		VerifyConnection: func(s tls.ConnectionState) error {
			key = keyOf(s)
			return errors.New("only looked")
		},
	}
	_, _ = (&http.Client{Transport: unsafe}).Do(probe(ctx, a.Host)) //nolint:bodyclose // it always fails: see above
	if key == "" {
		return schema.Wrap(schema.Unavailable, err, "reach core at %s: %v", a.Host, err)
	}
	if !terminal(p.in) {
		return schema.Errorf(schema.Unauthenticated, "%s shows a certificate that no authority has signed, with the key sha256:%s: if that is core's, give --pin %s", a.Host, key, key)
	}
	if err := p.confirm(fmt.Sprintf("%s shows its own certificate, with the key\n  sha256:%s\nTrust it from now on?", a.Host, key)); err != nil {
		return err
	}
	a.Pin = key
	return nil
}

// probe is a request for which nobody needs to be known.
func probe(ctx context.Context, host string) *http.Request {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(host, "/")+"/version", nil)
	if err != nil {
		r = &http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: "https"}}
	}
	return r
}

// ask returns what is given, or else what is typed.
func (p *program) ask(question, given string) (string, error) {
	if given != "" {
		return given, nil
	}
	fmt.Fprint(p.err, question)
	line, err := p.readLine()
	if line = strings.TrimSpace(line); line == "" {
		return "", schema.Wrap(schema.Invalid, errors.Join(err), "%s: nothing was typed", strings.TrimSuffix(question, ": "))
	}
	return line, nil
}

// password reads a password from a file, the terminal or the input.
func (p *program) password(file string) (string, error) {
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return "", schema.Errorf(schema.Invalid, "read the password: %v", err)
		}
		return strings.TrimRight(string(b), "\r\n"), nil
	}
	f, ok := p.in.(*os.File)
	if !ok || !terminal(f) {
		return p.ask("Password: ", "")
	}
	fmt.Fprint(p.err, "Password: ")
	b, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(p.err)
	if err != nil {
		return "", schema.Errorf(schema.Invalid, "read the password: %v", err)
	}
	return string(b), nil
}

// login signs in, makes an API key and keeps it.
func (p *program) login(ctx context.Context, a profile.Account, user, password, name string) error {
	h := httpClient(a)
	token, err := p.token(ctx, a, h, user, password)
	if err != nil {
		return err
	}
	h.Transport = bearer{h.Transport, token}
	c := api.NewClient(a.Host, "", "", h, version)
	var made struct{ Key, Secret string }
	if err := c.Call(ctx, api.GroupManage, "CreateApiKey", map[string]string{"name": name}, &made); err != nil {
		return err
	}
	path := p.configPath()
	old, err := profile.Own(path, p.env)
	if err != nil {
		return err
	}
	old.Keep(p.client.profile, profile.Account{Host: a.Host, Key: made.Key, Secret: made.Secret, Pin: a.Pin})
	if err := profile.Save(path, old.Tree); err != nil {
		return err
	}
	where := path
	if p.client.profile != "" {
		where = "profile " + p.client.profile + " of " + path
	}
	fmt.Fprintf(p.err, "Signed in to %s as %s; the API key is in %s.\n", a.Host, user, where)
	if err := endSignIn(ctx, c); err != nil {
		fmt.Fprintf(p.err, "The session of this sign-in stays open for a day, unless it is ended on the page of your account: %s\n", schema.SafeText(err))
	}
	return nil
}

// endSignIn ends the session by which c asks: there is a key now that does the same.
func endSignIn(ctx context.Context, c *api.Client) error {
	var open []struct {
		ID      string
		Current bool
	}
	if err := c.Call(ctx, api.GroupManage, "ListSessions", map[string]string{}, &open); err != nil {
		return err
	}
	for _, s := range open {
		if s.Current {
			return c.Call(ctx, api.GroupManage, "RevokeSession", map[string]string{"session": s.ID}, nil)
		}
	}
	return nil
}

// token signs in, with a code when there is a second factor.
func (p *program) token(ctx context.Context, a profile.Account, h *http.Client, user, password string) (string, error) {
	var err error
	if h.Jar, err = cookiejar.New(nil); err != nil { // carries the sign-in from one step to the next
		return "", schema.Wrap(schema.Internal, err, "keep cookies")
	}
	c := api.NewClient(a.Host, "", "", h, version)
	var in struct {
		Type string
		Data struct{ JWT string }
	}
	if err := c.Call(ctx, api.GroupLogin, "LoginLocalUser", map[string]string{"username": user, "password": password}, &in); err != nil {
		return "", err
	}
	question := "Code of your authenticator, or a recovery code: "
	switch in.Type {
	case "Jwt":
		return in.Data.JWT, nil
	case "Passkey":
		question = "Your passkey works in a browser only. " + question
	}
	for tries := 1; ; tries++ {
		code, err := p.ask(question, "")
		if err != nil {
			return "", err
		}
		var out struct{ JWT string }
		err = c.Call(ctx, api.GroupLogin, "CompleteTotpLogin", map[string]string{"code": code}, &out)
		if err == nil || tries == 3 || schema.CodeOf(err) != schema.Unauthenticated || !terminal(p.in) {
			return out.JWT, err
		}
		fmt.Fprintln(p.err, schema.SafeText(err))
	}
}

// bearer sends a token with every request.
type bearer struct {
	next  http.RoundTripper
	token string
}

// RoundTrip implements http.RoundTripper.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", b.token)
	return b.next.RoundTrip(r)
}

// confirm asks a question; without a terminal to ask at, --yes is needed.
func (p *program) confirm(question string) error {
	if !terminal(p.in) {
		return schema.Errorf(schema.Invalid, "nobody to ask: give --yes")
	}
	fmt.Fprint(p.err, question+" [y/N] ")
	line, err := p.readLine()
	if err != nil || !strings.HasPrefix(strings.ToLower(strings.TrimSpace(line)), "y") {
		return schema.Errorf(schema.Canceled, "nothing was done")
	}
	return nil
}

// readLine reads up to the end of a line, and not beyond.
func (p *program) readLine() (string, error) {
	var b []byte
	one := make([]byte, 1)
	for {
		n, err := p.in.Read(one)
		if n == 1 && one[0] == '\n' {
			return string(b), nil
		}
		if n == 1 {
			b = append(b, one[0])
		}
		if err != nil {
			return string(b), err
		}
	}
}

// terminal reports whether v is one.
func terminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
