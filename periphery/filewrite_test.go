package periphery

import (
	"os"
	"path/filepath"
	"testing"

	"berth/schema"
)

func TestFilesOnTheServerAreWrittenWithinTheirFolder(t *testing.T) {
	a := &Agent{cfg: Config{Stacks: t.TempDir()}}
	dir := t.TempDir()
	name := filepath.Join(dir, "compose.yaml")
	if err := os.WriteFile(name, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(t.TempDir(), filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		dir, file string
		code      schema.Code
	}{
		{dir, "compose.yaml", ""},
		{dir, "conf/web.env", ""},
		{dir, "../x", schema.Invalid},
		{dir, "/etc/x", schema.Invalid},
		{dir, ".", schema.Invalid},
		{dir, "conf", schema.Invalid},
		{dir, "out/x", schema.Failed},
		{filepath.Join(dir, "none"), "x", schema.Invalid},
		{"none", "x", schema.Invalid},
	} {
		_, err := a.writeFile(t.Context(), schema.FileWriteReq{Stack: "web", Dir: c.dir, File: c.file, Text: "new"})
		if (err == nil) != (c.code == "") || err != nil && schema.CodeOf(err) != c.code {
			t.Errorf("%s in %s: %v", c.file, c.dir, err)
		}
	}
	for _, file := range []string{name, filepath.Join(dir, "conf", "web.env")} {
		if got, err := os.ReadFile(file); err != nil || string(got) != "new" {
			t.Errorf("%s: %q %v", file, got, err)
		}
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the mode is %v (%v)", info.Mode(), err)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".berth-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}
