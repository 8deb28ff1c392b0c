package core

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"berth/schema"
)

// lock makes the data folder this process's own until unlock. The lock ends with
// the process, however it ends. Errors: Conflict when another core has it.
func lock(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, schema.Wrap(schema.Invalid, err, "open data folder %s: %v", dir, errors.Unwrap(err))
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, schema.Wrap(schema.Conflict, err, "data folder %s is used by another core: end that one, or give this one its own --data", dir)
	}
	return func() { _ = f.Close() }, nil
}
