package core

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
)

func TestOnePortSpeaksBoth(t *testing.T) {
	id, err := openIdentity(t.TempDir(), "", "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var g errgroup.Group
	secure, plain := newHalf(l.Addr()), newHalf(l.Addr())
	g.Go(func() error { return split(ctx, l, secure, plain, slog.New(slog.DiscardHandler)) })
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS != nil {
			_, _ = io.WriteString(w, "tls "+r.Proto)
			return
		}
		_, _ = io.WriteString(w, "plain")
	})
	ts, ps := &http.Server{Handler: h, TLSConfig: id.config()}, &http.Server{Handler: h}
	g.Go(func() error { return served(ts.ServeTLS(secure, "", "")) })
	g.Go(func() error { return served(ps.Serve(plain)) })
	get := func(url string) string {
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}}
		defer c.CloseIdleConnections()
		resp, err := c.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return string(b)
	}
	if got := get("http://" + l.Addr().String()); got != "plain" {
		t.Error(got)
	}
	if got := get("https://" + l.Addr().String()); got != "tls HTTP/2.0" {
		t.Error(got)
	}
	cancel()
	_ = l.Close()
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

func TestPlainIsForThisMachineAndProxies(t *testing.T) {
	c := &core{cfg: Config{Log: slog.New(slog.DiscardHandler), Proxies: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}}}
	for remote, want := range map[string]bool{
		"127.0.0.1:5": true, "[::1]:5": true, "[::ffff:127.0.0.1]:5": true, "10.1.2.3:5": true, "10.2.0.1:5": false, "192.168.1.4:5": false, "nonsense": false,
	} {
		if got := c.near(remote); got != want {
			t.Errorf("near(%s) = %v", remote, got)
		}
	}
}

func TestIdentityStaysAndIsPrivate(t *testing.T) {
	dir := t.TempDir()
	a, err := openIdentity(dir, "", "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	b, err := openIdentity(dir, "", "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if len(a.pins()) != 1 || strings.Join(a.pins(), "") != strings.Join(b.pins(), "") {
		t.Errorf("pins %v, then %v", a.pins(), b.pins())
	}
	if _, err := openIdentity(dir, "only.crt", "", slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a certificate without a key is accepted")
	}
}
