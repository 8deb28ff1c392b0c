package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"berth/core"
	"berth/core/resource"
	"berth/schema"
)

func (p *program) checkCommand() *cobra.Command {
	var strict bool
	c := &cobra.Command{
		Use: "check FILE…|DIR…|-", Short: "Look for mistakes in TOML files, without a core", Args: cobra.MinimumNArgs(1),
		Long: `Read the files as core would, and say what is wrong as file:line: key: what.
The scripts of actions are compiled, the compose files that stacks hold are read.
Nothing is asked of a core: what the files refer to and do not declare, and secrets
that are masked, are warnings; with --strict they are mistakes, and so is every
other warning. A folder stands for all *.toml files in it and below; - is the
standard input.

Exit codes: 0 no mistake · 2 mistakes`,
		Example: "  berth check .\n  berth check --strict stacks.toml servers.toml\n  berth check --json ./berth",
		RunE: func(c *cobra.Command, args []string) error {
			files, err := p.files(args)
			if err != nil {
				return err
			}
			return p.check(c, files, strict)
		},
	}
	c.Flags().BoolVar(&strict, "strict", false, "warnings are mistakes")
	c.Flags().BoolVar(&p.asJSON, "json", false, "print JSON instead of text")
	return c
}

// checked is what `berth check --json` prints.
type checked struct {
	OK        bool             `json:"ok"`
	Files     int              `json:"files"`
	Resources map[string]int   `json:"resources"` // by kind
	Issues    []resource.Issue `json:"issues"`
}

func (p *program) check(c *cobra.Command, files []resource.File, strict bool) error {
	plan, err := core.Offline().PlanScope(c.Context(), files, resource.Scope{Loose: true})
	if err != nil {
		return err
	}
	out := checked{OK: true, Files: len(files), Resources: map[string]int{}, Issues: []resource.Issue{}}
	mistakes := 0
	for _, i := range slices.Concat(plan.Issues, inner(c.Context(), files, plan)) {
		i.Warning = i.Warning && !strict
		if !i.Warning {
			mistakes++
		}
		out.Issues = append(out.Issues, i)
	}
	for _, ch := range plan.Changes {
		out.Resources[ch.Kind]++
	}
	out.OK = mistakes == 0
	if p.asJSON {
		if err := p.printJSON(out); err != nil {
			return err
		}
	} else {
		p.printChecked(out, mistakes)
	}
	if !out.OK {
		return &exitError{schema.Invalid.ExitCode()}
	}
	return nil
}

func (p *program) printChecked(out checked, mistakes int) {
	for _, i := range out.Issues {
		if i.Warning {
			fmt.Fprint(p.out, "warning: ")
		}
		fmt.Fprintln(p.out, i)
	}
	total := 0
	for _, n := range out.Resources {
		total += n
	}
	what := fmt.Sprintf("%s, %s", count(out.Files, "file"), count(total, "resource"))
	if warnings := len(out.Issues) - mistakes; warnings > 0 {
		what += ", " + count(warnings, "warning")
	}
	if mistakes > 0 {
		fmt.Fprintf(p.err, "berth: %s: %s\n", what, count(mistakes, "mistake"))
		return
	}
	fmt.Fprintf(p.out, "%s: no mistake\n", what)
}

// count is a number of things: 1 file, 2 files.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
