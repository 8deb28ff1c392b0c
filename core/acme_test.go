package core

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/acme"

	"berth/schema"
)

// authority is an ACME server with one order at a time. It looks at core before it
// certifies it, by the kind of challenge it offers.
type authority struct {
	t    *testing.T
	kind string // tls-alpn-01 or http-01
	core string // address of core's port
	srv  *httptest.Server
	key  *ecdsa.PrivateKey
	cert *x509.Certificate

	mu     sync.Mutex // guards what follows
	print  string     // thumbprint of the account's key
	name   string
	valid  bool
	issued []byte // PEM
	orders int
}

func newAuthority(t *testing.T, kind string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, kind: kind, key: key}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.srv = httptest.NewServer(http.HandlerFunc(a.serve))
	t.Cleanup(a.srv.Close)
	return a
}

func (a *authority) serve(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Header().Set("Replay-Nonce", rand.Text())
	at := func(p string) string { return a.srv.URL + p }
	status := map[bool]string{true: "valid", false: "pending"}
	payload := a.read(r)
	answer := func(code int, where string, v any) {
		w.Header().Set("Location", at(where))
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(v)
	}
	order := func() map[string]any {
		o := map[string]any{"status": map[bool]string{true: "ready", false: "pending"}[a.valid], "identifiers": []any{map[string]string{"type": "dns", "value": a.name}}, "authorizations": []string{at("/authz")}, "finalize": at("/finalize")}
		if a.issued != nil {
			o["status"], o["certificate"] = "valid", at("/cert")
		}
		return o
	}
	challenge := map[string]any{"type": a.kind, "url": at("/challenge"), "token": "t0ken", "status": status[a.valid]}
	switch r.URL.Path {
	case "/directory":
		answer(200, "", map[string]any{"newNonce": at("/nonce"), "newAccount": at("/account"), "newOrder": at("/order"), "revokeCert": at("/revoke"), "keyChange": at("/key")})
	case "/nonce":
	case "/account":
		answer(201, "/account/1", map[string]any{"status": "valid"})
	case "/order":
		var o struct{ Identifiers []struct{ Value string } }
		_ = json.Unmarshal(payload, &o)
		a.name, a.valid, a.issued = o.Identifiers[0].Value, false, nil
		a.orders++
		answer(201, "/order/1", order())
	case "/order/1":
		answer(200, "/order/1", order())
	case "/authz":
		answer(200, "/authz", map[string]any{"status": status[a.valid], "identifier": map[string]string{"type": "dns", "value": a.name}, "challenges": []any{challenge}})
	case "/challenge":
		a.valid = a.look(r.Context())
		answer(200, "/challenge", challenge)
	case "/finalize":
		a.issue(payload)
		answer(200, "/order/1", order())
	case "/cert":
		w.Header().Set("Content-Type", "application/pem-certificate-chain")
		_, _ = w.Write(a.issued)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// read returns the payload of a signed request, and learns the account's key.
func (a *authority) read(r *http.Request) []byte {
	var jws struct{ Protected, Payload string }
	if json.NewDecoder(r.Body).Decode(&jws) != nil {
		return nil
	}
	head, _ := base64.RawURLEncoding.DecodeString(jws.Protected)
	var h struct{ JWK *struct{ X, Y string } }
	if json.Unmarshal(head, &h) == nil && h.JWK != nil {
		sum := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + h.JWK.X + `","y":"` + h.JWK.Y + `"}`))
		a.print = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	payload, _ := base64.RawURLEncoding.DecodeString(jws.Payload)
	return payload
}

// look asks core whether it is it.
func (a *authority) look(ctx context.Context) bool {
	want := "t0ken." + a.print
	if a.kind == "http-01" {
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.core+"/.well-known/acme-challenge/t0ken", nil)
		r.Host = a.name
		resp, err := a.srv.Client().Do(r)
		if err != nil {
			a.t.Error(err)
			return false
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return string(body) == want
	}
	c, err := tls.Dial("tcp", a.core, &tls.Config{ServerName: a.name, NextProtos: []string{acme.ALPNProto}, InsecureSkipVerify: true}) //nolint:gosec // a challenge's certificate signs itself
	if err != nil {
		a.t.Error(err)
		return false
	}
	defer c.Close()
	sum := sha256.Sum256([]byte(want))
	value, _ := asn1.Marshal(sum[:])
	for _, e := range c.ConnectionState().PeerCertificates[0].Extensions {
		if e.Id.String() == "1.3.6.1.5.5.7.1.31" {
			return string(e.Value) == string(value)
		}
	}
	return false
}

func (a *authority) issue(payload []byte) {
	var f struct{ CSR string }
	_ = json.Unmarshal(payload, &f)
	der, _ := base64.RawURLEncoding.DecodeString(f.CSR)
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil || !a.valid {
		a.t.Errorf("finalize before it was looked at, or without a request: %v", err)
		return
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: a.name}, DNSNames: csr.DNSNames, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour)}
	leaf, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, csr.PublicKey, a.key)
	if err != nil {
		a.t.Error(err)
		return
	}
	a.issued = append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})...)
}

