package hub

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"berth/bus"
)

// Options of the embedded server.
type Options struct {
	// Dir holds JetStream's files and core's identity. Made with mode 0700.
	Dir string
	// Sync is how long an accepted write may stay unsynced; 0 means that each is
	// on disk before it is acknowledged.
	Sync time.Duration
	// Migrate sizes the streams.
	Migrate bus.MigrateOptions
	// MaxStore bounds all streams and buckets together: when 0, twice what the
	// streams may hold, at least 16 GiB.
	MaxStore int64
	// Port of the NATS listener on loopback, for the nats CLI; 0 takes a free one.
	// With TCP set that listener takes its place.
	Port int
	// TCP opens NATS to the network, with TLS.
	TCP *TCPOptions
	// LameDuck is how long Close takes to let agents go one by one; 3 s when 0, at
	// once when negative.
	LameDuck time.Duration
	// MaxLogins is how many websocket logins are admitted at a time: 32 when 0.
	MaxLogins int
	// Admit, if set, may refuse a login that was decided, by where it comes from.
	Admit func(id Identity, addr string) error
	// Bare makes no streams: they are about to be restored.
	Bare bool
	Log  *slog.Logger
}

// TCPOptions describe the public NATS listener.
type TCPOptions struct {
	Addr string      // host:port
	TLS  *tls.Config // required
}

// Hub is the running server.
type Hub struct {
	opts   Options
	srv    *server.Server
	auth   *authenticator
	proxy  *proxy
	seed   []byte // core's identity
	public string
	gate   gate
	core   *bus.Conn
	sys    *bus.Conn
	log    *serverLog
	once   sync.Once
}

const (
	maxPayload  = 1 << 20
	maxConn     = 65536
	maxPending  = 64 << 20
	authTimeout = 15 * time.Second
	startWait   = 60 * time.Second // recovery of a large store after a crash
)

