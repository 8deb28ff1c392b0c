package git

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"berth/schema"
)

// Snapshot reads files from the tree of one commit, without a work tree. Its
// methods may be called from any goroutine; they go one after another. Close it.
type Snapshot struct {
	Commit string

	mu    sync.Mutex // guards all below
	repo  *repository
	root  plumbing.Hash
	trees map[plumbing.Hash]*listing
}

// listing is a tree that was read, with its entries by name.
type listing struct {
	entries []object.TreeEntry
	byName  map[string]int
}

// modeDir is a folder's mode, as git writes it.
const modeDir = uint32(filemode.Dir)

// maxHops is how many symbolic links may lead to one file.
const maxHops = 16

// Open reads the commit that is in the repository below dir; not_found when it is
// not there.
func (c *Client) Open(dir, commit string) (*Snapshot, error) {
	repo, err := openRepository(dir)
	if errors.Is(err, errNoRepository) {
		return nil, schema.Errorf(schema.NotFound, "read commit %s: %s holds no git repository", commit, dir)
	}
	if err != nil {
		return nil, err
	}
	h, ok := repo.resolve(commit)
	if !ok {
		repo.close()
		return nil, schema.Errorf(schema.NotFound, "commit %s is not in the repository", commit)
	}
	at, err := object.GetCommit(repo.store, h)
	if err != nil {
		repo.close()
		return nil, readObject(err, h)
	}
	return &Snapshot{Commit: h.String(), repo: repo, root: at.TreeHash, trees: map[plumbing.Hash]*listing{}}, nil
}

// Close lets go of the repository.
func (s *Snapshot) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repo.close()
}

// IsDir reports whether a file that Find returned is a folder.
func (f File) IsDir() bool { return f.Mode == modeDir }

// IsLink reports whether it is a symbolic link.
func (f File) IsLink() bool { return f.Mode == modeLink }

// Find returns what is at a path ("." is the root); ok is false for nothing. A
// folder's hash is that of its tree: it is another one when anything below
// changed. Links on the way are not followed.
func (s *Snapshot) Find(p string) (f File, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.find(clean(p))
}

// clean makes a path relative to the root; "" is the root. What leads out of it
// ends at the root.
func clean(p string) string { return strings.TrimPrefix(path.Clean("/"+p), "/") }

func (s *Snapshot) find(p string) (File, bool, error) {
	at := File{Path: ".", Mode: modeDir, Hash: s.root.String()}
	if p == "" {
		return at, true, nil
	}
	for name := range strings.SplitSeq(p, "/") {
		if !at.IsDir() {
			return File{}, false, nil
		}
		tree, err := s.tree(plumbing.NewHash(at.Hash))
		if err != nil {
			return File{}, false, err
		}
		i, ok := tree.byName[name]
		if !ok {
			return File{}, false, nil
		}
		at = fileOf(p, tree.entries[i])
	}
	return at, true, nil
}

func fileOf(p string, e object.TreeEntry) File {
	mode := indexMode(e.Mode)
	if e.Mode == filemode.Dir {
		mode = modeDir
	}
	return File{Path: p, Mode: mode, Hash: e.Hash.String()}
}

func (s *Snapshot) tree(h plumbing.Hash) (*listing, error) {
	if f := s.trees[h]; f != nil {
		return f, nil
	}
	t, err := object.GetTree(s.repo.store, h)
	if err != nil {
		return nil, readObject(err, h)
	}
	f := &listing{entries: t.Entries, byName: make(map[string]int, len(t.Entries))}
	for i, e := range t.Entries {
		f.byName[e.Name] = i
	}
	s.trees[h] = f
	return f, nil
}

