// Package asset knows the files that pages refer to: what tools/uibuild bundled,
// or, in a build without a bundle, Berth's own style sheets as they are.
//
// A Set does not change after New; it may be used by any number of goroutines.
package asset

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// Prefix is where a Set is mounted.
const Prefix = "/static/"

// own is the name of the style sheet that a build without a bundle serves.
const own = "own.css"

// Set is the files of this build.
type Set struct {
	names map[string]entry // by the name pages use
	files map[string]entry // by the name in the URL
	dir   fs.FS
	css   []byte // without a bundle: our own styles
	tag   string // its ETag
}

type entry struct {
	Path    string   `json:"path"`
	BR      int      `json:"br"`
	GZ      int      `json:"gz"`
	Imports []string `json:"imports"`
}

// New reads the bundle's manifest from dir. Without one it serves the style
// sheets of styles, in the order of layers, and Built is false.
func New(dir, styles fs.FS, layers []string) (*Set, error) {
	s := &Set{names: map[string]entry{}, files: map[string]entry{}, dir: dir}
	text, err := fs.ReadFile(dir, "manifest.json")
	if err != nil {
		return s, s.readStyles(styles, layers)
	}
	var m struct {
		Files map[string]entry `json:"files"`
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("read the browser bundle's manifest: %w", err)
	}
	s.names = m.Files
	for _, e := range m.Files {
		s.files[e.Path] = e
	}
	return s, nil
}

func (s *Set) readStyles(styles fs.FS, layers []string) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "@layer %s;\n", strings.Join(layers, ", "))
	for _, l := range layers {
		text, err := fs.ReadFile(styles, l+".css")
		if err != nil {
			return fmt.Errorf("read the style sheet %q: %w", l, err)
		}
		fmt.Fprintf(&b, "@layer %s {\n%s\n}\n", l, text)
	}
	sum := sha256.Sum256(b.Bytes())
	s.css, s.tag = b.Bytes(), `"`+hex.EncodeToString(sum[:8])+`"`
	return nil
}

// Built reports whether there is a bundle: scripts, fonts and icons.
func (s *Set) Built() bool { return len(s.names) > 0 }

// URL returns the address of a bundled file, or "" when there is no such file.
func (s *Set) URL(name string) string {
	if e, ok := s.names[name]; ok {
		return Prefix + e.Path
	}
	return ""
}

// Styles returns the address of the style sheet, which there is in any build.
func (s *Set) Styles() string {
	if s.Built() {
		return s.URL("app.css")
	}
	return Prefix + own
}

// Imports returns the addresses of what a script imports at once.
func (s *Set) Imports(name string) []string {
	var out []string
	for _, p := range s.names[name].Imports {
		out = append(out, Prefix+p)
	}
	return out
}

// ServeHTTP serves the files. Their names hold a hash of their contents, so they
// may be kept for ever.
func (s *Set) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, Prefix)
	if name == own && s.css != nil {
		s.serveStyles(w, r)
		return
	}
	e, ok := s.files[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Content-Type", contentType(name))
	h.Add("Vary", "Accept-Encoding")
	file := e.Path
	switch {
	case e.BR > 0 && accepts(r, "br"):
		h.Set("Content-Encoding", "br")
		file += ".br"
	case e.GZ > 0 && accepts(r, "gzip"):
		h.Set("Content-Encoding", "gzip")
		file += ".gz"
	}
	text, err := fs.ReadFile(s.dir, file)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(text)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(text)
	}
}

func (s *Set) serveStyles(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("ETag", s.tag)
	if r.Header.Get("If-None-Match") == s.tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(s.css)
}

func contentType(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".txt":
		return "text/plain; charset=utf-8"
	case ".woff2":
		return "font/woff2"
	}
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	return "application/octet-stream"
}

func accepts(r *http.Request, encoding string) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(name), encoding) && strings.ReplaceAll(q, " ", "") != "q=0" {
			return true
		}
	}
	return false
}

type key struct{}

// With returns a context in which templates find the set.
func With(ctx context.Context, s *Set) context.Context { return context.WithValue(ctx, key{}, s) }

// From returns the set of With; an empty one when there is none.
func From(ctx context.Context) *Set {
	if s, ok := ctx.Value(key{}).(*Set); ok {
		return s
	}
	return &Set{}
}
