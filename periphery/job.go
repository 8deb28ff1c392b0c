package periphery

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"berth/bus"
	"berth/periphery/secrets"
	"berth/schema"
)

// Job is one command in hand.
type Job struct {
	a    *Agent
	cmd  schema.Command
	mask *secrets.Masker
	out  *output

	mu     sync.Mutex
	ph     []schema.Phase
	values map[string]schema.VariableValue
	asked  bool
}

func (a *Agent) newJob(cmd schema.Command) *Job {
	mask := secrets.NewMasker()
	return &Job{a: a, cmd: cmd, mask: mask, out: newOutput(a.conn, mask, cmd)}
}

// phase runs fn as a named part of the work; its begin, end and duration are seen.
func (j *Job) phase(ctx context.Context, name string, fn func(ctx context.Context) (note string, err error)) error {
	j.begin(name)
	note, err := fn(ctx)
	j.end(name, note, err)
	return err
}

func (j *Job) begin(name string) {
	j.mu.Lock()
	j.ph = append(j.ph, schema.Phase{Name: name, State: schema.PhaseRunning, Started: time.Now().UnixMilli()})
	j.mu.Unlock()
	j.out.mu.Lock()
	j.out.phase = name
	j.out.mu.Unlock()
	j.out.add(schema.Entry{Kind: schema.EntryPhase, Phase: name, State: schema.PhaseRunning})
}

func (j *Job) end(name, note string, err error) {
	state := schema.PhaseDone
	if err != nil {
		state, note = schema.PhaseFailed, ""
	}
	note = j.mask.Mask(note)
	j.mu.Lock()
	for i := range slices.Backward(j.ph) {
		if p := &j.ph[i]; p.Name == name {
			p.State, p.Note, p.Took = state, note, time.Now().UnixMilli()-p.Started
			break
		}
	}
	j.mu.Unlock()
	j.out.add(schema.Entry{Kind: schema.EntryPhase, Phase: name, State: state, Text: note})
}

func (j *Job) phases() []schema.Phase {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.ph)
}

// line adds a line of output.
func (j *Job) line(format string, args ...any) {
	j.out.add(schema.Entry{Kind: schema.EntryLine, Text: fmt.Sprintf(format, args...)})
}

// needs says what a command wants to know from core.
type needs struct {
	variables bool
	git       []schema.AccountRef
	registry  []schema.AccountRef
	names     []string
}

// ask fetches values from core, makes the masker know the secret ones, and keeps
// the variables for interpolation.
func (j *Job) ask(ctx context.Context, n needs) (schema.SecretsResp, error) {
	resp, err := bus.Request(ctx, j.a.conn, schema.AskSecrets, schema.SecretsReq{Command: j.cmd.ID, Variables: n.names, Git: n.git, Registry: n.registry})
	for attempt := 1; err != nil && schema.CodeOf(err) == schema.Unavailable && attempt < 20; attempt++ {
		if err := bus.Sleep(ctx, time.Second); err != nil {
			return resp, err
		}
		resp, err = bus.Request(ctx, j.a.conn, schema.AskSecrets, schema.SecretsReq{Command: j.cmd.ID, Variables: n.names, Git: n.git, Registry: n.registry})
	}
	if err != nil {
		return resp, schema.Wrap(schema.CodeOf(err), err, "ask core for variables and accounts")
	}
	for name, v := range resp.Variables {
		if v.Secret {
			j.mask.Add(name, v.Value)
		}
	}
	for _, t := range slices.Concat(resp.Git, resp.Registry) {
		j.mask.Add("TOKEN", t.Token)
	}
	return resp, nil
}

// took adds phases that were timed elsewhere.
func (j *Job) took(phases []schema.Phase) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, p := range phases {
		p.Note = j.mask.Mask(p.Note)
		j.ph = append(j.ph, p)
	}
}
