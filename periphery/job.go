package periphery

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"berth/bus"
	"berth/mask"
	"berth/schema"
)

// Job is one command in hand.
type Job struct {
	a    *Agent
	cmd  schema.Command
	mask *mask.Masker
	out  *output
	kept *keptStack // answers instead of core, if set

	life    context.Context //nolint:containedctx // the agent's, see handOver
	began   time.Time
	handed  atomic.Bool   // over: its output goes on elsewhere
	touched atomic.Bool   // containers
	hidden  []hiddenValue // that the masker knows; changed by one goroutine only

	mu sync.Mutex // guards ph
	ph []schema.Phase
}

// newJob opens a job; its output must be finished. ctx is the agent's life.
func (a *Agent) newJob(ctx context.Context, cmd schema.Command) *Job {
	return a.newJobTo(ctx, a.conn, cmd)
}

// newJobTo is newJob with the output going elsewhere.
func (a *Agent) newJobTo(ctx context.Context, to sink, cmd schema.Command) *Job {
	masker := mask.NewMasker()
	return &Job{a: a, cmd: cmd, mask: masker, out: newOutput(ctx, to, masker, cmd), life: ctx, began: time.Now()}
}

// hide masks a value from now on.
func (j *Job) hide(name, value string) {
	j.hidden = append(j.hidden, hiddenValue{name, value})
	j.mask.Add(name, value)
}

// phase runs fn as a named part of the work; its begin, end and duration are seen.
func (j *Job) phase(ctx context.Context, name string, fn func(ctx context.Context) (note string, err error)) error {
	began := time.Now()
	j.mu.Lock()
	at := len(j.ph)
	j.ph = append(j.ph, schema.Phase{Name: name, State: schema.PhaseRunning, Started: began.UnixMilli()})
	j.mu.Unlock()
	j.out.setPhase(name)
	j.out.add(schema.Entry{Kind: schema.EntryPhase, Phase: name, State: schema.PhaseRunning})
	note, err := fn(ctx)
	state := schema.PhaseDone
	if err != nil {
		state, note = schema.PhaseFailed, schema.SafeText(err)
	}
	note = j.mask.Mask(note)
	j.mu.Lock()
	j.ph[at].State, j.ph[at].Note, j.ph[at].Took = state, note, time.Since(began).Milliseconds()
	j.mu.Unlock()
	j.out.add(schema.Entry{Kind: schema.EntryPhase, Phase: name, State: state, Text: note})
	return err
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

func (j *Job) phases() []schema.Phase {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.ph)
}

// line adds a line of output.
func (j *Job) line(format string, args ...any) {
	j.out.add(schema.Entry{Kind: schema.EntryLine, Text: fmt.Sprintf(format, args...)})
}

// needs says what a command wants to know from core: variables by name, and
// tokens of accounts.
type needs struct {
	names    []string
	git      []schema.AccountRef
	registry []schema.AccountRef
}

// ask fetches values from core and makes the masker know the secret ones. A core
// that is away is waited for, as long as the work may take.
func (j *Job) ask(ctx context.Context, n needs) (schema.SecretsResp, error) {
	if j.kept != nil {
		resp, err := j.kept.answer(j.a, n)
		j.learned(resp)
		return resp, err
	}
	req := schema.SecretsReq{Command: j.cmd.ID, Variables: n.names, Git: n.git, Registry: n.registry}
	for attempt := 1; ; attempt++ {
		resp, err := bus.Request(ctx, j.a.conn, schema.AskSecrets, req)
		if err == nil {
			j.learned(resp)
			return resp, nil
		}
		if attempt == 1 && away(err) {
			j.line("waiting for core, which is to say variables and accounts")
		}
		if ctx.Err() != nil || !away(err) || bus.Sleep(ctx, min(bus.Backoff(attempt), 2*time.Second)) != nil {
			return resp, schema.Wrap(schema.CodeOf(err), err, "ask core for variables and accounts")
		}
	}
}

// away tells a core that does not answer from one that refuses.
func away(err error) bool {
	code := schema.CodeOf(err)
	return code == schema.Unavailable || code == schema.Expired || code == schema.TooMany
}

func (j *Job) learned(resp schema.SecretsResp) {
	for name, v := range resp.Variables {
		if v.Secret {
			j.hide(name, v.Value)
		}
	}
	for _, t := range slices.Concat(resp.Git, resp.Registry) {
		j.hide("TOKEN", t.Token)
	}
}
