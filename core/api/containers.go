package api

import (
	"context"
	"slices"
	"strings"

	"berth/core/access"
	"berth/schema"
)

// container is a container in a list. Members that are empty are left out.
type container struct {
	ServerID   string   `json:"server_id,omitempty"`
	ServerName string   `json:"server_name,omitempty"`
	Name       string   `json:"name"`
	ID         string   `json:"id,omitempty"`
	Image      string   `json:"image,omitempty"`
	ImageID    string   `json:"image_id,omitempty"`
	Created    int64    `json:"created,omitempty"` // unix seconds
	State      string   `json:"state"`
	Status     string   `json:"status,omitempty"`
	Networks   []string `json:"networks,omitempty"`
	Ports      []port   `json:"ports,omitempty"`
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
		Created: c.Created, State: c.State, Status: c.Status, Networks: c.Networks,
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
	type one struct {
		Server string `json:"server" alias:"id,name" doc:"Name or id."`
	}
	r := Read(spec{
		name: "GetContainersSummary", aliases: []string{"GetDockerContainersSummary"}, needs: access.CanRead,
		doc: "Count the containers of all servers by state.", example: map[string]any{},
	}, a.containersSummary)
	r.Result = func(*shapes) any { return counts(containerStates()) }
	return append([]Row{
		r,
		Read(spec{
			name: "ListAllContainers", aliases: []string{"ListAllDockerContainers"}, needs: access.CanRead,
			doc: "List the containers of all servers, page by page.", example: map[string]any{"limit": 0},
		}, a.allContainers),
		Read(spec{
			name: "ListContainers", aliases: []string{"ListDockerContainers"}, needs: access.CanRead, kind: "server",
			doc: "List the containers of a server.", example: map[string]any{"server": "my-server"},
		}, func(ctx context.Context, p one) ([]container, error) {
			v, err := a.server(ctx, p.Server)
			return containersOf(v), err
		}),
	}, a.engineRows()...)
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
	list, err := a.deps.Views.Servers(ctx)
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

type containerList struct {
	Servers schema.StrList `json:"servers,omitempty" doc:"Names or ids of servers; all when empty."`
	Terms   schema.StrList `json:"terms,omitempty" doc:"Parts of the name that must all be there."`
	State   []string       `json:"state,omitempty" doc:"States; all when empty."`
	Page    int            `json:"page,omitempty" doc:"Page, from 0."`
	Limit   *int           `json:"limit,omitempty" doc:"Containers per page; 50 when absent, all when 0."`
}

func (a *API) allContainers(ctx context.Context, p containerList) ([]container, error) {
	ids, err := a.idsOf("server", p.Servers)
	if err != nil {
		return nil, err
	}
	list, err := a.deps.Views.Servers(ctx)
	if err != nil {
		return nil, err
	}
	out := []container{}
	for _, v := range list {
		if !wanted(ids, v.Resource.ID) {
			continue
		}
		for _, c := range containersOf(v) {
			missing := slices.ContainsFunc(p.Terms, func(t string) bool { return !strings.Contains(strings.ToLower(c.Name), strings.ToLower(t)) })
			if !missing && wanted(p.State, c.State) {
				out = append(out, c)
			}
		}
	}
	slices.SortStableFunc(out, func(x, y container) int { return strings.Compare(x.Name, y.Name) })
	return pageOf(out, p.Page, p.Limit), nil
}
