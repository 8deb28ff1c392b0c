package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"berth/bus"
	"berth/schema"
)

// Folder is where backups are kept on core's machine.
type Folder struct {
	Dir  string
	Keep int // how many; the oldest go
	// Recipients or Passphrase open the backups. Own are the recipients whose
	// private halves are in the backup itself: they do not count.
	Recipients []string
	Passphrase string
	Own        []string
}

// Saved is a backup in a folder. It lies beside the backup as FILE.json, in clear:
// it holds nothing secret, and by it the folder knows which files are its own.
type Saved struct {
	File    string `json:"file"`
	Core    string `json:"core"`    // public nkey
	Created int64  `json:"created"` // unix ms
	Bytes   int64  `json:"bytes"`
	SHA256  string `json:"sha256"` // of the file as it lies there
	Version string `json:"version"`

	Took   time.Duration `json:"-"`
	Pruned []string      `json:"-"`
}

const stamp = "20060102T150405.000Z"

// ours are the names that Save gives.
func ours() *regexp.Regexp { return regexp.MustCompile(`^berth-core-\d{8}T\d{6}\.\d{3}Z\.age$`) }

// partial are the names of files that are being written.
func partial(name string) bool {
	return strings.HasPrefix(name, ".berth-core-") && strings.HasSuffix(name, ".partial")
}

// Check says whether backups can be opened by somebody who has lost this machine;
// schema.Invalid with what to set when not.
func (f Folder) Check() error {
	const how = "set backup_recipient to an age recipient whose private half is kept elsewhere (age-keygen makes one), " +
		"or backup_passphrase (BERTH_BACKUP_PASSPHRASE_FILE), in core's configuration"
	switch {
	case len(f.Recipients) == 0 && f.Passphrase == "":
		return schema.Errorf(schema.Invalid, "nobody could open the backup: %s", how)
	case f.Keep < 1:
		return schema.Errorf(schema.Invalid, "backup_keep is %d: keep at least one", f.Keep)
	}
	for _, r := range f.Recipients {
		if slices.Contains(f.Own, r) {
			return schema.Errorf(schema.Invalid, "backup_recipient %s is this core's own key, which would be lost with the machine: %s", r, how)
		}
	}
	_, err := Recipients(f.Recipients, f.Passphrase)
	return err
}

// Save writes a backup into the folder, reads it back, and removes the oldest of
// those it wrote itself. What fails leaves the folder without a new file; when only
// an old one cannot be removed, the backup is there and Saved says which.
func (s *Source) Save(ctx context.Context, f Folder) (Saved, error) {
	start := s.Now()
	if err := f.Check(); err != nil {
		return Saved{}, err
	}
	if err := os.MkdirAll(f.Dir, 0o700); err != nil {
		return Saved{}, schema.Wrap(schema.Failed, err, "make the folder of backups: %v", err)
	}
	to, ids, err := f.keys()
	if err != nil {
		return Saved{}, err
	}
	tmp, err := os.CreateTemp(f.Dir, ".berth-core-*.partial") // 0600
	if err != nil {
		return Saved{}, schema.Wrap(schema.Failed, err, "write into the folder of backups: %v", err)
	}
	defer func() { _, _ = tmp.Close(), os.Remove(tmp.Name()) }()
	m, err := s.Write(ctx, tmp, to)
	if err == nil {
		err = tmp.Sync()
	}
	if err != nil {
		return Saved{}, schema.Wrap(schema.CodeOf(failed(err)), failed(err), "write a backup into %s", f.Dir)
	}
	saved, err := readBack(tmp, ids, m)
	if err != nil {
		return Saved{}, err
	}
	saved.File = "berth-core-" + m.Time().UTC().Format(stamp) + ".age"
	if err := f.keepFile(tmp.Name(), saved); err != nil {
		return Saved{}, schema.Wrap(schema.Failed, err, "name the backup: %v", err)
	}
	saved.Pruned, err = f.prune(saved)
	saved.Took = s.Now().Sub(start)
	if err != nil {
		return saved, schema.Wrap(schema.Failed, err, "the backup %s is made, but an old one cannot be removed: %v", saved.File, err)
	}
	return saved, nil
}

