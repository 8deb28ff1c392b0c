package core

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"berth/bus"
	"berth/bus/hub"
	"berth/core/access"
	"berth/core/alert"
	"berth/core/api"
	"berth/core/backup"
	"berth/core/execution"
	"berth/core/history"
	"berth/core/monitor"
	"berth/core/resource"
	"berth/core/run"
	"berth/core/schedule"
	"berth/core/script"
	"berth/core/store"
	"berth/core/sync"
	"berth/core/update"
	"berth/core/webhook"
	"berth/git"
	"berth/schema"
)

// Config is what core is started with.
type Config struct {
	Data   string // folder of everything core keeps
	Listen string // address of the one HTTP(S) port
	// URL is how people and agents reach core, when it is not the listen address:
	// behind a proxy or NAT.
	URL string
	// Sync is how long an accepted write may stay unsynced; 0 is not at all.
	Sync time.Duration
	// NATSListen opens NATS with TLS to the network, for agents and operators.
	NATSListen string
	// CertFile and KeyFile are the TLS certificate; without them core makes its own.
	CertFile, KeyFile string
	ACME              ACME // or an authority gives it one
	// AllowPlaintext serves unencrypted HTTP beyond this machine.
	AllowPlaintext bool
	Proxies        []netip.Prefix // whose forwarded headers are believed
	WebhookSecret  string         // of targets without their own
	AdminUsername  string         // the first administrator, made if there is no user
	AdminPassword  string
	Title          string
	CORS           api.CORS // pages of other origins that may call core
	// TransparentMode lets every user read everything.
	TransparentMode bool
	// DisableNonAdminCreate lets only administrators create resources.
	DisableNonAdminCreate bool
	// SystemProcedures makes the procedures that Komodo makes, in a store nobody used yet.
	SystemProcedures bool
	Zone             string        // IANA name of the zone of schedules that name none; empty is the machine's own
	Poll             time.Duration // how often the sources of syncs are looked at; 0 is 5 minutes, below 0 never
	Accounts         Accounts
	SignIn           SignIn
	Backup           Backups
	Beside           map[string]string // further files of the data folder that a backup holds, see backup.Source
	Effective        []byte            // this configuration as a file, for backups; it holds secrets
	Version          string
	Log              *slog.Logger
	clock            schedule.Clock // of schedules; the machine's when nil
	// Ready, if set, is called when core serves.
	Ready func(Info)
}

// Accounts are logins at git hosts and registries that the configuration names.
type Accounts struct {
	Git, Registry []Account
}

// Account is a login at a provider.
type Account struct {
	Provider string
	Username string
	Token    string
	HTTP     bool
}

// Info is what a running core says of itself.
type Info struct {
	Addr      string // of the port, as it was bound
	URL       string
	Setup     string // link that makes the first administrator; empty when there is one
	InProcess nats.InProcessConnProvider
	// Join makes a join token for a server, creating the server if need be.
	Join func(ctx context.Context, server string) (token string, err error)
}

// core is the wired program.
type core struct {
	cfg        Config
	hub        *hub.Hub
	conn       *bus.Conn
	sealer     *store.Sealer
	principals *store.Principals
	onboard    *store.Bucket[onboardKey]
	attempts   *attempts
	registry   *resource.Registry
	kinds      kinds
	deployed   *store.Bucket[schema.Deployed]
	repoState  *store.Bucket[schema.RepoState]
	buildState *store.Bucket[schema.BuildState]
	accounts   *store.Bucket[storedAccount]
	tags       tags
	execution  *execution.Deps
	edits      edits
	seen       *store.Bucket[schema.Seen]
	engine     *run.Engine
	monitor    *monitor.Monitor
	history    *history.History
	alerts     *alert.Alerts
	updates    *store.Bucket[schema.UpdateState]
	checker    *update.Checker
	git        *git.Client
	syncs      *sync.Syncer
	schedules  *schedule.Runner
	gate       *access.Gate
	peers      access.Peers
	journal    *webhook.Journal
	webhooks   *webhook.Handler
	api        *api.API
	changes    *changes
	tls        *identity
	signer     signer
	backups    *backup.Source
}

