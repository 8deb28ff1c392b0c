package git_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"berth/git"
	"berth/git/gittest"
	"berth/schema"
)

func TestHTTPSToken(t *testing.T) {
	const secret = "s3cr3t-T0ken"
	for _, c := range []struct {
		name, user, pass string
		auth             git.Auth
		inURL            bool
	}{
		{name: "account", user: "ada", pass: secret, auth: git.Auth{Username: "ada", Token: secret}},
		{name: "token alone", user: "token", pass: secret, auth: git.Auth{Token: secret}},
		{name: "user:pass", user: "bob", pass: secret, auth: git.Auth{Username: "ada", Token: "bob:" + secret}},
		{name: "in the address", user: "ada", pass: secret, inURL: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, gittest.Config{Username: c.user, Password: c.pass})
			s.repo.Commit(map[string]string{"a": "1"}, "one")
			src := s.source()
			src.Auth = c.auth
			if c.inURL {
				src.URL = strings.Replace(src.URL, "http://", "http://"+c.user+":"+c.pass+"@", 1)
			}
			s.syncFrom(src, git.Options{})
			s.repo.Commit(map[string]string{"a": "2"}, "two")
			s.syncFrom(src, git.Options{})
			s.clean()
			noSecretBelow(t, s.dir, secret)
		})
	}
}

