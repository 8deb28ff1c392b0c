package schema

import (
	"strings"
	"testing"
)

func TestWhatIsSeenOfFilesIsBounded(t *testing.T) {
	half := strings.Repeat("x", MaxSeenFile/2+1)
	files := []SeenFile{{Path: "a", Text: half}, {Path: "b", Text: half}, {Path: "c", Text: "small"}, {Path: "d", Text: half + half}, {Path: "e", Text: "\xff"}}
	got := BoundSeen(files)
	for i, kept := range []bool{true, false, true, false, false} {
		if f := got[i]; (f.Text != "") != kept || (f.Problem == "") != kept {
			t.Errorf("%s: %d bytes, problem %q", f.Path, len(f.Text), f.Problem)
		}
	}
	if n := len(BoundSeen(make([]SeenFile, MaxSeenFiles+1))); n != MaxSeenFiles {
		t.Errorf("%d files", n)
	}
}

func TestAnImageIsNamedByItsDigest(t *testing.T) {
	for in, want := range map[string]string{
		"nginx": "nginx@d", "nginx:1.27": "nginx@d", "reg:5000/a/b": "reg:5000/a/b@d", "reg:5000/a/b:2": "reg:5000/a/b@d", "a@sha256:0": "a@d", "": "",
	} {
		if got := ImageRef(in, "d"); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := ImageRef("nginx", ""); got != "" {
		t.Errorf("without a digest: %q", got)
	}
}
