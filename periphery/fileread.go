package periphery

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"berth/schema"
)

// readFiles reads files of a stack whose sources lie on this server. Nothing leads out
// of the run directory; of files that are not there, or not for us, it says so.
func (a *Agent) readFiles(_ context.Context, req schema.FileReadReq) (schema.FileReadResp, error) {
	var out schema.FileReadResp
	dir := under(filepath.Join(a.cfg.Stacks, folder(req.Stack)), req.Dir)
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return out, schema.Errorf(schema.Invalid, "run directory %s does not exist on this server: correct run_directory", dir)
	}
	if err != nil {
		return out, schema.Wrap(schema.Failed, err, "open the run directory %s", dir)
	}
	defer func() { _ = root.Close() }() // read only
	for _, file := range req.Files[:min(len(req.Files), schema.MaxSeenFiles)] {
		if f, ok := readWithin(root, file); ok {
			out.Files = append(out.Files, f)
		}
	}
	out.Files = schema.BoundSeen(out.Files)
	return out, nil
}

// readWithin reads one file; false for what is a folder.
func readWithin(root *os.Root, file string) (schema.SeenFile, bool) {
	out := schema.SeenFile{Path: file}
	info, err := root.Stat(filepath.Clean(file))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		out.Missing, out.Problem = true, "there is no such file in the run directory"
		return out, true
	case err != nil:
		out.Problem = "it leads out of the run directory, or cannot be read"
		return out, true
	case info.IsDir():
		return out, false
	case !info.Mode().IsRegular(): // a pipe would be waited for
		out.Problem = "it is no regular file"
		return out, true
	}
	f, err := root.Open(filepath.Clean(file))
	if err != nil {
		out.Problem = "it cannot be read by the agent"
		return out, true
	}
	defer func() { _ = f.Close() }() // read only
	text, err := io.ReadAll(io.LimitReader(f, schema.MaxSeenFile+1))
	if err != nil {
		out.Problem = "it cannot be read by the agent"
		return out, true
	}
	out.Text = string(text)
	return out, true
}
