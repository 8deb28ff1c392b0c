package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"berth/cli/table"
	"berth/core/api"
	"berth/schema"
)

// listFlags say what of a list is printed, and how.
type listFlags struct {
	tags, names, servers, swarms, builders []string
	all, down, progress, links             bool
	format, templates                      string
	page                                   int
}

func (p *program) listCommand() *cobra.Command {
	var f listFlags
	c := &cobra.Command{
		Use: "list [KIND]", Aliases: []string{"ls", "resources"}, Short: "List what is declared, and how it is",
		Long: `List what is declared, and how it is: everything, or one kind. Names, servers and
builders may hold * and ?, and be given several times. States come in the order of
how well things are, except where it is what runs next.

Called as km, it leaves out what does not run, like km; -a lists that too.`,
		Args:    cobra.MaximumNArgs(1),
		Example: "  berth list\n  berth list stacks --tag prod\n  berth list deployments --down\n  berth list stacks -n 'web-*' -s nexus -l\n  berth list servers -f json",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				return schema.Errorf(schema.Invalid, "unknown kind %q: there are %s", args[0], strings.Join(listNames(c), ", "))
			}
			if err := p.format(&f.format); err != nil {
				return err
			}
			return p.listAll(c.Context(), f)
		},
	}
	offerList(&f, c.Flags())
	c.Flags().BoolVarP(&f.progress, "in-progress", "i", false, "only what something is done to now")
	c.Flags().BoolVar(&f.progress, "pending", false, "the same as --in-progress")
	c.Flags().IntVarP(&f.page, "page", "p", 0, "only this page, from 1; everything without")
	for _, k := range kindTables() {
		c.AddCommand(p.listOne(&f, k.kind, k.aliases, func(ctx context.Context) error {
			some, err := p.list(ctx, k, f, false)
			if err == nil && !some {
				p.sayNone(k.kind, f)
			}
			return err
		}))
	}
	c.AddCommand(
		p.listOne(&f, "terminals", []string{"terminal", "term", "tm"}, func(ctx context.Context) error { return p.listTerminals(ctx, f) }),
		p.listOne(&f, "schedules", []string{"schedule", "sched", "sc"}, func(ctx context.Context) error { return p.listSchedules(ctx, f) }),
		p.listOne(&f, "variables", []string{"variable", "var"}, p.listVariables),
		p.listOne(&f, "alerts", []string{"alert"}, p.listAlerts),
	)
	return c
}

func listNames(c *cobra.Command) []string {
	var out []string
	for _, sub := range c.Commands() {
		out = append(out, sub.Name())
	}
	return out
}

// listOne lists one kind.
func (p *program) listOne(f *listFlags, kind string, aliases []string, list func(ctx context.Context) error) *cobra.Command {
	c := &cobra.Command{
		Use: kind, Aliases: aliases, Short: "List " + kind, Args: cobra.NoArgs, Example: "  berth list " + kind + " -t prod -l\n  berth list " + kind + " -f json",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := p.format(&f.format); err != nil {
				return err
			}
			return list(c.Context())
		},
	}
	offerList(f, c.Flags())
	c.Flags().BoolVarP(&f.progress, "in-progress", "p", false, "only what something is done to now")
	c.Flags().BoolVar(&f.progress, "pending", false, "the same as --in-progress")
	_ = c.RegisterFlagCompletionFunc("server", p.names("ListServers")) // the flags are there
	_ = c.RegisterFlagCompletionFunc("builder", p.names("ListBuilders"))
	_ = c.RegisterFlagCompletionFunc("tag", p.names("ListTags"))
	if k, ok := tableOf(kind); ok {
		_ = c.RegisterFlagCompletionFunc("name", p.names(k.request))
	}
	return c
}

// offerList adds the flags that every list has.
func offerList(f *listFlags, fs *pflag.FlagSet) {
	fs.BoolVarP(&f.all, "all", "a", false, "in whatever state")
	fs.BoolP("reverse", "r", false, "accepted for scripts, without effect")
	fs.BoolVarP(&f.down, "down", "d", false, "only what is not running, or not well")
	fs.BoolVarP(&f.links, "links", "l", false, "with a link to the page of each")
	fs.StringVarP(&f.templates, "templates", "m", "exclude", "exclude, include or only")
	fs.StringSliceVarP(&f.names, "name", "n", nil, "only those whose name matches")
	fs.StringSliceVarP(&f.servers, "server", "s", nil, "only those on a server whose name matches")
	fs.StringSliceVarP(&f.swarms, "swarm", "w", nil, "only those on a swarm whose name matches")
	fs.StringSliceVarP(&f.builders, "builder", "b", nil, "only those of a builder whose name matches")
	fs.StringSliceVarP(&f.tags, "tag", "t", nil, "only those with the tag")
	fs.StringVarP(&f.format, "format", "f", "table", "table or json")
	_ = fs.MarkHidden("reverse") // it is there
}

