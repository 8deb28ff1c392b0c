package periphery

import (
	"context"
	"fmt"
	"strings"
	"time"

	"berth/bus"
	"berth/periphery/compose"
	"berth/periphery/docker"
	"berth/schema"
)

const (
	answerTime   = time.Minute            // in which a new agent and core must answer, unless health_timeout says otherwise
	answerPause  = 250 * time.Millisecond // between two looks
	answerTries  = 4                      // restarts after which a new container is given up
	restoreTime  = 2 * time.Minute        // for bringing back what ran before
	answerLines  = 20                     // of the log of a container that ended
	phaseAnswer  = "answer"
	phaseRestore = "rollback"
)

// carryOut brings the plan up and says what is deployed now. Containers that Berth
// itself runs in are kept until those in their place answer, and brought back when
// they do not.
func (d *deployment) carryOut(ctx context.Context, plan *compose.Plan, g guard) error {
	ids := g.ids()
	if len(ids) > 0 {
		if d.spec.DestroyBefore {
			d.pointOut("destroy_before_deploy is left out: the stack contains Berth itself")
		}
		plan.Keep(ids...)
	}
	d.job.touches()
	res, err := d.bringUp(ctx, plan)
	if len(ids) > 0 {
		if err == nil {
			err = d.answer(ctx, g)
		}
		if err != nil {
			return d.takeBack(ctx, ids, err)
		}
		if err := d.a.deploy.Discard(ctx, ids); err != nil {
			d.warn(fmt.Sprintf("%s: it is stopped; the next deploy removes it", schema.SafeText(err)))
		}
	}
	if err != nil {
		return err
	}
	d.resp.Deployed = d.a.deployed(d.req, d.resp.Commit, d.base, res)
	if d.resp.Decision.Reason == "asked for" {
		d.resp.Decision.Reason = "asked for: " + recreated(res)
	}
	return d.hook(ctx, "post_deploy", d.req.Config.PostDeploy)
}

func (d *deployment) bringUp(ctx context.Context, plan *compose.Plan) (compose.Result, error) {
	res, err := d.a.deploy.Up(ctx, plan, d.job.out.add)
	d.job.took(res.Phases)
	d.resp.Recreated = res.Recreated
	d.warn(res.Warnings...)
	if err == nil {
		err = d.restart(ctx, plan, res)
	}
	return res, err
}

// answer waits until the new containers of Berth's do their work: the agent that
// is to be on this server now has heard from the core that is to be there now.
func (d *deployment) answer(ctx context.Context, g guard) error {
	replaced, err := d.a.deploy.Replaced(ctx, g.ids())
	if err != nil || len(replaced) == 0 {
		return err
	}
	return d.job.phase(ctx, phaseAnswer, func(ctx context.Context) (string, error) {
		limit := answerTime
		if t := d.req.Config.HealthTimeout; t > 0 {
			limit = time.Duration(t) * time.Second
		}
		ctx, cancel := context.WithTimeoutCause(ctx, limit, schema.Errorf(schema.Expired, "the new containers of Berth run, but agent and core have not answered within %s", limit))
		defer cancel()
		for {
			agent, since, err := d.successors(ctx, g, replaced)
			if err == nil && d.heard(ctx, agent, since) {
				return "agent and core answer", nil
			}
			if err == nil {
				err = bus.Sleep(ctx, answerPause)
			}
			if cause := context.Cause(ctx); cause != nil {
				return "", cause
			}
			if err != nil {
				return "", err
			}
		}
	})
}

// successors looks at the new containers: the id of the agent's, which may be the
// one before, and since when the youngest runs. One that does not come up is an
// error.
func (d *deployment) successors(ctx context.Context, g guard, replaced []string) (agent string, since time.Time, err error) {
	agent = g.Agent
	for _, id := range replaced {
		c, err := d.a.deploy.Successor(ctx, id)
		if err != nil {
			return "", since, err
		}
		switch {
		case c.State == "exited" || c.State == "dead":
			return "", since, d.a.ended(ctx, c, fmt.Sprintf("ended with exit code %d", c.ExitCode))
		case c.Restarts >= answerTries:
			return "", since, d.a.ended(ctx, c, fmt.Sprintf("restarts again and again, the last time with exit code %d", c.ExitCode))
		}
		if id == g.Agent {
			agent = c.ID
		}
		if c.Started.After(since) {
			since = c.Started
		}
	}
	return agent, since, nil
}

// ended is the error about a container that does not run, with its last words.
func (a *Agent) ended(ctx context.Context, c docker.Detail, what string) error {
	text := fmt.Sprintf("new container %s %s", c.Name, what)
	lines, err := a.engine.Tail(ctx, c.ID, answerLines)
	if err != nil || len(lines) == 0 {
		return schema.Errorf(schema.Failed, "%s", text)
	}
	return schema.Errorf(schema.Failed, "%s; its last lines:\n%s", text, strings.Join(lines, "\n"))
}

// heard reports whether the agent that runs in a container has heard from core
// since a time: this very agent asks, for others what they noted counts.
func (d *deployment) heard(ctx context.Context, agent string, since time.Time) bool {
	if d.a.conn == nil {
		s, err := d.a.signOfLife()
		return err == nil && s.Container == agent && time.UnixMilli(s.At).After(since)
	}
	ctx, cancel := context.WithTimeout(ctx, helloTime)
	defer cancel()
	_, err := bus.VerifyCore(ctx, d.a.conn, d.a.join.Key)
	return err == nil
}

// takeBack brings back the containers that Berth itself ran in, whatever became of
// ctx. When none had been replaced yet, nothing is rolled back.
func (d *deployment) takeBack(ctx context.Context, ids []string, cause error) error {
	if ctx.Err() != nil {
		cause = context.Cause(ctx)
	}
	tidy, cancel := context.WithTimeout(context.WithoutCancel(ctx), restoreTime)
	defer cancel()
	code := schema.CodeOf(cause)
	if code == schema.NotFound || code == schema.Conflict || code == schema.Unavailable {
		code = schema.Failed
	}
	var said []string
	err := d.job.phase(tidy, phaseRestore, func(ctx context.Context) (string, error) {
		var err error
		if said, err = d.a.deploy.Restore(ctx, ids); err != nil {
			return "", err
		}
		if len(said) == 0 {
			return "what Berth runs in had not been touched", nil
		}
		return strings.Join(said, ", "), nil
	})
	text := strings.TrimSpace(schema.SafeText(cause))
	switch {
	case err != nil:
		return schema.Wrap(code, cause, "%s\nand it could not be rolled back: %s", text, schema.SafeText(err))
	case len(said) == 0:
		return cause
	}
	return schema.Wrap(code, cause, "%s\nrolled back to the image before: %s", text, strings.Join(said, ", "))
}
