package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// layer says what the packages under a path may import of Berth's own packages.
// The longest path that fits a package decides. In may and tests, "x" is that
// package alone and "x/..." all below it too.
type layer struct {
	path  string   // import path without "berth/"; "" is the root package
	may   []string // what it may import
	tests []string // what its tests may import beyond that
	why   string
}

// layers is the architecture: a new folder, or a new package in core, needs a row.
func layers() []layer {
	live := []string{"bus/bustest", "bus/hub"} // a live bus, in tests
	base := []string{"schema", "bus"}
	with := func(more ...string) []string { return append(slices.Clone(base), more...) }
	doors := with("core/store", "core/access", "core/resource", "core/run")
	tests := append([]string{"core/..."}, live...)
	return []layer{
		{"", []string{"..."}, nil, "main stands above everything"},
		{"schema", nil, nil, "what is said must be understood by every part without dragging any of them in"},
		{"bus", []string{"schema"}, live, "the bus carries schema's values and knows nothing of who sends them"},
		{"bus/hub", base, live, "the server needs the names and the identities, nothing else"},
		{"bus/bustest", with("bus/hub"), nil, "a live bus for tests is a hub and a connection"},
		{"cli", []string{"schema"}, nil, "what a command line looks like and who it asks as is understood without core"},
		{"mask", nil, nil, "values are masked the same way by core and by agents; it knows nothing of where they come from"},
		{"git", []string{"schema", "git/..."}, nil, "repositories are read the same way by core, which plans, and by agents, which deploy"},
		{"periphery", with("periphery/...", "git", "mask"), append([]string{"git/..."}, live...), "an agent must be understood without core, and never hold a server"},
		{"ui", []string{"schema", "ui/..."}, nil, "pages show schema's values through interfaces of their own; core satisfies them"},
		{"core", with("bus/hub", "ui/...", "core/...", "git", "mask"), append([]string{"git/gittest"}, live...), "core wires all its parts, and no agent's"},
		{"core/store", with("bus/hub"), live, "documents know nothing of what they mean; of the hub only whom it may let in"},
		{"core/access", with("core/store", "core/provider"), tests, "who may do what is decided before there are resources"},
		{"core/provider", []string{"schema"}, nil, "it asks others who somebody is; what he may do here is not its matter"},
		{"core/resource", with("core/store", "core/access"), tests, "what is done to any kind must not know actions"},
		{"core/run", with("core/store", "core/access", "core/resource"), tests, "runs know resources, not what the actions do"},
		{"core/webhook", doors, tests, "a door: it starts runs and knows no other door"},
		{"core/schedule", doors, tests, "a door: it starts runs and knows no other door"},
		{"core/sync", append(doors, "git"), append([]string{"git/..."}, tests...), "it reads sources and writes resources; it knows no other door"},
		{"core/api", doors, tests, "a door: requests reach the rest through the table that core hands in"},
		{"core/backup", with("bus/hub"), live, "it reads the bus and files, whatever they mean"},
		{"core/script", []string{"schema"}, nil, "a sandbox: what scripts may do is handed in"},
		{"core/monitor", with("core/store", "core/resource"), tests, "it speaks schema's changes only"},
		{"core/history", base, live, "it keeps figures, whoever asks for them"},
		{"core/alert", with("core/store", "core/resource"), tests, "it speaks schema's changes only"},
		{"core/update", []string{"schema"}, tests, "it compares digests, whoever asks"},
		{"core/execution", append(doors, "mask", "core/script", "core/sync", "core/alert", "core/monitor"), append([]string{"git/gittest"}, tests...), "actions are plain functions over runs and resources"},
		{"e2e", []string{"..."}, nil, "it meets the whole program as its users do"},
	}
}

// fits reports whether a path is what a pattern of layers names.
func fits(pattern, path string) bool {
	prefix, all := strings.CutSuffix(pattern, "...")
	prefix = strings.TrimSuffix(prefix, "/")
	return path == prefix || all && (prefix == "" || under(path, prefix))
}

// testHelper fits packages that exist for tests: they may do what tests may.
const testHelper = `(^|/)(e2e|[a-z]+test)(/|$)`

// bans are imports that nobody may have, but for the packages that except fits.
func bans() []struct{ path, except, why string } {
	return []struct{ path, except, why string }{
		{"github.com/docker/docker", `^$`, "one engine client in the binary: github.com/moby/moby/client, its living name"},
		{"github.com/BurntSushi/toml", `^$`, "one TOML library: pelletier/go-toml"},
		{"github.com/stretchr/testify", `^$`, "std testing and go-cmp say it without a second language"},
		{"os/exec", `^$|^periphery/process$|` + testHelper, "no CLI and no shell: what must run a command goes through periphery/process, which masks secrets and ends process groups"},
		{"log", testHelper, "write to the slog.Logger handed in"},
		{"testing", testHelper, "test code must not be linked into the binary"},
		{"berth/bus/hub", `^$|^bus/hub$|^core(/|$)|` + testHelper, "an agent must never carry the server"},
	}
}

type listed struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

