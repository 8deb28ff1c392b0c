package periphery

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"berth/schema"
)

// writeFile replaces one file of a stack whose sources lie on this server, at once
// or not at all. Nothing leads out of the run directory, which must be there.
func (a *Agent) writeFile(_ context.Context, req schema.FileWriteReq) (struct{}, error) {
	none := struct{}{}
	dir := under(filepath.Join(a.cfg.Stacks, folder(req.Stack)), req.Dir)
	name := filepath.Clean(req.File)
	if !filepath.IsLocal(name) || name == "." {
		return none, schema.Errorf(schema.Invalid, "file %q is not below the run directory %s", req.File, dir)
	}
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return none, schema.Errorf(schema.Invalid, "run directory %s does not exist on this server: correct run_directory", dir)
	}
	if err != nil {
		return none, schema.Wrap(schema.Failed, err, "open the run directory %s", dir)
	}
	defer func() { _ = root.Close() }() // nothing is written through it any more
	mode := fs.FileMode(0o644)
	if info, err := root.Stat(name); err == nil {
		if info.IsDir() {
			return none, schema.Errorf(schema.Invalid, "%s is a folder in %s", name, dir)
		}
		mode = info.Mode().Perm()
	}
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return none, schema.Wrap(schema.Failed, err, "make the folder of %s in %s", name, dir)
	}
	temp := filepath.Join(filepath.Dir(name), ".berth-"+schema.NewID())
	if err = root.WriteFile(temp, []byte(req.Text), mode); err == nil {
		err = root.Rename(temp, name)
	}
	if err != nil {
		_ = root.Remove(temp) // it may not be there
		return none, schema.Wrap(schema.Failed, err, "write %s in %s", name, dir)
	}
	return none, nil
}
