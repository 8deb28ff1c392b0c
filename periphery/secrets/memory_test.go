package secrets

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"berth/schema"
)

// memoryDir returns a folder on tmpfs.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "berth-test-")
	if err != nil {
		t.Fatalf("this test needs a tmpfs at /dev/shm: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "secrets")
}

func TestMemory(t *testing.T) {
	dir := memoryDir(t)
	m, err := OpenMemory(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	file, err := m.Write("shop", ".env", []byte("A=1"), Owner{UID: 999, GID: 998})
	if err != nil {
		t.Fatal(err)
	}
	if file != filepath.Join(dir, "shop", ".env") {
		t.Error(file)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	if info.Mode() != 0o600 || (os.Geteuid() == 0 && (st.Uid != 999 || st.Gid != 998)) {
		t.Error(info.Mode(), st.Uid, st.Gid)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Error(info, err)
	}
	inode := st.Ino
	write := func(name, text string) uint64 {
		f, err := m.Write("shop", name, []byte(text), Owner{UID: os.Geteuid()})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(f); err != nil || string(got) != text {
			t.Error(string(got), err)
		}
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		return info.Sys().(*syscall.Stat_t).Ino
	}
	if write(".env", "A=1") != inode {
		t.Error("same contents made a new file")
	}
	if write(".env", "A=2") == inode {
		t.Error("new contents went into the mounted file")
	}
	write("conf/x.json", "{}")
	write("old", "x")
	if err := m.Keep("shop", ".env", "conf/x.json"); err != nil {
		t.Fatal(err)
	}
	if err := m.Keep("none"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "shop", "old")); !os.IsNotExist(err) {
		t.Error("old file stays")
	}
	if stacks, err := m.Stacks(); err != nil || !cmp.Equal(stacks, []string{"shop"}) {
		t.Error(stacks, err)
	}
	if err := m.Wipe("shop"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "shop")); !os.IsNotExist(err) {
		t.Error("folder stays")
	}
}

func TestMemoryRefusesPaths(t *testing.T) {
	m, err := OpenMemory(memoryDir(t))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, c := range [][2]string{{"", "a"}, {"..", "a"}, {"a/b", "a"}, {"a", "../b"}, {"a", "/b"}, {"a", "."}, {"a", ""}} {
		if _, err := m.Write(c[0], c[1], nil, Owner{}); schema.CodeOf(err) != schema.Invalid {
			t.Errorf("%q: %v", c, err)
		}
	}
	if err := m.Wipe(".."); err == nil {
		t.Error("wiped the parent")
	}
}

// On a disk the folder becomes a tmpfs of its own, or is refused.
func TestMemoryOnDisk(t *testing.T) {
	base, err := os.MkdirTemp("/var/tmp", "berth-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(base)
	dir := filepath.Join(base, "m")
	m, err := OpenMemory(dir)
	if err != nil {
		wantError(t, err, schema.Denied, dir, "mount -t tmpfs")
		return
	}
	defer func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	defer m.Close()
	if _, err := m.Write("s", "f", []byte("canary"), Owner{}); err != nil {
		t.Fatal(err)
	}
	if ok, err := inMemory(filepath.Join(dir, "s")); !ok || err != nil {
		t.Error(ok, err)
	}
}
