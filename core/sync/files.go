package sync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"berth/git"
	"berth/schema"
)

// Limits of what a source may hold.
const (
	maxFile  = 8 << 20
	maxFiles = 5000
)

// tree is where files are read from. Paths are relative to its root, with slashes.
type tree interface {
	// stat says what is at a path, links followed. A link that leads out of the tree
	// is an error.
	stat(p string) (node, bool, error)
	list(n node) ([]string, error) // names, sorted
	read(n node) ([]byte, error)
}

// node is a file or folder of a tree.
type node struct {
	path string
	dir  bool
	id   string // of what is really there: the same through every link
	git  git.File
}

// discover reads the files that resource_path names: files as they are, folders
// with all *.toml files in them and below, sorted, each file once. What cannot be
// read is in the list with its problem.
func discover(ctx context.Context, t tree, entries schema.StrList) ([]schema.SyncFile, error) {
	d := discovery{tree: t, seen: map[string]bool{}}
	for _, entry := range sortedPaths(entries) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		d.entry = entry
		d.add(entry)
	}
	return d.files, ctx.Err()
}

type discovery struct {
	tree  tree
	entry string
	files []schema.SyncFile
	seen  map[string]bool // paths that are in the list
	above []string        // folders on the way: a link may lead back to one
}

func (d *discovery) problem(p, format string, args ...any) {
	if !d.seen[p] {
		d.seen[p] = true
		d.files = append(d.files, schema.SyncFile{Entry: d.entry, Path: p, Problem: fmt.Sprintf(format, args...)})
	}
}

// add reads one entry of resource_path.
func (d *discovery) add(entry string) {
	p := path.Clean(strings.TrimSpace(entry))
	if strings.TrimSpace(entry) == "" || path.IsAbs(p) || p == ".." || strings.HasPrefix(p, "../") {
		d.problem(entry, "resource_path %q leads out of the source: give a path relative to its root", entry)
		return
	}
	n, ok, err := d.tree.stat(p)
	switch {
	case err != nil:
		d.problem(p, "%s", schema.SafeText(err))
	case !ok:
		d.problem(p, "there is no such file or folder in the source: correct resource_path, or create it")
	case n.dir:
		before := len(d.files)
		d.folder(n)
		if len(d.files) == before {
			d.problem(p, "the folder holds no .toml file: correct resource_path, or put one there")
		}
	case path.Ext(p) != ".toml":
		d.problem(p, "resource_path names a file that is not .toml: resources are read from .toml files only")
	default:
		d.file(n)
	}
}

func (d *discovery) folder(n node) {
	if slices.Contains(d.above, n.id) {
		return // a link to where we come from
	}
	names, err := d.tree.list(n)
	if err != nil {
		d.problem(n.path, "%s", schema.SafeText(err))
		return
	}
	d.above = append(d.above, n.id)
	defer func() { d.above = d.above[:len(d.above)-1] }()
	for _, name := range names {
		if name == ".git" || len(d.files) >= maxFiles {
			continue
		}
		p := path.Join(n.path, name)
		below, ok, err := d.tree.stat(p)
		switch {
		case err != nil && path.Ext(p) == ".toml":
			d.problem(p, "%s", schema.SafeText(err))
		case err != nil || !ok:
		case below.dir:
			d.folder(below)
		case path.Ext(p) == ".toml":
			d.file(below)
		}
	}
}

func (d *discovery) file(n node) {
	if d.seen[n.path] {
		return
	}
	text, err := d.tree.read(n)
	if err != nil {
		d.problem(n.path, "%s", schema.SafeText(err))
		return
	}
	d.seen[n.path] = true
	d.files = append(d.files, schema.SyncFile{Entry: d.entry, Path: n.path, Text: string(text)})
}

// gitTree is the tree of a commit.
type gitTree struct{ snap *git.Snapshot }

func (t gitTree) stat(p string) (node, bool, error) {
	f, ok, err := t.snap.Follow(p)
	if p == "." || p == "" {
		f.Path = "."
	}
	return node{path: f.Path, dir: f.IsDir(), id: f.Hash, git: f}, ok, err
}

func (t gitTree) list(n node) ([]string, error) {
	files, err := t.snap.List(n.git)
	out := make([]string, len(files))
	for i, f := range files {
		out[i] = path.Base(f.Path)
	}
	return out, err
}

func (t gitTree) read(n node) ([]byte, error) { return t.snap.Read(n.git, maxFile) }

// hostTree is a folder of core's host, which nothing leads out of.
type hostTree struct{ root *os.Root }

func openHost(dir string) (hostTree, error) {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return hostTree{}, schema.Errorf(schema.NotFound, "the folder %s does not exist on core's host: create it and put the files there", dir)
	}
	if err != nil {
		return hostTree{}, schema.Wrap(schema.Failed, err, "open %s on core's host: %s", dir, reason(err))
	}
	return hostTree{root}, nil
}

func (t hostTree) close() { _ = t.root.Close() }

// reason is an error of the file system without the path it repeats.
func reason(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}

func (t hostTree) stat(p string) (node, bool, error) {
	info, err := t.root.Stat(p)
	if errors.Is(err, fs.ErrNotExist) {
		return node{}, false, nil
	}
	if err != nil {
		return node{}, false, schema.Wrap(schema.Failed, err, "read %s: %s", p, reason(err))
	}
	return node{path: p, dir: info.IsDir(), id: p}, info.IsDir() || info.Mode().IsRegular(), nil
}

func (t hostTree) list(n node) ([]string, error) {
	if strings.Count(n.path, "/") > 32 {
		return nil, schema.Errorf(schema.Invalid, "%s lies too deep: a symbolic link leads in a circle", n.path)
	}
	f, err := t.root.Open(n.path)
	if err != nil {
		return nil, schema.Wrap(schema.Failed, err, "read %s: %s", n.path, reason(err))
	}
	defer func() { _ = f.Close() }() // read only
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	if err != nil {
		return nil, schema.Wrap(schema.Failed, err, "read %s: %s", n.path, reason(err))
	}
	return names, nil
}

func (t hostTree) read(n node) ([]byte, error) {
	f, err := t.root.Open(n.path)
	if err != nil {
		return nil, schema.Wrap(schema.Failed, err, "read %s: %s", n.path, reason(err))
	}
	defer func() { _ = f.Close() }() // read only
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, schema.Wrap(schema.Failed, err, "read %s: %s", n.path, reason(err))
	case len(b) > maxFile:
		return nil, schema.Errorf(schema.TooLarge, "%s is larger than %d MiB", n.path, maxFile>>20)
	}
	return b, nil
}

// writeHost replaces files below a folder of core's host, each at once or not at
// all. Nothing leads out of the folder.
func writeHost(dir string, e *edits) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // the user edits there too
		return schema.Wrap(schema.Failed, err, "make %s on core's host: %s", dir, reason(err))
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return schema.Wrap(schema.Failed, err, "open %s on core's host: %s", dir, reason(err))
	}
	defer func() { _ = root.Close() }() // nothing is written through it any more
	for _, name := range e.touched {
		if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
			return schema.Wrap(schema.Failed, err, "write %s on core's host: %s", name, reason(err))
		}
		temp := path.Join(path.Dir(name), ".berth-"+schema.NewID())
		err := root.WriteFile(temp, []byte(e.text(name)), 0o644)
		if err == nil {
			err = root.Rename(temp, name)
		}
		if err != nil {
			_ = root.Remove(temp) // it may not be there
			return schema.Wrap(schema.Failed, err, "write %s on core's host: %s", name, reason(err))
		}
	}
	return nil
}
