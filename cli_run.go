package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"berth/core/api"
	"berth/schema"
)

// waitFlags say whether to watch what was started.
type waitFlags struct{ noWait bool }

func (f *waitFlags) offer(c *cobra.Command) {
	c.Flags().BoolVar(&f.noWait, "no-wait", false, "only start, do not watch")
}

func (p *program) deployCommand() *cobra.Command {
	var f waitFlags
	var services []string
	var ifChanged bool
	var yes bool
	c := &cobra.Command{
		Use: "deploy [stack|deployment] NAME…", Aliases: []string{"dep"}, Short: "Deploy stacks or deployments and watch", Args: cobra.MinimumNArgs(1), ValidArgsFunction: p.subject([]string{"stack", "deployment", "dp"}, "ListStacks"),
		Long:    "Deploy stacks and watch until they are done. A name with * or ? stands for all that match.",
		Example: "  berth deploy web\n  berth deploy 'edge-*' --if-changed\n  berth deploy web --service proxy",
		RunE: func(c *cobra.Command, args []string) error {
			request, param := "DeployStack", "stack"
			if len(args) > 1 { // as km writes it
				switch args[0] {
				case "stack", "st":
					args = args[1:]
				case "deployment", "dp":
					request, param, args = "Deploy", "deployment", args[1:]
				}
			}
			if param != "stack" && (ifChanged || len(services) > 0) {
				return schema.Errorf(schema.Invalid, "a deployment is one container: --service and --if-changed are of stacks")
			}
			if ifChanged {
				request = "DeployStackIfChanged"
			}
			var started []api.Update
			var refused error
			for _, name := range args {
				list, err := p.start(c.Context(), request, param, name, services)
				started, refused = append(started, list...), cmp.Or(refused, err)
				if err != nil {
					break
				}
			}
			if refused != nil && len(started) == 0 {
				return refused
			}
			err := p.watch(c.Context(), started, f.noWait)
			return cmp.Or(refused, err) // what was started is watched all the same
		},
	}
	c.Flags().StringSliceVar(&services, "service", nil, "only these services")
	c.Flags().BoolVar(&ifChanged, "if-changed", false, "only what changed since the last good deploy")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "accepted for scripts; nothing is asked")
	f.offer(c)
	return c
}

// start starts an execution on a resource, or on all that match a pattern.
func (p *program) start(ctx context.Context, request, param, name string, services []string) ([]api.Update, error) {
	if !strings.ContainsAny(name, "*?\\") {
		params := map[string]any{param: name}
		if len(services) > 0 {
			params["services"] = services
		}
		var u api.Update
		if err := p.call(ctx, api.GroupExecute, request, params, &u); err != nil {
			return nil, err
		}
		return []api.Update{u}, nil
	}
	var raw json.RawMessage
	if err := p.call(ctx, api.GroupExecute, "Batch"+request, map[string]any{"pattern": name}, &raw); err != nil {
		return nil, err
	}
	list, err := updates(raw)
	if err == nil && len(list) == 0 {
		err = schema.Errorf(schema.NotFound, "no %s matches %q", param, name)
	}
	return list, err
}

