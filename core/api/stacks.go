package api

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"berth/core/access"
	"berth/schema"
)

// stackService is a service of a stack with its container, if there is one.
type stackService struct {
	StackID   string     `json:"stack_id"`
	StackName string     `json:"stack_name"`
	Service   string     `json:"service"`
	Image     string     `json:"image"`
	Container *container `json:"container"`
	Swarm     *None      `json:"swarm_service"`
	State     string     `json:"state"`
	Digests   []string   `json:"image_digests" null:"true"`
}

type stackRef struct {
	Stack string `json:"stack" alias:"id,name" doc:"Name or id."`
}

type stackLog struct {
	Stack      string         `json:"stack" alias:"id,name" doc:"Name or id."`
	Services   schema.StrList `json:"services,omitempty" doc:"Services to read; all when empty."`
	Tail       *int           `json:"tail,omitempty" doc:"Lines per container, at most 5000; 50 when absent."`
	Timestamps bool           `json:"timestamps,omitempty" doc:"Put the time before each line."`
}

type stackSearch struct {
	Stack      string         `json:"stack" alias:"id,name" doc:"Name or id."`
	Services   schema.StrList `json:"services,omitempty" doc:"Services to search; all when empty."`
	Terms      schema.StrList `json:"terms" doc:"Texts to look for, in any case."`
	Combinator string         `json:"combinator,omitempty" doc:"Or: lines with any of the terms, which is the default. And: with all."`
	Invert     bool           `json:"invert,omitempty" doc:"The other lines."`
	Timestamps bool           `json:"timestamps,omitempty" doc:"Put the time before each line."`
}

type stackServiceRef struct {
	Stack   string `json:"stack" alias:"id,name" doc:"Name or id."`
	Service string `json:"service" doc:"Name of the service."`
}

func (a *API) stackRows() []Row {
	return []Row{
		Read(spec{
			name: "ListStackServices", doc: "List a stack's services with their containers.", needs: access.CanRead, kind: "stack",
			example: map[string]any{"stack": "my-stack"},
		}, a.stackServices),
		Read(spec{
			name: "GetStackLog", doc: "Read the newest log lines of a stack's containers.", needs: access.CanRead, also: access.Logs, kind: "stack",
			example: map[string]any{"stack": "my-stack", "services": []string{}, "tail": 100},
		}, a.stackLog),
		Read(spec{
			name: "SearchStackLog", doc: "Find lines among the newest 5000 of each of a stack's containers.", needs: access.CanRead, also: access.Logs, kind: "stack",
			example: map[string]any{"stack": "my-stack", "services": []string{}, "terms": []string{"error"}},
		}, a.searchStackLog),
		Read(spec{
			name: "ListAllStackServices", doc: "List the services of all stacks, page by page.", needs: access.CanRead, filters: true, example: map[string]any{"limit": 0},
		}, a.allStackServices),
		Read(spec{
			name: "InspectStackContainer", doc: "Look at the container of a stack's service.", needs: access.CanRead, also: access.Inspect, kind: "stack",
			example: map[string]any{"stack": "my-stack", "service": "web"},
		}, a.inspectStackContainer),
		Execute(spec{
			name: "RollbackStack", own: true, doc: "Deploy an earlier commit of a stack again: that of the last good deploy of another one, or the one that is named.",
			needs: access.CanExec, kind: "stack", example: map[string]any{"stack": "my-stack"},
		}, a.rollback),
	}
}

// stack finds a stack's view by name or id.
func (a *API) stack(ctx context.Context, key string) (schema.StackView, error) {
	k, err := a.deps.Kinds.Kind("stack")
	if err != nil {
		return schema.StackView{}, err
	}
	t, err := k.Find(key)
	if err != nil {
		return schema.StackView{}, err
	}
	list, err := a.deps.Views.Stacks(ctx)
	if err != nil {
		return schema.StackView{}, err
	}
	for _, v := range list {
		if v.Resource.ID == t.ID {
			return v, nil
		}
	}
	return schema.StackView{}, schema.Errorf(schema.NotFound, "there is no stack %q", cut(key, 80))
}

func (a *API) stackServices(ctx context.Context, p stackRef) ([]stackService, error) {
	v, err := a.stack(ctx, p.Stack)
	out := servicesOf(v)
	a.inspectServices(ctx, out)
	return out, err
}

