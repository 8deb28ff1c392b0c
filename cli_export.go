package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"berth/core/api"
	"berth/schema"
)

func (p *program) exportCommand() *cobra.Command {
	var o exportFlags
	c := &cobra.Command{
		Use: "export [KIND[/NAME]…]", Short: "Write resources as TOML files have them",
		Long: `Write what core holds as TOML that loads back to the same state: everything, all of
a kind, or single resources. Secrets are masked, and loading the text leaves them
as they are; with --secrets they are in clear, to move to another core.

Everything at once holds variables and user groups, and is for administrators, as
--secrets is; with names or --tag it is what you may read.`,
		Example: "  berth export\n  berth export stack/web server\n  berth export --tag prod -o prod.toml\n  berth export --secrets -o everything.toml",
		RunE:    func(c *cobra.Command, args []string) error { return p.export(c.Context(), args, o) },
	}
	c.Flags().BoolVar(&o.secrets, "secrets", false, "write secrets in clear")
	c.Flags().StringVarP(&o.file, "output", "o", "", "write into this file, which only you can read")
	c.Flags().StringSliceVarP(&o.tags, "tag", "t", nil, "only resources with the tag; without names")
	return c
}

type exportFlags struct {
	secrets bool
	file    string
	tags    []string
}

func (p *program) export(ctx context.Context, names []string, o exportFlags) error {
	request, params := "ExportAllResourcesToToml", map[string]any{
		"include_variables": len(o.tags) == 0, "include_user_groups": len(o.tags) == 0, "secrets": o.secrets, "tags": append([]string{}, o.tags...),
	}
	if len(names) > 0 {
		if len(o.tags) > 0 {
			return schema.Errorf(schema.Invalid, "give names or tags, not both")
		}
		targets, err := exportTargets(names)
		if err != nil {
			return err
		}
		request, params = "ExportResourcesToToml", map[string]any{"targets": targets, "secrets": o.secrets}
	}
	var answer struct {
		TOML string `json:"toml"`
	}
	if err := p.call(ctx, api.GroupRead, request, params, &answer); err != nil {
		return err
	}
	if o.file != "" {
		if err := os.WriteFile(o.file, []byte(answer.TOML), 0o600); err != nil {
			return schema.Errorf(schema.Invalid, "write the export: %v", err)
		}
		fmt.Fprintf(p.err, "%s written to %s\n", count(strings.Count("\n"+answer.TOML, "\n[[")-strings.Count(answer.TOML, ".stage]]"), "resource"), o.file)
		return nil
	}
	if p.asJSON {
		return p.printJSON(answer)
	}
	fmt.Fprint(p.out, answer.TOML)
	return nil
}

// exportTarget names a resource as requests do.
type exportTarget struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

// exportTargets turns stack/web, and stack for all of them, into what the request
// wants.
func exportTargets(names []string) ([]exportTarget, error) {
	var out []exportTarget
	known := kindNames()
	for _, arg := range names {
		kind, name, one := strings.Cut(arg, "/")
		if !slices.Contains(known, kind) && slices.Contains(known, strings.TrimSuffix(kind, "s")) {
			kind = strings.TrimSuffix(kind, "s")
		}
		if !slices.Contains(known, kind) {
			hint := ""
			if near := schema.Nearest(kind, known); near != "" {
				hint = ": did you mean " + near + "?"
			}
			return nil, schema.Errorf(schema.Invalid, "%q: want KIND/NAME, and there is no kind %q%s", arg, kind, hint)
		}
		if !one {
			name = "*"
		}
		out = append(out, exportTarget{kind, name})
	}
	return out, nil
}
