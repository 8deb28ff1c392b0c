package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"berth/core/access"
	"berth/schema"
)

// errEnough ends a read early.
var errEnough = errors.New("enough")

// runRows are ours: runs as they are recorded, and their output.
func (a *API) runRows() []Row {
	type one struct {
		ID string `json:"id" alias:"run" doc:"Id of the run, or its number."`
	}
	return []Row{
		Read(spec{name: "GetRun", own: true, doc: "Show a run with its stages, steps and decision.", needs: access.CanRead, filters: true, example: map[string]any{"id": "42"}},
			func(ctx context.Context, p one) (*schema.Run, error) { return a.readRun(ctx, p.ID) }),
		Read(spec{name: "ListRuns", own: true, doc: "List runs, newest first.", needs: access.CanRead, filters: true, example: map[string]any{"kind": "stack", "limit": 20}}, a.listRuns),
		Read(spec{name: "GetRunOutput", own: true, doc: "Read the output of a run and go on from a sequence number.", needs: access.CanRead, filters: true, example: map[string]any{"id": "42", "after": 0}}, a.runOutput),
		Execute(spec{name: "CancelRun", own: true, doc: "Ask a run and what it started to end.", needs: access.CanExec, filters: true, example: map[string]any{"id": "42"}},
			func(ctx context.Context, p one) (Update, error) { return a.cancel(ctx, p.ID) }),
		Execute(spec{name: "ApproveRun", own: true, doc: "Let a run go on that waits for an approval.", needs: access.CanExec, filters: true, example: map[string]any{"id": "42"}}, a.approve),
		Read(spec{name: "MatchResources", own: true, doc: "List what a batch with this pattern would work on now.", needs: access.CanRead, filters: true, example: map[string]any{"kind": "stack", "pattern": "web-*"}}, a.match),
		Execute(spec{name: "CancelProcedure", doc: "Cancel the runs of a procedure.", needs: access.CanExec, kind: "procedure", example: map[string]any{"procedure": "my-procedure"}},
			func(ctx context.Context, p cancelProcedure) (Update, error) {
				return a.cancelRuns(ctx, "procedure", p.Procedure, "RunProcedure", p.UpdateID)
			}),
		Execute(spec{name: "CancelAction", doc: "Cancel the runs of an action.", needs: access.CanExec, kind: "action", example: map[string]any{"action": "my-action"}},
			func(ctx context.Context, p cancelAction) (Update, error) {
				return a.cancelRuns(ctx, "action", p.Action, "RunAction", p.UpdateID)
			}),
	}
}

// run finds a run by its id, or by its number.
func (a *API) run(ctx context.Context, key string) (*schema.Run, error) {
	var number uint64
	if schema.IsID(key) {
		return a.deps.Engine.Get(ctx, key)
	}
	if _, err := fmt.Sscanf(strings.TrimPrefix(key, "#"), "%d", &number); err != nil {
		return nil, schema.Errorf(schema.NotFound, "no run %q: give its id or its number", cut(key, 60))
	}
	runs, err := a.deps.Engine.List(ctx, schema.RunFilter{Before: number + 1, Limit: 1})
	if err == nil && (len(runs) == 0 || runs[0].Number != number) {
		err = schema.Errorf(schema.NotFound, "no run #%d", number)
	}
	if err != nil {
		return nil, err
	}
	return runs[0], nil
}

// permitRun says whether the caller may do something with a run; of what he may not
// read there is none.
func permitRun(ctx context.Context, r *schema.Run, key string, needs access.Level) error {
	return unseen(ctx, access.Permit(ctx, needs, r.Target), r.Target, func() error {
		if schema.IsID(key) {
			return schema.Errorf(schema.NotFound, "no run %q", key)
		}
		return schema.Errorf(schema.NotFound, "no run #%d", r.Number)
	})
}

// readRun finds a run that the caller may read.
func (a *API) readRun(ctx context.Context, key string) (*schema.Run, error) {
	r, err := a.run(ctx, key)
	if err != nil {
		return nil, err
	}
	return r, permitRun(ctx, r, key, access.CanRead)
}

type runQuery struct {
	Kind    string            `json:"kind,omitempty" doc:"Kind of the target."`
	Target  string            `json:"target,omitempty" doc:"Name or id of the target; needs kind."`
	Action  string            `json:"action,omitempty" doc:"Name of the execution."`
	States  []schema.RunState `json:"states,omitempty" doc:"States; all when empty."`
	Parent  string            `json:"parent,omitempty" doc:"Id of the run that started them; - for those nothing else started."`
	Text    string            `json:"text,omitempty" doc:"Part of action, target or message."`
	Commit  string            `json:"commit,omitempty" doc:"Beginning of the commit."`
	Pending bool              `json:"pending,omitempty" doc:"Only those that have not ended."`
	Before  uint64            `json:"before,omitempty" doc:"Only numbers below this one: the next page."`
	Limit   int               `json:"limit,omitempty" doc:"How many; 50 when absent."`
}

func (a *API) listRuns(ctx context.Context, p runQuery) ([]*schema.Run, error) {
	f := schema.RunFilter{
		Kind: p.Kind, Action: p.Action, States: p.States, Parent: p.Parent, Text: p.Text, Commit: p.Commit,
		Pending: p.Pending, Before: p.Before, Limit: p.Limit, Only: readable(ctx),
	}
	if p.Target != "" {
		ids, err := a.idsOf(p.Kind, []string{p.Target})
		if err != nil {
			return nil, err
		}
		f.Target = ids[0]
	}
	runs, err := a.deps.Engine.List(ctx, f)
	if runs == nil {
		runs = []*schema.Run{}
	}
	return runs, err
}

