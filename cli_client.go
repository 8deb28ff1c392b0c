package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"berth/cli/profile"
	"berth/cli/table"
	"berth/core/api"
	"berth/schema"
)

// clientFlags say which core is asked, and as whom.
type clientFlags struct {
	host, key, secret, pin, profile string
	paths, keywords                 []string // of Komodo's configuration files
}

// offer adds the flags to a command and to all below it. Their letters are left to a
// command that has others by them: -a is the host, or --all.
func (p *program) offer(c *cobra.Command) {
	fs, f := c.Flags(), &p.client
	p.offerText(fs, &f.host, "host", "a", "core's address [BERTH_HOST, KOMODO_CLI_HOST, KOMODO_HOST]")
	p.offerText(fs, &f.key, "key", "k", "API key [BERTH_KEY, KOMODO_CLI_KEY]")
	p.offerText(fs, &f.secret, "secret", "s", "its secret [BERTH_SECRET, KOMODO_CLI_SECRET]")
	p.offerText(fs, &f.profile, "profile", "p", "profile of the configuration file")
	p.offerText(fs, &f.pin, "pin", "", "SHA-256 of core's public key, instead of asking certificate authorities [BERTH_PIN]")
	if fs.Lookup("json") == nil {
		fs.BoolVar(&p.asJSON, "json", p.asJSON, "print JSON instead of text")
	}
	_ = c.RegisterFlagCompletionFunc("profile", p.profiles) // the flag is there
	for _, sub := range c.Commands() {
		p.offer(sub)
	}
}

func (p *program) offerText(fs *pflag.FlagSet, to *string, name, letter, doc string) {
	if fs.Lookup(name) != nil {
		return
	}
	if letter != "" && fs.ShorthandLookup(letter) != nil {
		letter = ""
	}
	fs.StringVarP(to, name, letter, *to, doc)
}

// global adds the flags that stand before the command, as km has them.
func (p *program) global(fs *pflag.FlagSet) {
	f := &p.client
	fs.StringVarP(&f.profile, "profile", "p", "", "profile of the configuration file")
	fs.StringArrayVarP(&f.paths, "config-path", "c", nil, "file or folder of Komodo's configuration, instead of the usual ones")
	fs.StringArrayVarP(&f.keywords, "config-keyword", "m", nil, "wildcard of the files that are configuration; usually *komodo.cli*.*")
	for _, name := range []string{"debug-startup", "debug"} {
		letter := map[string]string{"debug-startup": "d"}[name]
		fs.BoolVarP(&p.debug, name, letter, false, "say which configuration is read [KOMODO_CLI_DEBUG_STARTUP]")
		fs.Lookup(name).NoOptDefVal = "" // km wants a value
	}
	_ = fs.MarkHidden("debug") // it is there
}

func (p *program) configPath() string { return home(p.env, "berth", "cli.toml") }

// clientSettings is what configuration says, before somebody chose from it.
type clientSettings struct {
	layers []profile.Layer
	known  []string // profiles
	own    profile.Source
	komodo profile.Found
	wanted string
}

// readSettings reads all there is: flags, environment, our file, Komodo's files.
func (p *program) readSettings() (clientSettings, error) {
	var s clientSettings
	dot, err := profile.DotEnv(".env", p.env)
	if err != nil {
		return s, err
	}
	env := func(name string) string { return cmp.Or(p.env(name), dot(name)) }
	if s.komodo, err = profile.Komodo(profile.Search{Home: home(p.env, "komodo"), Paths: p.client.paths, Keywords: p.client.keywords, Env: env}); err != nil {
		return s, err
	}
	if s.own, err = profile.Own(p.configPath(), env); err != nil {
		return s, err
	}
	s.known = profile.Names(s.own, s.komodo.Here, s.komodo.Home)
	s.wanted = cmp.Or(p.client.profile, env("KOMODO_CLI_DEFAULT_PROFILE"))
	files, err := profile.Layers(s.wanted, s.own, s.komodo.Here, s.komodo.Home)
	if err != nil {
		return s, err
	}
	f := p.client
	s.layers = append([]profile.Layer{
		{Account: profile.Account{Host: f.host, Key: f.key, Secret: f.secret, Pin: f.pin}, From: "the command line"},
		{Account: profile.FromEnv(p.env), From: "the environment"},
		{Account: profile.FromEnv(dot), From: ".env", Here: true},
	}, files...)
	if (p.debug || env("KOMODO_CLI_DEBUG_STARTUP") == "true") && !p.told {
		p.told = true
		fmt.Fprintf(p.err, "Configuration: %s; profile %q\n", strings.Join(append([]string{s.own.From}, s.komodo.Files...), ", "), s.wanted)
	}
	return s, nil
}

