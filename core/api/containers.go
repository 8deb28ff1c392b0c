package api

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"berth/core/access"
	"berth/schema"
)

// container is a container in a list. Members that are empty are left out.
type container struct {
	ServerID   string        `json:"server_id,omitempty"`
	ServerName string        `json:"server_name,omitempty"`
	Name       string        `json:"name"`
	ID         string        `json:"id,omitempty"`
	Image      string        `json:"image,omitempty"`
	ImageID    string        `json:"image_id,omitempty"`
	Created    int64         `json:"created,omitempty"` // unix seconds
	State      string        `json:"state"`
	Status     string        `json:"status,omitempty"`
	Mode       string        `json:"network_mode,omitempty"`
	Networks   []string      `json:"networks,omitempty"`
	Ports      []port        `json:"ports,omitempty"`
	Volumes    []string      `json:"volumes,omitempty"`
	Stats      *schema.Stats `json:"stats,omitempty"` // of those that run, where it was asked for
}

// port keeps the names of Docker's API.
type port struct {
	IP      *string `json:"IP"`
	Private uint16  `json:"PrivatePort"`
	Public  *uint16 `json:"PublicPort"`
	Type    string  `json:"Type"`
}

func containerOf(server schema.Target, c schema.Container) container {
	out := container{
		ServerID: server.ID, ServerName: server.Name, Name: c.Name, ID: c.ID, Image: c.Image, ImageID: c.ImageID,
		Created: c.Created, State: c.State, Status: c.Status, Networks: c.Networks, Mode: c.Mode, Volumes: c.Volumes,
	}
	for _, p := range c.Ports {
		q := port{IP: orNull(p.IP), Private: p.Private, Type: p.Proto}
		if p.Public != 0 {
			q.Public = &p.Public
		}
		out.Ports = append(out.Ports, q)
	}
	return out
}

func (a *API) containerRows() []Row {
	r := Read(spec{
		name: "GetContainersSummary", aliases: []string{"GetDockerContainersSummary"}, needs: access.CanRead, filters: true,
		doc: "Count the containers of all servers by state.", example: map[string]any{},
	}, a.containersSummary)
	r.Result = func(*shapes) any { return counts(containerStates()) }
	one := map[string]any{"server": "my-server", "container": "web-1"}
	return append([]Row{
		r,
		Read(spec{
			name: "ListAllContainers", aliases: []string{"ListAllDockerContainers"}, needs: access.CanRead, filters: true,
			doc: "List the containers of all servers, page by page.", example: map[string]any{"limit": 0},
		}, a.allContainers),
		Read(spec{
			name: "ListContainers", aliases: []string{"ListDockerContainers"}, needs: access.CanRead, kind: "server",
			doc: "List the containers of a server, with what they use.", example: map[string]any{"server": "my-server"},
		}, func(ctx context.Context, p serverRef) ([]container, error) {
			v, err := a.server(ctx, p.Server)
			list := containersOf(v)
			a.measure(ctx, each(list))
			return list, err
		}),
		Read(spec{
			name: "InspectContainer", aliases: []string{"InspectDockerContainer"}, needs: access.CanRead, also: access.Inspect, kind: "server",
			doc: "Look at a container of a server in all detail.", example: one,
		}, func(ctx context.Context, p containerRef) (schema.ContainerDetail, error) {
			return look(ctx, a, p.Server, schema.InspectContainer, p.Container, "inspect a container")
		}),
		Read(spec{
			name: "GetResourceMatchingContainer", needs: access.CanRead, kind: "server",
			doc: "Say which stack or deployment a container of a server belongs to, if any.", example: one,
		}, a.matching),
		Read(spec{
			name: "GetContainerLog", needs: access.CanRead, also: access.Logs, kind: "server",
			doc: "Read the newest log lines of a container.", example: map[string]any{"server": "my-server", "container": "web-1", "tail": 100},
		}, func(ctx context.Context, p containerLog) (Log, error) {
			t, err := a.reachable(ctx, p.Server)
			if err != nil {
				return Log{}, err
			}
			return readLog(ctx, a, t, schema.ContainerLog, schema.ContainerLogReq{Container: p.Container, Tail: tailOf(p.Tail), Timestamps: p.Timestamps}, "Container Log")
		}),
		Read(spec{
			name: "SearchContainerLog", needs: access.CanRead, also: access.Logs, kind: "server",
			doc: "Find lines among the newest 5000 of a container.", example: map[string]any{"server": "my-server", "container": "web-1", "terms": []string{"error"}},
		}, func(ctx context.Context, p containerSearch) (Log, error) {
			t, err := a.reachable(ctx, p.Server)
			if err != nil {
				return Log{}, err
			}
			search, err := searchOf(p.Terms, p.Combinator, p.Invert)
			if err != nil {
				return Log{}, err
			}
			return readLog(ctx, a, t, schema.ContainerLog, schema.ContainerLogReq{Container: p.Container, Tail: maxTail, Timestamps: p.Timestamps, Search: search}, "Container Log")
		}),
	}, a.engineRows()...)
}

