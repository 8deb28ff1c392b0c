package git

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"berth/schema"
)

// reflogBy is the start of the messages that Berth writes into reflogs.
const reflogBy = "berth: "

// refFile returns where a reference is kept: HEAD per work tree, all else shared.
func (r *repository) refFile(name plumbing.ReferenceName) string {
	if name == plumbing.HEAD {
		return filepath.Join(r.dir, "HEAD")
	}
	return filepath.Join(r.common, filepath.FromSlash(name.String()))
}

func (r *repository) logFile(name plumbing.ReferenceName) string {
	if name == plumbing.HEAD {
		return filepath.Join(r.dir, "logs", "HEAD")
	}
	return filepath.Join(r.common, "logs", filepath.FromSlash(name.String()))
}

// setRef writes a reference under git's own lock for it.
func (r *repository) setRef(name plumbing.ReferenceName, content string) error {
	if name != plumbing.HEAD && name.Validate() != nil {
		return schema.Errorf(schema.Invalid, "write %q of %s: that is no name for a reference", name, r.work)
	}
	file := r.refFile(name)
	if err := r.makeRoomFor(name); err != nil {
		return onDisk(err, "write %s of %s", name, r.work)
	}
	if err := r.owner.mkdir(filepath.Dir(file)); err != nil {
		return onDisk(err, "write %s of %s", name, r.work)
	}
	err := writeLocked(r.owner, r.scratch(), file, []byte(content+"\n"), 0o644)
	if errors.Is(err, fs.ErrExist) {
		return schema.Wrap(schema.Conflict, err, "write %s of %s: %s.lock exists: another git command is at work there, or one died; if none runs, delete the file", name, r.work, file)
	}
	return onDisk(err, "write %s of %s", name, r.work)
}

// refs lists where all references point, HEAD aside. go-git's own list takes
// git's lock files for references and fails on them; here what cannot be read is
// left out.
func (r *repository) refs() map[plumbing.ReferenceName]plumbing.Hash {
	out := map[plumbing.ReferenceName]plumbing.Hash{}
	packed, _ := os.ReadFile(filepath.Join(r.common, "packed-refs")) //nolint:gosec // no file, no packed references
	for line := range strings.Lines(string(packed)) {
		hash, name, ok := strings.Cut(strings.TrimSpace(line), " ")
		if ok && plumbing.IsHash(hash) {
			out[plumbing.ReferenceName(name)] = plumbing.NewHash(hash)
		}
	}
	_ = filepath.WalkDir(filepath.Join(r.common, "refs"), func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.HasSuffix(p, ".lock") {
			return nil //nolint:nilerr // git is at work: it is gone again
		}
		b, err := os.ReadFile(p) //nolint:gosec // a repository's own file
		hash := strings.TrimSpace(string(b))
		if name, rel := filepath.Rel(r.common, p); err == nil && rel == nil && plumbing.IsHash(hash) {
			out[plumbing.ReferenceName(filepath.ToSlash(name))] = plumbing.NewHash(hash)
		}
		return nil
	})
	return out
}

// makeRoomFor removes what a renamed branch left behind: a folder without
// references where the file goes, or a remote's reference where a folder goes
// ("topic" was deleted upstream, "topic/a" is new).
func (r *repository) makeRoomFor(name plumbing.ReferenceName) error {
	if !strings.HasPrefix(name.String(), "refs/remotes/") {
		return nil
	}
	file := r.refFile(name)
	for up := filepath.Dir(file); len(up) > len(r.common); up = filepath.Dir(up) {
		if st, err := os.Lstat(up); err == nil && st.Mode().IsRegular() {
			return os.Remove(up)
		}
	}
	if st, err := os.Lstat(file); err == nil && st.IsDir() {
		return os.RemoveAll(file)
	}
	return nil
}

// logRef appends to a reference's log, so that `git reflog` shows what Berth did
// and leads back.
func (r *repository) logRef(name plumbing.ReferenceName, from, to plumbing.Hash, what string) error {
	file := r.logFile(name)
	if err := r.owner.mkdir(filepath.Dir(file)); err != nil {
		return onDisk(err, "write the log of %s", name)
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644) //nolint:gosec // as git makes them
	if err != nil {
		return onDisk(err, "write the log of %s", name)
	}
	_, err = fmt.Fprintf(f, "%s %s Berth <berth@localhost> %d +0000\t%s%s\n", from, to, time.Now().Unix(), reflogBy, what)
	if err = errors.Join(err, f.Close()); err == nil {
		err = r.owner.take(file)
	}
	return onDisk(err, "write the log of %s", name)
}

// lastMoveWasOurs says whether Berth itself brought the reference to h.
func (r *repository) lastMoveWasOurs(name plumbing.ReferenceName, h plumbing.Hash) bool {
	f, err := os.Open(r.logFile(name))
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // read only
	if st, err := f.Stat(); err == nil && st.Size() > 4096 {
		if _, err := f.Seek(-4096, io.SeekEnd); err != nil {
			return false
		}
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return false
	}
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	last := string(lines[len(lines)-1])
	_, rest, _ := strings.Cut(last, " ")
	return strings.HasPrefix(rest, h.String()) && strings.Contains(last, "\t"+reflogBy)
}

// setRemoteRef records where the remote's branch is, as `git fetch` does.
func (r *repository) setRemoteRef(at found, from remote) error {
	name := plumbing.NewRemoteReferenceName("origin", at.name)
	if at.tag {
		name = plumbing.NewTagReferenceName(at.name)
	}
	old, err := r.ref(name)
	if err != nil || old == at.hash {
		return err
	}
	if at.tag && !old.IsZero() {
		return nil // an annotated tag that the user fetched is better than ours
	}
	if err := r.setRef(name, at.hash.String()); err != nil {
		return err
	}
	if at.tag {
		return nil
	}
	return r.logRef(name, old, at.hash, "fetch "+from.String())
}

// contains says whether commit is an ancestor of tip, or tip itself. The walk
// ends at commits that are clearly older.
func (r *repository) contains(tip, commit plumbing.Hash) bool {
	if tip == commit {
		return true
	}
	want, err := object.GetCommit(r.store, commit)
	if err != nil {
		return false
	}
	start, err := object.GetCommit(r.store, tip)
	if err != nil {
		return false
	}
	oldest := want.Committer.When.Add(-24 * time.Hour) // clocks differ
	yes := false
	_ = object.NewCommitIterCTime(start, nil, nil).ForEach(func(c *object.Commit) error { // the end of a shallow history is an end
		if c.Hash == commit {
			yes = true
		}
		if yes || c.Committer.When.Before(oldest) {
			return io.EOF
		}
		return nil
	})
	return yes
}

// saveCommits keeps commits that moving the branch away would leave without a
// name, and returns the reference that keeps them ("" if none was needed).
func (r *repository) saveCommits(old, next plumbing.Hash, branch string, known ...plumbing.Hash) (string, error) {
	if old.IsZero() || old == next || !r.has(old) {
		return "", nil
	}
	moved := plumbing.HEAD
	if branch != "" {
		moved = plumbing.NewBranchReferenceName(branch)
	}
	if r.lastMoveWasOurs(moved, old) {
		return "", nil
	}
	for _, k := range append(known, next) {
		if !k.IsZero() && r.contains(k, old) {
			return "", nil
		}
	}
	name := plumbing.ReferenceName(fmt.Sprintf("refs/berth/saved/%s-%s", time.Now().UTC().Format("20060102T150405Z"), old.String()[:8]))
	return name.String(), r.setRef(name, old.String())
}
