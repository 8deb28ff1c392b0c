package periphery

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"berth/schema"
)

// A certificate that an authority gave for one name proves nothing about a core that
// is asked at another name, nor at an address.
func TestOnlyACertificateOfTheAddressProvesCore(t *testing.T) {
	for what, x := range map[string]struct {
		names []string
		ips   []net.IP
		want  bool
	}{
		"another name's": {names: []string{"somebody.example"}},
		"another's":      {ips: []net.IP{net.IPv4(192, 0, 2, 1)}},
		"its own":        {ips: []net.IP{net.IPv4(127, 0, 0, 1)}, want: true},
	} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		cert := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "core"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			DNSNames: x.names, IPAddresses: x.ips, IsCA: true, BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		}
		der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }))
		srv.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
		srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		srv.StartTLS()
		a := &Agent{roots: x509.NewCertPool()}
		a.roots.AddCert(parsed)
		_, trusted, err := a.post(t.Context(), srv.URL, schema.OnboardReq{})
		srv.Close()
		if err != nil || trusted != x.want {
			t.Errorf("%s certificate: trusted %t, %v", what, trusted, err)
		}
	}
}
