package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"berth/schema"
)

// doctorCommand looks whether this machine is fit to serve.
func (p *program) doctorCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "doctor", Short: "Look whether this machine is fit for core or an agent, and say what to do",
		Long: `Look at everything that core, or an agent, with this configuration needs of this
machine: engine, disk, clock, names, hosts, keys, port, certificate, proxy. Each
check says ok, warn or fail, and what to do. The exit code is 1 when one fails.`,
		Example: "  berth doctor core\n  berth doctor periphery --config /etc/berth/berth.toml\n  berth doctor up --json",
	}
	c.AddCommand(p.doctorOf("core", inCore), p.doctorOf("up", inUp), p.doctorOf("periphery", inAgent))
	return c
}

func (p *program) doctorOf(name string, in part) *cobra.Command {
	s := newSettings(in)
	c := &cobra.Command{
		Use: name, Short: "Look at what `berth " + name + "` needs", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := s.load(c.Flags(), p.env, p.environ); err != nil {
				return err
			}
			return p.tell(newDoctor(s).examine(c.Context()))
		},
	}
	if in == inAgent {
		c.Aliases = []string{"agent"}
	}
	s.flags(c.Flags())
	c.Flags().BoolVar(&p.asJSON, "json", false, "print JSON instead of text")
	return c
}

// tell prints findings; it fails when one of them does.
func (p *program) tell(list []finding) error {
	bad := false
	for _, f := range list {
		bad = bad || f.Verdict == broken
		if p.asJSON {
			continue
		}
		fmt.Fprintf(p.out, "%-4s  %-18s %s\n", f.Verdict, f.Check, f.Found)
		if f.Do != "" {
			fmt.Fprintf(p.out, "      %-18s → %s\n", "", f.Do)
		}
	}
	if p.asJSON {
		if err := p.printJSON(list); err != nil {
			return err
		}
	}
	if bad {
		return &exitError{schema.Failed.ExitCode()}
	}
	return nil
}
