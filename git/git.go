// Package git brings a folder to exactly one commit of a remote repository, in
// process, without the git program.
//
// Objects and transport come from go-git; the work tree is brought to the commit
// by our own rules, because the folder is also the user's: compose files stand
// beside the data they mount.
//
//   - Only files that git tracks are replaced or removed. Untracked and ignored
//     files, and folders that hold any, are never touched.
//   - Local edits of tracked files are reported (Options.Drift, before anything
//     is written; Result.Drift) and kept as blobs in the object store.
//   - Local commits are kept under refs/berth/saved/.
//   - git's own locks are taken (index.lock, REF.lock) and its files written by
//     rename, so that the user may run git in the folder at any time.
//   - What is created belongs to the owner of the folder.
//   - Credentials stay in memory.
//
// Concurrency: a Client's methods may be called from any goroutine. Syncs of one
// folder run one after the other, the second then finds the commit present and
// asks the network for nothing; folders do not wait for each other, but at most
// two full clones run at once, because each needs much memory. Every method
// returns promptly when its context ends. After a crash at any point the next
// Sync takes up where the last one was.
package git

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
)

// Auth is how to prove who asks. It is held in memory only and never written.
type Auth struct {
	Username   string // account; "token" if empty
	Token      string // password or token; "user:pass" is used as both
	SSHKey     []byte // private key in PEM or OpenSSH form, without a passphrase
	KnownHosts []byte // pinned host keys, lines as in known_hosts
}

// Source says what to have.
type Source struct {
	URL    string // http(s)://, ssh:// or git@host:path; see URL
	Branch string // the remote's default branch if empty; a tag's name works too
	Commit string // exact commit (or an unambiguous start of one); the branch's tip if empty
	Auth   Auth
}

// Commit is a commit's identity and, where it is known, what it says.
type Commit struct {
	Hash    string
	Branch  string // the branch or tag it was found by
	Message string
	Author  string
	When    time.Time
}

// Drift is a tracked file that was changed by hand and that the sync replaced.
type Drift struct {
	Path string
	Kind string // "edited", "deleted", "mode" or "type"
	Blob string // the edited content, readable with `git cat-file -p BLOB`; empty if not kept
}

// Options changes how a Sync goes about it. The zero value is right for a deploy.
type Options struct {
	Reclone   bool          // download everything anew; files, stashes and other refs stay
	Overwrite bool          // replace untracked files that are in the way; they are reported as drift
	LockWait  time.Duration // how long to wait for git's index.lock; 30 s if zero
	// NoSubmodules leaves submodules as they are: an empty folder where there was
	// nothing.
	NoSubmodules bool

	// Drift, if set, is called before the first file is written when tracked
	// files were edited by hand; its error ends the sync with nothing changed.
	Drift func([]Drift) error
}

// Result says what a Sync found and did.
type Result struct {
	Commit   string // the full hash the work tree is at
	Before   string // the hash HEAD was at; empty if at none
	Message  string
	Author   string
	Cloned   bool     // the repository was downloaded as a whole
	Fetched  bool     // the network was asked
	Changed  []string // tracked paths written or removed
	Drift    []Drift  // local edits that were replaced
	Warnings []string // what git would have done and we do not, and what the user should know
}

// Client syncs folders. Make it with New.
type Client struct {
	log    *slog.Logger
	web    transport.Transport
	conns  *http.Transport
	clones chan struct{} // one token per clone that may run at once

	mu   sync.Mutex // guards dirs
	dirs map[string]*dirLock
}

const (
	maxClones   = 2
	dialTimeout = 15 * time.Second
	stall       = 60 * time.Second // a connection silent for so long is dead (servers send keep-alives)
)

// New returns a Client. Close it to drop its idle connections.
func New(log *slog.Logger) *Client {
	conns := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dial,
		TLSHandshakeTimeout: dialTimeout,
		IdleConnTimeout:     30 * time.Second,
		ForceAttemptHTTP2:   true,
	}
	return &Client{
		log:    log,
		web:    githttp.NewClient(&http.Client{Transport: conns}),
		conns:  conns,
		clones: make(chan struct{}, maxClones),
		dirs:   map[string]*dirLock{},
	}
}

// Close drops idle connections.
func (c *Client) Close() { c.conns.CloseIdleConnections() }

// dial connects with a deadline on silence, so that a dead peer cannot hold a
// sync for longer than its stall time.
func dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	conn, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return stallConn{conn}, nil
}

type stallConn struct{ net.Conn }

func (c stallConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(stall)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c stallConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(stall)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// dirLock serializes the syncs of one folder; waiting ends with the context.
type dirLock struct {
	token chan struct{}
	users int
}

// lockDir waits for the folder and returns the func that lets go of it.
func (c *Client) lockDir(ctx context.Context, dir string) (func(), error) {
	c.mu.Lock()
	l := c.dirs[dir]
	if l == nil {
		l = &dirLock{token: make(chan struct{}, 1)}
		c.dirs[dir] = l
	}
	l.users++
	c.mu.Unlock()
	leave := func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(c.dirs, dir)
		}
	}
	select {
	case l.token <- struct{}{}:
		return func() { <-l.token; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
