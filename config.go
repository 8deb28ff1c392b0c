package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/pflag"

	"berth/schema"
)

// Where a setting comes from, first that has it: the command line, the
// environment (also NAME_FILE, a file that holds the value), the configuration
// file, the default. Unknown keys, and keys given twice, refuse to start.

// setting is one thing that can be configured. Its flag is --name, its key in the
// file the same with _ for -.
type setting struct {
	name   string
	doc    string
	env    []string // older names that count too; the first is BERTH_ and the name
	value  string   // the default, as text; then what was found
	bool   bool
	number bool
	secret bool // NAME_FILE is offered in the help
	set    func(text string) error
	from   string // where the value was found, for messages
}

func (s *setting) key() string { return strings.ReplaceAll(s.name, "-", "_") }

func (s *setting) envs() []string {
	return append([]string{"BERTH_" + strings.ToUpper(s.key())}, s.env...)
}

// Set, String and Type are pflag's view of a setting.
func (s *setting) Set(text string) error { s.value, s.from = text, "--"+s.name; return nil }
func (s *setting) String() string        { return s.value }

// Type names the value in the help.
func (s *setting) Type() string {
	if s.bool {
		return "bool"
	}
	return "string"
}

// settings are the configuration of a command.
type settings struct {
	list []*setting
	// tables are keys of the file that hold lists of tables.
	tables map[string]func(item map[string]any) error
	found  map[string]any // such keys as the file had them
}

func (s *settings) add(x *setting) { s.list = append(s.list, x) }

func (s *settings) text(to *string, name, def, doc string, env ...string) {
	*to = def
	s.add(&setting{name: name, doc: doc, env: env, value: def, set: func(v string) error { *to = v; return nil }})
}

func (s *settings) sealed(to *string, name, doc string, env ...string) {
	s.add(&setting{name: name, doc: doc, env: env, secret: true, set: func(v string) error { *to = v; return nil }})
}

func (s *settings) flag(to *bool, name, doc string, env ...string) {
	s.add(&setting{name: name, doc: doc, env: env, bool: true, set: func(v string) error {
		b, err := strconv.ParseBool(v)
		*to = b
		if err != nil {
			return errors.New("want true or false")
		}
		return nil
	}})
}

func (s *settings) texts(to *[]string, name, doc string, env ...string) {
	s.add(&setting{name: name, doc: doc, env: env, set: func(v string) error { *to = schema.ParseStrList(v); return nil }})
}

func (s *settings) number(to *int, name string, def int, doc string, env ...string) {
	*to = def
	s.add(&setting{name: name, doc: doc, env: env, value: strconv.Itoa(def), number: true, set: func(v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return errors.New("want a number of at least 1")
		}
		*to = n
		return nil
	}})
}

// duration reads "always" as 0.
func (s *settings) duration(to *time.Duration, name, def, doc string) {
	s.add(&setting{name: name, doc: doc, value: def, set: func(v string) error {
		if v == "always" {
			*to = 0
			return nil
		}
		d, err := time.ParseDuration(v)
		if err != nil || d <= 0 {
			return errors.New(`want "always" or a time like 100ms`)
		}
		*to = d
		return nil
	}})
}

// flags offers every setting on the command line.
func (s *settings) flags(fs *pflag.FlagSet) {
	for _, x := range s.list {
		doc := x.doc + " [" + x.envs()[0]
		if x.secret {
			doc += ", or " + x.envs()[0] + "_FILE"
		}
		f := fs.VarPF(x, x.name, "", doc+"]")
		if x.bool {
			f.NoOptDefVal = "true"
		}
	}
	fs.String("config", "", "configuration file [BERTH_CONFIG; "+defaultConfig+" if it is there]")
}

// defaultConfig is read when no other file is named.
const defaultConfig = "/etc/berth/berth.toml"

// load fills in what the command line did not say, and applies everything.
func (s *settings) load(fs *pflag.FlagSet, env func(string) string, environ []string) error {
	if err := s.checkEnv(environ); err != nil {
		return err
	}
	path, _ := fs.GetString("config")
	named := true
	if path == "" {
		path = env("BERTH_CONFIG")
	}
	if path == "" {
		path, named = defaultConfig, false
	}
	file, err := readConfig(path, named)
	if err != nil {
		return err
	}
	if err := s.readFile(file); err != nil {
		return err
	}
	for _, x := range s.list {
		if err := x.find(env, file); err != nil {
			return err
		}
		if x.value == "" && x.from == "" && !x.bool {
			continue
		}
		if x.bool && x.value == "" {
			continue
		}
		if err := x.set(x.value); err != nil {
			return schema.Errorf(schema.Invalid, "%s: %q: %v", x.from, x.value, err)
		}
	}
	return nil
}

// find looks for the value where the command line does not have it.
func (s *setting) find(env func(string) string, file *configFile) error {
	if s.from != "" {
		return nil
	}
	for _, name := range s.envs() {
		text, path := env(name), env(name+"_FILE")
		switch {
		case text != "" && path != "":
			return schema.Errorf(schema.Invalid, "%s and %s_FILE are both set: give one of them", name, name)
		case text != "":
			s.value, s.from = text, name
			return nil
		case path != "":
			b, err := os.ReadFile(path)
			if err != nil {
				return schema.Errorf(schema.Invalid, "%s_FILE: %v", name, err)
			}
			s.value, s.from = strings.TrimRight(string(b), "\r\n"), name+"_FILE"
			return nil
		}
	}
	v, ok := file.values[s.key()]
	if !ok {
		return nil
	}
	s.from = file.at(s.key())
	switch v := v.(type) {
	case string:
		s.value = v
	case bool:
		s.value = strconv.FormatBool(v)
	case int64:
		if !s.number {
			return schema.Errorf(schema.Invalid, "%s: want a text, have %v", s.from, v)
		}
		s.value = strconv.FormatInt(v, 10)
	case []any:
		var items []string
		for _, i := range v {
			items = append(items, fmt.Sprint(i))
		}
		s.value = strings.Join(items, "\n")
	default:
		return schema.Errorf(schema.Invalid, "%s: want a text, have %v", s.from, v)
	}
	return nil
}

