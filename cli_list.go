package main

import (
	"cmp"
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
		State     string `json:"state"`
		Server    string `json:"server_name"`
		Address   string `json:"address"`
		Version   any    `json:"version"`
		Link      string `json:"repo_link"`
		Hash      string `json:"cloned_hash"`
		Deployed  string `json:"deployed_hash"`
		Synced    string `json:"last_sync_hash"`
		Image     string `json:"image"`
		BuilderID string `json:"builder_id"`
		Builder   string `json:"builder_type"`
		Enabled   bool   `json:"enabled"`
		Endpoint  string `json:"endpoint_type"`
		NextRun   int64  `json:"next_scheduled_run"`
		LastRun   int64  `json:"last_run_at"`
	} `json:"info"`
}

// version is an agent's or a build's, as text.
func (i item) version() string {
	switch v := i.Info.Version.(type) {
	case string:
		return v
	case map[string]any:
		return fmt.Sprintf("%v.%v.%v", v["major"], v["minor"], v["patch"])
	}
	return ""
}

// kindTable is a kind that can be listed.
type kindTable struct {
	kind, request string
	aliases       []string
	header        []string
	row           func(i item) []string // tags come after it
	good          []string              // states that are not down; none is all
	part          bool                  // only looked at when it is asked for
}

// kindTables are the kinds with km's columns, and then ours.
func kindTables() []kindTable {
	well := []string{"Ok", "Running", "Building", "Cloning", "Pulling", "Syncing", "Pending"}
	return []kindTable{
		{"servers", "ListServers", []string{"server", "sv"}, []string{"SERVER", "STATE", "ADDRESS", "VERSION"}, func(i item) []string {
			return []string{i.Name, i.Info.State, cmp.Or(i.Info.Address, "inbound"), i.version()}
		}, []string{"Ok"}, false},
		{"stacks", "ListStacks", []string{"stack", "st"}, []string{"STACK", "STATE", "SERVER", "COMMIT"}, func(i item) []string {
			return []string{i.Name, i.Info.State, i.Info.Server, i.Info.Deployed}
		}, []string{"running", "deploying"}, false},
		{"deployments", "ListDeployments", []string{"deployment", "dp"}, []string{"DEPLOYMENT", "STATE", "SERVER", "IMAGE"}, func(i item) []string {
			return []string{i.Name, i.Info.State, i.Info.Server, i.Info.Image}
		}, []string{"running", "deploying"}, false},
		{"builds", "ListBuilds", []string{"build", "bd"}, []string{"BUILD", "STATE", "BUILDER", "VERSION"}, func(i item) []string {
			return []string{i.Name, i.Info.State, i.Info.BuilderID, i.version()}
		}, well, false},
		{"repos", "ListRepos", []string{"repo", "rp"}, []string{"REPO", "STATE", "LINK", "SERVER", "COMMIT"}, func(i item) []string {
			return []string{i.Name, i.Info.State, i.Info.Link, i.Info.Server, i.Info.Hash}
		}, well, false},
		{"procedures", "ListProcedures", []string{"procedure", "pr"}, []string{"PROCEDURE", "STATE", "NEXT RUN", "LAST RUN"}, timed, well, false},
		{"actions", "ListActions", []string{"action", "ac"}, []string{"ACTION", "STATE", "NEXT RUN", "LAST RUN"}, timed, well, false},
		{"syncs", "ListResourceSyncs", []string{"sync", "sn"}, []string{"SYNC", "STATE", "COMMIT"}, func(i item) []string {
			return []string{i.Name, i.Info.State, i.Info.Synced}
		}, well, false},
		{"builders", "ListBuilders", []string{"builder", "bldr"}, []string{"BUILDER", "TYPE"}, func(i item) []string {
			return []string{i.Name, i.Info.Builder}
		}, nil, true},
		{"alerters", "ListAlerters", []string{"alerter", "alrt"}, []string{"ALERTER", "TYPE", "ENABLED"}, func(i item) []string {
			return []string{i.Name, i.Info.Endpoint, fmt.Sprint(i.Info.Enabled)}
		}, nil, true},
		{"swarms", "ListSwarms", []string{"swarm", "sw"}, []string{"SWARM", "STATE"}, func(i item) []string {
			return []string{i.Name, i.Info.State}
		}, nil, true},
		{"groups", "ListUserGroups", []string{"group", "user-groups"}, []string{"GROUP"}, func(i item) []string { return []string{i.Name} }, nil, true},
	}
}

func timed(i item) []string {
	return []string{i.Name, i.Info.State, when(i.Info.NextRun), when(i.Info.LastRun)}
}

