package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
	"github.com/nats-io/nkeys"

	"berth/schema"
)

// Options say who connects where. Agents set Agent; core sets InProcess or URL.
type Options struct {
	// URL of core or of a NATS server: https, http, wss, ws, tls or nats; several
	// of the last two separated by commas. Not used with InProcess.
	URL string
	// Seed is the nkey seed of the principal ("SU…").
	Seed []byte
	// Agent is the agent's id; empty for core.
	Agent string
	// Token is a join token's secret, sent until the key is known to core.
	Token string
	// Inbox is the inbox prefix; default: the agent's, or core's.
	Inbox string
	// Pin lists accepted SHA-256 digests (hex) of the server's public key. With a
	// pin no certificate authority is asked. Two allow a rotation.
	Pin []string
	// Pins, if set, is asked at every connection instead of Pin.
	Pins func() []string
	// Name shows in the server's list of connections.
	Name string
	// Metadata of the agent's service: host name, version.
	Metadata map[string]string
	// InProcess connects without a socket.
	InProcess nats.InProcessConnProvider
	// AllowPlaintext permits ws:// and nats:// beyond loopback. Everybody on the
	// path can then read what core sends, secrets included.
	AllowPlaintext bool
	// Allowed are the networks in which the other side may be; any when empty.
	Allowed []netip.Prefix
	// Proxy is the URL of an HTTP forward proxy (CONNECT) to go through.
	Proxy string
	// OnConnect is called after every connection made, the first included. It and
	// the next two run one after the other and must not block for long.
	OnConnect func(*Conn)
	// OnDisconnect is called after every connection lost.
	OnDisconnect func(error)
	// OnRefused is called when core refuses the key or the token.
	OnRefused func(error)
	Log       *slog.Logger
}

// Conn is one principal's connection to the bus.
type Conn struct {
	nc    *nats.Conn
	js    jetstream.JetStream
	agent string
	log   *slog.Logger
	meta  map[string]string
	slots chan struct{}  // bounds handlers
	work  sync.WaitGroup // handlers and the outbox
	out   *outbox
	line  line
	key   keyring
	life  func() (context.Context, context.CancelFunc) // a ctx that ends with the Conn
	end   context.CancelFunc

	mu      sync.Mutex // guards what follows
	service micro.Service
	closed  bool
}

const (
	maxHandlers  = 64
	defaultWait  = 15 * time.Second
	dialTimeout  = 20 * time.Second
	pingInterval = 25 * time.Second
)

// Dial connects. An agent's Dial returns although nobody answers yet and keeps
// trying, with full jitter up to 30 seconds, until Close; Wait tells when it is
// through. In-process it returns connected or fails. ctx bounds the call only.
// Invalid options and plaintext beyond loopback are refused with schema.Invalid.
func Dial(ctx context.Context, o Options) (*Conn, error) {
	if o.Agent != "" {
		if err := checkTokens(o.Agent); err != nil {
			return nil, err
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	base, end := context.WithCancel(context.WithoutCancel(ctx))
	c := &Conn{
		agent: o.Agent, log: o.Log, meta: o.Metadata, end: end,
		slots: make(chan struct{}, maxHandlers),
		life:  func() (context.Context, context.CancelFunc) { return context.WithCancel(base) },
	}
	c.out = newOutbox(c)
	ready := make(chan struct{})
	defer close(ready)
	opts, err := natsOptions(o, c, ready)
	if err != nil {
		end()
		return nil, err
	}
	nc, err := opts.Connect()
	if err != nil {
		end()
		return nil, schema.Wrap(schema.Unavailable, err, "connect to %s", o.target())
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		end()
		return nil, fmt.Errorf("open jetstream: %w", err)
	}
	c.nc, c.js = nc, js
	return c, nil
}

func (o Options) target() string {
	if o.InProcess != nil {
		return "the embedded server"
	}
	return o.URL
}

// Close ends the connection and everything that runs on it, and waits for both.
func (c *Conn) Close() {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	c.mu.Unlock()
	c.end()
	c.nc.Close()
	c.work.Wait()
}

// start runs fn as work that Close waits for; false when the Conn is closed.
func (c *Conn) start(fn func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.work.Go(fn)
	return true
}

// Agent returns the id of the agent whose connection it is; empty for core.
func (c *Conn) Agent() string { return c.agent }

// Connected reports whether the connection stands now.
func (c *Conn) Connected() bool { return c.nc.IsConnected() }

// JetStream is for core/store, which builds the buckets.
func (c *Conn) JetStream() jetstream.JetStream { return c.js }

// NATS is the connection below, for the few who need more than this package.
func (c *Conn) NATS() *nats.Conn { return c.nc }

// Wait returns when the connection stands and the server has answered, or with
// ctx's end as schema.Unavailable.
func (c *Conn) Wait(ctx context.Context) error {
	changed := c.nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer c.nc.RemoveStatusListener(changed)
	for !c.nc.IsClosed() {
		// It may stand only in our eyes: the answer to a ping is what counts.
		if c.nc.IsConnected() && c.answers(ctx) {
			return nil
		}
		select {
		case <-ctx.Done():
			return schema.Wrap(schema.Unavailable, errors.Join(ctx.Err(), c.nc.LastError()), "connect: no answer from core")
		case <-changed:
		case <-time.After(50 * time.Millisecond):
		}
	}
	return schema.Errorf(schema.Unavailable, "connect: closed")
}

// answers reports whether the server answers a ping. The client library wants a
// deadline for it.
func (c *Conn) answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, defaultWait)
	defer cancel()
	return c.nc.FlushWithContext(ctx) == nil
}

func signer(seed []byte) (string, nats.SignatureHandler, error) {
	kp, err := nkeys.FromSeed(seed)
	if err != nil {
		return "", nil, schema.Wrap(schema.Invalid, err, "read the nkey seed")
	}
	pub, err := kp.PublicKey()
	if err != nil {
		return "", nil, schema.Wrap(schema.Invalid, err, "read the nkey seed")
	}
	return pub, kp.Sign, nil
}
