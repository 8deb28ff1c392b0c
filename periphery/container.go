package periphery

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"berth/periphery/docker"
	"berth/schema"
)

// What may be changed. One thing that somebody names may be anybody's. What works
// on many changes only what core says Berth manages on this server (see
// schema.Managed), and of that neither what carries a label of docker.Skipped nor
// the containers that core and this agent run in.

// actsAtOnce is how many containers a batch works on at once.
const actsAtOnce = 8

// act is a verb in words, and in which states it has something to do.
type act struct {
	did    string   // "stopped"
	from   []string // states that it changes
	others string   // why it leaves containers in other states alone
	mortal bool     // it would end whoever does it to himself
}

func acts() map[string]act {
	return map[string]act{
		schema.ContainerStart:   {"started", []string{"created", "exited", "dead"}, "running already", false},
		schema.ContainerStop:    {"stopped", []string{"running", "restarting", "paused"}, "stopped already", true},
		schema.ContainerRestart: {"restarted", []string{"running", "restarting"}, "not running", true},
		schema.ContainerPause:   {"paused", []string{"running"}, "not running", true},
		schema.ContainerUnpause: {"unpaused", []string{"paused"}, "not paused", false},
		schema.ContainerDestroy: {"destroyed", nil, "", true},
	}
}

// containerDo does a verb to the one container that is named.
func (a *Agent) containerDo(ctx context.Context, j *Job, req schema.ContainerDoReq) (schema.EngineResp, error) {
	var resp schema.EngineResp
	verb, ok := acts()[req.Verb]
	if !ok {
		return resp, schema.Errorf(schema.Unsupported, "%s container %q: this agent (%s) does not know that: update it", req.Verb, req.Container, a.cfg.Version)
	}
	c, err := a.engine.Inspect(ctx, req.Container)
	if err != nil {
		return resp, missing(err, schema.EngineContainers, req.Container)
	}
	if err := spared(c, req, verb); err != nil {
		return resp, err
	}
	err = j.phase(ctx, req.Verb, func(ctx context.Context) (string, error) {
		if req.Verb == schema.ContainerStart && c.State == "running" || req.Verb == schema.ContainerStop && slices.Contains([]string{"exited", "created"}, c.State) {
			resp.Leave(schema.EngineContainers, c.Name, verb.others)
			return c.Name + " was " + verb.others, nil
		}
		j.touches()
		if err := a.engine.Act(ctx, c.ID, req.Verb, docker.StopOptions{Signal: req.Signal, Timeout: req.Time}); err != nil {
			return "", schema.Wrap(schema.CodeOf(err), err, "container %q", c.Name)
		}
		resp.Add(schema.EngineContainers, c.Name, verb.did)
		return c.Name, nil
	})
	return resp, err
}

// spared refuses what would end Berth itself half way.
func spared(c docker.Detail, req schema.ContainerDoReq, verb act) error {
	switch {
	case !verb.mortal:
	case c.ID == self():
		return schema.Errorf(schema.Conflict, "container %q is the one this agent runs in: nobody would be left to finish or to undo it. Do it on the server: `docker %s %s`", c.Name, byHand(req.Verb), c.Name)
	case req.Core != "" && c.ID == req.Core && req.Verb != schema.ContainerRestart:
		return schema.Errorf(schema.Conflict, "container %q is the one core runs in: nobody would be left to undo it. Do it on the server: `docker %s %s`", c.Name, byHand(req.Verb), c.Name)
	}
	return nil
}

func byHand(verb string) string {
	if verb == schema.ContainerDestroy {
		return "rm --force"
	}
	return verb
}

// missing says of a thing that is not there what to do; other errors pass.
func missing(err error, kind, name string) error {
	if schema.CodeOf(err) != schema.NotFound {
		return err
	}
	return schema.Errorf(schema.NotFound, "there is no %s %q on this server: give the name or id as it is listed there", kind, name)
}

