package bus

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"berth/schema"
)

func natsOptions(o Options, c *Conn, ready <-chan struct{}) (nats.Options, error) {
	opts := nats.GetDefaultOptions()
	pub, sign, err := signer(o.Seed)
	if err != nil {
		return opts, err
	}
	c.key.public, c.key.sign = pub, sign
	opts.Nkey, opts.SignatureCB = pub, c.key.signNonce
	opts.ReconnectToServerCB = func([]nats.Server, nats.ServerInfo) (*nats.Server, time.Duration) { c.beforeReconnect(); return nil, 0 }
	opts.Name, opts.Token = o.Name, o.Token
	opts.Timeout, opts.PingInterval, opts.MaxPingsOut = dialTimeout, pingInterval, 2
	opts.AllowReconnect, opts.MaxReconnect = true, -1
	opts.IgnoreAuthErrorAbort, opts.IgnoreDiscoveredServers = true, true
	opts.ReconnectBufSize = -1 // stale publishes must not be replayed: there is an outbox
	opts.CustomReconnectDelayCB = Backoff
	opts.InboxPrefix = o.inbox()
	handlers(&opts, o, c, ready)
	if o.InProcess != nil {
		opts.InProcessServer = o.InProcess
		return opts, nil
	}
	opts.RetryOnFailedConnect = true
	return opts, endpoint(&opts, o)
}

func (o Options) inbox() string {
	switch {
	case o.Inbox != "":
		return o.Inbox
	case o.Agent != "":
		return Inbox(o.Agent)
	}
	return InboxCore
}

func handlers(opts *nats.Options, o Options, c *Conn, ready <-chan struct{}) {
	connected := func(*nats.Conn) {
		<-ready
		o.Log.Info("connected to the bus", "to", o.target())
		if o.OnConnect != nil {
			o.OnConnect(c)
		}
	}
	opts.ConnectedCB, opts.ReconnectedCB = connected, connected
	opts.DisconnectedErrCB = func(nc *nats.Conn, err error) {
		<-ready
		c.line.lost()
		if nc.IsClosed() {
			return
		}
		o.Log.Warn("lost the bus", "to", o.target(), "err", err)
		if o.OnDisconnect != nil {
			o.OnDisconnect(err)
		}
	}
	opts.AsyncErrorCB = func(_ *nats.Conn, sub *nats.Subscription, err error) {
		<-ready
		subject := ""
		if sub != nil {
			subject = sub.Subject
		}
		o.Log.Warn("bus error", "subject", subject, "err", err)
		if refused(err) && o.OnRefused != nil {
			o.OnRefused(err)
		}
	}
	opts.ReconnectErrCB = func(_ *nats.Conn, err error) {
		<-ready
		o.Log.Warn("connect to the bus", "to", o.target(), "err", err)
		if refused(err) && o.OnRefused != nil {
			o.OnRefused(err)
		}
	}
}

func refused(err error) bool {
	return errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) ||
		errors.Is(err, nats.ErrAuthRevoked) || errors.Is(err, nats.ErrAccountAuthExpired)
}

// endpoint sets servers, TLS and proxy from o.URL.
func endpoint(opts *nats.Options, o Options) error {
	secure := false
	for raw := range strings.SplitSeq(o.URL, ",") {
		u, err := busURL(strings.TrimSpace(raw))
		if err != nil {
			return err
		}
		tlsScheme := u.Scheme == "wss" || u.Scheme == "tls"
		secure = secure || tlsScheme
		if !tlsScheme && !o.AllowPlaintext && !loopback(u.Hostname()) {
			return schema.Errorf(schema.Invalid, "connect to %s: without TLS everybody on the way can read secrets: "+
				"use https:// (or tls://), or allow plaintext if the network is yours alone", raw)
		}
		if u.Scheme == "ws" || u.Scheme == "wss" {
			opts.ProxyPath, u.Path = u.Path, ""
		}
		opts.Servers = append(opts.Servers, u.String())
	}
	if secure {
		opts.Secure, opts.TLSConfig = true, pinned(o)
	}
	if o.Proxy != "" {
		p, err := url.Parse(o.Proxy)
		if err != nil || p.Host == "" || p.Scheme != "http" {
			return schema.Errorf(schema.Invalid, "proxy: must look like http://host:port")
		}
		if len(o.Allowed) > 0 {
			return schema.Errorf(schema.Invalid, "allowed_ips: through a proxy core's address cannot be seen: give one of the two")
		}
		opts.CustomDialer, opts.SkipHostLookup = proxyDialer{proxy: p}, true
	}
	if len(o.Allowed) > 0 {
		opts.CustomDialer, opts.SkipHostLookup = AllowedDialer(o.Allowed), true
	}
	return nil
}

// allowedDialer connects to addresses in some networks only.
type allowedDialer struct{ net.Dialer }

