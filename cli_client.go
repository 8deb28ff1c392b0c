package main

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"berth/core/api"
	"berth/schema"
)

// clientFlags say which core is asked, and as whom.
type clientFlags struct{ host, key, secret, pin, profile string }

func (f *clientFlags) offer(c *cobra.Command) {
	fs := c.PersistentFlags()
	fs.StringVarP(&f.host, "host", "a", "", "core's address [BERTH_HOST, KOMODO_CLI_HOST, KOMODO_ADDRESS]")
	fs.StringVarP(&f.key, "key", "k", "", "API key [BERTH_KEY, KOMODO_CLI_KEY, KOMODO_API_KEY]")
	fs.StringVarP(&f.secret, "secret", "s", "", "its secret [BERTH_SECRET, KOMODO_CLI_SECRET, KOMODO_API_SECRET]")
	fs.StringVar(&f.pin, "pin", "", "SHA-256 of core's public key, instead of asking certificate authorities [BERTH_PIN]")
	fs.StringVarP(&f.profile, "profile", "p", "", "profile of the configuration file")
}

// account is a core and a key for it, as the configuration file holds it.
type account struct {
	Host    string   `toml:"host,omitempty"`
	Key     string   `toml:"key,omitempty"`
	Secret  string   `toml:"secret,omitempty"`
	Pin     string   `toml:"pin,omitempty"`
	CLIKey  string   `toml:"cli_key,omitempty"` // Komodo's names for key and secret
	CLISec  string   `toml:"cli_secret,omitempty"`
	Name    string   `toml:"name,omitempty"` // of a profile
	Aliases []string `toml:"aliases,omitempty"`
	Borders string   `toml:"table_borders,omitempty"` // read and ignored
}

// clientConfig is cli.toml, or Komodo's komodo.cli.toml.
type clientConfig struct {
	account
	Default  string    `toml:"default_profile,omitempty"`
	Profiles []account `toml:"profile,omitempty"`
}

// over fills what a lacks from b.
func (a account) over(b account) account {
	pick := func(list ...string) string {
		for _, s := range list {
			if s != "" {
				return s
			}
		}
		return ""
	}
	return account{
		Host: pick(a.Host, b.Host), Key: pick(a.Key, a.CLIKey, b.Key, b.CLIKey), Secret: pick(a.Secret, a.CLISec, b.Secret, b.CLISec), Pin: pick(a.Pin, b.Pin),
	}
}

// readClientConfig reads a file strictly: what it does not know is a mistake.
func readClientConfig(path string) (clientConfig, error) {
	var c clientConfig
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, schema.Errorf(schema.Invalid, "read configuration: %v", err)
	}
	defer func() { _ = f.Close() }()
	err = toml.NewDecoder(f).DisallowUnknownFields().Decode(&c)
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok {
		row, _ := strict.Errors[0].Position()
		return c, schema.Errorf(schema.Invalid, "%s:%d: %s: unknown key", path, row, strings.Join(strict.Errors[0].Key(), "."))
	}
	if e, ok := errors.AsType[*toml.DecodeError](err); ok {
		row, _ := e.Position()
		return c, schema.Errorf(schema.Invalid, "%s:%d: %s: %v", path, row, strings.Join(e.Key(), "."), err)
	}
	if err != nil {
		return c, schema.Errorf(schema.Invalid, "%s: %v", path, err)
	}
	return c, nil
}

func (p *program) configPath() string { return home(p.env, "berth", "cli.toml") }

