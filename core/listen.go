package core

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"berth/bus"
	"berth/core/api"
	"berth/schema"
	"berth/ui"
)

// checkConfig refuses what would open core without protection.
func (c *core) checkConfig() error {
	if c.cfg.Data == "" {
		return schema.Errorf(schema.Invalid, "no data folder: give --data DIR")
	}
	dir, err := filepath.Abs(c.cfg.Data)
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	c.cfg.Data = dir
	if err := os.MkdirAll(filepath.Join(dir, "core"), 0o700); err != nil {
		return schema.Wrap(schema.Invalid, err, "make data folder: %v", err)
	}
	if err := c.cfg.SignIn.check(); err != nil {
		return err
	}
	if err := c.cfg.ACME.check(c.cfg.CertFile); err != nil {
		return err
	}
	if _, _, err := net.SplitHostPort(c.cfg.Listen); err != nil {
		return schema.Errorf(schema.Invalid, "listen address %q: want HOST:PORT or :PORT", c.cfg.Listen)
	}
	return nil
}

// listen opens the one port. It speaks HTTPS, and plain HTTP on the same port: to
// this machine and to configured proxies always, to others only when allowed.
func (c *core) listen(ctx context.Context, g *errgroup.Group) error {
	pages, err := ui.New(c.pages())
	if err != nil {
		return err
	}
	g.Go(func() error { return pages.Run(ctx) })
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", c.cfg.Listen)
	if err != nil {
		return notListening(err, c.cfg.Listen)
	}
	c.cfg.Listen = l.Addr().String()
	secure, plain := newHalf(l.Addr()), newHalf(l.Addr())
	g.Go(func() error { return split(ctx, l, secure, plain, c.cfg.Log) })
	handler := c.routes(pages)
	server := func(h http.Handler) *http.Server {
		return &http.Server{
			Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
			BaseContext: func(net.Listener) context.Context { return ctx },
			TLSConfig:   c.tls.config(),
		}
	}
	tlsServer, plainServer := server(handler), server(c.tls.challenges(c.guardPlain(handler)))
	g.Go(func() error { return served(tlsServer.ServeTLS(secure, "", "")) })
	g.Go(func() error { return served(plainServer.Serve(plain)) })
	c.ready(ctx)
	<-ctx.Done()
	_ = l.Close()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_ = errors.Join(tlsServer.Shutdown(end), plainServer.Shutdown(end)) // streams do not end by themselves
	return errors.Join(tlsServer.Close(), plainServer.Close())
}

func notListening(err error, addr string) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return schema.Wrap(schema.Conflict, err, "listen on %s: another program has this port, perhaps another core: end it, or choose a port with --listen", addr)
	}
	return schema.Wrap(schema.Invalid, err, "listen on %s: %v", addr, errors.Unwrap(err))
}

func served(err error) error {
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// ready tells whoever started core that it serves, and prints the setup link.
func (c *core) ready(ctx context.Context) {
	info := Info{
		Addr: c.cfg.Listen, URL: c.address(), InProcess: c.hub.InProcess(),
		Join: func(ctx context.Context, server string) (string, error) { return c.joinToken(ctx, "core", server) },
	}
	if token := c.gate.Invite(ctx); token != "" {
		info.Setup = c.pageAddress() + "/setup?token=" + token
		c.cfg.Log.Info("create the first administrator with this link; it is good once", "url", info.Setup)
	}
	c.cfg.Log.Info("Public Key", "key", c.signer.Public()) // in Komodo's words: people grep for it
	c.cfg.Log.Info("core serves", "listen", info.Addr, "url", c.pageAddress(), "version", c.cfg.Version)
	if c.cfg.Ready != nil {
		c.cfg.Ready(info)
	}
}

// routes puts all doors onto one port.
func (c *core) routes(pages http.Handler) http.Handler {
	mux := http.NewServeMux()
	for _, p := range api.Routes() {
		mux.Handle(p, c.api)
	}
	mux.Handle("/listener/", c.webhooks)
	mux.Handle(bus.WSPath, c.fromPeer(c.hub.Handler()))
	mux.Handle("/", pages)
	return mux
}

// guardPlain refuses unencrypted requests from beyond this machine, unless they
// come through a configured proxy or it was allowed by a flag that names the risk.
func (c *core) guardPlain(next http.Handler) http.Handler {
	if c.cfg.AllowPlaintext {
		c.cfg.Log.Warn("plain HTTP is served beyond this machine: passwords and keys can be read on the way")
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.near(r.RemoteAddr) {
			next.ServeHTTP(w, r)
			return
		}
		if r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html") {
			http.Redirect(w, r, "https://"+r.Host+r.URL.RequestURI(), http.StatusTemporaryRedirect)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"error":"plain HTTP is refused beyond this machine: use https:// on the same port, a proxy named by --trusted-proxy, or start core with --allow-plaintext","trace":[]}` + "\n"))
	})
}

// near reports whether a peer is this machine or a configured proxy.
func (c *core) near(remote string) bool {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	addr := ap.Addr().Unmap()
	if addr.IsLoopback() {
		return true
	}
	for _, p := range c.cfg.Proxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
