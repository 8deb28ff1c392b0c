package compose

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"

	"berth/periphery/docker"
	"berth/schema"
)

// Plan is a loaded project, ready to be compared and brought up, once.
type Plan struct {
	d       *Deployer
	spec    Spec
	flags   upFlags
	build   buildFlags
	project *types.Project  // the selected services with what they need
	known   map[string]bool // every service of the files, selected or not
	targets []string        // services the deploy names; the others are their dependencies
	pulled  bool

	warnings []string
	built    map[string]bool // images built by this plan
	keep     []string        // ids of containers, see Keep
}

// Load reads a project's files without touching the engine. Errors in the files
// are schema.Invalid with file and place, a missing file is schema.NotFound, and
// what Berth does not do (remote includes, providers, models, options of `up` that
// need a terminal) is schema.Unsupported or schema.Invalid by name. No error tells
// a part of a secret.
func (d *Deployer) Load(ctx context.Context, s Spec) (*Plan, error) {
	p, err := d.load(ctx, s)
	if err == nil || ctx.Err() != nil {
		return p, err
	}
	return nil, s.conceal(ctx, err, func(s Spec) error {
		_, err := d.load(ctx, s)
		return err
	})
}

func (d *Deployer) load(ctx context.Context, s Spec) (*Plan, error) {
	p := &Plan{d: d, spec: s, known: map[string]bool{}, built: map[string]bool{}}
	var err error
	if p.flags, err = parseUp(s.ExtraArgs); err != nil {
		return nil, err
	}
	if p.build, err = parseBuild(s.BuildExtraArgs); err != nil {
		return nil, err
	}
	if !filepath.IsAbs(s.Dir) {
		return nil, schema.Errorf(schema.Invalid, "load project: the run directory %q is not absolute", s.Dir)
	}
	files, err := s.files()
	if err != nil {
		return nil, err
	}
	// As the CLI does: the folder of the first file is where relative paths start.
	home := filepath.Dir(files[0].Filename)
	env, warnings, err := s.environment(home)
	if err != nil {
		return nil, err
	}
	if err := s.parts(ctx, home, files, env, 0); err != nil {
		return nil, schema.Wrap(schema.Invalid, err, "load project %q", s.Project)
	}
	project, err := read(ctx, s, home, files, env)
	if err != nil {
		return nil, err
	}
	if err := refuse(project); err != nil {
		return nil, err
	}
	if err := s.strays(project); err != nil {
		return nil, err
	}
	more, err := s.resolveEnvironment(project)
	if err != nil {
		return nil, err
	}
	p.warnings = slices.Compact(slices.Sorted(slices.Values(append(warnings, more...))))
	for name := range project.AllServices() {
		p.known[name] = true
	}
	return p, p.choose(project)
}

// Project returns the name of the project.
func (p *Plan) Project() string { return p.project.Name }

// Warnings returns what is to be said of the files, though they can be used.
func (p *Plan) Warnings() []string { return p.warnings }

// Services returns the names of the services that the plan brings up, sorted.
func (p *Plan) Services() []string { return p.project.ServiceNames() }

// files reads the compose files, from memory where they are there.
func (s Spec) files() ([]types.ConfigFile, error) {
	names := s.Files
	if len(names) == 0 {
		names = []string{"compose.yaml"}
	}
	var out []types.ConfigFile
	for _, name := range names {
		text, err := s.readFile(name)
		if err != nil {
			return nil, schema.Wrap(schema.NotFound, err, "read %s: %s%s", name, reason(err, s.Dir), s.instead())
		}
		out = append(out, types.ConfigFile{Filename: s.path(name), Content: text})
	}
	return out, nil
}

// instead suggests compose files that are in the run directory.
func (s Spec) instead() string {
	for _, name := range cli.DefaultFileNames {
		if _, err := os.Stat(filepath.Join(s.Dir, name)); err == nil && !slices.Contains(s.Files, name) && (len(s.Files) > 0 || name != "compose.yaml") {
			return fmt.Sprintf("; there is %s: set file_paths to it", name)
		}
	}
	return ""
}

// reason says in a user's words why a file below dir cannot be read.
func reason(err error, dir string) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "no such file in " + dir
	case errors.Is(err, fs.ErrPermission):
		return "the agent may not read it"
	}
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err.Error()
	}
	if se, ok := errors.AsType[*schema.Error](err); ok {
		return schema.SafeText(se)
	}
	return err.Error()
}

// path makes a path of the spec absolute.
func (s Spec) path(name string) string { return below(s.Dir, name) }

// below is a path seen from a folder, if it is not absolute.
func below(dir, name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(dir, name)
}

