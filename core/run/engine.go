package run

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"berth/core/access"
	"berth/core/store"
	"berth/schema"
)

// EventLog is the log of events: the truth.
type EventLog interface {
	// Append adds an event if the run's last one has the sequence; Conflict if not.
	Append(ctx context.Context, run string, expectSeq uint64, ev schema.Event) (uint64, error)
	History(ctx context.Context, run string) ([]schema.Event, uint64, error)
	// Changed lists the runs with events after the sequence, and the newest one.
	Changed(ctx context.Context, after uint64) (runs []string, last uint64, err error)
}

// Commands are the queues of commands to agents.
type Commands interface {
	Enqueue(ctx context.Context, agent string, cmd schema.Command, ttl time.Duration) error
	Dequeue(ctx context.Context, agent, cmd string) error
	Queued(ctx context.Context, agent, cmd string) (schema.Command, error)
	Pending(ctx context.Context, agent string) ([]schema.Command, error)
	Notify(ctx context.Context, agent, what string, payload any) error
}

// Answers are the results that agents report.
type Answers interface {
	Result(ctx context.Context, agent, cmd string) (res schema.Result, ok bool, err error)
	Results(ctx context.Context, fn func(ctx context.Context, agent string, res schema.Result) error) error
}

// Emitter stores the output of steps of core itself.
type Emitter interface {
	Emit(ctx context.Context, out schema.Output) error
	Flush(ctx context.Context) error
}

// Conn is what the engine needs of the bus: a *bus.Conn.
type Conn interface {
	EventLog
	Commands
	Answers
	Emitter
}

// Config is what an Engine needs.
type Config struct {
	Conn    Conn
	States  *store.Bucket[schema.Run] // the written-behind fold
	Meta    *store.Bucket[Checkpoint]
	Leases  *store.Leases
	Actions []Action
	// Resolve finds the resource that a request's parameter names, by name or id,
	// and the server it is on (zero for none).
	Resolve func(ctx context.Context, kind, nameOrID string) (target, server schema.Target, err error)
	// Permit returns nil when whoever starts a run may do what needs the level on the
	// target, Denied if not. Nil permits everything.
	Permit func(s schema.Starter, needs access.Level, target schema.Target) error
	// Online reports whether a server's agent is connected, and since when it has
	// been so or not: the zero time for one that no agent has ever joined.
	Online func(server string) (online bool, since time.Time)
	// Revoked says why the only agent that a server had may not connect any more; ""
	// for none. May be nil.
	Revoked func(server string) string
	Log     *slog.Logger
}

// errStopping is the cause of contexts that end because core stops: nothing is
// recorded then, the next start goes on.
var errStopping = schema.Errorf(schema.Unavailable, "core is stopping")

// LeaseTTL is how long an agent's lease lives without being renewed.
const LeaseTTL = 30 * time.Second

