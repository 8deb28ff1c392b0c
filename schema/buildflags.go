package schema

import (
	"encoding/csv"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// BuildFlags is what a build's extra_args ask for: flags of `docker build`.
type BuildFlags struct {
	Platform     string
	Target       string
	NoCache      bool
	NoCacheOf    []string // stages
	Pull         bool
	Contexts     map[string]string // name → folder, relative to the context, or where else
	Network      string            // default, none or host
	Hosts        []string          // name=address
	Shm          int64             // bytes
	Ulimits      []string          // name=soft:hard
	CgroupParent string
	CacheFrom    []BuildCache
	CacheTo      []BuildCache
	Args         map[string]string
	Labels       map[string]string
	Tags         []string // name:tag
}

// BuildCache is where cache comes from or goes to: registry or inline.
type BuildCache struct {
	Type  string
	Attrs map[string]string
}

// buildFlag is one flag: a switch, or one with a value, or one that is refused
// with a word on what to do instead.
type buildFlag struct {
	on     func(v bool)
	value  func(v string) error
	refuse string
}

// ParseBuildFlags reads the extra_args of a build, each one or more words as in a
// shell's line. What is unknown or makes no sense here is an Invalid error that
// names it. A value with [[NAME]] in it is not looked into.
func ParseBuildFlags(args []string) (BuildFlags, error) {
	f := BuildFlags{Contexts: map[string]string{}, Args: map[string]string{}, Labels: map[string]string{}}
	words, err := shellWords(strings.Join(args, " "))
	if err != nil {
		return f, err
	}
	flags := f.table()
	for i := 0; i < len(words); i++ {
		name, value, given := strings.Cut(words[i], "=")
		flag, known := flags[name]
		switch {
		case !strings.HasPrefix(name, "-"):
			return f, Errorf(Invalid, "%q is no flag; values with commas or blanks: write extra_args as a list, and quotes around the value", words[i])
		case !known:
			return f, Errorf(Invalid, "%s is not understood; understood are %s", name, strings.Join(understood(flags), ", "))
		case flag.refuse != "":
			return f, Errorf(Invalid, "%s: %s", name, flag.refuse)
		case flag.on != nil:
			on, err := strconv.ParseBool(value)
			if given && err != nil {
				return f, Errorf(Invalid, "%s takes true or false, not %q", name, value)
			}
			flag.on(on || !given)
			continue
		case !given:
			if i++; i == len(words) {
				return f, Errorf(Invalid, "%s needs a value", name)
			}
			value = words[i]
		}
		if err := flag.value(value); err != nil && !strings.Contains(value, "[[") {
			return f, Errorf(Invalid, "%s does not take %q: %s", name, value, SafeText(err))
		}
	}
	return f, nil
}

func understood(flags map[string]buildFlag) []string {
	var out []string
	for name, f := range flags {
		if f.refuse == "" && strings.HasPrefix(name, "--") {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// table is every flag that is known.
func (f *BuildFlags) table() map[string]buildFlag {
	out := refusedBuildFlags()
	maps.Copy(out, f.switches())
	text := func(to *string) buildFlag {
		return buildFlag{value: func(v string) error { *to = v; return nil }}
	}
	out["--target"], out["--cgroup-parent"] = text(&f.Target), text(&f.CgroupParent)
	out["--platform"] = buildFlag{value: f.setPlatform}
	out["--no-cache-filter"] = buildFlag{value: func(v string) error { f.NoCacheOf = append(f.NoCacheOf, strings.Split(v, ",")...); return nil }}
	out["--build-context"] = buildFlag{value: f.addContext}
	out["--network"] = buildFlag{value: f.setNetwork}
	out["--add-host"] = buildFlag{value: f.addHost}
	out["--shm-size"] = buildFlag{value: f.setShm}
	out["--ulimit"] = buildFlag{value: f.addUlimit}
	out["--cache-from"] = buildFlag{value: func(v string) error { return addCache(&f.CacheFrom, v) }}
	out["--cache-to"] = buildFlag{value: func(v string) error { return addCache(&f.CacheTo, v) }}
	out["--build-arg"] = buildFlag{value: func(v string) error { return addPair(f.Args, v) }}
	out["--label"] = buildFlag{value: func(v string) error { return addPair(f.Labels, v) }}
	out["--tag"] = buildFlag{value: func(v string) error { f.Tags = append(f.Tags, v); return nil }}
	out["-t"] = out["--tag"]
	return out
}

// switches are the flags without a value, and those that say what is so anyway.
func (f *BuildFlags) switches() map[string]buildFlag {
	anyway := buildFlag{on: func(bool) {}}
	ignored := buildFlag{value: func(string) error { return nil }}
	off := buildFlag{value: func(v string) error {
		if v != "false" {
			return Errorf(Invalid, "only false: the engine's builder writes no attestations")
		}
		return nil
	}}
	return map[string]buildFlag{
		"--no-cache": {on: func(v bool) { f.NoCache = v }},
		"--pull":     {on: func(v bool) { f.Pull = v }},
		"--push":     anyway, "--load": anyway, "--quiet": anyway, "-q": anyway, "--rm": anyway, "--force-rm": anyway,
		"--progress": ignored, "--provenance": off, "--sbom": off,
	}
}

// refusedBuildFlags are flags of docker build that have no meaning here.
func refusedBuildFlags() map[string]buildFlag {
	why := map[string]string{
		"the engine's BuildKit has no such limit":                           "--memory -m --memory-swap --cpu-period --cpu-quota --cpu-shares -c --cpuset-cpus --cpuset-mems --isolation --squash --compress --security-opt",
		"write the values into secret_args":                                 "--secret",
		"set dockerfile_path":                                               "--file -f",
		"the image goes to the builder's engine and to image_registry only": "--output -o --iidfile --metadata-file",
		"set builder": "--builder",
		"the agent has no SSH keys to hand out: use secret_args":               "--ssh",
		"builds get no further privileges":                                     "--allow",
		"the engine's builder writes no attestations, annotations or policies": "--attest --annotation --policy --call --check",
	}
	out := map[string]buildFlag{}
	for reason, names := range why {
		for name := range strings.FieldsSeq(names) {
			out[name] = buildFlag{refuse: reason}
		}
	}
	return out
}

func (f *BuildFlags) setPlatform(v string) error {
	f.Platform = v
	if strings.Contains(v, ",") {
		return Errorf(Invalid, "one platform per build: the engine's builder makes no image for several")
	}
	return nil
}

func (f *BuildFlags) addContext(v string) error {
	name, where, ok := strings.Cut(v, "=")
	if !ok || name == "" || where == "" {
		return Errorf(Invalid, "write NAME=FOLDER, NAME=docker-image://IMAGE or NAME=https://…")
	}
	if strings.HasPrefix(where, "oci-layout://") || strings.HasPrefix(where, "target:") {
		return Errorf(Invalid, "a folder, docker-image:// or an address is")
	}
	f.Contexts[name] = where
	return nil
}

func (f *BuildFlags) setNetwork(v string) error {
	f.Network = v
	if !slices.Contains([]string{"default", "none", "host"}, v) {
		return Errorf(Invalid, "BuildKit knows default, none and host")
	}
	return nil
}

func (f *BuildFlags) addHost(v string) error {
	at := strings.IndexAny(v, "=:")
	if at <= 0 {
		return Errorf(Invalid, "write NAME:ADDRESS")
	}
	name, address := v[:at], strings.Trim(v[at+1:], "[]")
	if _, err := netip.ParseAddr(address); err != nil {
		return Errorf(Invalid, "%q is no address", address)
	}
	f.Hosts = append(f.Hosts, name+"="+address)
	return nil
}

func (f *BuildFlags) setShm(v string) error {
	units := map[string]int64{"": 1, "b": 1, "k": 1 << 10, "kb": 1 << 10, "m": 1 << 20, "mb": 1 << 20, "g": 1 << 30, "gb": 1 << 30}
	low := strings.ToLower(v)
	digits := strings.TrimRight(low, "bkmg")
	n, err := strconv.ParseInt(digits, 10, 64)
	unit, ok := units[low[len(digits):]]
	if err != nil || !ok || n <= 0 || n > 1<<40/unit {
		return Errorf(Invalid, "write a size: 64m, 1g")
	}
	f.Shm = n * unit
	return nil
}

func (f *BuildFlags) addUlimit(v string) error {
	name, limits, ok := strings.Cut(v, "=")
	soft, hard, both := strings.Cut(limits, ":")
	if !both {
		hard = soft
	}
	_, serr := strconv.ParseInt(soft, 10, 64)
	_, herr := strconv.ParseInt(hard, 10, 64)
	if !ok || name == "" || serr != nil || herr != nil {
		return Errorf(Invalid, "write NAME=SOFT or NAME=SOFT:HARD")
	}
	f.Ulimits = append(f.Ulimits, fmt.Sprintf("%s=%s:%s", name, soft, hard))
	return nil
}

// addCache reads `type=registry,ref=…`, or only the reference of an image.
func addCache(to *[]BuildCache, v string) error {
	c := BuildCache{Type: "registry", Attrs: map[string]string{}}
	fields, err := csv.NewReader(strings.NewReader(v)).Read()
	if err != nil {
		return Errorf(Invalid, "write type=registry,ref=IMAGE")
	}
	for _, field := range fields {
		key, value, ok := strings.Cut(field, "=")
		switch {
		case !ok:
			c.Attrs["ref"] = field
		case key == "type":
			c.Type = value
		default:
			c.Attrs[key] = value
		}
	}
	if c.Type != "inline" && (c.Type != "registry" || c.Attrs["ref"] == "") {
		return Errorf(Invalid, "only type=registry,ref=IMAGE and type=inline are served; the builder keeps its own cache anyway")
	}
	*to = append(*to, c)
	return nil
}

func addPair(to map[string]string, v string) error {
	key, value, ok := strings.Cut(v, "=")
	if !ok || key == "" {
		return Errorf(Invalid, "write NAME=VALUE: the agent's own environment is not handed to builds")
	}
	to[key] = value
	return nil
}

// shellWords splits a line at blanks as a shell does: quotes hold words together,
// a backslash takes the next character as it is. Nothing is expanded.
func shellWords(line string) ([]string, error) {
	var (
		out   []string
		word  strings.Builder
		open  bool // a word has begun
		quote rune
		plain bool // the next one as it is
	)
	for _, c := range line {
		switch {
		case plain:
			plain = false
			if quote == '"' && !strings.ContainsRune("\"\\$`", c) {
				word.WriteByte('\\') // which has a meaning only before these
			}
			word.WriteRune(c)
		case c == '\\' && quote != '\'':
			plain, open = true, true
		case quote != 0:
			if c == quote {
				quote = 0
			} else {
				word.WriteRune(c)
			}
		case c == '"' || c == '\'':
			quote, open = c, true
		case isSpace(c):
			if open {
				out = append(out, word.String())
				word.Reset()
			}
			open = false
		default:
			open = true
			word.WriteRune(c)
		}
	}
	if quote != 0 || plain {
		return nil, Errorf(Invalid, "a quote is not closed")
	}
	if open {
		out = append(out, word.String())
	}
	return out, nil
}
