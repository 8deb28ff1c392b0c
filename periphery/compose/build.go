package compose

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/tonistiigi/fsutil"
	"golang.org/x/sync/errgroup"

	"berth/schema"
)

// builds is how many images are built at once.
const builds = 2

// builds reports whether a service's image is built even if it is here.
func (p *Plan) builds(s types.ServiceConfig) bool {
	return s.Build != nil && !p.flags.noBuild && (p.spec.Build || p.flags.build || s.PullPolicy == types.PullPolicyBuild)
}

// buildAll builds what is to be built: by wish, or because the image is missing.
func (d *Deployer) buildAll(ctx context.Context, p *Plan, j *job) error {
	todo, err := d.unbuilt(ctx, p)
	if err != nil || len(todo) == 0 {
		return err
	}
	return j.run(PhaseBuild, func() error {
		group, ctx2 := errgroup.WithContext(ctx)
		group.SetLimit(builds)
		for _, ref := range sorted(todo) {
			group.Go(func() error { return d.buildImage(ctx2, p, j, todo[ref], ref) })
		}
		if err := group.Wait(); err != nil {
			return d.explain(ctx, err, "build images")
		}
		for ref := range todo {
			p.built[ref] = true
		}
		return nil
	})
}

// unbuilt returns the services whose images are to be built, by image.
func (d *Deployer) unbuilt(ctx context.Context, p *Plan) (map[string]types.ServiceConfig, error) {
	todo := map[string]types.ServiceConfig{}
	for _, name := range p.project.ServiceNames() {
		s := p.project.Services[name]
		if s.Build == nil {
			continue
		}
		ref := api.GetImageNameOrDefault(s, p.project.Name)
		if _, there := todo[ref]; there || p.built[ref] {
			continue
		}
		if !p.builds(s) {
			here, err := d.has(ctx, ref)
			if err != nil {
				return nil, err
			}
			if here {
				continue
			}
			if p.flags.noBuild {
				return nil, schema.Errorf(schema.NotFound, "build service %q: image %s is not on this host and extra_args say --no-build", name, ref)
			}
		}
		todo[ref] = s
	}
	return todo, nil
}

// has says whether the engine has an image.
func (d *Deployer) has(ctx context.Context, ref string) (bool, error) {
	_, err := d.engine.Image(ctx, ref)
	if schema.CodeOf(err) == schema.NotFound {
		return false, nil
	}
	return err == nil, err
}

// buildImage builds one service's image with BuildKit, or with the classic builder
// on an engine that has no BuildKit.
func (d *Deployer) buildImage(ctx context.Context, p *Plan, j *job, s types.ServiceConfig, ref string) error {
	j.state(s.Name, "Image "+ref, api.StatusBuilding, false)
	if err := refuseBuild(s); err != nil {
		return err
	}
	b := &builder{d: d, p: p, j: j, service: s, ref: ref, names: map[string]string{}}
	err := b.run(ctx)
	if errors.Is(err, errNoSession) {
		j.warn("the engine has no BuildKit: building %s with its classic builder", ref)
		err = d.buildClassic(ctx, p, j, s)
	}
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		j.state(s.Name, "Image "+ref, "Build failed", true)
		return schema.Wrap(schema.Failed, err, "build image %s of service %q: %s", ref, s.Name, oneLine(err))
	}
	j.state(s.Name, "Image "+ref, api.StatusBuilt, false)
	return nil
}

// refuseBuild names what the engine's API cannot express.
func refuseBuild(s types.ServiceConfig) error {
	var what string
	switch b := s.Build; {
	case len(b.AdditionalContexts) > 0:
		what = "additional_contexts"
	case len(b.SSH) > 0:
		what = "ssh"
	case len(b.Platforms) > 1:
		what = "more than one platform"
	case b.Privileged, len(b.Entitlements) > 0:
		what = "privileges"
	default:
		return nil
	}
	return schema.Errorf(schema.Unsupported, "build service %q: %s in a build section is not supported; build the image elsewhere and name it", s.Name, what)
}