// AllowedDialer connects only to addresses that are in one of the networks, whatever
// a name leads to.
func AllowedDialer(allowed []netip.Prefix) interface {
	Dial(network, address string) (net.Conn, error)
} {
	d := &allowedDialer{net.Dialer{Timeout: dialTimeout}}
	d.Control = func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("address %s: %w", address, err)
		}
		addr := ap.Addr().Unmap().WithZone("")
		if !slices.ContainsFunc(allowed, func(p netip.Prefix) bool { return p.Contains(addr) }) {
			return schema.Errorf(schema.Denied, "core is at %s, which is not among allowed_ips", addr)
		}
		return nil
	}
	return d
}

// CheckAddress refuses what is no address of a core, with schema.Invalid.
func CheckAddress(raw string) error {
	_, err := busURL(raw)
	return err
}

// busURL maps what users write to what NATS dials.
func busURL(raw string) (*url.URL, error) {
	if !strings.Contains(raw, "://") {
		raw = "https://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" {
		return nil, schema.Errorf(schema.Invalid, "address of core %q: must look like https://host:9120", raw)
	}
	switch u.Scheme {
	case "https", "wss":
		u.Scheme = "wss"
	case "http", "ws":
		u.Scheme = "ws"
	case "nats", "tls":
		return u, nil
	default:
		return nil, schema.Errorf(schema.Invalid, "address of core %q: scheme must be https, http, wss, ws, tls or nats", raw)
	}
	if !strings.HasSuffix(u.Path, WSPath) {
		u.Path = strings.TrimRight(u.Path, "/") + WSPath
	}
	return u, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// pinned returns a TLS configuration that accepts only the pinned public keys,
// or what the system trusts when there is no pin.
func pinned(o Options) *tls.Config {
	pins := func() []string { return o.Pin }
	if o.Pins != nil {
		pins = o.Pins
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(pins()) == 0 {
		return cfg
	}
	cfg.InsecureSkipVerify = true // the pin below takes the place of the chain
	cfg.VerifyConnection = func(cs tls.ConnectionState) error {
		if len(cs.PeerCertificates) == 0 {
			return errors.New("core presents no certificate")
		}
		got := SPKIPin(cs.PeerCertificates[0].RawSubjectPublicKeyInfo)
		if !slices.Contains(pins(), got) {
			return fmt.Errorf("core's key %s is not the pinned one", got)
		}
		return nil
	}
	return cfg
}

// SPKIPin is the pin of a certificate's RawSubjectPublicKeyInfo: SHA-256 in hex.
func SPKIPin(spki []byte) string {
	sum := sha256.Sum256(spki)
	return hex.EncodeToString(sum[:])
}

// proxyDialer goes through an HTTP forward proxy.
type proxyDialer struct{ proxy *url.URL }

// Dial asks the proxy to connect to address.
func (d proxyDialer) Dial(network, address string) (net.Conn, error) {
	conn, err := net.DialTimeout(network, d.proxy.Host, dialTimeout) //nolint:noctx // the client library hands no context to its dialer
	if err != nil {
		return nil, fmt.Errorf("dial proxy %s: %w", d.proxy.Host, err)
	}
	_ = conn.SetDeadline(time.Now().Add(dialTimeout))
	if err := d.connect(conn, address); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, conn.SetDeadline(time.Time{})
}

func (d proxyDialer) connect(conn net.Conn, address string) error {
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{}}
	if u := d.proxy.User; u != nil {
		pass, _ := u.Password()
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+pass)))
	}
	if err := req.Write(conn); err != nil {
		return fmt.Errorf("ask proxy %s: %w", d.proxy.Host, err)
	}
	// The far side speaks only after us (TLS, HTTP) except plain NATS, whose INFO
	// may follow at once: read byte by byte to leave it alone.
	resp, err := http.ReadResponse(bufio.NewReaderSize(oneByte{conn}, 16), req)
	if err != nil {
		return fmt.Errorf("read answer of proxy %s: %w", d.proxy.Host, err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("proxy %s refuses %s: %s", d.proxy.Host, address, resp.Status)
	}
	return nil
}

type oneByte struct{ net.Conn }

func (o oneByte) Read(p []byte) (int, error) { return o.Conn.Read(p[:min(len(p), 1)]) }

// unreachable gives errors of the transport their code.
func unreachable(err error, what string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrDisconnected),
		errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrConnectionReconnecting), errors.Is(err, nats.ErrNoServers):
		return schema.Wrap(schema.Unavailable, err, "%s: not connected", what)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return schema.Wrap(schema.Expired, err, "%s: no answer in time", what)
	case errors.Is(err, nats.ErrMaxPayload):
		return schema.Wrap(schema.TooLarge, err, "%s: larger than 1 MiB", what)
	}
	return fmt.Errorf("%s: %w", what, err)
}
