package compose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"

	"berth/periphery/docker"
	"berth/schema"
)

const (
	defaultHealthTimeout = 2 * time.Minute
	defaultSettle        = time.Second
	maxRestarts          = 4  // a container that came up no better after these is given up
	logLines             = 20 // of a failed container, for the error
)

// awaitHealth waits until every container of the plan's services runs, stays up
// for a moment and passes its health check. The error names the service, its
// state and the last lines it wrote. The list is the project's containers as they
// were seen last.
func (d *Deployer) awaitHealth(ctx context.Context, p *Plan, j *job, list []container.Summary) error {
	limit := p.spec.HealthTimeout
	if p.flags.waitTimeout > 0 {
		limit = p.flags.waitTimeout
	}
	if limit <= 0 {
		limit = defaultHealthTimeout
	}
	watch, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	w := &healthWatch{d: d, p: p, j: j, restarts: map[string]int{}}
	pause := 25 * time.Millisecond
	for {
		pending, err := w.look(watch, list)
		list = nil
		if err != nil && watch.Err() == nil {
			return err
		}
		if err == nil && len(pending) == 0 {
			return nil
		}
		if err == nil {
			w.pending = pending
		}
		select {
		case <-watch.Done():
			if ctx.Err() != nil {
				return d.explain(ctx, ctx.Err(), "wait for health of project "+p.project.Name)
			}
			return w.timedOut(ctx, limit)
		case <-time.After(w.until(pause)):
		}
		pause = min(pause*2, 250*time.Millisecond)
	}
}

// healthWatch is one wait for health.
type healthWatch struct {
	d        *Deployer
	p        *Plan
	j        *job
	restarts map[string]int // by id, when first seen
	pending  []waiting
	settles  time.Time // when the last container that only has to stay up will have
}

// until shortens a pause that would last beyond the moment that is waited for.
func (w *healthWatch) until(pause time.Duration) time.Duration {
	if left := time.Until(w.settles); left > 0 {
		return min(pause, left)
	}
	return pause
}

// waiting is a container that is not there yet, and why.
type waiting struct {
	id, service, why string
}

// look returns the containers that are still to be waited for; an error is final.
// Without a list it takes a new one.
func (w *healthWatch) look(ctx context.Context, list []container.Summary) ([]waiting, error) {
	if list == nil {
		var err error
		if list, err = w.d.containers(ctx, w.p.project.Name); err != nil {
			return nil, err
		}
	}
	var pending []waiting
	for _, name := range w.p.project.ServiceNames() {
		service := w.p.project.Services[name]
		if slices.Contains(w.p.spec.IgnoreServices, name) || service.GetScale() == 0 {
			continue
		}
		more, err := w.lookAt(ctx, name, list)
		if err != nil {
			return nil, err
		}
		pending = append(pending, more...)
	}
	return pending, nil
}

// lookAt does so for one service.
func (w *healthWatch) lookAt(ctx context.Context, service string, list []container.Summary) ([]waiting, error) {
	var pending []waiting
	found := false
	for _, c := range list {
		if c.Labels[docker.LabelService] != service {
			continue
		}
		found = true
		why, err := w.judge(ctx, service, c)
		if err != nil {
			return nil, err
		}
		state := settled(c)
		if why != "" {
			pending = append(pending, waiting{c.ID, service, why})
			state = why
		}
		w.j.state(service, "Container "+docker.Container(c).Name, state, false)
	}
	if !found {
		return nil, schema.Errorf(schema.Failed, "wait for health: service %q has no container", service)
	}
	return pending, nil
}

// settled is the good end of a container, in one word.
func settled(c container.Summary) string {
	switch {
	case c.State == container.StateExited:
		return "Exited"
	case docker.Container(c).Health != "":
		return "Healthy"
	}
	return "Running"
}

// judge returns why a container is to be waited for, "" if it is well, or an error
// if waiting is of no use.
func (w *healthWatch) judge(ctx context.Context, service string, c container.Summary) (string, error) {
	s := docker.Container(c)
	// Up for long enough and not of our making: the list says all there is to know.
	recent := w.recent(c.Status) || w.j.wasTouched(s.Name)
	if s.State == "running" && !recent && (s.Health == "" || s.Health == "healthy") {
		return "", nil
	}
	in, err := w.d.engine.Inspect(ctx, c.ID)
	if schema.CodeOf(err) == schema.NotFound {
		return "being replaced", nil
	}
	if err != nil {
		return "", err
	}
	first, seen := w.restarts[c.ID]
	if !seen {
		if !w.j.wasTouched(s.Name) {
			first = in.Restarts
		}
		w.restarts[c.ID] = first
	}
	if in.Restarts-first >= maxRestarts {
		return "", w.fail(ctx, service, in, fmt.Sprintf("restarts again and again, the last time with exit code %d", in.ExitCode))
	}
	return w.judgeState(ctx, service, in)
}