// read parses files into a project, with env as the only variables. Nothing is
// looked for elsewhere.
func read(ctx context.Context, s Spec, home string, files []types.ConfigFile, env types.Mapping) (*types.Project, error) {
	remote := ""
	listen := func(_ string, about map[string]any) {
		if list, ok := about["path"].(types.StringList); ok {
			for _, path := range list {
				if strings.Contains(path, "://") || strings.Contains(path, "git@") || strings.HasPrefix(path, "github.com/") {
					remote = path
				}
			}
		}
	}
	profiles := s.Profiles
	if len(profiles) == 0 {
		for name := range strings.SplitSeq(env["COMPOSE_PROFILES"], ",") {
			profiles = append(profiles, strings.TrimSpace(name))
		}
	}
	project, err := loader.LoadWithContext(ctx, types.ConfigDetails{ConfigFiles: files, WorkingDir: home, Environment: env}, func(o *loader.Options) {
		o.SetProjectName(s.Project, true)
		o.SkipResolveEnvironment, o.Profiles, o.Listeners = true, profiles, append(o.Listeners, listen)
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case remote != "":
		return nil, schema.Errorf(schema.Unsupported, "load project %q: include %s: remote files are not fetched; put the file into the repository", s.Project, remote)
	case err != nil:
		return nil, schema.Wrap(schema.Invalid, err, "load project %q: %s", s.Project, oneLine(err))
	}
	for _, f := range files {
		project.ComposeFiles = append(project.ComposeFiles, f.Filename)
	}
	return project, nil
}

func oneLine(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}

// refuse names what would run programs of the host.
func refuse(p *types.Project) error {
	if len(p.Models) > 0 {
		return schema.Errorf(schema.Unsupported, "load project %q: models are run by a plugin of the Docker CLI, which Berth does not use", p.Name)
	}
	for name, s := range p.Services {
		if s.Provider != nil {
			return schema.Errorf(schema.Unsupported, "load project %q: service %q has a provider, a program of the host, which Berth does not run", p.Name, name)
		}
		if s.Image == "" && s.Build == nil {
			return schema.Errorf(schema.Invalid, "load project %q: service %q has neither image nor build", p.Name, name)
		}
	}
	return nil
}

// strays refuses services whose folder to build from, Dockerfile or labels a link
// leads elsewhere.
func (s Spec) strays(p *types.Project) error {
	for name, service := range p.Services {
		paths := slices.Clone(service.LabelFiles)
		if b := service.Build; b != nil && !remoteContext(b.Context) {
			paths = append(paths, b.Context, filepath.Join(b.Context, ".dockerignore"))
			if b.DockerfileInline == "" {
				paths = append(paths, dockerfile(b), dockerfile(b)+".dockerignore")
			}
		}
		for _, path := range paths {
			if err := s.Inside(path); err != nil {
				return schema.Wrap(schema.Invalid, err, "load project %q: service %q", p.Name, name)
			}
		}
	}
	return nil
}

// choose narrows the project to the wanted services and labels them as the CLI
// would. Labels set here are not part of compose's own hash.
func (p *Plan) choose(project *types.Project) error {
	s := p.spec
	project, err := project.WithServicesEnabled(s.Services...)
	if err == nil {
		for name := range p.flags.scale {
			if _, err = project.GetService(name); err != nil {
				break
			}
		}
	}
	if err != nil {
		return schema.Wrap(schema.Invalid, err, "load project %q: %s", s.Project, oneLine(err))
	}
	var envFiles []string
	for _, f := range s.EnvFiles {
		envFiles = append(envFiles, s.path(f))
	}
	for name, service := range project.Services {
		service.CustomLabels = map[string]string{
			api.ProjectLabel: project.Name, api.ServiceLabel: name, api.VersionLabel: api.ComposeVersion,
			api.WorkingDirLabel: project.WorkingDir, api.ConfigFilesLabel: strings.Join(project.ComposeFiles, ","),
			api.OneoffLabel: "False", docker.LabelStack: s.Stack, docker.LabelRun: s.Run,
		}
		if len(envFiles) > 0 {
			service.CustomLabels[api.EnvironmentFileLabel] = strings.Join(envFiles, ",")
		}
		if n, ok := p.flags.scale[name]; ok {
			service.SetScale(n)
		}
		project.Services[name] = service
	}
	how := types.IncludeDependencies
	if p.flags.noDeps {
		how = types.IgnoreDependencies
	}
	if project, err = project.WithSelectedServices(s.Services, how); err != nil {
		return schema.Wrap(schema.Invalid, err, "load project %q: %s", s.Project, oneLine(err))
	}
	p.project = project.WithoutUnnecessaryResources()
	p.targets = s.Services
	if len(p.targets) == 0 {
		p.targets = p.project.ServiceNames()
	}
	return s.embed(p.project)
}
