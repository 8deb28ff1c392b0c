package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"berth/periphery"
	"berth/schema"
)

// localSettings are what verbs for the server itself can be told: where the agent
// is and what it uses.
func localSettings(fs *pflag.FlagSet) *settings {
	s := newSettings(inAgent)
	s.flags(fs)
	for _, x := range s.list {
		if s.mine(x) && x.name != "" && !slices.Contains([]string{"data", "engine", "age-key-file"}, x.name) {
			_ = fs.MarkHidden(x.name) // it is there
		}
	}
	return s
}

// localUpCommand deploys without core.
func (p *program) localUpCommand() *cobra.Command {
	var req periphery.LocalReq
	var s *settings
	c := &cobra.Command{
		Use: "up STACK [SERVICE…]", Short: "Deploy a stack here and now, without core", Args: cobra.MinimumNArgs(1),
		Long: `Deploy a stack on the server this is run on, as it was deployed last, without asking
core: for when core is away. Files come from the clone that is there, variables from
what the agent kept, sealed with its age key. The deploy is in core's history as soon
as the agent can report it.`,
		Example: "  berth periphery up web\n  berth periphery up web proxy --pull",
		RunE: func(c *cobra.Command, args []string) error {
			if err := s.load(c.Flags(), p.env, p.environ); err != nil {
				return err
			}
			log, err := p.logger("text", "error")
			if err != nil {
				return err
			}
			s.agent.Log, s.agent.Version = log, version
			periphery.LogLibraries(log)
			req.Stack, req.Services = args[0], args[1:]
			return p.localUp(c, s.agent, req)
		},
	}
	s = localSettings(c.Flags())
	c.Flags().BoolVar(&req.Pull, "pull", false, "fetch the newest commit of its branch, and images")
	return c
}

func (p *program) localUp(c *cobra.Command, pc periphery.Config, req periphery.LocalReq) error {
	f := newFollow(p)
	f.names["local"] = req.Stack
	f.say("▸", "DeployStack "+req.Stack, "on this server, without core", "36")
	var mu sync.Mutex // guards n
	n := 0
	res, why, err := periphery.Up(c.Context(), pc, req, func(e schema.Entry) {
		mu.Lock()
		defer mu.Unlock()
		f.output(schema.Output{Command: "local", First: n, Entries: []schema.Entry{e}})
		n++
	})
	if err != nil {
		return err
	}
	later := "core has it in its history as soon as the agent reports it"
	if why != "" {
		later = why + ": " + later
	}
	if res.Problem != nil {
		f.say("✗", "DeployStack "+req.Stack, res.Problem.Text, "31")
		fmt.Fprintln(p.out, later)
		return &exitError{code: res.Problem.Code.ExitCode()}
	}
	f.say("✓", "DeployStack "+req.Stack, deployedText(res), "32")
	fmt.Fprintln(p.out, later)
	return nil
}

// deployedText is what a deploy decided.
func deployedText(res schema.Result) string {
	var up schema.StackUpResp
	if json.Unmarshal(res.Value, &up) != nil {
		return "deployed"
	}
	text := up.Decision.Reason
	if c := up.Commit.Commit; c != "" {
		text = c[:min(8, len(c))] + " " + text
	}
	return text
}

// recipientCommand tells for whom to encrypt.
func (p *program) recipientCommand() *cobra.Command {
	var s *settings
	c := &cobra.Command{
		Use: "recipient", Short: "Print the age recipient of this server, for .sops.yaml", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := s.load(c.Flags(), p.env, p.environ); err != nil {
				return err
			}
			list, err := periphery.Recipients(s.agent)
			if err != nil {
				return err
			}
			for _, r := range list {
				fmt.Fprintln(p.out, r)
			}
			return nil
		},
	}
	s = localSettings(c.Flags())
	return c
}
