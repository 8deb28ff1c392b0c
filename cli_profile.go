package main

import (
	"cmp"
	"fmt"

	"github.com/spf13/cobra"

	"berth/cli/profile"
	"berth/core/api"
)

// clientConfigCommand shows what the command line is configured to.
func (p *program) clientConfigCommand() *cobra.Command {
	var all, unsanitized bool
	c := &cobra.Command{
		Use: "config", Aliases: []string{"cfg", "cf"}, Short: "Which core is asked, and as whom; the configuration of core and agents", Args: cobra.NoArgs,
		Long: `Print which core the command line asks, as whom, and which files say so. The commands
below are about the configuration of what serves: all keys, and what a file says.`,
		Example: "  berth config\n  berth -p staging config\n  berth config --all-profiles\n  berth config reference",
		RunE: func(*cobra.Command, []string) error {
			a, s, err := p.findAccount()
			if err != nil {
				return err
			}
			tree := map[string]any{
				"default_profile": cmp.Or(s.wanted, s.komodo.Here.Default, s.komodo.Home.Default), "host": a.Host, "cli_key": a.Key, "cli_secret": a.Secret,
				"table_borders": cmp.Or(a.Borders, "Horizontal"), "backups_folder": cmp.Or(a.BackupsFolder, "/backups"), "max_backups": cmp.Or(a.MaxBackups, "14"),
			}
			for _, other := range []string{"database", "database_target", "cli_logging"} {
				if v := s.komodo.Merged[other]; v != nil {
					tree[other] = v
				}
			}
			if all {
				tree["profile"] = s.profiles()
			}
			if !unsanitized {
				tree = profile.Redacted(tree)
			}
			tree["files"] = append([]string{}, s.files()...)
			if !p.asJSON {
				fmt.Fprintln(p.out, "CLI Config")
			}
			return p.printJSON(tree)
		},
	}
	c.Flags().BoolVarP(&all, "all-profiles", "a", false, "the other profiles too")
	c.Flags().BoolVar(&unsanitized, "unsanitized", false, "with secrets in clear")
	p.offer(c)
	return c
}

// files are those that say something.
func (s clientSettings) files() []string {
	var out []string
	if s.own.Host != "" || len(s.own.Profiles) > 0 {
		out = append(out, s.own.From)
	}
	return append(out, s.komodo.Files...)
}

// profiles lists those of all files.
func (s clientSettings) profiles() []any {
	out := []any{}
	for _, one := range s.own.Profiles {
		out = append(out, map[string]any{"config_profile": one.Name, "config_aliases": one.Aliases, "host": one.Host, "cli_key": one.Key, "cli_secret": one.Secret})
	}
	list, _ := s.komodo.Merged["profile"].([]any) // without, there is none
	return append(out, list...)
}

func (p *program) coreInfoCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "core-info", Short: "Print what core says of itself", Args: cobra.NoArgs, Example: "  berth core-info",
		RunE: func(c *cobra.Command, _ []string) error {
			var info map[string]any
			if err := p.call(c.Context(), api.GroupRead, "GetCoreInfo", nil, &info); err != nil {
				return err
			}
			return p.printJSON(info)
		},
	}
	if p.asKm() {
		c.Aliases = []string{"core"}
	}
	return c
}

// programName is what users typed.
func (p *program) programName() string {
	if p.asKm() {
		return "km"
	}
	return "berth"
}