func noSecretBelow(t *testing.T, dir string, secrets ...string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(p)
		for _, s := range secrets {
			if strings.Contains(string(b), s) {
				t.Errorf("%s contains a credential", p)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (s *site) sshSource() git.Source {
	return git.Source{URL: s.repo.SSHURL(), Branch: "main", Auth: git.Auth{SSHKey: s.forge.ClientKey(), KnownHosts: s.forge.HostKeys()}}
}

func TestSSHDeployKey(t *testing.T) {
	s := newSite(t)
	s.repo.Commit(map[string]string{"a": "1"}, "one")
	src := s.sshSource()
	s.syncFrom(src, git.Options{})
	two := s.repo.Commit(map[string]string{"a": "2"}, "two")
	if got, err := s.client.Resolve(t.Context(), src); err != nil || got.Hash != two {
		t.Errorf("resolve: %v %v", got, err)
	}
	if got := s.syncFrom(src, git.Options{}); got.Commit != two {
		t.Errorf("at %s", got.Commit)
	}
	s.clean()
	noSecretBelow(t, s.dir, "PRIVATE KEY", strings.Split(string(s.forge.ClientKey()), "\n")[2])

	src.URL = strings.Replace(src.URL, "team/app", "team/none", 1)
	_, err := s.client.Resolve(t.Context(), src)
	s.fails(err, schema.NotFound, "repository not found", "team/none")
}

func TestSSHRefusals(t *testing.T) {
	s := newSite(t)
	s.repo.Commit(map[string]string{"a": "1"}, "one")
	_, other, err1 := ed25519.GenerateKey(rand.Reader)
	big, err2 := rsa.GenerateKey(rand.Reader, 2048)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	otherSigner, err1 := ssh.NewSignerFromKey(other)
	rsaSigner, err2 := ssh.NewSignerFromKey(big)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	hostKey, _, _, _, err := ssh.ParseAuthorizedKey([]byte(strings.SplitN(string(s.forge.HostKeys()), " ", 2)[1]))
	if err != nil {
		t.Fatal(err)
	}
	shown, addr := ssh.FingerprintSHA256(hostKey), s.forge.SSHAddr()
	block, err := ssh.MarshalPrivateKey(other, "")
	if err != nil {
		t.Fatal(err)
	}
	locked, err := ssh.MarshalPrivateKeyWithPassphrase(other, "", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	pin := func(host string, k ssh.PublicKey) []byte { return []byte(knownhosts.Line([]string{host}, k) + "\n") }
	norm := knownhosts.Normalize(addr)
	for _, c := range []struct {
		name  string
		auth  git.Auth
		code  schema.Code
		words []string
	}{
		{"nothing pinned", git.Auth{SSHKey: s.forge.ClientKey()}, schema.Denied, []string{norm, shown, "none is pinned", "ssh-ed25519 AAAA"}},
		{"other host pinned", git.Auth{SSHKey: s.forge.ClientKey(), KnownHosts: pin("example.com", hostKey)}, schema.Denied, []string{shown, "none is pinned"}},
		{
			"other key pinned",
			git.Auth{SSHKey: s.forge.ClientKey(), KnownHosts: pin(norm, otherSigner.PublicKey())},
			schema.Denied,
			[]string{norm, shown, "but pinned is " + ssh.FingerprintSHA256(otherSigner.PublicKey())},
		},
		{"other kind pinned", git.Auth{SSHKey: s.forge.ClientKey(), KnownHosts: pin(norm, rsaSigner.PublicKey())}, schema.Denied, []string{"no key of a pinned kind", "rsa-sha2-512"}},
		{"revoked", git.Auth{SSHKey: s.forge.ClientKey(), KnownHosts: append([]byte("@revoked "), s.forge.HostKeys()...)}, schema.Denied, []string{"revoked"}},
		{"garbage pinned", git.Auth{SSHKey: s.forge.ClientKey(), KnownHosts: []byte("host ssh-ed25519 nonsense\n")}, schema.Invalid, []string{"pinned host keys"}},
		{
			"unknown client key",
			git.Auth{SSHKey: pem.EncodeToMemory(block), KnownHosts: s.forge.HostKeys()},
			schema.Denied,
			[]string{"does not accept the deploy key " + ssh.FingerprintSHA256(otherSigner.PublicKey()), `user "git"`},
		},
		{"no client key", git.Auth{KnownHosts: s.forge.HostKeys()}, schema.Denied, []string{"no deploy key"}},
		{"locked client key", git.Auth{SSHKey: pem.EncodeToMemory(locked), KnownHosts: s.forge.HostKeys()}, schema.Invalid, []string{"passphrase"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := s.sshSource()
			src.Auth = c.auth
			_, err := s.client.Sync(t.Context(), s.dir, src, git.Options{})
			(&site{T: t}).fails(err, c.code, c.words...)
			if _, err := os.Stat(s.dir); !errors.Is(err, fs.ErrNotExist) {
				t.Error("a failed clone left its folder")
			}
		})
	}
}

func TestKnownHostsForms(t *testing.T) {
	s := newSite(t)
	s.repo.Commit(map[string]string{"a": "1"}, "one")
	key := strings.SplitN(strings.TrimSpace(string(s.forge.HostKeys())), " ", 2)[1]
	_, port, err := net.SplitHostPort(s.forge.SSHAddr())
	if err != nil {
		t.Fatal(err)
	}
	norm := knownhosts.Normalize(s.forge.SSHAddr())
	for name, hosts := range map[string]string{
		"hashed": knownhosts.HashHostname(norm), "pattern": "[127.0.*.1]:" + port, "several": "example.com," + norm,
	} {
		src := s.sshSource()
		src.Auth.KnownHosts = []byte("# comment\n\n" + hosts + " " + key + "\n")
		if _, err := s.client.Resolve(t.Context(), src); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	src := s.sshSource()
	src.Auth.KnownHosts = []byte("!" + norm + ",* " + key + "\n")
	_, err = s.client.Resolve(t.Context(), src)
	s.fails(err, schema.Denied, "none is pinned")
}

func TestRemoteErrors(t *testing.T) {
	s := newSite(t, gittest.Config{Username: "ada", Password: "right"})
	s.repo.Commit(map[string]string{"a": "1"}, "one")
	empty := s.forge.Repo("team/empty")
	good := git.Auth{Username: "ada", Token: "right"}
	tlsSite := httptest.NewUnstartedServer(http.NotFoundHandler())
	tlsSite.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	tlsSite.StartTLS()
	t.Cleanup(tlsSite.Close)
	forbidden := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) }))
	t.Cleanup(forbidden.Close)
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusBadGateway) }))
	t.Cleanup(broken.Close)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := ln.Addr().String()
	_ = ln.Close() // refused from here on
	for _, c := range []struct {
		name  string
		src   git.Source
		code  schema.Code
		words []string
	}{
		{"no such host", git.Source{URL: "https://git.berth.invalid/a/b"}, schema.Unavailable, []string{`look up host "git.berth.invalid"`, "DNS"}},
		{"refused", git.Source{URL: "http://" + dead + "/a/b"}, schema.Unavailable, []string{"connection refused", dead}},
		{"refused ssh", git.Source{URL: "ssh://git@" + dead + "/a/b", Auth: git.Auth{SSHKey: s.forge.ClientKey()}}, schema.Unavailable, []string{"connection refused", dead}},
		{"unknown authority", git.Source{URL: tlsSite.URL + "/a/b"}, schema.Unavailable, []string{"TLS", "CA certificate"}},
		{"no TLS", git.Source{URL: strings.Replace(s.repo.URL(), "http:", "https:", 1)}, schema.Unavailable, []string{"TLS", "https off"}},
		{"no credentials", git.Source{URL: s.repo.URL()}, schema.Denied, []string{"asks for credentials", s.repo.URL()}},
		{"wrong token", git.Source{URL: s.repo.URL(), Auth: git.Auth{Username: "ada", Token: "wrong"}}, schema.Denied, []string{`refused the token of account "ada"`, "401"}},
		{"forbidden", git.Source{URL: forbidden.URL + "/a/b"}, schema.Denied, []string{"403"}},
		{"broken", git.Source{URL: broken.URL + "/a/b"}, schema.Unavailable, []string{"502"}},
		{"no repository", git.Source{URL: s.forge.URL() + "/team/none", Auth: good}, schema.NotFound, []string{"repository not found", "team/none"}},
		{"empty", git.Source{URL: empty.URL(), Auth: good}, schema.NotFound, []string{"is empty"}},
		{"no branch", git.Source{URL: s.repo.URL(), Branch: "dev", Auth: good}, schema.NotFound, []string{`branch "dev" not found`, "It has: main"}},
		{"file", git.Source{URL: "file:///etc"}, schema.Invalid, nil},
		{"git", git.Source{URL: "git://host/x"}, schema.Invalid, []string{"git"}},
		{"empty address", git.Source{}, schema.Invalid, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, call := range []func() error{
				func() error { _, err := s.client.Resolve(t.Context(), c.src); return err },
				func() error {
					_, err := s.client.Sync(t.Context(), s.dir, c.src, git.Options{})
					return err
				},
			} {
				err := call()
				(&site{T: t}).fails(err, c.code, c.words...)
				if strings.Contains(err.Error(), "wrong") && c.name == "wrong token" {
					t.Errorf("the token is in the error: %v", err)
				}
			}
			if _, err := os.Stat(s.dir); !errors.Is(err, fs.ErrNotExist) {
				t.Error("a failed clone left its folder")
			}
		})
	}
}

