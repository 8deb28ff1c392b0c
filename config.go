package main

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"berth/schema"
)

// Where a setting comes from, first that has it: the command line, the
// environment (also NAME_FILE, a file that holds the value), the configuration
// files, the default. Unknown keys, and keys given twice, refuse to start.

// setting is a key and what was found for it.
type setting struct {
	key
	value string
	from  string // where the value was found, for messages; empty for the default
	items []any  // of tables
}

// Set, String and Type are pflag's view of a setting.
func (s *setting) Set(text string) error { s.value, s.from = text, "--"+s.name; return nil }
func (s *setting) String() string        { return s.value }

// Type names the value in the help.
func (s *setting) Type() string {
	if s.read.kind == aFlag {
		return "bool"
	}
	return "string"
}

// settings are the configuration of a process: all keys there are, of which it
// heeds its own. Those of other processes are no mistake, so that one file serves
// them all.
type settings struct {
	part part
	list []*setting
	configs
}

func newSettings(p part) *settings {
	s := &settings{part: p}
	for _, k := range slices.Concat(sharedKeys(), coreKeys(), authKeys(), agentKeys()) {
		s.list = append(s.list, &setting{key: k, value: k.def})
	}
	return s
}

func (s *settings) mine(x *setting) bool { return x.in&s.part != 0 }

// flags offers the process's settings on the command line.
func (s *settings) flags(fs *pflag.FlagSet) {
	for _, x := range s.list {
		if x.name == "" || !s.mine(x) {
			continue
		}
		doc := x.doc + " [" + x.envs()[0]
		if x.secret {
			doc += ", or " + x.envs()[0] + "_FILE"
		}
		f := fs.VarPF(x, x.name, "", doc+"]")
		if x.read.kind == aFlag {
			f.NoOptDefVal = "true"
		}
	}
	loaderFlags(fs)
}

// load fills in what the command line did not say, and applies everything.
func (s *settings) load(fs *pflag.FlagSet, env func(string) string, environ []string) error {
	if err := s.checkEnv(environ); err != nil {
		return err
	}
	file, err := s.files(fs, env)
	if err != nil {
		return err
	}
	if err := s.readEnv(env); err != nil {
		return err
	}
	wrong := file.wrong
	s.readFile(file, "", file.values, &wrong)
	for _, x := range s.list {
		if s.mine(x) {
			s.apply(x, &wrong)
		}
	}
	if err := wrong.err(); err != nil {
		return err
	}
	return s.finish()
}

// mistakes are gathered, so that whoever writes a file is told of all at once.
type mistakes []string

func (m *mistakes) add(format string, args ...any) { *m = append(*m, fmt.Sprintf(format, args...)) }

// err is all of them as one, a line each; nil for none.
func (m *mistakes) err() error {
	if len(*m) == 0 {
		return nil
	}
	return schema.Errorf(schema.Invalid, "%s", strings.Join(*m, "\n"))
}

// readEnv looks into the environment for what the command line did not say.
func (s *settings) readEnv(env func(string) string) error {
	for _, x := range s.list {
		if !s.mine(x) || x.from != "" {
			continue
		}
		for _, name := range x.envs() {
			text, from, err := variable(env, name)
			if err != nil {
				return err
			}
			if from != "" {
				x.value, x.from = text, from
				break
			}
		}
	}
	return nil
}

// variable is what NAME or NAME_FILE says; from is empty when neither does.
func variable(env func(string) string, name string) (text, from string, err error) {
	text, path := env(name), env(name+"_FILE")
	switch {
	case text != "" && path != "":
		return "", "", schema.Errorf(schema.Invalid, "%s and %s_FILE are both set: give one of them", name, name)
	case text != "":
		return text, name, nil
	case path != "":
		b, err := os.ReadFile(path)
		if err != nil {
			return "", "", schema.Errorf(schema.Invalid, "%s_FILE: %v", name, err)
		}
		return strings.TrimRight(string(b), "\r\n"), name + "_FILE", nil
	}
	return "", "", nil
}

