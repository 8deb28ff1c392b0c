package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"golang.org/x/sys/unix"
)

// applier carries a plan out. The caller holds the index's lock.
type applier struct {
	repo   *repository
	plan   *plan
	tree   *worktree
	root   *os.Root
	result map[string]stat // of the files written
	lfs    []string
	temp   string
	count  int
}

// scratch is the folder for what an unfinished sync must leave behind: the
// commits it was going to, and files on their way into the work tree.
func (r *repository) scratch() string { return filepath.Join(r.dir, "berth") }

// begin notes the commit that files are going to be of, so that after a crash
// they are known as ours.
func (r *repository) begin(to plumbing.Hash) error {
	if err := r.owner.mkdir(r.scratch()); err != nil {
		return onDisk(err, "note the sync of %s", r.work)
	}
	name := filepath.Join(r.scratch(), "target")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644) //nolint:gosec // no secret
	if err != nil {
		return onDisk(err, "note the sync of %s", r.work)
	}
	_, err = f.WriteString(to.String() + "\n")
	err = errors.Join(err, f.Sync(), f.Close(), r.owner.take(name))
	return onDisk(err, "note the sync of %s", r.work)
}

// end forgets what begin noted.
func (r *repository) end() error {
	return onDisk(os.RemoveAll(r.scratch()), "clean up after the sync of %s", r.work)
}

// unfinished returns the commits that syncs were going to when they were killed.
func (r *repository) unfinished() []plumbing.Hash {
	b, err := os.ReadFile(filepath.Join(r.scratch(), "target"))
	if err != nil {
		return nil
	}
	var out []plumbing.Hash
	for word := range strings.FieldsSeq(string(b)) {
		if plumbing.IsHash(word) {
			out = append(out, plumbing.NewHash(word))
		}
	}
	return out
}

// apply removes and writes files, then completes the plan's index.
func (r *repository) apply(ctx context.Context, p *plan) ([]string, error) {
	root, err := os.OpenRoot(r.work)
	if err != nil {
		return nil, onDisk(err, "open %s", r.work)
	}
	defer func() { _ = root.Close() }() // read only
	a := &applier{
		repo: r, plan: p, root: root, tree: newWorktree(r.work),
		result: make(map[string]stat, len(p.writes)), temp: filepath.Join(r.scratch(), "tmp"),
	}
	if err := errors.Join(os.RemoveAll(a.temp), r.owner.mkdir(a.temp)); err != nil {
		return nil, onDisk(err, "check out into %s", r.work)
	}
	a.keepDrift()
	for _, name := range append(p.clear, p.removes...) {
		if err := a.remove(name); err != nil {
			return nil, err
		}
	}
	a.tree = newWorktree(r.work)
	for _, w := range p.writes {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := a.write(w); err != nil {
			return nil, err
		}
	}
	for i := range p.next.entries {
		e := &p.next.entries[i]
		if st, ok := a.result[e.path]; ok {
			e.stat = st
		}
	}
	return a.warnings(), nil
}

func (a *applier) warnings() []string {
	if len(a.lfs) == 0 {
		return nil
	}
	return []string{"git LFS is not run: these files hold only a pointer, run `git lfs pull` in the folder: " + list(a.lfs)}
}

// keepDrift stores edited files as blobs before they are replaced.
func (a *applier) keepDrift() {
	for i := range a.plan.drift {
		d := &a.plan.drift[i]
		if d.Blob == "" {
			continue
		}
		b, err := a.tree.small(d.Path)
		if err == nil {
			o := &plumbing.MemoryObject{}
			o.SetType(plumbing.BlobObject)
			_, _ = o.Write(b) // memory takes everything
			d.Blob = o.Hash().String()
			err = a.repo.writeObject(o)
		}
		if err != nil {
			d.Blob = ""
			a.plan.warnings = append(a.plan.warnings, fmt.Sprintf("the edited %s could not be kept: %s", d.Path, oneLine(err.Error())))
		}
	}
}

// remove deletes a tracked file and the folders that are empty after it.
func (a *applier) remove(name string) error {
	if err := a.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return onDisk(err, "remove %s", name)
	}
	dir := path.Dir(name)
	for dir != "." && a.root.Remove(dir) == nil { // until one is not empty
		dir = path.Dir(dir)
	}
	return nil
}

// write puts one file of the commit in its place, by rename.
func (a *applier) write(w wanted) error {
	a.count++
	temp := filepath.Join(a.temp, fmt.Sprint(a.count))
	k, st, err := a.tree.lstat(w.path)
	if err != nil {
		return err
	}
	if k == folder { // only tracked files were in it, and they are gone
		if err := a.removeFolders(w.path); err != nil {
			return err
		}
	}
	if w.mode == modeLink {
		err = a.makeLink(temp, w)
	} else {
		mode := os.FileMode(0o644)
		if k == file {
			mode = os.FileMode(st.Mode & 0o777) // a file closed to others stays so
		}
		mode &^= 0o111
		if w.mode == modeExec {
			mode |= mode >> 2 & 0o111
		}
		err = a.makeFile(temp, w, mode|0o600)
	}
	if err != nil {
		return err
	}
	if err := a.repo.owner.take(temp); err != nil {
		return onDisk(err, "write %s", w.path)
	}
	return a.place(temp, w.path)
}

