package single

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"berth/bus"
	"berth/periphery/docker"
	"berth/schema"
)

const (
	defaultSettle = time.Second
	healthLeast   = 2 * time.Minute // that a health check gets, and the most it does
	healthMost    = 20 * time.Minute
	maxRestarts   = 4  // a container that came up no better after these is given up
	logLines      = 20 // of a failed container, for the error
)

// await waits until a new container runs and stays up for a moment or passes its
// health check; one that ends with code 0 and is not to be started again is well,
// too. The error has its state and the last lines it wrote.
func (e *Engine) await(ctx context.Context, c *Container, name string, say func(format string, args ...any)) (string, error) {
	res, err := e.docker.API().ContainerInspect(ctx, c.ID, client.ContainerInspectOptions{})
	if err != nil {
		return "", e.docker.Explain(err, "inspect container "+name)
	}
	limit := patience(res.Container.Config)
	deadline := time.Now().Add(limit)
	pause, told := 25*time.Millisecond, ""
	for {
		in, err := e.docker.Inspect(ctx, c.ID)
		if err != nil {
			return "", err
		}
		state, bad := e.judge(in)
		switch {
		case bad != "":
			return "", e.failed(ctx, in, name, bad)
		case state == "":
			return well(in), nil
		case time.Now().After(deadline):
			return "", e.failed(ctx, in, name, fmt.Sprintf("is not well after %s: %s", limit, state))
		case state != told:
			told = state
			say("%s: %s", name, state)
		}
		if err := bus.Sleep(ctx, pause); err != nil {
			return "", context.Cause(ctx)
		}
		pause = min(pause*2, 250*time.Millisecond)
	}
}

func well(in docker.Detail) string {
	if in.Health != "" || in.State != "running" {
		return strings.TrimSpace(in.State + " " + in.Health)
	}
	return "running"
}

// patience is how long a container may take to get well, by its own health check.
func patience(c *container.Config) time.Duration {
	if c == nil || c.Healthcheck == nil {
		return healthLeast
	}
	h := c.Healthcheck
	interval, timeout, retries := h.Interval, h.Timeout, h.Retries
	if interval == 0 {
		interval = 30 * time.Second
	}
	if timeout == 0 {
		timeout = 30 * time.Second
	}
	if retries == 0 {
		retries = 3
	}
	return min(max(h.StartPeriod+time.Duration(retries)*(interval+timeout)+10*time.Second, healthLeast), healthMost)
}

// judge says why a container is to be waited for ("" when it is well), or that
// waiting is of no use.
func (e *Engine) judge(in docker.Detail) (state, bad string) {
	if in.Restarts >= maxRestarts {
		return "", fmt.Sprintf("restarts again and again, the last time with exit code %d", in.ExitCode)
	}
	switch in.State {
	case "running":
		return e.judgeRunning(in)
	case "restarting":
		return fmt.Sprintf("restarting after exit code %d", in.ExitCode), ""
	case "exited":
		once := in.Restart == "" || in.Restart == "no" || in.Restart == "on-failure"
		switch {
		case in.Error != "":
			return "", "could not be started: " + in.Error
		case in.ExitCode == 0 && once:
			return "", ""
		case in.OOM:
			return "", fmt.Sprintf("exited with code %d (out of memory)", in.ExitCode)
		}
		return "", fmt.Sprintf("exited with code %d", in.ExitCode)
	}
	return "", "is " + in.State
}

func (e *Engine) judgeRunning(in docker.Detail) (state, bad string) {
	switch {
	case in.Health == "healthy":
		return "", ""
	case in.Health == "unhealthy" && in.Probe != "":
		return "", "is unhealthy: its health check says " + cut(strings.Join(strings.Fields(in.Probe), " "), 300)
	case in.Health == "unhealthy":
		return "", "is unhealthy"
	case in.Health == "starting":
		return "waiting for its health check", ""
	case time.Now().Before(in.Started.Add(e.Settle)):
		return "started", ""
	}
	return "", ""
}

// failed is the error about a container, with its last lines.
func (e *Engine) failed(ctx context.Context, in docker.Detail, name, what string) error {
	text := fmt.Sprintf("container %s %s", name, what)
	lines, err := e.docker.Tail(ctx, in.ID, logLines)
	switch {
	case err != nil:
		return schema.Wrap(schema.Failed, err, "%s; its log cannot be read", text)
	case len(lines) == 0:
		return schema.Errorf(schema.Failed, "%s; it wrote nothing", text)
	}
	for i, line := range lines {
		lines[i] = cut(line, 500)
	}
	return schema.Errorf(schema.Failed, "%s; its last lines:\n%s", text, strings.Join(lines, "\n"))
}

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