// updates reads the answer of an execution: one Update, or the items of a batch.
func updates(raw json.RawMessage) ([]api.Update, error) {
	var one api.Update
	if json.Unmarshal(raw, &one) == nil && one.Status != "" {
		return []api.Update{one}, nil
	}
	var items []struct {
		Status string          `json:"status"`
		Data   json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(raw, &items); err != nil {
		return nil, nil //nolint:nilerr // it started nothing: the answer is for the user as it is
	}
	var out []api.Update
	var failed []error
	for _, i := range items {
		var u api.Update
		var bad struct {
			Name  string `json:"name"`
			Error struct {
				Error string `json:"error"`
			} `json:"error"`
		}
		if i.Status == "Ok" && json.Unmarshal(i.Data, &u) == nil {
			out = append(out, u)
		} else if json.Unmarshal(i.Data, &bad) == nil {
			failed = append(failed, schema.Errorf(schema.Failed, "%s: %s", bad.Name, bad.Error.Error))
		}
	}
	return out, errors.Join(failed...)
}

func (p *program) runCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "run [procedure|action|build|sync|EXECUTION] NAME [ARGS]", Short: "Run a procedure, an action, a build … and watch",
		Long: `Run a procedure, or what the first word says: an action, a build, a sync, or any
execution, as "berth execute" has them. What is named by its kind is not asked about.`,
		ValidArgsFunction:  p.subject([]string{"procedure", "action", "build", "sync", "stack", "deployment"}, "ListProcedures"),
		Example:            "  berth run nightly\n  berth run nightly --no-wait\n  berth run action tidy \"keep=3&dry=true\"\n  berth run build web\n  berth run restart-stack web",
		DisableFlagParsing: true,
	}
	p.executeFlags(c.Flags(), new(typed)) // for --help
	c.RunE = func(c *cobra.Command, args []string) error {
		in := typed{named: map[string][]string{}}
		fs := p.flagSet(nil, &in)
		fs.ParseErrorsAllowlist.UnknownFlags = true
		_ = fs.Parse(args)
		words := fs.Args()
		if len(words) > 1 && !slices.Contains([]string{"procedure", "pr", "action", "ac", "build", "bd"}, words[0]) {
			return p.executeArgs(c, args, executionAlias(words[0]) != words[0])
		}
		in = typed{named: map[string][]string{}}
		fs = p.flagSet(nil, &in)
		if err := fs.Parse(args); err != nil {
			return schema.Errorf(schema.Invalid, "run: %v", err)
		}
		if in.help {
			return c.Help()
		}
		if len(words) == 0 {
			return schema.Errorf(schema.Invalid, "say what to run: %s", c.UseLine())
		}
		started, err := p.run(c.Context(), fs.Args())
		if err != nil {
			return err
		}
		return p.watch(c.Context(), started, in.noWait)
	}
	return c
}

// run starts what the arguments of the run verb name, as km writes them too: a
// procedure, or an action with its arguments as the query of an address.
func (p *program) run(ctx context.Context, args []string) ([]api.Update, error) {
	kind := ""
	if len(args) > 1 {
		kind, args = args[0], args[1:]
	}
	switch {
	case (kind == "action" || kind == "ac") && len(args) == 1:
		return p.start(ctx, "RunAction", "action", args[0], nil)
	case kind == "action" || kind == "ac":
		values, err := queryArgs(args[1])
		if err != nil {
			return nil, err
		}
		var u api.Update
		err = p.call(ctx, api.GroupExecute, "RunAction", map[string]any{"action": args[0], "args": values}, &u)
		return []api.Update{u}, err
	case (kind == "build" || kind == "bd") && len(args) == 1:
		return p.start(ctx, "RunBuild", "build", args[0], nil)
	case len(args) == 1 && (kind == "" || kind == "procedure" || kind == "pr"):
		return p.start(ctx, "RunProcedure", "procedure", args[0], nil)
	}
	return nil, schema.Errorf(schema.Invalid, "%s takes one name", kind)
}

// watch follows runs to their ends, one after the other, and fails when one did.
func (p *program) watch(ctx context.Context, started []api.Update, noWait bool) error {
	if noWait {
		if p.asJSON {
			return p.printJSON(started)
		}
		for _, u := range started {
			fmt.Fprintln(p.out, u.ID.OID)
		}
		return nil
	}
	c, err := p.api()
	if err != nil {
		return err
	}
	worst := schema.StateSucceeded
	var runs []*schema.Run
	for _, u := range started {
		if u.ID == nil {
			continue
		}
		f := newFollow(p)
		if err := c.Follow(ctx, u.ID.OID, f.item); err != nil {
			if ctx.Err() != nil {
				return schema.Errorf(schema.Canceled, "no longer watched; it goes on: berth runs cancel %s ends it", u.ID.OID)
			}
			return err
		}
		root := f.runs[u.ID.OID]
		runs = append(runs, root)
		if !root.State.Good() {
			worst = root.State
		}
	}
	if p.asJSON {
		if err := p.printJSON(runs); err != nil {
			return err
		}
	}
	return ended(worst)
}

// ended is the exit of a command whose run ended in a state.
func ended(s schema.RunState) error {
	switch s {
	case schema.StateCanceled, schema.StateSuperseded:
		return &exitError{schema.Canceled.ExitCode()}
	case schema.StateFailed:
		return &exitError{schema.Failed.ExitCode()}
	default:
		return nil
	}
}
