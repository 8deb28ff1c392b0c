package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"berth/bus"
)

// gitHosts are where repositories are, as far as the configuration says it.
func (d *doctor) gitHosts() []string {
	var out []string
	for _, a := range d.core.Accounts.Git {
		scheme := "https://"
		if a.HTTP {
			scheme = "http://"
		}
		out = append(out, scheme+a.Provider+"/")
	}
	if len(out) == 0 {
		out = []string{"https://github.com/"}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (d *doctor) registries() []string {
	var out []string
	for _, a := range d.core.Accounts.Registry {
		host := a.Provider
		if host == "docker.io" {
			host = "registry-1.docker.io"
		}
		out = append(out, "https://"+host+"/v2/")
	}
	if len(out) == 0 {
		out = []string{"https://registry-1.docker.io/v2/"}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// coreURLs are core's addresses, as an agent has them.
func (d *doctor) coreURLs() []string {
	var out []string
	for addr := range strings.SplitSeq(d.agent.Core, ",") {
		if addr == "" {
			continue
		}
		if !strings.Contains(addr, "://") {
			addr = "https://" + addr
		}
		addr = strings.NewReplacer("wss://", "https://", "ws://", "http://").Replace(addr)
		out = append(out, addr)
	}
	return out
}

func checkDNS(ctx context.Context, d *doctor) finding {
	var good []string
	for _, addr := range slices.Concat(d.gitHosts(), d.registries(), d.coreURLs()) {
		u, err := url.Parse(addr)
		if err != nil || net.ParseIP(u.Hostname()) != nil {
			continue
		}
		if err := d.lookup(ctx, u.Hostname()); err != nil {
			return fail("look at /etc/resolv.conf; in a container give it `dns:` with a server that knows the name", "%s cannot be looked up: %v", u.Hostname(), err)
		}
		good = append(good, u.Hostname())
	}
	return fine("%s can be looked up", strings.Join(good, ", "))
}

const (
	skewDoubt  = 30 * time.Second
	skewBroken = 5 * time.Minute
)

// checkClock compares with the clocks of those who answer over HTTP.
func checkClock(ctx context.Context, d *doctor) finding {
	for _, addr := range slices.Concat(d.coreURLs(), d.gitHosts(), d.registries()) {
		resp, err := d.get(ctx, addr)
		if err != nil {
			continue
		}
		then, err := http.ParseTime(resp.header.Get("Date"))
		if err != nil {
			continue
		}
		off := d.now().Sub(then).Round(time.Second)
		do := "have the clock set: timedatectl set-ntp true; in an LXC container its host's"
		switch {
		case off.Abs() > skewBroken:
			return fail(do, "the clock is %s off that of %s: certificates, sign-ins and schedules go wrong", off, addr)
		case off.Abs() > skewDoubt:
			return warn(do, "the clock is %s off that of %s", off, addr)
		}
		return fine("as that of %s", addr)
	}
	return warn("see git host and registry", "nobody answers whose clock could be asked")
}

// head is how an answer begins; what follows is of no interest.
type head struct {
	code   int
	status string // code and words
	header http.Header
}

// get asks an address.
func (d *doctor) get(ctx context.Context, addr string) (head, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, addr, nil)
	if err != nil {
		return head{}, err
	}
	return d.do(r)
}

func (d *doctor) do(r *http.Request) (head, error) {
	resp, err := d.http.Do(r)
	if err != nil {
		return head{}, err
	}
	return head{resp.StatusCode, resp.Status, resp.Header}, resp.Body.Close()
}

// reach asks each address; good says which answers are those of what is looked for.
func (d *doctor) reach(ctx context.Context, addrs []string, do string, good func(status int) bool) finding {
	for _, addr := range addrs {
		resp, err := d.get(ctx, addr)
		switch {
		case err != nil:
			return fail(do, "%s cannot be reached: %v", addr, unwrapURL(err))
		case !good(resp.code):
			return warn(do, "%s answers %s", addr, resp.status)
		}
	}
	return fine("%s can be reached", strings.Join(addrs, ", "))
}

func unwrapURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

func checkGit(ctx context.Context, d *doctor) finding {
	return d.reach(ctx, d.gitHosts(), "look at firewall, proxy (HTTPS_PROXY) and the address in git_provider", func(s int) bool { return s < 500 })
}

func checkRegistry(ctx context.Context, d *doctor) finding {
	return d.reach(ctx, d.registries(), "look at firewall, proxy (HTTPS_PROXY) and the address in docker_registry", func(s int) bool { return s == http.StatusOK || s == http.StatusUnauthorized })
}

func checkCore(ctx context.Context, d *doctor) finding {
	urls := d.coreURLs()
	if len(urls) == 0 {
		return warn("nothing, if the agent has joined: it remembers core's address; else give --core", "no address of core is configured")
	}
	pinned := *d
	pinned.http = d.blind() // its certificate is pinned when the agent joins
	for i := range urls {
		urls[i] += "/version"
	}
	return pinned.reach(ctx, urls, "look whether core runs there, and at the firewall between", func(s int) bool { return s == http.StatusOK })
}

// blind is a client that takes any certificate.
func (d *doctor) blind() *http.Client {
	return &http.Client{CheckRedirect: d.http.CheckRedirect, Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // it looks only
	}}
}

func checkPortFree(ctx context.Context, d *doctor) finding {
	err := d.listen(ctx, d.core.Listen)
	switch {
	case err == nil:
		return fine("%s is free", d.core.Listen)
	case errors.Is(err, syscall.EACCES):
		return fail("run as root, setcap cap_net_bind_service=+ep on the binary, or choose a port from 1024 on", "%s: this user may not use it", d.core.Listen)
	case !errors.Is(err, syscall.EADDRINUSE):
		return fail("correct listen: an address of this machine, or :PORT", "%s: %v", d.core.Listen, err)
	}
	host, port, _ := net.SplitHostPort(d.core.Listen)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	pinned := *d
	pinned.http = d.blind()
	resp, err := pinned.get(ctx, "https://"+net.JoinHostPort(host, port)+"/version")
	if err == nil && resp.code == http.StatusOK {
		return fine("a core serves at %s", d.core.Listen)
	}
	return fail("end the program that has it (ss -ltnp), or choose another with --listen", "%s is taken, and not by a core", d.core.Listen)
}

// expiring is when a certificate should be renewed.
const expiring = 14 * 24 * time.Hour

func checkTLS(_ context.Context, d *doctor) finding {
	c := d.core
	if len(c.ACME.Domains) > 0 {
		return fine("an authority gives it, for %s", strings.Join(c.ACME.Domains, ", "))
	}
	if c.CertFile == "" && c.KeyFile == "" {
		if strings.HasPrefix(c.URL, "https://") && len(c.Proxies) > 0 {
			return fine("the proxy has it")
		}
		return warn("nothing, if browsers and git hosts may be told not to mind; else see docs/install.md, The address", "core makes its own certificate, which agents pin and browsers warn of")
	}
	if _, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile); err != nil {
		return fail("give the certificate with its chain as tls_cert and its private key as tls_key, both PEM, readable by core", "%s and %s: %v", c.CertFile, c.KeyFile, err)
	}
	text, err := os.ReadFile(c.CertFile)
	if err != nil {
		return fail("make it readable", "%v", err)
	}
	block, _ := pem.Decode(text)
	leaf, err := x509.ParseCertificate(block.Bytes) // it was loaded above
	if err != nil {
		return fail("give another certificate", "%s: %v", c.CertFile, err)
	}
	left := leaf.NotAfter.Sub(d.now())
	u, _ := url.Parse(c.URL)
	switch {
	case left <= 0:
		return fail("renew it; core reads the files again by itself", "%s expired on %s", c.CertFile, leaf.NotAfter.Format(time.DateOnly))
	case u != nil && u.Hostname() != "" && leaf.VerifyHostname(u.Hostname()) != nil:
		return fail("have one made for that name, or correct url", "%s is not for %s, the host of url", c.CertFile, u.Hostname())
	case left < expiring:
		return warn("renew it; core reads the files again by itself", "%s expires on %s", c.CertFile, leaf.NotAfter.Format(time.DateOnly))
	}
	return fine("%s is good until %s", c.CertFile, leaf.NotAfter.Format(time.DateOnly))
}

// checkProxy goes the way of people and agents: through the configured address.
func checkProxy(ctx context.Context, d *doctor) finding {
	if d.core.URL == "" {
		return fine("no url is configured: people and agents come to this machine itself")
	}
	own := *d
	own.http = d.blind()
	resp, err := own.get(ctx, d.core.URL+"/version")
	if err != nil || resp.code != http.StatusOK {
		return warn("start core, and have the proxy lead there", "%s does not lead to a core now", d.core.URL)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.core.URL+bus.WSPath, nil)
	if err != nil {
		return fail("correct url", "%v", err)
	}
	for k, v := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="} {
		r.Header.Set(k, v)
	}
	up, err := own.do(r)
	if err != nil {
		return fail("have the proxy pass websockets at "+bus.WSPath, "%s does not answer to a websocket: %v", d.core.URL, unwrapURL(err))
	}
	if up.code != http.StatusSwitchingProtocols {
		return fail("have the proxy pass the headers Upgrade and Connection: agents connect by websocket", "%s answers a websocket with %s", d.core.URL, up.status)
	}
	if via := resp.header.Get("Via") + resp.header.Get("Server"); via != "" && len(d.core.Proxies) == 0 {
		return warn("give trusted_proxy the proxy's address, and have it set X-Forwarded-For", "%s leads through %s, and no trusted_proxy is configured: everybody seems to come from there", d.core.URL, via)
	}
	return fine("%s leads to core, websockets too", d.core.URL)
}
