package api

import (
	"context"

	"berth/core/access"
	"berth/schema"
)

// Singles are the read models of deployments.
type Singles interface {
	Deployments(ctx context.Context) ([]schema.DeploymentView, error) // by name, secrets masked
}

// deploymentInfo has the members of Komodo's deployment.
type deploymentInfo struct {
	Latest string `json:"latest_image_digest"` // image@sha256:…; empty when none is known
	Name   string `json:"deployed_name"`
}

type deploymentItem struct {
	State      string  `json:"state"`
	Status     *string `json:"status"`
	CustomName string  `json:"custom_name"`
	Image      string  `json:"image"`
	Update     bool    `json:"update_available"`
	SwarmID    string  `json:"swarm_id"`
	SwarmName  string  `json:"swarm_name"`
	ServerID   string  `json:"server_id"`
	ServerName string  `json:"server_name"`
	BuildID    *string `json:"build_id"`
}

func (a *API) deploymentInfos(ctx context.Context, _ []string) (map[string]info, error) {
	out := map[string]info{}
	if a.deps.Singles == nil {
		return out, nil
	}
	list, err := a.deps.Singles.Deployments(ctx)
	for _, v := range list {
		c := v.Resource.Config
		item := deploymentItem{
			State: v.State, Status: orNull(v.Status), CustomName: c.CustomName, Image: v.Image, Update: v.Update,
			SwarmID: c.SwarmID, ServerID: c.ServerID, ServerName: v.Server.Name,
		}
		if c.Image.Build != nil {
			item.BuildID = orNull(c.Image.Build.BuildID)
		}
		full := deploymentInfo{Latest: v.Latest}
		if v.Deployed != nil {
			full.Name = v.Deployed.Project
		}
		out[v.Resource.ID] = info{full: full, item: item, state: v.State}
	}
	return out, err
}

type deploymentRef struct {
	Deployment string `json:"deployment" alias:"id,name" doc:"Name or id."`
}

type deploymentLog struct {
	Deployment string `json:"deployment" alias:"id,name" doc:"Name or id."`
	Tail       *int   `json:"tail,omitempty" doc:"Lines, at most 5000; 50 when absent."`
	Timestamps bool   `json:"timestamps,omitempty" doc:"Put the time before each line."`
}

type deploymentSearch struct {
	Deployment string         `json:"deployment" alias:"id,name" doc:"Name or id."`
	Terms      schema.StrList `json:"terms" doc:"Texts to look for, in any case."`
	Combinator string         `json:"combinator,omitempty" doc:"Or: lines with any of the terms, which is the default. And: with all."`
	Invert     bool           `json:"invert,omitempty" doc:"The other lines."`
	Timestamps bool           `json:"timestamps,omitempty" doc:"Put the time before each line."`
}

type deploymentContainer struct {
	State     string     `json:"state"`
	Container *container `json:"container"`
}

// deploymentRows tell how deployments stand.
func (a *API) deploymentRows() []Row {
	if a.deps.Singles == nil {
		return nil
	}
	one := map[string]any{"deployment": "my-deployment"}
	return []Row{
		a.summary("GetDeploymentsSummary", "deployment", deploymentBucket, "total", "running", "stopped", "not_deployed", "unhealthy", "unknown"),
		Read(spec{
			name: "GetDeploymentContainer", doc: "Say how a deployment stands, with its container.", needs: access.CanRead, kind: "deployment",
			example: map[string]any{"deployment": "my-deployment"},
		}, a.deploymentContainer),
		Read(spec{
			name: "GetDeploymentLog", doc: "Read the newest log lines of a deployment's container.", needs: access.CanRead, also: access.Logs, kind: "deployment",
			example: map[string]any{"deployment": "my-deployment", "tail": 100},
		}, a.deploymentLog),
		Read(spec{
			name: "SearchDeploymentLog", doc: "Find lines among the newest 5000 of a deployment's container.", needs: access.CanRead, also: access.Logs, kind: "deployment",
			example: map[string]any{"deployment": "my-deployment", "terms": []string{"error"}},
		}, a.searchDeploymentLog),
		Read(spec{
			name: "InspectDeploymentContainer", doc: "Look at a deployment's container in all detail.", needs: access.CanRead, also: access.Inspect, kind: "deployment",
			example: one,
		}, a.inspectDeployment),
		Read(spec{
			name: "GetDeploymentStats", doc: "Say what a deployment's container uses now.", needs: access.CanRead, kind: "deployment", example: one,
		}, a.deploymentStats),
		a.adoptRow(),
	}
}

