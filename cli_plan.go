package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"berth/core/api"
	"berth/schema"
)

// planCommand says what would be done, and why, without doing it.
func (p *program) planCommand() *cobra.Command {
	c := &cobra.Command{Use: "plan", Short: "Say what would be done, and why"}
	c.AddCommand(p.planSyncCommand())
	return c
}

func (p *program) planSyncCommand() *cobra.Command {
	var params struct {
		Sync      string   `json:"sync"`
		Commit    string   `json:"commit,omitempty"`
		Type      string   `json:"resource_type,omitempty"`
		Resources []string `json:"resources,omitempty"`
	}
	c := &cobra.Command{
		Use: "sync NAME", Short: "Say what a run of a resource sync would do", Args: cobra.ExactArgs(1), ValidArgsFunction: p.names("ListResourceSyncs"),
		Long: `Read the sync's source and say what a run would create, change, delete and deploy,
each with its reason, and what is left alone. Nothing is changed. The exit code is
0 when there is nothing to do or a plan, 2 when the files have mistakes.`,
		Example: "  berth plan sync homeops\n  berth plan sync homeops --commit 1a2b3c4d\n  berth plan sync homeops --type Stack --json",
		RunE: func(c *cobra.Command, args []string) error {
			params.Sync = args[0]
			var plan api.SyncPlanned
			if err := p.call(c.Context(), api.GroupRead, "PlanSync", params, &plan); err != nil {
				return err
			}
			if p.asJSON {
				if err := p.printJSON(plan); err != nil {
					return err
				}
			} else {
				fmt.Fprint(p.out, plan.Text)
			}
			if plan.Problem != nil {
				return &exitError{schema.Invalid.ExitCode()}
			}
			return nil
		},
	}
	c.Flags().StringVar(&params.Commit, "commit", "", "this commit instead of the branch's newest")
	c.Flags().StringVar(&params.Type, "type", "", "only resources of this type, such as Stack")
	c.Flags().StringSliceVar(&params.Resources, "resource", nil, "only this resource, by name or id; may be repeated")
	return c
}

// syncCommand runs a sync and watches it.
func (p *program) syncCommand() *cobra.Command {
	var f waitFlags
	var yes bool
	params := map[string]any{}
	var typ, commit string
	var confirm bool
	c := &cobra.Command{
		Use: "sync NAME [RESOURCE…]", Short: "Bring resources to what a sync's files declare, and watch", Args: cobra.MinimumNArgs(1),
		ValidArgsFunction: p.names("ListResourceSyncs"),
		Long: `Do what "berth plan sync NAME" says: all of it, or only the resources that are
named. Deletes beyond the sync's limit need --confirm-deletes.`,
		Example: "  berth sync homeops\n  berth sync homeops web immich --type Stack\n  berth sync homeops --confirm-deletes",
		RunE: func(c *cobra.Command, args []string) error {
			params["sync"] = args[0]
			if len(args) > 1 {
				params["resources"] = args[1:]
			}
			if typ != "" {
				params["resource_type"] = typ
			}
			if commit != "" {
				params["commit"] = commit
			}
			if confirm {
				params["confirm_deletes"] = true
			}
			var u api.Update
			if err := p.call(c.Context(), api.GroupExecute, "RunSync", params, &u); err != nil {
				return err
			}
			return p.watch(c.Context(), []api.Update{u}, f.noWait)
		},
	}
	c.Flags().StringVar(&typ, "type", "", "only resources of this type, such as Stack")
	c.Flags().StringVar(&commit, "commit", "", "this commit instead of the branch's newest")
	c.Flags().BoolVar(&confirm, "confirm-deletes", false, "delete also more than the sync's limit allows")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "accepted for scripts; nothing is asked")
	f.offer(c)
	return c
}
