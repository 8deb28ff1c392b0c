package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"berth/schema"
)

// defaultConfig is read when no other file is named. Where it is not, Komodo's
// place in a container is looked at.
const defaultConfig = "/etc/berth/berth.toml"

// loaderKeys are what says which files are read; they stand in no file.
func loaderKeys() []key {
	return []key{
		{name: "config", in: every, env: "BERTH_CONFIG_PATHS KOMODO_CONFIG_PATHS PERIPHERY_CONFIG_PATHS", read: unread(aList), doc: "configuration files, or folders of them, of TOML, YAML or JSON; what a later one says counts. " + defaultConfig + ", if it is there; else core.config.toml or periphery.config.toml in /config"},
		{name: "config-keyword", in: every, env: "BERTH_CONFIG_KEYWORDS KOMODO_CONFIG_KEYWORDS PERIPHERY_CONFIG_KEYWORDS", def: "*config.*", read: unread(aList), doc: "which files of a folder are read, as patterns with * and ?"},
		{name: "merge-nested-config", in: every, env: "KOMODO_MERGE_NESTED_CONFIG PERIPHERY_MERGE_NESTED_CONFIG", def: "true", read: unread(aFlag), doc: "whether a table of a later file is added to that of an earlier one, instead of taking its place"},
		{name: "extend-config-arrays", in: every, env: "KOMODO_EXTEND_CONFIG_ARRAYS PERIPHERY_EXTEND_CONFIG_ARRAYS", def: "true", read: unread(aFlag), doc: "the same for lists"},
		{in: every, core: "config_debug", read: unread(aFlag), none: "`berth config core`, or `periphery`, says what was read"},
	}
}

func loaderFlags(fs *pflag.FlagSet) {
	for _, k := range loaderKeys() {
		if k.name == "" {
			continue
		}
		doc := k.doc + " [" + k.envs()[0] + "]"
		if k.read.kind == aFlag {
			fs.String(k.name, "", doc)
			fs.Lookup(k.name).NoOptDefVal = "true"
			continue
		}
		fs.StringArray(k.name, nil, doc)
	}
	fs.StringArray("config-path", nil, "as --config")
	_ = fs.MarkHidden("config-path") // it is there
}

// loader says which files are read, and how they are made one.
type loader struct {
	paths    []string
	keywords []string
	merging
}

// files reads all files, merged, with the variables they name put in.
func (s *settings) files(flags *pflag.FlagSet, env func(string) string) (*configFile, error) {
	l, err := s.loader(flags, env)
	if err != nil {
		return nil, err
	}
	all := &configFile{values: map[string]any{}, places: map[string]string{}}
	for _, path := range l.paths {
		names, err := l.expand(path)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			f, err := readConfig(name)
			if err == nil {
				f.interpolate(env)
				err = l.merge(all, f)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

func (s *settings) loader(flags *pflag.FlagSet, env func(string) string) (loader, error) {
	l := loader{merging: merging{nested: true, extend: true}, keywords: []string{"*config.*"}}
	for _, k := range loaderKeys() {
		values, from, err := s.told(flags, env, k)
		if err != nil || len(values) == 0 {
			if err != nil {
				return l, err
			}
			continue
		}
		on, err := strconv.ParseBool(values[0])
		if k.read.kind == aFlag && err != nil {
			return l, schema.Errorf(schema.Invalid, "%s: %q: want true or false", from, values[0])
		}
		switch k.name {
		case "config":
			l.paths = values
		case "config-keyword":
			l.keywords = values
		case "merge-nested-config":
			l.nested = on
		case "extend-config-arrays":
			l.extend = on
		}
	}
	if len(l.paths) == 0 {
		l.paths = s.usual()
	}
	return l, nil
}

// told is what the command line or a variable says of the loader. Komodo's core and
// its periphery have variables of their own.
func (s *settings) told(flags *pflag.FlagSet, env func(string) string, k key) (values []string, from string, err error) {
	names := []string{k.name}
	if k.name == "config" {
		names = append(names, "config-path")
	}
	for _, n := range names {
		f := flags.Lookup(n)
		if f == nil || !f.Changed {
			continue
		}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = append(values, list.GetSlice()...)
		} else {
			values = append(values, f.Value.String())
		}
		from = "--" + n
	}
	if len(values) > 0 {
		return values, from, nil
	}
	for _, e := range k.envs() {
		if strings.HasPrefix(e, "PERIPHERY_") && s.part&agents == 0 || strings.HasPrefix(e, "KOMODO_") && s.part&cores == 0 {
			continue
		}
		text, from, err := variable(env, e)
		if err != nil || from != "" {
			return schema.ParseStrList(text), from, err
		}
	}
	return nil, "", nil
}

// usual are the files that are read when none is named, as far as they are there.
func (s *settings) usual() []string {
	names := []string{defaultConfig}
	for _, base := range []string{"core", "periphery"} {
		if base == "core" && s.part&cores == 0 || base == "periphery" && s.part&agents == 0 {
			continue
		}
		for _, ext := range []string{".toml", ".yaml", ".yml", ".json"} {
			names = append(names, "/config/"+base+".config"+ext)
		}
	}
	for i, n := range names {
		if _, err := os.Stat(n); err == nil {
			if i == 0 {
				return names[:1]
			}
			return []string{n}
		}
	}
	return nil
}

// expand is the files of a path: itself, or those of a folder that a keyword fits,
// by keyword and name.
func (l loader) expand(path string) ([]string, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, schema.Errorf(schema.Invalid, "read configuration: %v", err)
	}
	if !st.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, schema.Errorf(schema.Invalid, "read configuration: %v", err)
	}
	var names []string
	for _, word := range l.keywords {
		for _, e := range entries {
			fits, err := filepath.Match(word, e.Name())
			if err != nil {
				return nil, schema.Errorf(schema.Invalid, "config-keyword %q: it is no pattern", word)
			}
			if name := filepath.Join(path, e.Name()); fits && !e.IsDir() && !slices.Contains(names, name) && format(name) {
				names = append(names, name)
			}
		}
	}
	return names, nil
}

