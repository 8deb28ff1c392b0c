package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"berth/core/api"
	"berth/schema"
)

// offered is a request as core describes it.
type offered struct {
	Group   api.Group
	Name    string
	Aliases []string
	Doc     string
	Needs   string
	Params  []api.Param
	Example map[string]any
}

func (p *program) executeCommand() *cobra.Command {
	var noWait, yes bool
	c := &cobra.Command{
		Use: "execute REQUEST [ARGUMENT…]", Aliases: []string{"x", "send"}, Short: "Ask core for anything it can do, by its name",
		Long: `Ask core for anything it can do: every request of the API in kebab-case. Required
parameters, then the others, are arguments in the order core lists them; the last
list takes all that is left. Each can also be given as --name value.

"berth execute" alone lists what there is; "berth execute REQUEST --help" explains
one. Executions are watched until they end.`,
		Example: `  berth execute restart-stack web
  berth execute stop-stack web --stop-time 30 -y
  berth execute batch-deploy-stack 'web-*' -y
  berth execute get-stack web          reads print JSON`,
		DisableFlagParsing: true, ValidArgsFunction: p.requests,
		RunE: func(c *cobra.Command, args []string) error {
			in, err := p.parseExecute(args)
			if err != nil {
				return err
			}
			return p.execute(c, in)
		},
	}
	// For --help and completions only: what follows the request is parsed by its parameters.
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	c.Flags().BoolVar(&noWait, "no-wait", false, "only start, do not watch")
	return c
}

// typed is what was typed after `execute`.
type typed struct {
	request           string
	args              []string
	named             map[string][]string
	yes, noWait, help bool
}

// parseExecute splits what was typed. Flags may stand anywhere.
func (p *program) parseExecute(args []string) (typed, error) {
	in := typed{named: map[string][]string{}}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			in.args = append(in.args, args...)
			return in, nil
		case isFlag(arg):
			var err error
			if args, err = p.parseFlag(&in, arg, args); err != nil {
				return in, err
			}
		case in.request == "":
			in.request = arg
		default:
			in.args = append(in.args, arg)
		}
	}
	return in, nil
}

// isFlag tells flags from arguments, negative numbers and "-".
func isFlag(arg string) bool {
	_, err := strconv.ParseFloat(arg, 64)
	return strings.HasPrefix(arg, "-") && arg != "-" && err != nil
}

// parseFlag takes a flag, and its value from rest when it needs one.
func (p *program) parseFlag(in *typed, arg string, rest []string) ([]string, error) {
	name, value, given := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	switch name {
	case "y", "yes":
		in.yes = true
		return rest, nil
	case "no-wait":
		in.noWait = true
		return rest, nil
	case "json":
		p.asJSON = true
		return rest, nil
	case "h", "help":
		in.help = true
		return rest, nil
	}
	if long := shortFlag(in.request, name); long != "" {
		name = long
		if given = given || isSwitch(name); given && value == "" {
			value = "true"
		}
	}
	if !given && len(rest) > 0 && !isFlag(rest[0]) {
		value, rest, given = rest[0], rest[1:], true
	}
	if name != "alerters" && !isSwitch(name) {
		if known, err := p.client.take(name, value); known {
			return rest, err
		}
	}
	if !given {
		value = "true"
	}
	name = strings.ReplaceAll(name, "-", "_")
	in.named[name] = append(in.named[name], value)
	return rest, nil
}

// isSwitch reports whether km writes a parameter without a value.
func isSwitch(name string) bool { return name == "skip_auto_update" || name == "force" }

// take reads the flags that every client verb has.
func (f *clientFlags) take(name, value string) (bool, error) {
	to := map[string]*string{
		"a": &f.host, "host": &f.host, "k": &f.key, "key": &f.key, "s": &f.secret, "secret": &f.secret, "pin": &f.pin,
		"p": &f.profile, "profile": &f.profile,
	}[name]
	if to == nil {
		return false, nil
	}
	if value == "" {
		return true, schema.Errorf(schema.Invalid, "--%s needs a value", name)
	}
	*to = value
	return true, nil
}

// executionAlias returns the execution that km's short name stands for.
func executionAlias(name string) string {
	long, ok := map[string]string{
		"stack": "deploy-stack", "st": "deploy-stack", "dp": "deploy", "deployment": "deploy", "build": "run-build", "bd": "run-build",
		"clone": "clone-repo", "procedure": "run-procedure", "pr": "run-procedure", "action": "run-action", "ac": "run-action",
		"sync": "run-sync", "sn": "run-sync", "commit": "commit-sync", "alert": "send-alert",
		"backup": "backup-core-database", "backup-db": "backup-core-database", "backup-database": "backup-core-database",
		"auto-update": "global-auto-update", "rotate-keys": "rotate-all-server-keys",
	}[name]
	if ok {
		return long
	}
	return name
}

