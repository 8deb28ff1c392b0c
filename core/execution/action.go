package execution

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"berth/core/run"
	"berth/core/script"
	"berth/mask"
	"berth/schema"
)

// Scripts is what the runs of actions need of core.
type Scripts interface {
	Action(ctx context.Context, id string) (schema.Resource[schema.ActionConfig], error)
	AllActions(ctx context.Context) ([]schema.Resource[schema.ActionConfig], error)
	// Variables returns all variables with their values.
	Variables(ctx context.Context) (map[string]schema.VariableValue, error)
	// Request makes a request of the API in the name of a run of an action.
	Request(ctx context.Context, rec *schema.Run, group, request string, params json.RawMessage) (json.RawMessage, error)
	// Pushed returns the JSON that a delivery brought.
	Pushed(ctx context.Context, delivery string) (json.RawMessage, error)
}

// ActionParams are the parameters of RunAction.
type ActionParams struct {
	Action string         `json:"action" doc:"Name or id of the action."`
	Args   map[string]any `json:"args,omitempty" doc:"Arguments, merged over the action's own."`
}

// Names of the steps of an action's run, and how many runs it starts are shown as
// steps of it; further ones are not.
const (
	scriptStep = "Execute Action"
	maxAdopted = 500
	maxNesting = 16
)

// RunAction runs the script of an action. What it starts is shown as steps of the
// run: canceled with it, not ended by its end.
func (d *Deps) RunAction(ctx context.Context, r *run.Run) (run.Outcome, error) {
	name := r.Record().Target.Name
	if err := d.notWithinItself(ctx, r); err != nil {
		return run.Outcome{}, err
	}
	note, err := run.Local(ctx, r, run.Task{Step: scriptStep}, func(ctx context.Context, out *run.Output) (string, error) {
		return d.script(ctx, r, out)
	})
	if ctx.Err() == nil {
		if lerr := r.LetGo(ctx); err == nil {
			err = lerr
		}
	}
	if err != nil {
		return run.Outcome{}, schema.Wrap(schema.CodeOf(err), err, "action %q", name)
	}
	return run.Outcome{Note: note}, nil
}

// notWithinItself refuses a run of an action that a run of the same action has
// started, and may wait for.
func (d *Deps) notWithinItself(ctx context.Context, r *run.Run) error {
	rec := r.Record()
	for depth, up := 1, rec; up.Parent != ""; depth++ {
		var err error
		if up, err = r.ChildRecord(ctx, up.Parent); err != nil {
			return nil //nolint:nilerr // it is too long ago to be known
		}
		if up.Action == rec.Action && up.Target == rec.Target && !up.State.Terminal() {
			return schema.Errorf(schema.Conflict, "action %q would start itself: run #%d, which started this one, is of the same action", rec.Target.Name, up.Number)
		}
		if depth == maxNesting {
			return schema.Errorf(schema.Conflict, "action %q is started by runs that started each other, more than %d deep", rec.Target.Name, maxNesting)
		}
	}
	return nil
}

// script runs the script of a run's action and returns a note on it.
func (d *Deps) script(ctx context.Context, r *run.Run, out *run.Output) (string, error) {
	vars, err := d.Scripts.Variables(ctx)
	if err != nil {
		return "", err
	}
	masker := mask.NewMasker()
	for name, v := range vars {
		if v.Secret {
			masker.Add(name, v.Value)
		}
	}
	calls := newScriptCalls(ctx, d, r)
	err = d.executeScript(ctx, r, vars, calls, func(line string, errs bool) { out.Line(masker.Mask(line), errs) })
	calls.end()
	if err == nil {
		return calls.note(), nil
	}
	if ctx.Err() == nil {
		err = schema.Errorf(schema.CodeOf(err), "%s", masker.Mask(schema.SafeText(err)))
		out.Line(schema.SafeText(err), true)
	}
	return "", err
}

func (d *Deps) executeScript(ctx context.Context, r *run.Run, vars map[string]schema.VariableValue, calls *scriptCalls, out func(string, bool)) error {
	a, err := d.Scripts.Action(ctx, r.Record().Target.ID)
	if err != nil {
		return err
	}
	args, err := d.arguments(ctx, r, a.Config, vars)
	if err != nil {
		return err
	}
	prog, err := compile(string(a.Config.FileContents), vars)
	if err != nil {
		return err
	}
	return d.Runner.Run(ctx, prog, script.Request{
		Args: args, Caller: calls, Out: out, Limits: script.Limits{Time: time.Duration(a.Config.Timeout) * time.Second},
	})
}

// compile compiles a script with the variables' values in their places. An error
// never quotes what a value has become part of.
func compile(source string, vars map[string]schema.VariableValue) (*script.Program, error) {
	for _, name := range []string{"ACTION_API_KEY", "ACTION_API_SECRET"} {
		if strings.Contains(source, "[["+name+"]]") {
			return nil, schema.Errorf(schema.Unsupported, "[[%s]] is not there: a script needs no key, because `komodo` is signed in already, and it has no network to use one on", name)
		}
	}
	if strings.TrimSpace(source) == "" {
		return nil, schema.Errorf(schema.Invalid, "it has no script: set `file_contents`")
	}
	text, used, err := script.Interpolate(source, vars)
	if err != nil {
		return nil, err
	}
	prog, err := script.Compile(text)
	if err == nil || len(used) == 0 {
		return prog, err
	}
	if _, plain := script.Compile(source); plain != nil {
		return nil, plain
	}
	return nil, schema.Errorf(schema.Invalid, "with the values of %s in their places the script is no TypeScript any more: a value has a quote, a backslash or a line break; pass it by the action's arguments instead, where it is data",
		strings.Join(used, ", "))
}

