package sync

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"path/filepath"
	"strings"
	"sync"

	"berth/git"
	"berth/schema"
)

// Secrets gives what repositories ask for. It stays in memory.
type Secrets interface {
	// GitToken returns the token of an account at a git host, and whether that host
	// speaks plain http; ok is false when core knows no such account.
	GitToken(provider, account string) (token string, http, ok bool)
	// Variable returns a variable's value; ok is false when there is none.
	Variable(ctx context.Context, name string) (value string, ok bool, err error)
}

// repos is core's cache of repositories: one store each, whoever uses it.
type repos struct {
	dir     string
	client  *git.Client
	secrets Secrets

	mu    sync.Mutex
	roots map[string]string // commit → the commit its history began with
}

func newRepos(dir string, client *git.Client, secrets Secrets) *repos {
	return &repos{dir: dir, client: client, secrets: secrets, roots: map[string]string{}}
}

// place is a branch, or pinned commit, of a repository.
type place struct {
	key    string // of the repository: the same for all who fetch it the same way
	dir    string // of its store
	source git.Source
	repo   string // as the settings have it
}

// place finds out how a repository is reached.
func (r *repos) place(ctx context.Context, s schema.GitSource) (place, error) {
	https := s.HTTPS
	auth := git.Auth{Username: s.Account}
	if s.Account != "" {
		token, http, ok := r.secrets.GitToken(s.Provider, s.Account)
		if !ok && s.SSHKey == "" {
			return place{}, schema.Errorf(schema.NotFound, "no token for account %q at %s: add the git account on core", s.Account, s.Provider)
		}
		if ok {
			auth.Token, https = token, !http
		}
	}
	provider := s.Provider
	if s.SSHKey != "" {
		key, ok, err := r.secrets.Variable(ctx, s.SSHKey)
		if err != nil {
			return place{}, err
		}
		if !ok {
			return place{}, schema.Errorf(schema.NotFound, "variable %q, which is to hold the deploy key, does not exist: create it as a secret", s.SSHKey)
		}
		auth.SSHKey = []byte(key)
		if !strings.Contains(s.Repo, "://") && !strings.Contains(provider, "://") && !strings.Contains(s.Repo, "@") {
			provider = "ssh://git@" + provider
		}
	}
	hosts, err := r.knownHosts(ctx, s.KnownHosts)
	if err != nil {
		return place{}, err
	}
	auth.KnownHosts = hosts
	p := place{repo: s.Repo, source: git.Source{URL: git.URL(provider, s.Repo, https), Branch: s.Branch, Commit: s.Commit, Auth: auth}}
	sum := sha256.Sum256([]byte(strings.Join([]string{plainURL(p.source.URL), s.Provider, s.Account, s.SSHKey}, "\x00")))
	p.key = hex.EncodeToString(sum[:8])
	p.dir = filepath.Join(r.dir, p.key)
	return p, nil
}

func (r *repos) knownHosts(ctx context.Context, text string) ([]byte, error) {
	out, _, err := schema.Interpolate(text, func(name string) (string, bool) {
		v, ok, err := r.secrets.Variable(ctx, name)
		return v, ok && err == nil
	})
	if err != nil {
		return nil, schema.Wrap(schema.Invalid, err, "git_known_hosts")
	}
	return []byte(out), nil
}

// plainURL is an address without credentials and what does not tell repositories
// apart.
func plainURL(u string) string {
	scheme, rest, ok := strings.Cut(u, "://")
	if !ok {
		return strings.TrimSuffix(strings.TrimRight(u, "/"), ".git") // git@host:path
	}
	if host, path, ok := strings.Cut(rest, "/"); ok {
		if i := strings.LastIndex(host, "@"); i >= 0 {
			host = host[i+1:]
		}
		rest = host + "/" + path
	}
	return scheme + "://" + strings.TrimSuffix(strings.TrimRight(rest, "/"), ".git")
}

// identity is what makes two addresses the same repository, whatever the way to it.
func identity(u string) string {
	u = plainURL(u)
	if _, rest, ok := strings.Cut(u, "://"); ok {
		u = rest
	}
	if i := strings.LastIndex(u, "@"); i >= 0 {
		u = u[i+1:]
	}
	return strings.ToLower(strings.Replace(u, ":", "/", 1))
}

// origin returns the commit that the history of a commit began with.
func (r *repos) origin(ctx context.Context, p place, commit string) (string, error) {
	r.mu.Lock()
	known := maps.Clone(r.roots)
	r.mu.Unlock()
	root, err := r.client.Origin(ctx, p.dir, commit, known)
	if err != nil {
		return "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.roots) > 10000 {
		clear(r.roots)
	}
	r.roots[commit] = root
	return root, nil
}

// look is one look at the world: every remote is asked once, every commit opened
// once, whatever the number of stacks that need it. Close it.
type look struct {
	repos *repos
	heads map[string]headsOrErr    // by place key
	snaps map[string]*git.Snapshot // by place key and commit
	infos map[string]git.Commit    // by place key and commit
	fails map[string]error         // by place key and commit: what could not be fetched
	given map[string]string        // by place key and branch: the commit to take for its head
	told  map[string]string        // by the settings' repo and branch: the same
}

type headsOrErr struct {
	heads git.Heads
	err   error
}

func (r *repos) look() *look {
	return &look{
		repos: r, heads: map[string]headsOrErr{}, snaps: map[string]*git.Snapshot{}, infos: map[string]git.Commit{},
		fails: map[string]error{}, given: map[string]string{}, told: map[string]string{},
	}
}

func (l *look) close() {
	for _, s := range l.snaps {
		s.Close()
	}
}

// at returns the commit that a place stands at: the pinned one, the one that was
// given for its branch, or what the remote says, which is asked once.
func (l *look) at(ctx context.Context, p place) (string, error) {
	if p.source.Commit != "" {
		return p.source.Commit, nil
	}
	if c := l.given[p.key+"/"+p.source.Branch]; c != "" {
		return c, nil
	}
	if c := l.told[strings.ToLower(p.repo)+"\x00"+p.source.Branch]; c != "" {
		return c, nil
	}
	h, ok := l.heads[p.key]
	if !ok {
		h.heads, h.err = l.repos.client.Heads(ctx, p.source)
		l.heads[p.key] = h
	}
	if h.err != nil {
		return "", h.err
	}
	c, err := h.heads.Find(p.source.Branch)
	return c.Hash, err
}

// open reads a commit of a place, fetching it when it is not there.
func (l *look) open(ctx context.Context, p place, commit string) (*git.Snapshot, git.Commit, error) {
	key := p.key + "/" + commit
	if s := l.snaps[key]; s != nil {
		return s, l.infos[key], nil
	}
	if err := l.fails[key]; err != nil {
		return nil, git.Commit{}, err
	}
	src := p.source
	src.Commit = commit
	info, err := l.repos.client.Fetch(ctx, p.dir, src)
	var s *git.Snapshot
	if err == nil {
		s, err = l.repos.client.Open(p.dir, info.Hash)
	}
	if err != nil {
		l.fails[key] = err
		return nil, git.Commit{}, err
	}
	l.snaps[key], l.infos[key] = s, info
	return s, info, nil
}
