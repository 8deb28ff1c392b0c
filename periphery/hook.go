package periphery

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"berth/periphery/process"
	"berth/schema"
)

// hookGrace is how long a command that is canceled has to end by itself: cancel is
// to be over within a second.
const hookGrace = 500 * time.Millisecond

// hook is a command of the user's to run.
type hook struct {
	name  string
	dir   string
	cmd   schema.SystemCommand
	plain bool     // no interpolation
	env   []string // beyond what every command sees
}

// hook runs a command as a phase of the job; an empty one is none.
func (a *Agent) hook(ctx context.Context, j *Job, k *known, h hook) error {
	if strings.TrimSpace(string(h.cmd.Command)) == "" {
		return nil
	}
	text, _, err := k.interpolate(string(h.cmd.Command), h.plain)
	if err != nil {
		return schema.Wrap(schema.Invalid, err, "%s.command", h.name)
	}
	return j.phase(ctx, h.name, func(ctx context.Context) (string, error) {
		return "", process.Run(ctx, process.Cmd{
			Name: h.name, Dir: under(h.dir, h.cmd.Path), Text: text, ShellMode: h.cmd.ShellMode, Env: append(process.Env(os.Environ()), h.env...),
			Mask: j.mask.Writer, Grace: hookGrace,
			Output: func(l process.Line) {
				j.out.add(schema.Entry{Kind: schema.EntryLine, Err: l.Stderr, Text: l.Text})
			},
		})
	})
}

// writeFile writes a file that nobody but the owner of its folder may read, whole
// or not at all. A link in its place is replaced, not followed.
func writeFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return schema.Errorf(schema.Failed, "make %s: %v", filepath.Dir(path), errors.Unwrap(err))
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".berth-*") // 0600
	if err != nil {
		return schema.Errorf(schema.Failed, "write %s: %v", path, errors.Unwrap(err))
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if info, serr := os.Stat(filepath.Dir(path)); serr == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			_ = f.Chown(int(st.Uid), int(st.Gid)) // only root may, and only then it matters
		}
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	return schema.Wrap(schema.Failed, err, "write %s: %v", path, err)
}
