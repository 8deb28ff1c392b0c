package schema

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// RunFlag is one flag of `docker run`, by its long name without dashes. Of
// switches the value is true or false.
type RunFlag struct {
	Name  string
	Value string
}

// The flags of `docker run` that deployments understand, by their long names; after
// a colon stands the short one.
const (
	runValues = "add-host annotation blkio-weight cap-add cap-drop cgroup-parent cgroupns cpu-period cpu-quota cpu-shares:c cpus cpuset-cpus cpuset-mems " +
		"device device-cgroup-rule dns dns-opt dns-option dns-search domainname entrypoint env:e expose gpus group-add " +
		"health-cmd health-interval health-retries health-start-interval health-start-period health-timeout hostname:h ip ip6 ipc " +
		"label:l link log-driver log-opt mac-address memory:m memory-reservation memory-swap memory-swappiness mount net net-alias network network-alias " +
		"oom-score-adj pid pids-limit platform publish:p pull restart runtime security-opt shm-size stop-signal stop-timeout storage-opt sysctl tmpfs " +
		"ulimit user:u userns uts volume:v volume-driver volumes-from workdir:w"
	runSwitches = "init interactive:i no-healthcheck oom-kill-disable privileged publish-all:P read-only tty:t"
	runIgnored  = "detach:d quiet:q disable-content-trust sig-proxy" // so anyway, or of no effect
)

// refusedRunFlags are flags that have no meaning here, with what to do instead.
func refusedRunFlags() map[string]string {
	why := map[string]string{
		"set custom_name": "name",
		"the container stays, so that its end and its log can be seen; leave it out": "rm",
		"write the variables into environment":                                       "env-file",
		"write the labels into labels":                                               "label-file",
		"nobody is attached to the container; leave it out":                          "attach:a detach-keys",
		"the container's id is in the deployment; leave it out":                      "cidfile",
		"it is of Windows": "isolation cpu-count cpu-percent io-maxbandwidth io-maxiops",
		"a container gets no access to the engine this way; mount its socket if it is to have it": "use-api-socket",
		"the engine has no such limit any more":                                                   "kernel-memory",
	}
	out := map[string]string{}
	for reason, names := range why {
		for name := range strings.FieldsSeq(names) {
			out[name] = reason
		}
	}
	return out
}

// runFlag is what is known of one flag.
type runFlag struct {
	name   string
	isBool bool
	ignore bool
	refuse string
}

// runTable holds all flags by every name they have, with dashes.
func runTable() map[string]runFlag {
	out := map[string]runFlag{}
	add := func(names string, f runFlag) {
		long, short, _ := strings.Cut(names, ":")
		f.name = long
		out["--"+long] = f
		if short != "" {
			out["-"+short] = f
		}
	}
	for name := range strings.FieldsSeq(runValues) {
		add(name, runFlag{})
	}
	for name := range strings.FieldsSeq(runSwitches) {
		add(name, runFlag{isBool: true})
	}
	for name := range strings.FieldsSeq(runIgnored) {
		add(name, runFlag{isBool: true, ignore: true})
	}
	for name, reason := range refusedRunFlags() {
		add(name, runFlag{refuse: reason})
	}
	for alias, name := range map[string]string{"--net": "network", "--net-alias": "network-alias", "--dns-opt": "dns-option"} {
		out[alias] = runFlag{name: name}
	}
	return out
}

// RunFlagNames are the long names of all flags that ParseRunFlags returns, sorted.
func RunFlagNames() []string {
	names := map[string]bool{}
	for _, f := range runTable() {
		if f.refuse == "" && !f.ignore {
			names[f.name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// ParseRunFlags reads the extra_args of a deployment, each one or more words as in
// a shell's line: `--flag value`, `--flag=value`, `-f value`, `-fvalue`. What is
// unknown or makes no sense here is an Invalid error that names it. A word that
// begins with [[NAME]] is left out: what it stands for is not known yet.
func ParseRunFlags(args []string) ([]RunFlag, error) {
	words, err := ShellWords(strings.Join(args, " "))
	if err != nil {
		return nil, err
	}
	p := runParser{table: runTable(), words: words}
	for len(p.words) > 0 && err == nil {
		word := p.words[0]
		p.words = p.words[1:]
		switch {
		case strings.HasPrefix(word, "[["):
		case strings.HasPrefix(word, "--") && len(word) > 2:
			name, value, given := strings.Cut(word, "=")
			err = p.take(name, value, given)
		case strings.HasPrefix(word, "-") && len(word) > 1:
			err = p.short(word)
		default:
			err = Errorf(Invalid, "%q is no flag; values with commas or blanks: write extra_args as a list, and quotes around the value", word)
		}
	}
	return p.out, err
}

// runParser is ParseRunFlags at work.
type runParser struct {
	table map[string]runFlag
	words []string // that are to come
	out   []RunFlag
}

// take adds one flag; without a value given it is the next word.
func (p *runParser) take(name, value string, given bool) error {
	f, known := p.table[name]
	switch {
	case !known:
		return Errorf(Invalid, "%s is not understood: it is no flag of docker run that a deployment knows; understood are --%s", name, strings.Join(RunFlagNames(), ", --"))
	case f.refuse != "":
		return Errorf(Invalid, "%s: %s", name, f.refuse)
	case f.isBool:
		on := true
		if given {
			var err error
			if on, err = strconv.ParseBool(value); err != nil {
				return Errorf(Invalid, "%s takes true or false, not %q", name, value)
			}
		}
		value = strconv.FormatBool(on)
	case !given:
		if len(p.words) == 0 {
			return Errorf(Invalid, "%s needs a value", name)
		}
		value, p.words = p.words[0], p.words[1:]
	}
	if !f.ignore {
		p.out = append(p.out, RunFlag{Name: f.name, Value: value})
	}
	return nil
}

// short reads `-it`, `-p 80:80`, `-p80:80` and `-p=80:80`.
func (p *runParser) short(word string) error {
	for rest := word[1:]; rest != ""; {
		name := "-" + rest[:1]
		rest = rest[1:]
		value, given := strings.CutPrefix(rest, "=")
		if f := p.table[name]; f.isBool && !given {
			if err := p.take(name, "", false); err != nil {
				return err
			}
			continue
		}
		return p.take(name, value, given || rest != "")
	}
	return nil
}

// ShellWords splits a line at blanks as a shell does: quotes hold words together,
// a backslash takes the next character as it is, and at the end of a line joins it
// with the next. Nothing is expanded. A quote that is not closed is Invalid.
func ShellWords(line string) ([]string, error) {
	line = strings.ReplaceAll(line, "\r\n", "\n")
	return shellWords(strings.ReplaceAll(line, "\\\n", " "))
}

// Unshelled is a value as it came out of the double quotes that Komodo puts around
// it for its shell: quotes that it has already count instead, and between single
// ones nothing has a meaning. A backslash before a backslash, a quote, a dollar or
// a backtick goes; nothing is expanded.
func Unshelled(value string) string {
	inner := Unquoted(value)
	if inner != value && value[0] == '\'' {
		return inner
	}
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\$`, `$`, "\\`", "`").Replace(inner)
}