// Start brings up the server, core's own connections, and the streams. Nobody
// else can log in before Open. ctx bounds the call.
func Start(ctx context.Context, o Options) (*Hub, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.TCP != nil && o.TCP.TLS == nil {
		return nil, errors.New("start the bus: the NATS listener needs TLS")
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("start the bus: %w", err)
	}
	seed, err := bus.LoadSeed(filepath.Join(o.Dir, "identity.nk"))
	if err != nil {
		return nil, err
	}
	sysSeed, err := bus.NewSeed()
	if err != nil {
		return nil, err
	}
	h := &Hub{opts: o, seed: seed}
	if h.public, err = bus.PublicKey(seed); err != nil {
		return nil, err
	}
	if h.auth, err = newAuthenticator(ctx, o.Log, h.public, sysSeed); err != nil {
		return nil, err
	}
	raiseFiles(o.Log)
	if err := h.serve(); err != nil {
		return nil, err
	}
	if err := h.connect(ctx, sysSeed); err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

func (h *Hub) serverOptions() *server.Options {
	o := h.opts
	so := &server.Options{
		ServerName: "berth", Host: "127.0.0.1", Port: server.RANDOM_PORT, DontListen: true,
		NoSigs: true, NoLog: true, DisableJetStreamBanner: true,
		MaxPayload: maxPayload, MaxConn: maxConn, MaxSubs: 10000, MaxPending: maxPending,
		WriteDeadline: 10 * time.Second, PingInterval: 25 * time.Second, MaxPingsOut: 2, AuthTimeout: authTimeout.Seconds(),
		JetStream: true, StoreDir: o.Dir, JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: o.MaxStore,
		SyncAlways: o.Sync == 0, SyncInterval: o.Sync,
		Accounts:      []*server.Account{server.NewAccount(bus.AccountSystem), server.NewAccount(bus.AccountFleet)},
		SystemAccount: bus.AccountSystem, AlwaysEnableNonce: true, CustomClientAuthentication: h.auth,
		LameDuckDuration: o.LameDuck, LameDuckGracePeriod: time.Millisecond,
		Websocket: server.WebsocketOpts{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoTLS: true, HandshakeTimeout: 10 * time.Second, AuthTimeout: authTimeout.Seconds()},
	}
	if so.JetStreamMaxStore == 0 {
		so.JetStreamMaxStore = max(16<<30, 2*o.Migrate.Bytes())
	}
	if o.LameDuck == 0 {
		so.LameDuckDuration = 3 * time.Second
	}
	if o.Port > 0 {
		so.Port = o.Port
	}
	if o.TCP != nil {
		host, port, err := net.SplitHostPort(o.TCP.Addr)
		if n, perr := strconv.Atoi(port); err == nil && perr == nil {
			so.Host, so.Port = host, n
		}
		if so.Host == "" {
			so.Host = "0.0.0.0"
		}
		if so.Port == 0 {
			so.Port = server.RANDOM_PORT
		}
		so.TLSConfig, so.TLSTimeout = o.TCP.TLS, 10
	}
	return so
}

// serve starts the server without its TCP listener.
func (h *Hub) serve() error {
	srv, err := server.NewServer(h.serverOptions())
	if err != nil {
		return fmt.Errorf("start the bus: %w", err)
	}
	h.srv, h.auth.srv = srv, srv
	h.proxy = newProxy(h.opts.MaxLogins, h.opts.Log)
	h.auth.decided, h.auth.origin, h.auth.admit = h.proxy.loggedIn, h.proxy.origin, h.opts.Admit
	h.log = &serverLog{lost: make(chan error, 1), log: h.opts.Log, who: h.auth.loggedIn}
	srv.SetLoggerV2(h.log, false, false, false)
	srv.Start()
	if !srv.ReadyForConnections(startWait) || h.log.fatal.Load() != nil {
		srv.Shutdown()
		return fmt.Errorf("start the bus in %s: %w", h.opts.Dir, h.log.cause())
	}
	acc, err := srv.LookupAccount(bus.AccountFleet)
	if err != nil {
		srv.Shutdown()
		return fmt.Errorf("start the bus: account %s: %w", bus.AccountFleet, err)
	}
	if err := acc.EnableJetStream(nil, nil); err != nil {
		srv.Shutdown()
		return fmt.Errorf("start the bus: recover the store in %s: %w", h.opts.Dir, err)
	}
	if err := passRequests(acc); err != nil {
		srv.Shutdown()
		return fmt.Errorf("start the bus: %w", err)
	}
	return nil
}

// connect makes core's connections and the streams.
func (h *Hub) connect(ctx context.Context, sysSeed []byte) error {
	var err error
	if h.core, err = h.Dial(ctx, "core"); err != nil {
		return err
	}
	if !h.opts.Bare {
		if err := bus.Migrate(ctx, h.core, h.opts.Migrate); err != nil {
			return err
		}
	}
	h.sys, err = bus.Dial(ctx, bus.Options{Seed: sysSeed, Name: "core presence", InProcess: h.srv, Log: h.opts.Log})
	if err != nil {
		return fmt.Errorf("connect core to the bus: %w", err)
	}
	return h.auth.follow(h.sys.NATS())
}

// Dial makes a further connection of core's own, in-process, with core's key.
func (h *Hub) Dial(ctx context.Context, name string) (*bus.Conn, error) {
	c, err := bus.Dial(ctx, bus.Options{Seed: h.seed, Name: name, InProcess: through{h.srv, &h.gate}, Log: h.opts.Log})
	if err != nil {
		return nil, fmt.Errorf("connect core to the bus: %w", err)
	}
	return c, nil
}

// InProcess lets a principal of this process connect without a socket: the agent
// inside `berth up`.
func (h *Hub) InProcess() nats.InProcessConnProvider { return h.srv }

// Conn is core's connection; it ends with the Hub.
func (h *Hub) Conn() *bus.Conn { return h.core }

// Seed is core's identity: agents pin its public half.
func (h *Hub) Seed() []byte { return h.seed }

// PublicKey is the public half of core's identity.
func (h *Hub) PublicKey() string { return h.public }

// Open opens the doors: from now on reg decides who may come in.
func (h *Hub) Open(reg Registry) error {
	h.auth.open(reg, NewDecide(reg, h.public))
	h.srv.AcceptLoop(make(chan struct{})) // returns once the listener stands
	if h.srv.Addr() == nil {
		return fmt.Errorf("open the bus: %w", h.log.cause())
	}
	h.proxy.open(h.srv.WebsocketURL())
	return nil
}

// URL is the address of the NATS listener.
func (h *Hub) URL() string {
	scheme := "nats"
	if h.opts.TCP != nil {
		scheme = "tls"
	}
	if a := h.srv.Addr(); a != nil {
		return scheme + "://" + a.String()
	}
	return ""
}

// Lost tells when the store cannot be written to any more: its disk is full or
// broken. Only a new start mends that; the hub still reads.
func (h *Hub) Lost() <-chan error { return h.log.lost }

// Handler takes agents' websockets: mount it at bus.WSPath of core's HTTP port.
func (h *Hub) Handler() http.Handler { return h.proxy }

// Kick ends all connections of a key at once. Revoke it first, or it comes back.
func (h *Hub) Kick(nkey string) { h.auth.kick(nkey) }

// OnPresence calls fn when an agent's first connection comes up and its last one
// ends, one after the other, beginning with those who are here. Set it once,
// before Open.
func (h *Hub) OnPresence(fn func(id string, online bool)) { h.auth.onPresence(fn) }

// Online reports whether an agent is connected now.
func (h *Hub) Online(id string) bool { return h.auth.online(id) }

// Close lets the agents go one by one, stops the server and waits for it.
func (h *Hub) Close() {
	h.once.Do(func() {
		h.proxy.close()
		if h.sys != nil {
			h.sys.Close()
		}
		if h.core != nil {
			h.core.Close()
		}
		if h.opts.LameDuck >= 0 {
			h.srv.LameDuckShutdown() // a no-op before Open
		}
		h.srv.Shutdown()
		h.srv.WaitForShutdown()
	})
}
