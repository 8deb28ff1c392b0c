package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// manifest lists what was built, by the name pages use for it. The program reads
// the same form (ui/asset).
type manifest struct {
	Inputs string           `json:"inputs"`
	Files  map[string]*file `json:"files"`

	packages map[string]bool // that went in
}

type file struct {
	Path    string   `json:"path"`
	Size    int      `json:"size"`
	BR      int      `json:"br,omitempty"`
	GZ      int      `json:"gz,omitempty"`
	Imports []string `json:"imports,omitempty"` // static imports of a script
}

func (f *file) packed() int {
	if f.BR > 0 {
		return f.BR
	}
	return f.Size
}

func readManifest(dir string) (*manifest, error) {
	text, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		return nil, err
	}
	m := &manifest{}
	return m, json.Unmarshal(text, m)
}

// bundle empties the output folder and builds scripts and styles into it.
func (b builder) bundle() (*manifest, error) {
	if err := b.clean(); err != nil {
		return nil, err
	}
	common := api.BuildOptions{
		AbsWorkingDir: b.ui, Bundle: true, Outdir: b.out, Outbase: b.ui,
		EntryNames: "[name]-[hash]", ChunkNames: "[name]-[hash]", AssetNames: "[name]-[hash]",
		Loader:           map[string]api.Loader{".woff2": api.LoaderFile},
		MinifyWhitespace: true, MinifyIdentifiers: true, MinifySyntax: true,
		LegalComments: api.LegalCommentsNone, // licences go to licenses.txt, whole
		Metafile:      true, Write: true, LogLevel: api.LogLevelWarning,
	}
	js := common
	js.EntryPoints, js.Splitting, js.Format, js.Target = []string{"src/app.ts"}, true, api.FormatESModule, api.ES2023
	css := common
	css.EntryPoints = []string{"css/app.css"}
	// The oldest browsers that are served: light-dark(), :has() and nesting set the floor.
	css.Engines = []api.Engine{{Name: api.EngineChrome, Version: "125"}, {Name: api.EngineFirefox, Version: "128"}, {Name: api.EngineSafari, Version: "17.5"}}

	m := &manifest{Files: map[string]*file{}, packages: map[string]bool{"lucide-static": true}}
	for _, o := range []api.BuildOptions{js, css} {
		res := api.Build(o)
		if len(res.Errors) > 0 {
			return nil, errors.New("the bundler found errors, see above")
		}
		if err := m.add(res.Metafile); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// add takes over the outputs that esbuild's metafile names.
func (m *manifest) add(meta string) error {
	var in struct {
		Outputs map[string]struct {
			EntryPoint string `json:"entryPoint"`
			Imports    []struct {
				Path string `json:"path"`
				Kind string `json:"kind"`
			} `json:"imports"`
			Inputs map[string]struct{} `json:"inputs"`
		} `json:"outputs"`
	}
	if err := json.Unmarshal([]byte(meta), &in); err != nil {
		return err
	}
	for path, o := range in.Outputs {
		base := filepath.Base(path)
		f := &file{Path: base}
		for _, i := range o.Imports {
			if i.Kind == "import-statement" {
				f.Imports = append(f.Imports, filepath.Base(i.Path))
			}
		}
		sort.Strings(f.Imports)
		switch {
		case o.EntryPoint != "":
			m.Files[filepath.Base(o.EntryPoint)] = f
		case strings.HasSuffix(base, ".woff2"):
			m.Files[base[:strings.LastIndex(base, "-")]+".woff2"] = f
		default:
			m.Files[base] = f
		}
		for input := range o.Inputs {
			if name := packageOf(input); name != "" {
				m.packages[name] = true
			}
		}
	}
	return nil
}

// packageOf returns the npm package a file belongs to, or nothing.
func packageOf(path string) string {
	i := strings.LastIndex(path, "node_modules/")
	if i < 0 {
		return ""
	}
	parts := strings.Split(path[i+len("node_modules/"):], "/")
	if strings.HasPrefix(parts[0], "@") && len(parts) > 1 {
		return parts[0] + "/" + parts[1]
	}
	return parts[0]
}

func (b builder) clean() error {
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return err
	}
	list, err := os.ReadDir(b.out)
	if err != nil {
		return err
	}
	for _, e := range list {
		if e.Name() == ".gitignore" {
			continue
		}
		if err := os.RemoveAll(filepath.Join(b.out, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
