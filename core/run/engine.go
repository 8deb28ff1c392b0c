package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"berth/bus"
	"berth/core/store"
	"berth/schema"
)

// Config is what an Engine needs.
type Config struct {
	Conn    *bus.Conn
	States  *store.Bucket[schema.Run] // the written-behind fold
	Meta    *store.Bucket[Checkpoint]
	Leases  *store.Leases
	Actions []Action
	// Resolve finds the resource that a request's parameter names, by name or id,
	// and the server it is on (zero for none).
	Resolve func(ctx context.Context, kind, nameOrID string) (target, server schema.Target, err error)
	// Online reports whether a server's agent is connected, and since when it has
	// been so or not.
	Online func(server string) (online bool, since time.Time)
	Log    *slog.Logger
}

// errStopping is the cause of contexts that end because core stops: nothing is
// recorded then, the next start goes on.
var errStopping = errors.New("core is stopping")

// LeaseTTL is how long an agent's lease lives without being renewed.
const LeaseTTL = 30 * time.Second

// Engine owns all runs of this core.
type Engine struct {
	cfg     Config
	actions map[string]Action
	ready   chan struct{} // closed when recovery is done

	mu      sync.Mutex
	ctx     context.Context //nolint:containedctx // the life of the engine; runs outlive the request that started them
	stop    context.CancelCauseFunc
	active  map[string]*Run
	ended   map[string]*schema.Run // all ended runs that are kept, by id
	order   []string               // ids of all runs, oldest first
	queues  map[string][]*Run      // waiting and running, oldest first
	number  uint64
	dirty   map[string]struct{}
	open    map[string]openStep // by command id
	lastSeq uint64              // newest sequence of the log that is folded
	wg      sync.WaitGroup

	watchMu  sync.Mutex
	watchers map[chan schema.Change]struct{}
	wake     chan struct{} // the projector has work
}

// Checkpoint is how far the written-behind fold reaches in the log.
type Checkpoint struct {
	Seq uint64 `json:"seq"`
}

// checkpointKey is the one key of the checkpoint's bucket.
const checkpointKey = "runs"

// Keep is how many ended runs stay in the bucket and in memory.
const Keep = 5000

// New makes an engine over the registered actions. It panics when two actions
// share a name: that is a broken list, found by the first test.
func New(cfg Config) *Engine {
	e := &Engine{
		cfg: cfg, actions: map[string]Action{}, ready: make(chan struct{}),
		active: map[string]*Run{}, ended: map[string]*schema.Run{}, queues: map[string][]*Run{},
		dirty: map[string]struct{}{}, open: map[string]openStep{}, watchers: map[chan schema.Change]struct{}{}, wake: make(chan struct{}, 1),
	}
	for _, a := range cfg.Actions {
		if _, dup := e.actions[a.Name]; dup {
			panic("action registered twice: " + a.Name)
		}
		e.actions[a.Name] = a
	}
	return e
}

// Actions returns the registered actions by name.
func (e *Engine) Actions() []Action {
	out := make([]Action, 0, len(e.actions))
	for _, a := range e.actions {
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b Action) int { return compare(a.Name, b.Name) })
	return out
}

// Action returns the action of that name.
func (e *Engine) Action(name string) (Action, bool) {
	a, ok := e.actions[name]
	return a, ok
}

// Run recovers what an earlier process left, then serves until ctx ends. Start
// and the asks of agents wait for the recovery.
func (e *Engine) Run(ctx context.Context) error {
	inner, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	e.mu.Lock()
	e.ctx, e.stop = inner, stop
	e.mu.Unlock()
	defer stop(errStopping)
	unfinished, err := e.recover(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("recover runs: %w", err)
	}
	close(e.ready)
	for _, r := range unfinished {
		e.launch(r)
	}
	done := make(chan error, 2)
	go func() { done <- e.cfg.Conn.Results(ctx, e.result) }()
	go func() { done <- e.project(ctx) }()
	var first error
	for range 2 {
		if err := <-done; err != nil && ctx.Err() == nil && first == nil {
			first = err
			stop(errStopping)
		}
	}
	stop(errStopping)
	e.wg.Wait()
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(first, e.flush(flush))
}

