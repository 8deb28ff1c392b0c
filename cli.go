// Berth deploys compose stacks to servers when somebody pushes. This package is
// its one program: it reads arguments, environment and files, and then serves as
// core, as an agent, or as both, or asks a core's API for something.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"berth/core"
	"berth/core/api"
	"berth/periphery"
	"berth/schema"
)

// version is set when the program is built for a release.
var version = "dev" // the linker can set nothing else

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], world{name: os.Args[0], in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Getenv, environ: os.Environ()})
	stop()
	os.Exit(code)
}

// world is what the program sees of the outside.
type world struct {
	name     string // by which it was called
	in       io.Reader
	out, err io.Writer
	env      func(name string) string
	environ  []string
}

// program is one invocation.
type program struct {
	world
	asJSON, debug, told bool // told: which configuration is read
	client              clientFlags
	core                *api.Client // once there is one, and its address
	host                string
	tags                map[string]string // names by id, once they are known
}

// asKm reports whether the program was called km: `run` and `deploy` are other words
// for `execute` then, and lists leave out what is not running.
func (p *program) asKm() bool {
	return strings.TrimSuffix(filepath.Base(p.name), ".exe") == "km"
}

// run does what args say and returns the exit code.
func run(ctx context.Context, args []string, w world) int {
	p := &program{world: w}
	root := p.root() //nolint:contextcheck // cobra hands each command the context
	root.SetArgs(args)
	root.SetIn(w.in)
	root.SetOut(w.out)
	root.SetErr(w.err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	if _, ok := errors.AsType[*schema.Error](err); !ok { // cobra's own: what was typed is wrong
		err = schema.Errorf(schema.Invalid, "%v", err)
	}
	if ctx.Err() != nil && schema.CodeOf(err) != schema.Invalid {
		err = schema.Errorf(schema.Canceled, "stopped")
	}
	fmt.Fprintln(w.err, "berth: "+schema.SafeText(err))
	return schema.CodeOf(err).ExitCode()
}

// exitError ends the program with a code when everything is said.
type exitError struct{ code int }

func (e *exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "berth",
		Short: "A push deploys: compose stacks on your servers, from git",
		Long: `Berth deploys compose stacks to servers when somebody pushes, and says why,
what changed, and what happened.

Serve:
  berth up --data DIR               core and an agent of this machine in one process
  berth core --data DIR             core alone
  berth periphery --core URL …      an agent; "berth server join-token NAME" prints its line
  berth restore FILE --data DIR     core again, from a backup

Use (once signed in with "berth login URL"):
  berth check .                     look for mistakes in files, without a core
  berth apply stacks.toml           say what changes, ask, do it
  berth deploy web                  deploy a stack and watch
  berth run nightly                 run a procedure and watch
  berth runs                        what happened
  berth execute restart-stack web   everything else that can be executed
  berth ps                          containers, of all servers
  berth backup FILE                 everything core is built from, encrypted

Exit codes: 0 done · 1 failed · 2 wrong input · 3 not allowed · 4 not found
            5 conflict · 6 not reachable, try again · 7 canceled or superseded`,
		SilenceUsage: true, SilenceErrors: true, Version: version,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.TraverseChildren = true // -p before the command is another than after it
	p.global(root.Flags())
	_ = root.RegisterFlagCompletionFunc("profile", p.profiles) // the flag is there
	root.AddGroup(&cobra.Group{ID: "serve", Title: "Serve:"}, &cobra.Group{ID: "use", Title: "Use:"}, &cobra.Group{ID: "km", Title: "As km has it:"})
	p.add(root, "serve", p.restoreCommand())
	use := []*cobra.Command{
		p.loginCommand(), p.applyCommand(), p.planCommand(), p.syncCommand(), p.listCommand(), p.runsCommand(), p.serverCommand(),
		p.executeCommand(), p.keyCommand(), p.operatorCommand(), p.hooksCommand(), p.backupCommand(), p.exportCommand(),
	}
	if p.asKm() {
		root.Use = "km" // which serves nothing: `km core` is core-info
	} else {
		p.add(root, "serve", p.upCommand(), p.coreCommand(), p.peripheryCommand(), p.doctorCommand())
		use = append(use, p.deployCommand(), p.runCommand())
	}
	km := []*cobra.Command{
		p.coreInfoCommand(), p.containerCommand(), p.inspectCommand(), p.createCommand(), p.updateCommand(), p.copyCommand(),
		p.databaseCommand(), p.connectCommand(), p.execCommand(), p.attachCommand(),
	}
	for _, c := range append(slices.Clone(use), km...) {
		p.offer(c)
	}
	p.add(root, "use", append(use, p.checkCommand(), p.schemaCommand(), p.docsCommand())...)
	p.add(root, "km", append(km, p.configCommand())...)
	root.AddCommand(p.versionCommand())
	knowChildren(root)
	if p.asKm() {
		root.Long = kmLong
		sayKm(root)
	}
	return root
}

// kmLong is what is said of the program when it is called km.
const kmLong = `Berth's command line by the name that Komodo's has, with its commands and files.

  km list stacks -a                 what there is, and how it is
  km ps -s nexus                    containers
  km execute deploy-stack web -y    deploy a stack and watch
  km run procedure nightly -y       anything that can be executed
  km config                         which core is asked, and as whom
  km runs                           what happened

Configuration is ~/.config/komodo/komodo.cli.toml and KOMODO_CLI_*; "km login URL"
makes an API key and keeps it in Berth's own file.

Exit codes: 0 done · 1 failed · 2 wrong input · 3 not allowed · 4 not found
            5 conflict · 6 not reachable, try again · 7 canceled or superseded`

// sayKm makes examples those of the name that was typed.
func sayKm(c *cobra.Command) {
	if c.GroupID == "serve" {
		return
	}
	c.Example, c.Long = strings.ReplaceAll(c.Example, "berth ", "km "), strings.ReplaceAll(c.Long, "berth ", "km ")
	for _, sub := range c.Commands() {
		sayKm(sub)
	}
}

// add adds commands to a group of the root's.
func (p *program) add(root *cobra.Command, group string, list ...*cobra.Command) {
	for _, c := range list {
		c.GroupID = group
		root.AddCommand(c)
	}
}

// knowChildren makes a command that only has others below it say which, when it is
// given one that there is not.
func knowChildren(c *cobra.Command) {
	for _, sub := range c.Commands() {
		knowChildren(sub)
	}
	if c.Runnable() || !c.HasSubCommands() {
		return
	}
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.Help()
		}
		near := ""
		c.SuggestionsMinimumDistance = 2
		if list := c.SuggestionsFor(args[0]); len(list) > 0 {
			near = ": did you mean " + list[0] + "?"
		}
		return schema.Errorf(schema.Invalid, "unknown command %q for %q%s", args[0], c.CommandPath(), near)
	}
}

