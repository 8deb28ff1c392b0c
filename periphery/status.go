package periphery

import (
	"bufio"
	"context"
	"os"
	"runtime"
	"strings"
	"time"

	"berth/bus"
	"berth/periphery/docker"
	"berth/schema"
)

// status describes the agent, its host and its engine as they are now.
func (a *Agent) status(ctx context.Context) schema.AgentStatus {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	hostname, _ := os.Hostname() // only a label
	st := schema.AgentStatus{
		Version: a.cfg.Version, Hostname: hostname, OS: osName(), Arch: runtime.GOARCH, At: time.Now().UnixMilli(), Started: a.started.UnixMilli(),
		Engine: a.engine.Info(ctx), Self: self(), Host: &a.machine, Stats: a.host.Last(),
	}
	if keys, err := a.keys(); err == nil {
		st.Recipients = keys.Recipients()
	}
	if st.Engine.Error != "" {
		return st
	}
	containers, err := a.engine.Containers(ctx, "")
	if err != nil {
		st.Engine.Error = schema.SafeText(err)
	}
	st.Containers = containers
	return st
}

// osName is the distribution's own name for itself.
func osName() string {
	f, err := os.Open("/etc/os-release")
	if err != nil {
		return runtime.GOOS
	}
	defer func() { _ = f.Close() }()
	for s := bufio.NewScanner(f); s.Scan(); {
		if v, ok := strings.CutPrefix(s.Text(), "PRETTY_NAME="); ok {
			return strings.Trim(v, `"`)
		}
	}
	return runtime.GOOS
}

// watchEngine has the status sent when a container changes, until ctx ends. An
// engine that goes away is looked for again.
func (a *Agent) watchEngine(ctx context.Context) error {
	for attempt := 1; ctx.Err() == nil; attempt++ {
		began := time.Now()
		err := a.engine.Watch(ctx, func() { a.poke(a.refresh) }, func(e docker.Event) {
			// Health checks are seen by what they find, not by each exec of theirs.
			if e.Type == "container" && !strings.HasPrefix(e.Action, "exec_") {
				a.poke(a.refresh)
			}
		})
		if time.Since(began) > 10*time.Second {
			attempt = 1
		}
		if attempt == 1 && ctx.Err() == nil {
			a.log.Warn("the Docker engine does not tell what happens; it is asked again", "err", err)
		}
		a.poke(a.refresh)
		_ = bus.Sleep(ctx, bus.Backoff(attempt)) // its error is the end of ctx
	}
	return nil
}

// tell sends the status when something changed, and with every sample of the machine.
func (a *Agent) tell(ctx context.Context) error {
	t := time.NewTicker(a.cfg.Samples)
	defer t.Stop()
	a.host.Sample(ctx)
	for {
		a.sendStatus(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			a.host.Sample(ctx)
		case <-a.refresh:
			a.calm(ctx)
		}
	}
}

// sendStatus sends the status as it is now, if core is there. None that was begun
// earlier is sent later: core is not to take back what show let it see.
func (a *Agent) sendStatus(ctx context.Context) {
	if !a.conn.Connected() {
		return
	}
	a.shown.mu.Lock()
	defer a.shown.mu.Unlock()
	if err := a.conn.Status(ctx, a.status(ctx)); err != nil {
		a.log.Debug("send status", "err", err)
	}
}

const (
	calmFor = 200 * time.Millisecond // without a change: the burst is over
	calmMax = time.Second            // how long a status may be late
)

// calm lets a burst of changes pass: who works on containers has the engine for
// himself meanwhile.
func (a *Agent) calm(ctx context.Context) {
	limit := time.NewTimer(calmMax)
	defer limit.Stop()
	quiet := time.NewTimer(calmFor)
	defer quiet.Stop()
	for {
		select {
		case <-a.refresh:
			quiet.Reset(calmFor)
		case <-quiet.C:
			return
		case <-limit.C:
			return
		case <-ctx.Done():
			return
		}
	}
}
