package bus

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nkeys"

	"berth/schema"
)

// LoadSeed reads the nkey seed in a file, or makes one there (0600, synced) when
// the file does not exist. A file that others may read is refused with
// schema.Denied.
func LoadSeed(path string) ([]byte, error) {
	seed, err := ReadPrivate(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newSeed(path)
	}
	if err != nil {
		return nil, err
	}
	seed = []byte(strings.TrimSpace(string(seed)))
	if _, err := PublicKey(seed); err != nil {
		return nil, schema.Wrap(schema.Invalid, err, "read key %s: it is no nkey seed", path)
	}
	return seed, nil
}

// PublicKey returns the public nkey ("U…") of a seed.
func PublicKey(seed []byte) (string, error) {
	pub, _, err := signer(seed)
	return pub, err
}

// NewSeed makes an nkey seed that is nowhere but in memory.
func NewSeed() ([]byte, error) {
	kp, err := nkeys.CreateUser()
	if err != nil {
		return nil, fmt.Errorf("make an nkey: %w", err)
	}
	return kp.Seed()
}

func newSeed(path string) ([]byte, error) {
	seed, err := NewSeed()
	if err != nil {
		return nil, err
	}
	if err := WritePrivate(path, append(append([]byte(nil), seed...), '\n')); err != nil {
		return nil, err
	}
	return seed, nil
}

// ReadPrivate reads a file that only its owner may read; schema.Denied when its
// mode says otherwise.
func ReadPrivate(path string) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	if perm := st.Mode().Perm(); perm&0o077 != 0 {
		return nil, schema.Errorf(schema.Denied, "read key %s: its mode is %04o, others could read it: chmod 600 %s", path, perm, path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	return data, nil
}

// WritePrivate writes a file that only its owner may read: whole, synced, or not
// at all. Missing folders are made with mode 0700.
func WritePrivate(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write key: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*") // 0600
	if err != nil {
		return fmt.Errorf("write key: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write key %s: %w", path, err)
	}
	return nil
}