// serveIdentity serves TLS and plain HTTP on one port each, as core does.
func serveIdentity(t *testing.T, id *identity, kind string) (tlsAddr, asked string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.NotFoundHandler(), TLSConfig: id.config(), ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go func() { _ = srv.ServeTLS(l, "", "") }()
	plain := httptest.NewServer(id.challenges(http.NotFoundHandler()))
	t.Cleanup(func() { srv.Close(); plain.Close() })
	if kind == "http-01" {
		return l.Addr().String(), strings.TrimPrefix(plain.URL, "http://")
	}
	return l.Addr().String(), l.Addr().String()
}

// An authority certifies core by either challenge; after a restart the certificate is
// there, and other names are served core's own.
func TestACME(t *testing.T) {
	for _, kind := range []string{"tls-alpn-01", "http-01"} {
		t.Run(kind, func(t *testing.T) {
			a, dir := newAuthority(t, kind), t.TempDir()
			ask := func() {
				t.Helper()
				id, err := openIdentity(dir, "", "", slog.New(slog.DiscardHandler))
				if err != nil {
					t.Fatal(err)
				}
				id.useACME(ACME{Domains: []string{"berth.example.org"}, Directory: a.srv.URL + "/directory"}, dir)
				addr, asked := serveIdentity(t, id, kind)
				a.mu.Lock()
				a.core = asked
				a.mu.Unlock()
				pool := x509.NewCertPool()
				pool.AddCert(a.cert)
				c, err := tls.Dial("tcp", addr, &tls.Config{ServerName: "Berth.example.org", RootCAs: pool})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if len(id.pins()) != 0 {
					t.Errorf("agents are to pin %v: the certificate is renewed", id.pins())
				}
				own, err := tls.Dial("tcp", addr, &tls.Config{ServerName: "localhost", InsecureSkipVerify: true}) //nolint:gosec // core's own
				if err != nil {
					t.Fatal(err)
				}
				defer own.Close()
				if n := own.ConnectionState().PeerCertificates[0].Subject.CommonName; n != "Berth core" {
					t.Errorf("another name is served the certificate of %q", n)
				}
			}
			ask()
			ask()
			if a.orders != 1 {
				t.Errorf("%d orders for one certificate", a.orders)
			}
		})
	}
}

func TestACMEConfigIsChecked(t *testing.T) {
	for want, a := range map[string]ACME{
		"mean nothing without":  {Email: "ada@example.org"},
		"want a name":           {Domains: []string{"localhost"}},
		`acme_domain "*.lan.x"`: {Domains: []string{"*.lan.x"}},
	} {
		if err := a.check(""); schema.CodeOf(err) != schema.Invalid || !strings.Contains(schema.SafeText(err), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if err := (ACME{Domains: []string{"berth.example.org"}}).check("cert.pem"); schema.CodeOf(err) != schema.Invalid {
		t.Errorf("two certificates: %v", err)
	}
	if err := (ACME{Domains: []string{"berth.example.org"}}).check(""); err != nil {
		t.Error(err)
	}
}