// waitReady blocks until recovery is done.
func (e *Engine) waitReady(ctx context.Context) error {
	select {
	case <-e.ready:
		return nil
	default:
	}
	select {
	case <-e.ready:
		return nil
	case <-ctx.Done():
		return schema.Wrap(schema.Unavailable, ctx.Err(), "core is starting")
	}
}

// Start records a run and begins it. When it returns, the run is on disk: nothing
// accepted is lost. A run that exists under req.ID is returned as it is. Errors:
// NotFound for an unknown action.
func (e *Engine) Start(ctx context.Context, req StartReq) (*schema.Run, error) {
	if err := e.waitReady(ctx); err != nil {
		return nil, err
	}
	a, ok := e.actions[req.Action]
	if !ok {
		return nil, schema.Errorf(schema.NotFound, "unknown execution %q", req.Action)
	}
	if err := e.resolve(ctx, a, &req); err != nil {
		return nil, err
	}
	if req.ID == "" {
		req.ID = schema.NewID()
	}
	r, fresh := e.admit(req)
	if !fresh {
		return r.recorded(ctx)
	}
	if err := r.append(ctx, schema.Event{Type: schema.RunQueued, Run: &r.head}); err != nil {
		e.forget(r)
		return nil, fmt.Errorf("record run of %s: %w", a.Name, err)
	}
	close(r.onDisk)
	e.launch(r)
	return r.Record(), nil
}

// resolve fills in the target that the parameters name.
func (e *Engine) resolve(ctx context.Context, a Action, req *StartReq) error {
	if a.Param == "" {
		if req.Target.Kind == "" {
			req.Target = schema.Target{Kind: "system", ID: "system", Name: "system"}
		}
		return nil
	}
	name := req.Target.ID
	if name == "" {
		var params map[string]json.RawMessage
		if len(req.Params) > 0 {
			if err := json.Unmarshal(req.Params, &params); err != nil {
				return schema.Errorf(schema.Invalid, "parameters of %s: %v", a.Name, err)
			}
		}
		if err := json.Unmarshal(params[a.Param], &name); err != nil || name == "" {
			return schema.Errorf(schema.Invalid, "%s needs %q: the name or id of a %s", a.Name, a.Param, a.Kind)
		}
	}
	target, server, err := e.cfg.Resolve(ctx, a.Kind, name)
	if err != nil {
		return err
	}
	req.Target, req.Server = target, server
	return nil
}

// admit makes the run and puts it into the tables, or finds the one that is there.
func (e *Engine) admit(req StartReq) (*Run, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r, ok := e.active[req.ID]; ok {
		return r, false
	}
	if rec, ok := e.ended[req.ID]; ok {
		return endedRun(rec), false
	}
	e.number++
	root := req.Root
	if root == "" {
		root = req.ID
	}
	r := e.newRun(schema.Run{
		ID: req.ID, Number: e.number, Action: req.Action, Target: req.Target, Server: req.Server, Params: req.Params,
		Parent: req.Parent, Root: root, Stage: req.Stage, Actor: req.Actor, Cause: req.Cause,
		State: schema.StateQueued, Queued: time.Now().UnixMilli(),
	})
	e.active[req.ID] = r
	e.order = append(e.order, req.ID)
	return r, true
}

// forget takes a run out of the tables that could not be recorded.
func (e *Engine) forget(r *Run) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.active, r.head.ID)
	e.order = slices.DeleteFunc(e.order, func(id string) bool { return id == r.head.ID })
	r.failed = true
	close(r.onDisk)
}

// Cancel asks a run, and all its children, to end. It returns once the wish is on
// disk; the run ends when its agents have let go, at the latest after
// cancelGrace. Errors: NotFound; Conflict when the run has ended.
func (e *Engine) Cancel(ctx context.Context, id string, by schema.Actor) error {
	if err := e.waitReady(ctx); err != nil {
		return err
	}
	r, err := e.running(id)
	if err != nil {
		return err
	}
	return r.cancelBy(ctx, by, schema.Errorf(schema.Canceled, "canceled by %s", by.Name))
}

func (e *Engine) running(id string) (*Run, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r, ok := e.active[id]; ok {
		return r, nil
	}
	if rec, ok := e.ended[id]; ok {
		return nil, schema.Errorf(schema.Conflict, "run #%d has ended (%s)", rec.Number, rec.State)
	}
	return nil, schema.Errorf(schema.NotFound, "no run %q", id)
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
