package schema

import (
	"encoding/json"
	"time"
)

// RunState is where a run or one of its steps stands.
type RunState string

// The states. Those after StateRunning are terminal.
const (
	StateQueued     RunState = "queued"     // accepted and on disk, not begun
	StateWaiting    RunState = "waiting"    // for a server that is offline, or for other work on the same target
	StateRunning    RunState = "running"    //
	StateSucceeded  RunState = "succeeded"  //
	StateWarning    RunState = "warning"    // nothing failed, but not what one would expect: nothing matched
	StateFailed     RunState = "failed"     //
	StateCanceled   RunState = "canceled"   //
	StateSuperseded RunState = "superseded" // a newer run of the same target took its place
)

// Terminal reports whether nothing more happens in this state.
func (s RunState) Terminal() bool {
	switch s {
	case StateSucceeded, StateWarning, StateFailed, StateCanceled, StateSuperseded:
		return true
	case StateQueued, StateWaiting, StateRunning:
	}
	return false
}

// Good reports whether the run ended as its starter hoped.
func (s RunState) Good() bool { return s == StateSucceeded || s == StateWarning }

// Target is what a run works on.
type Target struct {
	Kind string `json:"kind"` // "stack", "repo", "procedure", ... or "system"
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Actor is who started a run.
type Actor struct {
	Kind string `json:"kind"` // user, key, webhook, schedule, procedure, system
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Starter is the user with whose rights a run, and all that it starts, is carried
// out; the zero Starter is core itself: schedules, webhooks, scripts.
type Starter struct {
	User  string `json:"user,omitempty"`
	Key   string `json:"key,omitempty"`   // the API key used, whose scopes count
	Level string `json:"level,omitempty"` // of an operator of the bus, who is no user: on everything
}

// Cause is why a run was started.
type Cause struct {
	Kind     string `json:"kind"` // click, api, cli, webhook, schedule, run, system
	Delivery string `json:"delivery,omitempty"`
	Ref      string `json:"ref,omitempty"`    // branch of the push
	Repo     string `json:"repo,omitempty"`   // "namespace/name" of the push
	Commit   string `json:"commit,omitempty"` // newest commit of the push
	Message  string `json:"message,omitempty"`
	By       string `json:"by,omitempty"`  // who pushed
	Due      int64  `json:"due,omitempty"` // unix ms: the time of the schedule
}

// Decision is what was decided for a target, and why. Every target of a run gets
// one, also when nothing was done.
type Decision struct {
	What     string   `json:"what"`   // deploy, pull, restart, unchanged, skip, nothing
	Reason   string   `json:"reason"` // one sentence
	Services []string `json:"services,omitempty"`
	Changes  []string `json:"changes,omitempty"` // `conf/nginx.conf changed`, ...
}

// StepKind is what a step does.
type StepKind string

// The kinds of steps.
const (
	StepJob   StepKind = "job"   // a command to an agent
	StepChild StepKind = "child" // another run
	StepSleep StepKind = "sleep"
	StepCore  StepKind = "core" // work of core itself
	// StepApproval waits until somebody approves.
	StepApproval StepKind = "approval"
)

// Step is one recorded action of a run. Its name is unique within the run and
// stable across restarts.
type Step struct {
	Name     string          `json:"name"`
	Kind     StepKind        `json:"kind"`
	Stage    string          `json:"stage,omitempty"`   // the procedure's stage
	Server   Target          `json:"server,omitzero"`   // of a job
	Verb     string          `json:"verb,omitempty"`    // of a job
	Command  string          `json:"command,omitempty"` // id of a job's command
	Child    string          `json:"child,omitempty"`   // id of a child run
	Key      string          `json:"key,omitempty"`     // lease that a job needs: work under one key never overlaps
	Target   Target          `json:"target,omitzero"`
	State    RunState        `json:"state"`
	Note     string          `json:"note,omitempty"` // "waiting for server lxc-113 since 14:03"
	Queued   int64           `json:"queued"`         // unix ms
	Started  int64           `json:"started,omitempty"`
	Ended    int64           `json:"ended,omitempty"`
	Deadline int64           `json:"deadline,omitempty"` // unix ms: when a waiting command gives up
	Timeout  int64           `json:"timeout_ms,omitempty"`
	Fence    uint64          `json:"fence,omitempty"`    // revision of the lease it ran under
	Answered bool            `json:"answered,omitempty"` // its agent said that it ended
	Phases   []Phase         `json:"phases,omitempty"`
	Lines    int             `json:"lines,omitempty"`
	Cut      int             `json:"cut,omitempty"`
	Problem  *Problem        `json:"problem,omitempty"`
	Value    json.RawMessage `json:"value,omitempty"`
}

// Stage is one stage of a procedure's run.
type Stage struct {
	Name    string   `json:"name"`
	State   RunState `json:"state"`
	Total   int      `json:"total"` // executions
	Started int64    `json:"started,omitempty"`
	Ended   int64    `json:"ended,omitempty"`
	Note    string   `json:"note,omitempty"`
}

// Run is one execution with its whole record. It is the fold of its events.
type Run struct {
	ID       string          `json:"id"`
	Number   uint64          `json:"number"` // counts up over all runs
	Action   string          `json:"action"` // "DeployStack": the name of the request
	Target   Target          `json:"target"`
	Server   Target          `json:"server,omitzero"` // where it happens, if one place
	Parent   string          `json:"parent,omitempty"`
	Root     string          `json:"root,omitempty"`  // topmost ancestor
	Stage    string          `json:"stage,omitempty"` // stage of the parent that started it
	After    []string        `json:"after,omitempty"` // runs that end before it begins
	Actor    Actor           `json:"actor"`
	Starter  Starter         `json:"starter,omitzero"`
	Cause    Cause           `json:"cause"`
	Params   json.RawMessage `json:"params,omitempty"`
	State    RunState        `json:"state"`
	Note     string          `json:"note,omitempty"` // why it stands where it stands
	Decision *Decision       `json:"decision,omitempty"`
	Commit   string          `json:"commit,omitempty"`
	Message  string          `json:"message,omitempty"` // the commit's first line
	Problem  *Problem        `json:"problem,omitempty"`
	Canceled *Actor          `json:"canceled,omitempty"` // who asked for its end
	Ending   *Problem        `json:"ending,omitempty"`   // why it is to end: canceled, superseded
	Plan     json.RawMessage `json:"plan,omitempty"`     // what it set out to do, decided once
	Stages   []Stage         `json:"stages,omitempty"`
	Steps    []Step          `json:"steps,omitempty"`
	Queued   int64           `json:"queued"` // unix ms
	Started  int64           `json:"started,omitempty"`
	Ended    int64           `json:"ended,omitempty"`
	Events   int             `json:"events"` // how many events it is the fold of: gaps show
}

// Step returns the step of that name, or nil.
func (r *Run) Step(name string) *Step {
	for i := range r.Steps {
		if r.Steps[i].Name == name {
			return &r.Steps[i]
		}
	}
	return nil
}

// StepByCommand returns the step whose command has the id, or nil.
func (r *Run) StepByCommand(id string) *Step {
	for i := range r.Steps {
		if r.Steps[i].Command == id {
			return &r.Steps[i]
		}
	}
	return nil
}

// Took returns how long the run has taken until it ended, or until now.
func (r *Run) Took(now time.Time) time.Duration {
	from, to := r.Started, r.Ended
	if from == 0 {
		from = r.Queued
	}
	if to == 0 {
		to = now.UnixMilli()
	}
	return time.Duration(max(to-from, 0)) * time.Millisecond
}

// waits returns the open step that the run waits for, if it waits for all that are
// open: then nothing is being done for it.
func (r *Run) waits() *Step {
	var first *Step
	for i := range r.Steps {
		s := &r.Steps[i]
		switch {
		case s.State.Terminal():
		case s.State != StateWaiting:
			return nil
		case first == nil:
			first = s
		}
	}
	return first
}

// Clone returns a copy that shares nothing that Apply writes to.
func (r *Run) Clone() *Run {
	c := *r
	c.Stages = append([]Stage(nil), r.Stages...)
	c.Steps = append([]Step(nil), r.Steps...)
	return &c
}