// account finds core and key: flags, environment, our file, Komodo's file.
func (p *program) account() (account, error) {
	first := func(names ...string) string {
		for _, n := range names {
			if v := p.env(n); v != "" {
				return v
			}
		}
		return ""
	}
	a := account{Host: p.client.host, Key: p.client.key, Secret: p.client.secret, Pin: p.client.pin}
	a = a.over(account{
		Host:   first("BERTH_HOST", "KOMODO_CLI_HOST", "KOMODO_ADDRESS", "KOMODO_HOST"),
		Key:    first("BERTH_KEY", "KOMODO_CLI_KEY", "KOMODO_API_KEY"),
		Secret: first("BERTH_SECRET", "KOMODO_CLI_SECRET", "KOMODO_API_SECRET"),
		Pin:    first("BERTH_PIN"),
	})
	for _, path := range []string{p.configPath(), home(p.env, "komodo", "komodo.cli.toml")} {
		c, err := readClientConfig(path)
		if err != nil {
			return a, err
		}
		wanted := p.client.profile
		if wanted == "" {
			wanted = c.Default
		}
		for _, profile := range c.Profiles {
			if wanted != "" && (profile.Name == wanted || contains(profile.Aliases, wanted)) {
				a = a.over(profile)
			}
		}
		a = a.over(c.account)
	}
	if a.Host == "" {
		a.Host = "https://127.0.0.1:9120"
	}
	if !strings.Contains(a.Host, "://") {
		a.Host = "https://" + a.Host
	}
	return a, nil
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// api returns a client of the core that is configured.
func (p *program) api() (*api.Client, error) {
	a, err := p.account()
	if err != nil {
		return nil, err
	}
	if a.Key == "" || a.Secret == "" {
		return nil, schema.Errorf(schema.Unauthenticated, "no API key for %s: sign in with `berth login %s`, or set BERTH_KEY and BERTH_SECRET", a.Host, a.Host)
	}
	return api.NewClient(a.Host, a.Key, a.Secret, httpClient(a), version), nil
}

// httpClient trusts the pinned key, or else the system's authorities. On this
// machine core's own certificate needs no proof.
func httpClient(a account) *http.Client {
	t, _ := http.DefaultTransport.(*http.Transport)
	t = t.Clone()
	local := strings.HasPrefix(a.Host, "https://127.0.0.1") || strings.HasPrefix(a.Host, "https://localhost") || strings.HasPrefix(a.Host, "https://[::1]")
	if a.Pin != "" || local {
		pin := strings.ToLower(strings.TrimPrefix(a.Pin, "sha256:"))
		t.TLSClientConfig = &tls.Config{
			MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, //nolint:gosec // VerifyConnection compares the pinned key instead
			VerifyConnection: func(s tls.ConnectionState) error {
				have := keyOf(s)
				if pin != "" && subtle.ConstantTimeCompare([]byte(have), []byte(pin)) != 1 {
					return fmt.Errorf("core has another key than the pinned one (it shows %s)", have)
				}
				return nil
			},
		}
	}
	return &http.Client{Transport: t}
}

// call asks core; out may be nil.
func (p *program) call(ctx context.Context, g api.Group, name string, params, out any) error {
	c, err := p.api()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return c.Call(ctx, g, name, params, out)
}

func (p *program) printJSON(v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return schema.Wrap(schema.Internal, err, "write JSON")
	}
	_, err = fmt.Fprintln(p.out, string(b))
	return err
}

// table prints rows below a header, in columns.
func (p *program) table(header []string, rows [][]string) error {
	w := tabwriter.NewWriter(p.out, 0, 4, 2, ' ', 0)
	for _, r := range append([][]string{header}, rows...) {
		fmt.Fprintln(w, strings.TrimRight(strings.Join(r, "\t"), "\t"))
	}
	return w.Flush()
}

// terminal reports whether v is one.
func terminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
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

// loginCommand exchanges a password for an API key and keeps it.
func (p *program) loginCommand() *cobra.Command {
	var user, name, passwordFile string
	c := &cobra.Command{
		Use: "login [URL]", Short: "Sign in: make an API key and keep it for the other verbs", Args: cobra.MaximumNArgs(1),
		Long:    "Sign in with username and password. An API key is made and kept in the configuration file, which only you can read.",
		Example: "  berth login https://berth.example:9120\n  berth login http://127.0.0.1:9120 --username ada --password-file /run/secrets/ada",
		RunE: func(c *cobra.Command, args []string) error {
			a, err := p.account()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				a.Host = args[0]
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
func (p *program) pinned(ctx context.Context, a *account) error {
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

// keyOf is the SHA-256 of the public key that a server shows.
func keyOf(s tls.ConnectionState) string {
	sum := sha256.Sum256(s.PeerCertificates[0].RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

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

func (p *program) login(ctx context.Context, a account, user, password, name string) error {
	var in struct{ Data struct{ JWT string } }
	h := httpClient(a)
	if err := api.NewClient(a.Host, "", "", h, version).Call(ctx, api.GroupLogin, "LoginLocalUser", map[string]string{"username": user, "password": password}, &in); err != nil {
		return err
	}
	h.Transport = bearer{h.Transport, in.Data.JWT}
	var made struct{ Key, Secret string }
	if err := api.NewClient(a.Host, "", "", h, version).Call(ctx, api.GroupManage, "CreateApiKey", map[string]string{"name": name}, &made); err != nil {
		return err
	}
	path := p.configPath()
	old, err := readClientConfig(path)
	if err != nil {
		return err
	}
	old.account = account{Host: a.Host, Key: made.Key, Secret: made.Secret, Pin: a.Pin}
	b, err := toml.Marshal(old)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err == nil {
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		return schema.Errorf(schema.Failed, "keep the API key: %v", err)
	}
	fmt.Fprintf(p.err, "Signed in to %s as %s; the API key is in %s.\n", a.Host, user, path)
	return nil
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
