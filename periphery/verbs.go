package periphery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"berth/bus"
	"berth/schema"
)

// verb is a job with its types erased.
type verb struct {
	do func(ctx context.Context, job *Job, args json.RawMessage) (json.RawMessage, error)
	// look tells, after a crash, what became of it: a value when it is done, else
	// words on what is there. nil when there is nothing to look at.
	look func(ctx context.Context, cmd schema.Command) (value json.RawMessage, found string, err error)
}

// verbList is the agent's list of verbs: a new one is a descriptor in schema, a
// function here and a line.
func (a *Agent) verbList() map[string]verb {
	return map[string]verb{
		schema.RepoResolve.Name:  on(schema.RepoResolve, a.repoResolve, nil),
		schema.RepoSync.Name:     on(schema.RepoSync, a.repoSync, nil),
		schema.StackUp.Name:      a.apart(on(schema.StackUp, a.stackUp, a.stackLook)),
		schema.StackDo.Name:      a.apart(on(schema.StackDo, a.stackDo, a.stackDoLook)),
		schema.DeploymentUp.Name: a.apart(on(schema.DeploymentUp, a.deploymentUp, a.deploymentLook)),
		schema.DeploymentDo.Name: a.apart(on(schema.DeploymentDo, a.deploymentDo, a.deploymentDoLook)),
		schema.BuildRun.Name:     a.apart(on(schema.BuildRun, a.buildRun, nil)),
		schema.ServiceRun.Name:   on(schema.ServiceRun, a.serviceRun, a.serviceLook),
		schema.ContainerDo.Name:  on(schema.ContainerDo, a.containerDo, a.containerLook),
		schema.ContainersDo.Name: on(schema.ContainersDo, a.containersDo, nil),
		schema.EngineDelete.Name: on(schema.EngineDelete, a.engineDelete, nil),
		schema.EnginePrune.Name:  on(schema.EnginePrune, a.enginePrune, nil),
		schema.CoreKey.Name:      on(schema.CoreKey, a.learnCoreKey, nil),
		schema.KeyRotate.Name:    on(schema.KeyRotate, a.rotateKey, nil),
	}
}

// apart keeps a verb that makes or needs containers or images from being worked on
// while a batch tidies them.
func (a *Agent) apart(v verb) verb {
	do := v.do
	v.do = func(ctx context.Context, job *Job, args json.RawMessage) (json.RawMessage, error) {
		leave, err := a.gate.enter(ctx)
		if err != nil {
			return nil, err
		}
		defer leave()
		return do(ctx, job, args)
	}
	return v
}

// questions lets the agent answer core's questions: a new one is a descriptor in
// schema, a function and a line.
func (a *Agent) questions() error {
	return errors.Join(
		bus.Answer(a.conn, schema.Ping, func(ctx context.Context, _ struct{}) (schema.AgentStatus, error) { return a.status(ctx), nil }),
		bus.Answer(a.conn, schema.EngineList, func(ctx context.Context, req schema.EngineListReq) (schema.EngineListResp, error) {
			return a.engine.List(ctx, req.Kind)
		}),
		bus.Answer(a.conn, schema.ImageDigests, a.imageDigests),
		bus.Answer(a.conn, schema.ContainerLog, a.containerLog),
		bus.Answer(a.conn, schema.StackLog, a.stackLog),
		bus.Answer(a.conn, schema.InspectContainer, a.inspectContainer),
		bus.Answer(a.conn, schema.InspectNetwork, named(schema.EngineNetworks, a.engine.InspectNetwork)),
		bus.Answer(a.conn, schema.InspectImage, named(schema.EngineImages, a.engine.InspectImage)),
		bus.Answer(a.conn, schema.ImageHistory, named(schema.EngineImages, a.engine.ImageHistory)),
		bus.Answer(a.conn, schema.InspectVolume, named(schema.EngineVolumes, a.engine.InspectVolume)),
		bus.Answer(a.conn, schema.ContainerStats, a.containerStats),
		bus.Answer(a.conn, schema.ComposeProjects, func(ctx context.Context, _ struct{}) (schema.List[schema.ComposeProject], error) {
			return a.engine.Projects(ctx)
		}),
		bus.Answer(a.conn, schema.HostProcesses, func(ctx context.Context, _ struct{}) (schema.List[schema.HostProcess], error) {
			return a.host.Processes(ctx)
		}),
		bus.Answer(a.conn, schema.FileWrite, a.writeFile),
		bus.Answer(a.conn, schema.FileRead, a.readFiles),
		bus.Answer(a.conn, schema.ContainerRename, func(ctx context.Context, req schema.ContainerRenameReq) (struct{}, error) {
			return struct{}{}, a.engine.RenameContainer(ctx, req.From, req.To)
		}),
		bus.Answer(a.conn, schema.NetworkCreate, func(ctx context.Context, req schema.NamedReq) (struct{}, error) {
			return struct{}{}, a.engine.CreateNetwork(ctx, req.Name)
		}),
	)
}

// on erases the types of a job's function and of its look, which gets the
// command's id.
func on[Req, Resp any](_ schema.Job[Req, Resp], do func(context.Context, *Job, Req) (Resp, error), look func(context.Context, string, Req) (*Resp, string, error)) verb {
	v := verb{do: func(ctx context.Context, job *Job, args json.RawMessage) (json.RawMessage, error) {
		var req Req
		if err := json.Unmarshal(args, &req); err != nil {
			return nil, unreadable(err)
		}
		resp, err := do(ctx, job, req)
		if err != nil {
			return nil, err
		}
		return json.Marshal(resp)
	}}
	if look == nil {
		return v
	}
	v.look = func(ctx context.Context, cmd schema.Command) (json.RawMessage, string, error) {
		var req Req
		if err := json.Unmarshal(cmd.Args, &req); err != nil {
			return nil, "", fmt.Errorf("read the command: %w", err)
		}
		resp, found, err := look(ctx, cmd.ID, req)
		if err != nil || resp == nil {
			return nil, found, err
		}
		data, err := json.Marshal(resp)
		return data, found, err
	}
	return v
}

// unreadable is the error of a command whose arguments are not what the verb takes.
func unreadable(err error) error {
	if _, known := errors.AsType[*schema.Error](err); known { // says itself what is wrong
		return schema.Wrap(schema.Invalid, err, "read the command")
	}
	return schema.Wrap(schema.Invalid, err, "read the command: %v", err)
}