// buildClassic hands one service to compose, which packs the folder and uses the
// engine's old builder.
func (d *Deployer) buildClassic(ctx context.Context, p *Plan, j *job, s types.ServiceConfig) error {
	session, err := d.session(d.engine.API(), p.spec.Registries, j, never(func(string) {}))
	if err != nil {
		return err
	}
	return session.Build(ctx, p.project, api.BuildOptions{
		Services: []string{s.Name}, Args: p.build.args, NoCache: p.build.noCache, Pull: p.build.pull, Out: &lineWriter{j: j, service: s.Name},
	})
}

// lineWriter turns text into lines of output.
type lineWriter struct {
	j       *job
	service string
	rest    []byte
}

func (w *lineWriter) Write(b []byte) (int, error) {
	w.rest = append(w.rest, b...)
	for {
		line, rest, found := bytes.Cut(w.rest, []byte("\n"))
		if !found {
			return len(b), nil
		}
		w.j.line(w.service, strings.TrimRight(string(line), "\r"), false)
		w.rest = rest
	}
}

// buildInputs adds the build section and the folder that the service is built from.
func (p *Plan) buildInputs(ctx context.Context, s types.ServiceConfig, in Inputs) error {
	section, err := json.Marshal(s.Build)
	if err != nil {
		return schema.Wrap(schema.Internal, err, "read build section of service %q", s.Name)
	}
	args, err := json.Marshal(p.build.args)
	if err != nil {
		return schema.Wrap(schema.Internal, err, "read build_extra_args")
	}
	in["field:build"] = p.d.digest([]byte("build"), section, args)
	dir := s.Build.Context
	if remoteContext(dir) {
		return nil
	}
	var parts [][]byte
	file := dockerfile(s.Build)
	if text, err := os.ReadFile(file); err == nil {
		parts = append(parts, text)
	}
	filter, err := contextFS(s.Build)
	if err != nil {
		return schema.Wrap(schema.NotFound, err, "read build context %s of service %q: %s", p.spec.short(dir), s.Name, reason(err, p.spec.Dir))
	}
	n := 0
	err = filter.Walk(ctx, "", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || n > maxFiles {
			return err
		}
		full := filepath.Join(dir, path)
		if own := p.spec.Tracked; own != nil && !own(full) {
			return nil
		}
		n++
		parts = append(parts, []byte(path), []byte(p.fileDigest(full)))
		return nil
	})
	if err != nil {
		return schema.Wrap(schema.Failed, err, "read build context %s of service %q: %s", p.spec.short(dir), s.Name, reason(err, p.spec.Dir))
	}
	in["build:"+p.spec.short(dir)] = p.d.digest(parts...)
	return nil
}

// contextFS is the build context without what .dockerignore excludes.
func contextFS(b *types.BuildConfig) (fsutil.FS, error) {
	all, err := fsutil.NewFS(b.Context)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{dockerfile(b) + ".dockerignore", filepath.Join(b.Context, ".dockerignore")} {
		f, err := os.Open(name)
		if err != nil {
			continue
		}
		patterns, err := ignorefile.ReadAll(f)
		_ = f.Close()
		if err != nil {
			return nil, err
		}
		return fsutil.NewFilterFS(all, &fsutil.FilterOpt{ExcludePatterns: patterns})
	}
	return all, nil
}

// dockerfile is the absolute path of a build section's Dockerfile.
func dockerfile(b *types.BuildConfig) string {
	name := b.Dockerfile
	if name == "" {
		name = "Dockerfile"
	}
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(b.Context, name)
}

// remoteContext reports whether the engine fetches the build context itself.
func remoteContext(context string) bool {
	return strings.Contains(context, "://") || strings.HasPrefix(context, "git@") || strings.HasPrefix(context, "github.com/")
}
