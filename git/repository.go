package git

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"
	"golang.org/x/sys/unix"

	"berth/schema"
)

// repository is a work tree and its git folder, open. Objects are read through
// go-git; everything is written by this package.
type repository struct {
	work   string // the work tree
	dir    string // its git folder: HEAD, index
	common string // where objects and references are; differs in linked work trees
	owner  owner
	store  *filesystem.Storage
	config config
	isNew  bool // made by this sync
}

// owner is whom new files belong to; the zero value leaves them to the process.
type owner struct {
	set      bool
	uid, gid int
}

// ownerOf returns the owner of path, if files can and must be given to him.
func ownerOf(path string) (owner, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return owner{}, &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	if os.Geteuid() != 0 || (st.Uid == 0 && st.Gid == uint32(os.Getegid())) { //nolint:gosec // ids are 32 bits
		return owner{}, nil
	}
	return owner{set: true, uid: int(st.Uid), gid: int(st.Gid)}, nil
}

func (o owner) take(path string) error {
	if !o.set {
		return nil
	}
	return os.Lchown(path, o.uid, o.gid)
}

// mkdir makes a folder and those above it, each new one the owner's.
func (o owner) mkdir(path string) error {
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		return nil
	}
	if err := o.mkdir(filepath.Dir(path)); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o755); err != nil { //nolint:gosec // as git makes them
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		return err
	}
	return o.take(path)
}

// write replaces a file by rename.
func (o owner) write(path string, content []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".berth-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = o.take(f.Name())
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// openRepository opens the repository of a work tree; errNoRepository if there
// is none.
func openRepository(work string) (*repository, error) {
	dir, err := gitDir(work)
	if err != nil {
		return nil, err
	}
	return openGitDir(work, dir)
}

var errNoRepository = errors.New("no git repository")

// gitDir finds the git folder of a work tree: .git, or what a .git file names.
func gitDir(work string) (string, error) {
	dot := filepath.Join(work, ".git")
	st, err := os.Lstat(dot)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", errNoRepository
	case err != nil:
		return "", onDisk(err, "open repository %s", work)
	case st.Mode().IsRegular():
		b, err := os.ReadFile(dot) //nolint:gosec // a repository's own file
		if err != nil {
			return "", onDisk(err, "open repository %s", work)
		}
		to, ok := strings.CutPrefix(strings.TrimSpace(string(b)), "gitdir: ")
		if !ok {
			return "", schema.Errorf(schema.Conflict, "open repository %s: its .git file names no folder", work)
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(work, to)
		}
		dot = to
	}
	if _, err := os.Stat(filepath.Join(dot, "HEAD")); errors.Is(err, fs.ErrNotExist) {
		return "", errNoRepository
	} else if err != nil {
		return "", onDisk(err, "open repository %s", work)
	}
	return dot, nil
}

func openGitDir(work, dir string) (*repository, error) {
	r := &repository{work: work, dir: dir, common: dir}
	if b, err := os.ReadFile(filepath.Join(dir, "commondir")); err == nil { //nolint:gosec // a repository's own file
		r.common = strings.TrimSpace(string(b))
		if !filepath.IsAbs(r.common) {
			r.common = filepath.Join(dir, r.common)
		}
	}
	var err error
	if r.owner, err = ownerOf(work); err != nil {
		return nil, onDisk(err, "open repository %s", work)
	}
	if r.config, err = readConfig(filepath.Join(r.common, "config")); err != nil {
		return nil, onDisk(err, "open repository %s", work)
	}
	switch {
	case r.config.is("extensions", "objectformat", "sha256"):
		return nil, schema.Errorf(schema.Unsupported, "open repository %s: its objects are named by SHA-256, which is not supported; clone it anew with SHA-1", work)
	case r.config.is("extensions", "refstorage", "reftable"):
		return nil, schema.Errorf(schema.Unsupported, "open repository %s: it keeps references as reftable, which is not supported; run `git refs migrate --ref-format=files`", work)
	}
	r.reopen()
	return r, nil
}

