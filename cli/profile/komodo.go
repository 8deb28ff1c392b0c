package profile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/pelletier/go-toml/v2"

	"berth/schema"
)

// Search says which of Komodo's files are read.
type Search struct {
	Home     string   // the usual folder; the working directory is the other one
	Paths    []string // read these files and folders instead
	Keywords []string // wildcards of file names; the usual one without
	Env      func(string) string
}

// Found is what Komodo's files say: those of the working directory first.
type Found struct {
	Here, Home Source
	Files      []string
	Merged     map[string]any // all of it, by the first name of each key
}

// includeFile lists further files and folders.
const includeFile = ".kminclude"

// Komodo reads Komodo's configuration files.
func Komodo(s Search) (Found, error) {
	r := &reader{env: s.Env, keywords: s.Keywords, merge: s.Env("KOMODO_CLI_MERGE_NESTED_CONFIG") != "false", extend: s.Env("KOMODO_CLI_EXTEND_CONFIG_ARRAYS") != "false"}
	if len(r.keywords) == 0 {
		r.keywords = schema.ParseStrList(s.Env("KOMODO_CLI_CONFIG_KEYWORDS"))
	}
	if len(r.keywords) == 0 {
		r.keywords = []string{"*komodo.cli*.*"}
	}
	paths := s.Paths
	if len(paths) == 0 {
		paths = schema.ParseStrList(s.Env("KOMODO_CLI_CONFIG_PATHS"))
	}
	if len(paths) > 0 {
		home, err := r.group(false, paths...)
		return Found{Home: home.source, Files: r.files, Merged: home.tree}, err
	}
	home, err := r.group(true, s.Home)
	if err != nil {
		return Found{}, err
	}
	here, err := r.group(true, ".")
	return Found{
		Here: Source{here.source.Tree, here.source.From, true}, Home: home.source, Files: r.files, Merged: r.over(home.tree, here.tree),
	}, err
}

// reader reads files and folders, each once.
type reader struct {
	env           func(string) string
	keywords      []string
	merge, extend bool
	files         []string
	seen          []string
}

type group struct {
	tree   map[string]any
	source Source
}

// group reads what belongs together; later files win.
func (r *reader) group(mayLack bool, paths ...string) (group, error) {
	g := group{tree: map[string]any{}}
	before := len(r.files)
	for _, path := range paths {
		tree, err := r.path(path, mayLack)
		if err != nil {
			return g, err
		}
		g.tree = r.over(g.tree, tree)
	}
	g.source.From = strings.Join(r.files[before:], ", ")
	var err error
	g.source.Tree, err = typed(g.tree, g.source.From)
	return g, err
}

// path reads a file, or the files of a folder.
func (r *reader) path(path string, mayLack bool) (map[string]any, error) {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) && mayLack {
		return map[string]any{}, nil
	}
	if err != nil {
		return nil, schema.Errorf(schema.Invalid, "read configuration: %v", err)
	}
	if full, err := filepath.Abs(path); err == nil {
		if slices.Contains(r.seen, full) {
			return map[string]any{}, nil
		}
		r.seen = append(r.seen, full)
	}
	if !st.IsDir() {
		return r.file(path)
	}
	out, err := r.included(path)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, schema.Errorf(schema.Invalid, "read configuration: %v", err)
	}
	for _, e := range entries { // by name
		fits := func(keyword string) bool { ok, err := filepath.Match(keyword, e.Name()); return ok && err == nil }
		if e.IsDir() || !slices.ContainsFunc(r.keywords, fits) {
			continue
		}
		tree, err := r.path(filepath.Join(path, e.Name()), false)
		if err != nil {
			return nil, err
		}
		out = r.over(out, tree)
	}
	return out, nil
}

// included reads what the folder's list of further files names.
func (r *reader) included(folder string) (map[string]any, error) {
	out := map[string]any{}
	text, err := os.ReadFile(filepath.Join(folder, includeFile))
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return nil, schema.Errorf(schema.Invalid, "read configuration: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if !filepath.IsAbs(line) {
			line = filepath.Join(folder, line)
		}
		tree, err := r.path(line, false)
		if err != nil {
			return nil, err
		}
		out = r.over(out, tree)
	}
	return out, nil
}

// file reads a file by what its name ends with.
func (r *reader) file(path string) (map[string]any, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, schema.Errorf(schema.Invalid, "read configuration: %v", err)
	}
	tree := map[string]any{}
	switch strings.ToLower(filepath.Ext(path)) {
	case ".yaml", ".yml":
		err = yaml.Unmarshal(text, &tree)
	case ".json":
		err = json.Unmarshal(text, &tree)
	case ".toml":
		err = toml.Unmarshal(text, &tree)
	default:
		return nil, schema.Errorf(schema.Invalid, "%s: a configuration file ends in .toml, .yaml, .yml or .json", path)
	}
	if err != nil {
		where := path
		if e, ok := errors.AsType[*toml.DecodeError](err); ok {
			row, _ := e.Position()
			where = fmt.Sprintf("%s:%d", path, row)
		}
		return nil, schema.Errorf(schema.Invalid, "%s: %v", where, err)
	}
	r.files = append(r.files, path)
	v, err := interpolate(tree, path, r.env)
	if err != nil {
		return nil, err
	}
	out, _ := v.(map[string]any) // a table stays one
	return canonical(out, document{path, string(text)})
}

// over lays a tree over another: tables key by key, lists one after the other.
func (r *reader) over(under, tree map[string]any) map[string]any {
	out := maps.Clone(under)
	for k, v := range tree {
		a, isTable := out[k].(map[string]any)
		b, both := v.(map[string]any)
		l, isList := out[k].([]any)
		m, bothLists := v.([]any)
		switch {
		case isTable && both && r.merge:
			out[k] = r.over(a, b)
		case isList && bothLists && r.extend:
			out[k] = append(slices.Clone(m), l...) // what came later is found first
		default:
			out[k] = v
		}
	}
	return out
}
