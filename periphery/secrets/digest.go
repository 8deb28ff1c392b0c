package secrets

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"berth/schema"
)

// Digester names secret contents so that a change shows and nothing else does:
// HMAC-SHA256 with a key that never leaves the host.
type Digester struct {
	key []byte
}

// OpenDigester reads the host's digest key, and makes it (32 random bytes, mode
// 0600) where there is none. The file is refused like an age key if others can
// read it. A lost key makes every secret look changed, once.
func OpenDigester(keyFile string) (*Digester, error) {
	f, err := os.Open(keyFile)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeDigestKey(keyFile); err != nil {
			return nil, schema.Wrap(schema.Failed, err, "write digest key %s", keyFile)
		}
		f, err = os.Open(keyFile)
	}
	if err != nil {
		return nil, schema.Wrap(schema.Failed, err, "read digest key %s", keyFile)
	}
	defer f.Close()
	if err := checkPrivate(f, "digest key"); err != nil {
		return nil, err
	}
	key, err := io.ReadAll(io.LimitReader(f, 33))
	if err != nil || len(key) != 32 {
		return nil, schema.Errorf(schema.Invalid, "read digest key %s: it does not have 32 bytes: remove it, a new one is made and stacks with secrets are deployed again once", keyFile)
	}
	return &Digester{key: key}, nil
}

func makeDigestKey(file string) error {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	err := writeNew(file, key)
	if errors.Is(err, fs.ErrExist) {
		return nil // another process of ours was first
	}
	return err
}

// Digest returns 64 hex digits over the parts, their order and their borders.
func (d *Digester) Digest(parts ...[]byte) string {
	mac := hmac.New(sha256.New, d.key)
	var n [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		mac.Write(n[:])
		mac.Write(p)
	}
	return hex.EncodeToString(mac.Sum(nil))
}