// Run serves until ctx ends. It fails when the data folder or the port cannot be
// had, and when the configuration would open core to others without protection.
func Run(ctx context.Context, cfg Config) error {
	c := &core{cfg: cfg, changes: newChanges(), attempts: newAttempts()}
	if err := c.checkConfig(); err != nil {
		return err
	}
	unlock, err := lock(filepath.Join(c.cfg.Data, "core"))
	if err != nil {
		return err
	}
	defer unlock()
	if err := finishKeys(c.dir()); err != nil {
		return err
	}
	if c.tls, err = openIdentity(filepath.Join(c.cfg.Data, "core"), cfg.CertFile, cfg.KeyFile, cfg.Log); err != nil {
		return err
	}
	c.tls.useACME(cfg.ACME, c.dir())
	opts := hub.Options{Dir: filepath.Join(c.cfg.Data, "core", "bus"), Sync: cfg.Sync, Admit: c.admitAgent, Log: cfg.Log}
	if cfg.NATSListen != "" {
		opts.TCP = &hub.TCPOptions{Addr: cfg.NATSListen, TLS: c.tls.config()}
	}
	if c.hub, err = hub.Start(ctx, opts); err != nil {
		return err
	}
	defer c.hub.Close()
	c.conn = c.hub.Conn()
	if err := c.signer.load(c.dir(), c.hub.Seed()); err != nil {
		return err
	}
	c.openBackup()
	// What the parts below live on ends before the hub does.
	parts, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := c.open(parts); err != nil {
		return err
	}
	return c.serve(parts)
}

// open makes the parts, in the order in which they need each other.
func (c *core) open(ctx context.Context) error {
	var err error
	if c.sealer, err = store.OpenSealer(filepath.Join(c.cfg.Data, "core")); err != nil {
		return err
	}
	if c.principals, err = store.OpenPrincipals(ctx, c.conn, store.Options{Log: c.cfg.Log}); err != nil {
		return err
	}
	c.principals.OnRevoked(c.hub.Kick)
	if c.onboard, err = store.Open[onboardKey](ctx, c.conn, bus.BucketOnboard, store.Options{Log: c.cfg.Log}); err != nil {
		return err
	}
	resources, err := store.Open[json.RawMessage](ctx, c.conn, bus.BucketResources, store.Options{Log: c.cfg.Log})
	if err != nil {
		return err
	}
	c.registry = resource.NewRegistry(resource.Options{Bucket: resources, Sealer: c.sealer, Now: time.Now, Log: c.cfg.Log})
	c.kinds = register(c.registry)
	c.registry.Watch(c.changes.announce)
	if c.deployed, err = store.Open[schema.Deployed](ctx, c.conn, bus.BucketDeployed, store.Options{History: 1, Log: c.cfg.Log}); err != nil {
		return err
	}
	if c.repoState, err = store.Open[schema.RepoState](ctx, c.conn, bus.BucketRepos, store.Options{History: 1, Log: c.cfg.Log}); err != nil {
		return err
	}
	if c.buildState, err = store.Open[schema.BuildState](ctx, c.conn, bus.BucketBuilds, store.Options{History: 1, Log: c.cfg.Log}); err != nil {
		return err
	}
	if err := errors.Join(c.openAlerts(ctx), c.openUpdates(ctx), c.openAccounts(ctx), c.openTags(ctx), c.openEdits(ctx), c.openSeen(ctx)); err != nil {
		return err
	}
	if err := c.openSyncs(ctx); err != nil {
		return err
	}
	if err := c.openEngine(ctx); err != nil {
		return err
	}
	if err := c.openDoors(ctx); err != nil {
		return err
	}
	if err := c.openSchedules(ctx); err != nil {
		return err
	}
	c.api = api.New(c.apiDeps())
	return nil
}

func (c *core) openEngine(ctx context.Context) error {
	states, err := store.Open[schema.Run](ctx, c.conn, bus.BucketRunState, store.Options{History: 1, Log: c.cfg.Log})
	if err != nil {
		return err
	}
	meta, err := store.Open[run.Checkpoint](ctx, c.conn, bus.BucketActive, store.Options{History: 1, Log: c.cfg.Log})
	if err != nil {
		return err
	}
	leases, err := store.OpenLeases(ctx, c.conn, 1)
	if err != nil {
		return err
	}
	c.monitor = monitor.New(c.changes.announce)
	c.execution = &execution.Deps{Stacks: stacks{c}, Singles: c, Resources: c, Repos: c, Builds: builds{c}, Fleet: builds{c}, Maintenance: maintenance{c}, Alerts: c.alerts, Updates: updates{c}, Scripts: scripts{c}, Runner: script.NewRunner(c.cfg.Log), Syncs: c.syncs, Hosts: hosts{c}}
	c.history = history.New(c.conn, time.Now, c.cfg.Log)
	c.engine = run.New(run.Config{
		Conn: c.conn, States: states, Meta: meta, Leases: leases, Log: c.cfg.Log,
		Actions: actions(c.execution),
		Resolve: c.resolve, Online: c.online, Revoked: c.revoked,
		Permit: func(s schema.Starter, needs access.Level, t schema.Target) error {
			return c.gate.PermitStarter(s, needs, t)
		},
	})
	return nil
}

