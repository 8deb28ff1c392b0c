package script

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/dop251/goja"
	"github.com/dop251/goja/parser"
	"github.com/evanw/esbuild/pkg/api"

	"berth/schema"
)

// maxDepth is how many brackets may be open at once: what reads scripts recurses.
const maxDepth = 1000

// tooDeep counts brackets wherever they stand; no real script comes near the limit.
func tooDeep(source string) bool {
	depth := 0
	for i := range len(source) {
		switch source[i] {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth = max(depth-1, 0)
		}
		if depth > maxDepth {
			return true
		}
	}
	return false
}

// MaxSource is how many bytes a script may have.
const MaxSource = 128 << 10

// Program is a compiled script. It may run any number of times, at once too.
type Program struct {
	code *goja.Program
}

// sourceName is what positions within the script are found by.
const sourceName = "action.ts"

// The script becomes the body of an async function: top-level await works.
const (
	head = `(async () => { "use strict";`
	foot = `})()`
)

// Compile compiles the TypeScript of a script. Invalid names line and column of
// what is wrong, or what it imports that there is not.
func Compile(source string) (*Program, error) {
	if len(source) > MaxSource {
		return nil, schema.Errorf(schema.TooLarge, "the script is larger than %d KiB", MaxSource>>10)
	}
	if tooDeep(source) {
		return nil, schema.Errorf(schema.Invalid, "more than %d brackets are open at once", maxDepth)
	}
	res := api.Build(api.BuildOptions{
		Stdin:             &api.StdinOptions{Contents: `import "` + entry + `"`, Sourcefile: "entry"},
		Bundle:            true,
		Write:             false,
		Outfile:           "action.js",
		Format:            api.FormatESModule,
		Platform:          api.PlatformNeutral,
		Target:            api.ES2020,
		Supported:         supported(),
		Sourcemap:         api.SourceMapExternal,
		SourcesContent:    api.SourcesContentExclude,
		LogLevel:          api.LogLevelSilent,
		Charset:           api.CharsetUTF8,
		LegalComments:     api.LegalCommentsNone,
		Banner:            map[string]string{"js": head},
		Footer:            map[string]string{"js": foot},
		IgnoreAnnotations: true,
		TsconfigRaw:       `{}`,
		AbsWorkingDir:     "/",
		Plugins:           []api.Plugin{modules(source)},
	})
	if len(res.Errors) > 0 {
		return nil, problem(res.Errors)
	}
	var code, sourceMap []byte
	for _, f := range res.OutputFiles {
		if strings.HasSuffix(f.Path, ".map") {
			sourceMap = f.Contents
		} else {
			code = f.Contents
		}
	}
	// goja looks for the map where a comment says; a comment of the script's own must
	// not be taken for it.
	text := strings.ReplaceAll(string(code), "//# sourceMappingURL=", "//# ") + "\n//# sourceMappingURL=map"
	load := func(string) ([]byte, error) { return onlyAction(sourceMap) }
	ast, err := goja.Parse(sourceName, text, parser.WithSourceMapLoader(load))
	if err != nil {
		return nil, schema.Errorf(schema.Invalid, "this is not supported in actions: %s", err)
	}
	prog, err := goja.CompileAST(ast, true)
	if err != nil {
		return nil, schema.Errorf(schema.Invalid, "this is not supported in actions: %s", err)
	}
	return &Program{code: prog}, nil
}

// supported says where the interpreter differs from its language level.
func supported() map[string]bool {
	return map[string]bool{
		"top-level-await": true, "bigint": true,
		"async-generator": false, "for-await": false, "dynamic-import": false, "import-meta": false,
	}
}

// onlyAction gives the source map's files the names that positions are to have.
func onlyAction(sourceMap []byte) ([]byte, error) {
	var m map[string]any
	if err := json.Unmarshal(sourceMap, &m); err != nil {
		return nil, fmt.Errorf("read source map: %w", err)
	}
	if list, ok := m["sources"].([]any); ok {
		for i, name := range list {
			if s, _ := name.(string); strings.HasSuffix(s, sourceName) {
				list[i] = sourceName
			}
		}
	}
	return json.Marshal(m)
}

// problem is the first of esbuild's errors, with its place.
func problem(list []api.Message) error {
	m := list[0]
	more := ""
	if n := len(list) - 1; n > 0 {
		more = fmt.Sprintf(" (and %d more)", n)
	}
	if m.Location == nil || m.Location.Line == 0 {
		return schema.Errorf(schema.Invalid, "%s%s", m.Text, more)
	}
	return schema.Errorf(schema.Invalid, "line %d:%d: %s%s", m.Location.Line, m.Location.Column+1, m.Text, more)
}

// Names of the modules that are not on any disk.
const (
	entry     = "berth:script"
	spaceUser = "berth-action"
	spaceOwn  = "berth-module"
)

// modules is the whole world of imports: the script itself and what is built in.
func modules(source string) api.Plugin {
	client := regexp.MustCompile(`(^|[:/])komodo_client(@[^/]*)?(/.*)?$|/client/lib\.(js|ts)$`)
	yaml := regexp.MustCompile(`(^|[:/])@std/yaml(@[^/]*)?$|^npm:(js-)?yaml(@.*)?$`)
	toml := regexp.MustCompile(`(^|[:/])@std/toml(@[^/]*)?$`)
	return api.Plugin{Name: "modules", Setup: func(b api.PluginBuild) {
		b.OnResolve(api.OnResolveOptions{Filter: `.*`}, func(a api.OnResolveArgs) (api.OnResolveResult, error) {
			own := func(name string) (api.OnResolveResult, error) {
				return api.OnResolveResult{Path: name, Namespace: spaceOwn}, nil
			}
			switch {
			case a.Path == entry && a.Importer == "entry":
				return api.OnResolveResult{Path: sourceName, Namespace: spaceUser}, nil
			case client.MatchString(a.Path):
				return own("komodo_client")
			case yaml.MatchString(a.Path):
				return own("yaml")
			case toml.MatchString(a.Path):
				return own("toml")
			}
			return api.OnResolveResult{Errors: []api.Message{{Text: fmt.Sprintf(
				"import of %q: actions have no network and no file system, so nothing can be imported but komodo_client and @std/yaml, @std/toml; paste what is needed into the script", a.Path)}}}, nil
		})
		b.OnLoad(api.OnLoadOptions{Filter: `.*`}, func(a api.OnLoadArgs) (api.OnLoadResult, error) {
			text := source
			if a.Namespace == spaceOwn {
				text = builtins(a.Path)
			}
			return api.OnLoadResult{Contents: &text, Loader: api.LoaderTS}, nil
		})
	}}
}

// builtins are the modules that may be imported: what is there anyway.
func builtins(name string) string {
	switch name {
	case "yaml":
		return `const { parse, stringify } = YAML; export { parse, stringify, parse as load, stringify as dump }; export default YAML;`
	case "toml":
		return `const { parse, stringify } = TOML; export { parse, stringify }; export default TOML;`
	}
	return `const C = KomodoClient, T = Types, X = CancelToken; export { C as KomodoClient, T as Types, X as CancelToken };`
}