func deploymentBucket(state string) string {
	switch state {
	case "running", "not_deployed", "unknown":
		return state
	case "exited", "paused":
		return "stopped"
	case "":
		return "unknown"
	default:
		return "unhealthy"
	}
}

// deployment finds a deployment's view by name or id.
func (a *API) deployment(ctx context.Context, key string) (schema.DeploymentView, error) {
	k, err := a.deps.Kinds.Kind("deployment")
	if err != nil {
		return schema.DeploymentView{}, err
	}
	t, err := k.Find(key)
	if err != nil {
		return schema.DeploymentView{}, err
	}
	list, err := a.deps.Singles.Deployments(ctx)
	if err != nil {
		return schema.DeploymentView{}, err
	}
	for _, v := range list {
		if v.Resource.ID == t.ID {
			return v, nil
		}
	}
	return schema.DeploymentView{}, schema.Errorf(schema.NotFound, "there is no deployment %q", cut(key, 80))
}

func (a *API) deploymentContainer(ctx context.Context, p deploymentRef) (deploymentContainer, error) {
	v, err := a.deployment(ctx, p.Deployment)
	out := deploymentContainer{State: v.State}
	if v.Container != nil {
		c := containerOf(v.Server, *v.Container)
		out.Container = &c
		a.measure(ctx, []*container{out.Container})
	}
	return out, err
}

func (a *API) deploymentLog(ctx context.Context, p deploymentLog) (Log, error) {
	return a.readDeploymentLog(ctx, p.Deployment, schema.ContainerLogReq{Tail: tailOf(p.Tail), Timestamps: p.Timestamps})
}

func (a *API) searchDeploymentLog(ctx context.Context, p deploymentSearch) (Log, error) {
	search, err := searchOf(p.Terms, p.Combinator, p.Invert)
	if err != nil {
		return Log{}, err
	}
	return a.readDeploymentLog(ctx, p.Deployment, schema.ContainerLogReq{Tail: maxTail, Timestamps: p.Timestamps, Search: search})
}

func (a *API) readDeploymentLog(ctx context.Context, deployment string, req schema.ContainerLogReq) (Log, error) {
	v, name, err := a.container(ctx, deployment)
	if err != nil {
		return Log{}, err
	}
	req.Container = name
	return readLog(ctx, a, v.Server, schema.ContainerLog, req, "Deployment Log")
}

// container is a deployment that has a server, and its container's name there.
func (a *API) container(ctx context.Context, deployment string) (schema.DeploymentView, string, error) {
	v, err := a.deployment(ctx, deployment)
	if err == nil && v.Server.ID == "" {
		err = schema.Errorf(schema.Invalid, "deployment %q has no server: set `server`", v.Resource.Name)
	}
	name := v.Resource.Config.Container(v.Resource.Name)
	if v.Deployed != nil && v.Deployed.Project != "" {
		name = v.Deployed.Project
	}
	return v, name, err
}

func (a *API) inspectDeployment(ctx context.Context, p deploymentRef) (schema.ContainerDetail, error) {
	v, name, err := a.container(ctx, p.Deployment)
	if err != nil {
		return schema.ContainerDetail{}, err
	}
	return ask(ctx, a, v.Server, schema.InspectContainer, schema.NamedReq{Name: name}, "inspect a container")
}

func (a *API) deploymentStats(ctx context.Context, p deploymentRef) (schema.Stats, error) {
	v, name, err := a.container(ctx, p.Deployment)
	if err != nil {
		return schema.Stats{}, err
	}
	list, err := ask(ctx, a, v.Server, schema.ContainerStats, schema.ContainerStatsReq{Name: name}, "measure a container")
	if err != nil || len(list) == 0 {
		return schema.Stats{}, err
	}
	return list[0].Stats, nil
}
