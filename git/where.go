package git

import (
	"errors"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/object"

	"berth/schema"
)

// Where finds the work tree that a folder lies in, and the commit that is checked
// out there. not_found when the folder lies in none, or in one without a commit.
func (c *Client) Where(dir string) (root string, at Commit, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return "", Commit{}, err
	}
	for root = dir; ; root = filepath.Dir(root) {
		repo, err := openRepository(root)
		if err == nil {
			at, err := repo.checkedOut()
			repo.close()
			return root, at, err
		}
		if !errors.Is(err, errNoRepository) {
			return "", Commit{}, err
		}
		if root == filepath.Dir(root) {
			return "", Commit{}, schema.Errorf(schema.NotFound, "%s lies in no git repository", dir)
		}
	}
}

func (r *repository) checkedOut() (Commit, error) {
	h, branch, err := r.head()
	if err != nil {
		return Commit{}, err
	}
	if h.IsZero() {
		return Commit{}, schema.Errorf(schema.NotFound, "%s has no commit yet", r.work)
	}
	at, err := object.GetCommit(r.store, h)
	if err != nil {
		return Commit{}, readObject(err, h)
	}
	return Commit{
		Hash: h.String(), Branch: branch, Message: strings.TrimSpace(at.Message), Author: at.Author.Name, When: at.Author.When,
	}, nil
}
