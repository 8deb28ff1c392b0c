package core

import (
	"crypto/tls"
	"net/http"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"berth/schema"
)

// ACME has an authority such as Let's Encrypt give core its certificate, for each of
// the names, and renew it. The names must lead to core: port 443 (TLS-ALPN-01) or
// port 80 (HTTP-01) of theirs to core's one port.
type ACME struct {
	Domains   []string
	Email     string // where the authority writes to; may be empty
	Directory string // of the authority; Let's Encrypt when empty
}

// check refuses what no authority certifies, and two certificates at once.
func (a ACME) check(certFile string) error {
	switch {
	case len(a.Domains) == 0 && (a.Email != "" || a.Directory != ""):
		return schema.Errorf(schema.Invalid, "acme_email and acme_directory mean nothing without acme_domain: name the domains, or remove them")
	case len(a.Domains) > 0 && certFile != "":
		return schema.Errorf(schema.Invalid, "acme_domain and tls_cert are both set: give one of them")
	}
	for _, d := range a.Domains {
		if !strings.Contains(strings.Trim(d, "."), ".") || strings.ContainsAny(d, "*:/ ") {
			return schema.Errorf(schema.Invalid, "acme_domain %q: want a name that leads to core from everywhere, as berth.example.org", d)
		}
	}
	return nil
}

// manager keeps the account and the certificates in a folder.
func (a ACME) manager(dir string) *autocert.Manager {
	if len(a.Domains) == 0 {
		return nil
	}
	return &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(filepath.Join(dir, "acme")), HostPolicy: autocert.HostWhitelist(a.Domains...),
		Email: a.Email, Client: &acme.Client{DirectoryURL: a.Directory, UserAgent: "berth"},
	}
}

// useACME has the names certified by an authority. What comes under another name, as
// an agent by an address, is still served core's own certificate.
func (id *identity) useACME(a ACME, dir string) {
	id.acme, id.domains = a.manager(dir), a.Domains
}

// certified returns the authority's certificate where the client asks for one of
// its names, or is the authority that looks whether this is core.
func (id *identity) certified(hello *tls.ClientHelloInfo) (cert *tls.Certificate, mine bool, err error) {
	if id.acme == nil || !slices.ContainsFunc(id.domains, func(d string) bool { return strings.EqualFold(d, strings.TrimSuffix(hello.ServerName, ".")) }) {
		return nil, false, nil
	}
	cert, err = id.acme.GetCertificate(hello)
	if err != nil {
		id.log.Error("the authority gives core no certificate: look whether the name leads to core's port from outside, by 443 or 80", "name", hello.ServerName, "err", err)
	}
	return cert, true, err
}

// challenges answers the authority over plain HTTP, and hands on everything else.
func (id *identity) challenges(next http.Handler) http.Handler {
	if id.acme == nil {
		return next
	}
	return id.acme.HTTPHandler(next)
}
