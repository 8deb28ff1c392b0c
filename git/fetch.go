package git

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"berth/schema"
)

// conversation is an open session and what the server has.
type conversation struct {
	session
	remote remote
	refs   *packp.AdvRefs
}

// ask opens a session with the remote and reads its references.
func (c *Client) ask(ctx context.Context, r remote) (*conversation, error) {
	s, err := c.open(ctx, r)
	if err != nil {
		return nil, r.explain(ctx, "ask", err)
	}
	refs, err := s.AdvertisedReferencesContext(ctx)
	if err != nil {
		_ = s.Close()
		return nil, r.explain(ctx, "ask", err)
	}
	return &conversation{session: s, remote: r, refs: refs}, nil
}

func (c *Client) open(ctx context.Context, r remote) (session, error) {
	if r.scheme == "ssh" {
		return openSSH(ctx, r)
	}
	ep, err := transport.NewEndpoint(r.String())
	if err != nil {
		return nil, err
	}
	if user, pass, ok := r.auth.basic(); ok {
		return c.web.NewUploadPackSession(ep, &githttp.BasicAuth{Username: user, Password: pass})
	}
	return c.web.NewUploadPackSession(ep, nil)
}

// found is where a name leads on the server.
type found struct {
	hash plumbing.Hash // the commit (a tag is peeled)
	name string        // "main"
	tag  bool
}

// find looks a branch (or tag) up; an empty name is the default branch.
func (v *conversation) find(name string) (found, error) {
	if name == "" {
		name = v.defaultBranch()
	}
	if h, ok := v.refs.References["refs/heads/"+name]; ok {
		return found{hash: h, name: name}, nil
	}
	tag := "refs/tags/" + name
	if h, ok := v.refs.Peeled[tag]; ok {
		return found{hash: h, name: name, tag: true}, nil
	}
	if h, ok := v.refs.References[tag]; ok {
		return found{hash: h, name: name, tag: true}, nil
	}
	branches := v.branches()
	if len(branches) == 0 {
		return found{}, schema.Errorf(schema.NotFound, "branch %q not found in %s: it has no branches", name, v.remote)
	}
	return found{}, schema.Errorf(schema.NotFound, "branch %q not found in %s: was it deleted or renamed? It has: %s", name, v.remote, list(branches))
}

func (v *conversation) branches() []string {
	var out []string
	for name := range v.refs.References {
		if b, ok := strings.CutPrefix(name, "refs/heads/"); ok {
			out = append(out, b)
		}
	}
	return out
}

// defaultBranch is what the server's HEAD points at.
func (v *conversation) defaultBranch() string {
	for _, sym := range v.refs.Capabilities.Get(capability.SymRef) {
		if b, ok := strings.CutPrefix(sym, "HEAD:refs/heads/"); ok {
			return b
		}
	}
	if v.refs.Head != nil { // an old server: guess by hash
		for _, name := range slices.Sorted(maps.Keys(v.refs.References)) {
			if b, ok := strings.CutPrefix(name, "refs/heads/"); ok && v.refs.References[name] == *v.refs.Head {
				return b
			}
		}
	}
	return "main"
}

// mayWantAny says whether the server gives out commits that are no tip.
func (v *conversation) mayWantAny() bool {
	return v.refs.Capabilities.Supports(capability.AllowReachableSHA1InWant) ||
		v.refs.Capabilities.Supports(capability.AllowTipSHA1InWant)
}

// download fetches the wanted commits with their history into the repository.
// With all, nothing that is there already is assumed to be whole.
func (v *conversation) download(ctx context.Context, repo *repository, wants []plumbing.Hash, all bool) error {
	req := packp.NewUploadPackRequestFromCapabilities(v.refs.Capabilities)
	if v.refs.Capabilities.Supports(capability.NoProgress) {
		if err := req.Capabilities.Set(capability.NoProgress); err != nil {
			return err
		}
	}
	req.Wants = wants
	if !all {
		shallow, err := repo.store.Shallow()
		if err != nil {
			return onDisk(err, "read shallow commits")
		}
		if req.Shallows = shallow; len(shallow) > 0 {
			if err := req.Capabilities.Set(capability.Shallow); err != nil {
				return err
			}
		}
		req.Haves = repo.haves(wants)
	}
	res, err := v.UploadPack(ctx, req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Close() }() // the pack was read to its end or the error is known
	demux := sideband.Sideband64k
	switch {
	case req.Capabilities.Supports(capability.Sideband64k):
	case req.Capabilities.Supports(capability.Sideband):
		demux = sideband.Sideband
	default:
		return repo.storePack(ctx, res, all)
	}
	return repo.storePack(ctx, sideband.NewDemuxer(demux, res), all)
}

