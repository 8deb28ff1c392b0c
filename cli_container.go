package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"berth/core/api"
	"berth/schema"
)

// containerItem is a container in a list; raw is all of it.
type containerItem struct {
	ServerID string   `json:"server_id"`
	Server   string   `json:"server_name"`
	Name     string   `json:"name"`
	Image    string   `json:"image"`
	State    string   `json:"state"`
	Networks []string `json:"networks"`
	Ports    []struct {
		Public *int `json:"PublicPort"`
	} `json:"ports"`
	raw map[string]any
}

// containerFlags say which containers are printed, and how.
type containerFlags struct {
	all, reverse, down, links           bool
	servers, names, images, networks    []string
	format                              string
	page                                int
	state, mounts, host, config, netset bool // what of one
}

func (p *program) containerCommand() *cobra.Command {
	var f containerFlags
	c := &cobra.Command{
		Use: "container", Aliases: []string{"ps", "cn", "containers"}, Short: "List containers, of all servers", Args: cobra.NoArgs,
		Long: `List the containers that run, on all servers. Names, images, networks and servers may
hold * and ?, and be given several times.`,
		Example: "  berth ps\n  berth ps -a -s nexus\n  berth ps -c 'web-*' -l\n  berth ps --down -f json\n  berth container inspect web-app-1 -u",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := p.format(&f.format); err != nil {
				return err
			}
			return p.listContainers(c.Context(), f)
		},
	}
	fs := c.Flags()
	fs.BoolVarP(&f.all, "all", "a", false, "in whatever state")
	fs.BoolVarP(&f.reverse, "reverse", "r", false, "the other way round")
	fs.BoolVarP(&f.down, "down", "d", false, "only those that do not run")
	fs.BoolVarP(&f.links, "links", "l", false, "with a link to the server of each")
	fs.StringSliceVarP(&f.servers, "server", "s", nil, "only those on a server whose name matches")
	fs.StringSliceVarP(&f.names, "container", "c", nil, "only those whose name matches")
	fs.StringSliceVarP(&f.images, "image", "i", nil, "only those of an image that matches")
	fs.StringSliceVarP(&f.networks, "network", "n", nil, "only those in a network whose name matches")
	fs.StringSliceVar(&f.networks, "net", nil, "the same as --network")
	_ = fs.MarkHidden("net") // it is there
	fs.StringVarP(&f.format, "format", "f", "table", "table or json")
	fs.IntVarP(&f.page, "page", "p", 0, "only this page of 100, from 1; everything without")
	_ = c.RegisterFlagCompletionFunc("server", p.names("ListServers")) // the flag is there
	_ = c.RegisterFlagCompletionFunc("container", p.completeContainer)
	inspect := p.inspectCommand()
	inspect.Aliases = []string{"i"}
	c.AddCommand(inspect)
	return c
}

// containers asks for the containers of all servers; limit 0 is all of them.
func (p *program) containers(ctx context.Context, page, limit int, terms ...string) ([]containerItem, error) {
	var raw []json.RawMessage
	params := map[string]any{"page": page, "limit": limit, "sort_by": "Server", "terms": append([]string{}, terms...)}
	if err := p.call(ctx, api.GroupRead, "ListAllContainers", params, &raw); err != nil {
		return nil, err
	}
	var out []containerItem
	for _, one := range raw {
		var i containerItem
		err := json.Unmarshal(one, &i)
		if err == nil {
			i.raw, err = schema.ReadJSON(one)
		}
		if err != nil {
			return nil, schema.Wrap(schema.Internal, err, "read the answer of ListAllContainers")
		}
		out = append(out, i)
	}
	return out, nil
}

func (p *program) listContainers(ctx context.Context, f containerFlags) error {
	page, limit := 0, 0
	if f.page < 0 {
		return schema.Errorf(schema.Invalid, "--page %d: the first is 1", f.page)
	}
	if f.page > 0 {
		page, limit = f.page-1, 100
	}
	all, err := p.containers(ctx, page, limit)
	if err != nil {
		return err
	}
	var kept []containerItem
	for _, i := range all {
		fits, err := f.takes(i)
		if err != nil {
			return err
		}
		if fits {
			kept = append(kept, i)
		}
	}
	states := []string{"running", "created", "restarting", "stopping", "removing", "paused", "exited", "dead"}
	slices.SortStableFunc(kept, func(a, b containerItem) int {
		return cmp.Or(cmp.Compare(slices.Index(states, a.State), slices.Index(states, b.State)), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Server, b.Server))
	})
	if f.reverse {
		slices.Reverse(kept)
	}
	if p.asJSON {
		list := []any{}
		for _, i := range kept {
			list = append(list, i.raw)
		}
		return p.printJSON(list)
	}
	return p.containerTable(kept, f.links)
}

