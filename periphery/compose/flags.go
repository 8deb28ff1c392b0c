package compose

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"berth/schema"
)

// upFlags is what extra_args of `up` ask for.
type upFlags struct {
	removeOrphans, forceRecreate, noRecreate, noDeps, alwaysDeps bool
	build, noBuild, renewAnon, noStart, wait                     bool
	pull                                                         string
	scale                                                        map[string]int
	timeout                                                      *int
	waitTimeout                                                  time.Duration
}

// buildFlags is what build_extra_args ask for.
type buildFlags struct {
	noCache, pull bool
	args          map[string]*string
}

// flag is one option of a command: a switch, or one with a value.
type flag struct {
	on    func(bool)         // a switch
	value func(string) error // or a value
}

// parseUp reads options of `docker compose up`. What makes no sense for a deploy
// in the background, or is unknown, is schema.Invalid, by name.
func parseUp(args []string) (upFlags, error) {
	f := upFlags{scale: map[string]int{}}
	sw := func(b *bool) flag { return flag{on: func(v bool) { *b = v }} }
	ignored := flag{on: func(bool) {}}
	timeout := flag{value: func(v string) error {
		n, err := strconv.Atoi(v)
		f.timeout = &n
		return err
	}}
	return f, parse("extra_args", args, map[string]flag{
		"--remove-orphans": sw(&f.removeOrphans), "--force-recreate": sw(&f.forceRecreate),
		"--no-recreate": sw(&f.noRecreate), "--no-deps": sw(&f.noDeps), "--always-recreate-deps": sw(&f.alwaysDeps),
		"--build": sw(&f.build), "--no-build": sw(&f.noBuild), "--no-start": sw(&f.noStart), "--wait": sw(&f.wait),
		"--renew-anon-volumes": sw(&f.renewAnon), "-V": sw(&f.renewAnon),
		"--timeout": timeout, "-t": timeout,
		"--pull": {value: func(v string) error {
			f.pull = v
			return oneOf(v, "always", "missing", "never", "policy")
		}},
		"--scale": {value: func(v string) error {
			name, count, _ := strings.Cut(v, "=")
			n, err := strconv.Atoi(count)
			f.scale[name] = n
			return err
		}},
		"--wait-timeout": {value: func(v string) error {
			n, err := strconv.Atoi(v)
			f.waitTimeout = time.Duration(n) * time.Second
			return err
		}},
		// Said already, or without meaning here. -y would agree to the loss of
		// volumes; nothing is ever asked.
		"-d": ignored, "--detach": ignored, "--quiet-pull": ignored, "--quiet-build": ignored, "-y": ignored, "--yes": ignored,
		"--no-color": ignored, "--no-log-prefix": ignored,
	})
}

// parseBuild reads options of `docker compose build`.
func parseBuild(args []string) (buildFlags, error) {
	f := buildFlags{args: map[string]*string{}}
	ignored := flag{on: func(bool) {}}
	return f, parse("build_extra_args", args, map[string]flag{
		"--no-cache": {on: func(v bool) { f.noCache = v }},
		"--pull":     {on: func(v bool) { f.pull = v }},
		"--build-arg": {value: func(v string) error {
			name, value, ok := strings.Cut(v, "=")
			if f.args[name] = nil; ok {
				f.args[name] = &value
			}
			return nil
		}},
		"--progress": {value: func(string) error { return nil }},
		"-q":         ignored, "--quiet": ignored, "--with-dependencies": ignored,
	})
}

// parse calls the flags that args name. An argument may hold several words, as in
// a shell's line.
func parse(field string, args []string, flags map[string]flag) error {
	words := strings.Fields(strings.Join(args, " "))
	for i := 0; i < len(words); i++ {
		name, value, given := strings.Cut(words[i], "=")
		f, known := flags[name]
		if !known {
			return schema.Errorf(schema.Invalid, "read %s: %q is not understood; known are %s", field, words[i], strings.Join(sorted(flags), ", "))
		}
		if f.on != nil {
			if !given {
				value = "true"
			}
			on, err := strconv.ParseBool(value)
			if err != nil {
				return schema.Errorf(schema.Invalid, "read %s: %s takes true or false, not %q", field, name, value)
			}
			f.on(on)
			continue
		}
		if !given {
			if i++; i == len(words) {
				return schema.Errorf(schema.Invalid, "read %s: %s needs a value", field, name)
			}
			value = words[i]
		}
		if err := f.value(value); err != nil {
			return schema.Errorf(schema.Invalid, "read %s: %s does not take %q", field, name, value)
		}
	}
	return nil
}

func oneOf(v string, allowed ...string) error {
	if slices.Contains(allowed, v) {
		return nil
	}
	return schema.Errorf(schema.Invalid, "not one of %s", strings.Join(allowed, ", "))
}
