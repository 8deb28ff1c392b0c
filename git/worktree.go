package git

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"golang.org/x/sys/unix"
)

// kind is what stands at a path of the work tree.
type kind int

const (
	absent kind = iota
	file        // regular
	link        // symbolic link
	folder
	other  // device, socket, pipe
	beyond // below something that is no folder
)

// worktree looks at the files. It never follows a symbolic link, so that a link
// made by anybody cannot lead it out of the folder.
type worktree struct {
	root    string
	folders map[string]bool // checked already: is it a real folder?
}

func newWorktree(root string) *worktree {
	return &worktree{root: root, folders: map[string]bool{".": true}}
}

func (w *worktree) abs(p string) string { return w.root + "/" + p }

// lstat says what stands at a path.
func (w *worktree) lstat(p string) (kind, unix.Stat_t, error) {
	var st unix.Stat_t
	if !w.isFolder(path.Dir(p)) {
		if at := w.obstacle(p); at != "" {
			return beyond, st, nil
		}
		return absent, st, nil
	}
	err := unix.Lstat(w.abs(p), &st)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return absent, st, nil
	case err != nil:
		return absent, st, onDisk(&os.PathError{Op: "lstat", Path: w.abs(p), Err: err}, "look at %s", p)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return file, st, nil
	case unix.S_IFLNK:
		return link, st, nil
	case unix.S_IFDIR:
		return folder, st, nil
	}
	return other, st, nil
}

// isFolder says whether p and all above it are real folders.
func (w *worktree) isFolder(p string) bool {
	if yes, ok := w.folders[p]; ok {
		return yes
	}
	var st unix.Stat_t
	yes := w.isFolder(path.Dir(p)) && unix.Lstat(w.abs(p), &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
	w.folders[p] = yes
	return yes
}

// obstacle returns the path above p at which something other than a folder
// stands; "" if there is none.
func (w *worktree) obstacle(p string) string {
	parts := strings.Split(p, "/")
	for i := 1; i < len(parts); i++ {
		up := strings.Join(parts[:i], "/")
		var st unix.Stat_t
		if unix.Lstat(w.abs(up), &st) != nil {
			return ""
		}
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			return up
		}
	}
	return ""
}

// open opens a regular file without following a link at its end.
func (w *worktree) open(p string) (*os.File, error) {
	return os.OpenFile(w.abs(p), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
}

// hash names the content as git would.
func (w *worktree) hash(p string, k kind) (plumbing.Hash, error) {
	if k == link {
		to, err := os.Readlink(w.abs(p))
		if err != nil {
			return plumbing.ZeroHash, onDisk(err, "read %s", p)
		}
		return plumbing.ComputeHash(plumbing.BlobObject, []byte(to)), nil
	}
	f, err := w.open(p)
	if err != nil {
		return plumbing.ZeroHash, onDisk(err, "read %s", p)
	}
	defer func() { _ = f.Close() }() // read only
	st, err := f.Stat()
	if err != nil {
		return plumbing.ZeroHash, onDisk(err, "read %s", p)
	}
	h := plumbing.NewHasher(plumbing.BlobObject, st.Size())
	if _, err := io.Copy(h, io.LimitReader(f, st.Size())); err != nil {
		return plumbing.ZeroHash, onDisk(err, "read %s", p)
	}
	return h.Sum(), nil
}

// hashLF names the content with line ends as they are in the repository.
func (w *worktree) hashLF(p string) (plumbing.Hash, bool) {
	b, err := w.small(p)
	if err != nil || !bytes.Contains(b, []byte("\r\n")) {
		return plumbing.ZeroHash, false
	}
	return plumbing.ComputeHash(plumbing.BlobObject, bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))), true
}

// sha256 is how git-lfs names content.
func (w *worktree) sha256(p string) string {
	f, err := w.open(p)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }() // read only
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil))
}

// small reads a file that is worth keeping or comparing in memory.
func (w *worktree) small(p string) ([]byte, error) {
	if k, st, err := w.lstat(p); err != nil || st.Size > maxKept {
		return nil, errors.Join(err, errTooLarge)
	} else if k == link {
		to, err := os.Readlink(w.abs(p))
		return []byte(to), err
	}
	f, err := w.open(p)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // read only
	return io.ReadAll(io.LimitReader(f, maxKept))
}

// maxKept is the largest edited file that is kept as a blob.
const maxKept = 16 << 20

var errTooLarge = errors.New("too large")

// untracked lists what is below a folder beyond the given tracked paths; it
// stops at the first few.
func (w *worktree) untracked(dir string, tracked map[string]bool) ([]string, error) {
	var out []string
	err := filepath.WalkDir(w.abs(dir), func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(p, w.root+"/")
		if d.IsDir() || tracked[rel] {
			return nil
		}
		if out = append(out, rel); len(out) > 10 {
			return filepath.SkipAll
		}
		return nil
	})
	return out, onDisk(err, "look at %s", dir)
}
