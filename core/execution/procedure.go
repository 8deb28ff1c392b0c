package execution

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"berth/core/run"
	"berth/schema"
)

// ProcedureParams are the parameters of RunProcedure.
type ProcedureParams struct {
	Procedure string `json:"procedure" doc:"Name or id of the procedure."`
}

// RunProcedure runs the stages of a procedure one after another, the executions
// of a stage at once. A stage with a failed execution ends it; superseded and
// canceled ones are said, not hidden.
func (d *Deps) RunProcedure(ctx context.Context, r *run.Run) (run.Outcome, error) {
	rec := r.Record()
	stages, err := run.Plan(ctx, r, func(ctx context.Context) ([]schema.ProcedureStage, error) {
		p, err := d.Resources.Procedure(ctx, rec.Target.ID)
		return p.Config.Stages, err
	})
	if err != nil {
		return run.Outcome{}, err
	}
	plan := planStages(stages)
	if err := r.PlanStages(ctx, plan); err != nil {
		return run.Outcome{}, err
	}
	all := tally{}
	for i, st := range stages {
		if !st.Enabled {
			if err := r.EndStage(ctx, plan[i].Name, schema.StateSucceeded, "disabled: skipped"); err != nil {
				return run.Outcome{}, err
			}
			continue
		}
		if st.Approval {
			if err := r.Approval(ctx, plan[i].Name+" / approval", plan[i].Name); err != nil {
				return run.Outcome{}, errors.Join(err, r.EndStage(context.WithoutCancel(ctx), plan[i].Name, schema.StateCanceled, "not approved"))
			}
		}
		t, err := d.stage(ctx, r, plan[i], st)
		switch {
		case err == nil:
		case st.ContinueOnFailure && ctx.Err() == nil:
			t.tolerate()
		default:
			return run.Outcome{}, fmt.Errorf("stage %q: %w", st.Name, err)
		}
		all.add(t)
	}
	if all.total == 0 {
		return run.Outcome{State: schema.StateWarning, Note: "nothing was done: no enabled execution in any stage"}, nil
	}
	return all.outcome(), nil
}

// planStages gives stages distinct names: two may be called the same.
func planStages(stages []schema.ProcedureStage) []schema.Stage {
	seen := map[string]int{}
	out := make([]schema.Stage, len(stages))
	for i, st := range stages {
		name := st.Name
		if seen[st.Name]++; seen[st.Name] > 1 {
			name = fmt.Sprintf("%s (%d)", st.Name, seen[st.Name])
		}
		total := 0
		for _, ex := range st.Executions {
			if ex.Enabled {
				total++
			}
		}
		out[i] = schema.Stage{Name: name, Total: total}
	}
	return out
}

// tally counts how the parts of a stage or batch ended.
type tally struct {
	mu                               sync.Mutex
	total, changed, warned, replaced int
	failed                           []string
	tolerated                        []string // failed, which is let pass
}

func (t *tally) add(o *tally) {
	t.total += o.total
	t.changed += o.changed
	t.warned += o.warned
	t.replaced += o.replaced
	t.failed = append(t.failed, o.failed...)
	t.tolerated = append(t.tolerated, o.tolerated...)
}

// tolerate lets all failures pass.
func (t *tally) tolerate() {
	t.tolerated, t.failed = append(t.tolerated, t.failed...), nil
}

// count takes a child run's end.
func (t *tally) count(label string, c *schema.Run) { t.countAs(label, c, false) }

// countAs takes a child run's end; a failure may be let pass.
func (t *tally) countAs(label string, c *schema.Run, tolerant bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.total++
	switch c.State {
	case schema.StateSucceeded:
		if c.Decision == nil || c.Decision.What != "unchanged" && c.Decision.What != "skip" {
			t.changed++
		}
	case schema.StateWarning:
		t.warned++
	case schema.StateSuperseded:
		t.replaced++
	default:
		text := string(c.State)
		if c.Problem != nil {
			text = c.Problem.Text
		}
		if tolerant {
			t.tolerated = append(t.tolerated, label+": "+text)
		} else {
			t.failed = append(t.failed, label+": "+text)
		}
	}
}

func (t *tally) err() error {
	if len(t.failed) == 0 {
		return nil
	}
	return schema.Errorf(schema.Failed, "%d of %d failed: %s", len(t.failed), t.total, strings.Join(t.failed, "; "))
}

