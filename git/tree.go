package git

import (
	"context"
	"errors"
	"path"
	"sort"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"berth/schema"
)

// wanted is one file of the commit to be at.
type wanted struct {
	path string
	mode uint32
	hash plumbing.Hash
}

// treeWalk lists a commit's files in index order. Folders that the index knows
// to be the same are taken from it, without reading objects.
type treeWalk struct {
	repo *repository
	idx  *index
	out  []wanted
}

// walk lists the tree below prefix ("" or "dir/") and returns what to remember
// of it.
func (w *treeWalk) walk(ctx context.Context, h plumbing.Hash, prefix, name string, known *cachedTree) (*cachedTree, error) {
	if known != nil && known.count >= 0 && known.hash == h && w.reuse(prefix, known.count) {
		return known, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	tree, err := object.GetTree(w.repo.store, h)
	if err != nil {
		return nil, readObject(err, h)
	}
	t := &cachedTree{name: name, hash: h}
	for _, e := range tree.Entries {
		if !safeName(e.Name) {
			return nil, schema.Errorf(schema.Invalid, "check out %s: the repository contains a file of this name, which is not safe to write", prefix+e.Name)
		}
		if e.Mode == filemode.Dir {
			sub, err := w.walk(ctx, e.Hash, prefix+e.Name+"/", e.Name, known.child(e.Name))
			if err != nil {
				return nil, err
			}
			t.sub = append(t.sub, sub)
			t.count += sub.count
			continue
		}
		w.out = append(w.out, wanted{path: prefix + e.Name, mode: indexMode(e.Mode), hash: e.Hash})
		t.count++
	}
	return t, nil
}

// reuse takes n entries below prefix out of the index.
func (w *treeWalk) reuse(prefix string, n int) bool {
	all := w.idx.entries
	at := sort.Search(len(all), func(i int) bool { return all[i].path >= prefix })
	if at+n > len(all) {
		return false
	}
	for i := at; i < at+n; i++ {
		if !strings.HasPrefix(all[i].path, prefix) || all[i].unmerged() || all[i].more&moreIntent != 0 {
			return false
		}
	}
	for _, e := range all[at : at+n] {
		w.out = append(w.out, wanted{path: e.path, mode: e.mode, hash: e.hash})
	}
	return true
}

func indexMode(m filemode.FileMode) uint32 {
	switch m {
	case filemode.Executable:
		return modeExec
	case filemode.Symlink:
		return modeLink
	case filemode.Submodule:
		return modeModule
	default:
		return modeFile
	}
}

// safeName refuses names with which a repository could write outside its work
// tree or into a git folder.
func safeName(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, "/\x00") && !strings.EqualFold(name, ".git")
}

// errMissing marks an object that should be there and is not: the repository is
// damaged or partial, and downloading it anew helps.
var errMissing = errors.New("object is missing")

func readObject(err error, h plumbing.Hash) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return schema.Wrap(schema.Failed, errors.Join(errMissing, err), "read object %s: %s", h, oneLine(err.Error()))
}

// File is a tracked file at a commit.
type File struct {
	Path string // relative to the repository, with slashes
	Mode uint32 // as git writes it: 0100644, 0100755, 0120000 (link), 0160000 (submodule)
	Hash string // of the blob; of the commit for a submodule
}

// Files lists the files tracked at a commit below the given paths (files or
// folders, relative to the repository; none or "." is everything), in order and
// each once. What lies inside a submodule is listed as the submodule. A path
// that the commit does not have adds nothing. The network is not asked; a commit
// that is not here is not_found.
func (c *Client) Files(ctx context.Context, dir, commit string, paths ...string) ([]File, error) {
	repo, err := openRepository(dir)
	if errors.Is(err, errNoRepository) {
		return nil, schema.Errorf(schema.NotFound, "list files: %s holds no git repository", dir)
	}
	if err != nil {
		return nil, err
	}
	defer repo.close()
	h, ok := repo.resolve(commit)
	if !ok {
		return nil, schema.Errorf(schema.NotFound, "list files: commit %s is not in %s", commit, dir)
	}
	at, err := object.GetCommit(repo.store, h)
	if err != nil {
		return nil, readObject(err, h)
	}
	root, err := object.GetTree(repo.store, at.TreeHash)
	if err != nil {
		return nil, readObject(err, at.TreeHash)
	}
	w := &treeWalk{repo: repo, idx: &index{}}
	if len(paths) == 0 {
		paths = []string{"."}
	}
	for _, p := range paths {
		if err := w.below(ctx, root, p); err != nil {
			return nil, err
		}
	}
	sort.Slice(w.out, func(i, j int) bool { return w.out[i].path < w.out[j].path })
	var out []File
	for i, f := range w.out {
		if i > 0 && w.out[i-1].path == f.path {
			continue
		}
		out = append(out, File{Path: f.path, Mode: f.mode, Hash: f.hash.String()})
	}
	return out, nil
}

// below adds what is at one path.
func (w *treeWalk) below(ctx context.Context, root *object.Tree, p string) error {
	p = strings.TrimPrefix(path.Clean("/"+p), "/")
	if p == "" {
		_, err := w.walk(ctx, root.Hash, "", "", nil)
		return err
	}
	tree, prefix := root, ""
	for {
		name, rest, more := strings.Cut(p, "/")
		var at *object.TreeEntry
		for i := range tree.Entries {
			if tree.Entries[i].Name == name {
				at = &tree.Entries[i]
			}
		}
		switch {
		case at == nil:
			return nil
		case at.Mode != filemode.Dir:
			if !more || at.Mode == filemode.Submodule {
				w.out = append(w.out, wanted{path: prefix + name, mode: indexMode(at.Mode), hash: at.Hash})
			}
			return nil
		case !more:
			_, err := w.walk(ctx, at.Hash, prefix+name+"/", name, nil)
			return err
		}
		next, err := object.GetTree(w.repo.store, at.Hash)
		if err != nil {
			return readObject(err, at.Hash)
		}
		tree, prefix, p = next, prefix+name+"/", rest
	}
}
