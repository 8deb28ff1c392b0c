package execution_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"berth/bus"
	"berth/bus/bustest"
	"berth/core/execution"
	"berth/core/run"
	"berth/core/store"
	coresync "berth/core/sync"
	"berth/core/sync/synctest"
	"berth/schema"
)

// stage is a world in which syncs run. Deploys do nothing but be remembered.
type stage struct {
	*synctest.World
	engine *run.Engine
	stop   func()

	mu       sync.Mutex
	deployed []string          // "web@<commit>", in the order of their ends
	fail     map[string]string // stacks whose deploy fails, and why
	before   func()            // called before every change of a resource
}

// fragileSyncs calls a test before every step of a run.
type fragileSyncs struct {
	*coresync.Syncer
	s *stage
}

func (f fragileSyncs) Begin(ctx context.Context, p schema.SyncPlan, q coresync.Request) (*coresync.Work, error) {
	f.s.hook()
	return f.Syncer.Begin(ctx, p, q)
}

func (s *stage) hook() {
	s.mu.Lock()
	fn := s.before
	s.mu.Unlock()
	if fn != nil {
		fn()
	}
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{World: synctest.New(t), fail: map[string]string{}}
	s.start()
	t.Cleanup(func() { s.stop() })
	return s
}

// start makes an engine, as core does when it starts.
func (s *stage) start() {
	s.T.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	conn := s.Bus.Core
	states, err := store.Open[schema.Run](ctx, conn, bus.BucketRunState, store.Options{})
	s.Must(err)
	meta, err := store.Open[run.Checkpoint](ctx, conn, bus.BucketActive, store.Options{})
	s.Must(err)
	leases, err := store.OpenLeases(ctx, conn, 1)
	s.Must(err)
	d := &execution.Deps{Syncs: fragileSyncs{s.Syncer, s}, Stacks: stacks{s}}
	queue := func(kind string) func(schema.Target) string {
		return func(t schema.Target) string { return kind + ":" + t.ID }
	}
	s.engine = run.New(run.Config{
		Conn: conn, States: states, Meta: meta, Leases: leases, Log: bustest.Log(s.T),
		Actions: []run.Action{
			{Name: "RunSync", Kind: "resource_sync", Param: "sync", Params: execution.SyncParams{}, Body: d.RunSync, Queue: queue("resource_sync"), Supersede: true, Covers: execution.CoversSync},
			{Name: "DeployStack", Kind: "stack", Param: "stack", Params: execution.DeployParams{}, Body: s.deploy, Queue: queue("stack")},
			{Name: "DestroyStack", Kind: "stack", Param: "stack", Params: execution.StackDoParams{}, Body: s.destroy, Queue: queue("stack")},
		},
		Resolve: func(_ context.Context, kind, name string) (schema.Target, schema.Target, error) {
			k, err := s.Registry.Kind(kind)
			if err != nil {
				return schema.Target{}, schema.Target{}, err
			}
			t, err := k.Find(name)
			return t, schema.Target{}, err
		},
		Online: func(string) (bool, time.Time) { return true, time.Now() },
	})
	done := make(chan struct{})
	go func() { defer close(done); _ = s.engine.Run(ctx) }()
	s.stop = func() { cancel(); <-done }
}

func (s *stage) deploy(ctx context.Context, r *run.Run) (run.Outcome, error) {
	s.hook()
	rec := r.Record()
	if err := ctx.Err(); err != nil {
		return run.Outcome{}, context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if why := s.fail[rec.Target.Name]; why != "" {
		return run.Outcome{}, schema.Errorf(schema.Failed, "%s", why)
	}
	s.deployed = append(s.deployed, rec.Target.Name+"@"+rec.Cause.Commit)
	s.SetDeployed(rec.Target.Name, &schema.Deployed{Commit: rec.Cause.Commit, Run: rec.ID})
	return run.Outcome{}, r.Note(ctx, run.Note{Commit: rec.Cause.Commit})
}

func (s *stage) destroy(_ context.Context, r *run.Run) (run.Outcome, error) {
	s.hook()
	s.mu.Lock()
	defer s.mu.Unlock()
	name := r.Record().Target.Name
	if why := s.fail[name]; why != "" {
		return run.Outcome{}, schema.Errorf(schema.Failed, "%s", why)
	}
	s.deployed = append(s.deployed, "-"+name)
	return run.Outcome{}, nil
}

// stacks are the stacks as RunSync needs them.
type stacks struct{ s *stage }

func (x stacks) Stack(ctx context.Context, id string) (schema.Resource[schema.StackConfig], error) {
	return x.s.Stacks.Get(ctx, id)
}

func (x stacks) AllStacks(context.Context) ([]schema.Resource[schema.StackConfig], error) {
	return x.s.Stacks.All()
}

func (x stacks) Deployed(context.Context, string) (*schema.Deployed, error) { return nil, nil }

func (x stacks) SaveDeployed(context.Context, string, *schema.Deployed) error { return nil }

// did returns what was deployed since it was asked last.
func (s *stage) did() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.deployed
	s.deployed = nil
	return out
}

func (s *stage) run(sync string, params map[string]any, cause schema.Cause) *schema.Run {
	s.T.Helper()
	id := s.begin(sync, params, cause)
	return s.wait(id)
}

func (s *stage) begin(sync string, params map[string]any, cause schema.Cause) string {
	s.T.Helper()
	if params == nil {
		params = map[string]any{}
	}
	params["sync"] = sync
	raw, err := json.Marshal(params)
	s.Must(err)
	t, err := s.Syncs.Find(sync)
	s.Must(err)
	r, err := s.engine.Start(s.T.Context(), run.StartReq{Action: "RunSync", Target: t, Params: raw, Cause: cause, Actor: schema.Actor{Kind: "user", Name: "ada"}})
	s.Must(err)
	return r.ID
}

func (s *stage) wait(id string) *schema.Run {
	s.T.Helper()
	r, err := s.engine.Wait(s.T.Context(), id)
	s.Must(err)
	return r
}

func (s *stage) good(r *schema.Run) *schema.Run {
	s.T.Helper()
	if !r.State.Good() {
		s.T.Fatalf("the run is %s: %+v", r.State, r.Problem)
	}
	return r
}