// checkEnv refuses variables that are meant for us and misspelt. Others that
// begin like ours come from elsewhere (Kubernetes makes BERTH_PORT of a service).
func (s *settings) checkEnv(environ []string) error {
	known := []string{"BERTH_CONFIG", "BERTH_HOST", "BERTH_KEY", "BERTH_SECRET", "BERTH_PIN", "BERTH_PORT"}
	for _, x := range s.list {
		for _, e := range x.envs() {
			known = append(known, e, e+"_FILE")
		}
	}
	for _, kv := range environ {
		name, _, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, "BERTH_") || slices.Contains(known, name) || strings.HasPrefix(name, "BERTH_PORT_") || strings.HasPrefix(name, "BERTH_SERVICE_") {
			continue
		}
		if near := nearest(name, known); near != "" {
			return schema.Errorf(schema.Invalid, "environment: unknown variable %s: did you mean %s?", name, near)
		}
	}
	return nil
}

// nearest allows one mistake for every eight letters, the prefix apart.
func nearest(name string, known []string) string {
	best := schema.Nearest(strings.TrimPrefix(name, "BERTH_"), trimmed(known))
	if best == "" {
		return ""
	}
	return "BERTH_" + best
}

func trimmed(names []string) []string {
	var out []string
	for _, n := range names {
		if rest, ok := strings.CutPrefix(n, "BERTH_"); ok {
			out = append(out, rest)
		}
	}
	return out
}

// configFile is a TOML file with the places of its keys.
type configFile struct {
	path   string
	text   string
	values map[string]any
}

func readConfig(path string, named bool) (*configFile, error) {
	f := &configFile{path: path, values: map[string]any{}}
	b, err := os.ReadFile(path)
	if !named && errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, schema.Errorf(schema.Invalid, "read configuration: %v", err)
	}
	f.text = string(b)
	if err := toml.Unmarshal(b, &f.values); err != nil {
		if e, ok := errors.AsType[*toml.DecodeError](err); ok {
			row, _ := e.Position()
			return nil, schema.Errorf(schema.Invalid, "%s:%d: %s: %v", path, row, strings.Join(e.Key(), "."), err)
		}
		return nil, schema.Errorf(schema.Invalid, "%s: %v", path, err)
	}
	return f, nil
}

// at names the place of a top-level key: file:line: key.
func (f *configFile) at(key string) string {
	re := regexp.MustCompile(`(?m)^[ \t]*(\[\[?[ \t]*)?["']?` + regexp.QuoteMeta(key) + `\b`)
	loc := re.FindStringIndex(f.text)
	if loc == nil {
		return f.path + ": " + key
	}
	return fmt.Sprintf("%s:%d: %s", f.path, 1+strings.Count(f.text[:loc[0]], "\n"), key)
}

// readFile refuses unknown keys and hands tables to whom they belong.
func (s *settings) readFile(f *configFile) error {
	var known []string
	for _, x := range s.list {
		known = append(known, x.key())
	}
	tables := slices.Sorted(maps.Keys(s.tables))
	for _, key := range slices.Sorted(maps.Keys(f.values)) {
		if slices.Contains(known, key) {
			continue
		}
		read := s.tables[key]
		if read == nil {
			hint := ""
			if near := schema.Nearest(key, append(tables, known...)); near != "" {
				hint = ": did you mean " + near + "?"
			}
			return schema.Errorf(schema.Invalid, "%s: unknown key%s", f.at(key), hint)
		}
		if err := s.readTables(f, key, read); err != nil {
			return err
		}
	}
	return nil
}

// readTables hands the tables of one name to whom they belong.
func (s *settings) readTables(f *configFile, key string, read func(map[string]any) error) error {
	list, ok := f.values[key].([]any)
	if !ok {
		return schema.Errorf(schema.Invalid, "%s: want [[%s]] tables", f.at(key), key)
	}
	if s.found == nil {
		s.found = map[string]any{}
	}
	s.found[key] = list
	for _, item := range list {
		m, ok := item.(map[string]any)
		if !ok {
			return schema.Errorf(schema.Invalid, "%s: want [[%s]] tables", f.at(key), key)
		}
		if err := read(m); err != nil {
			return schema.Errorf(schema.Invalid, "%s: %v", f.at(key), err)
		}
	}
	return nil
}

// only refuses keys of a table that are not known.
func only(m map[string]any, known ...string) error {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if !slices.Contains(known, k) {
			return fmt.Errorf("unknown key %q: the keys are %s", k, strings.Join(known, ", "))
		}
	}
	return nil
}

// home returns a path below the user's folder for configuration.
func home(env func(string) string, elem ...string) string {
	base := env("XDG_CONFIG_HOME")
	if base == "" {
		base = filepath.Join(env("HOME"), ".config")
	}
	return filepath.Join(append([]string{base}, elem...)...)
}