type containerRef struct {
	Server    string `json:"server" alias:"id,name" doc:"Name or id of the server."`
	Container string `json:"container" doc:"Name or id of the container."`
}

type containerLog struct {
	Server     string `json:"server" alias:"id,name" doc:"Name or id of the server."`
	Container  string `json:"container" doc:"Name or id of the container."`
	Tail       *int   `json:"tail,omitempty" doc:"Lines, at most 5000; 50 when absent."`
	Timestamps bool   `json:"timestamps,omitempty" doc:"Put the time before each line."`
}

type containerSearch struct {
	Server     string         `json:"server" alias:"id,name" doc:"Name or id of the server."`
	Container  string         `json:"container" doc:"Name or id of the container."`
	Terms      schema.StrList `json:"terms" doc:"Texts to look for, in any case."`
	Combinator string         `json:"combinator,omitempty" doc:"Or: lines with any of the terms, which is the default. And: with all."`
	Invert     bool           `json:"invert,omitempty" doc:"The other lines."`
	Timestamps bool           `json:"timestamps,omitempty" doc:"Put the time before each line."`
}

type matchingResource struct {
	Resource *target `json:"resource"`
}

// matching finds whose container it is.
func (a *API) matching(ctx context.Context, p containerRef) (matchingResource, error) {
	v, err := a.server(ctx, p.Server)
	if err != nil || v.Status == nil {
		return matchingResource{}, err
	}
	at := slices.IndexFunc(v.Status.Containers, func(c schema.Container) bool {
		return c.Name == strings.TrimPrefix(p.Container, "/") || c.ID == p.Container || len(p.Container) >= 12 && strings.HasPrefix(c.ID, p.Container)
	})
	if at < 0 {
		return matchingResource{}, nil
	}
	c := v.Status.Containers[at]
	stacks, err := a.deps.Views.Stacks(ctx)
	for _, s := range stacks {
		if s.Server.ID == v.Resource.ID && c.Project != "" && projectOf(s) == c.Project {
			return matchingResource{&target{"Stack", s.Resource.ID}}, nil
		}
	}
	if err != nil || a.deps.Singles == nil || c.Project != "" {
		return matchingResource{}, err
	}
	singles, err := a.deps.Singles.Deployments(ctx)
	for _, d := range singles {
		if d.Server.ID == v.Resource.ID && d.Container != nil && d.Container.ID == c.ID {
			return matchingResource{&target{"Deployment", d.Resource.ID}}, nil
		}
	}
	return matchingResource{}, err
}

// each points at the containers of a list.
func each(list []container) []*container {
	out := make([]*container, len(list))
	for i := range list {
		out[i] = &list[i]
	}
	return out
}

// measureWait bounds how long a list waits for what containers use: one that comes
// without is better than one that comes late.
const measureWait = 2 * time.Second

// measure adds what running containers use. A server that does not say it in time,
// or an older agent, leaves it out.
func (a *API) measure(ctx context.Context, list []*container) {
	ctx, cancel := context.WithTimeout(ctx, measureWait)
	defer cancel()
	uses := map[string]chan []schema.ContainerUse{}
	for _, c := range list {
		if uses[c.ServerID] != nil || c.State != "running" {
			continue
		}
		ch := make(chan []schema.ContainerUse, 1)
		uses[c.ServerID] = ch
		go func() {
			all, _ := ask(ctx, a, schema.Target{ID: c.ServerID, Name: c.ServerName}, schema.ContainerStats, schema.ContainerStatsReq{}, "measure the containers")
			ch <- all
		}()
	}
	by := map[string]schema.Stats{}
	for _, ch := range uses {
		for _, u := range <-ch {
			by[u.ID] = u.Stats
		}
	}
	for i := range list {
		if s, ok := by[list[i].ID]; ok {
			list[i].Stats = &s
		}
	}
}

func containerStates() []string {
	return []string{"total", "running", "stopped", "unhealthy", "unknown"}
}