// Engine owns all runs of this core.
type Engine struct {
	cfg     Config
	actions map[string]Action
	ready   chan struct{} // closed when recovery is done

	mu      sync.Mutex
	ctx     context.Context //nolint:containedctx // the life of the engine; runs outlive the request that started them
	closed  bool            // no goroutine of a run begins any more
	table   table
	queues  map[string][]*Run // waiting and running, in the order of their turns
	number  uint64
	dirty   map[string]struct{}
	lastSeq uint64          // newest sequence of the log that is folded
	floors  map[*Run]uint64 // of appends under way: theirs will be larger
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

// Keep is how many runs stay in the bucket and in memory.
const Keep = 5000

// New makes an engine over the registered actions. It panics when two actions
// share a name: that is a broken list, found by the first test.
func New(cfg Config) *Engine {
	e := &Engine{
		cfg: cfg, actions: map[string]Action{}, ready: make(chan struct{}), table: newTable(), queues: map[string][]*Run{},
		dirty: map[string]struct{}{}, floors: map[*Run]uint64{}, watchers: map[chan schema.Change]struct{}{}, wake: make(chan struct{}, 1),
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
	slices.SortFunc(out, func(a, b Action) int { return cmp.Compare(a.Name, b.Name) })
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
	defer stop(errStopping)
	e.mu.Lock()
	e.ctx = inner
	e.mu.Unlock()
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
	serving, end := context.WithCancel(ctx)
	defer end()
	projected := make(chan struct{})
	go func() { defer close(projected); e.project(serving) }()
	err = e.cfg.Conn.Results(serving, e.result)
	end()
	stop(errStopping)
	<-projected
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.wg.Wait()
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if ctx.Err() == nil && err == nil {
		err = schema.Errorf(schema.Unavailable, "run engine: the connection to the bus has ended")
	}
	return errors.Join(err, e.flush(flush))
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
		return schema.Wrap(schema.Unavailable, ctx.Err(), "core is starting: it reads its runs, try again")
	}
}

// Start records a run and begins it. When it returns, the run is on disk: nothing
// accepted is lost. A run that exists under req.ID is returned as it is. Errors:
// NotFound for an unknown action or target; Denied when the starter may not;
// Unavailable while core stops or when the log does not take it.
func (e *Engine) Start(ctx context.Context, req StartReq) (*schema.Run, error) {
	if err := e.waitReady(ctx); err != nil {
		return nil, err
	}
	if en := e.find(req.ID); en != nil {
		return en.recorded(ctx)
	}
	a, ok := e.actions[req.Action]
	if !ok {
		return nil, schema.Errorf(schema.NotFound, "unknown execution %q", req.Action)
	}
	if err := e.resolve(ctx, a, &req); err != nil {
		return nil, err
	}
	if err := e.permit(a, req); err != nil {
		return nil, err
	}
	if req.ID == "" {
		req.ID = schema.NewID()
	}
	en, fresh := e.admit(req)
	if !fresh {
		return en.recorded(ctx)
	}
	r := en.live
	if err := r.append(ctx, schema.Event{Type: schema.RunQueued, Run: en.rec.Load()}); err != nil {
		e.forget(r)
		if schema.CodeOf(err) == schema.Conflict && en.rec.Load().Events > 0 {
			return e.readopt(ctx, req.ID)
		}
		return nil, fmt.Errorf("record run of %s: %w", a.Name, err)
	}
	close(en.onDisk)
	e.launch(r)
	return r.Record(), nil
}

// permit checks that the starter may do the action on its target.
func (e *Engine) permit(a Action, req StartReq) error {
	needs := a.Needs
	switch {
	case e.cfg.Permit == nil:
		return nil
	case a.Admin:
		needs = access.IsAdmin
	case a.Open:
		needs = access.AnyUser
	case needs == "":
		needs = access.CanExec
	}
	return e.cfg.Permit(req.Starter, needs, req.Target)
}

// May reports whether whoever started the run may do what needs the level on a
// target.
func (r *Run) May(needs access.Level, target schema.Target) bool {
	return r.e.cfg.Permit == nil || r.e.cfg.Permit(r.Record().Starter, needs, target) == nil
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

// readopt returns a run that the log knows and the tables do not: one that was
// forgotten for its age, or whose recording this process never heard of. The
// latter is taken up.
func (e *Engine) readopt(ctx context.Context, id string) (*schema.Run, error) {
	got, err := e.replay(ctx, id, schema.Run{})
	if err != nil {
		return nil, err
	}
	if got.rec.State.Terminal() {
		return got.rec, nil
	}
	r, fresh := e.takeUp(got)
	if fresh {
		e.launch(r)
	}
	return r.Record(), nil
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
	if _, err := r.recorded(ctx); err != nil {
		return err
	}
	err = r.endBy(ctx, &by, schema.Errorf(schema.Canceled, "canceled by %s", by.Name))
	if rec := r.Record(); err != nil && rec.State.Terminal() {
		return ended(rec)
	}
	return err
}

func ended(rec *schema.Run) error {
	return schema.Errorf(schema.Conflict, "run #%d has ended (%s)", rec.Number, rec.State)
}

// running returns the run in progress of that id; Conflict when it has ended.
func (e *Engine) running(id string) (*Run, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	en := e.table.runs[id]
	switch {
	case en == nil:
		return nil, schema.Errorf(schema.NotFound, "no run %q", id)
	case en.live == nil:
		return nil, ended(en.rec.Load())
	}
	return en.live, nil
}
