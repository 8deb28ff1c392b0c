package single

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"berth/periphery/docker"
	"berth/schema"
)

// restoreTime is how long it may take to bring the container before back, whatever
// became of the work that it was replaced in. Its stop may take longer.
const restoreTime = time.Minute

// Replacement is one container in the place of another.
type Replacement struct {
	Deployment string // id
	Run        string // id
	Inputs     string // keyed digest of what feeds it
	Spec       Spec
	Before     *Container // nil for none
	Stop       docker.StopOptions
	// Phase brackets a part of the work; Say takes a line about it.
	Phase func(ctx context.Context, name string, fn func(ctx context.Context) (string, error)) error
	Say   func(format string, args ...any)
}

// Result is what a replacement made.
type Result struct {
	ID       string
	Warnings []string // the engine's
}

// Replace creates the new container under a name of its own, ends the one before,
// starts the new one, and gives it the name when it is well. Where that does not
// come about the one before is back as it was, under its name, and the new one is
// removed: the error says why, and that it was rolled back. A new one that cannot
// be created leaves the one before untouched.
func (e *Engine) Replace(ctx context.Context, r Replacement) (Result, error) {
	var res Result
	created, err := e.create(ctx, r, &res)
	if err != nil {
		return res, err
	}
	if err := e.switchOver(ctx, r, created); err != nil {
		return res, e.takeBack(ctx, r, created, err)
	}
	res.ID = created.ID
	if r.Before != nil {
		if err := e.remove(ctx, r.Before); err != nil {
			res.Warnings = append(res.Warnings, fmt.Sprintf("the container before is still there: %s; the next deploy removes it", schema.SafeText(err)))
		}
	}
	return res, nil
}

func (e *Engine) create(ctx context.Context, r Replacement, res *Result) (*Container, error) {
	var created *Container
	err := r.Phase(ctx, "create", func(ctx context.Context) (string, error) {
		o := r.Spec.Options
		config := *o.Config
		config.Labels = maps.Clone(config.Labels)
		if config.Labels == nil {
			config.Labels = map[string]string{}
		}
		config.Labels[LabelDeployment], config.Labels[LabelInputs], config.Labels[docker.LabelRun] = r.Deployment, r.Inputs, r.Run
		if r.Before != nil {
			config.Labels[LabelBefore], config.Labels[LabelBeforeRan] = r.Before.ID, strconv.FormatBool(r.Before.Runs())
		}
		o.Config, o.Name = &config, r.Spec.Name+suffixNew
		made, err := e.docker.API().ContainerCreate(ctx, o)
		if err != nil {
			return "", schema.Wrap(schema.Failed, err, "create container %s: %s; what ran before was not touched", r.Spec.Name, docker.Text(err))
		}
		res.Warnings = append(res.Warnings, made.Warnings...)
		created = &Container{Detail: docker.Detail{ID: made.ID, Name: o.Name}}
		return "from " + config.Image, nil
	})
	return created, err
}

// switchOver ends the one before, starts the new one, and gives it the name.
func (e *Engine) switchOver(ctx context.Context, r Replacement, created *Container) error {
	if r.Before != nil && r.Before.Runs() {
		err := r.Phase(ctx, "stop", func(ctx context.Context) (string, error) {
			return r.Before.Name, e.docker.Act(ctx, r.Before.ID, schema.ContainerStop, r.Stop)
		})
		if err != nil {
			return err
		}
	}
	err := r.Phase(ctx, "start", func(ctx context.Context) (string, error) {
		return r.Spec.Name, e.start(ctx, created)
	})
	if err != nil {
		return err
	}
	err = r.Phase(ctx, "health", func(ctx context.Context) (string, error) {
		return e.await(ctx, created, r.Spec.Name, r.Say)
	})
	if err != nil {
		return err
	}
	return e.swap(ctx, r, created)
}

// swap gives the new container the name. From the moment on that the one before has
// its new name, whoever finds the two goes forward.
func (e *Engine) swap(ctx context.Context, r Replacement, created *Container) error {
	if r.Before != nil {
		if err := e.rename(ctx, r.Before, base(r.Before.Name)+suffixOld); err != nil {
			return err
		}
	}
	return e.rename(ctx, created, r.Spec.Name)
}