func (w *healthWatch) judgeState(ctx context.Context, service string, in docker.Detail) (string, error) {
	switch in.State {
	case "running":
		return w.judgeRunning(ctx, service, in)
	case "restarting":
		return fmt.Sprintf("restarting after exit code %d", in.ExitCode), nil
	case "exited":
		if in.Error != "" {
			return "", w.fail(ctx, service, in, "could not be started: "+in.Error)
		}
		once := in.Restart == "" || in.Restart == "no" || in.Restart == "on-failure"
		if in.ExitCode == 0 && once {
			return "", nil
		}
		text := fmt.Sprintf("exited with code %d", in.ExitCode)
		if in.OOM {
			text += " (out of memory)"
		}
		return "", w.fail(ctx, service, in, text)
	case "created":
		text := "was created but not started"
		if in.Error != "" {
			text += ": " + in.Error
		}
		return "", w.fail(ctx, service, in, text)
	}
	return "", w.fail(ctx, service, in, "is "+in.State)
}

func (w *healthWatch) judgeRunning(ctx context.Context, service string, in docker.Detail) (string, error) {
	switch in.Health {
	case "healthy":
		return "", nil
	case "starting":
		return "Waiting for its health check", nil
	case "unhealthy":
		text := "is unhealthy"
		if in.Probe != "" {
			text += ": its health check says " + cut(oneLine(errors.New(in.Probe)), 300)
		}
		return "", w.fail(ctx, service, in, text)
	}
	if up := in.Started.Add(w.settle()); time.Now().Before(up) {
		if up.After(w.settles) {
			w.settles = up
		}
		return "Started", nil
	}
	return "", nil
}

func (w *healthWatch) settle() time.Duration {
	if w.p.spec.Settle == 0 {
		return defaultSettle
	}
	return w.p.spec.Settle
}

// recent reports whether a container's status ("Up 3 seconds") leaves open if it
// has been up for long enough.
func (w *healthWatch) recent(status string) bool {
	var seconds int
	if n, _ := fmt.Sscanf(status, "Up %d seconds", &seconds); n == 1 {
		return time.Duration(seconds)*time.Second <= w.settle()+time.Second
	}
	return strings.Contains(status, "econd")
}

// fail tells what a container wrote last and returns the error about it.
func (w *healthWatch) fail(ctx context.Context, service string, in docker.Detail, what string) error {
	text := fmt.Sprintf("service %q (container %s) %s", service, in.Name, what)
	w.j.state(service, "Container "+in.Name, what, true)
	lines, err := w.d.engine.Tail(ctx, in.ID, logLines)
	switch {
	case err != nil:
		return schema.Wrap(schema.Failed, err, "%s; its log cannot be read", text)
	case len(lines) == 0:
		return schema.Errorf(schema.Failed, "%s; it wrote nothing", text)
	}
	for i, line := range lines {
		lines[i] = cut(line, 500)
		w.j.line(service, lines[i], true)
	}
	return schema.Errorf(schema.Failed, "%s; its last lines:\n%s", text, strings.Join(lines, "\n"))
}

// timedOut is the error about the first container that did not get well in time.
func (w *healthWatch) timedOut(ctx context.Context, limit time.Duration) error {
	if len(w.pending) == 0 {
		return schema.Errorf(schema.Expired, "wait for health of project %s: the engine did not say within %s", w.p.project.Name, limit)
	}
	first := w.pending[0]
	in, err := w.d.engine.Inspect(ctx, first.id)
	if err != nil {
		return schema.Wrap(schema.Expired, err, "service %q is not healthy after %s", first.service, limit)
	}
	err = w.fail(ctx, first.service, in, fmt.Sprintf("is not well after %s: %s", limit, strings.ToLower(first.why)))
	return &schema.Error{Code: schema.Expired, Text: schema.SafeText(err)}
}

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
