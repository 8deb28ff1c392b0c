package periphery

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"berth/bus"
	"berth/git"
	"berth/periphery/build"
	"berth/periphery/compose"
	"berth/periphery/docker"
	"berth/periphery/host"
	"berth/periphery/journal"
	"berth/periphery/secrets"
	"berth/periphery/single"
	"berth/schema"
)

// Config is what an agent is started with.
type Config struct {
	// Core is core's address ("https://core.example:9120"); kept from the join, so
	// it is needed once.
	Core string
	// Token is a join token; needed once.
	Token string
	// OnboardingKey lets the agent make its own server, named ConnectAs, instead of a
	// token; with ConnectAs alone an administrator has to confirm it.
	OnboardingKey, ConnectAs string
	// CoreKeys are public nkeys of which core must have one when the agent joins; any
	// that is proved otherwise when empty.
	CoreKeys []string
	// TrustFirst joins whatever answers as core where nothing proves it.
	TrustFirst bool
	// Data is the folder the agent keeps its key, journal, repositories and stacks in.
	Data string
	// Repos, Stacks and Builds are the folders of clones of repos, files of stacks and
	// contexts of builds; folders of these names in Data when empty.
	Repos, Stacks, Builds string
	// Engine is the Docker engine's address; empty is the local default.
	Engine string
	// AgeKeys lists files that may hold the host's age identity, first found wins.
	AgeKeys []string
	// AllowPlaintext permits an unencrypted connection beyond this machine.
	AllowPlaintext bool
	// Proxy is an HTTP proxy to reach core through.
	Proxy string
	// Allowed are the networks in which core may be; any when empty.
	Allowed []netip.Prefix
	// Workers is how many commands are worked on at once; 0 is 8.
	Workers int
	// Samples is how often it says what the machine uses; 0 is every 15 seconds.
	Samples time.Duration
	// InProcess connects to a core in the same process.
	InProcess nats.InProcessConnProvider
	Version   string
	Log       *slog.Logger
	// Ready, if set, is called when the agent has proved core's identity and listens.
	Ready func()
}

// defaultAgeKeys are where the age identity of a host usually is.
func defaultAgeKeys() []string {
	return []string{"/etc/berth/age.key", "/etc/sops/age/keys.txt"}
}

// Agent is a running agent.
type Agent struct {
	cfg     Config
	join    joined
	key     string // file of the key it connects with
	conn    *bus.Conn
	engine  *docker.Client
	meter   *docker.Meter
	host    *host.Sampler
	machine schema.HostInfo
	deploy  *compose.Deployer
	single  *single.Engine
	builder *build.Builder
	git     *git.Client
	journal *journal.Journal
	digests *secrets.Digester
	verbs   map[string]verb
	started time.Time
	log     *slog.Logger
	nudge   chan struct{} // commands may wait
	refused chan error    // by core: the key or the token
	refresh chan struct{} // the status is worth sending
	results chan struct{} // a result waits to be reported
	gate    gate          // between deploys and batches
	shown   showing
	secret  *concealed
	roots   *x509.CertPool // whose certificates are good; nil is the system's

	loggedIn chan struct{} // anew
	keying   sync.Mutex    // held while the key is changed
	joining  sync.Mutex    // guards what is remembered of core's key

	mu   sync.Mutex // guards what follows
	hand map[string]inHand
	gone map[string]bool // commands that core no longer wanted
}

// inHand is a command that is waited with or worked on.
type inHand struct {
	key string
	end context.CancelCauseFunc
}

// keyFile holds the agent's key; while it joins with a new token, a new key lies
// in newKeyFile, so that a token that is refused costs nothing.
const (
	keyFile    = "key.nk"
	newKeyFile = "key.new.nk"
)

// joined is what an agent remembers of its join, in core.json.
type joined struct {
	Core   string   `json:"core"`
	Server string   `json:"server"`
	Name   string   `json:"name,omitempty"` // of the server, when it was last heard
	Key    string   `json:"key"`            // core's public nkey
	Pin    []string `json:"pin,omitempty"`
	Next   *coreKey `json:"next,omitempty"`  // the one that core is about to use
	Token  string   `json:"token,omitempty"` // hash of the token it joined with
}

// Run connects and works until ctx ends. Errors before the first connection are
// about the configuration (schema.Invalid) or the key and token (schema.Denied);
// afterwards it reconnects for ever.
func Run(ctx context.Context, cfg Config) error {
	a, err := open(ctx, cfg)
	if err != nil {
		return err
	}
	defer a.close()
	if err = a.onboard(ctx); err == nil {
		err = a.connect(ctx)
	}
	if a.conn != nil {
		defer a.conn.Close()
	}
	if err != nil {
		return err
	}
	if err := a.listen(); err != nil { //nolint:contextcheck // each question comes with a context of its own
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.work(gctx) })
	g.Go(func() error { return a.watchEngine(gctx) })
	g.Go(func() error { return a.tell(gctx) })
	g.Go(func() error { return a.heedRefusals(gctx) })
	g.Go(func() error { return a.mindKey(gctx) })
	g.Go(func() error { return a.serveLocal(gctx) })
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

