package core

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"berth/bus"
	"berth/schema"
)

// identity is core's TLS certificate: given files, read again when they change,
// or one that core made itself, which agents pin.
type identity struct {
	certFile, keyFile string
	own               bool
	log               *slog.Logger
	acme              *autocert.Manager // gives the certificates of domains; nil for none
	domains           []string

	mu     sync.Mutex
	cert   *tls.Certificate
	loaded time.Time
}

// openIdentity loads the certificate, and makes one in dir when none is given.
func openIdentity(dir, certFile, keyFile string, log *slog.Logger) (*identity, error) {
	id := &identity{certFile: certFile, keyFile: keyFile, log: log}
	if (certFile == "") != (keyFile == "") {
		return nil, schema.Errorf(schema.Invalid, "TLS needs both a certificate and a key: set tls_cert and tls_key")
	}
	if certFile == "" {
		id.own, id.certFile, id.keyFile = true, filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
		if err := id.make(dir); err != nil {
			return nil, err
		}
	}
	if _, err := id.load(); err != nil {
		return nil, schema.Wrap(schema.Invalid, err, "TLS certificate %s and key %s: %v", id.certFile, id.keyFile, err)
	}
	return id, nil
}

// ownPEM is the certificate when core made it itself, for clients that trust
// certificates and no pins; "" when an authority vouches for it.
func (id *identity) ownPEM() string {
	id.mu.Lock()
	defer id.mu.Unlock()
	if !id.own || id.acme != nil || id.cert == nil {
		return ""
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: id.cert.Certificate[0]}))
}

// make writes a certificate for this machine's names and addresses, once.
func (id *identity) make(dir string) error {
	if _, err := os.Stat(id.keyFile); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return schema.Wrap(schema.Invalid, err, "make data folder %s: %v", dir, err)
	}
	_, err := writeCertificate(id.certFile, id.keyFile)
	return err
}

// renew serves the files as they are now.
func (id *identity) renew() error {
	if !id.own {
		return nil
	}
	cert, err := tls.LoadX509KeyPair(id.certFile, id.keyFile)
	if err != nil {
		return schema.Wrap(schema.Failed, err, "read core's new TLS certificate: %v", err)
	}
	id.mu.Lock()
	defer id.mu.Unlock()
	id.cert = &cert
	return nil
}

// writeCertificate makes a certificate for this machine's names and addresses and
// returns the pins of its key.
func writeCertificate(certFile, keyFile string) (pins []string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make TLS key: %w", err)
	}
	hostname, _ := os.Hostname() // only a name more
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "Berth core"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost", hostname}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		BasicConstraintsValid: true,
	}
	if addrs, err := net.InterfaceAddrs(); err == nil {
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
				cert.IPAddresses = append(cert.IPAddresses, n.IP)
			}
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make TLS certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read TLS certificate: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode TLS key: %w", err)
	}
	return []string{bus.SPKIPin(leaf.RawSubjectPublicKeyInfo)}, errors.Join(
		bus.WritePrivate(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		bus.WritePrivate(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})),
	)
}

// load returns the certificate; files that changed are read again, and what is
// broken in them does not end what serves.
func (id *identity) load() (*tls.Certificate, error) {
	id.mu.Lock()
	defer id.mu.Unlock()
	if id.cert != nil && (id.own || time.Since(id.loaded) < time.Minute) {
		return id.cert, nil
	}
	cert, err := tls.LoadX509KeyPair(id.certFile, id.keyFile)
	id.loaded = time.Now()
	if err != nil {
		if id.cert != nil {
			id.log.Error("the TLS certificate cannot be read again: the old one is served", "cert", id.certFile, "key", id.keyFile, "err", err)
		}
		return id.cert, err
	}
	if id.cert == nil || !bytes.Equal(id.cert.Certificate[0], cert.Certificate[0]) {
		id.cert = &cert
	}
	return id.cert, nil
}

func (id *identity) config() *tls.Config {
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if cert, mine, err := id.certified(hello); mine {
				return cert, err
			}
			cert, err := id.load()
			if cert != nil {
				return cert, nil
			}
			return nil, err
		},
	}
	if id.acme != nil {
		cfg.NextProtos = []string{"h2", "http/1.1", acme.ALPNProto}
	}
	return cfg
}

// pins are what agents are to expect of core's key. A given certificate is judged
// by the authorities that the agent's machine trusts, so that it may be renewed.
func (id *identity) pins() []string {
	id.mu.Lock()
	defer id.mu.Unlock()
	if !id.own || id.acme != nil || id.cert == nil || id.cert.Leaf == nil {
		return nil
	}
	return []string{bus.SPKIPin(id.cert.Leaf.RawSubjectPublicKeyInfo)}
}
