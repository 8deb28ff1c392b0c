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
	path string
}

// lockIndex takes .git/index.lock, waiting for whoever has it.
func (r *repository) lockIndex(ctx context.Context, wait time.Duration) (*indexLock, error) {
	if wait == 0 {
		wait = 30 * time.Second
	}
	path := filepath.Join(r.dir, "index.lock")
	made, err := r.lockFile()
	if err != nil {
		return nil, onDisk(err, "lock the index of %s", r.work)
	}
	lock := &indexLock{repo: r, file: made, path: path}
	defer func() { _ = os.Remove(made.Name()) }() // it has its other name by then
	deadline := time.Now().Add(wait)
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := os.Link(made.Name(), path)
		if err == nil {
			return lock, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, onDisk(errors.Join(err, made.Close()), "lock the index of %s", r.work)
		}
		if abandoned(path) {
			continue
		}
		if time.Now().After(deadline) {
			return nil, schema.Wrap(schema.Conflict, errors.Join(err, made.Close()),
				"lock the index of %s: .git/index.lock is there for more than %s: another git command is at work in the folder, or one died; if none runs, delete the file", r.work, wait)
		}
		if err := pauseFor(ctx, pause); err != nil {
			return nil, errors.Join(err, made.Close())
		}
	}
}

func pauseFor(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lockFile makes the lock complete, marked and held, under a name of our own:
// linking it to git's name is then one step that cannot be done by half.
func (r *repository) lockFile() (*os.File, error) {
	if err := r.owner.mkdir(r.scratch()); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(r.scratch(), "lock-")
	if err != nil {
		return nil, err
	}
	_, err = f.WriteString(lockMark)
	err = errors.Join(err, f.Chmod(0o644), unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB), r.owner.take(f.Name()))
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return f, nil
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
	there, err2 := os.Lstat(l.path)
	if err1 == nil && err2 == nil && os.SameFile(mine, there) { // else somebody deleted it by hand
		_ = os.Remove(l.path)
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

// writeLocked replaces one of git's files under the lock that git itself takes
// for it (PATH.lock). The lock is linked from a file of our own, complete, and
// that file removed last: a lock that is still linked to it was left by a kill
// and is ours to remove. It waits for others for 200 ms at the most, whatever the
// context: what a sync has begun is better ended.
func writeLocked(own owner, scratch, path string, content []byte, mode os.FileMode) (err error) {
	if err := own.mkdir(scratch); err != nil {
		return err
	}
	ours, lock := filepath.Join(scratch, "next"), path+".lock"
	left, err1 := os.Lstat(ours)
	there, err2 := os.Lstat(lock)
	if err1 == nil && err2 == nil && os.SameFile(left, there) {
		if err := os.Remove(lock); err != nil {
			return err
		}
	}
	if err := os.Remove(ours); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // never write into it: it may be the file itself
	}
	if err := own.write(ours, content, mode); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, os.Remove(ours))
		_ = os.Remove(scratch) // if it is empty
	}()
	for tries := 0; ; tries++ {
		err := os.Link(ours, lock)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrExist) || tries == 20 {
			return err
		}
		<-time.After(10 * time.Millisecond) // git waits for 100 ms too
	}
	return os.Rename(lock, path)
}
