package main

import (
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"

	"berth/schema"
)

// docsCommand writes what --help says as files.
func (p *program) docsCommand() *cobra.Command {
	c := &cobra.Command{Use: "docs", Short: "Write the command line's documentation as files"}
	man := &cobra.Command{
		Use: "man DIR", Short: "Write man pages, one for each command", Args: cobra.ExactArgs(1),
		Long:    "Write man pages of section 1, one for each command and each execution, into a folder that is made if it is missing.",
		Example: "  berth docs man /usr/local/share/man/man1\n  man berth-execute-deploy-stack",
		RunE: func(c *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil { //nolint:gosec // everybody reads manuals
				return schema.Errorf(schema.Invalid, "write man pages: %v", err)
			}
			root := c.Root()
			root.DisableAutoGenTag = true
			p.executionPages(root)
			header := doc.GenManHeader{Section: "1", Source: "Berth " + version, Manual: "Berth"}
			if err := doc.GenManTree(root, &header, args[0]); err != nil {
				return schema.Errorf(schema.Failed, "write man pages: %v", err)
			}
			return nil
		},
	}
	c.AddCommand(man)
	return c
}

// executionPages makes a command of each execution, to be described like the others.
func (p *program) executionPages(root *cobra.Command) {
	execute, _, err := root.Find([]string{"execute"})
	if err != nil {
		return // it is there
	}
	for _, e := range schema.Executions() {
		r := ofExecution(e)
		c := &cobra.Command{
			Use: kebab(e.Type), Short: e.Doc, Long: e.Doc + "\n\n" + p.usage(r),
			RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
		}
		p.flagSet(&r, &typed{named: map[string][]string{}}).VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" {
				c.Flags().AddFlag(f)
			}
		})
		execute.AddCommand(c)
	}
}
