package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"

	"berth/bus/hub"
	"berth/schema"
)

// SettingsFile is where a restore puts the settings of the core that was backed
// up, in the data folder.
const SettingsFile = "berth.toml"

// building is the folder in which core is built before it gets its name.
const building = ".restoring"

// Restore builds core's data folder from the backup at path. The folder must be
// empty or missing: schema.Conflict otherwise. The whole backup is read and
// verified before anything is written; what fails after that leaves the folder as
// it was.
func Restore(ctx context.Context, path, data string, ids []age.Identity, log *slog.Logger) (m Manifest, err error) {
	if err := empty(data); err != nil {
		return m, err
	}
	f, err := os.Open(path)
	if err != nil {
		return m, schema.Wrap(schema.NotFound, err, "open the backup: %v", err)
	}
	defer func() { _ = f.Close() }()
	if m, err = Verify(f, ids); err != nil {
		return m, schema.Wrap(schema.CodeOf(err), err, "%s", path)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return m, schema.Wrap(schema.Failed, err, "read %s again: %v", path, err)
	}
	_, statErr := os.Stat(data)
	made := errors.Is(statErr, fs.ErrNotExist)
	tmp := filepath.Join(data, building)
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		return m, schema.Wrap(schema.Invalid, err, "make the data folder: %v", err)
	}
	defer func() {
		_ = os.RemoveAll(tmp)
		if err != nil && made {
			_ = os.Remove(data)
		}
	}()
	plain, err := open(f, ids)
	if err != nil {
		return m, err
	}
	if err := build(ctx, plain, m, tmp, log); err != nil {
		return m, fmt.Errorf("restore %s: %w", path, err)
	}
	if err := settle(tmp, data); err != nil {
		return m, schema.Wrap(schema.Failed, err, "put the restored folder in place: %v", err)
	}
	return m, nil
}

// empty refuses a folder that holds anything but what a file system brings.
func empty(dir string) error {
	list, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return schema.Wrap(schema.Invalid, err, "look into the data folder: %v", err)
	}
	for _, e := range list {
		if e.Name() != "lost+found" {
			return schema.Errorf(schema.Conflict, "%s is not empty (it holds %s): restore into an empty folder; a folder that is there is never overwritten", dir, e.Name())
		}
	}
	return nil
}

// build restores files first, then streams over a bus of its own on dir.
func build(ctx context.Context, in io.Reader, m Manifest, dir string, log *slog.Logger) error {
	b := &builder{ctx: ctx, dir: dir, log: log, parts: map[string]Part{}}
	for _, p := range m.Parts {
		b.parts[p.Name] = p
	}
	defer b.close()
	again, err := reader{piece: b.piece, end: b.end}.read(in)
	if err != nil {
		return err
	}
	if again.Created != m.Created {
		return schema.Errorf(schema.Invalid, "the file was replaced while it was read")
	}
	return b.check()
}

// builder takes the parts of a verified backup.
type builder struct {
	ctx    context.Context //nolint:containedctx // of the one call of build
	dir    string
	log    *slog.Logger
	parts  map[string]Part
	file   *os.File
	hub    *hub.Hub
	stream *restoring
}

func (b *builder) piece(name string, data []byte) error {
	stream, isStream := strings.CutPrefix(name, "streams/")
	if !isStream {
		return b.write(name, data)
	}
	if b.stream == nil {
		if err := b.begin(stream, b.parts[name]); err != nil {
			return err
		}
	}
	return b.stream.piece(b.ctx, data)
}

func (b *builder) begin(stream string, p Part) error {
	if p.Stream == nil {
		return schema.Errorf(schema.Invalid, "the manifest says nothing of stream %s", stream)
	}
	if b.hub == nil {
		var err error
		b.hub, err = hub.Start(b.ctx, hub.Options{Dir: filepath.Join(b.dir, "core", "bus"), Sync: time.Minute, Bare: true, LameDuck: -1, Log: b.log})
		if err != nil {
			return err
		}
	}
	var err error
	b.stream, err = storeOf(b.hub.Conn()).restore(b.ctx, stream, *p.Stream)
	return err
}

// write appends to one of core's own files.
func (b *builder) write(name string, data []byte) error {
	if b.file == nil {
		path, err := b.path(name)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if b.file, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err != nil {
			return err
		}
	}
	_, err := b.file.Write(data)
	return err
}

func (b *builder) path(name string) (string, error) {
	if name == "settings.toml" {
		return filepath.Join(b.dir, SettingsFile), nil
	}
	if rel, ok := strings.CutPrefix(name, "beside/"); ok && filepath.IsLocal(rel) && rel != "core" && !strings.HasPrefix(rel, "core/") {
		return filepath.Join(b.dir, filepath.FromSlash(rel)), nil
	}
	rel, ok := strings.CutPrefix(name, "files/")
	if !ok || !filepath.IsLocal(rel) {
		return "", schema.Errorf(schema.Invalid, "part %.80q is none of a backup", name)
	}
	return filepath.Join(b.dir, "core", filepath.FromSlash(rel)), nil
}

func (b *builder) end(string) error {
	switch {
	case b.stream != nil:
		s := b.stream
		b.stream = nil
		return s.end(b.ctx)
	case b.file != nil:
		f := b.file
		b.file = nil
		return errors.Join(f.Sync(), f.Close())
	}
	return nil
}

// check compares the restored streams with the manifest, and ends the bus, which
// writes out everything.
func (b *builder) check() error {
	for _, p := range b.parts {
		if p.Stream == nil || p.Stream.Last != 0 { // of a log the oldest may have gone meanwhile
			continue
		}
		name := strings.TrimPrefix(p.Name, "streams/")
		have, err := storeOf(b.hub.Conn()).state(b.ctx, name)
		if err != nil {
			return fmt.Errorf("check stream %s: %w", name, err)
		}
		if have.Msgs > p.Stream.Msgs {
			return schema.Errorf(schema.Failed, "stream %s has %d messages, the backup %d", name, have.Msgs, p.Stream.Msgs)
		}
	}
	return nil
}

func (b *builder) close() {
	if b.file != nil {
		_ = b.file.Close()
	}
	if b.hub != nil {
		b.hub.Close()
	}
}

// settle moves what was built to where it belongs.
func settle(tmp, data string) error {
	list, err := os.ReadDir(tmp)
	if err != nil {
		return err
	}
	for _, e := range list { // core last: with it the folder is a data folder
		if e.Name() != "core" {
			if err := os.Rename(filepath.Join(tmp, e.Name()), filepath.Join(data, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := os.Rename(filepath.Join(tmp, "core"), filepath.Join(data, "core")); err != nil {
		return err
	}
	return syncDir(data)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
