package compose

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/types"

	"berth/schema"
)

// memorySecret is the variable that secrets from memory claim to come from.
const memorySecret = "BERTH_MEMORY"

// environment gathers the variables for interpolation: env files in order, later
// ones winning, then Environment. Of the process's own it has only PWD. What is to
// be said of the files is returned, too.
func (s Spec) environment(home string) (types.Mapping, []string, error) {
	files := s.EnvFiles
	if len(files) == 0 {
		if path := filepath.Join(home, ".env"); s.exists(path) {
			files = []string{path}
		}
	}
	fixed := types.Mapping{"PWD": s.Dir}
	maps.Copy(fixed, s.Environment)
	env := types.Mapping{}
	var warnings []string
	lookup := func(k string) (string, bool) {
		if v, ok := fixed[k]; ok {
			return v, true
		}
		v, ok := env[k]
		return v, ok
	}
	for _, name := range files {
		text, err := s.readFile(name)
		if err != nil {
			return nil, nil, schema.Wrap(schema.NotFound, err, "read env file %s: %s", name, reason(err, s.Dir))
		}
		vars, err := dotenv.ParseWithLookup(bytes.NewReader(text), lookup)
		if err != nil {
			return nil, nil, schema.Wrap(schema.Invalid, err, "read env file %s: %s", name, s.safe(name, err))
		}
		warnings = append(warnings, s.blanked(s.path(name), lookup)...)
		maps.Copy(env, vars)
	}
	maps.Copy(env, fixed)
	maps.Copy(env, s.override)
	// It would change the names of all projects of this process.
	delete(env, "COMPOSE_COMPATIBILITY")
	return env, warnings, nil
}

// blanked warns of secrets from which a piece is lost, because a $ in them is the
// start of a variable to Compose, and there is no such variable. The variable's
// name is a piece of the secret.
func (s Spec) blanked(path string, lookup dotenv.LookupFn) []string {
	const gone = "\x00gone\x00"
	text, secret := s.Memory[path]
	if !secret {
		return nil
	}
	vars, err := dotenv.ParseWithLookup(bytes.NewReader(text), lookup)
	if err != nil {
		return nil // said elsewhere
	}
	shown, err := dotenv.ParseWithLookup(bytes.NewReader(text), func(k string) (string, bool) {
		if v, ok := lookup(k); ok {
			return v, true
		}
		if v, ok := vars[k]; ok {
			return v, true
		}
		return gone, true
	})
	if err != nil {
		return nil
	}
	var out []string
	for _, key := range sorted(vars) {
		if v := shown[key]; strings.Contains(v, gone) && strings.ReplaceAll(v, gone, "") == vars[key] {
			out = append(out, fmt.Sprintf("`%s` in %s: Compose takes a $ in its value for the start of a variable, there is none of that name, and so a piece of the value is missing; "+
				"put the value between single quotes, or write $$ for each $", key, s.short(path)))
		}
	}
	return out
}

// safe is the parser's complaint about an env file, which quotes the line it
// stumbled over; for decrypted files only that there is one.
func (s Spec) safe(name string, err error) string {
	if _, secret := s.Memory[s.path(name)]; secret {
		return "not in the form KEY=value (the file is secret, so the line is not shown)"
	}
	return oneLine(err)
}

// exists reports whether a file is in memory or on disk.
func (s Spec) exists(path string) bool {
	if _, ok := s.Memory[filepath.Clean(path)]; ok {
		return true
	}
	st, err := os.Stat(path)
	return err == nil && !st.IsDir()
}

