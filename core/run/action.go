package run

import (
	"context"
	"encoding/json"

	"berth/core/access"
	"berth/schema"
)

// Outcome is how a run that did not fail ended.
type Outcome struct {
	State schema.RunState // "" is StateSucceeded
	Note  string
}

// Body is the function of an action. An error fails the run with its safe text.
type Body func(ctx context.Context, r *Run) (Outcome, error)

// Action is something that can be run: a row of core/actions.go.
type Action struct {
	Name  string // the request's name: "DeployStack"
	Kind  string // kind of its target: "stack", "" for none
	Param string // the parameter that names the target: "stack"
	Doc   string // what it does, one sentence for --help and the API's pages
	// Params is a zero value of the parameters' type, for documentation and decoding.
	Params any
	Body   Body
	// Needs is what whoever starts it must be allowed on the target; Execute when
	// empty.
	Needs access.Level
	// Open says that it has no target of its own: everybody may start it, and its body
	// looks at each thing it works on, by Run.May or by starting a child for it.
	Open bool
	// Trusted says that what it starts is carried out by core itself: its resource says
	// what that is, and whoever may edit that may have it done.
	Trusted bool
	// Admin says that only administrators may ask for it: it is about core as a whole.
	Admin bool
	// Queue names the queue a run joins; runs in one queue go one after another.
	// Empty runs at once.
	Queue func(target schema.Target) string
	// Supersede says that a newer run in the queue makes an older one that only
	// waits pointless.
	Supersede bool
	// Preempts reports whether a run ends the one of its queue that goes on, instead
	// of waiting for its end; nil never does.
	Preempts func(r *schema.Run) bool
	// Covers reports whether the newer run's parameters do all that the older's
	// would have; nil covers always.
	Covers func(newer, older json.RawMessage) bool
}

// StartReq asks for a run.
type StartReq struct {
	// ID makes the request idempotent: a run that exists under it is returned.
	ID     string
	Action string
	Target schema.Target
	Server schema.Target
	Params json.RawMessage
	Actor  schema.Actor
	// Starter is with whose rights it is carried out; of a child that is its parent's.
	Starter schema.Starter
	Cause   schema.Cause
	Parent  string
	Root    string
	Stage   string
	// After are runs that are to end before this one begins, however they end.
	After []string
}