// readFile takes what the files say, and notes what nobody knows.
func (s *settings) readFile(f *configFile, prefix string, values map[string]any, wrong *mistakes) {
	seen := map[*setting]string{}
	for _, k := range slices.Sorted(maps.Keys(values)) {
		path, v := joined(prefix, k), values[k]
		x := s.find(path)
		if x == nil {
			inner, ok := v.(map[string]any)
			if !ok || !s.opens(path) {
				wrong.add("%s: unknown key%s", f.at(path), s.hint(path))
				continue
			}
			s.readFile(f, path, inner, wrong)
			continue
		}
		if before, twice := seen[x]; twice {
			wrong.add("%s: it is the same setting as %s: keep one of them", f.at(path), before)
			continue
		}
		seen[x] = path
		if err := x.take(f.at(path), v); err != nil {
			wrong.add("%s: %v", f.at(path), err)
		}
	}
}

// find returns the setting of a key: of this process, else of another.
func (s *settings) find(path string) *setting {
	var other *setting
	for _, x := range s.list {
		if slices.Contains(x.keys(), path) {
			if s.mine(x) {
				return x
			}
			if other == nil {
				other = x
			}
		}
	}
	return other
}

// opens reports whether there are keys in a table.
func (s *settings) opens(path string) bool {
	return slices.ContainsFunc(s.list, func(x *setting) bool {
		return slices.ContainsFunc(x.keys(), func(k string) bool { return strings.HasPrefix(k, path+".") })
	})
}

func (s *settings) hint(path string) string {
	var known []string
	for _, x := range s.list {
		for _, k := range x.keys() {
			known = append(known, k)
			if i := strings.LastIndexByte(k, '.'); i > 0 {
				known = append(known, k[:i])
			}
		}
	}
	if near := schema.Nearest(path, known); near != "" {
		return ": did you mean " + near + "?"
	}
	return ": `berth config reference` lists all keys"
}

// take is the value that a file has, unless something stronger has said it.
func (s *setting) take(from string, v any) error {
	if s.read.kind == tables {
		list, ok := v.([]any)
		if m, one := v.(map[string]any); one && s.remedy != "" {
			list, ok = nil, true
			for k, v := range m {
				list = append(list, map[string]any{k: v})
			}
		}
		if !ok {
			return fmt.Errorf("want [[%s]] tables", s.title())
		}
		s.items, s.from = list, from
		return nil
	}
	text, err := textOf(s.read.kind, v)
	if err != nil {
		return err
	}
	if s.from == "" {
		s.value, s.from = text, from
	}
	return nil
}

// textOf is a value of a file as text.
func textOf(k kind, v any) (string, error) {
	wrong := fmt.Errorf("want %s, have %v", article(k), v)
	switch v := v.(type) {
	case string:
		return v, nil
	case bool:
		if k == aFlag {
			return strconv.FormatBool(v), nil
		}
	case int64:
		if k == aNumber {
			return strconv.FormatInt(v, 10), nil
		}
	case float64:
		if k == aNumber {
			return strconv.FormatFloat(v, 'f', -1, 64), nil
		}
	case []any:
		if k != aList {
			return "", wrong
		}
		var items []string
		for _, i := range v {
			text, ok := i.(string)
			if !ok {
				return "", wrong
			}
			items = append(items, text)
		}
		return strings.Join(items, "\n"), nil
	}
	return "", wrong
}

func article(k kind) string {
	if k == aFlag {
		return string(k)
	}
	return "a " + string(k)
}

// apply hands the value to whom it belongs.
func (s *settings) apply(x *setting, wrong *mistakes) {
	switch {
	case x.read.kind == tables:
		s.applyTables(x, wrong)
		return
	case x.value == "":
		return
	case x.secret && sample(x.value):
		wrong.add("%s: this is a published sample, everybody knows it: %s", x.from, sampleRemedy(x))
		return
	}
	if err := x.read.set(&s.configs, x.value); err != nil {
		shown := fmt.Sprintf("%q: ", x.value)
		if x.secret {
			shown = ""
		}
		wrong.add("%s: %s%v", x.from, shown, err)
	}
}

func (s *settings) applyTables(x *setting, wrong *mistakes) {
	if x.remedy != "" && len(x.items) > 0 {
		wrong.add("%s: it can have no effect: %s", x.from, x.remedy)
		return
	}
	for _, item := range x.items {
		m, ok := item.(map[string]any)
		if !ok {
			wrong.add("%s: want [[%s]] tables", x.from, x.title())
			return
		}
		if err := x.read.item(&s.configs, m); err != nil {
			wrong.add("%s: %v", x.from, err)
		}
	}
}