type outputQuery struct {
	ID    string `json:"id" alias:"run" doc:"Id of the run, or its number."`
	After uint64 `json:"after,omitempty" doc:"Sequence number after which to begin."`
	Limit int    `json:"limit,omitempty" doc:"How many chunks; 500 when absent."`
}

type outputPage struct {
	Chunks []Chunk `json:"chunks"`
	Next   uint64  `json:"next"` // after, for the next page
	More   bool    `json:"more"`
}

// Chunk is a piece of output with its place in the stream of all output.
type Chunk struct {
	Seq uint64 `json:"seq"`
	schema.Output
}

func (a *API) runOutput(ctx context.Context, p outputQuery) (outputPage, error) {
	r, err := a.readRun(ctx, p.ID)
	if err != nil {
		return outputPage{}, err
	}
	limit := p.Limit
	if limit <= 0 || limit > 5000 {
		limit = 500
	}
	out := outputPage{Chunks: []Chunk{}, Next: p.After}
	err = a.output(ctx, r.ID, p.After+1, func(seq uint64, c schema.Output) error {
		if len(out.Chunks) == limit {
			out.More = true
			return errEnough
		}
		out.Chunks, out.Next = append(out.Chunks, Chunk{seq, c}), seq
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return out, err
}

func (a *API) cancel(ctx context.Context, key string) (Update, error) {
	r, err := a.run(ctx, key)
	if err != nil {
		return Update{}, err
	}
	if err := permitRun(ctx, r, key, access.CanExec); err != nil {
		return Update{}, err
	}
	c, _ := access.CallerOf(ctx)
	if err := a.deps.Engine.Cancel(ctx, r.ID, c.Actor); err != nil {
		return Update{}, err
	}
	if r, err = a.deps.Engine.Get(ctx, r.ID); err != nil {
		return Update{}, err
	}
	return updateOf(r), nil
}

type approval struct {
	ID    string `json:"id" alias:"run" doc:"Id of the run, or its number."`
	Stage string `json:"stage,omitempty" doc:"Stage that waits; needed only when several do."`
}

func (a *API) approve(ctx context.Context, p approval) (Update, error) {
	r, err := a.run(ctx, p.ID)
	if err != nil {
		return Update{}, err
	}
	if err := permitRun(ctx, r, p.ID, access.CanExec); err != nil {
		return Update{}, err
	}
	c, _ := access.CallerOf(ctx)
	if c.Run != "" {
		return Update{}, schema.Errorf(schema.Denied, "an approval is somebody's own: an action cannot give it")
	}
	if err := a.deps.Approvals.Approve(ctx, r.ID, p.Stage, c.Actor); err != nil {
		return Update{}, err
	}
	if r, err = a.deps.Engine.Get(ctx, r.ID); err != nil {
		return Update{}, err
	}
	return updateOf(r), nil
}

type matchQuery struct {
	Kind    string   `json:"kind" doc:"Kind of the resources."`
	Pattern string   `json:"pattern" doc:"Names or ids, separated by commas or lines; * and ? match, between backslashes stands a regular expression."`
	Tags    []string `json:"tags,omitempty" doc:"Only those with all of these tags."`
}

func (a *API) match(ctx context.Context, p matchQuery) ([]schema.Target, error) {
	k, err := a.deps.Kinds.Kind(p.Kind)
	if err != nil {
		return nil, err
	}
	list, err := k.Match(p.Pattern, p.Tags)
	list = access.Readable(ctx, list, func(t schema.Target) schema.Target { return t })
	if list == nil {
		list = []schema.Target{}
	}
	return list, err
}

type cancelProcedure struct {
	Procedure string `json:"procedure" doc:"Name or id."`
	UpdateID  string `json:"update_id,omitempty" doc:"Only this run of it."`
}

type cancelAction struct {
	Action   string `json:"action" doc:"Name or id."`
	UpdateID string `json:"update_id,omitempty" doc:"Only this run of it."`
}

// cancelRuns cancels one or all runs of a procedure or action and answers the
// newest. Conflict when there is none.
func (a *API) cancelRuns(ctx context.Context, kind, key, action, only string) (Update, error) {
	k, err := a.deps.Kinds.Kind(kind)
	if err != nil {
		return Update{}, err
	}
	t, err := k.Find(key)
	if err != nil {
		return Update{}, err
	}
	runs, err := a.deps.Engine.List(ctx, schema.RunFilter{Kind: t.Kind, Target: t.ID, Action: action, Pending: true})
	if err != nil {
		return Update{}, err
	}
	runs = slices.DeleteFunc(runs, func(r *schema.Run) bool { return only != "" && r.ID != only })
	if len(runs) == 0 {
		return Update{}, schema.Errorf(schema.Conflict, "%s %q does not run", kind, t.Name)
	}
	var newest Update
	for i, r := range runs {
		u, err := a.cancel(ctx, r.ID)
		if err != nil {
			return u, err
		}
		if i == 0 {
			newest = u
		}
	}
	return newest, nil
}
