package git

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"berth/schema"
)

// remote is one repository on a server, with the credentials for it.
type remote struct {
	address
	auth Auth
}

// explain turns what a transport said into an error with a code and a text that
// names the cause and what to do about it. verb is "fetch", "ask" or the like.
func (r remote) explain(ctx context.Context, verb string, err error) error {
	if err == nil {
		return nil
	}
	err = bare(err)
	what := fmt.Sprintf("%s %s", verb, r)
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", what, ctx.Err())
	}
	if done, ok := errors.AsType[*schema.Error](err); ok {
		return schema.Wrap(done.Code, err, "%s", what)
	}
	if code, text := r.diagnoseNetwork(err); text != "" {
		return schema.Wrap(code, err, "%s: %s", what, text)
	}
	if code, text := r.diagnoseAnswer(err); text != "" {
		return schema.Wrap(code, err, "%s: %s", what, text)
	}
	return schema.Wrap(schema.Failed, err, "%s: %s", what, oneLine(err.Error()))
}

// bare takes off go-git's wrappers that hide what is in them.
func bare(err error) error {
	for {
		var unexpected *plumbing.UnexpectedError
		var permanent *plumbing.PermanentError
		switch {
		case errors.As(err, &unexpected) && unexpected.Err != nil:
			err = unexpected.Err
		case errors.As(err, &permanent) && permanent.Err != nil:
			err = permanent.Err
		default:
			return err
		}
	}
}

// diagnoseNetwork knows the ways in which no answer comes at all.
func (r remote) diagnoseNetwork(err error) (schema.Code, string) {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound {
			return schema.Unavailable, fmt.Sprintf("look up host %q: no such host; check the name, and the DNS settings of the host this agent runs on", dns.Name)
		}
		return schema.Unavailable, fmt.Sprintf("look up host %q: the DNS server does not answer; check the DNS settings of the host this agent runs on", dns.Name)
	}
	var cert *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &unknown):
		return schema.Unavailable, "TLS: the server's certificate is signed by an authority this host does not know; install its CA certificate on the agent's host"
	case errors.As(err, &cert):
		return schema.Unavailable, "TLS: " + oneLine(cert.Err.Error())
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return schema.Unavailable, "TLS: the server does not speak TLS on this port; turn https off for this repository, or use the https port"
	case errors.Is(err, syscall.ECONNREFUSED):
		return schema.Unavailable, fmt.Sprintf("connect to %s: connection refused; is the server running, and is the port right?", r.hostPort())
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return schema.Unavailable, fmt.Sprintf("connect to %s: no route to host; check the agent's network", r.hostPort())
	case errors.Is(err, syscall.ECONNRESET):
		return schema.Unavailable, fmt.Sprintf("connect to %s: connection reset by the server or something in between", r.hostPort())
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return schema.Unavailable, fmt.Sprintf("connect to %s: no answer in time; check the agent's network and firewalls", r.hostPort())
	}
	return "", ""
}

// diagnoseAnswer knows the ways in which a server refuses.
func (r remote) diagnoseAnswer(err error) (schema.Code, string) {
	var status *githttp.Err
	switch {
	case errors.Is(err, transport.ErrAuthenticationRequired):
		if r.auth.Token == "" {
			return schema.Denied, "the server asks for credentials; set an account with a token (forges also answer so when the repository does not exist)"
		}
		user, _, _ := r.auth.basic()
		return schema.Denied, fmt.Sprintf("the server refused the token of account %q (401); is it expired, or lacks it read access to this repository?", user)
	case errors.Is(err, transport.ErrAuthorizationFailed):
		return schema.Denied, "the server forbids access (403); give the account's token read access to this repository"
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return schema.NotFound, "repository not found; check its name, and that the account may read it (forges hide private repositories this way)"
	case errors.Is(err, transport.ErrEmptyRemoteRepository), errors.Is(err, packp.ErrEmptyAdvRefs):
		return schema.NotFound, "the repository is empty; push a commit first"
	case errors.As(err, &status):
		return schema.Unavailable, fmt.Sprintf("the server answered with HTTP status %d", status.StatusCode())
	case strings.Contains(err.Error(), "http redirect"):
		return schema.Denied, oneLine(err.Error()[strings.Index(err.Error(), "http redirect"):]) + "; use the address it points to"
	}
	return "", ""
}

// oneLine cuts a foreign text to something that fits a line and holds no
// control characters.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "…"
	}
	return s
}

// onDisk explains an error of the local file system; dir is the work tree.
func onDisk(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	what := fmt.Sprintf(format, args...)
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w", what, err)
	}
	if known, ok := errors.AsType[*schema.Error](err); ok {
		return schema.Wrap(known.Code, err, "%s", what)
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return schema.Wrap(schema.Denied, err, "%s: permission denied for uid %d; run the agent as root, or give it the folder", what, os.Geteuid())
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return schema.Wrap(schema.Unavailable, err, "%s: no space left on the disk", what)
	case errors.Is(err, syscall.EROFS):
		return schema.Wrap(schema.Denied, err, "%s: the file system is read-only", what)
	}
	return schema.Wrap(schema.Failed, err, "%s: %s", what, oneLine(err.Error()))
}

// list names up to ten of many things.
func list(names []string) string {
	const most = 10
	names = slices.Clone(names)
	slices.Sort(names)
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