// finish settles what several keys say together.
func (s *settings) finish() error {
	s.finishData()
	if listen := s.named("listen"); s.part&cores != 0 && listen.from == "" && (s.port != "" || s.bind != "") {
		_, port, _ := net.SplitHostPort(listen.value) // the default is one
		if s.port != "" {
			port = s.port
		}
		s.core.Listen = net.JoinHostPort(s.bind, port)
	}
	if s.ssl != "" || s.sslCert != "" || s.sslKey != "" {
		if err := s.finishSSL(); err != nil {
			return err
		}
	}
	return distinct(&s.configs)
}

// finishData settles where the agent's data are. Komodo's variable for it stands in
// files and environments that core is started with too, and moves nothing of core's.
func (s *settings) finishData() {
	of := s.core.Data
	if s.root != "" && s.named("data").from != "--data" {
		of = s.root
	}
	s.agent.Data = filepath.Join(of, "periphery")
	if s.part == inAgent {
		s.core.Data = of // the folder of the process, whichever it is
	}
}

// finishSSL takes Komodo's names of the certificate, unless its switch says no.
func (s *settings) finishSSL() error {
	on, err := strconv.ParseBool(s.ssl)
	switch {
	case s.ssl != "" && err != nil:
		return schema.Errorf(schema.Invalid, "ssl_enabled: want true or false")
	case s.ssl != "" && !on:
		return nil
	case on && s.sslCert == "":
		s.sslCert = "/config/ssl/cert.pem"
	}
	if on && s.sslKey == "" {
		s.sslKey = "/config/ssl/key.pem"
	}
	if s.core.CertFile == "" && s.core.KeyFile == "" {
		s.core.CertFile, s.core.KeyFile = s.sslCert, s.sslKey
	}
	return nil
}

func (s *settings) named(name string) *setting {
	return s.list[slices.IndexFunc(s.list, func(x *setting) bool { return x.name == name })]
}

// say logs what was given and does nothing, by reason.
func (s *settings) say(log *slog.Logger) {
	var order []string
	by := map[string][]string{}
	for _, x := range s.list {
		if !s.mine(x) || x.none == "" || x.from == "" || x.value == "" || x.value == "false" {
			continue
		}
		if by[x.none] == nil {
			order = append(order, x.none)
		}
		by[x.none] = append(by[x.none], x.from)
	}
	for _, why := range order {
		log.Info("accepted without effect", "why", why, "given", strings.Join(by[why], ", "))
	}
}

// checkEnv refuses variables that are meant for us and misspelt. Others that
// begin like ours come from elsewhere (Kubernetes makes BERTH_PORT of a service).
func (s *settings) checkEnv(environ []string) error {
	known := map[string][]string{"BERTH_": {"BERTH_HOST", "BERTH_KEY", "BERTH_SECRET", "BERTH_PIN", "BERTH_PORT"}, "KOMODO_": {"KOMODO_ADDRESS", "KOMODO_API_KEY", "KOMODO_API_SECRET"}, "PERIPHERY_": {"PERIPHERY_TAG"}}
	add := func(name string) {
		prefix, _, _ := strings.Cut(name, "_")
		known[prefix+"_"] = append(known[prefix+"_"], name, name+"_FILE")
	}
	for _, k := range loaderKeys() {
		for _, e := range k.envs() {
			add(e)
		}
	}
	for _, x := range s.list {
		for _, e := range x.envs() {
			add(e)
		}
	}
	for _, kv := range environ {
		name, _, _ := strings.Cut(kv, "=")
		prefix, rest, _ := strings.Cut(name, "_")
		names := known[prefix+"_"]
		if !slices.Contains([]string{"BERTH", "KOMODO", "PERIPHERY"}, prefix) || slices.Contains(names, name) ||
			strings.HasPrefix(rest, "PORT_") || strings.HasPrefix(rest, "SERVICE_") || strings.HasPrefix(rest, "CLI_") {
			continue
		}
		var near []string
		for _, n := range names {
			near = append(near, strings.TrimPrefix(n, prefix+"_"))
		}
		if best := schema.Nearest(rest, near); best != "" {
			return schema.Errorf(schema.Invalid, "environment: unknown variable %s: did you mean %s?", name, prefix+"_"+best)
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

func checkPort(v string) error {
	if n, err := strconv.ParseUint(v, 10, 16); err != nil || n == 0 {
		return errors.New("want a port from 1 to 65535")
	}
	return nil
}

func bindIP(to *string, v string) error {
	*to = strings.TrimSuffix(strings.TrimPrefix(v, "["), "]")
	if net.ParseIP(*to) == nil {
		return errors.New("want an address of this machine, as [::] or 127.0.0.1")
	}
	return nil
}
