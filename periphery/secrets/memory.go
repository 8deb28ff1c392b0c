package secrets

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"berth/schema"
)

// Memory keeps secret files that must exist as files, on a file system that
// lives in memory. A stack's folder has a stable path, as bind mounts need it
// across restarts of containers and of the agent; after a restart of the host
// it is empty until the stack is deployed again.
type Memory struct {
	mu   sync.Mutex // orders writes and wipes
	dir  string
	root *os.Root
}

// Owner says whom a secret file belongs to. Its mode is 0600 unless Mode is set;
// other users of the host cannot reach it in any case, the folder is 0700.
type Owner struct {
	UID, GID int
	Mode     fs.FileMode
}

// OpenMemory opens or makes the folder (0700). Where it does not lie on tmpfs or
// ramfs and we are root, a tmpfs is mounted on it; if that is not possible it is
// refused with the remedy: secrets must not reach a disk. Code Denied.
func OpenMemory(dir string) (*Memory, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, schema.Errorf(schema.Failed, "make folder %s for secret files: %v", dir, errors.Unwrap(err))
	}
	ok, err := inMemory(dir)
	if err == nil && !ok {
		err = mountMemory(dir)
		if err == nil {
			ok, err = inMemory(dir)
		}
	}
	if err != nil || !ok {
		return nil, schema.Errorf(schema.Denied,
			"keep secret files in %s: it lies on a disk and a tmpfs cannot be mounted there (%v): choose a folder below /dev/shm or /run, or run: mount -t tmpfs -o mode=0700,nosuid,nodev,noexec tmpfs %s", dir, err, dir)
	}
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() {
		return nil, schema.Errorf(schema.Denied, "keep secret files in %s: it is not a folder", dir)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, schema.Errorf(schema.Denied, "keep secret files in %s: it belongs to somebody else: remove it or choose another folder", dir)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, schema.Wrap(schema.Failed, err, "open %s", dir)
	}
	return &Memory{dir: dir, root: root}, nil
}

// Close gives the folder back; files stay.
func (m *Memory) Close() error { return m.root.Close() }

// Dir returns the path of a stack's folder; it is the same for ever. The folder
// need not exist yet. Code Invalid for a name that is no single path element.
func (m *Memory) Dir(stack string) (string, error) {
	if stack == "" || stack == "." || stack == ".." || strings.ContainsAny(stack, "/\x00") {
		return "", schema.Errorf(schema.Invalid, "secret files of stack %q: the name is not usable as a folder", stack)
	}
	return filepath.Join(m.dir, stack), nil
}

// Write puts a file at a relative path below the stack's folder and returns its
// full path. Same contents leave the file alone; others replace it whole, so a
// running container keeps what it has mounted until it is created again.
func (m *Memory) Write(stack, name string, data []byte, owner Owner) (string, error) {
	dir, err := m.Dir(stack)
	if err != nil {
		return "", err
	}
	if !filepath.IsLocal(name) || path.Clean(name) == "." {
		return "", schema.Errorf(schema.Invalid, "write secret file %q of stack %q: the path leaves the stack's folder", name, stack)
	}
	if owner.Mode == 0 {
		owner.Mode = 0o600
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	rel := path.Join(stack, filepath.ToSlash(name))
	if err := m.root.MkdirAll(path.Dir(rel), 0o700); err != nil {
		return "", schema.Wrap(schema.Failed, err, "write secret file %q of stack %q", name, stack)
	}
	if err := m.replaceLocked(rel, data, owner); err != nil {
		return "", schema.Wrap(schema.Failed, err, "write secret file %q of stack %q", name, stack)
	}
	return filepath.Join(dir, name), nil
}

func (m *Memory) replaceLocked(rel string, data []byte, owner Owner) error {
	if old, err := m.root.ReadFile(rel); err == nil && bytes.Equal(old, data) {
		return m.ownLocked(rel, owner)
	}
	tmp := path.Join(path.Dir(rel), ".berth-new-"+path.Base(rel))
	if err := m.root.RemoveAll(tmp); err != nil {
		return err
	}
	f, err := m.root.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = m.ownLocked(tmp, owner)
	}
	if err == nil {
		err = m.root.Rename(tmp, rel)
	}
	if err != nil {
		return errors.Join(err, m.root.RemoveAll(tmp))
	}
	return nil
}

func (m *Memory) ownLocked(rel string, owner Owner) error {
	if os.Geteuid() == 0 {
		if err := m.root.Chown(rel, owner.UID, owner.GID); err != nil {
			return err
		}
	}
	return m.root.Chmod(rel, owner.Mode)
}

// Keep removes the stack's files that are not among names, what a former deploy
// had and this one has not.
func (m *Memory) Keep(stack string, names ...string) error {
	if _, err := m.Dir(stack); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	want := map[string]bool{}
	for _, n := range names {
		want[path.Join(stack, path.Clean(filepath.ToSlash(n)))] = true
	}
	var gone []string
	err := fs.WalkDir(m.root.FS(), stack, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !want[p] {
			gone = append(gone, p)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return schema.Wrap(schema.Failed, err, "list secret files of stack %q", stack)
	}
	for _, p := range gone {
		if err := m.root.Remove(p); err != nil {
			return schema.Wrap(schema.Failed, err, "remove secret file of stack %q", stack)
		}
	}
	return nil
}

// Wipe removes all files of a stack.
func (m *Memory) Wipe(stack string) error {
	if _, err := m.Dir(stack); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return schema.Wrap(schema.Failed, m.root.RemoveAll(stack), "wipe secret files of stack %q", stack)
}

// Stacks lists the stacks that have a folder, so that those of removed stacks
// can be wiped.
func (m *Memory) Stacks() ([]string, error) {
	entries, err := fs.ReadDir(m.root.FS(), ".")
	if err != nil {
		return nil, schema.Wrap(schema.Failed, err, "list stacks with secret files")
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func inMemory(dir string) (bool, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return false, err
	}
	return st.Type == unix.TMPFS_MAGIC || st.Type == unix.RAMFS_MAGIC, nil
}

// mountMemory mounts a tmpfs on dir, one that is never swapped out where the
// kernel can do that.
func mountMemory(dir string) error {
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	const opts = "mode=0700,size=64m"
	if err := unix.Mount("tmpfs", dir, "tmpfs", flags, opts+",noswap"); err == nil {
		return nil
	}
	return unix.Mount("tmpfs", dir, "tmpfs", flags, opts)
}
