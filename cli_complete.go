package main

import (
	"slices"

	"github.com/spf13/cobra"

	"berth/core/api"
	"berth/schema"
)

// names completes an argument with the names of resources, as requests list them.
func (p *program) names(requests ...string) cobra.CompletionFunc {
	return func(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		var out []string
		for _, request := range requests {
			out = append(out, p.namesOf(c, request)...)
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

// namesOf asks core for names; a completion that fails is none.
func (p *program) namesOf(c *cobra.Command, request string) []string {
	var items []item
	if p.call(c.Context(), api.GroupRead, request, map[string]any{"limit": 0}, &items) != nil {
		return nil
	}
	var out []string
	for _, i := range items {
		out = append(out, i.Name)
	}
	return out
}

// listOf is the request that lists a kind: ListResourceSyncs.
func listOf(kind string) string {
	if t := schema.TypeOf(kind); t != "" {
		return "List" + t + "s"
	}
	return ""
}

// subject completes what follows the word of a kind, and the words themselves:
// `run` and `deploy` name the kind, or leave it out for the usual one.
func (p *program) subject(words []string, usual string) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return append(p.namesOf(c, usual), words...), cobra.ShellCompDirectiveNoFileComp
		}
		if k, ok := tableOf(args[0]); ok && slices.Contains(words, args[0]) {
			return p.namesOf(c, k.request), cobra.ShellCompDirectiveNoFileComp
		}
		if usual == "ListStacks" { // any number of them
			return p.namesOf(c, usual), cobra.ShellCompDirectiveNoFileComp
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}

// requests completes the name of a request, then what it works on.
func (p *program) requests(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		name := executionAlias(args[0])
		for _, e := range schema.Executions() {
			if kebab(e.Type) != name || len(e.Params) < len(args) {
				continue
			}
			if request := listOf(e.Params[len(args)-1].Ref); request != "" {
				return p.namesOf(c, request), cobra.ShellCompDirectiveNoFileComp
			}
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var rows []offered
	if p.call(c.Context(), api.GroupRead, "ListRequests", nil, &rows) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	for _, r := range rows {
		out = append(out, cobra.CompletionWithDesc(kebab(r.Name), r.Doc))
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