func (p *program) containerTable(list []containerItem, links bool) error {
	header, rows := []string{"Container", "State", "Server", "Ports", "Networks", "Image"}, [][]string{}
	if links {
		header = append(header, "Link")
	}
	for _, i := range list {
		row := []string{i.Name, i.State, i.Server, i.ports(), strings.Join(i.Networks, ", "), shortImage(i.Image)}
		if links {
			row = append(row, p.link("servers", i.Server))
		}
		rows = append(rows, row)
	}
	return p.table(header, rows)
}

// takes reports whether the flags let a container through.
func (f containerFlags) takes(i containerItem) (bool, error) {
	running := i.State == "running"
	if f.down && running || !f.down && !f.all && !running {
		return false, nil
	}
	for _, m := range []struct {
		patterns []string
		texts    []string
	}{{f.servers, []string{i.Server}}, {f.names, []string{i.Name}}, {f.images, []string{i.Image}}, {f.networks, i.Networks}} {
		some := len(m.patterns) == 0
		for _, text := range m.texts {
			fits, err := matches(m.patterns, text)
			if err != nil {
				return false, err
			}
			some = some || fits
		}
		if !some {
			return false, nil
		}
	}
	return true, nil
}

// ports are those the server answers at, each once.
func (i containerItem) ports() string {
	var out []int
	for _, q := range i.Ports {
		if q.Public != nil && !slices.Contains(out, *q.Public) {
			out = append(out, *q.Public)
		}
	}
	slices.Sort(out)
	var texts []string
	for _, n := range out {
		texts = append(texts, fmt.Sprintf(":%d", n))
	}
	return strings.Join(texts, ", ")
}

// shortImage cuts what is only a digest.
func shortImage(image string) string {
	before, digest, found := strings.Cut(image, "sha256:")
	if found && len(digest) > 12 {
		return before + "sha256:" + digest[:12] + "…"
	}
	return image
}

func (p *program) inspectCommand() *cobra.Command {
	var f containerFlags
	c := &cobra.Command{
		Use: "inspect CONTAINER", Aliases: []string{"i"}, Short: "Print all the engine knows of a container, as JSON", Args: cobra.ExactArgs(1),
		Long: `Print all the engine knows of a container, as JSON, or the part that a flag names.
Where several servers have one of that name, each is printed; --server says which.`,
		Example: "  berth inspect web-app-1\n  berth inspect web-app-1 -s nexus --state\n  berth inspect web-app-1 -m",
		RunE:    func(c *cobra.Command, args []string) error { return p.inspect(c.Context(), args[0], f) },
		ValidArgsFunction: func(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return p.completeContainer(c, args, typed)
		},
	}
	fs := c.Flags()
	fs.StringSliceVarP(&f.servers, "server", "s", nil, "only on a server whose name matches")
	fs.BoolVarP(&f.state, "state", "u", false, "only how it is")
	fs.BoolVarP(&f.mounts, "mounts", "m", false, "only what is mounted")
	fs.BoolVarP(&f.host, "host-config", "f", false, "only what it has of the host")
	fs.BoolVarP(&f.config, "config", "c", false, "only its configuration")
	fs.BoolVarP(&f.netset, "network-settings", "n", false, "only its networks")
	c.MarkFlagsMutuallyExclusive("state", "mounts", "host-config", "config", "network-settings")
	_ = c.RegisterFlagCompletionFunc("server", p.names("ListServers")) // the flag is there
	return c
}

// part is the member of the engine's answer that is printed; "" is all of it.
func (f containerFlags) part() string {
	switch {
	case f.state:
		return "State"
	case f.mounts:
		return "Mounts"
	case f.host:
		return "HostConfig"
	case f.config:
		return "Config"
	case f.netset:
		return "NetworkSettings"
	}
	return ""
}

func (p *program) inspect(ctx context.Context, name string, f containerFlags) error {
	all, err := p.containers(ctx, 0, 0, name)
	if err != nil {
		return err
	}
	var found []any
	for _, i := range all {
		fits, err := matches(f.servers, i.Server)
		if err != nil {
			return err
		}
		if !fits || i.Name != name {
			continue
		}
		var one map[string]any
		if err := p.call(ctx, api.GroupRead, "InspectContainer", map[string]any{"server": i.ServerID, "container": i.Name}, &one); err != nil {
			return err
		}
		if part := f.part(); part != "" {
			found = append(found, one[part])
			continue
		}
		found = append(found, one)
	}
	switch len(found) {
	case 0:
		return p.noContainer(ctx, name)
	case 1:
		return p.printJSON(found[0])
	}
	return p.printJSON(found)
}

// noContainer says that there is none of a name, and which there is instead.
func (p *program) noContainer(ctx context.Context, name string) error {
	all, err := p.containers(ctx, 0, 0)
	if err != nil {
		return err
	}
	var names []string
	for _, i := range all {
		names = append(names, i.Name)
	}
	if near := schema.Nearest(name, names); near != "" && near != name {
		return schema.Errorf(schema.NotFound, "there is no container %q: did you mean %q?", name, near)
	}
	return schema.Errorf(schema.NotFound, "there is no such container %q here: `berth ps -a` lists all", name)
}
