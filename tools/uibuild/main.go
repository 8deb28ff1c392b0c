// Command uibuild bundles the browser code of ui/ into ui/static: names by
// content hash, precompressed, with a sprite of the icons that are used and the
// licences of what went in. Run it from tools/: `go run ./uibuild`.
//
// npm is only the source of packages (no scripts run, no bundler of its own).
// Without npm or without a network it says so and leaves the program's fallback
// pages in place; -require makes that an error, for releases.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

func main() {
	root := flag.String("root", "..", "the repository's root")
	require := flag.Bool("require", false, "fail when the bundle cannot be made")
	force := flag.Bool("force", false, "build even when nothing changed")
	flag.Parse()
	abs, err := filepath.Abs(*root)
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		err = run(ctx, builder{root: abs, ui: filepath.Join(abs, "ui"), out: filepath.Join(abs, "ui", "static"), log: os.Stderr}, *force)
		stop()
	}
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "uibuild:", err)
	if _, soft := errors.AsType[*missingError](err); soft && !*require {
		fmt.Fprintln(os.Stderr, "uibuild: going on without the browser bundle: pages work, but nothing updates by itself")
		return
	}
	os.Exit(1)
}

// missingError says that the machine lacks what a bundle needs; the program
// works without one.
type missingError struct{ text string }

func (e *missingError) Error() string { return e.text }

type builder struct {
	root, ui, out string
	log           io.Writer
}

func run(ctx context.Context, b builder, force bool) error {
	start := time.Now()
	key, err := b.inputs()
	if err != nil {
		return err
	}
	if old, err := readManifest(b.out); err == nil && old.Inputs == key && !force {
		return nil
	}
	if err := b.packages(ctx); err != nil {
		return err
	}
	m, err := b.bundle()
	if err != nil {
		return err
	}
	m.Inputs = key
	if err := b.finish(m); err != nil {
		return err
	}
	size, packed := 0, 0
	for _, f := range m.Files {
		size += f.Size
		packed += f.packed()
	}
	fmt.Fprintf(b.log, "uibuild: %d files, %.0f KB, %.0f KB compressed, in %s\n", len(m.Files), float64(size)/1024, float64(packed)/1024, time.Since(start).Round(time.Millisecond))
	return nil
}

// packages brings node_modules to what the lock says, if it is not there yet.
func (b builder) packages(ctx context.Context) error {
	lock, err := os.ReadFile(filepath.Join(b.ui, "package-lock.json"))
	if err != nil {
		return err
	}
	sum := sha256.Sum256(lock)
	key := hex.EncodeToString(sum[:])
	mark := filepath.Join(b.ui, "node_modules", ".lock-digest")
	if have, err := os.ReadFile(mark); err == nil && string(have) == key {
		return nil
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		return &missingError{"npm is not installed. Install Node.js with npm 9 or newer (Debian: apt-get install npm) and run `go tool task gen` again"}
	}
	cmd := exec.CommandContext(ctx, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	cmd.Dir = b.ui
	if out, err := cmd.CombinedOutput(); err != nil {
		return &missingError{fmt.Sprintf("npm ci: %v\n%s", err, strings.TrimSpace(string(out)))}
	}
	return os.WriteFile(mark, []byte(key), 0o644)
}

// inputs returns a digest of everything that decides what the bundle holds.
func (b builder) inputs() (string, error) {
	var files []string
	err := filepath.WalkDir(b.ui, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == "node_modules" || p == b.out {
				return filepath.SkipDir
			}
			return nil
		}
		switch filepath.Ext(p) {
		case ".ts", ".css", ".templ", ".go", ".json":
			if !strings.HasSuffix(p, "_templ.go") && !strings.HasSuffix(p, "_test.go") {
				files = append(files, p)
			}
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	sources, err := filepath.Glob(filepath.Join(b.root, "tools", "uibuild", "*.go"))
	if err != nil {
		return "", err
	}
	files = append(files, sources...)
	sort.Strings(files)
	h := sha256.New()
	for _, p := range files {
		text, err := os.ReadFile(p)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n", strings.TrimPrefix(p, b.root), len(text))
		h.Write(text)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
