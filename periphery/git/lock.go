package git

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/go-git/go-git/v5/plumbing/object"
	"golang.org/x/sys/unix"

	"berth/schema"
)

// lockMark is what index.lock holds while Berth has it: git would write an index
// there. With the flock on it, a lock that a killed agent left behind is told
// from one that is in use.
const lockMark = "berth\n"

// indexLock is git's lock on the index, held.
type indexLock struct {
	repo *repository
	file *os.File
}

// lockIndex takes .git/index.lock, waiting for whoever has it.
func (r *repository) lockIndex(ctx context.Context, wait time.Duration) (*indexLock, error) {
	if wait == 0 {
		wait = 30 * time.Second
	}
	path := filepath.Join(r.dir, "index.lock")
	deadline := time.Now().Add(wait)
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644) //nolint:gosec // as git makes it
		if err == nil {
			return r.markLock(f)
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, onDisk(err, "lock the index of %s", r.work)
		}
		if abandoned(path) {
			continue
		}
		if time.Now().After(deadline) {
			return nil, schema.Wrap(schema.Conflict, err,
				"lock the index of %s: .git/index.lock is there for more than %s: another git command is at work in the folder, or one died; if none runs, delete the file", r.work, wait)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
	}
}

func (r *repository) markLock(f *os.File) (*indexLock, error) {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		_, err = f.WriteString(lockMark)
	}
	if err == nil {
		err = r.owner.take(f.Name())
	}
	if err != nil {
		return nil, onDisk(errors.Join(err, f.Close(), os.Remove(f.Name())), "lock the index of %s", r.work)
	}
	return &indexLock{repo: r, file: f}, nil
}

// abandoned removes a lock that an agent left when it was killed, and says
// whether it did.
func abandoned(path string) bool {
	f, err := os.Open(path) //nolint:gosec // a repository's own file
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	defer func() { _ = f.Close() }() // read only
	mark, err := io.ReadAll(io.LimitReader(f, int64(len(lockMark))+1))
	if err != nil || !bytes.Equal(mark, []byte(lockMark)) {
		return false
	}
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return false // its owner lives
	}
	mine, err1 := f.Stat()
	there, err2 := os.Lstat(path)
	if err1 != nil || err2 != nil || !os.SameFile(mine, there) {
		return false
	}
	return os.Remove(path) == nil
}

// commit replaces the index under the lock.
func (l *indexLock) commit(idx *index) error {
	path := filepath.Join(l.repo.dir, "index")
	mode := os.FileMode(0o644)
	if st, err := os.Stat(path); err == nil {
		mode = st.Mode().Perm()
	}
	return onDisk(l.repo.owner.write(path, idx.encode(), mode), "write the index of %s", l.repo.work)
}

// release lets others at the index. It is safe to call twice.
func (l *indexLock) release() {
	if l.file == nil {
		return
	}
	mine, err1 := l.file.Stat()
	there, err2 := os.Lstat(l.file.Name())
	if err1 == nil && err2 == nil && os.SameFile(mine, there) { // else somebody deleted it by hand
		_ = os.Remove(l.file.Name())
	}
	_ = l.file.Close()
	l.file = nil
}

// refreshIndex writes what was learned about unchanged files into the index, if
// nobody is at it; a sync is right without.
func (r *repository) refreshIndex(ctx context.Context, commit *object.Commit) {
	lock, err := r.lockIndex(ctx, time.Nanosecond)
	if err != nil {
		return
	}
	defer lock.release()
	p, err := r.newPlan(ctx, commit, false)
	if err != nil || p.dirty || len(p.inTheWay) > 0 {
		return
	}
	_ = lock.commit(p.next) // only an optimization
}
