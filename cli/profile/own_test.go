package profile

import (
	"os"
	"path/filepath"
	"testing"
)

// A file that others could read holds a key from now on: they can no more.
func TestSavedKeysAreTheUsersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "berth.toml")
	if err := os.WriteFile(path, []byte("table_borders = \"horizontal\" # and much more than what is written next\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil { //nolint:gosec // the point
		t.Fatal(err)
	}
	if err := Save(path, Tree{Account: Account{Host: "https://h", Key: "k", Secret: "s"}}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if perm := info.Mode().Perm(); perm != 0o600 {
		t.Errorf("mode %04o", perm)
	}
	got, err := Own(path, func(string) string { return "" })
	if err != nil || got.Key != "k" || got.Borders != "" {
		t.Errorf("%+v, %v", got.Account, err)
	}
}