// arguments are the action's own, with those of the run and of the push that
// started it over them. What came with a push is not interpolated: whoever may push
// must not read variables by it.
func (d *Deps) arguments(ctx context.Context, r *run.Run, c schema.ActionConfig, vars map[string]schema.VariableValue) (json.RawMessage, error) {
	own, err := script.Arguments(c.ArgumentsFormat, string(c.Arguments))
	if err != nil {
		return nil, schema.Wrap(schema.CodeOf(err), err, "arguments")
	}
	var p ActionParams
	if err := r.Params(&p); err != nil {
		return nil, err
	}
	all, err := script.InterpolateAll(script.Merge(own, p.Args), vars)
	if err != nil {
		return nil, schema.Wrap(schema.CodeOf(err), err, "arguments")
	}
	rec := r.Record()
	if named, ok := all.(map[string]any); ok && rec.Parent == "" && rec.Cause.Delivery != "" {
		body, err := d.Scripts.Pushed(ctx, rec.Cause.Delivery)
		if err != nil {
			return nil, schema.Wrap(schema.CodeOf(err), err, "body of the webhook")
		}
		named["WEBHOOK_BRANCH"], named["WEBHOOK_BODY"] = rec.Cause.Ref, body
	}
	return json.Marshal(all)
}

// scriptCalls makes the requests of one script and adopts the runs it starts.
type scriptCalls struct {
	d      *Deps
	r      *run.Run
	ctx    context.Context //nolint:containedctx // the life of the script
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex // guards what follows
	made    int
	started int
}

func newScriptCalls(ctx context.Context, d *Deps, r *run.Run) *scriptCalls {
	c := &scriptCalls{d: d, r: r}
	c.ctx, c.cancel = context.WithCancel(ctx)
	return c
}

// end stops waiting for the runs that were started.
func (c *scriptCalls) end() {
	c.cancel()
	c.wg.Wait()
}

func (c *scriptCalls) note() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf("%d requests, %d runs started", c.made, c.started)
}

// Call makes a request.
func (c *scriptCalls) Call(ctx context.Context, group, request string, params json.RawMessage) (json.RawMessage, error) {
	if group == "auth/manage" {
		return nil, schema.Errorf(schema.Denied, "an action has no account to manage")
	}
	c.mu.Lock()
	c.made++
	c.mu.Unlock()
	v, err := c.d.Scripts.Request(ctx, c.r.Record(), group, request, params)
	if err == nil && group == "execute" {
		for _, id := range startedRuns(v) {
			c.adopt(ctx, request, id)
		}
	}
	return v, err
}

// startedRuns returns the ids of the runs that the answer to an execution names.
func startedRuns(answer json.RawMessage) []string {
	type update struct {
		ID struct {
			OID string `json:"$oid"`
		} `json:"_id"`
	}
	var one update
	if json.Unmarshal(answer, &one) == nil && one.ID.OID != "" {
		return []string{one.ID.OID}
	}
	var many []struct {
		Status string          `json:"status"`
		Data   json.RawMessage `json:"data"`
	}
	var ids []string
	if json.Unmarshal(answer, &many) == nil {
		for _, item := range many {
			if item.Status == "Ok" && json.Unmarshal(item.Data, &one) == nil && one.ID.OID != "" {
				ids = append(ids, one.ID.OID)
			}
		}
	}
	return ids
}

// adopt shows a run that the script has started as a step.
func (c *scriptCalls) adopt(ctx context.Context, request, id string) {
	child, err := c.r.ChildRecord(ctx, id)
	if err != nil || child.Parent != c.r.ID() {
		return
	}
	c.mu.Lock()
	c.started++
	n := c.started
	c.mu.Unlock()
	if n > maxAdopted {
		return
	}
	c.wg.Go(func() { _ = c.r.Adopt(c.ctx, fmt.Sprintf("%d %s", n, request), child) }) // only shown
}

// CancelAction ends the runs of an action that go on, or the one named.
func (d *Deps) CancelAction(ctx context.Context, r *run.Run) (run.Outcome, error) {
	var p struct {
		Update string `json:"update_id"`
	}
	if err := r.Params(&p); err != nil {
		return run.Outcome{}, err
	}
	n, err := r.CancelOthers(ctx, schema.RunFilter{Kind: "action", Target: r.Record().Target.ID, Action: "RunAction", Pending: true, Limit: 1000}, p.Update)
	if err != nil {
		return run.Outcome{}, err
	}
	if n == 0 {
		return run.Outcome{State: schema.StateWarning, Note: "nothing was running"}, nil
	}
	return run.Outcome{Note: fmt.Sprintf("canceled %d", n)}, nil
}