// online reports whether a server's agent is here; since the zero time when none
// has ever joined.
func (c *core) online(server string) (bool, time.Time) {
	online, since := c.monitor.Online(server)
	if !online && !slices.ContainsFunc(c.principals.List(), func(p hub.Principal) bool { return p.ID == server && !p.Revoked }) {
		since = time.Time{}
	}
	return online, since
}

// revoked says why the agent of a server may not connect any more; "" when it may,
// or when none has ever joined.
func (c *core) revoked(server string) string {
	why := ""
	for _, p := range c.principals.List() {
		switch {
		case p.ID != server:
		case !p.Revoked:
			return ""
		default:
			why = cmp.Or(p.Reason, "revoked")
		}
	}
	return why
}

func (c *core) openDoors(ctx context.Context) error {
	users, err := store.Open[access.User](ctx, c.conn, bus.BucketUsers, store.Options{Log: c.cfg.Log})
	if err != nil {
		return err
	}
	sessions, err := store.Open[access.Session](ctx, c.conn, bus.BucketSessions, store.Options{History: 1, Log: c.cfg.Log})
	if err != nil {
		return err
	}
	keys, err := store.Open[access.Key](ctx, c.conn, bus.BucketKeys, store.Options{Log: c.cfg.Log})
	if err != nil {
		return err
	}
	grants, err := store.Open[access.Grant](ctx, c.conn, bus.BucketGrants, store.Options{Log: c.cfg.Log})
	if err != nil {
		return err
	}
	settings, err := store.Open[access.Setting](ctx, c.conn, bus.BucketSettings, store.Options{Log: c.cfg.Log})
	if err != nil {
		return err
	}
	c.gate, err = access.NewGate(ctx, access.Config{
		Users: users, Sessions: sessions, Keys: keys, Settings: settings, Sealer: c.sealer,
		Grants: grants, Things: c.registry, Transparent: c.cfg.TransparentMode, NoCreate: c.cfg.DisableNonAdminCreate,
		Failures: access.NewFailures(time.Now), Now: time.Now, Log: c.cfg.Log,
		Rules: c.cfg.SignIn.rules(), Providers: c.cfg.SignIn.providers(), Groups: memberships{c}, Host: c.pageHost, Title: c.cfg.Title,
	})
	if err != nil {
		return err
	}
	c.registry.Guard(c.gate)
	c.kinds.groups.Doubt(c.strangers)
	c.peers = access.NewPeers(c.cfg.Proxies)
	if err := c.makeSystemProcedures(ctx); err != nil {
		return err
	}
	if c.cfg.AdminUsername != "" && c.gate.Fresh(ctx) {
		if _, err := c.gate.CreateAdmin(ctx, c.cfg.AdminUsername, c.cfg.AdminPassword); err != nil {
			return fmt.Errorf("create the first administrator: %w", err)
		}
	}
	if c.journal, err = webhook.OpenJournal(ctx, c.conn.JetStream()); err != nil {
		return err
	}
	c.webhooks = webhook.New(webhook.Config{
		Targets: targets{c}, Runs: c.engine, Journal: c.journal, Secret: c.cfg.WebhookSecret,
		Peer: c.peers.Of, Link: c.runURL, Log: c.cfg.Log,
	})
	return nil
}

