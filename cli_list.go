package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"berth/core/api"
	"berth/schema"
)

// item is a resource in a list, of any kind.
type item struct {
	ID   string   `json:"id"`
	Name string   `json:"name"`
	Tags []string `json:"tags"`
	Info struct {
		State    string `json:"state"`
		Server   string `json:"server_name"`
		Status   string `json:"status"`
		Version  any    `json:"version"` // a text, or a build's three numbers
		Repo     string `json:"repo"`
		Branch   string `json:"branch"`
		Hash     string `json:"cloned_hash"`
		Deployed string `json:"deployed_hash"`
		Stages   int    `json:"stages"`
		LastRun  int64  `json:"last_run_at"`
		Image    string `json:"image"`
		Built    int64  `json:"last_built_at"`
		Synced   int64  `json:"last_sync_ts"`
		SyncHash string `json:"last_sync_hash"`
	} `json:"info"`
}

// kindTable is a kind that can be listed.
type kindTable struct {
	kind, request string
	aliases       []string
	header        []string
	row           func(i item) []string
}

func kindTables() []kindTable {
	return []kindTable{
		{"servers", "ListServers", []string{"server", "sv"}, []string{"SERVER", "STATE", "VERSION"}, func(i item) []string {
			return []string{i.Name, i.Info.State, i.version()}
		}},
		{"stacks", "ListStacks", []string{"stack", "st"}, []string{"STACK", "STATE", "SERVER", "COMMIT"}, func(i item) []string {
			return []string{i.Name, i.Info.State, i.Info.Server, i.Info.Deployed}
		}},
		{"deployments", "ListDeployments", []string{"deployment", "dp"}, []string{"DEPLOYMENT", "STATE", "SERVER", "IMAGE"}, func(i item) []string {
			return []string{i.Name, i.Info.State, i.Info.Server, i.Info.Image}
		}},
		{"builds", "ListBuilds", []string{"build", "bd"}, []string{"BUILD", "STATE", "VERSION", "LAST BUILD"}, func(i item) []string {
			return []string{i.Name, i.Info.State, i.version(), when(i.Info.Built)}
		}},
		{"repos", "ListRepos", []string{"repo", "rp"}, []string{"REPO", "STATE", "SERVER", "BRANCH", "COMMIT"}, func(i item) []string {
			return []string{i.Name, i.Info.State, i.Info.Server, i.Info.Branch, i.Info.Hash}
		}},
		{"procedures", "ListProcedures", []string{"procedure", "pr"}, []string{"PROCEDURE", "STATE", "STAGES", "LAST RUN"}, func(i item) []string {
			return []string{i.Name, i.Info.State, fmt.Sprint(i.Info.Stages), when(i.Info.LastRun)}
		}},
		{"actions", "ListActions", []string{"action", "ac"}, []string{"ACTION", "STATE", "LAST RUN"}, func(i item) []string {
			return []string{i.Name, i.Info.State, when(i.Info.LastRun)}
		}},
		{"syncs", "ListResourceSyncs", []string{"sync", "rs"}, []string{"SYNC", "STATE", "BRANCH", "COMMIT", "LAST SYNC"}, func(i item) []string {
			return []string{i.Name, i.Info.State, i.Info.Branch, i.Info.SyncHash, when(i.Info.Synced)}
		}},
	}
}

// version is a server's, or that of a build's newest image.
func (i item) version() string {
	v, numbers := i.Info.Version.(map[string]any)
	if numbers {
		return fmt.Sprintf("%v.%v.%v", v["major"], v["minor"], v["patch"])
	}
	text, _ := i.Info.Version.(string)
	return text
}

// listNames are the kinds that can be listed, variables the last.
func listNames() []string {
	var out []string
	for _, k := range kindTables() {
		out = append(out, k.kind)
	}
	return append(out, "variables")
}

func (p *program) listCommand() *cobra.Command {
	var tags []string
	c := &cobra.Command{
		Use: "list [" + strings.Join(listNames(), "|") + "]", Aliases: []string{"ls"}, Short: "List what is declared, and how it is",
		Args: cobra.MaximumNArgs(1), ValidArgs: listNames(),
		Example: "  berth list\n  berth list stacks --tag prod\n  berth list servers --json",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 && strings.HasPrefix(args[0], "var") {
				return p.listVariables(c.Context())
			}
			for i, k := range kindTables() {
				if len(args) == 1 && args[0] != k.kind && !slices.Contains(k.aliases, args[0]) {
					continue
				}
				if err := p.list(c.Context(), k, tags, len(args) == 0 && i > 0); err != nil {
					return err
				}
				if len(args) == 1 {
					return nil
				}
			}
			if len(args) == 1 {
				return schema.Errorf(schema.Invalid, "unknown kind %q: there are %s", args[0], strings.Join(listNames(), ", "))
			}
			return nil
		},
	}
	c.Flags().StringSliceVarP(&tags, "tag", "t", nil, "only those with the tag")
	c.Flags().BoolP("all", "a", true, "in whatever state; accepted for scripts, it is always so")
	return c
}

func (p *program) list(ctx context.Context, k kindTable, tags []string, gap bool) error {
	params := map[string]any{"limit": 0, "query": map[string]any{"tags": append([]string{}, tags...)}}
	var raw json.RawMessage
	if err := p.call(ctx, api.GroupRead, k.request, params, &raw); err != nil {
		return err
	}
	if p.asJSON {
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			return schema.Wrap(schema.Internal, err, "read the answer of %s", k.request)
		}
		return p.printJSON(v)
	}
	var items []item
	if err := json.Unmarshal(raw, &items); err != nil {
		return schema.Wrap(schema.Internal, err, "read the answer of %s", k.request)
	}
	if len(items) == 0 {
		return nil
	}
	if gap {
		fmt.Fprintln(p.out)
	}
	var rows [][]string
	for _, i := range items {
		rows = append(rows, k.row(i))
	}
	return p.table(k.header, rows)
}

func (p *program) listVariables(ctx context.Context) error {
	type variable struct {
		Name        string `json:"name"`
		Value       string `json:"value"`
		Description string `json:"description"`
		IsSecret    bool   `json:"is_secret"`
	}
	l := listing{"ListVariables", nil, []string{"VARIABLE", "VALUE", "DESCRIPTION"}}
	return show(ctx, p, l, func(v variable) []string { return []string{v.Name, brief(v.Value), v.Description} })
}

// listing is a request for a list, and how its table is headed.
type listing struct {
	request string
	params  any
	header  []string
}

// show prints what core answers to a listing: as JSON, or a row for each.
func show[T any](ctx context.Context, p *program, l listing, row func(T) []string) error {
	var list []T
	if err := p.call(ctx, api.GroupRead, l.request, l.params, &list); err != nil {
		return err
	}
	if p.asJSON {
		return p.printJSON(list)
	}
	var rows [][]string
	for _, v := range list {
		rows = append(rows, row(v))
	}
	return p.table(l.header, rows)
}

// names completes an argument with the names of a kind's resources.
func (p *program) names(request string) cobra.CompletionFunc {
	return func(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		var items []item
		if p.call(c.Context(), api.GroupRead, request, map[string]any{"limit": 0}, &items) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var out []string
		for _, i := range items {
			out = append(out, i.Name)
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

// when is a time as people read it; ms is unix milliseconds.
func when(ms int64) string {
	if ms == 0 {
		return "-"
	}
	return time.UnixMilli(ms).Format("2006-01-02 15:04:05")
}
