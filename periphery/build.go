package periphery

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/distribution/reference"

	"berth/periphery/build"
	"berth/schema"
)

// imageBuild is a build on its way to an image.
type imageBuild struct {
	a    *Agent
	job  *Job
	req  schema.BuildRunReq
	know *known
	root string // of the sources
	spec build.Spec
	resp schema.BuildRunResp
}

// buildRun builds an image from the build's sources and pushes it.
func (a *Agent) buildRun(ctx context.Context, j *Job, req schema.BuildRunReq) (schema.BuildRunResp, error) {
	b := &imageBuild{a: a, job: j, req: req}
	for _, part := range []func(context.Context) error{b.prepare, b.source, b.dockerfile, b.build, b.push} {
		if err := part(ctx); err != nil {
			return b.resp, err
		}
	}
	return b.resp, nil
}

// prepare learns what the settings name, and turns them into what is to be built.
// What is wrong with them is said before anything is fetched or built.
func (b *imageBuild) prepare(ctx context.Context) error {
	if err := b.learn(ctx); err != nil {
		return err
	}
	for _, part := range []func() error{b.logins, b.flags, b.arguments, b.refs} {
		if err := part(); err != nil {
			return err
		}
	}
	if len(b.spec.Logins) == 0 {
		return nil
	}
	return b.job.phase(ctx, "login", func(ctx context.Context) (string, error) {
		var done []string
		for _, l := range b.spec.Logins {
			if err := b.a.builder.Check(ctx, l); err != nil {
				return "", err
			}
			done = append(done, l.User+" at "+l.Domain)
		}
		return strings.Join(done, ", "), nil
	})
}

// learn asks core for variables and accounts (reference: resources.md §4.3).
func (b *imageBuild) learn(ctx context.Context) error {
	c := b.req.Config
	var texts []string
	if !c.SkipSecretInterp {
		texts = append([]string{string(c.BuildArgs), string(c.SecretArgs), string(c.Labels), string(c.PreBuild.Command)}, c.ExtraArgs...)
		if c.Source() == schema.SourceInline {
			texts = append(texts, c.Dockerfile)
		}
	}
	var n needs
	gitNeeds(&n, b.req.Source)
	for _, image := range b.req.Images {
		if image.Domain != "" {
			n.registry = append(n.registry, schema.AccountRef{Provider: image.Domain, Account: image.Account})
		}
	}
	var err error
	if b.know, err = b.job.learn(ctx, texts, n); err != nil {
		return err
	}
	if b.know.Variables == nil {
		b.know.Variables = map[string]schema.VariableValue{}
	}
	b.know.Variables["$VERSION"] = schema.VariableValue{Value: b.req.Before.String()}
	return nil
}

func (b *imageBuild) logins() error {
	for _, image := range b.req.Images {
		if image.Domain == "" {
			continue
		}
		i := slices.IndexFunc(b.know.Registry, func(t schema.AccountToken) bool {
			return t.Provider == image.Domain && t.Account == image.Account
		})
		if i < 0 {
			return schema.Errorf(schema.NotFound,
				"no token for account %q at registry %s: add it to core's configuration: [[image_registry]] domain = %q, accounts = [{ username = %q, token = … }]",
				image.Account, image.Domain, image.Domain, image.Account)
		}
		b.spec.Logins = append(b.spec.Logins, build.Login{Domain: image.Domain, User: image.Account, Password: b.know.Registry[i].Token})
	}
	for _, r := range b.req.Config.ImageRegistry {
		if r.Domain != "" && r.Account == "" {
			b.warn("image_registry %s names no account: nothing is pushed there", r.Domain)
		}
	}
	return nil
}

// text interpolates a setting. A secret in one that ends up in the image is warned of.
func (b *imageBuild) text(field, text string, kept bool) (string, error) {
	out, secrets, err := b.know.interpolate(text, b.req.Config.SkipSecretInterp)
	if err != nil {
		return "", schema.Wrap(schema.Invalid, err, "%s", field)
	}
	if kept && len(secrets) > 0 {
		b.warn("%s: the value of %s can be read in the image or in the engine's build cache: use secret_args", field, strings.Join(secrets, ", "))
	}
	return out, nil
}

func (b *imageBuild) warn(format string, args ...any) {
	text := b.job.mask.Mask(fmt.Sprintf(format, args...))
	b.resp.Warnings = append(b.resp.Warnings, text)
	b.job.line("warning: %s", text)
}