// serve runs everything that lives, and opens the doors when all is known again.
func (c *core) serve(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.engine.Run(gctx) })
	g.Go(func() error { return c.gate.Run(gctx) })
	g.Go(func() error { return c.history.Run(gctx) })
	g.Go(func() error { return c.relayRuns(gctx) })
	g.Go(func() error { return c.alerts.Run(gctx) })
	g.Go(func() error { return c.runSyncs(gctx) })
	g.Go(func() error { return c.watchFailures(gctx) })
	g.Go(func() error { return c.pruneServers(gctx) })
	g.Go(func() error { return c.expelDeleted(gctx) })
	g.Go(func() error {
		select {
		case err := <-c.hub.Lost():
			return err
		case <-gctx.Done():
			return nil
		}
	})
	g.Go(func() error {
		if err := errors.Join(c.answerAgents(gctx), c.hub.Open(c.principals)); err != nil {
			return err
		}
		g.Go(func() error { return c.webhooks.Run(gctx) })
		g.Go(func() error { return c.schedules.Run(gctx) })
		g.Go(func() error { return c.runStartupActions(gctx) })
		return c.listen(gctx, g)
	})
	err := g.Wait()
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// relayRuns tells pages what the engine says of runs, and syncs when one of theirs
// has ended.
func (c *core) relayRuns(ctx context.Context) error {
	for ch := range c.engine.Watch(ctx) {
		c.changes.announce(ch)
		if ch.Topic != "run" {
			continue
		}
		if rec, err := c.engine.Get(ctx, ch.ID); err == nil && rec.Action == "RunSync" && rec.State.Terminal() {
			c.syncs.Ended(ctx, rec.Target.ID)
		}
	}
	return nil
}

// expelDeleted shuts out the agents of servers that are deleted.
func (c *core) expelDeleted(ctx context.Context) error {
	for ch := range c.changes.watch(ctx) {
		if ch.Topic != "server" {
			continue
		}
		if _, err := c.kinds.servers.Find(ch.ID); schema.CodeOf(err) != schema.NotFound {
			continue
		}
		if err := c.principals.RevokeID(ctx, hub.KindAgent, ch.ID, "its server was deleted"); err != nil && ctx.Err() == nil {
			c.cfg.Log.Error("shut out the agent of a deleted server", "server", ch.ID, "err", err)
		}
		c.monitor.Forget(ch.ID)
		if err := c.history.Forget(ctx, ch.ID); err != nil && ctx.Err() == nil {
			c.cfg.Log.Error("forget the figures of a deleted server", "server", ch.ID, "err", err)
		}
	}
	return nil
}

// answerAgents serves the asks of agents and takes what they say of themselves.
func (c *core) answerAgents(ctx context.Context) error {
	c.hub.OnPresence(func(id string, online bool) {
		c.monitor.Presence(id, online)
		_, since := c.monitor.Online(id)
		c.engine.Presence(ctx, id, online, since)
	})
	return errors.Join(
		c.answerOperators(), //nolint:contextcheck // answers live as long as the connection
		c.conn.OnStatus(c.heard),
		bus.ServeHello(c.conn, c.signer.Seed, c.cfg.Version, c.hello), //nolint:contextcheck // answers live as long as the connection
		bus.Serve(c.conn, schema.AskPending, c.engine.Pending),
		bus.Serve(c.conn, schema.AskBegin, c.engine.Begin),
		bus.Serve(c.conn, schema.AskRenew, c.engine.Renew),
		bus.Serve(c.conn, schema.AskSecrets, c.secrets),
		bus.Serve(c.conn, schema.AskSee, func(_ context.Context, agent string, st schema.AgentStatus) (struct{}, error) {
			c.heard(agent, st)
			return struct{}{}, nil
		}),
		bus.Serve(c.conn, schema.AskAdopt, c.adopt),
		bus.Serve(c.conn, schema.AskKeyAdd, func(ctx context.Context, agent string, req schema.KeyReq) (struct{}, error) {
			return struct{}{}, c.principals.AddKey(ctx, agent, req.NKey)
		}),
		bus.Serve(c.conn, schema.AskKeyKeep, func(ctx context.Context, agent string, req schema.KeyReq) (struct{}, error) {
			return struct{}{}, c.principals.KeepKey(ctx, agent, req.NKey)
		}),
	)
}

// heard takes what an agent says of itself.
func (c *core) heard(id string, st schema.AgentStatus) {
	c.monitor.Status(id, st)
	r, err := c.kinds.servers.Masked(id)
	if err != nil {
		return
	}
	if shown := shownStatus(r.Config, &st); shown.Stats != nil {
		c.history.Take(id, shown.Stats)
	}
}

// hello says to an agent which server it is.
func (c *core) hello(_ context.Context, agent string) (schema.Target, error) {
	return c.kinds.servers.Find(agent)
}
