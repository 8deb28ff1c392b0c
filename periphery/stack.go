package periphery

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"berth/periphery/compose"
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
	base map[string]string // what feeds the stack as a whole, see stackInputs
	// ranFirst says that pre_deploy has run, because the project needs what it makes.
	ranFirst bool
	resp     schema.StackUpResp
}

// prepare brings sources, environment and secrets together.
func (d *deployment) prepare(ctx context.Context) error {
	d.base = map[string]string{}
	var err error
	if d.know, err = d.job.learn(ctx, d.texts(), d.needs()); err != nil {
		return err
	}
	d.unknown()
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

// fieldText is a setting's text.
type fieldText struct{ field, text string }

// fields are the fields in which variables are replaced (reference: resources.md
// §4.3).
func (d *deployment) fields() []fieldText {
	var out []fieldText
	if c := d.req.Config; !c.SkipSecretInterp {
		out = []fieldText{
			{"file_contents", string(c.FileContents)},
			{"environment", string(c.Environment)},
			{"pre_deploy", string(c.PreDeploy.Command)},
			{"post_deploy", string(c.PostDeploy.Command)},
			{"compose_cmd_wrapper", strings.ReplaceAll(c.ComposeCmdWrapper, "[[COMPOSE_COMMAND]]", "")}, // no variable
			{"extra_args", strings.Join(c.ExtraArgs, "\n")},
			{"build_extra_args", strings.Join(c.BuildExtraArgs, "\n")},
		}
	}
	if r := d.req.Repo; r != nil {
		for _, text := range repoTexts(*r) {
			out = append(out, fieldText{"repo " + r.Name, text})
		}
	}
	return out
}

func (d *deployment) texts() []string {
	var out []string
	for _, f := range d.fields() {
		out = append(out, f.text)
	}
	return out
}

// unknown warns of variables that do not exist: that their names are left in the
// texts is Komodo's way.
func (d *deployment) unknown() {
	for _, f := range d.fields() {
		names, err := schema.Placeholders(f.text)
		if err != nil {
			continue // learn has refused it
		}
		for _, name := range names {
			if _, ok := d.know.Variables[name]; !ok {
				d.pointOut(fmt.Sprintf("`[[%s]]` in %s: no variable of that name; it is left as it stands", name, f.field))
			}
		}
	}
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
	d.root = filepath.Join(d.a.cfg.Stacks, folder(d.req.Name))
	var (
		resp schema.RepoSyncResp
		err  error
		hint = "put the files there, or correct run_directory"
	)
	switch {
	case c.FilesOnHost:
	case d.req.Repo != nil:
		var memory map[string][]byte
		d.root = d.a.repoDir(*d.req.Repo)
		resp, memory, err = d.a.syncRepo(ctx, d.job, d.know, *d.req.Repo)
		for path, text := range memory {
			d.keep(path, text)
		}
	case d.req.Source != nil:
		d.root = under(d.root, c.ClonePath)
		resp, err = d.a.sync(ctx, d.job, d.know, d.root, *d.req.Source, c.Reclone)
	default:
		d.dir = d.root
		return d.written()
	}
	d.resp.Commit = resp.CommitInfo
	if len(resp.Drift) > 0 {
		d.warn(fmt.Sprintf("local edits of %s were overwritten", strings.Join(resp.Drift, ", ")))
	}
	if err != nil {
		return err
	}
	if resp.Commit != "" {
		hint = "the repository has no such folder at commit " + short(resp.Commit) + ": correct run_directory"
	}
	d.dir = under(d.root, c.RunDirectory)
	if info, err := os.Stat(d.dir); err != nil || !info.IsDir() {
		return schema.Errorf(schema.Invalid, "run directory %s does not exist on this server: %s", d.dir, hint)
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
		d.resp.Commit = schema.CommitInfo{}
	}
	return ctx.Err()
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
	if d.spec.OnHost {
		return nil
	}
	d.spec.Within = func(path string) error { return within(d.root, path, d.spec.Tracked) }
	return d.links()
}

// links refuses what the settings name in a repository and a link of it leads out
// of it. What the compose files name is looked at when they are read.
func (d *deployment) links() error {
	c := d.req.Config
	type named struct{ field, path string }
	list := []named{{"run_directory", d.dir}, {"env_file_path", under(d.dir, c.EnvFilePath)}}
	for _, f := range c.FilePaths {
		list = append(list, named{"file_paths", under(d.dir, f)})
	}
	for _, f := range c.AdditionalEnvFiles {
		list = append(list, named{"additional_env_files", under(d.dir, f.Path)})
	}
	for _, f := range c.ConfigFiles {
		list = append(list, named{"config_files", under(d.dir, f.Path)})
	}
	for _, n := range list {
		if err := d.spec.Inside(n.path); err != nil {
			return schema.Wrap(schema.Invalid, err, "%s", n.field)
		}
	}
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
	if len(secret) == 0 {
		return writeFile(path, []byte(text))
	}
	d.keep(path, []byte(text))
	_ = os.Remove(path) // what an earlier deploy without secrets wrote
	if err := os.MkdirAll(d.dir, 0o755); err != nil {
		return schema.Wrap(schema.Failed, err, "make %s: %v", d.dir, err)
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

// conceal keeps pieces of a value out of what compose says of its files.
func (d *deployment) conceal(name, value string) {
	if d.spec.Secrets == nil {
		d.spec.Secrets = map[string]string{}
	}
	d.spec.Secrets[name] = value
}

// settings turns the stack's settings into what compose needs.
func (d *deployment) settings() error {
	c, s := d.req.Config, &d.spec
	s.Project, s.Dir, s.Stack, s.Run = projectOf(d.req), d.dir, d.req.ID, d.job.cmd.Run
	s.Files, s.Services, s.IgnoreServices = c.FilePaths, d.req.Services, c.IgnoreServices
	s.Pull, s.Build, s.DestroyBefore, s.StopTimeout = c.AutoPull, c.RunBuild, c.DestroyBeforeDeploy, d.req.StopTime
	s.Health, s.HealthTimeout = c.CheckHealth, time.Duration(c.HealthTimeout)*time.Second
	if last := d.a.lastOf(d.req); last != nil {
		s.Last = inputs(last.Inputs)
		if last.Project != s.Project {
			s.DeployedProject = last.Project
		}
	}
	for name, v := range d.know.Variables {
		if v.Secret {
			d.conceal("[["+name+"]]", v.Value)
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

// lastOf is what the last good deploy left on this server; nil if that was another
// or there was none.
func (a *Agent) lastOf(req schema.StackUpReq) *schema.Deployed {
	if last := req.Last; last != nil && (last.Server == "" || last.Server == a.join.Server) {
		return last
	}
	return nil
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

func projectOf(req schema.StackUpReq) string {
	if req.Config.ProjectName != "" {
		return req.Config.ProjectName
	}
	return req.Name
}

func inputs(in map[string]map[string]string) map[string]compose.Inputs {
	if in == nil {
		return nil
	}
	out := make(map[string]compose.Inputs, len(in))
	for service, v := range in {
		if service != wholeStack {
			out[service] = v
		}
	}
	return out
}
