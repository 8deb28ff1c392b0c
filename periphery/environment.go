package periphery

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"berth/periphery/process"
	"berth/periphery/secrets"
	"berth/schema"
)

// environment reads the stack's variables (reference: resources.md §5.2, §5.3).
// They are written to env_file_path as Komodo does, for scripts and compose files
// that read it; with secret values in them, or where a file stands that is not
// Berth's, they stay in memory.
func (d *deployment) environment() error {
	c := d.req.Config
	text, secret, err := d.know.interpolate(string(c.Environment), c.SkipSecretInterp)
	if err != nil {
		return schema.Wrap(schema.Invalid, err, "environment")
	}
	vars, err := schema.ParseEnv(text)
	if err != nil {
		return schema.Wrap(schema.Invalid, err, "environment")
	}
	file := under(d.dir, c.EnvFilePath)
	for _, f := range c.AdditionalEnvFiles {
		p := under(d.dir, f.Path)
		if p == file {
			continue
		}
		d.spec.EnvFiles = append(d.spec.EnvFiles, p)
		if f.Track {
			d.feed(p)
		}
	}
	d.spec.Environment = home(vars)
	for _, v := range vars {
		d.base["environment:"+v.Key] = d.a.digests.Digest([]byte("environment"), []byte(v.Value))
	}
	if err := d.envFile(file, vars, len(secret) > 0); err != nil {
		return err
	}
	// What was decrypted beside the compose file counts where further files are
	// named, too: compose reads it by itself only when there are none.
	beside := filepath.Join(filepath.Dir(d.composeFiles()[0]), ".env")
	if _, sealed := d.spec.Memory[beside]; sealed && len(d.spec.EnvFiles) > 0 && !slices.Contains(d.spec.EnvFiles, beside) {
		d.spec.EnvFiles = slices.Insert(d.spec.EnvFiles, 0, beside)
	}
	return nil
}

// envFile puts the variables where compose reads them, after all other env files.
// Without any, a file that is there counts.
func (d *deployment) envFile(file string, vars []schema.EnvVar, secret bool) error {
	sealed, inMemory := d.spec.Memory[file]
	info, err := os.Stat(file)
	there := err == nil && !info.IsDir()
	if len(vars) == 0 {
		if there || inMemory {
			d.spec.EnvFiles = append(d.spec.EnvFiles, file)
			d.feed(file)
		}
		return nil
	}
	data := []byte(schema.FormatEnv(vars))
	d.spec.EnvFiles = append(d.spec.EnvFiles, file)
	ours := there && info.Mode().Perm() == 0o600 && (d.spec.Tracked == nil || !d.spec.Tracked(file))
	if !inMemory && !secret && (!there || ours) {
		return writeFile(file, data)
	}
	if secret && ours && !inMemory {
		_ = os.Remove(file) // what an earlier deploy without secrets wrote
	}
	d.keep(file, slices.Concat(sealed, []byte("\n"), data))
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

// composeFiles are the full paths of the compose files.
func (d *deployment) composeFiles() []string {
	files := d.spec.Files
	if len(files) == 0 {
		files = []string{"compose.yaml"}
	}
	out := make([]string, len(files))
	for i, f := range files {
		out[i] = under(d.dir, f)
	}
	return out
}

// secrets decrypts the sops files beside the compose files, and those where
// pre_deploy would have run the decryption script.
func (d *deployment) secrets(ctx context.Context) error {
	files, err := d.sealed()
	if err != nil || len(files) == 0 {
		return err
	}
	return d.job.phase(ctx, "secrets", func(context.Context) (string, error) {
		if err := d.decryptable(files); err != nil {
			return "", err
		}
		for _, f := range files {
			if err := d.decrypt(f); err != nil {
				return "", err
			}
		}
		if len(files) == 1 {
			return d.short(files[0].Path), nil
		}
		return fmt.Sprintf("%d sops files", len(files)), nil
	})
}

// decrypt keeps the plain text of a file in memory, where compose looks for it.
func (d *deployment) decrypt(f secrets.File) error {
	content, err := d.reveal(f.Path)
	if err != nil {
		return err
	}
	target := filepath.Join(filepath.Dir(f.Path), f.Target)
	if old, ok := d.spec.Memory[target]; ok {
		content.Plain = slices.Concat(old, []byte("\n"), content.Plain)
	}
	d.keep(target, content.Plain)
	if slices.Contains(d.composeFiles(), target) {
		for _, v := range content.Values {
			d.conceal("$"+v.Name, v.Value)
		}
	}
	d.job.line("decrypted %s in memory", d.short(f.Path))
	return nil
}

// decryptable looks at all files before the first is decrypted: whether this server
// is among those that each is encrypted for.
func (d *deployment) decryptable(files []secrets.File) error {
	keys, err := d.a.keys()
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := d.spec.Inside(f.Path); err != nil {
			return err
		}
		data, err := secrets.Read(f.Path)
		if err != nil {
			return err
		}
		if err := schema.CheckSops(d.short(f.Path), data, cmp.Or(d.a.join.Name, d.a.join.Server), keys.Recipients()); err != nil {
			return err
		}
	}
	return nil
}