// haves lists commits that are here, so that the server sends only what is new:
// the newest of each branch and of HEAD.
func (r *repository) haves(wants []plumbing.Hash) []plumbing.Hash {
	const perRef, most = 32, 2048
	seen := map[plumbing.Hash]bool{}
	refs := r.refs()
	if head, _, err := r.head(); err == nil && !head.IsZero() {
		refs[plumbing.HEAD] = head
	}
	for name, next := range refs {
		if len(seen) >= most || name.IsTag() {
			continue
		}
		for range perRef {
			if seen[next] {
				break
			}
			commit, err := object.GetCommit(r.store, next)
			if err != nil {
				break
			}
			seen[next] = true
			if len(commit.ParentHashes) == 0 {
				break
			}
			next = commit.ParentHashes[0]
		}
	}
	for _, w := range wants {
		delete(seen, w)
	}
	return slices.Collect(maps.Keys(seen))
}

// fetch brings the source's branch, and the exact commit if one is named, into
// the repository, and returns the commit to be at and what the branch is.
func (c *Client) fetch(ctx context.Context, repo *repository, r remote, src Source, all bool) (plumbing.Hash, found, error) {
	v, err := c.ask(ctx, r)
	if err != nil {
		return plumbing.ZeroHash, found{}, err
	}
	defer func() { _ = v.Close() }()
	at, err := v.find(src.Branch)
	if err != nil && (src.Commit == "" || !v.mayWantAny()) {
		return plumbing.ZeroHash, found{}, err
	}
	branchErr := err
	if branchErr == nil && (all || !repo.has(at.hash)) {
		if err := v.download(ctx, repo, []plumbing.Hash{at.hash}, all); err != nil {
			return plumbing.ZeroHash, found{}, r.explain(ctx, "fetch", err)
		}
	}
	if branchErr == nil {
		if err := repo.setRemoteRef(at, r); err != nil {
			return plumbing.ZeroHash, found{}, err
		}
	}
	if src.Commit == "" {
		return at.hash, at, nil
	}
	if branchErr != nil {
		at = found{name: src.Branch}
	}
	if h, ok := repo.resolve(src.Commit); ok {
		return h, at, nil
	}
	h, err := c.fetchExact(ctx, repo, v, src.Commit)
	if err != nil && branchErr != nil {
		err = schema.Wrap(schema.NotFound, branchErr, "find commit %s", src.Commit)
	}
	return h, at, err
}

// fetchExact asks for one commit that is not on the branch: pinned, or dropped
// from the branch by a force push but still known to the server.
func (c *Client) fetchExact(ctx context.Context, repo *repository, old *conversation, commit string) (plumbing.Hash, error) {
	missing := schema.Errorf(schema.NotFound,
		"commit %s is not in %s: was it dropped by a force push, or never pushed? Deploy the branch's present commit, or push it again", commit, old.remote)
	_ = old.Close()
	v, err := c.ask(ctx, old.remote)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	defer func() { _ = v.Close() }()
	wants := []plumbing.Hash{plumbing.NewHash(commit)}
	if !v.mayWantAny() || !plumbing.IsHash(commit) {
		wants = wants[:0] // take all branches: it may be on another one
		for _, b := range v.branches() {
			if h := v.refs.References["refs/heads/"+b]; !repo.has(h) && !slices.Contains(wants, h) {
				wants = append(wants, h)
			}
		}
	}
	if len(wants) > 0 {
		err := v.download(ctx, repo, wants, false)
		if err != nil && (ctx.Err() != nil || !strings.Contains(err.Error(), "not our ref")) {
			return plumbing.ZeroHash, v.remote.explain(ctx, "fetch", fmt.Errorf("commit %s: %w", commit, err))
		}
	}
	if h, ok := repo.resolve(commit); ok {
		return h, nil
	}
	return plumbing.ZeroHash, missing
}

// Resolve asks the remote which commit the source's branch is at. A full commit
// in the source is returned as it is, without asking.
func (c *Client) Resolve(ctx context.Context, src Source) (Commit, error) {
	if plumbing.IsHash(src.Commit) {
		return Commit{Hash: strings.ToLower(src.Commit), Branch: src.Branch}, nil
	}
	r, err := remoteOf(src)
	if err != nil {
		return Commit{}, err
	}
	v, err := c.ask(ctx, r)
	if err != nil {
		return Commit{}, err
	}
	defer func() { _ = v.Close() }()
	at, err := v.find(src.Branch)
	if err != nil {
		return Commit{}, err
	}
	hash := at.hash.String()
	if short := strings.ToLower(src.Commit); short != "" && !strings.HasPrefix(hash, short) {
		hash = short // cannot be told without the history: Sync will
	}
	return Commit{Hash: hash, Branch: at.name}, nil
}

// remoteOf reads the source's address; credentials written into it are used when
// the source brings none.
func remoteOf(src Source) (remote, error) {
	addr, inURL, err := parseAddress(src.URL)
	if err != nil {
		return remote{}, err
	}
	auth := src.Auth
	if auth.Token == "" && inURL.Token != "" {
		auth.Token, auth.Username = inURL.Token, inURL.Username
	}
	return remote{address: addr, auth: auth}, nil
}
