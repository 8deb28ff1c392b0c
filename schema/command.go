package schema

import (
	"encoding/json"
	"time"
)

// Query is a question to an agent, answered at once or not at all: an absent
// agent is Unavailable. Its value is the contract of both ends; the type
// parameters are inferred at every call.
type Query[Req, Resp any] struct{ Name string }

// Ask is a question of an agent to core.
type Ask[Req, Resp any] struct{ Name string }

// Job is durable work for an agent: queued until the agent takes it or the
// deadline passes, run once, answered by a Result.
type Job[Req, Resp any] struct {
	Name string
	// Timeout is how long the work itself may take when the command names none.
	Timeout time.Duration
	// Repeatable says that doing it again after an interruption is harmless.
	Repeatable bool
}

// Command is one job on its way to an agent. It never holds a secret: values the
// work needs are asked for when it begins (see AskSecrets).
type Command struct {
	ID   string          `json:"id"`   // idempotency key: run, step and attempt
	Run  string          `json:"run"`  // the run it belongs to
	Step string          `json:"step"` // the step of that run
	Verb string          `json:"verb"` // Job.Name
	Key  string          `json:"key,omitempty"`
	Args json.RawMessage `json:"args"`
	// Queued is when core queued it, unix ms by core's clock.
	Queued int64 `json:"queued"`
	// Timeout is how long the work may take once begun, in milliseconds.
	Timeout int64 `json:"timeout_ms"`
}

// Result is the one answer to a Command.
type Result struct {
	Command string          `json:"command"`
	Run     string          `json:"run"`
	Step    string          `json:"step"`
	Value   json.RawMessage `json:"value,omitempty"`
	Problem *Problem        `json:"problem,omitempty"`
	Phases  []Phase         `json:"phases,omitempty"`
	// Took is how long the work took on the agent, in milliseconds.
	Took int64 `json:"took_ms"`
	// Lines is how many output entries were emitted; Cut how many were dropped
	// because the step's output limit was reached.
	Lines int `json:"lines"`
	Cut   int `json:"cut,omitempty"`
}

// PhaseState is how far a phase of the work on an agent is.
type PhaseState string

// The states of a phase.
const (
	PhaseRunning PhaseState = "running"
	PhaseDone    PhaseState = "done"
	PhaseFailed  PhaseState = "failed"
	PhaseSkipped PhaseState = "skipped"
)

// Phase is a named part of the work of one command: source, secrets, config,
// pull, build, up, health.
type Phase struct {
	Name    string     `json:"name"`
	State   PhaseState `json:"state"`
	Note    string     `json:"note,omitempty"`
	Started int64      `json:"started"` // unix ms by the agent's clock, for display
	Took    int64      `json:"took_ms"`
}

// EntryKind says what an output entry is.
type EntryKind string

// The kinds of output entries.
const (
	EntryLine     EntryKind = "line"     // a line of text
	EntryPhase    EntryKind = "phase"    // a phase began or ended
	EntryState    EntryKind = "state"    // a container, network, image changed state
	EntryProgress EntryKind = "progress" // how far a download or build step is; only the newest per ID matters
	EntryCut      EntryKind = "cut"      // output was dropped here; Text says how much
)

// Entry is one item of a step's output.
type Entry struct {
	Kind    EntryKind  `json:"k"`
	At      int64      `json:"at"`            // unix ms by the agent's clock, for display
	Err     bool       `json:"err,omitempty"` // from standard error
	Phase   string     `json:"ph,omitempty"`  // the phase it belongs to
	State   PhaseState `json:"st,omitempty"`  // of EntryPhase
	Service string     `json:"svc,omitempty"` // the compose service, if any
	ID      string     `json:"id,omitempty"`  // "Container web-1", an image layer, ...
	Text    string     `json:"t,omitempty"`
	Current int64      `json:"cur,omitempty"` // bytes or steps done
	Total   int64      `json:"tot,omitempty"`
}

// Output is a chunk of a step's output. First is the index of its first entry in
// the step: a reader drops what it has, so a chunk that comes twice does no harm.
type Output struct {
	Run     string  `json:"run"`
	Step    string  `json:"step"`
	Command string  `json:"command"`
	First   int     `json:"first"`
	Entries []Entry `json:"entries"`
	End     bool    `json:"end,omitempty"` // the last chunk of the step
}
