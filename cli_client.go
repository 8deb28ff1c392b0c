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
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"

	"berth/core/api"
	"berth/schema"
)

// clientFlags say which core is asked, and as whom.
type clientFlags struct{ host, key, secret, pin, profile string }

func (f *clientFlags) offer(c *cobra.Command) {
	fs := c.PersistentFlags()
	short := "a" // as km has it, but for lists, where it is --all
	if c.Flags().Lookup("all") != nil {
		short = ""
	}
	fs.StringVarP(&f.host, "host", short, "", "core's address [BERTH_HOST, KOMODO_CLI_HOST, KOMODO_ADDRESS]")
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

// named reports whether a profile is called so.
func (a account) named(name string) bool {
	return a.Name == name || slices.Contains(a.Aliases, name)
}

// keep puts a into the profile of that name, or makes it the account that is
// used without one.
func (c *clientConfig) keep(profile string, a account) {
	if profile == "" {
		c.account = a
		return
	}
	for i, old := range c.Profiles {
		if old.named(profile) {
			a.Name, a.Aliases = old.Name, old.Aliases
			c.Profiles[i] = a
			return
		}
	}
	a.Name = profile
	c.Profiles = append(c.Profiles, a)
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

// account finds core and key: flags, environment, our file, Komodo's file. A
// profile that neither file has is a mistake.
func (p *program) account() (account, error) {
	a, known, err := p.findAccount()
	wanted := p.client.profile
	if err == nil && wanted == "" {
		err = p.checkDefaults()
	}
	if err != nil || wanted == "" || slices.Contains(known, wanted) {
		return a, err
	}
	if len(known) == 0 {
		return a, schema.Errorf(schema.Invalid, "there is no profile %q, nor any other: `berth login URL -p %s` makes it", wanted, wanted)
	}
	return a, schema.Errorf(schema.Invalid, "there is no profile %q: there are %s; `berth login URL -p %s` makes it", wanted, strings.Join(known, ", "), wanted)
}

// checkDefaults refuses a default_profile that its file does not have.
func (p *program) checkDefaults() error {
	for _, path := range []string{p.configPath(), home(p.env, "komodo", "komodo.cli.toml")} {
		c, err := readClientConfig(path)
		if err != nil {
			return err
		}
		if c.Default == "" || slices.ContainsFunc(c.Profiles, func(a account) bool { return a.named(c.Default) }) {
			continue
		}
		var names []string
		for _, a := range c.Profiles {
			names = append(names, a.Name)
		}
		if len(names) == 0 {
			return schema.Errorf(schema.Invalid, "%s: default_profile %q: the file has no profile: remove the key, or make it with `berth login URL -p %s`", path, c.Default, c.Default)
		}
		return schema.Errorf(schema.Invalid, "%s: default_profile %q: there is no such profile: there are %s", path, c.Default, strings.Join(names, ", "))
	}
	return nil
}

// findAccount returns core and key, and the names of all profiles.
func (p *program) findAccount() (account, []string, error) {
	a := account{Host: p.client.host, Key: p.client.key, Secret: p.client.secret, Pin: p.client.pin}
	a = a.over(p.envAccount())
	var known []string
	for _, path := range []string{p.configPath(), home(p.env, "komodo", "komodo.cli.toml")} {
		c, err := readClientConfig(path)
		if err != nil {
			return a, nil, err
		}
		wanted := p.client.profile
		if wanted == "" {
			wanted = c.Default
		}
		for _, profile := range c.Profiles {
			known = append(append(known, profile.Name), profile.Aliases...)
			if wanted == "" || !profile.named(wanted) {
				continue
			}
			a = a.over(profile)
			if profile.Host != "" && profile.Host != c.Host {
				c.Pin = "" // the pinned key is that of the other core
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
	return a, known, nil
}

// envAccount is what the environment says: our names first, then Komodo's.
func (p *program) envAccount() account {
	first := func(names ...string) string {
		for _, n := range names {
			if v := p.env(n); v != "" {
				return v
			}
		}
		return ""
	}
	return account{
		Host:   first("BERTH_HOST", "KOMODO_CLI_HOST", "KOMODO_ADDRESS", "KOMODO_HOST"),
		Key:    first("BERTH_KEY", "KOMODO_CLI_KEY", "KOMODO_API_KEY"),
		Secret: first("BERTH_SECRET", "KOMODO_CLI_SECRET", "KOMODO_API_SECRET"),
		Pin:    first("BERTH_PIN"),
	}
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

// keyOf is the SHA-256 of the public key that a server shows.
func keyOf(s tls.ConnectionState) string {
	sum := sha256.Sum256(s.PeerCertificates[0].RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}
