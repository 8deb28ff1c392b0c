package periphery

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"berth/periphery/compose"
	"berth/schema"
)

// wholeStack is the key in Deployed.Inputs of what feeds the stack as a whole, not
// one service: "file:compose.yaml", "environment:PORT", "setting:post_deploy".
const wholeStack = ""

// feed notes a file that feeds the deploy; one that is missing does not, yet.
func (d *deployment) feed(path string) {
	name := "file:" + d.short(path)
	if _, known := d.base[name]; known {
		return
	}
	text, ok := d.spec.Memory[path]
	if !ok {
		var err error
		if text, err = os.ReadFile(path); err != nil {
			return
		}
	}
	d.base[name] = d.a.digests.Digest([]byte("file"), text)
}

// stackInputs completes what feeds the stack as a whole: its compose files, files
// it declares, scripts of its commands, and the settings that shape the deploy.
func (d *deployment) stackInputs() error {
	c := d.req.Config
	for _, f := range d.composeFiles() {
		d.feed(f)
	}
	for _, f := range c.ConfigFiles {
		if f.Requires != schema.RequiresNone {
			d.feed(under(d.dir, f.Path))
		}
	}
	for _, cmd := range []schema.SystemCommand{c.PreDeploy, c.PostDeploy} {
		for _, word := range strings.FieldsFunc(string(cmd.Command), func(r rune) bool { return strings.ContainsRune(" \t\r\n;&|<>()'\"", r) }) {
			path := under(under(d.dir, cmd.Path), word)
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && strings.HasPrefix(path, d.root+"/") {
				d.feed(path)
			}
		}
	}
	pre, err := d.args("pre_deploy", []string{string(c.PreDeploy.Command)})
	if err != nil {
		return err
	}
	post, err := d.args("post_deploy", []string{string(c.PostDeploy.Command)})
	if err != nil {
		return err
	}
	for name, value := range map[string]any{
		"pre_deploy": []any{c.PreDeploy.Path, pre[0], c.PreDeploy.ShellMode}, "post_deploy": []any{c.PostDeploy.Path, post[0], c.PostDeploy.ShellMode},
		"extra_args": d.spec.ExtraArgs, "build_extra_args": d.spec.BuildExtraArgs, "run_build": c.RunBuild, "file_paths": c.FilePaths,
		"run_directory": c.RunDirectory, "env_file_path": c.EnvFilePath, "additional_env_files": c.AdditionalEnvFiles,
		"compose_cmd_wrapper": c.ComposeCmdWrapper, "skip_secret_interp": c.SkipSecretInterp,
	} {
		text, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("digest %s: %w", name, err)
		}
		if bytes.Contains([]byte("null [] false \"\""), text) { // as if it was never set
			continue
		}
		d.base["setting:"+name] = d.a.digests.Digest([]byte(name), text)
	}
	return nil
}

// stackChanges names the differences of what feeds the stack as a whole.
func stackChanges(before, now map[string]string) []string {
	if before == nil { // was not noted then
		return nil
	}
	all := maps.Clone(now)
	maps.Copy(all, before)
	var out []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		kind, what, _ := strings.Cut(name, ":")
		if kind == "environment" {
			what = name[:len(kind)] + " " + what
		}
		was, had := before[name]
		is, has := now[name]
		switch {
		case !had && kind != "setting":
			out = append(out, what+" added")
		case !has && kind != "setting":
			out = append(out, what+" removed")
		case was != is:
			out = append(out, what+" changed")
		}
	}
	return out
}

// verdict compares with the last success, and with what is on the engine.
func (d *deployment) verdict(ctx context.Context, plan *compose.Plan, now map[string]compose.Inputs) (schema.Decision, error) {
	dec := schema.Decision{What: "deploy"}
	last := d.a.lastOf(d.req)
	switch {
	case d.req.Last == nil:
		dec.Reason = "never deployed before"
	case last == nil:
		dec.Reason = "it was deployed on another server"
	case last.Dirty != "":
		dec.Reason = last.Dirty
	case d.req.Resume:
		dec.Reason = "an earlier attempt was interrupted"
	case last.Project != plan.Project():
		dec.Reason = fmt.Sprintf("project was %q", last.Project)
	}
	if dec.Reason != "" {
		return dec, nil
	}
	dec.Changes = stackChanges(last.Inputs[wholeStack], d.base)
	for _, c := range plan.Compare(inputs(last.Inputs), now) {
		if !slices.Contains(dec.Changes, c.Text) {
			dec.Changes = append(dec.Changes, c.Text)
		}
		if c.Service != "" && !slices.Contains(dec.Services, c.Service) {
			dec.Services = append(dec.Services, c.Service)
		}
	}
	if len(dec.Changes) > 0 {
		dec.Reason = strings.Join(dec.Changes[:min(3, len(dec.Changes))], ", ")
		if more := len(dec.Changes) - 3; more > 0 {
			dec.Reason += fmt.Sprintf(" and %d more", more)
		}
		dec.Changes = dec.Changes[:min(len(dec.Changes), maxChanged)]
		return dec, nil
	}
	missing, err := d.missing(ctx, plan, last)
	if err != nil {
		return dec, err
	}
	if len(missing) > 0 {
		dec.Reason, dec.Services = "no container of "+strings.Join(missing, ", "), missing
		return dec, nil
	}
	return schema.Decision{What: "unchanged", Reason: fmt.Sprintf("nothing that feeds it changed since run #%d", last.Number)}, nil
}

// missing lists services that were deployed and have no container now.
func (d *deployment) missing(ctx context.Context, plan *compose.Plan, last *schema.Deployed) ([]string, error) {
	state, err := d.a.deploy.State(ctx, plan.Project())
	if err != nil {
		return nil, err
	}
	var out []string
	for _, s := range last.Services {
		if s.Container != "" && slices.Contains(plan.Services(), s.Name) && !slices.ContainsFunc(state, func(h compose.Service) bool { return h.Name == s.Name }) {
			out = append(out, s.Name)
		}
	}
	return out, nil
}

// restarts lists the services that a changed config file wants restarted, without
// those that have new containers anyway.
func (d *deployment) restarts(res compose.Result) []string {
	last := d.a.lastOf(d.req)
	if last == nil || last.Inputs[wholeStack] == nil {
		return nil
	}
	var out []string
	for _, f := range d.req.Config.ConfigFiles {
		name := "file:" + d.short(under(d.dir, f.Path))
		if f.Requires != schema.RequiresRestart || last.Inputs[wholeStack][name] == d.base[name] {
			continue
		}
		for _, s := range res.Services {
			fresh := slices.Contains(res.Recreated, s.Container)
			if (len(f.Services) == 0 || slices.Contains(f.Services, s.Name)) && !fresh && s.Container != "" && !slices.Contains(out, s.Name) {
				out = append(out, s.Name)
			}
		}
	}
	return out
}
