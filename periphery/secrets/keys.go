package secrets

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"filippo.io/age"
	"github.com/getsops/sops/v3/logging"

	"berth/schema"
)

// maxKeyFile is the size above which a file is no age key file.
const maxKeyFile = 1 << 20

// Keys are the age identities of this host. The zero value and nil have none
// and say so when asked to decrypt.
type Keys struct {
	file       string
	searched   []string
	identities []age.Identity
	recipients []string
}

// Open reads the age identities of a key file. The file must be a regular file
// of root's or of the user we run as, and nobody else may read or write it;
// the error's text names the file, what is wrong and the command that mends it.
// Codes: NotFound, Denied, Invalid, Unsupported.
func Open(keyFile string) (*Keys, error) {
	f, err := os.Open(keyFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, schema.Errorf(schema.NotFound, "read age key %s: no such file: %s", keyFile, howToMakeKey(keyFile))
	case errors.Is(err, fs.ErrPermission):
		return nil, schema.Errorf(schema.Denied, "read age key %s: permission denied for uid %d: run: chown %d %s && chmod 600 %s",
			keyFile, os.Geteuid(), os.Geteuid(), keyFile, keyFile)
	case err != nil:
		return nil, schema.Errorf(schema.Invalid, "read age key %s: %v", keyFile, errors.Unwrap(err))
	}
	defer f.Close()
	if err := checkPrivate(f, "age key"); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, schema.Errorf(schema.Invalid, "read age key %s: %v", keyFile, errors.Unwrap(err))
	}
	if len(text) > maxKeyFile {
		return nil, schema.Errorf(schema.Invalid, "read age key %s: larger than 1 MiB, this is no age key file", keyFile)
	}
	silenceLibrary()
	k := &Keys{file: keyFile}
	if err := k.parse(string(text)); err != nil {
		return nil, err
	}
	return k, nil
}

// Find opens the first of the files that exists. Where none does, the keys are
// empty and Decrypt says where they were looked for. A file that exists and
// cannot be used is an error as in Open.
func Find(keyFiles ...string) (*Keys, error) {
	for _, file := range keyFiles {
		if _, err := os.Lstat(file); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return Open(file)
	}
	return &Keys{searched: keyFiles}, nil
}

// Create makes a new identity, writes it to a new key file (mode 0600, in a
// folder of mode 0700 if it has to be made) and returns it. Code Conflict if
// the file exists.
func Create(keyFile string) (*Keys, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, schema.Wrap(schema.Internal, err, "make an age key")
	}
	if err := os.MkdirAll(filepath.Dir(keyFile), 0o700); err != nil {
		return nil, schema.Wrap(schema.Failed, err, "make folder %s", filepath.Dir(keyFile))
	}
	text := fmt.Sprintf("# created: %s\n# public key: %s\n%s\n", time.Now().UTC().Format(time.RFC3339), id.Recipient(), id)
	err = writeNew(keyFile, []byte(text))
	if errors.Is(err, fs.ErrExist) {
		return nil, schema.Errorf(schema.Conflict, "write age key %s: it exists already", keyFile)
	}
	if err != nil {
		return nil, schema.Wrap(schema.Failed, err, "write age key %s", keyFile)
	}
	return Open(keyFile)
}

// Recipients returns the public halves of the identities, for display and for
// the people who encrypt for this host.
func (k *Keys) Recipients() []string {
	if k == nil {
		return nil
	}
	return append([]string(nil), k.recipients...)
}

// File returns the key file; empty when there is none.
func (k *Keys) File() string {
	if k == nil {
		return ""
	}
	return k.file
}

// parse reads identities line by line. Lines are never quoted in errors: they
// are secret.
func (k *Keys) parse(text string) error {
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		switch {
		case strings.HasPrefix(line, "AGE-SECRET-KEY-PQ-1"):
			id, err := age.ParseHybridIdentity(line)
			if err != nil {
				return k.badLine(i + 1)
			}
			k.identities, k.recipients = append(k.identities, id), append(k.recipients, id.Recipient().String())
		case strings.HasPrefix(line, "AGE-SECRET-KEY-1"):
			id, err := age.ParseX25519Identity(line)
			if err != nil {
				return k.badLine(i + 1)
			}
			k.identities, k.recipients = append(k.identities, id), append(k.recipients, id.Recipient().String())
		case strings.HasPrefix(line, "AGE-PLUGIN-"), strings.HasPrefix(line, "-----BEGIN"):
			return schema.Errorf(schema.Unsupported,
				"read age key %s: line %d holds a plugin's or SSH identity; only native age keys (AGE-SECRET-KEY-1…) are supported: %s",
				k.file, i+1, howToMakeKey(k.file+".new"))
		default:
			return k.badLine(i + 1)
		}
	}
	if len(k.identities) == 0 {
		return schema.Errorf(schema.Invalid, "read age key %s: the file holds no age identity: %s", k.file, howToMakeKey(k.file+".new"))
	}
	return nil
}

func (k *Keys) badLine(n int) error {
	return schema.Errorf(schema.Invalid,
		"read age key %s: line %d is not a valid age identity (AGE-SECRET-KEY-1…): restore the file from its backup", k.file, n)
}

func howToMakeKey(file string) string {
	return "make one with: age-keygen -o " + file + " && chmod 600 " + file + ", and encrypt the files for the recipient it prints"
}

// checkPrivate refuses an open file that somebody else may read, write or own.
func checkPrivate(f *os.File, what string) error {
	name := f.Name()
	info, err := f.Stat()
	if err != nil {
		return schema.Errorf(schema.Invalid, "read %s %s: %v", what, name, errors.Unwrap(err))
	}
	if !info.Mode().IsRegular() {
		return schema.Errorf(schema.Invalid, "read %s %s: it is not a regular file", what, name)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if ok && stat.Uid != 0 && int(stat.Uid) != os.Geteuid() {
		return schema.Errorf(schema.Denied, "refuse %s %s: it belongs to uid %d, which can replace it: run: chown %d %s && chmod 600 %s",
			what, name, stat.Uid, os.Geteuid(), name, name)
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return schema.Errorf(schema.Denied, "refuse %s %s: its mode %04o lets other users at it: run: chmod 600 %s",
			what, name, perm, name)
	}
	return nil
}

// writeNew writes a new file of mode 0600 so that it is whole or not there.
func writeNew(file string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Link(tmp.Name(), file)
}

// silenceLibrary stops the sops library from writing to standard error, where
// it quotes comments of files.
func silenceLibrary() {
	for _, l := range logging.Loggers {
		l.SetOutput(io.Discard)
	}
}
