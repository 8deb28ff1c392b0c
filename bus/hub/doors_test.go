package hub_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"berth/bus"
	"berth/bus/bustest"
	"berth/bus/hub"
	"berth/schema"
)

// certificate makes a self-signed certificate and its pin.
func certificate(t testing.TB) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, bus.SPKIPin(leaf.RawSubjectPublicKeyInfo)
}

// https serves the hub's door behind TLS with h2 and short timeouts, as core does.
func https(t testing.TB, b *bustest.Bus) (url, pin string) {
	t.Helper()
	cert, pin := certificate(t)
	mux := http.NewServeMux()
	mux.Handle(bus.WSPath, b.Hub.Handler())
	srv := httptest.NewUnstartedServer(mux)
	srv.EnableHTTP2 = true
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	srv.Config.ReadTimeout, srv.Config.WriteTimeout = time.Second, time.Second
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv.URL, pin
}

func TestWebsocketThroughCoresPort(t *testing.T) {
	b := bustest.New(t)
	url, pin := https(t, b)
	o := b.AgentOptions(t, agentA)
	o.URL, o.Pin = url, []string{strings.Repeat("0", 64), pin}
	drops := make(chan error, 1)
	o.OnDisconnect = func(err error) { drops <- err }
	c := b.Dial(t, o)
	if err := bus.ServeHello(b.Core, b.Hub.Seed, "1", func(context.Context, string) (schema.Target, error) { return schema.Target{Name: "lxc"}, nil }); err != nil {
		t.Fatal(err)
	}
	bustest.Eventually(t, 20*time.Second, "core says hello", func() bool { // the server hears of what core serves a little later
		hello, err := bus.VerifyCore(t.Context(), c, b.Hub.PublicKey())
		return err == nil && hello.Server.Name == "lxc"
	})
	if _, err := bus.VerifyCore(t.Context(), c, bustest.Public(t, bustest.Seed(t))); schema.CodeOf(err) != schema.Denied {
		t.Errorf("another core: %v", err)
	}
	select { // the HTTP server's timeouts must not cut it
	case err := <-drops:
		t.Errorf("dropped: %v", err)
	case <-time.After(1500 * time.Millisecond):
	}
	if _, err := bus.VerifyCore(t.Context(), c, b.Hub.PublicKey()); err != nil {
		t.Error(err)
	}
}

func TestPinnedKeyIsTheOnlyOne(t *testing.T) {
	b := bustest.New(t)
	url, _ := https(t, b)
	for name, pin := range map[string][]string{"wrong pin": {strings.Repeat("0", 64)}, "no pin, unknown authority": nil} {
		t.Run(name, func(t *testing.T) {
			o := b.AgentOptions(t, agentA)
			o.URL, o.Pin = url, pin
			c, err := bus.Dial(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			if err := c.Wait(ctx); schema.CodeOf(err) != schema.Unavailable || c.Connected() {
				t.Errorf("connected: %v", err)
			}
		})
	}
}

func TestPlaintextBeyondLoopbackIsRefused(t *testing.T) {
	seed := bustest.Seed(t)
	for _, url := range []string{"http://10.0.0.1:9120", "ws://core:9120/nats", "nats://core:4222", "tls://core:1,nats://core:2"} {
		if _, err := bus.Dial(t.Context(), bus.Options{URL: url, Seed: seed, Agent: agentA}); schema.CodeOf(err) != schema.Invalid {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestProxyRefusesWhatIsNoWebsocket(t *testing.T) {
	b := bustest.New(t)
	w := httptest.NewRecorder()
	b.Hub.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, bus.WSPath, nil))
	if w.Code != http.StatusUpgradeRequired {
		t.Errorf("status %d", w.Code)
	}
}

func TestNATSOverTLS(t *testing.T) {
	cert, pin := certificate(t)
	b := bustest.Open(t, hub.Options{Dir: t.TempDir(), TCP: &hub.TCPOptions{Addr: "127.0.0.1:0", TLS: &tls.Config{Certificates: []tls.Certificate{cert}}}})
	o := b.AgentOptions(t, agentA)
	o.Pin = []string{pin}
	b.Dial(t, o)
}

func TestForwardProxy(t *testing.T) {
	b := bustest.New(t)
	url, pin := https(t, b)
	var used atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		used.Add(1)
		tunnel(t, w, r)
	}))
	defer proxy.Close()
	o := b.AgentOptions(t, agentA)
	o.URL, o.Pin, o.Proxy = url, []string{pin}, proxy.URL
	b.Dial(t, o)
	if used.Load() == 0 {
		t.Error("the proxy was not used")
	}
}

func TestNobodyComesInBeforeOpen(t *testing.T) {
	h, err := hub.Start(t.Context(), hub.Options{Dir: t.TempDir(), Log: bustest.Log(t), LameDuck: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if h.URL() != "" {
		t.Errorf("listens at %s", h.URL())
	}
	r := httptest.NewRequest(http.MethodGet, bus.WSPath, nil)
	r.Header.Set("Upgrade", "websocket")
	w := httptest.NewRecorder()
	h.Handler().ServeHTTP(w, r)
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("status %d", w.Code)
	}
}

// tunnel is a forward proxy's CONNECT.
func tunnel(t *testing.T, w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		http.Error(w, "CONNECT only", http.StatusMethodNotAllowed)
		return
	}
	up, err := net.Dial("tcp", r.Host)
	if err != nil {
		t.Error(err)
		return
	}
	defer up.Close()
	down, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	defer down.Close()
	_, _ = io.WriteString(down, "HTTP/1.1 200 OK\r\n\r\n")
	go func() {
		_, _ = io.Copy(up, down)
		up.Close()
	}()
	_, _ = io.Copy(down, up)
}
