package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"berth/schema"
)

// batch is what one write brings to disk.
type batch struct {
	records []record
	sync    bool
	done    chan struct{}
	err     error // set before done is closed
}

// append writes a record and returns when it is confirmed. The first to come
// while a write is in progress leads the next one, and takes along all that come
// until it begins.
func (j *Journal) append(r record, sync bool) error {
	j.mu.Lock()
	if j.broken != nil {
		defer j.mu.Unlock()
		return j.broken
	}
	b := j.next
	leads := b == nil
	if leads {
		b = &batch{done: make(chan struct{})}
		j.next = b
	}
	b.records = append(b.records, r)
	b.sync = b.sync || sync
	j.mu.Unlock()
	if !leads {
		<-b.done
		return b.err
	}
	j.io.Lock()
	defer j.io.Unlock()
	j.mu.Lock()
	j.next = nil
	b.err = j.broken
	j.mu.Unlock()
	if b.err == nil {
		b.err = j.writeIO(b)
	}
	if b.err == nil {
		b.err = j.confirm(b.records)
	}
	close(b.done)
	return b.err
}

// confirm brings what is on disk into the entries.
func (j *Journal) confirm(records []record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, r := range records {
		if err := j.apply(r); err != nil {
			return schema.Wrap(schema.Internal, err, "journal")
		}
	}
	return nil
}

// writeIO writes a batch; io is held. After an error nothing of it counts.
func (j *Journal) writeIO(b *batch) error {
	line, err := encode(b.records)
	if err != nil {
		return schema.Wrap(schema.Internal, err, "journal: encode a record")
	}
	if j.size > max(j.limit, 2*j.base) {
		if err := j.compactIO(); err != nil {
			j.base = j.size // tried again when it has doubled
		}
		if err := j.state(); err != nil {
			return err
		}
	}
	if _, err := j.file.WriteAt(line, j.size); err != nil {
		// Nobody was told of it: take back what was written of it.
		if terr := j.file.Truncate(j.size); terr != nil {
			return j.breakDown("write", terr)
		}
		return schema.Errorf(schema.Failed, "write journal %s: %v", filepath.Join(j.dir, fileName), reason(err))
	}
	if b.sync {
		if err := j.file.Sync(); err != nil {
			return j.breakDown("sync", err) // what is on the disk now cannot be known
		}
	}
	j.size += int64(len(line))
	return nil
}

// state returns why nothing is accepted any more, nil while all is well.
func (j *Journal) state() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.broken
}

// breakDown refuses everything from now on.
func (j *Journal) breakDown(verb string, err error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.broken = schema.Errorf(schema.Failed, "%s journal %s: %v: no command is taken until the disk works and the agent is started again",
		verb, filepath.Join(j.dir, fileName), reason(err))
	return j.broken
}

// load reads the file into entries, drops a torn end, and compacts. A full disk
// does not keep the agent from starting: it is the agent that can clean up.
func (j *Journal) load() error {
	name := filepath.Join(j.dir, fileName)
	data, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return schema.Errorf(schema.Failed, "read journal %s: %v", name, reason(err))
	}
	good, err := j.replay(name, data)
	if err != nil {
		return err
	}
	if len(data) > 0 && j.compactIO() == nil {
		return nil
	}
	if j.file, err = os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return schema.Errorf(schema.Failed, "open journal %s: %v", name, reason(err))
	}
	j.size, j.base = good, good
	err = errors.Join(j.file.Truncate(good), j.file.Sync(), syncDir(j.dir))
	if err != nil {
		j.file.Close()
		return schema.Errorf(schema.Failed, "open journal %s: %v", name, reason(err))
	}
	return nil
}

// replay applies all lines and returns the size of the good ones. Only the last
// may be damaged.
func (j *Journal) replay(name string, data []byte) (int64, error) {
	good := int64(0)
	for n := 1; len(data) > 0; n++ {
		line, rest, whole := bytes.Cut(data, []byte("\n"))
		records, err := decode(line)
		if len(rest) == 0 && (errors.Is(err, errCut) || err == nil && !whole) {
			return good, nil
		}
		for _, r := range records {
			if err == nil {
				err = j.apply(r)
			}
		}
		if err != nil {
			return 0, j.refuse(name, n, err)
		}
		data, good = rest, good+int64(len(line))+1
	}
	return good, nil
}

// refuse keeps a copy of a damaged journal and says what to do.
func (j *Journal) refuse(name string, line int, cause error) error {
	data, err := os.ReadFile(name)
	bad := fmt.Sprintf("%s.damaged-%08x", name, checksum(data))
	if err == nil {
		err = os.WriteFile(bad, data, 0o600)
	}
	aside := "a copy is in " + bad
	if err != nil {
		aside = fmt.Sprintf("no copy could be made: %v", reason(err))
	}
	return schema.Errorf(schema.Invalid, "read journal %s: line %d is damaged (%v), which a crash does not explain: check the disk; %s; "+
		"to go on without it, see that no deploy is in progress and remove %s: commands of before may then run again", name, line, cause, aside, name)
}

// compactIO writes what has to be remembered into a new file and puts it in
// place; io is held or nobody else knows the journal. After an error the old one
// stays in use, or the journal is broken.
func (j *Journal) compactIO() error {
	name := filepath.Join(j.dir, fileName)
	lines, old, err := j.live()
	if err != nil {
		return err
	}
	file, err := os.OpenFile(name+".new", os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(lines)
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = os.Rename(file.Name(), name)
	}
	if err != nil {
		return errors.Join(err, file.Close(), os.Remove(file.Name()))
	}
	j.forget(old)
	if j.file != nil {
		j.file.Close() // all of it is in the new one
	}
	j.file, j.size, j.base = file, int64(len(lines)), int64(len(lines))
	if err := syncDir(j.dir); err != nil {
		return j.breakDown("compact", err)
	}
	return nil
}

// live returns the lines of what has to be remembered, one per command in the
// order of their start, and the ids that were reported too long ago for that.
func (j *Journal) live() (lines []byte, old []string, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	since := j.now().Add(-keep)
	var list []Entry
	for id, e := range j.entries {
		if !e.reported.IsZero() && e.reported.Before(since) && !j.claimed[id] {
			old = append(old, id)
		} else {
			list = append(list, *e)
		}
	}
	sortEntries(list)
	for _, e := range list {
		line, err := encode(e.records())
		if err != nil {
			return nil, nil, err
		}
		lines = append(lines, line...)
	}
	return lines, old, nil
}

func (j *Journal) forget(ids []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, id := range ids {
		delete(j.entries, id)
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// reason drops the path from an error that is named beside it.
func reason(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}
