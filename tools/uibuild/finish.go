package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"
)

// finish adds sprite and licences, compresses, and writes the manifest last: a
// build that was cut short leaves none, and counts as none.
func (b builder) finish(m *manifest) error {
	sprite, err := b.sprite()
	if err != nil {
		return err
	}
	if err := b.put(m, "icons.svg", sprite); err != nil {
		return err
	}
	licences, err := b.licences(m.packages)
	if err != nil {
		return err
	}
	if err := b.put(m, "licenses.txt", licences); err != nil {
		return err
	}
	if err := b.compress(m); err != nil {
		return err
	}
	text, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.out, "manifest.json"), append(text, '\n'), 0o644)
}

func (b builder) put(m *manifest, name string, text []byte) error {
	sum := sha256.Sum256(text)
	ext := filepath.Ext(name)
	f := &file{Path: strings.TrimSuffix(name, ext) + "-" + strings.ToUpper(hex.EncodeToString(sum[:4])) + ext}
	m.Files[name] = f
	return os.WriteFile(filepath.Join(b.out, f.Path), text, 0o644)
}

// sprite collects the icons that templates and view models name: Icon("rocket"),
// Icon: "rocket". A name that does not exist is an error.
func (b builder) sprite() ([]byte, error) {
	named := regexp.MustCompile(`\b[Ii]con\w*\(\s*"([a-z0-9-]+)"|\b[Ii]con:\s*"([a-z0-9-]+)"|return "([a-z0-9-]+)" // icon`)
	names := map[string]bool{}
	err := filepath.WalkDir(b.ui, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "node_modules":
			return filepath.SkipDir
		case !strings.HasSuffix(p, ".templ") && (!strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_templ.go") || strings.HasSuffix(p, "_test.go")):
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		for _, m := range named.FindAllStringSubmatch(string(text), -1) {
			names[m[1]+m[2]+m[3]] = true
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	list := make([]string, 0, len(names))
	for n := range names {
		list = append(list, n)
	}
	sort.Strings(list)
	body := regexp.MustCompile(`(?s)<svg[^>]*>(.*)</svg>`)
	blanks := regexp.MustCompile(`\s+`)
	var out bytes.Buffer
	out.WriteString(`<svg xmlns="http://www.w3.org/2000/svg">`)
	for _, n := range list {
		src, err := os.ReadFile(filepath.Join(b.ui, "node_modules/lucide-static/icons", n+".svg"))
		if err != nil {
			return nil, fmt.Errorf("icon %q: %w", n, err)
		}
		in := body.FindSubmatch(src)
		if in == nil {
			return nil, fmt.Errorf("icon %q is not an svg", n)
		}
		fmt.Fprintf(&out, `<symbol id="%s" viewBox="0 0 24 24">%s</symbol>`, n, bytes.TrimSpace(blanks.ReplaceAll(in[1], []byte(" "))))
	}
	out.WriteString(`</svg>`)
	return out.Bytes(), nil
}

// licences returns the whole licence text of every package that went in.
func (b builder) licences(packages map[string]bool) ([]byte, error) {
	list := make([]string, 0, len(packages))
	for n := range packages {
		list = append(list, n)
	}
	sort.Strings(list)
	var out bytes.Buffer
	for _, n := range list {
		dir := filepath.Join(b.ui, "node_modules", n)
		var pkg struct {
			Version string `json:"version"`
			License string `json:"license"`
		}
		text, err := os.ReadFile(filepath.Join(dir, "package.json"))
		if err == nil {
			err = json.Unmarshal(text, &pkg)
		}
		if err != nil {
			return nil, err
		}
		licence, err := licenceOf(dir)
		if err != nil {
			return nil, fmt.Errorf("package %s: %w", n, err)
		}
		fmt.Fprintf(&out, "%s %s (%s)\n\n%s\n\n%s\n\n", n, pkg.Version, pkg.License, licence, strings.Repeat("-", 72))
	}
	return out.Bytes(), nil
}

func licenceOf(dir string) ([]byte, error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		name := strings.ToLower(e.Name())
		if strings.HasPrefix(name, "licen") {
			text, err := os.ReadFile(filepath.Join(dir, e.Name()))
			return bytes.TrimSpace(text), err
		}
	}
	return nil, fmt.Errorf("no licence file in %s", dir)
}

// compress writes a .br and a .gz beside each file where it saves 5 %.
func (b builder) compress(m *manifest) error {
	var wg sync.WaitGroup
	errs := make(chan error, len(m.Files))
	for _, f := range m.Files {
		wg.Go(func() {
			if err := f.compress(filepath.Join(b.out, f.Path)); err != nil {
				errs <- err
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

func (f *file) compress(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	f.Size = len(text)
	if strings.HasSuffix(path, ".woff2") {
		return nil // compressed already
	}
	var br, gz bytes.Buffer
	bw := brotli.NewWriterLevel(&br, brotli.BestCompression)
	if _, err := bw.Write(text); err != nil {
		return err
	}
	if err := bw.Close(); err != nil {
		return err
	}
	gw, err := gzip.NewWriterLevel(&gz, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := gw.Write(text); err != nil {
		return err
	}
	if err := gw.Close(); err != nil {
		return err
	}
	if br.Len() < len(text)*95/100 {
		f.BR = br.Len()
		if err := os.WriteFile(path+".br", br.Bytes(), 0o644); err != nil {
			return err
		}
	}
	if gz.Len() < len(text)*95/100 {
		f.GZ = gz.Len()
		return os.WriteFile(path+".gz", gz.Bytes(), 0o644)
	}
	return nil
}