// removeFolders removes a folder that holds nothing but empty folders.
func (a *applier) removeFolders(name string) error {
	d, err := a.root.Open(name)
	if err != nil {
		return onDisk(err, "remove folder %s", name)
	}
	names, err := d.Readdirnames(-1)
	if err = errors.Join(err, d.Close()); err != nil {
		return onDisk(err, "remove folder %s", name)
	}
	for _, n := range names {
		if err := a.removeFolders(name + "/" + n); err != nil {
			return err
		}
	}
	return onDisk(a.root.Remove(name), "remove folder %s", name)
}

func (a *applier) makeLink(temp string, w wanted) error {
	to, err := a.repo.blob(w.hash, 4096)
	if err != nil {
		return err
	}
	return onDisk(os.Symlink(string(to), temp), "write %s", w.path)
}

func (a *applier) makeFile(temp string, w wanted, mode os.FileMode) (err error) {
	in, err := a.repo.openBlob(w.hash)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode) //nolint:gosec // inside the git folder
	if err != nil {
		return onDisk(err, "write %s", w.path)
	}
	head := &prefix{}
	if _, err := io.Copy(f, io.TeeReader(in, head)); err != nil {
		return onDisk(errors.Join(err, f.Close()), "write %s", w.path)
	}
	if lfsOID(head.b) != "" {
		a.lfs = append(a.lfs, w.path)
	}
	return onDisk(errors.Join(f.Chmod(mode), f.Close()), "write %s", w.path)
}

// prefix keeps the first bytes written to it.
type prefix struct{ b []byte }

func (p *prefix) Write(b []byte) (int, error) {
	if room := lfsMost - len(p.b); room > 0 {
		p.b = append(p.b, b[:min(room, len(b))]...)
	}
	return len(b), nil
}

// place renames a finished file into the work tree and notes its stat. The
// folder is opened through the root, so that no link leads out of it.
func (a *applier) place(temp, name string) error {
	if err := a.folders(path.Dir(name)); err != nil {
		return err
	}
	dir, err := a.root.Open(path.Dir(name))
	if err != nil {
		return onDisk(err, "write %s", name)
	}
	defer func() { _ = dir.Close() }() // read only
	fd, base := int(dir.Fd()), path.Base(name)
	err = unix.Renameat(unix.AT_FDCWD, temp, fd, base)
	if errors.Is(err, unix.EXDEV) { // something is mounted there
		err = a.copyOver(temp, name)
	}
	if err != nil {
		return onDisk(&os.PathError{Op: "rename", Path: name, Err: err}, "write %s", name)
	}
	var st unix.Stat_t
	if err := unix.Fstatat(fd, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return onDisk(err, "write %s", name)
	}
	a.result[name] = statOf(&st)
	return nil
}

// copyOver does what rename cannot do between file systems.
func (a *applier) copyOver(temp, name string) error {
	near := path.Join(path.Dir(name), ".berth-"+path.Base(name))
	if err := a.root.Remove(near); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if to, err := os.Readlink(temp); err == nil {
		return errors.Join(a.root.Symlink(to, near), a.lchown(near), a.root.Rename(near, name))
	}
	in, err := os.Open(temp) //nolint:gosec // inside the git folder
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // read only
	st, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := a.root.OpenFile(near, os.O_CREATE|os.O_EXCL|os.O_WRONLY, st.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Chmod(st.Mode().Perm()), out.Close()); err != nil {
		return err
	}
	return errors.Join(a.lchown(near), a.root.Rename(near, name))
}

func (a *applier) lchown(name string) error {
	if !a.repo.owner.set {
		return nil
	}
	return a.root.Lchown(name, a.repo.owner.uid, a.repo.owner.gid)
}

// folders makes the folders down to dir, each new one the owner's.
func (a *applier) folders(dir string) error {
	if a.tree.isFolder(dir) {
		return nil
	}
	if err := a.folders(path.Dir(dir)); err != nil {
		return err
	}
	err := a.root.Mkdir(dir, 0o755)
	if err == nil {
		err = a.lchown(dir)
	}
	if err != nil {
		return onDisk(err, "make folder %s", dir)
	}
	a.tree.folders[dir] = true
	return nil
}

// openBlob opens a file's content.
func (r *repository) openBlob(h plumbing.Hash) (io.ReadCloser, error) {
	b, err := object.GetBlob(r.store, h)
	if err != nil {
		return nil, readObject(err, h)
	}
	in, err := b.Reader()
	if err != nil {
		return nil, readObject(err, h)
	}
	return in, nil
}

// blob reads a small file's content.
func (r *repository) blob(h plumbing.Hash, most int64) (b []byte, err error) {
	in, err := r.openBlob(h)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	b, err = io.ReadAll(io.LimitReader(in, most))
	if err != nil {
		return nil, readObject(err, h)
	}
	return b, nil
}

// lfsMost is the size that git-lfs pointers stay below.
const lfsMost = 1024

// lfsPointer returns the content's name if the blob is a git-lfs pointer.
func (r *repository) lfsPointer(h plumbing.Hash) string {
	o, err := object.GetBlob(r.store, h)
	if err != nil || o.Size >= lfsMost {
		return ""
	}
	b, err := r.blob(h, lfsMost)
	if err != nil {
		return ""
	}
	return lfsOID(b)
}

func lfsOID(b []byte) string {
	if !bytes.HasPrefix(b, []byte("version https://git-lfs")) {
		return ""
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		if oid, ok := strings.CutPrefix(line, "oid sha256:"); ok {
			return strings.TrimSpace(oid)
		}
	}
	return ""
}
