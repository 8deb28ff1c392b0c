package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"berth/core/access"
	"berth/schema"
)

// Update is a run as Komodo's clients follow it.
type Update struct {
	ID        *oid   `json:"_id,omitempty"`
	Operation string `json:"operation"`
	Started   int64  `json:"start_ts"` // unix ms
	Success   bool   `json:"success"`
	Operator  string `json:"operator"`
	Target    target `json:"target"`
	Logs      []Log  `json:"logs"`
	Ended     *int64 `json:"end_ts"`
	Status    string `json:"status"` // Queued, InProgress, Complete
	Commit    string `json:"commit_hash,omitempty"`
	Other     string `json:"other_data,omitempty"` // what was decided and why, in words
}

// UpdateItem is an Update in a list.
type UpdateItem struct {
	ID        string `json:"id"`
	Operation string `json:"operation"`
	Started   int64  `json:"start_ts"`
	Success   bool   `json:"success"`
	Username  string `json:"username"`
	Operator  string `json:"operator"`
	Target    target `json:"target"`
	Status    string `json:"status"`
	Other     string `json:"other_data,omitempty"`
}

// Log is one stage of an Update.
type Log struct {
	Stage   string `json:"stage"`
	Command string `json:"command"`
	Stdout  string `json:"stdout"`
	Stderr  string `json:"stderr"`
	Success bool   `json:"success"`
	Started int64  `json:"start_ts"`
	Ended   int64  `json:"end_ts"`
}

// The inbuilt operators.
const (
	operatorSystem    = "000000000000000000000000"
	operatorProcedure = "000000000000000000000001"
	operatorWebhook   = "000000000000000000000003"
)

// operatorOf returns the id and the name of who is recorded as having started it.
func operatorOf(a schema.Actor) (id, name string) {
	switch a.Kind {
	case "user", "key":
		return a.ID, a.Name
	case "webhook":
		return operatorWebhook, "Git Webhook"
	case "procedure", "run":
		return operatorProcedure, "Procedure"
	}
	return operatorSystem, "System"
}

// operation is the run's name among Komodo's operations.
func operation(r *schema.Run) string {
	var p struct {
		Services []string `json:"services"`
	}
	_ = json.Unmarshal(r.Params, &p) // runs without parameters have none
	name := strings.TrimSuffix(r.Action, "IfChanged")
	if len(p.Services) > 0 && r.Target.Kind == "stack" {
		name += "Service"
	}
	return name
}

func wireTarget(t schema.Target) target {
	if t.Kind == "" || t.Kind == "system" {
		return target{Type: "System", ID: "system"}
	}
	return target{Type: typeName(t.Kind), ID: t.ID}
}

func status(s schema.RunState) string {
	switch {
	case s.Terminal():
		return "Complete"
	case s == schema.StateWaiting:
		return "Queued"
	}
	return "InProgress"
}

// updateOf is the run without the text that its steps wrote.
func updateOf(r *schema.Run) Update {
	id, _ := operatorOf(r.Actor)
	u := Update{
		ID: &oid{r.ID}, Operation: operation(r), Started: r.Queued, Success: !r.State.Terminal() || r.State.Good(),
		Operator: id, Target: wireTarget(r.Target), Status: status(r.State), Commit: short(r.Commit), Other: decided(r),
		Logs: []Log{},
	}
	if r.State.Terminal() {
		u.Ended = &r.Ended
	}
	return u
}

func itemOf(r *schema.Run) UpdateItem {
	u := updateOf(r)
	_, name := operatorOf(r.Actor)
	return UpdateItem{
		ID: r.ID, Operation: u.Operation, Started: u.Started, Success: u.Success, Username: name, Operator: u.Operator,
		Target: u.Target, Status: u.Status, Other: u.Other,
	}
}

func decided(r *schema.Run) string {
	if r.Decision != nil {
		return r.Decision.What + ": " + r.Decision.Reason
	}
	return r.Note
}

// done is the Update of a change that is complete with its answer.
func (a *API) done(ctx context.Context, name string, t schema.Target, began time.Time) Update {
	c, _ := access.CallerOf(ctx)
	end := a.deps.Now().UnixMilli()
	return Update{
		Operation: name, Started: began.UnixMilli(), Ended: &end, Success: true, Operator: c.UserID,
		Target: wireTarget(t), Status: "Complete", Logs: []Log{},
	}
}

// maxLog bounds the text of one Log; the rest is in the run's output.
const maxLog = 256 << 10

