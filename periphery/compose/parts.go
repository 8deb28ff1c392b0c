package compose

import (
	"context"
	"maps"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// maxParts is how deep files may include others; a cycle ends there, and the loader
// says so.
const maxParts = 20

// parts refuses files that a project consists of, however deep, when a link leads
// them elsewhere: those that are included or extended, and the env files that are
// read for them. It reads the files one by one, before the loader reads all of them
// at once; what is wrong with them otherwise is for the loader to say.
func (s Spec) parts(ctx context.Context, dir string, files []types.ConfigFile, env types.Mapping, depth int) error {
	if s.Within == nil || depth > maxParts {
		return nil
	}
	model, err := loader.LoadModelWithContext(ctx, types.ConfigDetails{ConfigFiles: files, WorkingDir: dir, Environment: env}, func(o *loader.Options) {
		o.SetProjectName(s.Project, true)
		o.SkipInclude, o.SkipExtends, o.SkipNormalization, o.SkipConsistencyCheck, o.SkipResolveEnvironment = true, true, true, true, true
		o.SkipValidation, o.ResolvePaths = true, false
	})
	if err != nil {
		return nil //nolint:nilerr // the loader says it with more around it
	}
	if err := s.extended(model, dir); err != nil {
		return err
	}
	for _, in := range included(model) {
		if err := s.part(ctx, dir, in, env, depth); err != nil {
			return err
		}
	}
	return nil
}

// extended looks at the files that services extend those of.
func (s Spec) extended(model map[string]any, dir string) error {
	services, _ := model["services"].(map[string]any)
	for _, service := range services {
		keys, _ := service.(map[string]any)
		from, _ := keys["extends"].(map[string]any)
		if file, ok := from["file"].(string); ok && file != "" {
			if err := s.Inside(below(dir, file)); err != nil {
				return err
			}
		}
	}
	return nil
}

// included returns what a file includes, in its long form.
func included(model map[string]any) []types.IncludeConfig {
	list, _ := model["include"].([]any)
	for i, one := range list {
		if path, ok := one.(string); ok {
			list[i] = map[string]any{"path": path}
		}
	}
	var out []types.IncludeConfig
	if loader.Transform(list, &out) != nil {
		return nil
	}
	return out
}

// part looks at one include, and at what its files include.
func (s Spec) part(ctx context.Context, dir string, in types.IncludeConfig, env types.Mapping, depth int) error {
	var files []types.ConfigFile
	for _, path := range in.Path {
		if strings.Contains(path, "://") || strings.Contains(path, "git@") {
			return nil // is refused as a remote file
		}
		path = below(dir, path)
		if err := s.Inside(path); err != nil {
			return err
		}
		files = append(files, types.ConfigFile{Filename: path})
	}
	if len(files) == 0 {
		return nil
	}
	home := filepath.Dir(files[0].Filename)
	if in.ProjectDirectory != "" {
		home = below(dir, in.ProjectDirectory)
	}
	var texts []string
	for _, path := range in.EnvFile {
		texts = append(texts, below(dir, path))
	}
	if len(texts) == 0 {
		texts = []string{filepath.Join(home, ".env")}
	}
	inner := maps.Clone(env)
	for _, path := range texts {
		if err := s.Inside(path); err != nil {
			return err
		}
		more, err := dotenv.GetEnvFromFile(env, []string{path})
		if err != nil {
			continue // there is none, or the loader says it
		}
		for k, v := range more {
			if _, ok := env[k]; !ok {
				inner[k] = v
			}
		}
	}
	return s.parts(ctx, home, files, inner, depth+1)
}
