package main

import (
	"github.com/spf13/cobra"

	"berth/core"
)

func (p *program) schemaCommand() *cobra.Command {
	var strict bool
	c := &cobra.Command{
		Use: "schema [KIND…]", Short: "Print the JSON Schema of TOML files, for editors",
		Long: `Print the JSON Schema (2020-12) of files that declare resources, of all kinds or of
those named. An editor with a TOML language server completes and explains with it:
put this line at the top of a file, or name the schema in the server's settings.

  #:schema ./berth.schema.json

Core serves the same at /docs/schema.json.`,
		Example: "  berth schema > berth.schema.json\n  berth schema --strict stack > stack.schema.json",
		RunE: func(_ *cobra.Command, args []string) error {
			doc, err := core.Offline().JSONSchema(strict, args...)
			if err != nil {
				return err
			}
			return p.printJSON(doc)
		},
		ValidArgsFunction: cobra.FixedCompletions(kindNames(), cobra.ShellCompDirectiveNoFileComp),
	}
	c.Flags().BoolVar(&strict, "strict", false, "unknown keys are mistakes; in files they are only warned of")
	return c
}

// kindNames are the kinds of resources.
func kindNames() []cobra.Completion {
	var out []cobra.Completion
	for _, k := range core.Offline().Kinds() {
		out = append(out, k.Name())
	}
	return out
}
