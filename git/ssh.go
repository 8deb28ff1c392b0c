package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"golang.org/x/crypto/ssh"

	"berth/schema"
)

// session is one conversation with a server's upload-pack.
type session interface {
	AdvertisedReferencesContext(ctx context.Context) (*packp.AdvRefs, error)
	UploadPack(ctx context.Context, req *packp.UploadPackRequest) (*packp.UploadPackResponse, error)
	Close() error
}

// shell is upload-pack (or receive-pack) over ssh. go-git's own transport cannot be interrupted
// while it connects and reads the agent user's ~/.ssh; this one does neither.
type shell struct {
	client *ssh.Client
	sess   *ssh.Session
	in     io.WriteCloser
	out    io.Reader
	errs   *tail
	asked  bool
	stop   func() bool // ends the watch that closes the connection with the context
}

// tail keeps the first bytes of what a server says on stderr.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if room := 2048 - t.buf.Len(); room > 0 {
		t.buf.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return oneLine(t.buf.String())
}

// openSSH connects, checks the host's key, logs in and starts upload-pack. The
// connection is closed when ctx ends.
func openSSH(ctx context.Context, r remote) (*shell, error) {
	return openSSHFor(ctx, r, transport.UploadPackServiceName)
}

// openSSHFor does the same with any of git's services.
func openSSHFor(ctx context.Context, r remote, service string) (*shell, error) {
	if len(r.auth.SSHKey) == 0 {
		return nil, schema.Errorf(schema.Denied, "host %s is reached by ssh and there is no deploy key for it; set one on the account", r.host)
	}
	signer, err := ssh.ParsePrivateKey(r.auth.SSHKey)
	var locked *ssh.PassphraseMissingError
	switch {
	case errors.As(err, &locked):
		return nil, schema.Errorf(schema.Invalid, "the deploy key is protected by a passphrase; use one without")
	case err != nil:
		return nil, schema.Errorf(schema.Invalid, "the deploy key cannot be read; want a private key in PEM or OpenSSH form")
	}
	pinned, err := readPins(r.auth.KnownHosts, r.hostPort())
	if err != nil {
		return nil, err
	}
	conn, err := dial(ctx, "tcp", r.hostPort())
	if err != nil {
		return nil, err
	}
	s := &shell{errs: &tail{}, stop: context.AfterFunc(ctx, func() { _ = conn.Close() })}
	var hostErr error
	cfg := &ssh.ClientConfig{
		User: r.user,
		Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: func(host string, addr net.Addr, key ssh.PublicKey) error {
			hostErr = pinned.check(host, addr, key)
			return hostErr
		},
		HostKeyAlgorithms: pinned.algorithms(),
	}
	c, chans, reqs, err := ssh.NewClientConn(conn, r.hostPort(), cfg)
	if err != nil {
		s.stop()
		_ = conn.Close()
		return nil, r.handshakeError(err, hostErr, signer, pinned)
	}
	s.client = ssh.NewClient(c, chans, reqs)
	if err := s.start(service, r.path); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (r remote) handshakeError(err, hostErr error, key ssh.Signer, pinned pins) error {
	switch {
	case hostErr != nil:
		return hostErr
	case strings.Contains(err.Error(), "unable to authenticate"):
		return schema.Errorf(schema.Denied, "the server does not accept the deploy key %s for user %q; add its public half to the repository",
			ssh.FingerprintSHA256(key.PublicKey()), r.user)
	case strings.Contains(err.Error(), "no common algorithm for host key"):
		return schema.Errorf(schema.Denied, "host %s has no key of a pinned kind (%s); pin a key that it has", r.host, strings.Join(pinned.algorithms(), ", "))
	}
	return err
}

func (s *shell) start(service, path string) error {
	var err error
	if s.sess, err = s.client.NewSession(); err != nil {
		return err
	}
	if s.in, err = s.sess.StdinPipe(); err != nil {
		return err
	}
	if s.out, err = s.sess.StdoutPipe(); err != nil {
		return err
	}
	s.sess.Stderr = s.errs
	quoted := "'" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(path) + "'"
	return s.sess.Start(service + " " + quoted)
}

// AdvertisedReferencesContext reads what the server has.
func (s *shell) AdvertisedReferencesContext(context.Context) (*packp.AdvRefs, error) {
	refs := packp.NewAdvRefs()
	if err := refs.Decode(s.out); err != nil {
		return nil, s.refused(err)
	}
	if refs.IsEmpty() {
		return nil, transport.ErrEmptyRemoteRepository
	}
	transport.FilterUnsupportedCapabilities(refs.Capabilities)
	return refs, nil
}

// refused explains an answer that is no list of references.
func (s *shell) refused(err error) error {
	if errors.Is(err, packp.ErrEmptyAdvRefs) {
		return transport.ErrEmptyRemoteRepository
	}
	var data *packp.ErrUnexpectedData
	var line *pktline.ErrorLine
	said := ""
	switch {
	case errors.As(err, &line):
		said = line.Text
	case errors.As(err, &data):
		said = string(data.Data)
	}
	if errors.Is(err, packp.ErrEmptyInput) {
		_ = s.sess.Wait() // the command is over: its stderr is complete after this
	}
	said = oneLine(said + " " + s.errs.String())
	for _, part := range []string{"not found", "does not exist", "could not be found", "not appear to be a git repository", "no such repository", "Cannot find repository"} {
		if strings.Contains(said, part) {
			return transport.ErrRepositoryNotFound
		}
	}
	if said != "" {
		return schema.Wrap(schema.Denied, err, "the server says: %s", said)
	}
	return err
}

// UploadPack asks for objects; the response must be read to its end.
func (s *shell) UploadPack(_ context.Context, req *packp.UploadPackRequest) (*packp.UploadPackResponse, error) {
	s.asked = true
	if err := req.UploadRequest.Encode(s.in); err != nil {
		return nil, fmt.Errorf("send wants: %w", err)
	}
	if err := req.UploadHaves.Encode(s.in, false); err != nil {
		return nil, fmt.Errorf("send haves: %w", err)
	}
	if err := pktline.NewEncoder(s.in).Encodef("done\n"); err != nil {
		return nil, fmt.Errorf("send done: %w", err)
	}
	if err := s.in.Close(); err != nil {
		return nil, fmt.Errorf("close input: %w", err)
	}
	res := packp.NewUploadPackResponse(req)
	if err := res.Decode(io.NopCloser(s.out)); err != nil {
		return nil, fmt.Errorf("%w (%s)", err, s.errs)
	}
	return res, nil
}

// Close ends the conversation and the connection.
func (s *shell) Close() error {
	s.stop()
	if s.in != nil && !s.asked {
		_, _ = s.in.Write(pktline.FlushPkt) // a polite end; the connection goes anyway
	}
	if err := s.client.Close(); err != nil && !strings.Contains(err.Error(), "closed network connection") {
		return err
	}
	return nil
}