func (p *program) versionCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if p.asJSON {
				return p.printJSON(map[string]string{"version": version})
			}
			fmt.Fprintln(p.out, version)
			return nil
		},
	}
	c.Flags().BoolVar(&p.asJSON, "json", false, "print JSON instead of text")
	return c
}

// logger writes what the servers say, as text or JSON lines.
func (p *program) logger(format, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, schema.Errorf(schema.Invalid, "--log-level %q: want debug, info, warn or error", level)
	}
	opts := &slog.HandlerOptions{Level: l}
	switch format {
	case "json":
		return slog.New(slog.NewJSONHandler(p.err, opts)), nil
	case "text":
		return slog.New(slog.NewTextHandler(p.err, opts)), nil
	}
	return nil, schema.Errorf(schema.Invalid, "--log-format %q: want text or json", format)
}

// serving makes a command that reads its settings and then serves until it is
// told to stop.
func (p *program) serving(c *cobra.Command, in part, start func(ctx context.Context, log *slog.Logger, s *settings) error) *cobra.Command {
	s := newSettings(in)
	s.flags(c.Flags())
	c.Args = cobra.NoArgs
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := s.load(c.Flags(), p.env, p.environ); err != nil {
			return err
		}
		log, err := p.logger(s.format, s.lvl)
		if err != nil {
			return err
		}
		s.say(log)
		s.core.Log, s.core.Version, s.agent.Log, s.agent.Version = log, version, log, version
		s.core.Effective = s.effective()
		defer time.AfterFunc(settled, letGo).Stop()
		err = start(c.Context(), log, s)
		if err == nil || c.Context().Err() != nil && schema.CodeOf(err) == schema.Canceled {
			return nil
		}
		if _, ok := errors.AsType[*schema.Error](err); !ok {
			err = schema.Errorf(schema.Failed, "%v", err)
		}
		return err
	}
	return c
}

func (p *program) upCommand() *cobra.Command {
	return p.serving(&cobra.Command{
		Use: "up", Short: "Serve core and an agent of this machine",
		Example: "  berth up --data /var/lib/berth\n  BERTH_ADMIN_USERNAME=ada BERTH_ADMIN_PASSWORD_FILE=/run/secrets/ada berth up",
	}, inUp, func(ctx context.Context, _ *slog.Logger, s *settings) error {
		return runUp(ctx, s.core, s.agent, s.server)
	})
}

func (p *program) coreCommand() *cobra.Command {
	return p.serving(&cobra.Command{
		Use: "core", Short: "Serve core: API, pages, webhooks, and the bus for agents",
		Example: "  berth core --data /var/lib/berth --listen :9120\n  berth core --tls-cert cert.pem --tls-key key.pem --trusted-proxy 10.0.0.2",
	}, inCore, func(ctx context.Context, _ *slog.Logger, s *settings) error { return core.Run(ctx, s.core) })
}

func (p *program) peripheryCommand() *cobra.Command {
	c := p.serving(&cobra.Command{
		Use: "periphery", Aliases: []string{"agent"}, Short: "Serve as the agent of this machine",
		Long: `Serve as the agent of this machine. The first start needs --core and --token, as
"berth server join-token NAME" prints them; later ones need neither.`,
		Example: "  berth periphery --core https://core.example:9120 --token …",
	}, inAgent, func(ctx context.Context, log *slog.Logger, s *settings) error {
		periphery.LogLibraries(log)
		return periphery.Run(ctx, s.agent)
	})
	c.AddCommand(p.localUpCommand(), p.recipientCommand(), p.finishCommand())
	return c
}

func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return "local"
	}
	name, _, _ = strings.Cut(name, ".")
	return name
}
