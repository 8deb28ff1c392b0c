package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// configCommand is about the configuration: of the command line, and of what serves.
func (p *program) configCommand() *cobra.Command {
	c := p.clientConfigCommand()
	c.AddCommand(&cobra.Command{
		Use: "reference", Short: "List every key, Komodo's and ours", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			fmt.Fprint(p.out, reference())
			return nil
		},
	}, p.configCheck("core", inCore), p.configCheck("up", inUp), p.configCheck("periphery", inAgent))
	return c
}

// configCheck reads a configuration as a process would that is started here.
func (p *program) configCheck(name string, in part) *cobra.Command {
	s := newSettings(in)
	c := &cobra.Command{
		Use: name, Short: "Read the configuration as `berth " + name + "` would, and say what it comes to", Args: cobra.NoArgs,
		Example: "  berth config " + name + "\n  berth config " + name + " --config /etc/berth/berth.toml",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := s.load(c.Flags(), p.env, p.environ); err != nil {
				return err
			}
			if p.asJSON {
				return p.printJSON(s.shown())
			}
			for _, x := range s.shown() {
				fmt.Fprintf(p.out, "%-24s %-32s %s%s\n", x.Key, x.Value, x.From, x.why())
			}
			return nil
		},
	}
	s.flags(c.Flags())
	c.Flags().BoolVar(&p.asJSON, "json", false, "print JSON instead of text")
	return c
}

// shown is a setting as people are shown it.
type shown struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	From  string `json:"from"`
	None  string `json:"without_effect,omitempty"`
}

func (x shown) why() string {
	if x.None == "" {
		return ""
	}
	return " (without effect: " + x.None + ")"
}

// shown are the settings that have a value, secrets hidden.
func (s *settings) shown() []shown {
	var out []shown
	for _, x := range s.list {
		if !s.mine(x) || x.value == "" && len(x.items) == 0 {
			continue
		}
		one := shown{Key: x.title(), Value: strings.ReplaceAll(x.value, "\n", ", "), From: x.from, None: x.none}
		switch {
		case x.read.kind == tables:
			one.Value = fmt.Sprintf("%d tables", len(x.items))
		case x.secret:
			one.Value = "(secret)"
		}
		if one.From == "" {
			one.From = "default"
		}
		out = append(out, one)
	}
	return out
}
