package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"

	"berth/core"
	"berth/schema"
)

// world of a doctor that answers what a test wants; healthy unless it is changed.
func patient(t *testing.T, in part) *doctor {
	t.Helper()
	s := newSettings(in)
	d := newDoctor(s)
	d.root = t.TempDir()
	s.core.Data, s.core.Listen = t.TempDir(), "127.0.0.1:9120"
	s.core.Accounts = core.Accounts{Git: []core.Account{{Provider: "git.example"}}, Registry: []core.Account{{Provider: "registry.example"}}}
	s.agent.Core = "https://127.0.0.1:1"
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	d.now = func() time.Time { return now }
	d.engine = func(context.Context) schema.EngineInfo { return schema.EngineInfo{Version: "29.0", API: "1.52"} }
	d.lookup = func(context.Context, string) error { return nil }
	d.statfs = func(string) (free, all uint64, err error) { return 50 * gib, 100 * gib, nil }
	d.listen = func(context.Context, string) error { return nil }
	d.http.Transport = answering(func(r *http.Request) (int, time.Time, error) {
		if r.URL.Hostname() == "127.0.0.1" {
			return 0, now, errors.New("refused")
		}
		return http.StatusUnauthorized, now, nil
	})
	return d
}

// answering is a network in which everybody answers alike.
type answering func(r *http.Request) (status int, date time.Time, err error)

// RoundTrip implements http.RoundTripper.
func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	status, date, err := a(r)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: http.Header{"Date": {date.Format(http.TimeFormat)}}, Body: io.NopCloser(strings.NewReader(""))}, nil
}

// ill makes something wrong and says which check must find it.
type ill struct {
	check string
	in    part
	do    func(t *testing.T, d *doctor)
	want  verdict
	found string
}