// inspectServices adds what the containers of services use, and the digests of their
// images. What a server does not say in time is left out.
func (a *API) inspectServices(ctx context.Context, list []stackService) {
	var there []*container
	images := map[string][]string{} // ids, by server
	for _, s := range list {
		if c := s.Container; c != nil {
			there = append(there, c)
			if c.ImageID != "" && !slices.Contains(images[c.ServerID], c.ImageID) {
				images[c.ServerID] = append(images[c.ServerID], c.ImageID)
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, measureWait)
	defer cancel()
	answers := make(chan map[string]schema.LocalImage, len(images))
	for server, ids := range images {
		go func() {
			resp, _ := ask(ctx, a, schema.Target{ID: server}, schema.ImageDigests, schema.ImageDigestsReq{Images: ids}, "look at the images")
			answers <- resp.Images
		}()
	}
	a.measure(ctx, there)
	known := map[string][]string{}
	for range images {
		for id, image := range <-answers {
			known[id] = image.Digests
		}
	}
	for i := range list {
		if c := list[i].Container; c != nil && len(known[c.ImageID]) > 0 {
			list[i].Digests = known[c.ImageID]
		}
	}
}

func servicesOf(v schema.StackView) []stackService {
	out := []stackService{}
	for _, s := range v.Services {
		x := stackService{StackID: v.Resource.ID, StackName: v.Resource.Name, Service: s.Name, Image: s.Image, State: serviceState(s.State)}
		if len(s.Containers) > 0 {
			c := containerOf(v.Server, s.Containers[0])
			x.Container = &c
		}
		out = append(out, x)
	}
	return out
}

// serviceState turns our words into Komodo's.
func serviceState(s string) string {
	switch s {
	case "missing", "":
		return "Down"
	case "starting": // its check has not said anything yet
		return "Running"
	case "healthy", "unhealthy", "running", "created", "paused", "restarting", "exited", "removing", "dead":
		return typeName(s)
	}
	return "Unknown"
}

func (a *API) stackLog(ctx context.Context, p stackLog) (Log, error) {
	return a.readStackLog(ctx, p.Stack, schema.StackLogReq{Services: p.Services, Tail: tailOf(p.Tail), Timestamps: p.Timestamps})
}

func (a *API) searchStackLog(ctx context.Context, p stackSearch) (Log, error) {
	search, err := searchOf(p.Terms, p.Combinator, p.Invert)
	if err != nil {
		return Log{}, err
	}
	return a.readStackLog(ctx, p.Stack, schema.StackLogReq{Services: p.Services, Tail: maxTail, Timestamps: p.Timestamps, Search: search})
}

func (a *API) readStackLog(ctx context.Context, stack string, req schema.StackLogReq) (Log, error) {
	v, err := a.placed(ctx, stack)
	if err != nil {
		return Log{}, err
	}
	req.Project = projectOf(v)
	return readLog(ctx, a, v.Server, schema.StackLog, req, "Stack Log")
}

// placed is a stack that has a server.
func (a *API) placed(ctx context.Context, stack string) (schema.StackView, error) {
	v, err := a.stack(ctx, stack)
	if err == nil && v.Server.ID == "" {
		err = schema.Errorf(schema.Invalid, "stack %q has no server: set `server`", v.Resource.Name)
	}
	return v, err
}

func (a *API) inspectStackContainer(ctx context.Context, p stackServiceRef) (schema.ContainerDetail, error) {
	v, err := a.placed(ctx, p.Stack)
	if err != nil {
		return schema.ContainerDetail{}, err
	}
	var names []string
	for _, s := range v.Services {
		if s.Name == p.Service && len(s.Containers) > 0 {
			return ask(ctx, a, v.Server, schema.InspectContainer, schema.NamedReq{Name: cmp.Or(s.Containers[0].ID, s.Containers[0].Name)}, "inspect a container")
		}
		names = append(names, s.Name)
	}
	if slices.Contains(names, p.Service) {
		return schema.ContainerDetail{}, schema.Errorf(schema.NotFound, "service %q of stack %q has no container: deploy it", p.Service, v.Resource.Name)
	}
	return schema.ContainerDetail{}, schema.Errorf(schema.NotFound, "stack %q has no service %q: its services are %s", v.Resource.Name, cut(p.Service, 80), strings.Join(names, ", "))
}

type serviceQuery struct {
	Stacks schema.StrList `json:"stacks,omitempty" doc:"Names or ids of stacks; all when empty."`
	Tags   schema.StrList `json:"tags,omitempty" doc:"Names or ids of tags that the stack must all have."`
	Terms  schema.StrList `json:"terms,omitempty" doc:"Texts that must all be in the name of the service or the stack, in any case."`
	State  []string       `json:"state,omitempty" doc:"States of services (Running, Unhealthy, …); all when empty."`
	Page   int            `json:"page,omitempty" doc:"Page, from 0."`
	Limit  *int           `json:"limit,omitempty" doc:"Services per page; 50 when absent, all when 0."`
}

func (a *API) allStackServices(ctx context.Context, p serviceQuery) ([]stackService, error) {
	ids, err := a.idsOf("stack", p.Stacks)
	if err != nil {
		return nil, err
	}
	list, err := a.deps.Views.Stacks(ctx)
	if err != nil {
		return nil, err
	}
	list = access.Readable(ctx, list, func(v schema.StackView) schema.Target { return v.Resource.Target("stack") })
	tags, err := a.tagNames(ctx, p.Tags)
	if err != nil {
		return nil, err
	}
	out := []stackService{}
	for _, v := range list {
		if !wanted(ids, v.Resource.ID) || !tagged(v.Resource.Tags, tags, "All") {
			continue
		}
		for _, s := range servicesOf(v) {
			if wanted(p.State, s.State) && hasTerms(s.Service+"\n"+s.StackName, p.Terms) {
				out = append(out, s)
			}
		}
	}
	if out, err = pageOf(out, p.Page, p.Limit); err != nil {
		return nil, err
	}
	a.inspectServices(ctx, out)
	return out, nil
}

func projectOf(v schema.StackView) string {
	switch {
	case v.Deployed != nil && v.Deployed.Project != "":
		return v.Deployed.Project
	case v.Resource.Config.ProjectName != "":
		return v.Resource.Config.ProjectName
	}
	return v.Resource.Name
}
