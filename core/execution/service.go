package execution

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"berth/core/run"
	"berth/schema"
)

// RunServiceParams are the parameters of RunStackService.
type RunServiceParams struct {
	Stack        string            `json:"stack" doc:"Name or id of the stack."`
	Service      string            `json:"service" doc:"Name of the service."`
	Command      []string          `json:"command,omitempty" doc:"Program and arguments; the service's own when empty."`
	NoTTY        *bool             `json:"no_tty,omitempty" doc:"Without a terminal, which there never is."`
	NoDeps       *bool             `json:"no_deps,omitempty" doc:"Do not start what the service depends on."`
	Detach       *bool             `json:"detach,omitempty" doc:"Do not wait for its end."`
	ServicePorts *bool             `json:"service_ports,omitempty" doc:"Publish the service's ports."`
	Env          map[string]string `json:"env,omitempty" doc:"Further variables; they are kept with the run, so no secrets."`
	Workdir      string            `json:"workdir,omitempty" doc:"Working directory in the container."`
	User         string            `json:"user,omitempty" doc:"User, and group after a colon."`
	Entrypoint   string            `json:"entrypoint,omitempty" doc:"Entrypoint as a command line; the service's own when empty."`
	Pull         *bool             `json:"pull,omitempty" doc:"Pull images first; else only those that are missing."`
}

// RunStackService runs one service of a stack once, in a container that is removed
// at its end. An exit code other than 0 fails the run.
func (d *Deps) RunStackService(ctx context.Context, r *run.Run) (run.Outcome, error) {
	var p RunServiceParams
	if err := r.Params(&p); err != nil {
		return run.Outcome{}, err
	}
	st, err := d.Stacks.Stack(ctx, r.Record().Target.ID)
	if err != nil {
		return run.Outcome{}, err
	}
	doing := fmt.Sprintf("run service %q of stack %q", p.Service, st.Name)
	if strings.TrimSpace(p.Service) == "" {
		return run.Outcome{}, schema.Errorf(schema.Invalid, "run a service of stack %q: name it", st.Name)
	}
	server, err := d.server(ctx, "stack", st.Name, st.Config.ServerID)
	if err != nil {
		return run.Outcome{}, err
	}
	up, err := d.upRequest(ctx, r, st, server, "")
	if err != nil {
		return run.Outcome{}, schema.Wrap(schema.CodeOf(err), err, "%s", doing)
	}
	on := func(b *bool) bool { return b != nil && *b }
	req := schema.ServiceRunReq{
		Up: up, Service: p.Service, Command: slices.Clone(p.Command), NoTTY: on(p.NoTTY), NoDeps: on(p.NoDeps), Detach: on(p.Detach),
		Ports: on(p.ServicePorts), Env: p.Env, Workdir: p.Workdir, User: p.User, Entrypoint: p.Entrypoint, Pull: on(p.Pull),
	}
	job := run.Job{Step: "run", Server: server, Key: "stack-" + st.ID, Wait: time.Duration(st.Config.WaitTimeout) * time.Second}
	resp, err := run.Do(ctx, r, job, schema.ServiceRun, req)
	if err != nil {
		return run.Outcome{}, schema.Wrap(schema.CodeOf(err), err, "%s", doing)
	}
	dec := schema.Decision{What: "run", Reason: fmt.Sprintf("service %s ended with exit code %d", p.Service, resp.ExitCode), Services: []string{p.Service}}
	if resp.Detached {
		dec.Reason = fmt.Sprintf("service %s runs in container %s, which removes itself when it ends", p.Service, resp.Container)
	}
	if len(resp.Warnings) > 0 {
		dec.Reason += " (" + strings.Join(resp.Warnings, "; ") + ")"
	}
	if err := r.Note(ctx, run.Note{Decision: &dec}); err != nil {
		return run.Outcome{}, err
	}
	if resp.ExitCode != 0 {
		return run.Outcome{}, schema.Errorf(schema.Failed, "%s: exit code %d: its output has more", doing, resp.ExitCode)
	}
	return run.Outcome{Note: dec.Reason}, nil
}
