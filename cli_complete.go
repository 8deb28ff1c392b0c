package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

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

// requests completes the name of a request, then what it works on, and its flags.
func (p *program) requests(c *cobra.Command, args []string, part string) ([]string, cobra.ShellCompDirective) {
	at := p.requestWord(args)
	if at < 0 {
		return p.requestNames(c), cobra.ShellCompDirectiveNoFileComp
	}
	e, known := execution(args[at])
	if !known {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	r := ofExecution(e)
	in := typed{named: map[string][]string{}}
	fs := p.flagSet(&r, &in)
	if strings.HasPrefix(part, "-") {
		var out []string
		fs.VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				out = append(out, cobra.CompletionWithDesc("--"+f.Name, f.Usage))
			}
		})
		return out, cobra.ShellCompDirectiveNoFileComp
	}
	_ = fs.Parse(append(slices.Clone(args[:at]), args[at+1:]...)) // as far as it is typed
	order := inOrder(r)
	n := min(fs.NArg(), len(order)-1)
	if n < 0 || fs.NArg() > n && order[n].Type != "array" {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return p.completed(c, e, order[n].Name), cobra.ShellCompDirectiveNoFileComp
}

// completed lists what a parameter of an execution may be.
func (p *program) completed(c *cobra.Command, e schema.ExecutionType, param string) []string {
	for _, q := range e.Params {
		if q.Name != param {
			continue
		}
		if request := listOf(q.Ref); request != "" {
			return p.namesOf(c, request)
		}
		if q.Type == "pattern" {
			return p.namesOf(c, listOf(strings.ToLower(e.Group)))
		}
	}
	if param == "container" {
		return p.containerNames(c)
	}
	return nil
}

// requestNames are executions, which are known, and what else core offers.
func (p *program) requestNames(c *cobra.Command) []string {
	var out []string
	for _, e := range schema.Executions() {
		out = append(out, cobra.CompletionWithDesc(kebab(e.Type), e.Doc))
	}
	rows, err := p.offers(c.Context())
	if err != nil {
		return out
	}
	for _, r := range rows {
		if _, known := execution(r.Name); !known {
			out = append(out, cobra.CompletionWithDesc(kebab(r.Name), r.Doc))
		}
	}
	return out
}

// completeContainer completes the name of a container.
func (p *program) completeContainer(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return p.containerNames(c), cobra.ShellCompDirectiveNoFileComp
}

// containerNames are the names of all containers.
func (p *program) containerNames(c *cobra.Command) []string {
	list, err := p.containers(c.Context(), 0, 0)
	if err != nil {
		return nil
	}
	var out []string
	for _, one := range list {
		out = append(out, one.Name)
	}
	return out
}
