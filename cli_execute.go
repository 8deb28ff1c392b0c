package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"berth/core/api"
	"berth/schema"
)

func (p *program) executeCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "execute REQUEST [ARGUMENT…]", Aliases: []string{"x", "send"}, Short: "Ask core for anything it can do, by its name",
		Long: `Ask core for anything it can do: every execution, and every other request of the
API, in kebab-case. Required parameters, then the others, are arguments in their
order; a list takes all that is left. Each can also be given as --name value, before
or after; those that are on or off only so.

"berth execute" alone lists what there is; "berth execute REQUEST --help" explains
one. Executions are watched until they end, and the exit code says how they did.

Short names: stack, st = deploy-stack · dp = deploy · build, bd = run-build ·
clone = clone-repo · procedure, pr = run-procedure · action, ac = run-action ·
sync = run-sync · commit = commit-sync · alert = send-alert · auto-update =
global-auto-update · backup = backup-core-database · rotate-keys =
rotate-all-server-keys`,
		Example: `  berth execute restart-stack web
  berth execute stop-stack web --stop-time 30 -y
  berth execute action tidy "keep=3&dry=true" -y
  berth execute batch-deploy-stack 'web-*' -y
  berth send alert "disk is full" -l warning -a phone -y
  berth execute get-stack web          reads print JSON`,
		DisableFlagParsing: true, ValidArgsFunction: p.requests,
		RunE: func(c *cobra.Command, args []string) error { return p.executeArgs(c, args, false) },
	}
	if p.asKm() {
		c.Aliases = []string{"x", "run", "deploy", "dep", "send"}
	}
	p.executeFlags(c.Flags(), new(typed)) // for --help: what follows is parsed by the request's parameters
	return c
}

// typed is what was typed after `execute`.
type typed struct {
	request           string
	args              []string
	named             map[string][]string
	yes, noWait, help bool
	sure              bool // nothing is asked, though --yes is not said
}

// executeFlags adds what can be said with every request.
func (p *program) executeFlags(fs *pflag.FlagSet, in *typed) {
	fs.BoolVarP(&in.yes, "yes", "y", false, "do not ask")
	fs.BoolVar(&in.noWait, "no-wait", false, "only start, do not watch")
	if in.named != nil { // a command has its own
		fs.BoolVarP(&in.help, "help", "h", false, "explain")
	}
}

// flagSet is what can be said with a request: that, whom to ask, and its parameters.
// Letters are the request's before they are anybody's.
func (p *program) flagSet(r *offered, in *typed) *pflag.FlagSet {
	fs := pflag.NewFlagSet("execute", pflag.ContinueOnError)
	fs.SetOutput(p.err)
	fs.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		return pflag.NormalizedName(strings.ReplaceAll(name, "_", "-"))
	})
	p.executeFlags(fs, in)
	whom := cobra.Command{}
	p.offer(&whom)
	whom.Flags().VisitAll(func(f *pflag.Flag) {
		if r == nil {
			fs.AddFlag(f)
			return
		}
		f.Shorthand = ""
		fs.AddFlag(f)
	})
	if r == nil {
		return fs
	}
	for _, q := range r.Params {
		w := wordFor(r.Name, q.Name)
		for i, name := range append([]string{kebabParam(q.Name)}, w.names...) {
			if fs.Lookup(name) != nil {
				continue // --secret is the API key's
			}
			v := &value{in: in, param: q.Name, kind: q.Type}
			f := &pflag.Flag{Name: name, Usage: q.Doc, Value: v, Hidden: i > 0}
			if i == 0 {
				f.Shorthand = w.letter
			}
			if q.Type == "boolean" {
				f.NoOptDefVal = "true"
			}
			fs.AddFlag(f)
		}
	}
	for name, letter := range map[string]string{"host": "a", "key": "k", "secret": "s", "profile": "p"} {
		if f := fs.Lookup(name); f != nil && fs.ShorthandLookup(letter) == nil {
			short := *f
			short.Name, short.Shorthand, short.Hidden = name+"-of-core", letter, true
			fs.AddFlag(&short)
		}
	}
	return fs
}

// value collects what a flag of a request is given.
type value struct {
	in          *typed
	param, kind string
}

// Set implements pflag.Value.
func (v *value) Set(text string) error {
	v.in.named[v.param] = append(v.in.named[v.param], text)
	return nil
}

// String implements pflag.Value.
func (v *value) String() string { return "" }

// Type implements pflag.Value.
func (v *value) Type() string {
	switch v.kind {
	case "boolean":
		return "bool"
	case "array":
		return "strings"
	}
	return v.kind
}

// requestWord returns where in args the name of the request is, -1 when there is none:
// the first that is neither a flag nor a flag's value.
func (p *program) requestWord(args []string) int {
	fs := p.flagSet(nil, &typed{named: map[string][]string{}})
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			return i
		}
		if arg == "--" || strings.Contains(arg, "=") {
			continue
		}
		f := fs.Lookup(strings.TrimLeft(arg, "-"))
		if f == nil && len(arg) == 2 {
			f = fs.ShorthandLookup(arg[1:])
		}
		if f != nil && f.NoOptDefVal == "" {
			i++
		}
	}
	return -1
}

