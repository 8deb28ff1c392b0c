package secrets

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"berth/schema"
)

// File is a sops file beside a compose file.
type File struct {
	Name   string // name within the folder: app.sops.env
	Path   string // full path
	Target string // name the plain file would have within the folder: app.env
	Format string // dotenv, json or yaml
}

// Discover returns the sops files of a folder, sorted by name: *.sops.env,
// *.sops.json, *.sops.yaml and *.sops.yml, the bare .sops.env, .sops.json and
// .sops.yaml among them. A .sops.yaml that holds the rules of the sops tool and
// no encrypted contents is left out. A folder that does not exist has none.
func Discover(dir string) ([]File, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, schema.Errorf(schema.Failed, "look for sops files in %s: %v", dir, errors.Unwrap(err))
	}
	var files []File
	for _, e := range entries {
		target, ok := Target(e.Name())
		if !ok {
			continue
		}
		path := filepath.Join(dir, e.Name())
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			continue
		}
		if e.Name() == ".sops.yaml" || e.Name() == ".sops.yml" {
			data, err := Read(path)
			if err != nil {
				return nil, err
			}
			if !encryptedYAML(data) {
				continue
			}
		}
		files = append(files, File{Name: e.Name(), Path: path, Target: target, Format: formatOf(e.Name())})
	}
	return files, nil
}

// Target returns the name of the plain file that belongs to a sops file's name,
// and whether the name is one of a sops file: .sops.env gives .env, app.sops.env
// gives app.env.
func Target(name string) (string, bool) {
	for _, ext := range []string{".env", ".json", ".yaml", ".yml"} {
		if base, ok := strings.CutSuffix(name, ".sops"+ext); ok {
			return base + ext, true
		}
	}
	return "", false
}

// Read reads a sops file, at most MaxFile bytes.
func Read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, schema.Errorf(schema.Failed, "read %s: %v", path, errors.Unwrap(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, schema.Errorf(schema.Failed, "read %s: %v", path, errors.Unwrap(err))
	}
	if len(data) > MaxFile {
		return nil, schema.Errorf(schema.TooLarge, "read %s: the file is larger than %d bytes", path, MaxFile)
	}
	return data, nil
}

// encryptedYAML tells encrypted contents from the tool's own configuration: the
// former has a top-level sops key or at least one encrypted value.
func encryptedYAML(data []byte) bool {
	return bytes.Contains(data, []byte("ENC[AES256_GCM,")) || regexp.MustCompile(`(?m)^["']?sops["']?:`).Match(data)
}
