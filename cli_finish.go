package main

import (
	"github.com/spf13/cobra"

	"berth/periphery"
	"berth/schema"
)

// finishCommand does what an agent in a container hands over to another one, when a
// deploy would replace its own.
func (p *program) finishCommand() *cobra.Command {
	var note string
	c := &cobra.Command{
		Use: "finish", Short: "Finish a deploy that an agent hands over on standard input", Hidden: true, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			log, err := p.logger("text", "info")
			if err != nil {
				return err
			}
			periphery.LogLibraries(log)
			return schema.Wrap(schema.Failed, periphery.Finish(c.Context(), c.InOrStdin(), note, log), "finish a deploy")
		},
	}
	c.Flags().StringVar(&note, "note", "", "where it notes that it has begun")
	return c
}
