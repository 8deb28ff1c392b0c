package api

import (
	"context"
	"time"

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
	Digests   []string   `json:"image_digests"`
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

func (a *API) stackRows() []Row {
	return []Row{
		Read(spec{
			name: "ListStackServices", doc: "List a stack's services with their containers.", needs: access.CanRead, kind: "stack",
			example: map[string]any{"stack": "my-stack"},
		}, a.stackServices),
		Read(spec{
			name: "GetStackLog", doc: "Read the newest log lines of a stack's containers.", needs: access.CanRead, kind: "stack",
			example: map[string]any{"stack": "my-stack", "services": []string{}, "tail": 100},
		}, a.stackLog),
		Write(spec{
			name: "RefreshStackCache", doc: "Look up again what a stack's sources stand at.", needs: access.CanExec, kind: "stack",
			example: map[string]any{"stack": "my-stack"},
		}, func(ctx context.Context, p stackRef) (None, error) {
			v, err := a.stack(ctx, p.Stack)
			if err != nil || a.deps.Refresh == nil {
				return None{}, err
			}
			return None{}, a.deps.Refresh(ctx, v.Resource.ID)
		}),
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
	out := []stackService{}
	for _, s := range v.Services {
		x := stackService{StackID: v.Resource.ID, StackName: v.Resource.Name, Service: s.Name, Image: s.Image, State: serviceState(s.State)}
		if len(s.Containers) > 0 {
			c := containerOf(v.Server, s.Containers[0])
			x.Container = &c
		}
		out = append(out, x)
	}
	return out, err
}

// serviceState turns our words into Komodo's.
func serviceState(s string) string {
	switch s {
	case "missing", "":
		return "Down"
	case "healthy", "unhealthy", "running", "created", "paused", "restarting", "exited", "removing", "dead":
		return typeName(s)
	}
	return "Unknown"
}

// maxTail and defaultTail bound log lines, as Komodo does.
const (
	maxTail     = 5000
	defaultTail = 50
)

func (a *API) stackLog(ctx context.Context, p stackLog) (Log, error) {
	v, err := a.stack(ctx, p.Stack)
	if err != nil {
		return Log{}, err
	}
	if v.Server.ID == "" {
		return Log{}, schema.Errorf(schema.Invalid, "stack %q has no server: set `server`", v.Resource.Name)
	}
	req := schema.StackLogReq{Project: projectOf(v), Services: p.Services, Tail: defaultTail, Timestamps: p.Timestamps}
	if p.Tail != nil {
		req.Tail = min(max(*p.Tail, 0), maxTail)
	}
	began := a.deps.Now()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	res, err := a.deps.StackLog(ctx, v.Server.ID, req)
	if err != nil {
		return Log{}, schema.Wrap(schema.CodeOf(err), err, "read the log of stack %q", v.Resource.Name)
	}
	return Log{
		Stage: "Stack Log", Stdout: res.Stdout, Stderr: res.Stderr, Success: true,
		Started: began.UnixMilli(), Ended: a.deps.Now().UnixMilli(),
	}, nil
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