func (b *imageBuild) flags() error {
	args := make([]string, len(b.req.Config.ExtraArgs))
	for i, arg := range b.req.Config.ExtraArgs {
		var err error
		if args[i], err = b.text("extra_args", arg, true); err != nil {
			return err
		}
	}
	var err error
	b.spec.Flags, err = schema.ParseBuildFlags(args)
	return schema.Wrap(schema.Invalid, err, "extra_args")
}

// arguments reads build_args, secret_args and labels.
func (b *imageBuild) arguments() error {
	c := b.req.Config
	read := func(field, text string, kept bool) ([]schema.EnvVar, error) {
		text, err := b.text(field, text, kept)
		if err != nil {
			return nil, err
		}
		vars, err := schema.ParseEnv(text)
		return vars, schema.Wrap(schema.Invalid, err, "%s", field)
	}
	args, err := read("build_args", string(c.BuildArgs), true)
	if err != nil {
		return err
	}
	b.spec.Args = map[string]string{"VERSION": b.req.Version.String()}
	for _, v := range args {
		b.spec.Args[v.Key] = schema.Unquoted(v.Value)
	}
	labels, err := read("labels", string(c.Labels), true)
	if err != nil {
		return err
	}
	b.spec.Labels = map[string]string{}
	for _, v := range labels {
		b.spec.Labels[v.Key] = schema.Unquoted(v.Value)
	}
	secrets, err := read("secret_args", string(c.SecretArgs), false)
	b.spec.Secrets = map[string][]byte{}
	for _, v := range secrets {
		b.spec.Secrets[v.Key] = []byte(v.Value)
		b.job.mask.Add(v.Key, v.Value)
	}
	return err
}

// refs are all names that the image is given.
func (b *imageBuild) refs() error {
	for _, image := range b.req.Images {
		for _, tag := range b.req.Tags {
			b.spec.Refs = append(b.spec.Refs, image.Name+":"+tag)
		}
	}
	for _, ref := range b.spec.Flags.Tags {
		if !slices.Contains(b.spec.Refs, ref) {
			b.spec.Refs = append(b.spec.Refs, ref)
		}
	}
	for _, ref := range b.spec.Refs {
		if _, err := reference.ParseNormalizedNamed(ref); err != nil {
			return schema.Wrap(schema.Invalid, err, "image name %q: %v: correct image_name, image_tag or image_registry", ref, err)
		}
	}
	if len(b.spec.Refs) == 0 {
		return schema.Errorf(schema.Invalid, "the image would have no tag: set include_latest_tag, include_version_tags or image_tag")
	}
	return nil
}

// source brings the files to the builder and runs pre_build.
func (b *imageBuild) source(ctx context.Context) error {
	c := b.req.Config
	root := filepath.Join(b.a.cfg.Builds, folder(b.req.Name))
	hint := "put the files there, or correct build_path"
	if b.req.Source != nil {
		resp, err := b.a.sync(ctx, b.job, b.know, root, *b.req.Source, false)
		if err != nil {
			return err
		}
		b.resp.Commit = resp.CommitInfo
		hint = "the repository has no such folder at commit " + short(resp.Commit) + ": correct build_path"
	}
	b.root = root
	b.spec.Key = "berth-" + b.req.ID
	b.spec.Context = under(root, c.BuildPath)
	if c.Source() == schema.SourceInline {
		if err := os.MkdirAll(b.spec.Context, 0o755); err != nil {
			return schema.Errorf(schema.Failed, "make %s: %v", b.spec.Context, errors.Unwrap(err))
		}
	}
	if info, err := os.Stat(b.spec.Context); err != nil || !info.IsDir() {
		return schema.Errorf(schema.Invalid, "build context %s does not exist on this server: %s", b.spec.Context, hint)
	}
	if err := b.within("build_path", b.spec.Context); err != nil {
		return err
	}
	return b.a.hook(ctx, b.job, b.know, hook{name: "pre_build", dir: b.spec.Context, cmd: c.PreBuild, plain: c.SkipSecretInterp})
}

// within refuses what a link of the repository leads out of it. Files that are the
// server's own to begin with are nobody else's.
func (b *imageBuild) within(field, path string) error {
	if b.req.Source == nil {
		return nil
	}
	return schema.Wrap(schema.Invalid, within(b.root, path, nil), "%s", field)
}