func TestDeletedBranchAndLostCommit(t *testing.T) {
	s := newSite(t)
	s.repo.Commit(map[string]string{"a": "1"}, "one")
	feature := s.repo.Change(gittest.Change{Branch: "feature", Base: "main", Files: map[string]string{"a": "f"}})
	src := s.source()
	src.Branch = "feature"
	s.syncFrom(src, git.Options{})
	s.repo.DeleteBranch("feature")
	_, err := s.client.Sync(t.Context(), s.dir, src, git.Options{})
	s.fails(err, schema.NotFound, `branch "feature" not found`, "deleted", "It has: main")
	if s.read("a") != "f" {
		t.Error("files were changed")
	}
	src.Commit = feature // still here: works without the branch
	s.syncFrom(src, git.Options{})

	src = s.source()
	src.Commit = strings.Repeat("ab", 20)
	_, err = s.client.Sync(t.Context(), s.dir, src, git.Options{})
	s.fails(err, schema.NotFound, "commit "+src.Commit, "force push")
	if s.read("a") != "f" {
		t.Error("files were changed")
	}
}

// A pinned commit may be on another branch, dropped by a force push, or given by
// the start of its hash; forges differ in what they give out.
func TestPinnedCommit(t *testing.T) {
	for _, anyCommit := range []string{"true", "false"} {
		t.Run("any="+anyCommit, func(t *testing.T) {
			s := newSite(t)
			s.repo.Git("config", "uploadpack.allowAnySHA1InWant", anyCommit)
			one := s.repo.Commit(map[string]string{"a": "1"}, "one")
			other := s.repo.Change(gittest.Change{Branch: "other", Files: map[string]string{"a": "o"}})
			s.sync(other)
			if s.read("a") != "o" {
				t.Error("wrong commit")
			}
			src := s.source()
			src.Commit = one[:9]
			s.syncFrom(src, git.Options{})
			if s.read("a") != "1" {
				t.Error("wrong commit")
			}
			two := s.repo.Commit(map[string]string{"a": "2"}, "two")
			s.repo.ForcePush(map[string]string{"a": "3"}, "three")
			src.Commit = two
			_, err := s.client.Sync(t.Context(), s.dir, src, git.Options{})
			if anyCommit == "true" {
				if err != nil || s.read("a") != "2" {
					t.Errorf("%v", err)
				}
				s.clean()
				return
			}
			s.fails(err, schema.NotFound, two)
		})
	}
}

