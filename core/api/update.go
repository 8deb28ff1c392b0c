package api

import (
	"context"
	"encoding/json"
	"strings"

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
	Status    string `json:"status" enum:"Queued,InProgress,Complete"`
	// Version is what a build makes, from when that is decided.
	Version *schema.Version `json:"version,omitempty"`
	Commit  string          `json:"commit_hash,omitempty"`
	Other   string          `json:"other_data,omitempty"` // what was decided and why, in words
	Prev    string          `json:"prev_toml,omitempty"`
	Current string          `json:"current_toml,omitempty"`
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
	Status    string `json:"status" enum:"Queued,InProgress,Complete"`
	// Version is as in Update.
	Version *schema.Version `json:"version,omitempty"`
	Other   string          `json:"other_data,omitempty"`
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
	// OperatorAction is who the requests of actions' scripts are made by.
	OperatorAction  = "000000000000000000000002"
	operatorWebhook = "000000000000000000000003"
)

// operatorOf returns the id and the name of who is recorded as having started it.
func operatorOf(a schema.Actor) (id, name string) {
	switch a.Kind {
	case "user", "key", "operator":
		return a.ID, a.Name
	case "webhook":
		return operatorWebhook, "Git Webhook"
	case "procedure", "run":
		return operatorProcedure, "Procedure"
	case "action":
		return OperatorAction, "Action"
	}
	return operatorSystem, "System"
}

// operation is the run's name among Komodo's operations.
func operation(r *schema.Run) string {
	var p struct {
		Services []string `json:"services"`
	}
	_ = json.Unmarshal(r.Params, &p) // runs without parameters have none
	switch r.Action {
	case "WriteSyncFileContents":
		return "WriteSyncContents"
	case "RotateServerKeys":
		return "UpdateServerKey"
	}
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
		Logs: []Log{}, Version: versionOf(r),
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
		Target: u.Target, Status: u.Status, Version: u.Version, Other: u.Other,
	}
}

// versionOf is the version that a run of a build makes; nil for other runs, and
// until it is decided.
func versionOf(r *schema.Run) *schema.Version {
	if r.Action != "RunBuild" || len(r.Plan) == 0 {
		return nil
	}
	var plan struct {
		Version schema.Version `json:"version"`
	}
	if json.Unmarshal(r.Plan, &plan) != nil || plan.Version.IsZero() {
		return nil
	}
	return &plan.Version
}

func decided(r *schema.Run) string {
	if r.Decision != nil {
		return r.Decision.What + ": " + r.Decision.Reason
	}
	return r.Note
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
		Read(spec{name: "GetUpdate", doc: "Show an execution with what its stages wrote, or a change of what is declared.", needs: access.CanRead, filters: true, example: map[string]any{"id": "66c33c7c1a2b3c4d5e6f7a8b"}},
			func(ctx context.Context, p one) (Update, error) {
				r, err := a.deps.Engine.Get(ctx, p.ID)
				if schema.CodeOf(err) == schema.NotFound {
					e, err := a.edit(ctx, p.ID)
					if err != nil {
						return Update{}, err
					}
					return updateOfEdit(e), nil
				}
				if err == nil {
					err = unseen(ctx, access.Permit(ctx, access.CanRead, r.Target), r.Target, func() error { return noChange(p.ID) })
				}
				if err != nil {
					return Update{}, err
				}
				u := updateOf(r)
				u.Logs, err = a.logsOf(ctx, r)
				return u, err
			}),
		Read(spec{name: "ListUpdates", doc: "List executions and changes of what is declared, newest first, 100 a page.", needs: access.CanRead, filters: true, example: map[string]any{"query": map[string]any{"operation": "RunProcedure", "success": false}}},
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
	runs, err := a.deps.Engine.List(ctx, schema.RunFilter{Limit: allRuns, Only: readable(ctx)})
	out := updateList{Updates: []UpdateItem{}}
	skip := min(max(page, 0), allRuns) * updatesPage
	for item := range a.history(ctx, runs) {
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
