package periphery

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"berth/schema"
)

// within refuses a path below root that a symbolic link leads out of it: the files
// of a repository are whoever's who may push to it, those around it are the
// server's. Only links that own knows are looked at, all of them when it is nil:
// one that somebody made on the server is his own wish. A path that is not below
// root at all is a setting's wish, and one that does not exist is for the reader to
// report.
func within(root, path string, own func(path string) bool) error {
	rel, err := filepath.Rel(root, path)
	if err != nil || !filepath.IsLocal(rel) {
		return nil
	}
	base, err := filepath.EvalSymlinks(root)
	if err != nil {
		return nil
	}
	at := root
	for part := range strings.SplitSeq(rel, string(filepath.Separator)) {
		at = filepath.Join(at, part)
		info, err := os.Lstat(at)
		if err != nil {
			return nil
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			continue
		}
		to, err := filepath.EvalSymlinks(at)
		if err != nil {
			return nil
		}
		inside, err := filepath.Rel(base, to)
		if err == nil && filepath.IsLocal(inside) {
			at = filepath.Join(root, inside)
			continue
		}
		if own == nil || own(at) {
			name, _ := filepath.Rel(root, at)
			return schema.Errorf(schema.Invalid, "%s is a symbolic link that leads out of the repository, to %s on the server: put the file itself into the repository", name, to)
		}
		return nil
	}
	return nil
}