func open(ctx context.Context, cfg Config) (*Agent, error) {
	if cfg.Workers == 0 {
		cfg.Workers = 8
	}
	if cfg.Samples <= 0 {
		cfg.Samples = 15 * time.Second
	}
	if len(cfg.AgeKeys) == 0 {
		cfg.AgeKeys = defaultAgeKeys()
	}
	dir, err := filepath.Abs(cfg.Data)
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	cfg.Data, cfg.AgeKeys = dir, withOwnKey(cfg.AgeKeys, dir)
	cfg.Repos, cfg.Stacks, cfg.Builds = cmp.Or(cfg.Repos, filepath.Join(dir, "repos")), cmp.Or(cfg.Stacks, filepath.Join(dir, "stacks")), cmp.Or(cfg.Builds, filepath.Join(dir, "builds"))
	for _, sub := range []string{dir, cfg.Repos, cfg.Stacks, cfg.Builds, filepath.Join(dir, "journal"), filepath.Join(dir, keptFolder), filepath.Join(dir, "spool")} {
		if err := os.MkdirAll(sub, 0o700); err != nil {
			return nil, schema.Errorf(schema.Invalid, "make data folder %s: %v", sub, errors.Unwrap(err))
		}
	}
	a := &Agent{
		key: keyFile,
		cfg: cfg, log: cfg.Log, started: time.Now(), git: git.New(cfg.Log), hand: map[string]inHand{}, gone: map[string]bool{},
		nudge: make(chan struct{}, 1), refresh: make(chan struct{}, 1), results: make(chan struct{}, 1),
		refused: make(chan error, 1), loggedIn: make(chan struct{}, 1),
	}
	a.verbs = a.verbList()
	if err := a.load(ctx); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

// DigestKey is the file in the agent's data folder with the key of its digests: with
// another one everything that is deployed looks changed, once.
const DigestKey = "digest.key"

// load opens what the agent keeps on disk, and the engine.
func (a *Agent) load(ctx context.Context) (err error) {
	dir := a.cfg.Data
	if a.journal, err = journal.Open(filepath.Join(dir, "journal")); err != nil {
		return err
	}
	if a.digests, err = secrets.OpenDigester(filepath.Join(dir, DigestKey)); err != nil {
		return err
	}
	if a.secret, err = openConcealed(a.concealedFile()); err != nil {
		a.log.Warn("which texts of containers hold secrets is not known any more: inspections show them until they are deployed again", "err", err)
	}
	a.ensureKeys()
	if a.engine, err = docker.Open(a.cfg.Engine); err != nil {
		return err
	}
	a.meter = docker.NewMeter(a.engine)
	a.host, a.machine = host.NewSampler(a.cfg.Samples), host.Info(ctx)
	a.deploy = compose.New(a.engine, []byte(a.digests.Digest([]byte("inputs of deploys"))), a.log)
	a.single = single.New(a.engine)
	a.builder = build.New(a.engine, a.log)
	return a.recall()
}

// keys reads the host's age identity anew, so that a key that is put in place or
// mended later counts without a restart.
func (a *Agent) keys() (*secrets.Keys, error) { return secrets.Find(a.cfg.AgeKeys...) }

func (a *Agent) close() {
	a.git.Close()
	if a.journal != nil {
		_ = a.journal.Close() // nothing is open in it
	}
	if a.engine != nil {
		_ = a.engine.Close()
	}
}

// recall reads what was remembered of the join, or takes it from the token.
func (a *Agent) recall() error {
	path := filepath.Join(a.cfg.Data, "core.json")
	data, err := os.ReadFile(path)
	switch {
	case err == nil:
		if err := json.Unmarshal(data, &a.join); err != nil {
			return schema.Wrap(schema.Invalid, err, "%s is damaged: remove it and join again with a new token", path)
		}
	case !errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("read join: %w", err)
	}
	if a.cfg.Token != "" {
		t, err := bus.ParseJoinToken(a.cfg.Token)
		if err != nil {
			return err
		}
		if t.Hash() != a.join.Token { // else it is the token this agent joined with
			a.join = joined{Server: t.Server, Key: t.Core, Pin: t.Pin, Token: t.Hash()}
			a.key = newKeyFile
		}
		a.cfg.Token = t.Secret
	}
	if a.cfg.Core != "" {
		a.join.Core = a.cfg.Core
	}
	if len(a.cfg.CoreKeys) > 0 && a.key == newKeyFile && !slices.Contains(a.cfg.CoreKeys, a.join.Key) {
		return schema.Errorf(schema.Denied, "the join token is of another core than core_public_keys names")
	}
	if a.join.Server == "" && (a.cfg.ConnectAs != "" || a.cfg.OnboardingKey != "") {
		return a.willOnboard()
	}
	if a.join.Server == "" {
		return schema.Errorf(schema.Invalid, "this agent has not joined a core yet: run `berth server join-token NAME` on core and start the agent with the line it prints")
	}
	if a.join.Core == "" && a.cfg.InProcess == nil {
		return schema.Errorf(schema.Invalid, "core's address is missing: give --core https://HOST:9120")
	}
	return nil
}

// connect dials core, waits until it is through, and has core prove who it is.
func (a *Agent) connect(ctx context.Context) error {
	seed, err := bus.LoadSeed(filepath.Join(a.cfg.Data, a.key))
	if err != nil {
		return err
	}
	o := a.line(seed)
	o.Token = a.cfg.Token
	o.OnConnect = func(*bus.Conn) { a.poke(a.nudge); a.poke(a.refresh); a.poke(a.results); a.poke(a.loggedIn) }
	o.OnRefused = func(err error) {
		select {
		case a.refused <- err:
		default:
		}
	}
	if a.conn, err = bus.Dial(ctx, o); err != nil {
		return err
	}
	return a.prove(ctx)
}

// line is how the agent connects with a key.
func (a *Agent) line(seed []byte) bus.Options {
	hostname, _ := os.Hostname() // only a label
	return bus.Options{
		URL: a.join.Core, Seed: seed, Agent: a.join.Server, Pins: a.corePins, Name: "berth periphery " + hostname,
		Metadata:  map[string]string{"host": hostname, "version": a.cfg.Version, "agent": a.join.Server},
		InProcess: a.cfg.InProcess, AllowPlaintext: a.cfg.AllowPlaintext, Proxy: a.cfg.Proxy, Allowed: a.cfg.Allowed, Log: a.log,
	}
}

// heedRefusals says until ctx ends what it means that core refuses an agent that
// has been connected. It goes on trying: only core knows whether that is for good.
func (a *Agent) heedRefusals(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-a.refused:
			a.sayRefused(err)
			a.otherKey()
		}
	}
}