func ills() map[string]ill {
	engine := func(info schema.EngineInfo) func(*testing.T, *doctor) {
		return func(_ *testing.T, d *doctor) { d.engine = func(context.Context) schema.EngineInfo { return info } }
	}
	space := func(free uint64) func(*testing.T, *doctor) {
		return func(_ *testing.T, d *doctor) {
			d.statfs = func(string) (uint64, uint64, error) { return free, 100 * gib, nil }
		}
	}
	web := func(status int, off time.Duration, err error) func(*testing.T, *doctor) {
		return func(_ *testing.T, d *doctor) {
			at := d.now().Add(off)
			d.http.Transport = answering(func(*http.Request) (int, time.Time, error) { return status, at, err })
		}
	}
	taken := func(err error) func(*testing.T, *doctor) {
		return func(_ *testing.T, d *doctor) { d.listen = func(context.Context, string) error { return err } }
	}
	return map[string]ill{
		"no engine":        {"engine", inUp, engine(schema.EngineInfo{Error: "cannot connect"}), broken, "cannot connect"},
		"old engine":       {"engine API", inUp, engine(schema.EngineInfo{Version: "24", API: "1.43"}), broken, "1.43 is older"},
		"odd engine":       {"engine API", inUp, engine(schema.EngineInfo{Version: "x", API: "x"}), doubt, `API "x"`},
		"engine away":      {"engine API", inUp, engine(schema.EngineInfo{Error: "gone"}), broken, "not known"},
		"full disk":        {"disk", inCore, space(gib / 4), broken, "0.2 GiB free"},
		"nearly full disk": {"disk", inCore, space(2 * gib), doubt, "2.0 GiB free"},
		"a file for data":  {"data folder", inCore, func(t *testing.T, d *doctor) { d.core.Data = write(t, "data", "") }, broken, "is a file"},
		"no DNS": {"DNS", inCore, func(_ *testing.T, d *doctor) {
			d.lookup = func(context.Context, string) error { return errors.New("no such host") }
		}, broken, "git.example cannot be looked up"},
		"clock off":          {"clock", inAgent, web(200, time.Hour, nil), broken, "-1h0m0s off"},
		"clock a little off": {"clock", inAgent, web(200, -time.Minute, nil), doubt, "1m0s off"},
		"nobody's clock":     {"clock", inAgent, web(0, 0, errors.New("unreachable")), doubt, "nobody answers"},
		"git away":           {"git host", inCore, web(0, 0, errors.New("unreachable")), broken, "https://git.example/ cannot be reached: unreachable"},
		"git ill":            {"git host", inCore, web(502, 0, nil), doubt, "Bad Gateway"},
		"registry away":      {"registry", inCore, web(0, 0, errors.New("unreachable")), broken, "registry.example"},
		"registry odd":       {"registry", inCore, web(404, 0, nil), doubt, "Not Found"},
		"core away":          {"core", inAgent, func(*testing.T, *doctor) {}, broken, "127.0.0.1:1/version cannot be reached"},
		"core unknown":       {"core", inAgent, func(_ *testing.T, d *doctor) { d.agent.Core = "" }, doubt, "no address of core"},
		"port taken":         {"port", inCore, func(t *testing.T, d *doctor) { d.core.Listen = deaf(t); taken(syscall.EADDRINUSE)(t, d) }, broken, "not by a core"},
		"port forbidden":     {"port", inCore, taken(syscall.EACCES), broken, "may not use it"},
		"no such address":    {"port", inCore, taken(syscall.EADDRNOTAVAIL), broken, "cannot assign"},
		"own certificate":    {"TLS certificate", inCore, func(*testing.T, *doctor) {}, doubt, "its own certificate"},
		"no certificate":     {"TLS certificate", inCore, func(_ *testing.T, d *doctor) { d.core.CertFile, d.core.KeyFile = "/nonexistent", "/nonexistent" }, broken, "no such file"},
		"expired":            {"TLS certificate", inCore, certify(-time.Hour, "berth.lan"), broken, "expired on"},
		"expires":            {"TLS certificate", inCore, certify(24*time.Hour, "berth.lan"), doubt, "expires on"},
		"another name":       {"TLS certificate", inCore, certify(1000*time.Hour, "other.lan"), broken, "not for berth.lan"},
		"no core behind url": {"proxy", inCore, func(_ *testing.T, d *doctor) { d.core.URL = "https://127.0.0.1:1" }, doubt, "does not lead to a core"},
		"no websockets":      {"proxy", inCore, behind(false, ""), broken, "answers a websocket with 426"},
		"unnamed proxy":      {"proxy", inCore, behind(true, "Caddy"), doubt, "leads through Caddy"},
		"no age key":         {"age key", inAgent, func(*testing.T, *doctor) {}, doubt, "none of /etc/berth/age.key"},
		"open age key":       {"age key", inAgent, ageKey(0o644), broken, "age.key"},
		"hidden AppArmor":    {"LXC and AppArmor", inAgent, hiddenAppArmor, broken, "may not read"},
	}
}

func TestDoctorFindsWhatIsWrong(t *testing.T) {
	for name, c := range ills() {
		t.Run(name, func(t *testing.T) {
			d := patient(t, c.in)
			c.do(t, d)
			found := d.examine(t.Context())
			i := slices.IndexFunc(found, func(f finding) bool { return f.Check == c.check })
			if i < 0 {
				t.Fatalf("no check %q", c.check)
			}
			if f := found[i]; f.Verdict != c.want || !strings.Contains(f.Found, c.found) || f.Do == "" {
				t.Errorf("%+v, want %s: %s", f, c.want, c.found)
			}
		})
	}
}