// reveal decrypts one file. What was secret in it is masked from now on.
func (d *deployment) reveal(path string) (secrets.Content, error) {
	keys, err := d.a.keys()
	if err != nil {
		return secrets.Content{}, err
	}
	data, err := secrets.Read(path)
	if err != nil {
		return secrets.Content{}, err
	}
	content, err := keys.Reveal(path, data)
	if err != nil {
		return secrets.Content{}, err
	}
	for _, v := range content.Values {
		d.job.hide(v.Name, v.Value)
	}
	// Its plain text counts: a file that was only encrypted anew feeds the same.
	d.base["file:"+d.short(path)] = d.a.digests.Digest([]byte("sealed"), content.Plain)
	return content, nil
}

func (d *deployment) sealed() ([]secrets.File, error) {
	var dirs []string
	for _, f := range d.composeFiles() {
		dirs = append(dirs, filepath.Dir(f))
	}
	if rest, script := process.WithoutSopsScript(string(d.req.Config.PreDeploy.Command)); script {
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

// execEnv is the one wrapper around compose that has a meaning without a command
// line: variables from a sops file.
const execEnv = `^sops\s+exec-env\s+(\S+)\s+['"]\[\[COMPOSE_COMMAND\]\]['"]$`

// wrapper understands `sops exec-env FILE '[[COMPOSE_COMMAND]]'` and refuses other
// wrappers: there is no compose command to wrap.
func (d *deployment) wrapper() error {
	text, _, err := d.know.interpolate(d.req.Config.ComposeCmdWrapper, d.req.Config.SkipSecretInterp)
	if err != nil {
		return schema.Wrap(schema.Invalid, err, "compose_cmd_wrapper")
	}
	if text = strings.TrimSpace(text); text == "" {
		return nil
	}
	m := regexp.MustCompile(execEnv).FindStringSubmatch(text)
	if m == nil {
		return schema.Errorf(schema.Unsupported, "compose_cmd_wrapper: Berth runs no compose command that could be wrapped; only `sops exec-env FILE '[[COMPOSE_COMMAND]]'` is understood: remove it, or put secrets into a .sops.env file")
	}
	path := under(d.dir, strings.Trim(m[1], `'"`))
	if err := d.spec.Inside(path); err != nil {
		return schema.Wrap(schema.Invalid, err, "compose_cmd_wrapper")
	}
	content, err := d.reveal(path)
	if err != nil {
		return schema.Wrap(schema.CodeOf(err), err, "compose_cmd_wrapper")
	}
	if d.spec.Environment == nil {
		d.spec.Environment = map[string]string{}
	}
	for line := range strings.Lines(string(content.Plain)) { // values as they stand, as sops hands them on
		key, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "=")
		if ok && !strings.HasPrefix(key, "#") {
			d.spec.Environment[key] = value
			d.conceal("$"+key, value)
		}
	}
	return nil
}

// short is a path as the user knows it: relative to the run directory, or the root
// of the sources, where it is below.
func (d *deployment) short(path string) string {
	for _, dir := range []string{d.dir, d.root} {
		if rel, err := filepath.Rel(dir, path); err == nil && filepath.IsLocal(rel) {
			return rel
		}
	}
	return path
}
