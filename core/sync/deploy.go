package sync

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"berth/core/resource"
	"berth/schema"
)

// What is decided of a stack or deployment that files want deployed.
const (
	whatDeploy    = "deploy"
	whatUnchanged = "unchanged"
	whatFailed    = "failed" // it cannot be told, and is neither deployed nor called unchanged
)

// decider decides what one plan deploys, and why.
type decider struct {
	s    *Syncer
	look *look
	from content // of the sync itself
	plan *Planned

	vars    map[string]string // variables that change, and how: "variable TZ changes"
	repos   map[string]string // repos by id that change in what a deploy takes from them
	configs map[string]any    // settings of changed repos by id, as they will be
	going   map[string]bool   // kind/id of what is deployed
}

// decide goes through the resources in the order in which they are deployed.
func (d *decider) decide(ctx context.Context) error {
	d.gather()
	for i, c := range d.plan.Changes {
		at := d.plan.at[i]
		if at < 0 || c.Op == resource.OpDelete || c.Kind != "stack" && c.Kind != "deployment" {
			continue
		}
		ch := d.plan.resources.Changes[at]
		if !ch.Deploy {
			if st, ok := d.plan.resources.Settings(at).(schema.StackConfig); ok && c.Pending() {
				if err := d.check(ctx, c, st); err != nil {
					return err
				}
			}
			continue
		}
		x, err := d.one(ctx, ch, d.plan.resources.Settings(at))
		if err != nil {
			return err
		}
		d.plan.Deploys = append(d.plan.Deploys, x)
	}
	return ctx.Err()
}

// gather finds what else of the plan feeds deploys.
func (d *decider) gather() {
	d.vars, d.repos, d.configs, d.going = map[string]string{}, map[string]string{}, map[string]any{}, map[string]bool{}
	for i, c := range d.plan.Changes {
		if d.plan.at[i] < 0 || !c.Pending() || c.Op == resource.OpDelete {
			continue
		}
		switch c.Kind {
		case "variable":
			d.vars[c.Name] = "variable " + c.Name + " changes"
		case "repo":
			d.configs[c.ID] = d.plan.resources.Settings(d.plan.at[i])
			if keys := among(c.Fields, repoFeeds()); len(keys) > 0 && c.Op == resource.OpUpdate {
				d.repos[c.ID] = fmt.Sprintf("repo %s changes: %s", c.Name, strings.Join(keys, ", "))
			}
		}
	}
}

// repoFeeds are the settings of a repo that decide which files stacks get of it.
func repoFeeds() []string { return []string{"git_provider", "repo", "branch", "commit", "path"} }

// idleFeeds are the settings that nothing of a deploy follows from (reference:
// resources.md §3.8 lists those that do; ours are more).
func idleFeeds(kind string) []string {
	out := []string{
		"description", "tags", "template", "links", "send_alerts", "poll_for_updates", "auto_update", "auto_update_all_services",
		"auto_update_skip_services", "webhook_enabled", "webhook_secret", "webhook_force_deploy", "swarm_id", "ignore_services",
		"git_account", "git_https", "git_provider", "git_ssh_key", "git_known_hosts", "registry_provider", "registry_account", "auto_pull",
		"run_build", "build_extra_args", "clone_path", "reclone", "check_health", "health_timeout", "deploy_timeout", "wait_timeout",
		"destroy_before_deploy", "compose_cmd_wrapper_include", "submodules",
	}
	if kind == "deployment" {
		out = append(out, "redeploy_on_build", "term_signal_labels", "image_registry_account")
	}
	return out
}

func among(fields []schema.SyncField, keys []string) []string {
	var out []string
	for _, f := range fields {
		if slices.Contains(keys, f.Key) {
			out = append(out, f.Key)
		}
	}
	return out
}

// one decides for one stack or deployment.
func (d *decider) one(ctx context.Context, c resource.Change, config any) (schema.SyncDeploy, error) {
	x := schema.SyncDeploy{Kind: c.Kind, ID: c.ID, Name: c.Name}
	var st Standing
	if c.Op != resource.OpCreate {
		var err error
		if st, err = d.s.cfg.Fleet.Standing(ctx, c.Target()); err != nil {
			return x, err
		}
	}
	x.Server = d.server(config, st)
	if stack, ok := config.(schema.StackConfig); ok {
		f := &files{d: d, ctx: ctx, config: stack, deploy: &x}
		if err := f.locate(); err != nil {
			return x, err
		}
		if f.absent && c.Op != resource.OpUnchanged { // found before anything is saved
			d.issue(c, x.Reason, false)
		}
		if err := d.weigh(c, config, st, &x, f); err != nil {
			return x, err
		}
		if text := f.locked(); text != "" {
			d.issue(c, text, true)
		}
	} else if err := d.weigh(c, config, st, &x, nil); err != nil {
		return x, err
	}
	if x.Pending() {
		d.going[c.Kind+"/"+c.ID] = true
		if online, known := d.online(x.Server, st); known && !online {
			x.Reason += fmt.Sprintf("; it waits for server %s, which is offline", x.Server.Name)
		}
	}
	return x, ctx.Err()
}

