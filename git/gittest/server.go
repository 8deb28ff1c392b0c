// Package gittest serves bare git repositories over HTTP (git http-backend) and
// SSH (git upload-pack), the way a forge does. Tests use New; the demo uses
// Serve, which needs no testing.T. The installed git is needed for the server's
// side only.
//
// All methods may be called from several goroutines; commits to one repository
// are made one after the other.
package gittest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
	"golang.org/x/sync/errgroup"
)

// Config says where and how to serve. The zero value serves a temporary port on
// 127.0.0.1 over HTTP and SSH without asking for credentials over HTTP.
type Config struct {
	Dir      string // holds the bare repositories, NAME.git each
	HTTPAddr string // "127.0.0.1:0" if empty
	SSHAddr  string // "127.0.0.1:0" if empty; "-" serves no SSH
	Username string // with Password: HTTP asks for basic auth
	Password string
}

// Server serves the repositories below a folder until its context ends.
type Server struct {
	cfg     Config
	backend string
	httpLn  net.Listener
	sshLn   net.Listener
	hostKey gossh.Signer

	mu        sync.Mutex // guards the fields below
	clientKey gossh.PublicKey
	keyPEM    []byte
	requests  int
	repos     map[string]*Repo
}

// Listen opens the server's ports; Run serves them.
func Listen(cfg Config) (*Server, error) {
	s := &Server{cfg: cfg, repos: map[string]*Repo{}}
	out, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		return nil, fmt.Errorf("find git's programs: %w (install git)", err)
	}
	s.backend = filepath.Join(strings.TrimSpace(string(out)), "git-http-backend")
	if _, err := os.Stat(s.backend); err != nil {
		return nil, fmt.Errorf("find git-http-backend: %w (install git with its HTTP backend)", err)
	}
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("make repositories' folder: %w", err)
	}
	if s.httpLn, err = listen(cfg.HTTPAddr); err != nil {
		return nil, err
	}
	if cfg.SSHAddr == "-" {
		return s, nil
	}
	if s.sshLn, err = listen(cfg.SSHAddr); err != nil {
		return nil, errors.Join(err, s.httpLn.Close())
	}
	return s, s.makeKeys()
}

// Serve listens and serves until ctx ends; wait returns when both servers are
// down.
func Serve(ctx context.Context, cfg Config) (s *Server, wait func() error, err error) {
	if s, err = Listen(cfg); err != nil {
		return nil, nil, err
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return s, func() error { return <-done }, nil
}

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	web := &http.Server{Handler: http.HandlerFunc(s.serveHTTP), ReadHeaderTimeout: 10 * time.Second}
	g.Go(func() error { return closed(web.Serve(s.httpLn)) })
	g.Go(func() error { <-ctx.Done(); return web.Close() })
	if s.sshLn != nil {
		shell := &ssh.Server{Handler: s.serveSSH, HostSigners: []ssh.Signer{s.hostKey}, PublicKeyHandler: s.acceptKey}
		g.Go(func() error { return closed(shell.Serve(s.sshLn)) })
		g.Go(func() error { <-ctx.Done(); return shell.Close() })
	}
	return g.Wait()
}

func closed(err error) error {
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, ssh.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func listen(addr string) (net.Listener, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return ln, nil
}

func newKey() (gossh.Signer, []byte, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	signer, err := gossh.NewSignerFromKey(key)
	if err != nil {
		return nil, nil, err
	}
	block, err := gossh.MarshalPrivateKey(key, "test key")
	if err != nil {
		return nil, nil, err
	}
	var pem bytes.Buffer
	if err := encodePEM(&pem, block); err != nil {
		return nil, nil, err
	}
	return signer, pem.Bytes(), nil
}

func (s *Server) makeKeys() error {
	host, _, err := newKey()
	if err != nil {
		return fmt.Errorf("make host key: %w", err)
	}
	client, pem, err := newKey()
	if err != nil {
		return fmt.Errorf("make client key: %w", err)
	}
	s.hostKey, s.clientKey, s.keyPEM = host, client.PublicKey(), pem
	return nil
}

// URL returns the address of the server over HTTP, without credentials.
func (s *Server) URL() string { return "http://" + s.httpLn.Addr().String() }

// SSHAddr returns host:port of the server's SSH side.
func (s *Server) SSHAddr() string { return s.sshLn.Addr().String() }

// HostKeys returns the server's host key as lines of a known_hosts file.
func (s *Server) HostKeys() []byte {
	return []byte(knownhosts.Line([]string{knownhosts.Normalize(s.SSHAddr())}, s.hostKey.PublicKey()) + "\n")
}

// ClientKey returns the private key (OpenSSH form) that the server accepts.
func (s *Server) ClientKey() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.keyPEM)
}

// Requests returns how many HTTP requests and SSH sessions were made so far.
func (s *Server) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

func (s *Server) count() {
	s.mu.Lock()
	s.requests++
	s.mu.Unlock()
}

func (s *Server) serveHTTP(w http.ResponseWriter, r *http.Request) {
	s.count()
	if s.cfg.Username != "" || s.cfg.Password != "" {
		user, pass, _ := r.BasicAuth()
		if subtle.ConstantTimeCompare([]byte(user+"\x00"+pass), []byte(s.cfg.Username+"\x00"+s.cfg.Password)) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "credentials needed", http.StatusUnauthorized)
			return
		}
	}
	h := cgi.Handler{
		Path: s.backend,
		Env: append(gitEnv(), "GIT_PROJECT_ROOT="+s.cfg.Dir, "GIT_HTTP_EXPORT_ALL=1",
			"GIT_PROTOCOL="+r.Header.Get("Git-Protocol")),
		Stderr: &bytes.Buffer{},
	}
	h.ServeHTTP(w, r)
}

func (s *Server) acceptKey(_ ssh.Context, key ssh.PublicKey) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return ssh.KeysEqual(key, s.clientKey)
}

func (s *Server) serveSSH(sess ssh.Session) {
	s.count()
	args := sess.Command()
	if len(args) != 2 || (args[0] != "git-upload-pack" && args[0] != "git-receive-pack") {
		_, _ = fmt.Fprintln(sess.Stderr(), "only git is served here")
		_ = sess.Exit(1)
		return
	}
	dir := filepath.Join(s.cfg.Dir, filepath.Clean("/"+args[1]))
	if _, err := os.Stat(dir); err != nil {
		dir += ".git" // forges take the name without it too
	}
	if _, err := os.Stat(dir); err != nil {
		_, _ = fmt.Fprintln(sess.Stderr(), "ERROR: Repository not found.")
		_ = sess.Exit(128)
		return
	}
	cmd := exec.CommandContext(sess.Context(), "git", strings.TrimPrefix(args[0], "git-"), dir)
	cmd.Env = append(os.Environ(), gitEnv()...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = sess, sess, sess.Stderr()
	if err := cmd.Run(); err != nil {
		_ = sess.Exit(128)
		return
	}
	_ = sess.Exit(0)
}

func gitEnv() []string {
	return []string{
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Forge", "GIT_AUTHOR_EMAIL=forge@example.com", "GIT_COMMITTER_NAME=Forge", "GIT_COMMITTER_EMAIL=forge@example.com",
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
	}
}