func TestDoctorFindsAHealthyMachine(t *testing.T) {
	d := patient(t, inUp)
	ageKey(0o600)(t, d)
	certify(1000*time.Hour, "berth.lan")(t, d)
	d.core.URL = ""
	for _, f := range d.examine(t.Context()) {
		if f.Verdict != healthy || f.Do != "" {
			t.Errorf("%+v", f)
		}
	}
	behind(true, "Caddy")(t, d)
	d.core.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	d.core.CertFile, d.core.KeyFile = "", ""
	for _, check := range []func(context.Context, *doctor) finding{checkProxy, checkTLS} {
		if f := check(t.Context(), d); f.Verdict != healthy {
			t.Errorf("behind a proxy: %+v", f)
		}
	}
	s := newStation(t)
	d.core.Listen = strings.TrimPrefix(s.url, "https://")
	d.listen = newDoctor(d.settings).listen
	if f := checkPortFree(t.Context(), d); f.Verdict != healthy || !strings.Contains(f.Found, "a core serves") {
		t.Errorf("the port of a core: %+v", f)
	}
	d.agent.Core = s.url
	if f := checkCore(t.Context(), d); f.Verdict != healthy {
		t.Errorf("core: %+v", f)
	}
	d.core.URL, d.core.Proxies = s.url, nil
	if f := checkProxy(t.Context(), d); f.Verdict != healthy || !strings.Contains(f.Found, "websockets too") {
		t.Errorf("core itself: %+v", f)
	}
	for _, env := range []string{"", "lxc\n"} {
		d.root = t.TempDir()
		put(t, filepath.Join(d.root, "run/systemd/container"), env, 0o644)
		if f := checkAppArmor(t.Context(), d); f.Verdict != healthy {
			t.Errorf("container %q: %+v", env, f)
		}
	}
}

func TestDoctorCommand(t *testing.T) {
	s := &station{t: t, home: t.TempDir()}
	code, out, errs := s.do("doctor", "core", "--json", "--data", t.TempDir(), "--listen", "192.0.2.1:1")
	var list []finding
	if err := json.Unmarshal([]byte(out), &list); err != nil || code != 1 {
		t.Fatalf("%d %v\n%s%s", code, err, out, errs)
	}
	i := slices.IndexFunc(list, func(f finding) bool { return f.Check == "port" })
	if i < 0 || list[i].Verdict != broken {
		t.Errorf("%+v", list)
	}
}

// deaf is a port at which nobody speaks HTTP.
func deaf(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	return l.Addr().String()
}

func put(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func ageKey(mode os.FileMode) func(*testing.T, *doctor) {
	return func(t *testing.T, d *doctor) {
		id, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(d.root, "etc/berth/age.key"), id.String()+"\n", mode)
	}
}

// hiddenAppArmor is an LXC container that sees AppArmor and may not read it. Root reads
// every file, so what may not be read is something that nobody can.
func hiddenAppArmor(t *testing.T, d *doctor) {
	put(t, filepath.Join(d.root, "run/systemd/container"), "lxc\n", 0o644)
	if err := os.MkdirAll(filepath.Join(d.root, "sys/kernel/security/apparmor/profiles"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// certify gives core a certificate for a name, and the address berth.lan.
func certify(left time.Duration, name string) func(*testing.T, *doctor) {
	return func(t *testing.T, d *doctor) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		cert := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: d.now().Add(-1000 * time.Hour), NotAfter: d.now().Add(left)}
		der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		text, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		d.core.CertFile = write(t, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
		d.core.KeyFile = write(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text})))
		d.core.URL = "https://berth.lan"
	}
}

// behind puts core behind a proxy that passes websockets or not.
func behind(websockets bool, server string) func(*testing.T, *doctor) {
	return func(t *testing.T, d *doctor) {
		srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Server", server)
			if r.URL.Path != "/version" && websockets {
				w.Header().Set("Upgrade", "websocket")
				w.Header().Set("Connection", "Upgrade")
				w.WriteHeader(http.StatusSwitchingProtocols)
			} else if r.URL.Path != "/version" {
				w.WriteHeader(http.StatusUpgradeRequired)
			}
		}))
		t.Cleanup(srv.Close)
		d.core.URL = srv.URL
	}
}
