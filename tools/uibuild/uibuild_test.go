package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tree makes a builder over a small ui folder.
func tree(t *testing.T, files map[string]string) builder {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		p := filepath.Join(root, "ui", name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return builder{root: root, ui: filepath.Join(root, "ui"), out: filepath.Join(root, "ui", "static"), log: &strings.Builder{}}
}

func TestWithoutNpm(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	b := tree(t, map[string]string{"package-lock.json": "{}"})
	err := run(t.Context(), b, false)
	if m, ok := errors.AsType[*missingError](err); !ok || !strings.Contains(m.text, "npm is not installed") {
		t.Errorf("got %v", err)
	}
}

func TestPackageOf(t *testing.T) {
	for in, want := range map[string]string{
		"node_modules/htmx.org/dist/x.js": "htmx.org", "node_modules/@a/b/c.css": "@a/b", "src/app.ts": "",
		"node_modules/x/node_modules/y/z.js": "y",
	} {
		if got := packageOf(in); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
}

func TestSpriteHasWhatIsNamed(t *testing.T) {
	b := tree(t, map[string]string{
		"page/a.templ":                             `@part.Icon("rocket") @part.IconS("x")`,
		"page/a.go":                                `{Icon: "layers"}` + "\n" + `return "lock" // icon` + "\n" + `return "nothing"`,
		"page/a_templ.go":                          `Icon("ignored")`,
		"node_modules/lucide-static/icons/x.svg":   `<svg class="l"><path d="x"/></svg>`,
		"node_modules/lucide-static/icons/b.templ": `Icon("ignored")`,
	})
	for _, n := range []string{"rocket", "layers", "lock"} {
		if _, err := b.sprite(); err == nil || !strings.Contains(err.Error(), "icon ") {
			t.Fatalf("icons are missing, got %v", err)
		}
		if err := os.WriteFile(filepath.Join(b.ui, "node_modules/lucide-static/icons", n+".svg"), []byte("<svg>\n<path/>\n</svg>"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := b.sprite()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"rocket", "layers", "lock", "x"} {
		if !strings.Contains(string(got), `<symbol id="`+n+`"`) {
			t.Errorf("lacks %s: %s", n, got)
		}
	}
	if strings.Contains(string(got), "ignored") || strings.Contains(string(got), "nothing") {
		t.Errorf("has too much: %s", got)
	}
}

func TestCleanKeepsTheFolderInGit(t *testing.T) {
	b := tree(t, map[string]string{"static/.gitignore": "*", "static/old.js": "1", "static/d/e": "2"})
	if err := b.clean(); err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadDir(b.out)
	if err != nil || len(list) != 1 || list[0].Name() != ".gitignore" {
		t.Errorf("left: %v, %v", list, err)
	}
}
