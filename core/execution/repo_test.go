package execution

import (
	"context"
	"slices"
	"testing"
	"time"

	"berth/bus"
	"berth/bus/bustest"
	"berth/core/run"
	"berth/core/store"
	"berth/schema"
)

// TestInterruptedPullIsMadeAgain has an agent that is restarted while it pulls: the
// pull is made again, unless commands of the repo would run twice.
func TestInterruptedPullIsMadeAgain(t *testing.T) {
	for _, tc := range []struct {
		name  string
		req   schema.RepoSyncReq
		fails int
		steps []string
		state schema.RunState
	}{
		{"once", schema.RepoSyncReq{}, 1, []string{"sync", "sync, attempt 2"}, schema.StateSucceeded},
		{"always", schema.RepoSyncReq{}, 9, []string{"sync", "sync, attempt 2", "sync, attempt 3"}, schema.StateFailed},
		{"with a command", schema.RepoSyncReq{OnPull: schema.SystemCommand{Command: "make"}}, 1, []string{"sync"}, schema.StateFailed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := bustest.New(t)
			server := schema.Target{Kind: "server", ID: "srv1", Name: "atlas"}
			e := repoEngine(t, b, func(ctx context.Context, r *run.Run) (run.Outcome, error) {
				_, err := syncRepo(ctx, r, server, "home", tc.req)
				return run.Outcome{}, err
			})
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			started, err := e.Start(ctx, run.StartReq{Action: "Pull"})
			if err != nil {
				t.Fatal(err)
			}
			go interrupted(ctx, b.Agent(t, server.ID), tc.fails)
			r, err := e.Wait(ctx, started.ID)
			if err != nil || r.State != tc.state {
				t.Fatalf("%+v %v", r, err)
			}
			var steps []string
			for _, s := range r.Steps {
				steps = append(steps, s.Name)
			}
			if !slices.Equal(steps, tc.steps) {
				t.Errorf("%q", steps)
			}
		})
	}
}

// interrupted is an agent whose first answers are that it was interrupted.
func interrupted(ctx context.Context, conn *bus.Conn, fails int) {
	done := map[string]bool{}
	for bus.Sleep(ctx, 20*time.Millisecond) == nil {
		pending, err := bus.Request(ctx, conn, schema.AskPending, struct{}{})
		if err != nil {
			continue
		}
		for _, cmd := range pending.Commands {
			if done[cmd.ID] {
				continue
			}
			if b, err := bus.Request(ctx, conn, schema.AskBegin, schema.BeginReq{Command: cmd.ID}); err != nil || b.Verdict != schema.VerdictGo {
				continue
			}
			done[cmd.ID] = true
			res := schema.Result{Command: cmd.ID, Run: cmd.Run, Step: cmd.Step, Value: []byte(`{}`)}
			if fails > 0 {
				fails--
				res.Value, res.Problem = nil, &schema.Problem{Code: schema.Interrupted, Text: "the agent was restarted"}
			}
			_ = conn.Report(ctx, cmd.ID, res) // else the test times out
		}
	}
}

func repoEngine(t *testing.T, b *bustest.Bus, body run.Body) *run.Engine {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(bus.Migrate(ctx, b.Core, bus.MigrateOptions{}))
	states, err := store.Open[schema.Run](ctx, b.Core, bus.BucketRunState, store.Options{})
	must(err)
	meta, err := store.Open[run.Checkpoint](ctx, b.Core, bus.BucketActive, store.Options{})
	must(err)
	leases, err := store.OpenLeases(ctx, b.Core, 1)
	must(err)
	e := run.New(run.Config{
		Conn: b.Core, States: states, Meta: meta, Leases: leases, Log: bustest.Log(t), Actions: []run.Action{{Name: "Pull", Body: body}},
		Online: func(string) (bool, time.Time) { return true, time.Time{} },
	})
	must(bus.Serve(b.Core, schema.AskPending, e.Pending))
	must(bus.Serve(b.Core, schema.AskBegin, e.Begin))
	must(bus.Serve(b.Core, schema.AskRenew, e.Renew))
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return e
}