// Follow is Find through symbolic links, as a file system would go, within the
// repository. The file keeps the path it was asked by. Errors: invalid for a link
// that leads out of the repository or in a circle.
func (s *Snapshot) Follow(p string) (f File, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, rest := "", clean(p)
	for hops := 0; ; {
		name, more, _ := strings.Cut(rest, "/")
		here := path.Join(at, name)
		f, ok, err = s.find(here)
		if err != nil || !ok {
			return f, ok, err
		}
		switch {
		case f.IsLink():
			if hops++; hops > maxHops {
				return f, false, schema.Errorf(schema.Invalid, "%s: its symbolic links lead in a circle", clean(p))
			}
			to, err := s.repo.blob(plumbing.NewHash(f.Hash), 4096)
			if err != nil {
				return f, false, err
			}
			target := path.Join(at, string(to))
			if path.IsAbs(string(to)) || target == ".." || strings.HasPrefix(target, "../") {
				return f, false, schema.Errorf(schema.Invalid, "%s is a symbolic link to %s, which is not in the repository", here, to)
			}
			at, rest = "", clean(path.Join(target, more))
		case more == "":
			f.Path = clean(p)
			return f, true, nil
		default:
			at, rest = here, more
		}
	}
}

// List returns what is in a folder, by name.
func (s *Snapshot) List(dir File) ([]File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tree, err := s.tree(plumbing.NewHash(dir.Hash))
	if err != nil {
		return nil, err
	}
	out := make([]File, 0, len(tree.entries))
	for _, e := range tree.entries {
		out = append(out, fileOf(clean(path.Join(dir.Path, e.Name)), e))
	}
	slices.SortFunc(out, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

// Read returns the contents of a file, at most so many bytes; too_large beyond.
func (s *Snapshot) Read(f File, most int64) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.repo.blob(plumbing.NewHash(f.Hash), most+1)
	if err == nil && int64(len(b)) > most {
		return nil, schema.Errorf(schema.TooLarge, "%s is larger than %d KiB", f.Path, most>>10)
	}
	return b, err
}

// Changed names the files below two folders (or two files) that differ, at most
// so many; more says that there are others.
func (s *Snapshot) Changed(ctx context.Context, was *Snapshot, before, now File, most int) (paths []string, more bool, err error) {
	if before.Hash == now.Hash && before.Mode == now.Mode {
		return nil, false, nil
	}
	if !before.IsDir() || !now.IsDir() {
		return []string{now.Path}, false, nil
	}
	old, err := was.List(before)
	if err != nil {
		return nil, false, err
	}
	cur, err := s.List(now)
	if err != nil {
		return nil, false, err
	}
	names := map[string][2]*File{}
	for i := range old {
		names[path.Base(old[i].Path)] = [2]*File{&old[i], nil}
	}
	for i := range cur {
		pair := names[path.Base(cur[i].Path)]
		pair[1] = &cur[i]
		names[path.Base(cur[i].Path)] = pair
	}
	for _, name := range sortedNames(names) {
		pair := names[name]
		if len(paths) >= most {
			return paths, true, ctx.Err()
		}
		var below []string
		var m bool
		switch {
		case pair[0] == nil:
			below, m, err = s.all(*pair[1], most-len(paths))
		case pair[1] == nil:
			below, m, err = was.all(*pair[0], most-len(paths))
		default:
			below, m, err = s.Changed(ctx, was, *pair[0], *pair[1], most-len(paths))
		}
		if err != nil {
			return paths, more, err
		}
		paths, more = append(paths, below...), more || m
	}
	return paths, more, ctx.Err()
}

// all names the files at and below a path, at most so many.
func (s *Snapshot) all(f File, most int) (paths []string, more bool, err error) {
	if !f.IsDir() {
		return []string{f.Path}, false, nil
	}
	list, err := s.List(f)
	for _, sub := range list {
		if len(paths) >= most {
			return paths, true, err
		}
		below, m, err := s.all(sub, most-len(paths))
		if err != nil {
			return paths, more, err
		}
		paths, more = append(paths, below...), more || m
	}
	return paths, more, err
}

func sortedNames[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for name := range m {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}
