package periphery

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth/schema"
)

func TestFilesOnTheServerAreReadWithinTheirFolder(t *testing.T) {
	a := &Agent{cfg: Config{Stacks: t.TempDir()}}
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "secret")
	for name, text := range map[string]string{
		outside: "not for core", filepath.Join(dir, "compose.yaml"): "services: {}\n",
		filepath.Join(dir, "big"): strings.Repeat("x", schema.MaxSeenFile+1), filepath.Join(dir, "raw"): "\xff\xfe",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside, filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "conf"), 0o700); err != nil {
		t.Fatal(err)
	}
	resp, err := a.readFiles(t.Context(), schema.FileReadReq{Stack: "web", Dir: dir, Files: []string{"compose.yaml", "none", "out", outside, "../x", "big", "raw", "conf"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range resp.Files {
		switch f.Path {
		case "compose.yaml":
			if f.Text != "services: {}\n" || f.Problem != "" || f.Missing {
				t.Errorf("%+v", f)
			}
		default:
			if f.Text != "" || f.Problem == "" || f.Missing != (f.Path == "none") {
				t.Errorf("%s: missing %v, problem %q, %d bytes", f.Path, f.Missing, f.Problem, len(f.Text))
			}
		}
	}
	if len(resp.Files) != 7 { // all but the folder
		t.Errorf("%d files", len(resp.Files))
	}
	if _, err := a.readFiles(t.Context(), schema.FileReadReq{Stack: "web", Dir: filepath.Join(dir, "none")}); schema.CodeOf(err) != schema.Invalid {
		t.Errorf("a folder that is not there: %v", err)
	}
}