// contexts looks at the further folders that the build is given.
func (b *imageBuild) contexts() error {
	for name, where := range b.spec.Flags.Contexts {
		if build.Remote(where) {
			continue
		}
		if err := b.within("extra_args: --build-context "+name, under(b.spec.Context, where)); err != nil {
			return err
		}
	}
	return nil
}

// dockerfile reads the Dockerfile into memory.
func (b *imageBuild) dockerfile(context.Context) error {
	if err := b.contexts(); err != nil { // pre_build may have made them
		return err
	}
	c := b.req.Config
	if c.Source() == schema.SourceInline {
		text, err := b.text("dockerfile", c.Dockerfile, true)
		if strings.TrimSpace(text) == "" && err == nil {
			err = schema.Errorf(schema.Invalid, "build %q has no source: set files_on_host, linked_repo, repo or dockerfile", b.req.Name)
		}
		b.spec.Dockerfile, b.spec.Name = []byte(text), "Dockerfile"
		return err
	}
	path := under(b.spec.Context, c.DockerfilePath)
	for _, file := range []string{path, path + ".dockerignore"} {
		if err := b.within("dockerfile_path", file); err != nil {
			return err
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return schema.Wrap(schema.Invalid, err, "read %s in the build context: %s: correct dockerfile_path", c.DockerfilePath, reasonOf(err))
	}
	b.spec.Dockerfile, b.spec.Name = text, filepath.Base(path)
	if b.spec.Ignore, err = os.ReadFile(path + ".dockerignore"); err != nil {
		b.spec.Ignore = nil
	}
	return nil
}

func reasonOf(err error) string {
	if perr, ok := errors.AsType[*fs.PathError](err); ok {
		return perr.Err.Error()
	}
	return err.Error()
}

func (b *imageBuild) build(ctx context.Context) error {
	return b.job.phase(ctx, "build", func(ctx context.Context) (string, error) {
		res, err := b.a.builder.Build(ctx, b.spec, b.job.out.add)
		for _, w := range res.Warnings {
			b.resp.Warnings = append(b.resp.Warnings, b.job.mask.Mask(w))
		}
		if err != nil {
			return "", schema.Wrap(schema.CodeOf(err), err, "build image %s: %s", b.spec.Refs[0], schema.SafeText(err))
		}
		b.resp.ID, b.resp.Refs, b.resp.Steps, b.resp.Cached = res.ID, b.spec.Refs, res.Steps, res.Cached
		return fmt.Sprintf("%s, %d of %d steps cached", b.spec.Refs[0], res.Cached, res.Steps), nil
	})
}

// push pushes every name that belongs to a registry whose account is given.
func (b *imageBuild) push(ctx context.Context) error {
	if len(b.spec.Logins) == 0 {
		return nil
	}
	leave, err := b.a.gate.enter(ctx) // or a batch tidies the image away
	if err != nil {
		return err
	}
	defer leave()
	return b.job.phase(ctx, "push", func(ctx context.Context) (string, error) {
		for _, ref := range b.spec.Refs {
			login, ok := b.loginFor(ref)
			if !ok {
				continue
			}
			digest, err := b.a.builder.Push(ctx, ref, login, b.job.out.add)
			if err != nil {
				return "", err
			}
			b.job.line("pushed %s %s", ref, digest)
			b.resp.Pushed = append(b.resp.Pushed, ref)
			if b.resp.Digest == "" {
				b.resp.Digest = digest
			}
		}
		return strings.Join(b.resp.Pushed, ", "), nil
	})
}

// loginFor returns the login that a name is pushed with: the one of its own
// registry entry, else one at the same registry.
func (b *imageBuild) loginFor(ref string) (build.Login, bool) {
	of := func(image schema.BuiltName) (build.Login, bool) {
		i := slices.IndexFunc(b.spec.Logins, func(l build.Login) bool { return l.Domain == image.Domain && l.User == image.Account })
		return b.spec.Logins[max(i, 0)], i >= 0
	}
	for _, image := range b.req.Images {
		if strings.HasPrefix(ref, image.Name+":") {
			return of(image)
		}
	}
	for _, image := range b.req.Images {
		if image.Domain != "" && strings.HasPrefix(ref, image.Domain+"/") {
			return of(image)
		}
	}
	return build.Login{}, false
}