func (a *Agent) sayRefused(err error) {
	a.log.Error("core refuses this agent: its key was revoked, or core is another; join again with a new token", "core", a.join.Core, "err", err)
}

// prove waits for the first connection and checks core's identity over it. A core
// that refuses the key is fatal only while a token is given: otherwise it may be
// one that has not caught up.
func (a *Agent) prove(ctx context.Context) error {
	connected := make(chan error, 1)
	go func() { connected <- a.conn.Wait(ctx) }()
	for {
		select {
		case err := <-connected:
			if err != nil {
				return err
			}
			return a.verify(ctx)
		case err := <-a.refused:
			if a.cfg.Token != "" {
				return schema.Wrap(schema.Denied, err, "core at %s refuses this agent: the token was used, has expired, or is not of this core: "+
					"make a new one with `berth server join-token NAME`", hostOf(a.join.Core))
			}
			a.sayRefused(err)
			a.otherKey()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (a *Agent) verify(ctx context.Context) error {
	var hello schema.HelloResp
	for attempt := 1; ; attempt++ {
		var err error
		if hello, err = a.verifyCore(ctx, a.conn); err == nil {
			break
		}
		if code := schema.CodeOf(err); code == schema.Denied || code == schema.Invalid {
			return err
		}
		if err := bus.Sleep(ctx, min(bus.Backoff(attempt), 2*time.Second)); err != nil { // core listens before it serves
			return err
		}
	}
	if a.key == newKeyFile { // core knows it now, and the one before no more
		if err := os.Rename(filepath.Join(a.cfg.Data, newKeyFile), filepath.Join(a.cfg.Data, keyFile)); err != nil {
			return fmt.Errorf("keep the new key: %w", err)
		}
	}
	a.joining.Lock()
	a.join.Name = hello.Server.Name
	err := a.saveJoin()
	a.joining.Unlock()
	if err != nil {
		return err
	}
	a.log.Info("joined", "server", hello.Server.Name, "core", hello.Version)
	if a.cfg.Ready != nil {
		a.cfg.Ready()
	}
	return nil
}

func hostOf(address string) string {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		return u.Host
	}
	return address
}

// poke wakes who waits on ch; one wake is enough.
func (a *Agent) poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// LogLibraries sends what libraries write to their process-wide loggers to log, not
// to standard error. The program calls it once, at its start.
func LogLibraries(log *slog.Logger) { compose.LogWarnings(log) }

// Joined reports whether the agent that keeps its things in the data folder has
// joined a core already.
func Joined(data string) bool {
	_, err := os.Stat(filepath.Join(data, "core.json"))
	return err == nil
}