func (t *tally) outcome() run.Outcome {
	note := fmt.Sprintf("%d done", t.changed)
	if same := t.total - t.changed - t.warned - t.replaced - len(t.tolerated); same > 0 {
		note += fmt.Sprintf(", %d unchanged", same)
	}
	if t.replaced > 0 {
		note += fmt.Sprintf(", %d superseded by newer runs", t.replaced)
	}
	state := schema.RunState("")
	if t.warned > 0 {
		state, note = schema.StateWarning, note+fmt.Sprintf(", %d matched nothing", t.warned)
	}
	if n := len(t.tolerated); n > 0 {
		state, note = schema.StateWarning, note+fmt.Sprintf(", %d failed and was let pass: %s", n, strings.Join(t.tolerated, "; "))
	}
	if state != "" {
		return run.Outcome{State: state, Note: note}
	}
	return run.Outcome{Note: note}
}

// stage runs the executions of one stage at once and waits for all.
func (d *Deps) stage(ctx context.Context, r *run.Run, plan schema.Stage, st schema.ProcedureStage) (*tally, error) {
	if err := r.StartStage(ctx, plan.Name, plan.Total); err != nil {
		return nil, err
	}
	t := &tally{}
	cause, err := d.causeFor(ctx, r)
	if err != nil {
		return nil, err
	}
	var g errgroup.Group
	if st.Concurrency > 0 {
		g.SetLimit(st.Concurrency)
	}
	work, stop := bounded(ctx, startOf(r.Record(), plan.Name), st.Timeout, fmt.Sprintf("stage %q", plan.Name))
	defer stop()
	for i, ex := range st.Executions {
		if !ex.Enabled {
			continue
		}
		g.Go(func() error { return d.execute(work, r, execution{plan.Name, i, ex, cause}, t) })
	}
	if err := g.Wait(); err != nil && ctx.Err() != nil {
		return t, err
	} else if err != nil { // its time was up
		t.count(plan.Name, &schema.Run{State: schema.StateFailed, Problem: schema.ProblemOf(err)})
	}
	state, note := schema.StateSucceeded, t.outcome().Note
	switch cause := context.Cause(ctx); {
	case schema.CodeOf(cause) == schema.Superseded && t.replaced > 0: // with all that was left of it
		err, state, note = cause, schema.StateSuperseded, schema.SafeText(cause)
	case t.err() != nil:
		err = t.err()
		state, note = schema.StateFailed, schema.SafeText(err)
	}
	return t, errors.Join(err, r.EndStage(ctx, plan.Name, state, note))
}

// startOf is when a stage began: a timeout counts from there over restarts.
func startOf(rec *schema.Run, stage string) time.Time {
	for _, s := range rec.Stages {
		if s.Name == stage && s.Started != 0 {
			return time.UnixMilli(s.Started)
		}
	}
	return time.Now()
}

// bounded ends a context when the time of what it is for is up.
func bounded(ctx context.Context, from time.Time, limit schema.Duration, what string) (context.Context, context.CancelFunc) {
	if limit == 0 {
		return ctx, func() {}
	}
	cause := schema.Errorf(schema.Expired, "%s took longer than its timeout of %s", what, limit)
	return context.WithDeadlineCause(ctx, from.Add(time.Duration(limit)), cause)
}

type execution struct {
	stage string
	index int
	what  schema.EnabledExecution
	cause schema.Cause
}

// execute does one execution, again if it failed and may be tried again.
func (d *Deps) execute(ctx context.Context, r *run.Run, e execution, t *tally) error {
	what := e.what.Execution
	step := fmt.Sprintf("%s / %d %s", e.stage, e.index+1, what.Type)
	switch what.Type {
	case "None":
		return nil
	case "Sleep":
		var p struct {
			Duration int64 `json:"duration_ms"`
		}
		if err := json.Unmarshal(what.Params, &p); err != nil {
			return schema.Wrap(schema.Invalid, err, "Sleep: %v", err)
		}
		t.count(step, &schema.Run{State: schema.StateSucceeded})
		return r.Sleep(ctx, step, time.Duration(p.Duration)*time.Millisecond)
	}
	for try := 0; ; try++ {
		name := step
		if try > 0 {
			name = fmt.Sprintf("%s (try %d)", step, try+1)
		}
		child, err := d.try(ctx, r, name, e)
		if err != nil {
			return err
		}
		if child.State == schema.StateFailed && try < e.what.Retries {
			if err := pauseAfter(ctx, r, name, time.Duration(e.what.RetryDelay)); err != nil {
				return err
			}
			continue
		}
		label := what.Type
		if child.Target.Name != "" {
			label += " " + child.Target.Name
		}
		t.countAs(label, child, e.what.ContinueOnFailure)
		return nil
	}
}

