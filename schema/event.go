package schema

import (
	"encoding/json"
	"fmt"
)

// EventVersion is the newest version of Event this program writes and reads.
const EventVersion = 1

// EventType says what happened to a run.
type EventType string

// The events. RunEnded and RunAdopted are terminal: nothing follows them.
const (
	RunQueued    EventType = "run.queued"
	RunStarted   EventType = "run.started"
	RunNoted     EventType = "run.noted"     // Note, Commit, Message, Decision: what is set is taken over
	RunPlanned   EventType = "run.planned"   // Value: what the run set out to do
	RunCanceling EventType = "run.canceling" // Actor or none, Problem: it is to end, and why
	RunEnded     EventType = "run.ended"
	// RunAdopted is the one event of a run that was over when core heard of it: Run
	// is the whole record.
	RunAdopted    EventType = "run.adopted"
	StagePlanned  EventType = "stage.planned"
	StageStarted  EventType = "stage.started"
	StageEnded    EventType = "stage.ended"
	StepScheduled EventType = "step.scheduled"
	StepStarted   EventType = "step.started"
	StepNoted     EventType = "step.noted"
	StepEnded     EventType = "step.ended"
)

// Event is one entry of a run's log. The log is the truth; a Run is its fold.
// N counts the events of the run from 1, so that a gap is seen.
type Event struct {
	V        int             `json:"v"`
	N        int             `json:"n"`
	Type     EventType       `json:"t"`
	At       int64           `json:"at"`              // unix ms by core's clock
	Run      *Run            `json:"run,omitempty"`   // of RunQueued: the header; of RunAdopted: all
	Stage    *Stage          `json:"stage,omitempty"` // of stage events
	Step     *Step           `json:"step,omitempty"`  // of StepScheduled
	Name     string          `json:"name,omitempty"`  // the step's name, of the other step events
	State    RunState        `json:"state,omitempty"` // of RunEnded, StepEnded, StepNoted, RunNoted
	Note     string          `json:"note,omitempty"`
	Commit   string          `json:"commit,omitempty"`
	Message  string          `json:"message,omitempty"`
	Decision *Decision       `json:"decision,omitempty"`
	Problem  *Problem        `json:"problem,omitempty"`
	Actor    *Actor          `json:"actor,omitempty"` // of RunCanceling: who asked for it
	Fence    uint64          `json:"fence,omitempty"`
	Result   *Result         `json:"result,omitempty"` // of StepEnded
	Value    json.RawMessage `json:"value,omitempty"`
}

// Apply folds one event into the run. It is pure: the same events give the same
// run on any core. It refuses, without changing anything: an event that is newer
// than this program, a gap or repetition in the count, anything after the
// terminal event, and a second end of a step.
func (r *Run) Apply(e Event) error {
	switch {
	case e.V > EventVersion:
		return Errorf(Internal, "run %s: event %d has version %d, this program reads up to %d: upgrade core", r.ID, e.N, e.V, EventVersion)
	case e.N != r.Events+1:
		return Errorf(Conflict, "run %s: event %d follows event %d", r.ID, e.N, r.Events)
	case r.State.Terminal():
		return Errorf(Conflict, "run %s: %s after its end", r.ID, e.Type)
	}
	if err := r.apply(e); err != nil {
		return err
	}
	r.Events = e.N
	return nil
}

