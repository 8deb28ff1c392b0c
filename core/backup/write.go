package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"filippo.io/age"

	"berth/bus"
	"berth/schema"
)

// Hub is the running bus.
type Hub interface {
	// Hold keeps core's writes waiting until release.
	Hold() (release func())
	// DialFree makes a connection of core's that Hold does not stop.
	DialFree(ctx context.Context, name string) (*bus.Conn, error)
	// PublicKey is the public half of core's identity.
	PublicKey() string
}

// Source is a running core.
type Source struct {
	Hub Hub
	// Dir is core's own folder. Everything in it is backed up, save the bus's files,
	// which are read through the bus, and what can be fetched again.
	Dir string
	// Beside are further files, by their place in the data folder, that a restore is
	// to put back there. One that is missing is left out.
	Beside map[string]string
	// Settings is core's effective configuration, as a file that it reads.
	Settings []byte
	Version  string
	Now      func() time.Time

	busy sync.Mutex // one at a time
}

// maxHold is how long core's writes may wait: their callers give up after five
// seconds.
const maxHold = 4 * time.Second

// attempts is how often a backup begins again when something was written while the
// buckets were read.
const attempts = 5

// errMoved says that something was written while it must not be.
var errMoved = errors.New("something was written while the buckets were read")

// File is where a backup is written: it begins again when it has to.
type File interface {
	io.Writer
	io.Seeker
	Truncate(size int64) error
}

// Write writes a backup that to can open. The file must be closed and synced by
// the caller; after an error what it holds is worth nothing. schema.Unavailable
// when the store is too large or too busy to be read while core's writes wait.
func (s *Source) Write(ctx context.Context, f File, to []age.Recipient) (Manifest, error) {
	s.busy.Lock()
	defer s.busy.Unlock()
	conn, err := s.Hub.DialFree(ctx, "core backup")
	if err != nil {
		return Manifest{}, err
	}
	defer conn.Close()
	for try := 1; ; try++ {
		m, err := s.attempt(ctx, storeOf(conn), f, to)
		switch {
		case err == nil:
			return m, nil
		case ctx.Err() != nil:
			return m, context.Cause(ctx)
		case !errors.Is(err, errMoved):
			return m, fmt.Errorf("write the backup: %w", err)
		case try == attempts:
			return m, schema.Wrap(schema.Unavailable, err, "the buckets could not be read at one moment in %d attempts: try again when less goes on", attempts)
		}
	}
}

func (s *Source) attempt(ctx context.Context, st store, f File, to []age.Recipient) (Manifest, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return Manifest{}, err
	}
	if err := f.Truncate(0); err != nil {
		return Manifest{}, err
	}
	w, err := age.Encrypt(f, to...)
	if err != nil {
		return Manifest{}, schema.Wrap(schema.Invalid, err, "encrypt: %v", err)
	}
	a, err := newArchive(w, Header{Format: format, Created: s.Now().UnixMilli(), Version: s.Version, Core: s.Hub.PublicKey()})
	if err != nil {
		return Manifest{}, err
	}
	if err := s.ownFiles(a); err != nil {
		return Manifest{}, err
	}
	logs, err := s.still(ctx, st, a)
	if err != nil {
		return Manifest{}, err
	}
	for _, l := range logs {
		p := a.part("streams/" + l.name)
		stream, err := st.snapshot(ctx, l.name, p)
		if err != nil {
			return Manifest{}, err
		}
		stream.Last, stream.Msgs = l.state.Last, l.state.Msgs
		if err := p.end(&stream); err != nil {
			return Manifest{}, err
		}
	}
	m, err := a.close()
	if err == nil {
		err = w.Close()
	}
	return m, err
}

// named is a stream at a moment.
type named struct {
	name  string
	state state
}

// still reads the buckets while nothing is written, and returns where the logs end
// at that moment.
func (s *Source) still(ctx context.Context, st store, a *archive) (logs []named, err error) {
	names, err := st.names(ctx)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	release := s.Hub.Hold()
	defer release()
	ctx, cancel := context.WithTimeoutCause(ctx, maxHold, schema.Errorf(schema.Unavailable,
		"the buckets are too large to be read within %s, for which core's writes may wait", maxHold))
	defer cancel()
	var before []named
	for _, n := range names {
		if treat(n) == left {
			continue
		}
		at, err := st.settled(ctx, n)
		if err != nil {
			return nil, whyEnded(ctx, err)
		}
		if treat(n) == grows {
			logs = append(logs, named{n, at})
		} else {
			before = append(before, named{n, at})
		}
	}
	for _, b := range before {
		p := a.part("streams/" + b.name)
		stream, err := st.snapshot(ctx, b.name, p)
		if err != nil {
			return nil, whyEnded(ctx, err)
		}
		stream.Msgs = b.state.Msgs
		if err := p.end(&stream); err != nil {
			return nil, err
		}
	}
	for _, b := range before {
		after, err := st.state(ctx, b.name)
		if err != nil {
			return nil, whyEnded(ctx, err)
		}
		if after != b.state {
			return nil, fmt.Errorf("%w: %s", errMoved, b.name)
		}
	}
	return logs, nil
}

// whyEnded is the cause of ctx's end, if that is what err comes from.
func whyEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// settled returns a stream's state once what was on its way has arrived.
func (s store) settled(ctx context.Context, stream string) (state, error) {
	last, err := s.state(ctx, stream)
	for err == nil {
		var now state
		if now, err = s.state(ctx, stream); now == last {
			break
		}
		last = now
	}
	return last, err
}

// ownFiles writes core's folder and its settings.
func (s *Source) ownFiles(a *archive) error {
	err := filepath.WalkDir(s.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(s.Dir, path)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir() && skipped(rel):
			return fs.SkipDir
		case !d.Type().IsRegular() || skipped(rel):
			return nil
		}
		return addFile(a, "files/"+filepath.ToSlash(rel), path)
	})
	if err != nil {
		return fmt.Errorf("read core's folder: %w", err)
	}
	for _, rel := range slices.Sorted(maps.Keys(s.Beside)) {
		if err := addFile(a, "beside/"+rel, s.Beside[rel]); err != nil {
			return fmt.Errorf("read %s: %w", rel, err)
		}
	}
	p := a.part("settings.toml")
	if _, err := io.Copy(p, bytes.NewReader(s.Settings)); err != nil {
		return err
	}
	return p.end(nil)
}

// skipped names what of core's folder is not in a backup: the bus's files, which
// are read through the bus; repositories, which are fetched again; the lock and
// files that are about to get their name.
func skipped(rel string) bool {
	return rel == "lock" || rel == "repos" || rel == filepath.Join("bus", "jetstream") || strings.HasPrefix(filepath.Base(rel), ".") && rel != "."
}

func addFile(a *archive, name, path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) { // gone meanwhile
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	p := a.part(name)
	if _, err := io.Copy(p, f); err != nil {
		return err
	}
	return p.end(nil)
}
