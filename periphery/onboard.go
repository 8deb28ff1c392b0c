package periphery

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"berth/bus"
	"berth/schema"
)

// onboardWait is how often an agent asks whether it was confirmed.
const onboardWait = 15 * time.Second

// willOnboard checks what is needed to join without a token.
func (a *Agent) willOnboard() error {
	switch {
	case a.cfg.ConnectAs == "":
		return schema.Errorf(schema.Invalid, "an onboarding key needs the name of the server to be: give connect_as, as \"$(hostname)\"")
	case a.join.Core == "":
		return schema.Errorf(schema.Invalid, "core's address is missing: give --core https://HOST:9120")
	}
	a.key = newKeyFile
	return nil
}

// onboard has core let this agent in, unless it has joined already. It asks until
// core can be reached and, without a key that decides it, until an administrator has
// confirmed it.
func (a *Agent) onboard(ctx context.Context) error {
	if a.join.Server != "" {
		return nil
	}
	var key *bus.OnboardKey
	if a.cfg.OnboardingKey != "" {
		k, err := bus.ParseOnboardKey(a.cfg.OnboardingKey)
		if err != nil {
			return err
		}
		key = &k
	}
	seed, err := bus.LoadSeed(filepath.Join(a.cfg.Data, a.key))
	if err != nil {
		return err
	}
	for attempt, said := 1, ""; ; attempt++ {
		err := a.askOnboard(ctx, seed, key)
		wait := min(bus.Backoff(attempt), onboardWait)
		switch schema.CodeOf(err) {
		case "":
			return nil
		case schema.Unavailable, schema.TooMany, schema.Internal:
		case schema.Conflict:
			wait = onboardWait
		default:
			return err
		}
		if text := schema.SafeText(err); text != said {
			a.log.Error("core does not let this agent in yet", "core", hostOf(a.join.Core), "why", text)
			said = text
		}
		if err := bus.Sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// askOnboard asks at each of core's addresses until one answers.
func (a *Agent) askOnboard(ctx context.Context, seed []byte, key *bus.OnboardKey) error {
	req, err := bus.AskOnboard(schema.OnboardReq{Name: a.cfg.ConnectAs, Sent: time.Now().UnixMilli()}, seed, key)
	if err != nil {
		return err
	}
	for addr := range strings.SplitSeq(a.join.Core, ",") {
		var resp schema.OnboardResp
		var trusted bool
		if resp, trusted, err = a.post(ctx, addr, req); err == nil {
			return a.believe(req, resp, key, trusted)
		}
		if schema.CodeOf(err) != schema.Unavailable {
			return err
		}
	}
	return err
}

// believe takes an answer that is core's for a reason.
func (a *Agent) believe(req schema.OnboardReq, resp schema.OnboardResp, key *bus.OnboardKey, trusted bool) error {
	proved, err := bus.CheckOnboardAnswer(req, resp, key)
	if err != nil {
		return err
	}
	listed := slices.Contains(a.cfg.CoreKeys, resp.Core)
	switch {
	case len(a.cfg.CoreKeys) > 0 && !listed:
		return schema.Errorf(schema.Denied, "what answers as core has the key %s, which core_public_keys does not name", resp.Core)
	case key != nil && !proved:
		return schema.Errorf(schema.Denied, "what answers as core does not know the onboarding key: somebody stands between, or it is another core")
	case key == nil && !listed && !trusted && !a.cfg.TrustFirst:
		return schema.Errorf(schema.Denied, "nothing proves that this is core: give core_public_keys = [%q] if core shows this key, an onboarding key, or core_tls_insecure_skip_verify = true to trust what answers", resp.Core)
	}
	if resp.Server.ID == "" {
		return schema.Errorf(schema.Denied, "core's answer names no server")
	}
	a.join.Server, a.join.Name, a.join.Key, a.join.Pin = resp.Server.ID, resp.Server.Name, resp.Core, resp.Pin
	a.log.Info("core lets this agent in", "server", resp.Server.Name, "core", resp.Core)
	return nil
}

// post asks core over HTTP. What is sent and answered proves itself: the line needs
// no trust; trusted says that core's certificate is good all the same.
func (a *Agent) post(ctx context.Context, addr string, req schema.OnboardReq) (resp schema.OnboardResp, trusted bool, err error) {
	u, err := httpURL(addr, a.cfg.AllowPlaintext)
	if err != nil {
		return resp, false, err
	}
	body, err := json.Marshal(req)
	if err != nil {
		return resp, false, fmt.Errorf("encode the request: %w", err)
	}
	tr, err := a.transport(u.Hostname(), func(ok bool) { trusted = ok })
	if err != nil {
		return resp, false, err
	}
	defer tr.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.JoinPath("auth", "login", "OnboardServer").String(), bytes.NewReader(body))
	if err != nil {
		return resp, false, fmt.Errorf("make the request: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	got, err := (&http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(r)
	if err != nil {
		if e, ok := errors.AsType[*schema.Error](err); ok {
			return resp, false, e
		}
		return resp, false, schema.Wrap(schema.Unavailable, err, "core cannot be reached at %s: %v", u.Host, err)
	}
	defer got.Body.Close()
	data, err := io.ReadAll(io.LimitReader(got.Body, 64<<10))
	if err != nil {
		return resp, false, schema.Wrap(schema.Unavailable, err, "core's answer ended early")
	}
	if got.StatusCode != http.StatusOK {
		return resp, false, refusal(got.StatusCode, data)
	}
	if err := json.Unmarshal(data, &resp); err != nil {
		return resp, false, schema.Wrap(schema.Unavailable, err, "what answers at %s is no core of Berth", u.Host)
	}
	return resp, trusted, nil
}

// refusal is core's error.
func refusal(status int, body []byte) error {
	var e struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &e) != nil || e.Error == "" {
		return schema.Errorf(schema.Unavailable, "what answers as core says %d %s", status, http.StatusText(status))
	}
	code := map[int]schema.Code{
		http.StatusUnauthorized: schema.Denied, http.StatusForbidden: schema.Denied, http.StatusConflict: schema.Conflict,
		http.StatusTooManyRequests: schema.TooMany, http.StatusUnprocessableEntity: schema.Invalid, http.StatusBadRequest: schema.Invalid,
	}[status]
	return schema.Errorf(cmp.Or(code, schema.Unavailable), "core refuses this agent: %s", e.Error)
}

// httpURL is the address of core's API that belongs to that of its bus.
func httpURL(addr string, plaintext bool) (*url.URL, error) {
	if !strings.Contains(addr, "://") {
		addr = "https://" + addr
	}
	u, err := url.Parse(addr)
	if err != nil || u.Host == "" {
		return nil, schema.Errorf(schema.Invalid, "address of core %q: must look like https://host:9120", addr)
	}
	switch u.Scheme {
	case "wss", "https":
		u.Scheme = "https"
	case "ws", "http":
		u.Scheme = "http"
		if ip := net.ParseIP(u.Hostname()); !plaintext && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return nil, schema.Errorf(schema.Invalid, "connect to %s: without TLS everybody on the way can read secrets: use https://, or allow_plaintext if the network is yours alone", addr)
		}
	default:
		return nil, schema.Errorf(schema.Invalid, "to join without a token give core's https address, not %s", addr)
	}
	u.Path = strings.TrimSuffix(u.Path, bus.WSPath)
	return u, nil
}

// transport reaches core as the bus does, and tells whether its certificate is good
// for the host. What the handshake says of the name is not looked at: of an IP address
// it says nothing.
func (a *Agent) transport(host string, verified func(bool)) (*http.Transport, error) {
	tr := &http.Transport{TLSClientConfig: &tls.Config{
		MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, //nolint:gosec // the answer proves itself; what is found of the chain is told
		VerifyConnection: func(cs tls.ConnectionState) error {
			pool := x509.NewCertPool()
			for _, c := range cs.PeerCertificates[1:] {
				pool.AddCert(c)
			}
			_, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: host, Intermediates: pool, Roots: a.roots})
			verified(err == nil)
			return nil
		},
	}}
	if a.cfg.Proxy != "" {
		p, err := url.Parse(a.cfg.Proxy)
		if err != nil {
			return nil, schema.Errorf(schema.Invalid, "proxy: must look like http://host:port")
		}
		tr.Proxy = http.ProxyURL(p)
	}
	if len(a.cfg.Allowed) > 0 {
		d := bus.AllowedDialer(a.cfg.Allowed)
		tr.DialContext = func(_ context.Context, network, address string) (net.Conn, error) { return d.Dial(network, address) }
	}
	return tr, nil
}