// weigh decides by what is known of it, the cheapest first; f are the files of a
// stack.
func (d *decider) weigh(c resource.Change, config any, st Standing, x *schema.SyncDeploy, f *files) error {
	switch {
	case x.What == whatFailed:
	case c.Op == resource.OpCreate:
		x.What, x.Reason = whatDeploy, "deploy on creation"
	default:
		d.settings(c, config, x)
	}
	if x.What == "" {
		d.standing(c.Kind, st, x)
	}
	if x.What == "" && f != nil {
		if err := f.compare(st.Deployed); err != nil {
			return err
		}
	}
	if x.What == "" {
		x.What, x.Reason = whatUnchanged, cmp.Or(x.Reason, "none of its settings changed and it is "+cmp.Or(st.State, "unknown"))
	}
	d.afterParents(c, x)
	return nil
}

func (d *decider) issue(c resource.Change, text string, warning bool) {
	d.plan.Issues = append(d.plan.Issues, schema.SyncIssue{File: c.File, Line: c.Line, Key: "stack." + c.Name, Text: text, Warning: warning})
}

// server is where it is deployed.
func (d *decider) server(config any, st Standing) schema.Target {
	id := ""
	switch c := config.(type) {
	case schema.StackConfig:
		id = c.ServerID
	case schema.DeploymentConfig:
		id = c.ServerID
	}
	if id == st.Server.ID {
		return st.Server
	}
	if k, err := d.s.cfg.Registry.Kind("server"); err == nil {
		if t, err := k.Find(id); err == nil {
			return t
		}
	}
	for _, c := range d.plan.Changes {
		if c.Kind == "server" && c.ID == id {
			return schema.Target{Kind: "server", ID: id, Name: c.Name}
		}
	}
	return schema.Target{Kind: "server", ID: id, Name: id}
}

func (d *decider) online(server schema.Target, st Standing) (online, known bool) {
	return st.Online, st.Server.ID != "" && server.ID == st.Server.ID
}

// settings decides by the settings that change: its own, its repo's, variables it
// names.
func (d *decider) settings(c resource.Change, config any, x *schema.SyncDeploy) {
	var why []string
	idle := idleFeeds(c.Kind)
	var keys []string
	for _, f := range c.Fields {
		if !slices.Contains(idle, f.Key) {
			keys = append(keys, f.Key)
		}
	}
	if len(keys) > 0 {
		why = append(why, "settings that feed it change: "+strings.Join(keys, ", "))
	}
	if st, ok := config.(schema.StackConfig); ok && d.repos[st.LinkedRepo] != "" {
		why = append(why, d.repos[st.LinkedRepo])
	}
	if len(d.vars) > 0 {
		text, err := json.Marshal(config)
		for name, how := range d.vars {
			if err == nil && strings.Contains(string(text), "[["+name+"]]") {
				why = append(why, how)
			}
		}
		slices.Sort(why)
	}
	if len(why) > 0 {
		x.What, x.Reason, x.Changes = whatDeploy, strings.Join(why, "; "), keys
	}
}

// standing decides by how it stands.
func (d *decider) standing(kind string, st Standing, x *schema.SyncDeploy) {
	last := st.Deployed
	switch st.State {
	case "down", "stopped", "exited", "dead", "created", "paused", "not_deployed", "removing":
		x.What, x.Reason = whatDeploy, fmt.Sprintf("%s is %s", kind, strings.ReplaceAll(st.State, "_", " "))
		return
	}
	switch {
	case kind == "stack" && last == nil:
		x.What, x.Reason = whatDeploy, "it was not deployed by Berth yet"
	case last != nil && last.Dirty != "":
		x.What, x.Reason = whatDeploy, "what runs is not what was deployed last: "+last.Dirty
	}
}

// afterParents decides by what goes before it: what comes after something that is
// deployed is deployed too.
func (d *decider) afterParents(c resource.Change, x *schema.SyncDeploy) {
	var names []string
	for _, t := range c.After {
		if d.going[t.Kind+"/"+t.ID] {
			x.After = append(x.After, t)
			names = append(names, t.Name)
		}
	}
	if len(names) > 0 && x.What == whatUnchanged {
		x.What, x.Reason = whatDeploy, "it comes after "+strings.Join(names, ", ")+", which is deployed"
	}
}

// check looks whether the files of a stack that is created or changed are there,
// so that a wrong path is found before anything is saved.
func (d *decider) check(ctx context.Context, c schema.SyncChange, config schema.StackConfig) error {
	x := schema.SyncDeploy{Kind: c.Kind, ID: c.ID, Name: c.Name}
	f := files{d: d, ctx: ctx, config: config, deploy: &x}
	if err := f.locate(); err != nil {
		return err
	}
	if x.What == whatFailed {
		d.plan.Issues = append(d.plan.Issues, schema.SyncIssue{File: c.File, Line: c.Line, Key: "stack." + c.Name, Text: x.Reason, Warning: true})
	}
	return nil
}