// readFile reads a file from memory, or else from disk.
func (s Spec) readFile(name string) ([]byte, error) {
	path := s.path(name)
	if text, ok := s.Memory[path]; ok {
		return text, nil
	}
	if err := s.Inside(path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// Inside refuses what Within refuses; a file in memory is on no way.
func (s Spec) Inside(path string) error {
	if _, ok := s.Memory[filepath.Clean(path)]; ok || s.Within == nil {
		return nil
	}
	return s.Within(path)
}

// resolveEnvironment reads the env_file entries of all services, from memory where
// they are there, and drops them: the CLI's hash of a service does not know them
// either. It returns what is to be said of the files.
func (s Spec) resolveEnvironment(p *types.Project) (warnings []string, err error) {
	for name, service := range p.Services {
		service.Environment = service.Environment.Resolve(p.Environment.Resolve)
		env := service.Environment.ToMapping()
		lookup := func(k string) (string, bool) {
			if v, ok := p.Environment.Resolve(k); ok {
				return v, true
			}
			if v, ok := service.Environment[k]; ok && v != nil {
				return *v, true
			}
			return "", false
		}
		for _, f := range service.EnvFiles {
			if !s.exists(f.Path) && !bool(f.Required) {
				continue
			}
			more, err := s.readEnvFile(name, f, env, lookup)
			if err != nil {
				return nil, err
			}
			warnings = append(warnings, more...)
		}
		service.Environment = env.ToMappingWithEquals().OverrideBy(service.Environment)
		service.EnvFiles = nil
		p.Services[name] = service
	}
	return warnings, nil
}

// readEnvFile adds the variables of a service's env_file to env.
func (s Spec) readEnvFile(service string, f types.EnvFile, env types.Mapping, lookup dotenv.LookupFn) (warnings []string, err error) {
	if err := s.Inside(f.Path); err != nil {
		return nil, schema.Wrap(schema.Invalid, err, "read env_file %s of service %q", s.short(f.Path), service)
	}
	text, err := s.readFile(f.Path)
	if err != nil {
		return nil, schema.Wrap(schema.NotFound, err, "read env_file %s of service %q: %s", s.short(f.Path), service, reason(err, filepath.Dir(f.Path)))
	}
	if err := dotenv.ParseWithFormat(bytes.NewReader(text), f.Path, env, lookup, f.Format); err != nil {
		return nil, schema.Wrap(schema.Invalid, err, "read env_file %s of service %q: %s", s.short(f.Path), service, s.safe(f.Path, err))
	}
	if f.Format != "" {
		return nil, nil // read as it stands
	}
	return s.blanked(f.Path, lookup), nil
}

// short is a path as the user wrote it: relative to the run directory where it is
// below it.
func (s Spec) short(path string) string {
	if rel, err := filepath.Rel(s.Dir, path); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
		return rel
	}
	return path
}

// embed puts files that exist only in memory into the project: secrets and configs
// get their contents, and a bind mount of such a file becomes a config. The engine
// copies them into the container; nothing is written on the host.
func (s Spec) embed(p *types.Project) error {
	if err := s.embedSecrets(p); err != nil {
		return err
	}
	if err := s.embedConfigs(p); err != nil {
		return err
	}
	for name, service := range p.Services {
		p.Services[name] = s.embedMounts(p, service)
	}
	return nil
}

func (s Spec) embedSecrets(p *types.Project) error {
	for name, secret := range p.Secrets {
		text, ok := s.Memory[filepath.Clean(secret.File)]
		if secret.File != "" && ok {
			// The SDK copies a secret into the container only if it comes from a
			// variable; Content is what it copies then.
			secret.File, secret.Content, secret.Environment = "", string(text), memorySecret
			p.Environment[memorySecret] = ""
			p.Secrets[name] = secret
		} else if secret.File != "" && !s.exists(secret.File) {
			return schema.Errorf(schema.NotFound, "read secret %q: no file %s", name, s.short(secret.File))
		} else if err := s.Inside(secret.File); secret.File != "" && err != nil {
			return schema.Wrap(schema.Invalid, err, "read secret %q", name)
		}
	}
	return nil
}

func (s Spec) embedConfigs(p *types.Project) error {
	for name, config := range p.Configs {
		text, ok := s.Memory[filepath.Clean(config.File)]
		if config.File != "" && ok {
			config.File, config.Content = "", string(text)
			p.Configs[name] = config
		} else if _, err := os.Stat(config.File); config.File != "" && err != nil {
			return schema.Errorf(schema.NotFound, "read config %q: no file %s", name, s.short(config.File))
		} else if err := s.Inside(config.File); config.File != "" && err != nil {
			return schema.Wrap(schema.Invalid, err, "read config %q", name)
		}
	}
	return nil
}

// embedMounts returns the service with configs in place of its bind mounts of
// such files.
func (s Spec) embedMounts(p *types.Project, service types.ServiceConfig) types.ServiceConfig {
	for i, v := range slices.Backward(service.Volumes) {
		text, ok := s.Memory[filepath.Clean(v.Source)]
		if v.Type != types.VolumeTypeBind || !ok {
			continue
		}
		key := "berth-memory:" + s.short(v.Source)
		if p.Configs == nil {
			p.Configs = types.Configs{}
		}
		p.Configs[key] = types.ConfigObjConfig{Name: key, Content: string(text)}
		service.Volumes = slices.Delete(slices.Clone(service.Volumes), i, i+1)
		service.Configs = append(slices.Clone(service.Configs), types.ServiceConfigObjConfig{Source: key, Target: v.Target})
	}
	return service
}