func format(name string) bool {
	return slices.Contains([]string{".toml", ".yaml", ".yml", ".json"}, filepath.Ext(name))
}

var (
	placeholder = regexp.MustCompile(`\$?\$\{[A-Za-z_][A-Za-z0-9_]*\}`) // $${NAME} is ${NAME} itself
	command     = regexp.MustCompile(`\$\([^)]*\)`)
)

// interpolate puts in the variables that values name. Nothing is run by a shell:
// of Komodo's $(command) only connect_as = "$(hostname)" is understood.
func (f *configFile) interpolate(env func(string) string) {
	if v, err := f.expanded("", f.values, env); err == nil { // of a table there is none: they are noted
		f.values, _ = v.(map[string]any)
	}
}

func (f *configFile) expanded(path string, v any, env func(string) string) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			x, err := f.expanded(joined(path, k), v[k], env)
			if err != nil {
				f.wrong.add("%s", schema.SafeText(err))
				delete(v, k)
				continue
			}
			v[k] = x
		}
	case []any:
		for i := range v {
			x, err := f.expanded(path, v[i], env)
			if err != nil {
				return nil, err
			}
			v[i] = x
		}
	case string:
		text, err := filled(v, env)
		if err == nil {
			err = noCommand(path, text)
		}
		if err != nil {
			return nil, schema.Errorf(schema.Invalid, "%s: %v", f.at(path), err)
		}
		return text, nil
	}
	return v, nil
}

// noCommand refuses what a shell would run.
func noCommand(path, text string) error {
	switch c := command.FindString(text); {
	case c == "" || c == "$(hostname)" && path == "connect_as":
		return nil
	case c == "$(hostname)":
		return fmt.Errorf("only connect_as can be %s: is that key meant?", c)
	default:
		return fmt.Errorf("%s would be run by a shell: put the value into a file and name that with …_FILE, or use ${VARIABLE}", c)
	}
}

func filled(text string, env func(string) string) (string, error) {
	var missing []string
	out := placeholder.ReplaceAllStringFunc(text, func(m string) string {
		if strings.HasPrefix(m, "$$") {
			return m[1:]
		}
		v := env(m[2 : len(m)-1])
		if v == "" {
			missing = append(missing, m)
		}
		return v
	})
	if len(missing) > 0 {
		return "", fmt.Errorf("%s: the variable is not set: set it, or write $%s for the text itself", missing[0], missing[0])
	}
	return out, nil
}

// samples are secrets that Komodo's sample files publish.
func samples() []string {
	return []string{"a_random_secret", "a_random_jwt_secret", "a_random_passkey", "a_random_webhook_secret", "default-passkey", "changeme", "change_me", "your_secret_here"}
}

func sample(v string) bool {
	return slices.ContainsFunc(schema.ParseStrList(v), func(one string) bool { return slices.Contains(samples(), strings.ToLower(one)) })
}

func sampleRemedy(x *setting) string {
	if x.none != "" {
		return "it has no effect here, remove it, and change it where else it is used"
	}
	return "choose one of your own, as `openssl rand -base64 32` makes them"
}
