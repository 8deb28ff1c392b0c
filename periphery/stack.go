package periphery

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"berth/periphery/compose"
	"berth/periphery/secrets"
	"berth/schema"
)

// deployment is a stack on its way to being deployed.
type deployment struct {
	a    *Agent
	job  *Job
	req  schema.StackUpReq
	know *known
	root string // of the sources
	dir  string // run directory
	spec compose.Spec
	resp schema.StackUpResp
}

// stackUp deploys a stack, or decides that nothing changed.
func (a *Agent) stackUp(ctx context.Context, j *Job, req schema.StackUpReq) (schema.StackUpResp, error) {
	d := &deployment{a: a, job: j, req: req}
	if err := d.prepare(ctx); err != nil {
		return d.resp, err
	}
	plan, done, err := d.decide(ctx)
	if err != nil || done {
		return d.resp, err
	}
	return d.resp, d.up(ctx, plan)
}

// prepare brings sources, environment and secrets together.
func (d *deployment) prepare(ctx context.Context) error {
	var err error
	if d.know, err = d.job.learn(ctx, d.texts(), d.needs()); err != nil {
		return err
	}
	if err := d.source(ctx); err != nil {
		return err
	}
	if err := d.settings(); err != nil {
		return err
	}
	if err := d.secrets(ctx); err != nil {
		return err
	}
	if err := d.environment(); err != nil {
		return err
	}
	return d.wrapper()
}

// texts are the fields in which variables are replaced (reference: resources.md
// §4.3).
func (d *deployment) texts() []string {
	var out []string
	if c := d.req.Config; !c.SkipSecretInterp {
		out = append(out, string(c.FileContents), string(c.Environment), string(c.PreDeploy.Command), string(c.PostDeploy.Command))
		out = append(append(out, c.ExtraArgs...), c.BuildExtraArgs...)
	}
	if r := d.req.Repo; r != nil && !r.NoSecrets {
		out = append(out, r.Env, string(r.OnClone.Command), string(r.OnPull.Command))
	}
	return out
}

func (d *deployment) needs() needs {
	var n needs
	gitNeeds(&n, d.req.Source)
	if d.req.Repo != nil {
		gitNeeds(&n, &d.req.Repo.Source)
	}
	if c := d.req.Config; c.RegistryProvider != "" && c.RegistryAccount != "" {
		n.registry = append(n.registry, schema.AccountRef{Provider: c.RegistryProvider, Account: c.RegistryAccount})
	}
	return n
}

// source gets the files (reference: resources.md §5.1) and sets the run directory.
func (d *deployment) source(ctx context.Context) error {
	c := d.req.Config
	d.root = filepath.Join(d.a.cfg.Data, "stacks", folder(d.req.Name))
	var (
		resp schema.RepoSyncResp
		err  error
	)
	switch {
	case c.FilesOnHost:
	case d.req.Repo != nil:
		d.root = d.a.repoDir(*d.req.Repo)
		resp, err = d.a.syncRepo(ctx, d.job, d.know, *d.req.Repo)
	case d.req.Source != nil:
		d.root = under(d.root, c.ClonePath)
		resp, err = d.a.sync(ctx, d.job, d.know, d.root, *d.req.Source, c.Reclone)
	default:
		d.dir = d.root
		return d.written()
	}
	d.resp.Commit = resp.CommitInfo
	if len(resp.Drift) > 0 {
		d.resp.Warnings = append(d.resp.Warnings, fmt.Sprintf("local edits of %s were overwritten", strings.Join(resp.Drift, ", ")))
	}
	if err != nil {
		return err
	}
	d.dir = under(d.root, c.RunDirectory)
	if info, err := os.Stat(d.dir); err != nil || !info.IsDir() {
		return schema.Errorf(schema.Invalid, "run directory %s does not exist on this server: check run_directory and that the repository has it at this commit", d.dir)
	}
	if c.FilesOnHost {
		return d.checkedOut(ctx)
	}
	return d.tracked(ctx)
}

