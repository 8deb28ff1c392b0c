package profile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pelletier/go-toml/v2"

	"berth/schema"
)

// Own reads Berth's own file; one that is missing says nothing.
func Own(path string, env func(string) string) (Source, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return Source{From: path}, nil
	}
	r := &reader{env: env}
	tree, err := r.file(path)
	if err != nil {
		return Source{}, err
	}
	t, err := typed(tree, path)
	return Source{Tree: t, From: path}, err
}

// Save writes Berth's own file, which only its user can read, also where it was there
// and others could.
func Save(path string, t Tree) error {
	b, err := toml.Marshal(t)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err == nil {
		err = private(path, b)
	}
	if err != nil {
		return schema.Errorf(schema.Failed, "keep the API key: %v", err)
	}
	return nil
}

// private replaces what is in a file, or behind a link, once nobody else can read it.
func private(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err = f.Chmod(0o600); err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.Write(b)
	}
	return errors.Join(err, f.Close())
}