// containersOf lists what the server's agent last reported.
func containersOf(v schema.ServerView) []container {
	out := []container{}
	if v.Status != nil && v.Online {
		for _, c := range v.Status.Containers {
			out = append(out, containerOf(v.Resource.Target("server"), c))
		}
	}
	return out
}

func (a *API) containersSummary(ctx context.Context, _ None) (map[string]int, error) {
	list, err := a.readableServers(ctx)
	out := map[string]int{}
	for _, n := range containerStates() {
		out[n] = 0
	}
	for _, v := range list {
		for _, c := range containersOf(v) {
			out["total"]++
			switch c.State {
			case "running":
				out["running"]++
			case "exited", "created":
				out["stopped"]++
			case "":
				out["unknown"]++
			default:
				out["unhealthy"]++
			}
		}
	}
	return out, err
}

// readableServers are the servers that the caller may read.
func (a *API) readableServers(ctx context.Context) ([]schema.ServerView, error) {
	list, err := a.deps.Views.Servers(ctx)
	return access.Readable(ctx, list, func(v schema.ServerView) schema.Target { return v.Resource.Target("server") }), err
}

type containerList struct {
	Servers schema.StrList `json:"servers,omitempty" doc:"Names or ids of servers; all when empty."`
	Tags    schema.StrList `json:"tags,omitempty" doc:"Names or ids of tags that the server must all have."`
	Terms   schema.StrList `json:"terms,omitempty" doc:"Parts of the name that must all be there, in any case."`
	State   []string       `json:"state,omitempty" doc:"States; all when empty."`
	Page    int            `json:"page,omitempty" doc:"Page, from 0."`
	Limit   *int           `json:"limit,omitempty" doc:"Containers per page; 50 when absent, all when 0."`
	SortBy  string         `json:"sort_by,omitempty" doc:"Name, Server, State, Image, Networks, Ports or Volumes; Name when absent."`
	Desc    bool           `json:"sort_desc,omitempty" doc:"Last first."`
}

func (a *API) allContainers(ctx context.Context, p containerList) ([]container, error) {
	order, err := containerOrder(p.SortBy)
	if err != nil {
		return nil, err
	}
	ids, err := a.idsOf("server", p.Servers)
	if err != nil {
		return nil, err
	}
	list, err := a.readableServers(ctx)
	if err != nil {
		return nil, err
	}
	tags, err := a.tagNames(ctx, p.Tags)
	if err != nil {
		return nil, err
	}
	out := []container{}
	for _, v := range list {
		if !wanted(ids, v.Resource.ID) || !tagged(v.Resource.Tags, tags, "All") {
			continue
		}
		for _, c := range containersOf(v) {
			if hasTerms(c.Name, p.Terms) && wanted(p.State, c.State) {
				out = append(out, c)
			}
		}
	}
	slices.SortStableFunc(out, func(x, y container) int { return cmp.Or(order(x, y), strings.Compare(x.Name, y.Name)) })
	if p.Desc {
		slices.Reverse(out)
	}
	if out, err = pageOf(out, p.Page, p.Limit); err != nil {
		return nil, err
	}
	a.measure(ctx, each(out))
	return out, nil
}

// containerOrder compares containers by one of Komodo's words.
func containerOrder(by string) (func(x, y container) int, error) {
	text := func(of func(c container) string) func(x, y container) int {
		return func(x, y container) int { return strings.Compare(of(x), of(y)) }
	}
	switch by {
	case "", "Name":
		return text(func(c container) string { return c.Name }), nil
	case "Server":
		return text(func(c container) string { return c.ServerName }), nil
	case "State":
		return text(func(c container) string { return c.State }), nil
	case "Image":
		return text(func(c container) string { return c.Image }), nil
	case "Networks":
		return text(func(c container) string { return strings.Join(c.Networks, ",") }), nil
	case "Volumes":
		return text(func(c container) string { return strings.Join(c.Volumes, ",") }), nil
	case "Ports":
		return func(x, y container) int { return cmp.Compare(firstPort(x), firstPort(y)) }, nil
	}
	return nil, schema.Errorf(schema.Invalid, "sort_by %q: it is Name, Server, State, Image, Networks, Ports or Volumes", cut(by, 40))
}

// firstPort is a container's lowest published port; 0 for none.
func firstPort(c container) uint16 {
	var low uint16
	for _, p := range c.Ports {
		if p.Public != nil && (low == 0 || *p.Public < low) {
			low = *p.Public
		}
	}
	return low
}
