package periphery

import (
	"context"

	"berth/periphery/docker"
	"berth/periphery/single"
	"berth/schema"
)

// deploymentDo does a verb to the container of a deployment. One of its name that
// is not Berth's may be anything but destroyed.
func (a *Agent) deploymentDo(ctx context.Context, j *Job, req schema.DeploymentDoReq) (schema.EngineResp, error) {
	var resp schema.EngineResp
	if req.Verb == schema.DeploymentPull {
		return a.deploymentPull(ctx, j, req)
	}
	note, err := a.single.Recover(ctx, req.ID)
	if err != nil {
		return resp, err
	}
	if note != "" {
		j.line("an earlier deploy was interrupted: %s", note)
	}
	c, err := a.ofDeployment(ctx, req)
	switch {
	case err != nil:
		return resp, err
	case c == nil && req.Verb == schema.ContainerDestroy:
		resp.Leave(schema.EngineContainers, req.Name, "not there already")
		return resp, nil
	case c == nil:
		return resp, schema.Errorf(schema.NotFound, "the deployment has no container on this server: deploy it first")
	}
	return a.containerDo(ctx, j, schema.ContainerDoReq{Container: c.ID, Verb: req.Verb, Signal: req.Signal, Time: req.StopTime, Core: req.Core})
}

// ofDeployment finds the container that a verb is about; nil for none.
func (a *Agent) ofDeployment(ctx context.Context, req schema.DeploymentDoReq) (*single.Container, error) {
	c, err := a.single.Find(ctx, req.ID)
	if err != nil || c != nil {
		return c, err
	}
	c, err = a.single.Named(ctx, req.Name)
	if err != nil || c == nil {
		return nil, err
	}
	if req.Verb == schema.ContainerDestroy || c.Deployment() != "" || c.Labels[docker.LabelProject] != "" {
		return nil, schema.Errorf(schema.Conflict, "there is a container %q on this server that is not this deployment's: it was not touched. "+
			"Deploy with `adopt = true` to make it so, or use DestroyContainer and its like, which take any container by its name", c.Name)
	}
	return c, nil
}

func (a *Agent) deploymentPull(ctx context.Context, j *Job, req schema.DeploymentDoReq) (schema.EngineResp, error) {
	var resp schema.EngineResp
	if req.Up == nil {
		return resp, schema.Errorf(schema.Invalid, "pull without the deployment's settings")
	}
	d := &oneUp{a: a, job: j, req: *req.Up}
	if err := d.prepare(ctx); err != nil {
		return resp, err
	}
	was, err := a.single.Has(ctx, d.req.Image)
	if err != nil {
		return resp, err
	}
	if err := d.pull(ctx); err != nil {
		return resp, err
	}
	if d.stale != nil { // which is all that was asked for
		return resp, d.stale
	}
	if was == d.image {
		resp.Leave(schema.EngineImages, d.req.Image, "the newest already")
		return resp, nil
	}
	resp.Add(schema.EngineImages, d.req.Image, "pulled")
	return resp, nil
}

// deploymentDoLook tells, after a crash, whether the container is in the state that
// the verb leaves it in.
func (a *Agent) deploymentDoLook(ctx context.Context, command string, req schema.DeploymentDoReq) (*schema.EngineResp, string, error) {
	if _, err := a.single.Recover(ctx, req.ID); err != nil || req.Verb == schema.DeploymentPull {
		return nil, "it is begun anew", err
	}
	name := req.Name
	c, err := a.single.Find(ctx, req.ID)
	if err != nil {
		return nil, "", err
	}
	if c != nil {
		name = c.ID
	}
	return a.containerLook(ctx, command, schema.ContainerDoReq{Container: name, Verb: req.Verb})
}