// logsOf makes one Log per phase of each step, with what it wrote.
func (a *API) logsOf(ctx context.Context, r *schema.Run) ([]Log, error) {
	text, err := a.texts(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	logs := []Log{}
	for _, s := range r.Steps {
		if s.Started == 0 && !s.State.Terminal() {
			continue
		}
		logs = append(logs, stepLogs(s, text)...)
	}
	if r.State.Terminal() && !r.State.Good() {
		logs = append(logs, Log{
			Stage: "Task Error", Stderr: trouble(r), Started: r.Ended, Ended: r.Ended,
		})
	}
	return logs, nil
}

func trouble(r *schema.Run) string {
	if r.Problem != nil {
		return r.Problem.Text
	}
	if r.Note != "" {
		return r.Note
	}
	return string(r.State)
}

type textKey struct{ command, phase string }

type phaseText struct{ out, err strings.Builder }

func stepLogs(s schema.Step, text map[textKey]*phaseText) []Log {
	base := Log{Stage: s.Name, Success: !s.State.Terminal() || s.State.Good(), Started: s.Started, Ended: s.Ended}
	if s.Problem != nil {
		base.Stderr = s.Problem.Text
	}
	if s.Kind == schema.StepChild {
		base.Stage, base.Stdout = strings.TrimPrefix(s.Stage+": ", ": ")+s.Name, s.Note
	}
	var logs []Log
	for _, p := range s.Phases {
		l := Log{
			Stage: s.Name + ": " + p.Name, Success: p.State != schema.PhaseFailed, Started: p.Started, Ended: p.Started + p.Took,
			Stdout: p.Note,
		}
		fill(&l, text[textKey{s.Command, p.Name}])
		logs = append(logs, l)
	}
	fill(&base, text[textKey{s.Command, ""}])
	if len(logs) == 0 || base.Stdout != "" || base.Stderr != "" {
		logs = append(logs, base)
	}
	return logs
}

func fill(l *Log, t *phaseText) {
	if t == nil {
		return
	}
	l.Stdout = strings.TrimPrefix(l.Stdout+"\n"+t.out.String(), "\n")
	l.Stderr = strings.TrimPrefix(l.Stderr+"\n"+t.err.String(), "\n")
}

// output calls fn with the stored output of a run from the sequence on. What an
// agent wrote under a step that was not given to it does not count.
func (a *API) output(ctx context.Context, id string, from uint64, fn func(seq uint64, out schema.Output) error) error {
	err := a.deps.Output.Output(ctx, id, "", from, func(seq uint64, agent string, out schema.Output) error {
		r, err := a.deps.Engine.Get(ctx, id)
		if err != nil {
			return err
		}
		if s := r.StepByCommand(out.Command); s == nil || s.Server.ID != agent {
			return nil
		}
		return fn(seq, out)
	})
	if schema.CodeOf(err) == schema.NotFound {
		return nil
	}
	return err
}

// texts collects the lines a run's steps wrote, by command and phase.
func (a *API) texts(ctx context.Context, id string) (map[textKey]*phaseText, error) {
	out, next := map[textKey]*phaseText{}, map[string]int{}
	err := a.output(ctx, id, 1, func(_ uint64, c schema.Output) error {
		for i, e := range c.Entries {
			if c.First+i < next[c.Command] {
				continue // a chunk that came twice
			}
			next[c.Command] = c.First + i + 1
			if e.Kind != schema.EntryLine && e.Kind != schema.EntryCut && e.Kind != schema.EntryState {
				continue
			}
			key := textKey{c.Command, e.Phase}
			if out[key] == nil {
				out[key] = &phaseText{}
			}
			writeLine(out[key], e)
		}
		return nil
	})
	return out, err
}

func writeLine(t *phaseText, e schema.Entry) {
	b := &t.out
	if e.Err {
		b = &t.err
	}
	if b.Len() > maxLog {
		return
	}
	if e.ID != "" {
		b.WriteString(e.ID + " ")
	}
	b.WriteString(e.Text + "\n")
	if b.Len() > maxLog {
		b.WriteString("… cut here: the whole output is in the run\n")
	}
}

// updatesPage is how many updates a page has.
const updatesPage = 100

type updateList struct {
	Updates []UpdateItem `json:"updates"`
	Next    *int         `json:"next_page"`
}

func (a *API) updateRows() []Row {
	type one struct {
		ID string `json:"id" doc:"Id of the update, which is the run's."`
	}
	type many struct {
		Query json.RawMessage `json:"query,omitempty" doc:"MongoDB filter of the list's items, such as {\"target.type\": \"Stack\"}."`
		Page  int             `json:"page,omitempty" doc:"Page of 100, from 0."`
	}
	return []Row{
		Read(spec{name: "GetUpdate", doc: "Show an execution with what its stages wrote.", needs: access.CanRead, example: map[string]any{"id": "66c33c7c1a2b3c4d5e6f7a8b"}},
			func(ctx context.Context, p one) (Update, error) {
				r, err := a.deps.Engine.Get(ctx, p.ID)
				if err != nil {
					return Update{}, err
				}
				u := updateOf(r)
				u.Logs, err = a.logsOf(ctx, r)
				return u, err
			}),
		Read(spec{name: "ListUpdates", doc: "List executions, newest first, 100 a page.", needs: access.CanRead, example: map[string]any{"query": map[string]any{"operation": "RunProcedure", "success": false}}},
			func(ctx context.Context, p many) (updateList, error) { return a.listUpdates(ctx, p.Query, p.Page) }),
	}
}

// allRuns is a limit that no engine reaches.
const allRuns = 1 << 30

func (a *API) listUpdates(ctx context.Context, query json.RawMessage, page int) (updateList, error) {
	match, err := parseFilter(query)
	if err != nil {
		return updateList{}, err
	}
	runs, err := a.deps.Engine.List(ctx, schema.RunFilter{Limit: allRuns})
	out := updateList{Updates: []UpdateItem{}}
	skip := max(page, 0) * updatesPage
	for _, r := range runs {
		item := itemOf(r)
		if !match(document(item)) {
			continue
		}
		switch {
		case skip > 0:
			skip--
		case len(out.Updates) == updatesPage:
			next := max(page, 0) + 1
			out.Next = &next
			return out, nil
		default:
			out.Updates = append(out.Updates, item)
		}
	}
	return out, err
}

// errEnough ends a read early.
var errEnough = errors.New("enough")

// runRows are ours: runs as they are recorded, and their output.
func (a *API) runRows() []Row {
	type one struct {
		ID string `json:"id" alias:"run" doc:"Id of the run, or its number."`
	}
	return []Row{
		Read(spec{name: "GetRun", own: true, doc: "Show a run with its stages, steps and decision.", needs: access.CanRead, example: map[string]any{"id": "42"}},
			func(ctx context.Context, p one) (*schema.Run, error) { return a.run(ctx, p.ID) }),
		Read(spec{name: "ListRuns", own: true, doc: "List runs, newest first.", needs: access.CanRead, example: map[string]any{"kind": "stack", "limit": 20}}, a.listRuns),
		Read(spec{name: "GetRunOutput", own: true, doc: "Read the output of a run and go on from a sequence number.", needs: access.CanRead, example: map[string]any{"id": "42", "after": 0}}, a.runOutput),
		Execute(spec{name: "CancelRun", own: true, doc: "Ask a run and what it started to end.", needs: access.CanExec, example: map[string]any{"id": "42"}},
			func(ctx context.Context, p one) (Update, error) { return a.cancel(ctx, p.ID) }),
		Execute(spec{name: "CancelProcedure", doc: "Cancel the runs of a procedure.", needs: access.CanExec, kind: "procedure", example: map[string]any{"procedure": "my-procedure"}}, a.cancelProcedure),
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
		Pending: p.Pending, Before: p.Before, Limit: p.Limit,
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
	r, err := a.run(ctx, p.ID)
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
	if err := access.Permit(ctx, access.CanExec, r.Target); err != nil {
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

type cancelProcedure struct {
	Procedure string `json:"procedure" doc:"Name or id."`
	UpdateID  string `json:"update_id,omitempty" doc:"Only this run of it."`
}

// cancelProcedure cancels one or all runs of a procedure and answers the newest.
func (a *API) cancelProcedure(ctx context.Context, p cancelProcedure) (Update, error) {
	k, err := a.deps.Kinds.Kind("procedure")
	if err != nil {
		return Update{}, err
	}
	t, err := k.Find(p.Procedure)
	if err != nil {
		return Update{}, err
	}
	runs, err := a.deps.Engine.List(ctx, schema.RunFilter{Kind: t.Kind, Target: t.ID, Action: "RunProcedure", Pending: true})
	if err != nil {
		return Update{}, err
	}
	runs = slices.DeleteFunc(runs, func(r *schema.Run) bool { return p.UpdateID != "" && r.ID != p.UpdateID })
	if len(runs) == 0 {
		return Update{}, schema.Errorf(schema.Conflict, "procedure %q does not run", t.Name)
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
