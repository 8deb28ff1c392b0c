package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"berth/schema"
)

// Heads is where the branches and tags of a remote stand: the answer to one
// question, whatever the number of branches that are of interest.
type Heads struct{ v *conversation }

// Heads asks the remote where its branches stand.
func (c *Client) Heads(ctx context.Context, src Source) (Heads, error) {
	r, err := remoteOf(src)
	if err != nil {
		return Heads{}, err
	}
	v, err := c.ask(ctx, r)
	if err != nil {
		return Heads{}, err
	}
	_ = v.Close()
	return Heads{v}, nil
}

// Find returns the commit of a branch or tag, of the default branch when empty;
// not_found names the branches there are.
func (h Heads) Find(branch string) (Commit, error) {
	at, err := h.v.find(strings.TrimPrefix(branch, "refs/heads/"))
	if err != nil {
		return Commit{}, err
	}
	return Commit{Hash: at.hash.String(), Branch: at.name}, nil
}

// Fetch brings the source's commit with its history into the repository below
// dir, which is made when it is missing and has no work tree: what is in a commit
// is read with Open. A commit that is there asks nothing of the network. Fetches
// into one folder go one after another. The commit comes back with its message.
func (c *Client) Fetch(ctx context.Context, dir string, src Source) (Commit, error) {
	r, err := remoteOf(src)
	if err != nil {
		return Commit{}, err
	}
	src.Branch = strings.TrimPrefix(src.Branch, "refs/heads/")
	if src.Branch != "" && plumbing.NewBranchReferenceName(src.Branch).Validate() != nil {
		return Commit{}, schema.Errorf(schema.Invalid, "fetch %s: %q is no name for a branch", r, src.Branch)
	}
	unlock, err := c.lockDir(ctx, dir)
	if err != nil {
		return Commit{}, fmt.Errorf("wait for another fetch of %s: %w", r, err)
	}
	defer unlock()
	repo, err := openMirror(dir, r)
	if err != nil {
		return Commit{}, err
	}
	defer repo.close()
	if h, ok := repo.resolve(src.Commit); src.Commit != "" && ok {
		return repo.commit(h, src.Branch)
	}
	if repo.isNew || len(repo.refs()) == 0 {
		release, err := c.holdClone(ctx)
		if err != nil {
			return Commit{}, fmt.Errorf("wait for other clones: %w", err)
		}
		defer release()
	}
	h, at, err := c.fetch(ctx, repo, r, src, false)
	if err != nil {
		return Commit{}, err
	}
	return repo.commit(h, at.name)
}

// openMirror opens the repository below dir or makes an empty one.
func openMirror(dir string, r remote) (*repository, error) {
	repo, err := openRepository(dir)
	if !errors.Is(err, errNoRepository) {
		return repo, err
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o700); err != nil { // sources may be private
			return nil, onDisk(err, "make folder %s", dir)
		}
	}
	return initRepository(dir, filepath.Join(dir, ".git"), owner{}, r, "")
}

// commit describes a commit that is there.
func (r *repository) commit(h plumbing.Hash, branch string) (Commit, error) {
	at, err := object.GetCommit(r.store, h)
	if err != nil {
		return Commit{}, readObject(err, h)
	}
	return Commit{
		Hash: h.String(), Branch: branch, Message: strings.TrimSpace(at.Message), Author: at.Author.Name, When: at.Author.When,
	}, nil
}

// Origin follows a commit's first parents to the commit the history began with.
// The way ends early at a commit whose origin is known: then that is the answer.
func (c *Client) Origin(ctx context.Context, dir, commit string, known map[string]string) (string, error) {
	repo, err := openRepository(dir)
	if err != nil {
		return "", err
	}
	defer repo.close()
	h, ok := repo.resolve(commit)
	if !ok {
		return "", schema.Errorf(schema.NotFound, "follow history: commit %s is not in %s", commit, dir)
	}
	for {
		if root := known[h.String()]; root != "" {
			return root, nil
		}
		at, err := object.GetCommit(repo.store, h)
		if err != nil {
			return "", readObject(err, h)
		}
		if len(at.ParentHashes) == 0 {
			return h.String(), nil
		}
		if err := ctx.Err(); err != nil {
			return "", err
		}
		h = at.ParentHashes[0]
	}
}

// Contains reports whether a commit is in the history of another, in the
// repository below dir.
func (c *Client) Contains(dir, tip, commit string) (bool, error) {
	repo, err := openRepository(dir)
	if err != nil {
		return false, err
	}
	defer repo.close()
	return repo.contains(plumbing.NewHash(tip), plumbing.NewHash(commit)), nil
}
