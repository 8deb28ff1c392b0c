package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"berth/core/api"
)

// copyCommand makes resources of others.
func (p *program) copyCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "copy", Short: "Make a resource with the settings of another",
		Long: "Make a resource with the settings of another. The new one is deployed nowhere, and no template.",
	}
	for _, k := range []struct{ kind, typ string }{
		{"server", "Server"},
		{"stack", "Stack"},
		{"deployment", "Deployment"},
		{"build", "Build"},
		{"repo", "Repo"},
		{"procedure", "Procedure"},
		{"action", "Action"},
		{"sync", "ResourceSync"},
		{"builder", "Builder"},
		{"alerter", "Alerter"},
	} {
		c.AddCommand(&cobra.Command{
			Use: k.kind + " NAME NEW", Short: "Make a " + k.kind + " like another", Args: cobra.ExactArgs(2), ValidArgsFunction: p.names("List" + k.typ + "s"),
			Example: "  berth copy " + k.kind + " web web-next",
			RunE: func(c *cobra.Command, args []string) error {
				var out map[string]any
				if err := p.call(c.Context(), api.GroupWrite, "Copy"+k.typ, map[string]any{"id": args[0], "name": args[1]}, &out); err != nil {
					return err
				}
				if p.asJSON {
					return p.printJSON(out)
				}
				fmt.Fprintf(p.out, "Made %s %v.\n", k.kind, out["name"])
				return nil
			},
		})
	}
	return c
}