// containerLook tells, after a crash, whether the container is in the state that
// the verb leaves it in. A restart leaves nothing to tell it by.
func (a *Agent) containerLook(ctx context.Context, _ string, req schema.ContainerDoReq) (*schema.EngineResp, string, error) {
	want := map[string]string{"start": "running", "unpause": "running", "stop": "exited", "pause": "paused"}
	resp := &schema.EngineResp{}
	c, err := a.engine.Inspect(ctx, req.Container)
	switch {
	case schema.CodeOf(err) == schema.NotFound && req.Verb == schema.ContainerDestroy:
		resp.Add(schema.EngineContainers, req.Container, "destroyed")
		return resp, "", nil
	case schema.CodeOf(err) == schema.NotFound:
		return nil, fmt.Sprintf("there is no container %q", req.Container), nil
	case err != nil:
		return nil, "", err
	case want[req.Verb] == c.State && c.State != "":
		resp.Add(schema.EngineContainers, c.Name, acts()[req.Verb].did)
		return resp, "", nil
	}
	return nil, fmt.Sprintf("container %q is %s", c.Name, c.State), nil
}

// containersDo does a verb to all containers that Berth manages.
func (a *Agent) containersDo(ctx context.Context, j *Job, req schema.ContainersDoReq) (schema.EngineResp, error) {
	var resp schema.EngineResp
	verb, ok := acts()[req.Verb]
	if !ok || verb.from == nil {
		return resp, schema.Errorf(schema.Unsupported, "%s all containers: this agent (%s) does not know that: update it", req.Verb, a.cfg.Version)
	}
	leave, err := a.batch(ctx, j)
	if err != nil {
		return resp, err
	}
	defer leave()
	err = j.phase(ctx, req.Verb, func(ctx context.Context) (string, error) {
		all, err := a.engine.ContainerObjects(ctx, false)
		if err != nil {
			return "", err
		}
		j.touches()
		t := &tidy{a: a, job: j, managed: req.Managed, resp: &resp}
		return words(resp), t.actOn(ctx, all, req.Verb, verb)
	})
	return resp, err
}

// batch waits until no deploy goes on, and keeps new ones waiting until leave.
func (a *Agent) batch(ctx context.Context, j *Job) (leave func(), err error) {
	return a.gate.enterAlone(ctx, func(deploys int) {
		if deploys > 0 {
			j.line("waiting until %d other commands of this server have ended, which make or need containers and images", deploys)
			return
		}
		j.line("waiting until another batch on this server has ended")
	})
}

func (t *tidy) actOn(ctx context.Context, all []docker.Object, name string, verb act) error {
	var g errgroup.Group
	g.SetLimit(actsAtOnce)
	for _, o := range all {
		reason := t.keeps(o)
		switch {
		case reason != "":
		case o.Labels[docker.LabelOneoff] == "True":
			reason = "a one-off container of `run`"
		case !slices.Contains(verb.from, o.Container.State):
			reason = verb.others
		}
		if reason != "" {
			t.leave(o, reason)
			continue
		}
		g.Go(func() error {
			t.try(ctx, o, verb.did, func() error { return t.a.engine.Act(ctx, o.ID, name, docker.StopOptions{}) })
			return nil
		})
	}
	_ = g.Wait() // what failed is in the answer
	return ctx.Err()
}

// words sums an answer up for a phase's note.
func words(r schema.EngineResp) string {
	var names []string
	for _, c := range r.Changed {
		names = append(names, c.Name)
	}
	return strings.Join(names, ", ")
}

// engineDelete removes one image, network or volume. The engine refuses what is in
// use.
func (a *Agent) engineDelete(ctx context.Context, j *Job, req schema.EngineDeleteReq) (schema.EngineResp, error) {
	var resp schema.EngineResp
	if !slices.Contains([]string{schema.EngineImages, schema.EngineNetworks, schema.EngineVolumes}, req.Kind) || req.Name == "" {
		return resp, schema.Errorf(schema.Invalid, "delete %s %q: name an image, a network or a volume", req.Kind, req.Name)
	}
	err := j.phase(ctx, "delete", func(ctx context.Context) (string, error) {
		err := a.engine.Remove(ctx, req.Kind, req.Name)
		if schema.CodeOf(err) == schema.Conflict {
			return "", schema.Errorf(schema.Conflict, "%s; what uses it has to go first", schema.SafeText(err))
		}
		if err != nil {
			return "", missing(err, req.Kind, req.Name)
		}
		resp.Add(req.Kind, req.Name, "deleted")
		return req.Name, nil
	})
	return resp, err
}