func list(t *testing.T) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("list packages: %v\n%s", err, problems.String())
	}
	var all []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("read go list's answer: %v", err)
		}
		all = append(all, p)
	}
}

func under(path, prefix string) bool { return path == prefix || strings.HasPrefix(path, prefix+"/") }

// own returns an import path as the rules write it, and whether it is Berth's.
func own(path string) (string, bool) {
	if path == "berth" {
		return "", true
	}
	return strings.CutPrefix(path, "berth/")
}

// layerOf returns the row that governs a package, nil when there is none.
func layerOf(pkg string) *layer {
	var best *layer
	for _, l := range layers() {
		if (pkg == l.path || l.path != "" && under(pkg, l.path)) && (best == nil || len(l.path) > len(best.path)) {
			best = &l
		}
	}
	if best != nil && best.path == "core" && pkg != "core" {
		return nil // a new package in core needs a row of its own
	}
	return best
}

// TestLayers holds the rules between packages; each says why it is there.
func TestLayers(t *testing.T) {
	helper := regexp.MustCompile(testHelper)
	for _, p := range list(t) {
		pkg, _ := own(p.ImportPath)
		l := layerOf(pkg)
		if l == nil {
			t.Errorf("%s has no row in layers(): say what it may import, and why", pkg)
			continue
		}
		check := func(imp string, test bool) {
			to, ours := own(imp)
			may := l.may
			if test || helper.MatchString(pkg) {
				may = slices.Concat(may, l.tests, []string{l.path + "/..."})
			}
			allowed := slices.ContainsFunc(may, func(pattern string) bool { return fits(pattern, to) })
			switch {
			case ours && !allowed && to != pkg:
				t.Errorf("%s imports %s: %s", pkg, to, l.why)
			case !ours && pkg == "schema" && !test && strings.Contains(imp, "."):
				t.Errorf("%s imports %s: it stands on the standard library alone", pkg, imp)
			}
		}
		for _, imp := range p.Imports {
			check(imp, false)
		}
		for _, imp := range slices.Concat(p.TestImports, p.XTestImports) {
			check(imp, true)
		}
	}
}

// TestBannedImports holds what no part may import.
func TestBannedImports(t *testing.T) {
	for _, p := range list(t) {
		pkg, _ := own(p.ImportPath)
		for _, b := range bans() {
			if regexp.MustCompile(b.except).MatchString(pkg) {
				continue
			}
			for _, imp := range p.Imports {
				if imp == b.path || strings.Contains(b.path, ".") && under(imp, b.path) {
					t.Errorf("%s imports %s: %s", pkg, imp, b.why)
				}
			}
		}
	}
}

// TestDependencies holds the README to one reason for each module that go.mod
// requires directly.
func TestDependencies(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	// A requirement without "// indirect", without host and major version.
	direct := regexp.MustCompile(`(?m)^\t(?:github\.com/|google\.golang\.org/)?(\S+?)(?:/v\d+)? v\S+$`)
	for _, m := range direct.FindAllSubmatch(mod, -1) {
		if !bytes.Contains(readme, []byte("`"+string(m[1])+"`")) {
			t.Errorf("README.md does not say why Berth needs %s", m[1])
		}
	}
}

// TestWords holds what no file may say.
func TestWords(t *testing.T) {
	rules := []struct {
		files, word *regexp.Regexp
		why         string
	}{
		{regexp.MustCompile(`\.templ$`), regexp.MustCompile(`\bstyle=`), "the content security policy allows no inline style: a class, or SVG geometry"},
		{regexp.MustCompile(`\.templ$`), regexp.MustCompile(`\bhx-on\b|\bhx-on:`), "it needs eval, which the content security policy forbids"},
		{regexp.MustCompile(`\.templ$`), regexp.MustCompile(`\bjs:|javascript:`), "it needs eval, which the content security policy forbids"},
		{regexp.MustCompile(`.`), regexp.MustCompile(`/work` + `/|\bshared` + `/(design|reference|seeds|README)`), "the repository stands on its own: copy what is needed into testdata"},
	}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{".git", ".cache", ".task", "node_modules", "bin", "static", "dist"}, d.Name()):
			return filepath.SkipDir
		case !d.Type().IsRegular() || path == ".git": // a file in a work tree that git added to a repository
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil || bytes.IndexByte(text[:min(len(text), 1024)], 0) >= 0 {
			return err // unreadable, or no text
		}
		for _, r := range rules {
			if r.files.MatchString(path) && r.word.Match(text) {
				for n, line := range lines(text) {
					if w := r.word.Find(line); w != nil {
						t.Errorf("%s:%d says %q: %s", path, n, w, r.why)
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// lines yields the numbered lines of a text.
func lines(text []byte) func(yield func(int, []byte) bool) {
	return func(yield func(int, []byte) bool) {
		s := bufio.NewScanner(bytes.NewReader(text))
		s.Buffer(nil, 16<<20)
		for n := 1; s.Scan(); n++ {
			if !yield(n, s.Bytes()) {
				return
			}
		}
	}
}