// tableOf returns the table of a kind by its name or an alias of it.
func tableOf(kind string) (kindTable, bool) {
	for _, k := range kindTables() {
		if kind == k.kind || slices.Contains(k.aliases, kind) {
			return k, true
		}
	}
	return kindTable{}, false
}

// listFlags say what of a list is printed, and how.
type listFlags struct {
	tags, names, servers []string
	down, progress       bool
	format, templates    string
}

func (p *program) listCommand() *cobra.Command {
	var f listFlags
	kinds := []string{"variables", "schedules", "alerts"}
	for _, k := range kindTables() {
		kinds = append(kinds, k.kind)
	}
	c := &cobra.Command{
		Use: "list [KIND]", Aliases: []string{"ls", "resources"}, Short: "List what is declared, and how it is",
		Long: "List what is declared, and how it is: everything, or one kind.\n\nKinds: " + strings.Join(kinds, ", "),
		Args: cobra.MaximumNArgs(1), ValidArgs: kinds,
		Example: "  berth list\n  berth list stacks --tag prod\n  berth list deployments --down\n  berth list servers -f json",
		RunE: func(c *cobra.Command, args []string) error {
			switch f.format {
			case "json", "j":
				p.asJSON = true
			case "", "table", "t":
			default:
				return schema.Errorf(schema.Invalid, "--format %q: want table or json", f.format)
			}
			if len(args) == 1 {
				return p.listKind(c.Context(), args[0], f)
			}
			gap := false
			for _, k := range kindTables() {
				if k.part {
					continue
				}
				some, err := p.list(c.Context(), k, f, gap)
				if err != nil {
					return err
				}
				gap = gap || some
			}
			return nil
		},
	}
	fs := c.Flags()
	fs.StringSliceVarP(&f.tags, "tag", "t", nil, "only those with the tag")
	fs.StringSliceVarP(&f.names, "name", "n", nil, "only those whose name matches: * and ? stand for anything")
	fs.StringSliceVar(&f.servers, "server", nil, "only those on a server whose name matches")
	fs.BoolVarP(&f.down, "down", "d", false, "only what is not as it should be")
	fs.BoolVarP(&f.progress, "in-progress", "i", false, "only what something is done to now")
	fs.StringVarP(&f.templates, "templates", "m", "exclude", "exclude, include or only")
	fs.StringVarP(&f.format, "format", "f", "table", "table or json")
	fs.BoolP("all", "a", true, "in whatever state; accepted for scripts, it is so without --down")
	fs.BoolP("reverse", "r", false, "accepted for scripts, without effect")
	_ = fs.MarkHidden("reverse")
	return c
}

func (p *program) listKind(ctx context.Context, kind string, f listFlags) error {
	if k, ok := tableOf(kind); ok {
		_, err := p.list(ctx, k, f, false)
		return err
	}
	switch {
	case strings.HasPrefix("variables", kind) && len(kind) >= 3:
		return p.listVariables(ctx)
	case strings.HasPrefix("schedules", kind) && kind != "s" || kind == "sc":
		return p.listSchedules(ctx)
	case kind == "alerts" || kind == "alert":
		return p.listAlerts(ctx)
	}
	var known []string
	for _, k := range kindTables() {
		known = append(known, k.kind)
	}
	return schema.Errorf(schema.Invalid, "unknown kind %q: %s, variables, schedules or alerts", kind, strings.Join(known, ", "))
}

// list prints the table of a kind, and reports whether there was anything.
func (p *program) list(ctx context.Context, k kindTable, f listFlags, gap bool) (bool, error) {
	if f.templates == "" {
		f.templates = "exclude"
	}
	templates := strings.ToUpper(f.templates[:1]) + f.templates[1:]
	params := map[string]any{"limit": 0, "query": map[string]any{"tags": append([]string{}, f.tags...), "templates": templates}}
	var raw []json.RawMessage
	if err := p.call(ctx, api.GroupRead, k.request, params, &raw); err != nil {
		return false, err
	}
	tags, builders, err := p.namesOfIDs(ctx, k)
	if err != nil {
		return false, err
	}
	kept, rows := []any{}, [][]string{}
	for _, one := range raw {
		var i item
		if err := json.Unmarshal(one, &i); err != nil {
			return false, schema.Wrap(schema.Internal, err, "read the answer of %s", k.request)
		}
		wanted, err := f.takes(k, i)
		if err != nil {
			return false, err
		}
		if !wanted {
			continue
		}
		var v map[string]any
		if err := json.Unmarshal(one, &v); err != nil {
			return false, schema.Wrap(schema.Internal, err, "read the answer of %s", k.request)
		}
		for n, t := range i.Tags {
			i.Tags[n] = cmp.Or(tags[t], t)
		}
		if i.Tags != nil {
			v["tags"] = i.Tags
		}
		i.Info.BuilderID = cmp.Or(builders[i.Info.BuilderID], i.Info.BuilderID)
		kept, rows = append(kept, v), append(rows, append(k.row(i), strings.Join(i.Tags, ", ")))
	}
	if p.asJSON {
		return true, p.printJSON(kept)
	}
	if len(rows) == 0 {
		return false, nil
	}
	if gap {
		fmt.Fprintln(p.out)
	}
	return true, p.table(append(slices.Clone(k.header), "TAGS"), rows)
}

