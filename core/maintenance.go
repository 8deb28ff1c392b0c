package core

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"

	"berth/core/backup"
	"berth/core/execution"
	"berth/schema"
)

// Backups say where core's backups go, and who can open them.
type Backups struct {
	Folder     string   // DATA/backups when empty
	Keep       int      // how many
	Recipients []string // age recipients; or
	Passphrase string
}

// dir is the folder of everything that is core's own.
func (c *core) dir() string { return filepath.Join(c.cfg.Data, "core") }

// openBackup makes the source of backups.
func (c *core) openBackup() {
	c.backups = &backup.Source{Hub: c.hub, Dir: c.dir(), Beside: c.cfg.Beside, Settings: c.cfg.Effective, Version: c.cfg.Version, Now: time.Now}
}

// maintenance does what is done to core itself.
type maintenance struct{ c *core }

// Backup implements execution.Maintenance.
func (m maintenance) Backup(ctx context.Context) (execution.Backup, error) {
	b := m.c.cfg.Backup
	f := backup.Folder{Dir: b.Folder, Keep: b.Keep, Recipients: b.Recipients, Passphrase: b.Passphrase, Own: []string{m.c.sealer.Recipient()}}
	if f.Dir == "" {
		f.Dir = filepath.Join(m.c.cfg.Data, "backups")
	}
	s, err := m.c.backups.Save(ctx, f)
	return execution.Backup{File: filepath.Join(f.Dir, s.File), Bytes: s.Bytes, SHA256: s.SHA256, Took: s.Took, Pruned: s.Pruned}, err
}

// Rotations implements execution.Maintenance.
func (m maintenance) Rotations(context.Context) ([]execution.Rotation, error) {
	servers, err := m.c.kinds.servers.All()
	if err != nil {
		return nil, err
	}
	out := make([]execution.Rotation, len(servers))
	for i, s := range servers {
		online, since := m.c.online(s.ID)
		out[i] = execution.Rotate(s, online, since)
	}
	return out, nil
}

// MakeCoreKeys implements execution.Maintenance.
func (m maintenance) MakeCoreKeys(context.Context) (execution.CoreKeys, error) {
	keys, err := m.c.makeNext()
	if err != nil {
		return keys, err
	}
	servers, err := m.c.kinds.servers.All()
	for _, s := range servers {
		online, since := m.c.online(s.ID)
		if s.Config.Enabled && (online || !since.IsZero()) { // one that nobody has joined knows no key
			keys.Servers = append(keys.Servers, execution.CoreKeyServer{Server: s.Target("server"), Online: online})
		}
	}
	return keys, err
}

// UseCoreKeys implements execution.Maintenance.
func (m maintenance) UseCoreKeys(_ context.Context, key string) error { return m.c.useNext(key) }

// ClearRepos implements execution.Maintenance. The folder is moved aside first:
// who works in it ends with an error and begins anew, and a half removed
// repository is never seen.
func (m maintenance) ClearRepos(context.Context) (repos int, bytes int64, err error) {
	dir := filepath.Join(m.c.dir(), "repos")
	aside := filepath.Join(m.c.dir(), ".repos-gone")
	if err := os.RemoveAll(aside); err != nil { // of a core that was killed half way
		return 0, 0, schema.Wrap(schema.Failed, err, "remove %s: %v", aside, err)
	}
	if err := os.Rename(dir, aside); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return 0, 0, nil
		}
		return 0, 0, schema.Wrap(schema.Failed, err, "move %s aside: %v", dir, err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return 0, 0, schema.Wrap(schema.Failed, err, "make %s: %v", dir, err)
	}
	list, err := os.ReadDir(aside)
	if err == nil {
		repos = len(list)
		err = filepath.WalkDir(aside, func(_ string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			st, err := d.Info()
			if err == nil {
				bytes += st.Size()
			}
			return err
		})
	}
	if err = errors.Join(err, os.RemoveAll(aside)); err != nil {
		return repos, bytes, schema.Wrap(schema.Failed, err, "remove %s: %v", aside, err)
	}
	return repos, bytes, nil
}

// TakeBackup implements api.Maintenance: a backup that recipients can open, in a
// file that has no name any more.
func (m maintenance) TakeBackup(ctx context.Context, by schema.Actor, recipients []string) (io.ReadCloser, int64, error) {
	to, err := backup.Recipients(recipients, "")
	if err != nil {
		return nil, 0, err
	}
	f, err := m.scratch()
	if err != nil {
		return nil, 0, err
	}
	size, err := m.take(ctx, f, to)
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	m.c.cfg.Log.Info("a backup is handed out", "by", by.Name, "bytes", size)
	return f, size, nil
}

// scratch makes a file that is gone when it is closed, however core ends.
func (m maintenance) scratch() (*os.File, error) {
	f, err := os.CreateTemp(m.c.dir(), ".backup-*") // 0600
	if err == nil {
		err = os.Remove(f.Name())
	}
	if err != nil {
		return nil, schema.Wrap(schema.Failed, err, "write the backup: %v", err)
	}
	return f, nil
}

func (m maintenance) take(ctx context.Context, f *os.File, to []age.Recipient) (int64, error) {
	if _, err := m.c.backups.Write(ctx, f, to); err != nil {
		if schema.CodeOf(err) == schema.Internal {
			return 0, schema.Wrap(schema.Failed, err, "write the backup: %v", err)
		}
		return 0, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return 0, fmt.Errorf("read the backup: %w", err)
	}
	return size, nil
}