// checkedOut looks whether files on the server lie in a clone: then the commit is
// known, and which mounted files are no container's data.
func (d *deployment) checkedOut(ctx context.Context) error {
	d.spec.OnHost = true
	root, at, err := d.a.git.Where(d.dir)
	if schema.CodeOf(err) == schema.NotFound {
		return nil
	}
	if err == nil {
		d.root = root
		d.resp.Commit = schema.CommitInfo{Commit: at.Hash, Message: firstLine(at.Message), Author: at.Author}
		err = d.tracked(ctx)
	}
	if err != nil {
		d.job.line("the files lie in a git repository that cannot be read, so their commit is not known: %s", schema.SafeText(err))
	}
	return nil
}

// tracked tells compose which mounted files are the repository's own.
func (d *deployment) tracked(ctx context.Context) error {
	files, err := d.a.git.Files(ctx, d.root, d.resp.Commit.Commit)
	if err != nil {
		return err
	}
	own := make(map[string]bool, len(files))
	for _, f := range files {
		own[filepath.Join(d.root, f.Path)] = true
	}
	d.spec.Tracked = func(path string) bool { return own[path] }
	return nil
}

// written puts a compose file that is defined in Berth where compose finds it; one
// with secret values in it stays in memory.
func (d *deployment) written() error {
	c := d.req.Config
	text, secret, err := d.know.interpolate(string(c.FileContents), c.SkipSecretInterp)
	if err != nil {
		return schema.Wrap(schema.Invalid, err, "file_contents")
	}
	if strings.TrimSpace(text) == "" {
		return schema.Errorf(schema.Invalid, "stack %q has no source: set files_on_host, linked_repo, repo or file_contents", d.req.Name)
	}
	name := "compose.yaml"
	if len(c.FilePaths) > 0 {
		name = c.FilePaths[0]
	}
	path := under(d.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return schema.Wrap(schema.Failed, err, "make %s: %v", filepath.Dir(path), err)
	}
	if len(secret) > 0 {
		d.keep(path, []byte(text))
		_ = os.Remove(path) // what an earlier deploy without secrets wrote
		return nil
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return schema.Wrap(schema.Failed, err, "write %s: %v", path, err)
	}
	return nil
}

// keep makes a file exist in memory only.
func (d *deployment) keep(path string, data []byte) {
	if d.spec.Memory == nil {
		d.spec.Memory = map[string][]byte{}
	}
	d.spec.Memory[filepath.Clean(path)] = data
}

// settings turns the stack's settings into what compose needs.
func (d *deployment) settings() error {
	c, s := d.req.Config, &d.spec
	s.Project, s.Dir, s.Stack, s.Run = d.project(), d.dir, d.req.ID, d.job.cmd.Run
	s.Files, s.Services, s.IgnoreServices = c.FilePaths, d.req.Services, c.IgnoreServices
	s.Pull, s.Build, s.DestroyBefore, s.StopTimeout = c.AutoPull, c.RunBuild, c.DestroyBeforeDeploy, d.req.StopTime
	s.Health, s.HealthTimeout = c.CheckHealth, time.Duration(c.HealthTimeout)*time.Second
	if last := d.req.Last; last != nil {
		s.Last = inputs(last.Inputs)
		if last.Project != s.Project {
			s.DeployedProject = last.Project
		}
	}
	for _, t := range d.know.Registry {
		if s.Registries == nil {
			s.Registries = map[string]compose.Auth{}
		}
		s.Registries[t.Provider] = compose.Auth{User: t.Account, Password: t.Token}
	}
	if c.RegistryProvider != "" && c.RegistryAccount != "" && len(d.know.Registry) == 0 {
		return schema.Errorf(schema.NotFound, "no token for account %q at registry %s: add the registry account on core", c.RegistryAccount, c.RegistryProvider)
	}
	var err error
	if s.ExtraArgs, err = d.args("extra_args", c.ExtraArgs); err != nil {
		return err
	}
	s.BuildExtraArgs, err = d.args("build_extra_args", c.BuildExtraArgs)
	return err
}

func (d *deployment) args(field string, list []string) ([]string, error) {
	out := make([]string, len(list))
	for i, arg := range list {
		text, _, err := d.know.interpolate(arg, d.req.Config.SkipSecretInterp)
		if err != nil {
			return nil, schema.Wrap(schema.Invalid, err, "%s", field)
		}
		out[i] = text
	}
	return out, nil
}

func (d *deployment) project() string {
	if d.req.Config.ProjectName != "" {
		return d.req.Config.ProjectName
	}
	return d.req.Name
}