// failed gives an error without a code one that tells: a full disk, most of all.
func failed(err error) error {
	if schema.CodeOf(err) != schema.Internal {
		return err
	}
	return schema.Wrap(schema.Failed, err, "%v", err)
}

// keys are who can open the backup, and with what it is read back. The holders of
// the recipients' private halves are elsewhere, so a key is added that lives as
// long as the call.
func (f Folder) keys() ([]age.Recipient, []age.Identity, error) {
	to, err := Recipients(f.Recipients, f.Passphrase)
	if err != nil {
		return nil, nil, err
	}
	if f.Passphrase != "" {
		ids, err := Identities(nil, f.Passphrase)
		return to, ids, err
	}
	once, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, nil, fmt.Errorf("make a key: %w", err)
	}
	return append(to, once.Recipient()), []age.Identity{once}, nil
}

// readBack opens the file as a restore would and compares it with what was written.
func readBack(f *os.File, ids []age.Identity, want Manifest) (Saved, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return Saved{}, schema.Wrap(schema.Failed, err, "read the backup back: %v", err)
	}
	sum, n := sha256.New(), new(counter)
	m, err := Verify(io.TeeReader(f, io.MultiWriter(sum, n)), ids)
	if err == nil && (m.Created != want.Created || !same(want.Parts, m.Parts)) {
		err = schema.Errorf(schema.Failed, "it is not what was written")
	}
	if err != nil {
		return Saved{}, schema.Wrap(schema.Failed, err, "read the backup back: the disk may be broken")
	}
	if _, err := io.Copy(io.MultiWriter(sum, n), f); err != nil {
		return Saved{}, schema.Wrap(schema.Failed, err, "read the backup back: %v", err)
	}
	return Saved{Core: m.Core, Created: m.Created, Bytes: int64(*n), SHA256: hex.EncodeToString(sum.Sum(nil)), Version: m.Version}, nil
}

type counter int64

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) { *c += counter(len(p)); return len(p), nil }

// keepFile writes the note and gives the backup its name.
func (f Folder) keepFile(tmp string, s Saved) error {
	note, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(f.Dir, s.File)
	if err := bus.WritePrivate(path+".json", append(note, '\n')); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return errors.Join(err, os.Remove(path+".json"))
	}
	return syncDir(f.Dir)
}

// prune removes the oldest backups beyond Keep: only files with a name that Save
// gives, a note that says that this core wrote them, and the size of the note.
func (f Folder) prune(newest Saved) (gone []string, err error) {
	list, err := os.ReadDir(f.Dir)
	if err != nil {
		return nil, err
	}
	var own []string
	for _, e := range list {
		if st, err := e.Info(); err == nil && partial(e.Name()) && st.ModTime().Before(time.Now().Add(-24*time.Hour)) {
			_ = os.Remove(filepath.Join(f.Dir, e.Name())) // of a core that was killed; tried again next time
		}
		if e.Type().IsRegular() && ours().MatchString(e.Name()) && f.wrote(e, newest.Core) {
			own = append(own, e.Name())
		}
	}
	slices.Sort(own)
	for len(own) > f.Keep {
		path := filepath.Join(f.Dir, own[0])
		if err := errors.Join(os.Remove(path), os.Remove(path+".json")); err != nil {
			return gone, err
		}
		gone, own = append(gone, own[0]), own[1:]
	}
	return gone, nil
}

func (f Folder) wrote(e os.DirEntry, core string) bool {
	data, err := os.ReadFile(filepath.Join(f.Dir, e.Name()+".json"))
	if err != nil {
		return false
	}
	var note Saved
	if json.Unmarshal(data, &note) != nil {
		return false
	}
	st, err := e.Info()
	return err == nil && note.File == e.Name() && note.Core == core && note.Bytes == st.Size()
}