// reopen forgets what go-git remembers of the object store.
func (r *repository) reopen() {
	const cacheSize, streamFrom = 32 << 20, 8 << 20
	r.close()
	files := dotgit.NewRepositoryFilesystem(osfs.New(r.dir), osfs.New(r.common))
	r.store = filesystem.NewStorageWithOptions(files, cache.NewObjectLRU(cacheSize),
		filesystem.Options{LargeObjectThreshold: streamFrom})
}

func (r *repository) close() {
	if r.store != nil {
		_ = r.store.Close() // nothing was written through it
	}
}

// initRepository makes an empty repository for a work tree that may hold files.
func initRepository(work, dir string, own owner, r remote, branch string) (*repository, error) {
	for _, d := range []string{"objects/pack", "objects/info", "refs/heads", "refs/tags", "info", "hooks"} {
		if err := own.mkdir(filepath.Join(dir, d)); err != nil {
			return nil, onDisk(err, "make repository %s", work)
		}
	}
	text := "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n"
	if filepath.Dir(dir) != work {
		rel, err := filepath.Rel(dir, work)
		if err != nil {
			return nil, onDisk(err, "make repository %s", work)
		}
		text += "\tworktree = " + quoteConfig(rel) + "\n"
	}
	text += remoteSection(r.String()) + branchSection(branch)
	if branch == "" {
		branch = "main"
	}
	files := []struct{ name, text string }{
		{"config", text},
		{"HEAD", "ref: refs/heads/" + branch + "\n"}, // last: it is what makes the folder a repository
	}
	for _, f := range files {
		if err := own.write(filepath.Join(dir, f.name), []byte(f.text), 0o644); err != nil {
			return nil, onDisk(err, "make repository %s", work)
		}
	}
	repo, err := openGitDir(work, dir)
	if err != nil {
		return nil, err
	}
	repo.isNew, repo.owner = true, own
	return repo, nil
}

// has says whether a commit is in the object store.
func (r *repository) has(h plumbing.Hash) bool {
	_, err := object.GetCommit(r.store, h)
	return err == nil
}

// resolve finds a commit by its hash or an unambiguous start of one.
func (r *repository) resolve(name string) (plumbing.Hash, bool) {
	name = strings.ToLower(name)
	if plumbing.IsHash(name) {
		h := plumbing.NewHash(name)
		return h, r.has(h)
	}
	if len(name) < 4 {
		return plumbing.ZeroHash, false
	}
	var match []plumbing.Hash
	hashes, err := r.store.HashesWithPrefix(hexPrefix(name))
	if err != nil {
		return plumbing.ZeroHash, false
	}
	for _, h := range hashes {
		if strings.HasPrefix(h.String(), name) && r.has(h) {
			match = append(match, h)
		}
	}
	if len(match) != 1 {
		return plumbing.ZeroHash, false
	}
	return match[0], true
}

// hexPrefix returns the whole bytes that a hex text begins with.
func hexPrefix(s string) []byte {
	var out []byte
	for i := 0; i+2 <= len(s); i += 2 {
		var b byte
		if _, err := fmt.Sscanf(s[i:i+2], "%02x", &b); err != nil {
			break
		}
		out = append(out, b)
	}
	return out
}

// head returns the commit that is checked out (zero if none) and the branch HEAD
// is on ("" if detached).
func (r *repository) head() (plumbing.Hash, string, error) {
	ref, err := r.store.Reference(plumbing.HEAD)
	if err != nil {
		return plumbing.ZeroHash, "", onDisk(err, "read HEAD of %s", r.work)
	}
	if ref.Type() == plumbing.HashReference {
		return ref.Hash(), "", nil
	}
	branch := ref.Target().Short()
	h, err := r.ref(ref.Target())
	return h, branch, err
}

// ref returns where a reference points; zero if there is none.
func (r *repository) ref(name plumbing.ReferenceName) (plumbing.Hash, error) {
	ref, err := r.store.Reference(name)
	switch {
	case errors.Is(err, plumbing.ErrReferenceNotFound):
		return plumbing.ZeroHash, nil
	case err != nil:
		return plumbing.ZeroHash, onDisk(err, "read %s of %s", name, r.work)
	}
	return ref.Hash(), nil
}