// format reads how a list is printed.
func (p *program) format(name *string) error {
	switch *name {
	case "json", "j":
		p.asJSON = true
	case "", "table", "t":
	default:
		return schema.Errorf(schema.Invalid, "--format %q: want table or json", *name)
	}
	return nil
}

// listAll lists all kinds that something can happen to.
func (p *program) listAll(ctx context.Context, f listFlags) error {
	gap := false
	for _, k := range kindTables() {
		if k.part {
			continue
		}
		here := f
		if p.asKm() && len(k.usual) == 0 && !f.all && !f.down { // km: only those in progress
			here.progress = true
		}
		some, err := p.list(ctx, k, here, gap)
		if k.kind == "swarms" && schema.CodeOf(err) == schema.NotFound {
			continue // a core that has none
		}
		if err != nil {
			return err
		}
		gap = gap || some
	}
	if !gap {
		p.sayNone("resources", f)
	}
	return nil
}

// sayNone tells whoever sits there that a list is empty, and what to do. Programs, and
// people who call us km, get the empty list.
func (p *program) sayNone(kind string, f listFlags) {
	if terminal(p.err) && !p.asJSON && !p.asKm() {
		fmt.Fprintln(p.err, f.none(kind))
	}
}

// none is what is said of an empty list.
func (f listFlags) none(kind string) string {
	named := len(f.tags) + len(f.names) + len(f.servers) + len(f.swarms) + len(f.builders)
	switch {
	case named > 0 || f.down || f.progress || f.page > 1 || !slices.Contains([]string{"", "exclude"}, strings.ToLower(f.templates)):
		return fmt.Sprintf("No %s are as the flags ask: without them all are listed.", kind)
	case kind == "servers":
		return "There are no servers that you may see: `berth create onboarding-key` makes a key with which they let themselves in."
	}
	return fmt.Sprintf("There are no %s that you may see: declare some in a file and `berth apply` it, or make them on core's pages.", kind)
}

// listedItem is an item as it is kept for printing.
type listedItem struct {
	item
	json map[string]any
}

// list prints the table of a kind, and reports whether there was anything.
func (p *program) list(ctx context.Context, k kindTable, f listFlags, gap bool) (bool, error) {
	all, hidden, err := p.items(ctx, k, f)
	if err != nil {
		return false, err
	}
	if hidden > 0 && terminal(p.err) && !p.asJSON {
		fmt.Fprintf(p.err, "%s more that %s not running: -a lists all\n", count(hidden, strings.TrimSuffix(k.kind, "s")), isOrAre(hidden))
	}
	if p.asJSON {
		kept := []any{}
		for _, one := range all {
			kept = append(kept, one.json)
		}
		return true, p.printJSON(kept)
	}
	if len(all) == 0 {
		return false, nil
	}
	if gap {
		fmt.Fprintln(p.out)
	}
	header, rows := append(slices.Clone(k.header), "Tags"), [][]string{}
	if f.links {
		header = append(header, "Link")
	}
	for _, one := range all {
		one.Info.State = table.Kebab(one.Info.State)
		row := append(k.row(one.item), strings.Join(one.Tags, ", "))
		if f.links {
			row = append(row, p.link(k.kind, one.Name))
		}
		rows = append(rows, row)
	}
	return true, p.table(header, rows)
}

func isOrAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// items asks for a kind and keeps what the flags let through, in order, with names in
// place of ids; and counts what is only left out because nobody asked for it.
func (p *program) items(ctx context.Context, k kindTable, f listFlags) (kept []listedItem, hidden int, err error) {
	params, err := f.params()
	if err != nil {
		return nil, 0, err
	}
	var raw []json.RawMessage
	if err := p.call(ctx, api.GroupRead, k.request, params, &raw); err != nil {
		return nil, 0, err
	}
	names, err := p.tagNames(ctx)
	if err != nil {
		return nil, 0, err
	}
	builders, err := p.builderNames(ctx, k)
	if err != nil {
		return nil, 0, err
	}
	for _, one := range raw {
		var i item
		if err := json.Unmarshal(one, &i); err != nil {
			return nil, 0, schema.Wrap(schema.Internal, err, "read the answer of %s", k.request)
		}
		i.Info.BuilderID = cmp.Or(builders[i.Info.BuilderID], i.Info.BuilderID)
		for n, t := range i.Tags {
			i.Tags[n] = cmp.Or(names[t], t)
		}
		wanted, err := f.takes(k, i)
		switch {
		case err != nil:
			return nil, 0, err
		case !wanted:
			continue
		case p.unusual(k, f, i):
			hidden++
			continue
		}
		v, err := k.named(one, i)
		if err != nil {
			return nil, 0, err
		}
		kept = append(kept, listedItem{i, v})
	}
	slices.SortStableFunc(kept, func(a, b listedItem) int { return k.order(a.item, b.item) })
	return kept, hidden, nil
}