// A server that accepts and then says nothing must not hold a sync beyond its
// context.
func TestCancel(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	s := newSite(t)
	for _, scheme := range []string{"http", "ssh"} {
		ctx, cancel := context.WithCancel(t.Context())
		accepted := make(chan net.Conn, 1)
		go func() {
			c, err := ln.Accept()
			if err == nil {
				accepted <- c
			}
		}()
		done := make(chan error, 1)
		go func() {
			src := git.Source{URL: scheme + "://" + ln.Addr().String() + "/a/b", Auth: git.Auth{SSHKey: s.forge.ClientKey()}}
			_, err := s.client.Sync(ctx, s.dir, src, git.Options{})
			done <- err
		}()
		conn := <-accepted
		cancel()
		select {
		case err := <-done:
			s.fails(err, schema.Canceled)
		case <-time.After(5 * time.Second):
			t.Fatalf("%s: the sync did not stop", scheme)
		}
		_ = conn.Close()
	}
}

func TestURL(t *testing.T) {
	for _, c := range []struct {
		provider, repo string
		https          bool
		want           string
	}{
		{"github.com", "ns/app", true, "https://github.com/ns/app"},
		{"localhost:3000", "/ns/app/", false, "http://localhost:3000/ns/app"},
		{"github.com", "git@forge.lan:ns/app.git", true, "git@forge.lan:ns/app.git"},
		{"github.com", "ssh://git@forge.lan:2222/ns/app.git", true, "ssh://git@forge.lan:2222/ns/app.git"},
		{"github.com", "http://forge.lan/ns/app", true, "http://forge.lan/ns/app"},
		{"ssh://git@forge.lan:2222", "ns/app", true, "ssh://git@forge.lan:2222/ns/app"},
		{"https://forge.lan/git/", "ns/app", false, "https://forge.lan/git/ns/app"},
		{"git@forge.lan", "ns/app", true, "git@forge.lan:ns/app"},
		{"git@forge.lan:2222", "ns/app", true, "ssh://git@forge.lan:2222/ns/app"},
	} {
		if got := git.URL(c.provider, c.repo, c.https); got != c.want {
			t.Errorf("URL(%q, %q, %v) = %q, want %q", c.provider, c.repo, c.https, got, c.want)
		}
	}
}