// pauseAfter waits before a step is tried again; without a pause it is no step.
func pauseAfter(ctx context.Context, r *run.Run, step string, pause time.Duration) error {
	if pause <= 0 {
		return nil
	}
	return r.Sleep(ctx, step+" / pause", pause)
}

// withConcurrency returns the parameters of an execution with its limit at once.
func withConcurrency(e schema.EnabledExecution) (json.RawMessage, error) {
	if e.Concurrency == 0 {
		return e.Execution.Params, nil
	}
	params := map[string]any{}
	if err := json.Unmarshal(e.Execution.Params, &params); err != nil {
		return nil, schema.Wrap(schema.Invalid, err, "%s: %v", e.Execution.Type, err)
	}
	params["concurrency"] = e.Concurrency
	return json.Marshal(params)
}

// try starts what an execution does and waits for its end. A failure is in the
// run that it returns; the error is why nothing more is to be done.
func (d *Deps) try(ctx context.Context, r *run.Run, step string, e execution) (*schema.Run, error) {
	from := time.Now()
	if s := r.Record().Step(step); s != nil {
		from = time.UnixMilli(s.Queued)
	}
	one, stop := bounded(ctx, from, e.what.Timeout, e.what.Execution.Type)
	defer stop()
	rec := r.Record()
	params, err := withConcurrency(e.what)
	if err != nil {
		return nil, err
	}
	child, err := r.Child(one, step, run.StartReq{
		Action: e.what.Execution.Type, Params: params, Stage: e.stage, Cause: e.cause,
		Actor: schema.Actor{Kind: "procedure", ID: rec.Target.ID, Name: rec.Target.Name},
	})
	switch {
	case ctx.Err() != nil && (err != nil || schema.CodeOf(context.Cause(ctx)) == schema.Expired):
		return nil, context.Cause(ctx)
	case err != nil && one.Err() != nil:
		return &schema.Run{State: schema.StateFailed, Problem: schema.ProblemOf(context.Cause(one))}, nil
	case err != nil:
		return &schema.Run{State: schema.StateFailed, Problem: schema.ProblemOf(err)}, nil
	case one.Err() != nil && child.State == schema.StateCanceled: // by its timeout
		late := *child
		late.State, late.Problem = schema.StateFailed, schema.ProblemOf(context.Cause(one))
		return &late, nil
	}
	return child, nil
}

// causeFor is the cause that the children of a run are given: what caused the run,
// and the commit that an earlier stage pulled, so that every stack of a repository
// deploys the same one. The run is noted to be of that commit.
func (d *Deps) causeFor(ctx context.Context, r *run.Run) (schema.Cause, error) {
	rec := r.Record()
	cause := rec.Cause
	if cause.Commit == "" {
		d.pulled(ctx, r, &cause)
	}
	if cause.Commit == "" || rec.Commit != "" {
		return cause, nil
	}
	return cause, r.Note(ctx, run.Note{Commit: cause.Commit, Message: cause.Message})
}

// pulled fills in the commit of the first repo that the run has pulled.
func (d *Deps) pulled(ctx context.Context, r *run.Run, cause *schema.Cause) {
	for _, s := range r.Record().Steps {
		if s.Target.Kind != "repo" || s.State != schema.StateSucceeded {
			continue
		}
		child, err := r.ChildRecord(ctx, s.Child)
		if err != nil || child.Commit == "" {
			continue
		}
		if repo, err := d.Repos.Repo(ctx, s.Target.ID); err == nil {
			cause.Repo, cause.Ref, cause.Commit, cause.Message = repo.Config.Repo, repo.Config.Branch, child.Commit, child.Message
			return
		}
	}
}

// CancelProcedure ends the runs of a procedure that go on, or the one named.
func (d *Deps) CancelProcedure(ctx context.Context, r *run.Run) (run.Outcome, error) {
	var p struct {
		Update string `json:"update_id"`
	}
	if err := r.Params(&p); err != nil {
		return run.Outcome{}, err
	}
	rec := r.Record()
	n, err := r.CancelOthers(ctx, schema.RunFilter{Kind: "procedure", Target: rec.Target.ID, Action: "RunProcedure", Pending: true, Limit: 1000}, p.Update)
	if err != nil {
		return run.Outcome{}, err
	}
	if n == 0 {
		return run.Outcome{State: schema.StateWarning, Note: "nothing was running"}, nil
	}
	return run.Outcome{Note: fmt.Sprintf("canceled %d", n)}, nil
}