func inputs(in map[string]map[string]string) map[string]compose.Inputs {
	if in == nil {
		return nil
	}
	out := make(map[string]compose.Inputs, len(in))
	for k, v := range in {
		out[k] = v
	}
	return out
}

// environment reads the stack's variables (reference: resources.md §5.2, §5.3).
// They are written to env_file_path as Komodo does, for scripts and compose files
// that read it; with secret values in them they stay in memory.
func (d *deployment) environment() error {
	c := d.req.Config
	text, secret, err := d.know.interpolate(string(c.Environment), c.SkipSecretInterp)
	if err != nil {
		return schema.Wrap(schema.Invalid, err, "environment")
	}
	vars, err := schema.ParseEnv(text)
	if err != nil {
		return err
	}
	for _, f := range c.AdditionalEnvFiles {
		if p := under(d.dir, f.Path); p != under(d.dir, c.EnvFilePath) {
			d.spec.EnvFiles = append(d.spec.EnvFiles, p)
		}
	}
	file := under(d.dir, c.EnvFilePath)
	sealed, inMemory := d.spec.Memory[file]
	_, serr := os.Stat(file)
	d.spec.Environment = home(vars)
	if len(vars) == 0 {
		if (serr == nil || inMemory) && (len(d.spec.EnvFiles) > 0 || c.EnvFilePath != ".env") {
			d.spec.EnvFiles = append(d.spec.EnvFiles, file)
		}
		return nil
	}
	data := []byte(schema.FormatEnv(vars))
	d.spec.EnvFiles = append(d.spec.EnvFiles, file)
	if inMemory || len(secret) > 0 || serr == nil && !d.ours(file) {
		d.keep(file, append(append(slices.Clone(sealed), '\n'), data...))
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return schema.Wrap(schema.Failed, err, "make %s: %v", filepath.Dir(file), err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return schema.Wrap(schema.Failed, err, "write %s: %v", file, err)
	}
	return nil
}

// home gives compose files the one variable of the host that they may count on.
func home(vars []schema.EnvVar) map[string]string {
	if slices.ContainsFunc(vars, func(v schema.EnvVar) bool { return v.Key == "HOME" }) {
		return nil
	}
	dir, err := os.UserHomeDir()
	if err != nil {
		dir = "/root"
	}
	return map[string]string{"HOME": dir}
}

// ours reports whether an env file has the mode this agent writes: a file of the
// user's own beside his compose file is not overwritten.
func (d *deployment) ours(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Mode().Perm() == 0o600
}

// secrets decrypts the sops files beside the compose files and where pre_deploy
// would have run the decryption script.
func (d *deployment) secrets(ctx context.Context) error {
	files, err := d.sealed()
	if err != nil || len(files) == 0 {
		return err
	}
	return d.job.phase(ctx, "secrets", func(context.Context) (string, error) {
		keys, err := d.a.keys()
		if err != nil {
			return "", err
		}
		for _, f := range files {
			data, err := secrets.Read(f.Path)
			if err != nil {
				return "", err
			}
			content, err := keys.Reveal(f.Path, data)
			if err != nil {
				return "", err
			}
			d.job.mask.AddValues(content.Values)
			target := filepath.Join(filepath.Dir(f.Path), f.Target)
			if old, ok := d.spec.Memory[target]; ok {
				content.Plain = append(append(slices.Clone(old), '\n'), content.Plain...)
			}
			d.keep(target, content.Plain)
			d.job.line("decrypted %s in memory", f.Path)
		}
		return fmt.Sprintf("%d sops files", len(files)), nil
	})
}

func (d *deployment) sealed() ([]secrets.File, error) {
	dirs := []string{}
	files := d.spec.Files
	if len(files) == 0 {
		files = []string{"compose.yaml"}
	}
	for _, f := range files {
		dirs = append(dirs, filepath.Dir(under(d.dir, f)))
	}
	if rest, script := preDeploy(d.req.Config); script {
		d.req.Config.PreDeploy.Command = schema.FileText(rest)
		dirs = append(dirs, under(d.dir, d.req.Config.PreDeploy.Path))
	}
	slices.Sort(dirs)
	var out []secrets.File
	for _, dir := range slices.Compact(dirs) {
		found, err := secrets.Discover(dir)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}