// shortFlag returns the parameter that km's one letter stands for after a request;
// "" when it stands for none.
func shortFlag(request, letter string) string {
	return map[string]string{
		"send-alert -l": "level", "send-alert -d": "details", "send-alert -a": "alerters",
		"cancel-procedure -u": "update_id", "cancel-action -u": "update_id",
		"global-auto-update -s": "skip_auto_update", "rotate-core-keys -f": "force", "run-stack-service -e": "env",
	}[executionAlias(request)+" -"+letter]
}

// kebab turns DeployStack into deploy-stack.
func kebab(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

func (p *program) execute(c *cobra.Command, in typed) error {
	if in.request == "" && in.help {
		return c.Help()
	}
	var rows []offered
	if err := p.call(c.Context(), api.GroupRead, "ListRequests", nil, &rows); err != nil {
		return err
	}
	if in.request == "" {
		return p.listRequests(rows)
	}
	found, err := findRequest(rows, executionAlias(in.request))
	if err != nil {
		return err
	}
	if in.help {
		p.explain(found)
		return nil
	}
	params, err := bind(found, in)
	if err != nil {
		return err
	}
	if found.Group != api.GroupRead && !in.yes {
		text, _ := json.Marshal(params) // plain values
		if err := p.confirm(fmt.Sprintf("%s %s?", found.Name, text)); err != nil {
			return err
		}
	}
	return p.perform(c.Context(), found, params, in.noWait)
}

// perform asks core, and watches what that started.
func (p *program) perform(ctx context.Context, r offered, params map[string]any, noWait bool) error {
	var raw json.RawMessage
	if err := p.call(ctx, r.Group, r.Name, params, &raw); err != nil {
		return err
	}
	if r.Group != api.GroupRead { // some writes start a run too
		started, err := updates(raw)
		if err != nil {
			return err
		}
		started = slices.DeleteFunc(started, func(u api.Update) bool { return u.ID == nil })
		if len(started) > 0 {
			return p.watch(ctx, started, noWait)
		}
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return schema.Wrap(schema.Internal, err, "read the answer of %s", r.Name)
	}
	return p.printJSON(v)
}

func findRequest(rows []offered, name string) (offered, error) {
	var names []string
	for _, r := range rows {
		if kebab(r.Name) == name || r.Name == name {
			return r, nil
		}
		names = append(names, kebab(r.Name))
		for _, a := range r.Aliases {
			if kebab(a) == name {
				return r, nil
			}
		}
	}
	for _, e := range schema.Executions() {
		if e.Type != "None" && (kebab(e.Type) == name || e.Type == name) {
			return offered{}, schema.Errorf(schema.Unsupported, "%s is not in this version: `berth execute` lists what is", e.Type)
		}
	}
	if near := schema.Nearest(name, names); near != "" {
		return offered{}, schema.Errorf(schema.Invalid, "unknown request %q: did you mean %s?", name, near)
	}
	return offered{}, schema.Errorf(schema.Invalid, "unknown request %q: `berth execute` lists all", name)
}

func usage(r offered) string {
	parts := []string{"berth execute " + kebab(r.Name)}
	for _, q := range inOrder(r) {
		name := strings.ToUpper(q.Name)
		if q.Type == "array" {
			name += "…"
		}
		if !q.Required {
			name = "[" + name + "]"
		}
		parts = append(parts, name)
	}
	return strings.Join(parts, " ")
}

func (p *program) explain(r offered) {
	fmt.Fprintf(p.out, "%s\n\n%s\nNeeds: %s\n", r.Doc, usage(r), r.Needs)
	for _, q := range r.Params {
		fmt.Fprintf(p.out, "  --%-16s %-8s %s\n", strings.ReplaceAll(q.Name, "_", "-"), q.Type, q.Doc)
	}
}

func (p *program) listRequests(rows []offered) error {
	if p.asJSON {
		return p.printJSON(rows)
	}
	var lines [][]string
	for _, g := range []api.Group{api.GroupExecute, api.GroupRead, api.GroupWrite} {
		for _, r := range rows {
			if r.Group == g {
				lines = append(lines, []string{kebab(r.Name), string(r.Group), r.Doc})
			}
		}
	}
	return p.table([]string{"REQUEST", "GROUP", "WHAT IT DOES"}, lines)
}
