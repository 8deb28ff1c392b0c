package store

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"filippo.io/age"

	"berth/bus"
	"berth/schema"
)

// Sealer seals secret values with core's age identity, so that what lies in a
// bucket or a backup of it is of no use without the identity's file.
type Sealer struct {
	id *age.X25519Identity
}

// OpenSealer reads the identity DIR/age.key, or makes it (0600) when it is
// missing. A file that others may read is refused with schema.Denied.
func OpenSealer(dir string) (*Sealer, error) {
	path := filepath.Join(dir, "age.key")
	data, err := bus.ReadPrivate(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newSealer(path)
	}
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		id, err := age.ParseX25519Identity(line)
		if err != nil {
			break
		}
		return &Sealer{id: id}, nil
	}
	return nil, schema.Errorf(schema.Invalid, "read %s: it holds no age identity (AGE-SECRET-KEY-1…)", path)
}

func newSealer(path string) (*Sealer, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("make an age identity: %w", err)
	}
	text := "# Berth core: seals secret values. Keep a copy: without it they are lost.\n# public key: " +
		id.Recipient().String() + "\n" + id.String() + "\n"
	if err := bus.WritePrivate(path, []byte(text)); err != nil {
		return nil, err
	}
	return &Sealer{id: id}, nil
}

// Recipient is the public half of the identity.
func (s *Sealer) Recipient() string { return s.id.Recipient().String() }

// Seal returns text that only Unseal reads.
func (s *Sealer) Seal(plain []byte) (string, error) {
	var b bytes.Buffer
	w, err := age.Encrypt(&b, s.id.Recipient())
	if err != nil {
		return "", fmt.Errorf("seal: %w", err)
	}
	if _, err := w.Write(plain); err != nil {
		return "", fmt.Errorf("seal: %w", err)
	}
	if err := w.Close(); err != nil {
		return "", fmt.Errorf("seal: %w", err)
	}
	return base64.StdEncoding.EncodeToString(b.Bytes()), nil
}

// Unseal returns what was sealed; schema.Invalid when it was sealed with another
// identity or is damaged.
func (s *Sealer) Unseal(text string) ([]byte, error) {
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, schema.Wrap(schema.Invalid, err, "unseal: the value is damaged")
	}
	r, err := age.Decrypt(bytes.NewReader(data), s.id)
	if err != nil {
		return nil, schema.Wrap(schema.Invalid, err, "unseal: the value was sealed with another age.key than core's")
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return nil, schema.Wrap(schema.Invalid, err, "unseal: the value is damaged")
	}
	return plain, nil
}
