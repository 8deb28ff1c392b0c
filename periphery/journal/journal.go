package journal

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"berth/schema"
)

const (
	fileName  = "journal.log"
	keep      = 7 * 24 * time.Hour // how long a reported id is remembered
	compactAt = 8 << 20            // file size in bytes that makes Start compact
)

// Entry is what is known of a command.
type Entry struct {
	ID      string
	Fence   uint64          // of the lease it was begun with
	Meta    json.RawMessage // what the caller gave to Start; gone once reported
	Result  []byte          // what the caller gave to Done; gone once reported
	Started time.Time
	Ended   time.Time // zero while it is not done

	reported time.Time
}

// Journal is an open journal.
type Journal struct {
	dir   string
	lock  *os.File
	now   func() time.Time
	limit int64

	mu      sync.Mutex        // guards the following; never held while the disk works
	entries map[string]*Entry // what is on disk, changed with io held only
	claimed map[string]bool   // ids with a record on its way to disk
	next    *batch            // records that wait for the write in progress
	broken  error             // the disk failed: nothing is accepted any more

	io   sync.Mutex // one write at a time; taken before mu
	file *os.File
	size int64 // of the confirmed contents
	base int64 // size after the last compaction
}

// Open reads the journal of a folder, which must exist, and makes it if there is
// none. A last record that was not written whole is dropped. Codes: Conflict if
// another process has it open, Invalid if the file is damaged: it stays in
// place, with a copy beside it, until somebody removes it.
func Open(dir string) (*Journal, error) {
	return open(dir, time.Now, compactAt)
}

func open(dir string, now func() time.Time, limit int64) (*Journal, error) {
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, schema.Errorf(schema.Failed, "open journal in %s: %v", dir, errors.Unwrap(err))
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, schema.Errorf(schema.Conflict, "open journal in %s: another agent uses this data folder: end it, or give this one its own --data", dir)
	}
	j := &Journal{dir: dir, lock: lock, now: now, limit: limit, entries: map[string]*Entry{}, claimed: map[string]bool{}}
	if err := j.load(); err != nil {
		lock.Close()
		return nil, err
	}
	return j, nil
}

// Close syncs what is open and gives the journal back.
func (j *Journal) Close() error {
	j.io.Lock()
	defer j.io.Unlock()
	j.mu.Lock()
	if j.broken == nil {
		j.broken = schema.Errorf(schema.Unavailable, "journal: it is closed")
	}
	j.mu.Unlock()
	return errors.Join(j.file.Sync(), j.file.Close(), j.lock.Close())
}

// Seen tells whether the command was ever started here, as far as is remembered:
// at least 7 days after it was reported.
func (j *Journal) Seen(id string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.entries[id] != nil || j.claimed[id]
}

// Start records that work on a command begins, with the fence of its lease and
// whatever the caller wants to find in Unfinished after a crash (JSON, may be
// nil). Code Conflict if it was started before: do not run it again. After any
// other error the command counts as not started.
func (j *Journal) Start(id string, fence uint64, meta json.RawMessage) error {
	if meta != nil && !json.Valid(meta) {
		return schema.Errorf(schema.Internal, "journal command %s: what to keep of it is not JSON", id)
	}
	err := j.claim(id, func(e *Entry) error {
		if e != nil {
			return schema.Errorf(schema.Conflict, "journal command %s: it was started before", id)
		}
		return nil
	})
	if err != nil {
		return err
	}
	defer j.release(id)
	return j.append(record{Type: typeStart, ID: id, At: j.now().UnixMilli(), Fence: fence, Meta: slices.Clone(meta)}, true)
}

// Done records a started command's result. Codes: NotFound if it was not
// started, Conflict if it has a result.
func (j *Journal) Done(id string, result []byte) error {
	err := j.claim(id, func(e *Entry) error {
		switch {
		case e == nil:
			return schema.Errorf(schema.NotFound, "journal result of command %s: it was not started", id)
		case !e.Ended.IsZero():
			return schema.Errorf(schema.Conflict, "journal result of command %s: it has one already", id)
		}
		return nil
	})
	if err != nil {
		return err
	}
	defer j.release(id)
	return j.append(record{Type: typeDone, ID: id, At: j.now().UnixMilli(), Result: slices.Clone(result)}, true)
}

// Reported records that core has the result; again is fine. Codes: NotFound,
// Conflict if there is no result.
func (j *Journal) Reported(id string) error {
	again := false
	err := j.claim(id, func(e *Entry) error {
		switch {
		case e == nil:
			return schema.Errorf(schema.NotFound, "journal report of command %s: it was not started", id)
		case e.Ended.IsZero():
			return schema.Errorf(schema.Conflict, "journal report of command %s: it has no result", id)
		}
		again = !e.reported.IsZero()
		return nil
	})
	if err != nil {
		return err
	}
	defer j.release(id)
	if again {
		return nil
	}
	return j.append(record{Type: typeReported, ID: id, At: j.now().UnixMilli()}, false)
}

// claim reserves an id for one record, if check agrees with its entry (nil if
// there is none). Code Conflict if another record of it is on its way.
func (j *Journal) claim(id string, check func(*Entry) error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.claimed[id] {
		return schema.Errorf(schema.Conflict, "journal command %s: it is being journaled by somebody else", id)
	}
	if err := check(j.entries[id]); err != nil {
		return err
	}
	j.claimed[id] = true
	return nil
}

func (j *Journal) release(id string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.claimed, id)
}

// Unfinished returns the commands that were started and have no result, in the
// order of their start: right after Open, those that a crash interrupted.
func (j *Journal) Unfinished() []Entry {
	return j.list(func(e *Entry) bool { return e.Ended.IsZero() })
}

// Unreported returns the commands whose result core has not confirmed, in the
// order of their start.
func (j *Journal) Unreported() []Entry {
	return j.list(func(e *Entry) bool { return !e.Ended.IsZero() && e.reported.IsZero() })
}

func (j *Journal) list(want func(*Entry) bool) []Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []Entry
	for _, e := range j.entries {
		if want(e) {
			out = append(out, *e)
		}
	}
	sortEntries(out)
	return out
}

func sortEntries(list []Entry) {
	slices.SortFunc(list, func(a, b Entry) int {
		if c := a.Started.Compare(b.Started); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
}