// account finds core and key. A profile that there is not is a mistake.
func (p *program) account() (profile.Account, error) {
	a, s, err := p.findAccount()
	if err != nil || s.wanted == "" || slices.Contains(s.known, s.wanted) {
		return a, err
	}
	if len(s.known) == 0 {
		return a, schema.Errorf(schema.Invalid, "there is no profile %q, nor any other: `berth login URL -p %s` makes it", s.wanted, s.wanted)
	}
	return a, schema.Errorf(schema.Invalid, "there is no profile %q: there are %s; `berth login URL -p %s` makes it", s.wanted, strings.Join(s.known, ", "), s.wanted)
}

// findAccount returns core and key, of a profile that may be new.
func (p *program) findAccount() (profile.Account, clientSettings, error) {
	s, err := p.readSettings()
	if err != nil {
		return profile.Account{}, s, err
	}
	a, err := profile.Merge(s.layers)
	if err != nil {
		return a, s, err
	}
	a.Host = strings.TrimRight(cmp.Or(a.Host, "https://127.0.0.1:9120"), "/")
	if !strings.Contains(a.Host, "://") {
		a.Host = "https://" + a.Host
	}
	return a, s, nil
}

// api returns a client of the core that is configured.
func (p *program) api() (*api.Client, error) {
	if p.core != nil {
		return p.core, nil
	}
	a, err := p.account()
	if err != nil {
		return nil, err
	}
	if a.Key == "" || a.Secret == "" {
		return nil, schema.Errorf(schema.Unauthenticated, "no API key for %s: sign in with `berth login %s`, or set BERTH_KEY and BERTH_SECRET", a.Host, a.Host)
	}
	p.host, p.core = a.Host, api.NewClient(a.Host, a.Key, a.Secret, httpClient(a), version)
	return p.core, nil
}

// httpClient trusts the pinned key, or else the system's authorities. On this
// machine core's own certificate needs no proof.
func httpClient(a profile.Account) *http.Client {
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
	return &http.Client{Transport: t, CheckRedirect: stay}
}

// stay follows no redirect: the key would go along to whatever host it names.
func stay(to *http.Request, _ []*http.Request) error {
	return schema.Errorf(schema.Invalid, "core's address sends on to %s://%s: give that as the host", to.URL.Scheme, to.URL.Host)
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

// table prints rows below a header, in columns. States are in colour where somebody
// looks.
func (p *program) table(header []string, rows [][]string) error {
	look, err := p.look()
	if err != nil {
		return err
	}
	t := table.Table{Header: header, Rows: rows}
	at := slices.Index(header, "State")
	for _, row := range rows {
		tones := make([]table.Tone, len(row))
		if at >= 0 && at < len(row) {
			tones[at] = table.OfState(row[at])
		}
		t.Tones = append(t.Tones, tones)
	}
	return t.Write(p.out, look)
}

// look is how tables are written: as configured, else with lines for people and
// without for programs.
func (p *program) look() (table.Look, error) {
	a, _, err := p.findAccount()
	if err != nil {
		return table.Look{}, err
	}
	look := table.Look{Colour: p.colour()}
	if terminal(p.out) {
		look.Borders = table.Horizontal
	}
	if a.Borders != "" {
		var known bool
		if look.Borders, known = table.ParseBorders(a.Borders); !known {
			return look, schema.Errorf(schema.Invalid, "table_borders %q: want Horizontal, Vertical, Inside, Outside or All", a.Borders)
		}
	}
	return look, nil
}

// colour reports whether what is printed may be in colour.
func (p *program) colour() bool { return terminal(p.out) && p.env("NO_COLOR") == "" }

// keyOf is the SHA-256 of the public key that a server shows.
func keyOf(s tls.ConnectionState) string {
	sum := sha256.Sum256(s.PeerCertificates[0].RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// profiles completes the name of a profile.
func (p *program) profiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	s, err := p.readSettings()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return s.known, cobra.ShellCompDirectiveNoFileComp
}