// takes reports whether the flags let an item through.
func (f listFlags) takes(k kindTable, i item) (bool, error) {
	for _, m := range []struct {
		patterns []string
		text     string
	}{{f.names, i.Name}, {f.servers, i.Info.Server}} {
		some := len(m.patterns) == 0
		for _, text := range m.patterns {
			p, err := schema.ParsePattern(text)
			if err != nil {
				return false, err
			}
			some = some || p.Match(m.text)
		}
		if !some {
			return false, nil
		}
	}
	state := strings.ToLower(i.Info.State)
	busy := strings.HasSuffix(state, "ing") && state != "running" && state != "pending" || state == "running" && len(k.good) > 2
	down := len(k.good) > 0 && !slices.Contains(k.good, i.Info.State)
	return (!f.down || down) && (!f.progress || busy), nil
}

// namesOfIDs returns what lists name by id: tags, and builders for builds.
func (p *program) namesOfIDs(ctx context.Context, k kindTable) (tags, builders map[string]string, err error) {
	var list []struct {
		ID struct {
			OID string `json:"$oid"`
		} `json:"_id"`
		Name string `json:"name"`
	}
	tags, builders = map[string]string{}, map[string]string{}
	if err = p.call(ctx, api.GroupRead, "ListTags", nil, &list); err != nil {
		return nil, nil, err
	}
	for _, t := range list {
		tags[t.ID.OID] = t.Name
	}
	if k.kind != "builds" {
		return tags, builders, nil
	}
	var items []item
	err = p.call(ctx, api.GroupRead, "ListBuilders", map[string]any{"limit": 0}, &items)
	for _, i := range items {
		builders[i.ID] = i.Name
	}
	return tags, builders, err
}

func (p *program) listSchedules(ctx context.Context) error {
	type timetable struct {
		Target   schema.ResourceTarget `json:"target"`
		Name     string                `json:"name"`
		Schedule string                `json:"schedule"`
		Enabled  bool                  `json:"enabled"`
		NextRun  int64                 `json:"next_scheduled_run"`
		LastRun  int64                 `json:"last_run_at"`
		Error    string                `json:"schedule_error"`
	}
	l := listing{"ListSchedules", map[string]any{"limit": 0}, []string{"NAME", "TYPE", "NEXT RUN", "LAST RUN", "SCHEDULE"}}
	return show(ctx, p, l, func(s timetable) []string {
		next := when(s.NextRun)
		if s.Error != "" {
			next = s.Error
		}
		return []string{s.Name, s.Target.Type, next, when(s.LastRun), s.Schedule}
	})
}

func (p *program) listAlerts(ctx context.Context) error {
	var answer struct {
		Alerts []json.RawMessage `json:"alerts"`
	}
	if err := p.call(ctx, api.GroupRead, "ListAlerts", nil, &answer); err != nil {
		return err
	}
	if p.asJSON {
		return p.printJSON(answer.Alerts)
	}
	var rows [][]string
	for _, raw := range answer.Alerts {
		var a struct {
			TS       int64  `json:"ts"`
			Level    string `json:"level"`
			Resolved bool   `json:"resolved"`
			Message  string `json:"message"`
			Data     struct {
				Type string `json:"type"`
			} `json:"data"`
		}
		if err := json.Unmarshal(raw, &a); err != nil {
			return schema.Wrap(schema.Internal, err, "read the answer of ListAlerts")
		}
		state := "open"
		if a.Resolved {
			state = "over"
		}
		rows = append(rows, []string{when(a.TS), a.Level, state, a.Data.Type, brief(a.Message)})
	}
	return p.table([]string{"WHEN", "LEVEL", "STATE", "TYPE", "MESSAGE"}, rows)
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

// when is a time as people read it; ms is unix milliseconds.
func when(ms int64) string {
	if ms == 0 {
		return "-"
	}
	return time.UnixMilli(ms).Format("2006-01-02 15:04:05")
}
