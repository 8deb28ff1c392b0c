package execution

import (
	"context"
	"fmt"
	"slices"
	"strings"
	stdsync "sync"

	"berth/core/run"
	"berth/core/sync"
	"berth/schema"
)

// downs are the stacks and deployments that are taken down before they are
// deleted, all at once.
type downs struct {
	wg     stdsync.WaitGroup
	ends   map[string]chan struct{} // by kind/name: closed when it has ended
	mu     stdsync.Mutex
	errs   map[string]error
	server map[string]string
}

func (d *downs) wait() { d.wg.Wait() }

// ended waits for one, and returns how it ended.
func (d *downs) ended(ctx context.Context, key string) error {
	end := d.ends[key]
	if end == nil {
		return nil
	}
	select {
	case <-end:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.errs[key]
}

// idle waits until nothing is taken down on a server: what is deployed there may
// need its ports.
func (d *downs) idle(ctx context.Context, server string) error {
	for key, on := range d.server {
		if on == server {
			if err := d.ended(ctx, key); err != nil && ctx.Err() != nil {
				return err
			}
		}
	}
	return nil
}

// takeDown starts to take down what is to be. The first time decides what that is:
// it is recorded by its steps.
func (s *syncing) takeDown(ctx context.Context, deletes []schema.SyncChange) *downs {
	d := &downs{ends: map[string]chan struct{}{}, errs: map[string]error{}, server: map[string]string{}}
	for _, c := range deletes {
		if !c.Destroy {
			continue
		}
		key := c.Kind + "/" + c.Name
		end := make(chan struct{})
		d.ends[key], d.server[key] = end, c.Server.ID
		d.wg.Go(func() {
			defer close(end)
			err := s.destroy(ctx, c)
			d.mu.Lock()
			d.errs[key] = err
			d.mu.Unlock()
		})
	}
	return d
}

func (s *syncing) destroy(ctx context.Context, c schema.SyncChange) error {
	action := "DestroyStack"
	if c.Kind == "deployment" {
		action = "DestroyDeployment"
	}
	rec := s.r.Record()
	child, err := s.r.Child(ctx, "take down "+c.Kind+" "+c.Name, run.StartReq{
		Action: action, Target: schema.Target{Kind: c.Kind, ID: c.ID, Name: c.Name}, Server: c.Server,
		Params: paramsFor(c.Kind, c.ID), Actor: rec.Actor, Cause: rec.Cause,
	})
	if err != nil {
		return err
	}
	if !child.State.Good() {
		return endOfChild(child)
	}
	return nil
}

// endOfChild is why a child run did not end well.
func endOfChild(c *schema.Run) error {
	if c.Problem != nil {
		return c.Problem.Err()
	}
	return schema.Errorf(schema.Failed, "it was %s", c.State)
}

// delete deletes resources, what refers before what it refers to. One that could
// not be taken down stays, and so does what it needs.
func (s *syncing) delete(ctx context.Context, work *sync.Work, deletes []schema.SyncChange, d *downs) error {
	for _, c := range deletes {
		err := d.ended(ctx, c.Kind+"/"+c.Name)
		if err == nil {
			err = work.Do(ctx, c)
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			s.failed = append(s.failed, fmt.Sprintf("delete %s %s: %s", c.Kind, c.Name, schema.SafeText(err)))
			continue
		}
		s.done++
		if c.Kind == "stack" {
			if err := s.d.Stacks.SaveDeployed(ctx, c.ID, nil); err != nil && schema.CodeOf(err) != schema.NotFound {
				return err
			}
		}
	}
	return nil
}

// deploys is the graph of what is deployed.
type deploys struct {
	s     *syncing
	down  *downs
	ends  map[string]chan struct{} // by kind/name: closed when it has ended
	mu    stdsync.Mutex
	bad   map[string]string // by kind/name: failed or skipped
	other error
}

// deploy starts every deploy once all that goes before it has ended well. What
// fails stops what comes after it, and nothing else.
func (s *syncing) deploy(ctx context.Context, down *downs) error {
	g := &deploys{s: s, down: down, ends: map[string]chan struct{}{}, bad: map[string]string{}}
	var todo []schema.SyncDeploy
	for _, d := range s.plan.Deploys {
		if d.Pending() {
			todo = append(todo, d)
			g.ends[d.Kind+"/"+d.Name] = make(chan struct{})
		}
		if d.What == "failed" {
			g.bad[d.Kind+"/"+d.Name] = "what it needs could not be found out"
		}
	}
	var wg stdsync.WaitGroup
	for _, d := range todo {
		wg.Go(func() {
			defer close(g.ends[d.Kind+"/"+d.Name])
			g.one(ctx, d)
		})
	}
	wg.Wait()
	return g.other
}

func (g *deploys) one(ctx context.Context, d schema.SyncDeploy) {
	why, err := g.ready(ctx, d)
	var child *schema.Run
	if why == "" && err == nil {
		child, err = g.start(ctx, d)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	key := d.Kind + "/" + d.Name
	switch {
	case ctx.Err() != nil:
		g.bad[key], g.other = "canceled", context.Cause(ctx)
	case why != "":
		g.bad[key] = "skipped"
		g.s.skipped = append(g.s.skipped, d.Name+" ("+why+")")
	case err != nil:
		g.bad[key] = "failed"
		g.s.failed = append(g.s.failed, "deploy "+d.Name+": "+schema.SafeText(err))
	case child.State == schema.StateSuperseded: // a newer deploy of it took its place
	case !child.State.Good():
		g.bad[key] = "failed"
		g.s.failed = append(g.s.failed, "deploy "+d.Name+": "+schema.SafeText(endOfChild(child)))
	}
}

// ready waits for what goes before; why says why it must not be deployed.
func (g *deploys) ready(ctx context.Context, d schema.SyncDeploy) (why string, err error) {
	if err := g.down.idle(ctx, d.Server.ID); err != nil {
		return "", err
	}
	var blocked []string
	for _, t := range d.After {
		key := t.Kind + "/" + t.Name
		if end := g.ends[key]; end != nil {
			select {
			case <-end:
			case <-ctx.Done():
				return "", context.Cause(ctx)
			}
		}
		g.mu.Lock()
		if how := g.bad[key]; how != "" {
			blocked = append(blocked, fmt.Sprintf("it comes after %s, which was %s", t.Name, strings.Replace(how, "failed", "not deployed", 1)))
		}
		g.mu.Unlock()
	}
	slices.Sort(blocked)
	return strings.Join(blocked, ", "), nil
}

// start deploys at the very commit that the plan is of.
func (g *deploys) start(ctx context.Context, d schema.SyncDeploy) (*schema.Run, error) {
	action := "DeployStack"
	if d.Kind == "deployment" {
		action = "Deploy"
	}
	rec := g.s.r.Record()
	cause := rec.Cause
	if d.Commit != "" {
		cause.Repo, cause.Ref, cause.Commit, cause.Message = d.Repo, d.Ref, d.Commit, d.Message
	}
	target, err := g.s.work.Target(d.Kind, d.Name) // what was created has its id since
	if err != nil {
		return nil, err
	}
	server := d.Server
	if t, err := g.s.work.Target("server", server.Name); err == nil {
		server = t
	}
	return g.s.r.Child(ctx, "deploy "+d.Kind+" "+d.Name, run.StartReq{
		Action: action, Target: target, Server: server, Params: paramsFor(d.Kind, target.ID), Actor: rec.Actor, Cause: cause,
	})
}