func (r *Run) apply(e Event) error {
	switch e.Type {
	case RunQueued:
		if e.Run == nil || r.Events > 0 {
			return Errorf(Conflict, "run %s: queued twice or without a header", r.ID)
		}
		*r = *e.Run
		r.State, r.Queued, r.Events = StateQueued, e.At, 0
	case RunAdopted:
		if e.Run == nil || r.Events > 0 || !e.Run.State.Terminal() {
			return Errorf(Conflict, "run %s: adopted after other events, or before its end", r.ID)
		}
		*r = *e.Run.Clone()
		r.Events = 0
	case RunStarted:
		r.State, r.Started, r.Note = StateRunning, e.At, ""
	case RunNoted:
		r.note(e)
	case RunCanceling:
		r.Canceled, r.Ending, r.Note = e.Actor, e.Problem, e.Note
	case RunPlanned:
		r.Plan = e.Value
	case RunEnded:
		r.note(e)
		r.State, r.Ended, r.Problem, r.Note = e.State, e.At, e.Problem, e.Note
	case StagePlanned, StageStarted, StageEnded:
		r.applyStage(e)
	case StepScheduled:
		if e.Step == nil || r.Step(e.Step.Name) != nil {
			return Errorf(Conflict, "run %s: step scheduled twice or without a name", r.ID)
		}
		s := *e.Step
		s.Queued = e.At
		if s.State == "" {
			s.State = StateQueued
		}
		r.Steps = append(r.Steps, s)
		r.rest()
	case StepStarted, StepNoted, StepEnded:
		if err := r.applyStep(e); err != nil {
			return err
		}
		r.rest()
	default:
		return Errorf(Internal, "run %s: unknown event %q", r.ID, e.Type)
	}
	return nil
}

// rest lets a run wait while all its open steps do, and go on when one goes on.
func (r *Run) rest() {
	if r.Started == 0 || r.Ending != nil {
		return
	}
	if s := r.waits(); s != nil {
		r.State, r.Note = StateWaiting, s.Note
	} else if r.State == StateWaiting {
		r.State, r.Note = StateRunning, ""
	}
}

func (r *Run) note(e Event) {
	if e.Note != "" {
		r.Note = e.Note
	}
	if e.Commit != "" {
		r.Commit = e.Commit
	}
	if e.Message != "" {
		r.Message = e.Message
	}
	if e.Decision != nil {
		r.Decision = e.Decision
	}
	if e.State != "" && e.Type == RunNoted {
		r.State = e.State
	}
}

func (r *Run) applyStage(e Event) {
	if e.Stage == nil {
		return
	}
	for i := range r.Stages {
		if r.Stages[i].Name != e.Stage.Name {
			continue
		}
		switch e.Type {
		case StagePlanned:
		case StageStarted:
			r.Stages[i].State, r.Stages[i].Started, r.Stages[i].Total = StateRunning, e.At, e.Stage.Total
		default:
			r.Stages[i].State, r.Stages[i].Ended, r.Stages[i].Note = e.Stage.State, e.At, e.Stage.Note
		}
		return
	}
	s := *e.Stage
	switch e.Type {
	case StagePlanned:
	case StageStarted:
		s.State, s.Started = StateRunning, e.At
	default:
		s.Ended = e.At
	}
	r.Stages = append(r.Stages, s)
}

func (r *Run) applyStep(e Event) error {
	s := r.Step(e.Name)
	if s == nil {
		return Errorf(Internal, "run %s: %s of unknown step %q", r.ID, e.Type, e.Name)
	}
	if s.State.Terminal() {
		return Errorf(Conflict, "run %s: %s after the end of step %q", r.ID, e.Type, e.Name)
	}
	switch e.Type {
	case StepStarted:
		if s.Started != 0 {
			return Errorf(Conflict, "run %s: step %q begins twice", r.ID, e.Name)
		}
		s.State, s.Started, s.Fence, s.Note = StateRunning, e.At, e.Fence, ""
	case StepNoted:
		s.Note = e.Note
		if e.State != "" {
			s.State = e.State
		}
	default:
		s.State, s.Ended, s.Problem, s.Note, s.Value = e.State, e.At, e.Problem, e.Note, e.Value
		if s.Started == 0 {
			s.Started = s.Queued
		}
		if res := e.Result; res != nil {
			s.Answered, s.Phases, s.Lines, s.Cut = true, res.Phases, res.Lines, res.Cut
		}
	}
	return nil
}

// Fold builds a run from its whole log. It returns what it could fold and an
// error that names the first event that does not fit.
func Fold(events []Event) (*Run, error) {
	r := &Run{}
	for i, e := range events {
		if err := r.Apply(e); err != nil {
			return r, fmt.Errorf("fold event %d of %d: %w", i+1, len(events), err)
		}
	}
	return r, nil
}
