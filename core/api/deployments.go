package api

import (
	"context"
	"time"

	"berth/core/access"
	"berth/schema"
)

// Singles are the read models of deployments, and their logs.
type Singles interface {
	Deployments(ctx context.Context) ([]schema.DeploymentView, error) // by name, secrets masked
	ContainerLog(ctx context.Context, server string, req schema.ContainerLogReq) (schema.StackLogResp, error)
}

// deploymentInfo has the members of Komodo's deployment.
type deploymentInfo struct {
	Latest imageDigest `json:"latest_image_digest"`
	Name   string      `json:"deployed_name"`
}

type imageDigest struct {
	Tag    string `json:"tag"`
	Digest string `json:"digest"`
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

func (a *API) deploymentInfos(ctx context.Context) (map[string]info, error) {
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
		full := deploymentInfo{}
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

type deploymentContainer struct {
	State     string     `json:"state"`
	Container *container `json:"container"`
}

// deploymentRows tell how deployments stand.
func (a *API) deploymentRows() []Row {
	if a.deps.Singles == nil {
		return nil
	}
	return []Row{
		a.summary("GetDeploymentsSummary", "deployment", deploymentBucket, "total", "running", "stopped", "not_deployed", "unhealthy", "unknown"),
		Read(spec{
			name: "GetDeploymentContainer", doc: "Say how a deployment stands, with its container.", needs: access.CanRead, kind: "deployment",
			example: map[string]any{"deployment": "my-deployment"},
		}, a.deploymentContainer),
		Read(spec{
			name: "GetDeploymentLog", doc: "Read the newest log lines of a deployment's container.", needs: access.CanRead, kind: "deployment",
			example: map[string]any{"deployment": "my-deployment", "tail": 100},
		}, a.deploymentLog),
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
	}
	return out, err
}

func (a *API) deploymentLog(ctx context.Context, p deploymentLog) (Log, error) {
	v, err := a.deployment(ctx, p.Deployment)
	if err != nil {
		return Log{}, err
	}
	if v.Server.ID == "" {
		return Log{}, schema.Errorf(schema.Invalid, "deployment %q has no server: set `server`", v.Resource.Name)
	}
	req := schema.ContainerLogReq{Container: v.Resource.Config.Container(v.Resource.Name), Tail: defaultTail, Timestamps: p.Timestamps}
	if v.Deployed != nil && v.Deployed.Project != "" {
		req.Container = v.Deployed.Project
	}
	if p.Tail != nil {
		req.Tail = min(max(*p.Tail, 0), maxTail)
	}
	began := a.deps.Now()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	res, err := a.deps.Singles.ContainerLog(ctx, v.Server.ID, req)
	if err != nil {
		return Log{}, schema.Wrap(schema.CodeOf(err), err, "read the log of deployment %q", v.Resource.Name)
	}
	return Log{
		Stage: "Deployment Log", Stdout: res.Stdout, Stderr: res.Stderr, Success: true,
		Started: began.UnixMilli(), Ended: a.deps.Now().UnixMilli(),
	}, nil
}
