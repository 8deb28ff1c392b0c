package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// offline runs a command that asks no core.
func offline(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), args, world{in: strings.NewReader(""), out: &o, err: &e, env: func(string) string { return "" }})
	return code, o.String(), e.String()
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"good.toml":    "[[server]]\nname = \"one\"\n[[stack]]\nname = \"web\"\nconfig.server = \"one\"\n",
		"loose.toml":   "[[stack]]\nname = \"api\"\n[stack.config]\nserver = \"elsewhere\"\nbrunch = \"x\"\n",
		"broken.toml":  "[[stack]]\nname = \"db\"\nconfig.auto_pull = \"yes\"\n",
		".hidden.toml": "[[",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	good, loose, broken := filepath.Join(dir, "good.toml"), filepath.Join(dir, "loose.toml"), filepath.Join(dir, "broken.toml")

	code, out, _ := offline(t, "check", good)
	if code != 0 || out != "1 file, 2 resources: no mistake\n" {
		t.Error(code, out)
	}
	code, out, _ = offline(t, "check", good, loose)
	if code != 0 || !strings.Contains(out, "warning: "+loose+`:4: stack[0].config.server_id: there is no server "elsewhere" in these files`) ||
		!strings.Contains(out, "brunch: unknown key, ignored: did you mean branch?") || !strings.HasSuffix(out, "2 files, 3 resources, 2 warnings: no mistake\n") {
		t.Error(code, out)
	}
	code, out, errs := offline(t, "check", "--strict", loose)
	if code != 2 || strings.Contains(out, "warning") || errs != "berth: 1 file, 1 resource: 2 mistakes\n" {
		t.Error(code, out, errs)
	}
	code, out, _ = offline(t, "check", dir)
	if code != 2 || !strings.Contains(out, broken+":3: stack[0].config.auto_pull: want true or false, have a string\n") {
		t.Error(code, out)
	}
	code, out, _ = offline(t, "check", "--json", dir)
	var doc checked
	if err := json.Unmarshal([]byte(out), &doc); err != nil || code != 2 || doc.OK || doc.Files != 3 || len(doc.Issues) != 3 {
		t.Error(err, code, out)
	}
	if code, _, errs := offline(t, "check", filepath.Join(dir, "none.toml")); code != 2 || !strings.Contains(errs, "none.toml") {
		t.Error(code, errs)
	}
}

func TestSchema(t *testing.T) {
	code, out, _ := offline(t, "schema", "stack")
	var doc map[string]any
	if err := json.Unmarshal([]byte(out), &doc); err != nil || code != 0 || doc["$schema"] != "https://json-schema.org/draft/2020-12/schema" {
		t.Error(err, code)
	}
	if code, _, errs := offline(t, "schema", "stakc"); code != 4 || !strings.Contains(errs, "there is no kind") {
		t.Error(code, errs)
	}
}

// TestExportMovesToAnotherCore writes what one core holds and loads it into another.
func TestExportMovesToAnotherCore(t *testing.T) {
	one, other := newStation(t), newStation(t)
	for _, s := range []*station{one, other} {
		s.ok("login", s.url, "--username", "ada", "--password-file", write(t, "pw", "correct horse\n"))
	}
	file := filepath.Join(t.TempDir(), "fleet.toml")
	if err := os.WriteFile(file, []byte("[[server]]\nname = \"one\"\n[[stack]]\nname = \"web\"\ntags = [\"prod\"]\nconfig.server = \"one\"\n[[variable]]\nname = \"T\"\nvalue = \"canary\"\nis_secret = true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := one.do("apply", "--yes", file); code != 0 {
		t.Fatal(code, out, errs)
	}
	code, out, errs := one.do("export")
	if code != 0 || strings.Contains(out, "canary") || !strings.Contains(out, "value = \"•••\"") || !strings.Contains(out, "server = \"one\"") {
		t.Error(code, out, errs)
	}
	code, out, errs = one.do("export", "stack", "variable/T")
	if code != 0 || strings.Contains(out, "[[server]]") || !strings.Contains(out, "[[stack]]") || !strings.Contains(out, "[[variable]]") {
		t.Error(code, out, errs)
	}
	moved := filepath.Join(t.TempDir(), "moved.toml")
	if code, _, errs := one.do("export", "--secrets", "-o", moved); code != 0 || !strings.Contains(errs, "3 resources written") {
		t.Error(code, errs)
	}
	if code, out, errs := other.do("apply", "--yes", moved); code != 0 {
		t.Error(code, out, errs)
	}
	if code, out, errs := other.do("apply", "--plan", moved); code != 0 || !strings.Contains(out, "= 3 unchanged") {
		t.Error(code, out, errs)
	}
	if code, _, errs := one.do("export", "stakc/web"); code != 2 || !strings.Contains(errs, "did you mean stack?") {
		t.Error(code, errs)
	}
}