// unusual reports whether km leaves an item out unless it is told otherwise.
func (p *program) unusual(k kindTable, f listFlags, i item) bool {
	return p.asKm() && !f.all && !f.down && !f.progress && len(k.usual) > 0 && !slices.Contains(k.usual, i.Info.State)
}

// named is what core sent, with names in place of ids.
func (k kindTable) named(raw json.RawMessage, i item) (map[string]any, error) {
	v, err := withNames(raw, i.Tags)
	if info, ok := v["info"].(map[string]any); ok && (k.kind == "stacks" || k.kind == "deployments") && i.Info.Server != "" {
		info["server_id"] = i.Info.Server
	}
	return v, err
}

// withNames is what core sent, with the names of tags.
func withNames(raw json.RawMessage, tags []string) (map[string]any, error) {
	v, err := schema.ReadJSON(raw)
	if err != nil {
		return nil, schema.Wrap(schema.Internal, err, "read a list")
	}
	if tags != nil {
		v["tags"] = tags
	}
	return v, nil
}

// params are what core is asked for.
func (f listFlags) params() (map[string]any, error) {
	templates := map[string]string{"": "Exclude", "exclude": "Exclude", "include": "Include", "only": "Only"}[strings.ToLower(f.templates)]
	if templates == "" {
		return nil, schema.Errorf(schema.Invalid, "--templates %q: want exclude, include or only", f.templates)
	}
	params := map[string]any{"query": map[string]any{"tags": append([]string{}, f.tags...), "templates": templates}}
	switch {
	case f.page < 0:
		return nil, schema.Errorf(schema.Invalid, "--page %d: the first is 1", f.page)
	case f.page == 0:
		params["limit"] = 0
	default:
		params["page"] = f.page - 1
	}
	return params, nil
}

// matches reports whether a text is what some pattern says; no pattern is any text.
func matches(patterns []string, text string) (bool, error) {
	for _, one := range patterns {
		m, err := schema.ParsePattern(one)
		if err != nil {
			return false, err
		}
		if m.Match(text) {
			return true, nil
		}
	}
	return len(patterns) == 0, nil
}

// takes reports whether the flags let an item through.
func (f listFlags) takes(k kindTable, i item) (bool, error) {
	for _, m := range []struct {
		patterns []string
		text     string
	}{{f.names, i.Name}, {f.servers, i.Info.Server}, {f.swarms, i.Info.Swarm}, {f.builders, i.Info.BuilderID}} {
		if fits, err := matches(m.patterns, m.text); err != nil || !fits {
			return false, err
		}
	}
	down := len(k.good) > 0 && !slices.Contains(k.good, i.Info.State)
	return (!f.down || down) && (!f.progress || slices.Contains(k.busy, i.Info.State)), nil
}

// tagNames are the names of tags by their ids.
func (p *program) tagNames(ctx context.Context) (map[string]string, error) {
	if p.tags != nil {
		return p.tags, nil
	}
	var list []struct {
		ID struct {
			OID string `json:"$oid"`
		} `json:"_id"`
		Name string `json:"name"`
	}
	if err := p.call(ctx, api.GroupRead, "ListTags", nil, &list); err != nil {
		return nil, err
	}
	p.tags = map[string]string{}
	for _, t := range list {
		p.tags[t.ID.OID] = t.Name
	}
	return p.tags, nil
}

// builderNames are the names of builders by their ids, for the kind that has some.
func (p *program) builderNames(ctx context.Context, k kindTable) (map[string]string, error) {
	out := map[string]string{}
	if k.kind != "builds" {
		return out, nil
	}
	var items []item
	err := p.call(ctx, api.GroupRead, "ListBuilders", map[string]any{"limit": 0}, &items)
	for _, i := range items {
		out[i.ID] = i.Name
	}
	return out, err
}
