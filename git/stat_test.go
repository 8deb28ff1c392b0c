package git_test

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// statLine describes a file so that any write to it shows.
func statLine(t *testing.T, path string) string {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatalf("lstat %s: %v", path, err)
	}
	return fmt.Sprintf("inode %d, %d:%d, mtime %d.%d, ctime %d.%d", st.Ino, st.Uid, st.Gid, st.Mtim.Sec, st.Mtim.Nsec, st.Ctim.Sec, st.Ctim.Nsec)
}