// executeArgs does what was typed after `execute`. Flags may stand anywhere.
func (p *program) executeArgs(c *cobra.Command, args []string, sure bool) error {
	in := typed{named: map[string][]string{}, sure: sure}
	at := p.requestWord(args)
	if at < 0 {
		if err := p.flagSet(nil, &in).Parse(args); err != nil {
			return schema.Errorf(schema.Invalid, "%v", err)
		}
		if in.help {
			return c.Help()
		}
		rows, err := p.offers(c.Context())
		if err != nil {
			return err
		}
		return p.listRequests(rows)
	}
	in.request = args[at]
	if p.onlyHere(in.request) {
		return p.nothing()
	}
	r, err := p.request(c.Context(), in.request, args)
	if err != nil {
		return err
	}
	fs := p.flagSet(&r, &in)
	if err := fs.Parse(append(slices.Clone(args[:at]), args[at+1:]...)); err != nil {
		if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
			return schema.Errorf(schema.Invalid, "%s has no parameter --%s: %s", kebab(r.Name), unknown.GetSpecifiedName(), p.usage(r))
		}
		return schema.Errorf(schema.Invalid, "%s: %v", kebab(r.Name), err)
	}
	if in.help {
		p.explain(r, fs)
		return nil
	}
	in.args = fs.Args()
	return p.execute(c.Context(), r, in)
}

// onlyHere reports whether a request is nothing that core knows: km's `none`.
func (p *program) onlyHere(request string) bool { return request == "none" || request == "None" }

// nothing does the execution None.
func (p *program) nothing() error {
	if p.asJSON {
		return p.printJSON(map[string]any{})
	}
	fmt.Fprintln(p.out, "FINISHED in 0.0s: EXECUTION SUCCESSFUL")
	return nil
}

// execute asks before anything happens, does it, and says how it ended.
func (p *program) execute(ctx context.Context, r offered, in typed) error {
	params, err := p.bind(r, in)
	if err != nil {
		return err
	}
	if !looks(r) {
		if err := p.agreed(r, params, in); err != nil {
			return err
		}
	}
	return p.perform(ctx, r, params, in.noWait)
}

// looks reports whether a request changes nothing: there is nothing to agree to.
func looks(r offered) bool {
	return r.Group == api.GroupRead || strings.HasPrefix(r.Name, "List") || strings.HasPrefix(r.Name, "Get")
}

// unsecret is what of parameters may stand on a screen and in a script's log.
func unsecret(params map[string]any) map[string]any {
	shown := make(map[string]any, len(params))
	for name, v := range params {
		switch inner, nested := v.(map[string]any); {
		case nested:
			shown[name] = unsecret(inner)
		case name == "value" && params["is_secret"] == true, v != "" && slices.Contains([]string{"password", "secret", "token", "private_key", "webhook_secret", "code"}, name):
			shown[name] = "•••"
		default:
			shown[name] = v
		}
	}
	return shown
}

// agreed says what would be done, and asks.
func (p *program) agreed(r offered, params map[string]any, in typed) error {
	if !p.asJSON && !in.noWait {
		text, _ := json.Marshal(unsecret(params)) // plain values
		fmt.Fprintf(p.out, "Mode: Execution\nData: %s %s\n", r.Name, text)
	}
	if in.yes || in.sure {
		return nil
	}
	if !terminal(p.in) {
		return schema.Errorf(schema.Invalid, "nobody to ask: give --yes")
	}
	fmt.Fprint(p.err, "Press ENTER to run execution, Ctrl-C to leave it ")
	if _, err := p.readLine(); err != nil {
		return schema.Errorf(schema.Canceled, "nothing was done")
	}
	return nil
}

// perform asks core, and watches what that started.
func (p *program) perform(ctx context.Context, r offered, params map[string]any, noWait bool) error {
	var raw json.RawMessage
	if err := p.call(ctx, r.Group, r.Name, params, &raw); err != nil {
		return err
	}
	if r.Group != api.GroupRead { // some writes start a run too
		started, refused := updates(raw)
		started = slices.DeleteFunc(started, func(u api.Update) bool { return u.ID == nil })
		if len(started) > 0 {
			err := p.finish(ctx, started, noWait)
			return cmp.Or(refused, err) // what was started is watched all the same
		}
		if refused != nil {
			return refused
		}
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return schema.Wrap(schema.Internal, err, "read the answer of %s", r.Name)
	}
	return p.printJSON(v)
}

// finish watches runs as km does: where each can be looked at, and how it ended.
func (p *program) finish(ctx context.Context, started []api.Update, noWait bool) error {
	if noWait || p.asJSON {
		return p.watch(ctx, started, noWait)
	}
	var worst error
	for _, u := range started {
		fmt.Fprintf(p.out, "Link: '%s/runs/%s'\n", p.host, u.ID.OID)
		begun := time.Now()
		err := p.watch(ctx, []api.Update{u}, false)
		took := time.Since(begun).Seconds()
		if err == nil {
			fmt.Fprintf(p.out, "FINISHED in %.1fs: EXECUTION SUCCESSFUL\n", took)
			continue
		}
		if _, ended := errors.AsType[*exitError](err); !ended {
			return err
		}
		fmt.Fprintf(p.err, "FINISHED in %.1fs: EXECUTION FAILED\n", took)
		worst = err
	}
	return worst
}