// takeBack removes the new container and brings the one before back.
func (e *Engine) takeBack(ctx context.Context, r Replacement, created *Container, cause error) error {
	if ctx.Err() != nil {
		cause = context.Cause(ctx)
	}
	tidy, cancel := context.WithTimeout(context.WithoutCancel(ctx), restoreTime)
	defer cancel()
	code := schema.CodeOf(cause)
	if code == schema.NotFound || code == schema.Conflict { // of something the container needs
		code = schema.Failed
	}
	note := ""
	err := r.Phase(tidy, "rollback", func(ctx context.Context) (string, error) {
		var err error
		if r.Before == nil {
			note, err = e.giveUp(ctx, created, nil, false)
		} else {
			note, err = e.giveUp(ctx, created, r.Before, r.Before.Runs())
		}
		return note, err
	})
	if err != nil {
		return schema.Errorf(code, "%s\nand it could not be rolled back: %s", schema.SafeText(cause), schema.SafeText(err))
	}
	return schema.Errorf(code, "%s\nrolled back: %s", strings.TrimSpace(schema.SafeText(cause)), note)
}

// giveUp ends the new container, brings the one before back as it was, and removes
// the new one last: as long as it is there it says what there is to bring back.
func (e *Engine) giveUp(ctx context.Context, created, before *Container, ran bool) (string, error) {
	note := "the new container was removed"
	if before == nil {
		return note, e.remove(ctx, created)
	}
	now, err := e.Named(ctx, before.ID)
	if err != nil {
		return "", err
	}
	if now == nil {
		return note + ", the one before is gone", e.remove(ctx, created)
	}
	if name := base(before.Name); now.Name != name { // first, or whoever finds the two goes forward
		if err := e.rename(ctx, now, name); err != nil {
			return "", err
		}
	}
	if err := e.docker.Act(ctx, created.ID, schema.ContainerStop, docker.StopOptions{}); err != nil && schema.CodeOf(err) != schema.NotFound {
		return "", err
	}
	if ran && !now.Runs() {
		if err := e.start(ctx, now); err != nil {
			return "", err
		}
	}
	if ran {
		note += ", " + base(before.Name) + " runs again"
	} else {
		note += ", " + base(before.Name) + " is stopped as it was"
	}
	return note, e.remove(ctx, created)
}

// base is a container's name without what marks it while it is replaced.
func base(name string) string {
	return strings.TrimSuffix(strings.TrimSuffix(name, suffixNew), suffixOld)
}

// Recover finishes or takes back what an interrupted replacement left of a
// deployment, and says in words what it did; "" where there was nothing. It goes
// forward when the new container had been found well, else back. Doing it again
// does no harm.
func (e *Engine) Recover(ctx context.Context, deployment string) (string, error) {
	list, err := e.all(ctx, deployment)
	if err != nil {
		return "", err
	}
	var said []string
	for _, c := range list {
		var note string
		switch {
		case strings.HasSuffix(c.Name, suffixNew):
			note, err = e.recoverNew(ctx, c)
		case strings.HasSuffix(c.Name, suffixOld):
			note, err = e.recoverOld(ctx, c)
		default:
			note, err = e.tidy(ctx, c)
		}
		if err != nil {
			return strings.Join(said, "; "), schema.Wrap(schema.CodeOf(err), err, "finish what an earlier deploy was interrupted in")
		}
		if note != "" {
			said = append(said, note)
		}
	}
	return strings.Join(said, "; "), nil
}

// recoverNew does so from a new container that has no name of its own yet.
func (e *Engine) recoverNew(ctx context.Context, c *Container) (string, error) {
	before, err := e.Named(ctx, c.Labels[LabelBefore])
	if err != nil {
		return "", err
	}
	proven := before != nil && strings.HasSuffix(before.Name, suffixOld)
	gone := before == nil && c.Labels[LabelBefore] != "" && c.State == "running" // by hand
	if !proven && !gone {
		return e.giveUp(ctx, c, before, c.Labels[LabelBeforeRan] == "true")
	}
	if err := e.rename(ctx, c, base(c.Name)); err != nil {
		return "", err
	}
	if before != nil {
		err = e.remove(ctx, before)
	}
	return "the new container " + base(c.Name) + " has its name now", err
}

// recoverOld does so from an old container: the new one has its name, or is gone.
func (e *Engine) recoverOld(ctx context.Context, c *Container) (string, error) {
	if c, err := e.Named(ctx, c.ID); c == nil || err != nil || !strings.HasSuffix(c.Name, suffixOld) {
		return "", err // seen to meanwhile, with the new one
	}
	list, err := e.all(ctx, c.Deployment())
	if err != nil {
		return "", err
	}
	for _, other := range list {
		if other.Labels[LabelBefore] == c.ID {
			return "the container before was removed", e.remove(ctx, c)
		}
	}
	return "the container before has its name again", e.rename(ctx, c, base(c.Name))
}

// tidy removes the one before of a container that has its name, where that was not
// a deployment's and is therefore in no list.
func (e *Engine) tidy(ctx context.Context, c *Container) (string, error) {
	before, err := e.Named(ctx, c.Labels[LabelBefore])
	if err != nil || before == nil || !strings.HasSuffix(before.Name, suffixOld) {
		return "", err
	}
	return "the container before was removed", e.remove(ctx, before)
}
