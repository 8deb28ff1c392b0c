package api_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"berth/bus"
	"berth/core/api"
	"berth/core/run"
	"berth/schema"
)

// talk is a verb whose agent writes output.
var talk = schema.Job[string, string]{Name: "test.talk", Timeout: time.Minute}

var host = schema.Target{Kind: "server", ID: "srv1", Name: "atlas"}

func talkAction() run.Action {
	return run.Action{Name: "Talk", Doc: "Talk.", Body: func(ctx context.Context, r *run.Run) (run.Outcome, error) {
		_, err := run.Do(ctx, r, run.Job{Step: "up", Server: host}, talk, "hello")
		return run.Outcome{}, err
	}}
}

// agent takes the one command, talks about it, waits to be told to go on, and
// answers. An impostor writes under the same command.
func (w *world) agent(onward <-chan struct{}) {
	w.t.Helper()
	must(w.t, bus.Serve(w.bus.Core, schema.AskPending, w.engine.Pending))
	must(w.t, bus.Serve(w.bus.Core, schema.AskBegin, w.engine.Begin))
	conn, impostor := w.bus.Agent(w.t, host.ID), w.bus.Agent(w.t, "srv2")
	ctx, cancel := context.WithCancel(w.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			p, err := bus.Request(ctx, conn, schema.AskPending, struct{}{})
			if err == nil && len(p.Commands) > 0 {
				w.work(ctx, conn, impostor, p.Commands[0], onward)
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	w.t.Cleanup(func() { cancel(); wg.Wait() })
}

func (w *world) work(ctx context.Context, conn, impostor *bus.Conn, cmd schema.Command, onward <-chan struct{}) {
	b, err := bus.Request(ctx, conn, schema.AskBegin, schema.BeginReq{Command: cmd.ID})
	if err != nil || b.Verdict != schema.VerdictGo {
		w.t.Errorf("begin: %+v %v", b, err)
		return
	}
	out := schema.Output{Run: cmd.Run, Step: cmd.Step, Command: cmd.ID, Entries: []schema.Entry{
		{Kind: schema.EntryLine, Phase: "pull", Text: "pulling web"},
		{Kind: schema.EntryLine, Phase: "up", Err: true, Text: "a warning"},
		{Kind: schema.EntryProgress, Phase: "pull", ID: "layer", Current: 1, Total: 2},
	}}
	forged := out
	forged.Entries = []schema.Entry{{Kind: schema.EntryLine, Text: "FORGED"}}
	for _, err := range []error{impostor.Emit(ctx, forged), impostor.Flush(ctx), conn.Emit(ctx, out), conn.Flush(ctx)} {
		if err != nil {
			w.t.Error(err)
		}
	}
	select {
	case <-onward:
	case <-ctx.Done():
		return
	}
	res := schema.Result{
		Command: cmd.ID, Run: cmd.Run, Step: cmd.Step, Value: []byte(`"done"`),
		Phases: []schema.Phase{{Name: "pull", State: schema.PhaseDone, Started: 1, Took: 5}, {Name: "up", State: schema.PhaseDone, Started: 6, Took: 5}},
	}
	if err := conn.Report(ctx, cmd.ID, res); err != nil {
		w.t.Error(err)
	}
}

func TestOutput(t *testing.T) {
	w := newWorld(t)
	onward := make(chan struct{})
	w.agent(onward)
	u := ok[update](w, "/execute/Talk", `{}`)
	seen := make(chan string, 16)
	done := make(chan error, 1)
	c := api.NewClient(w.server.URL, w.key, w.secret, w.server.Client(), "test")
	go func() {
		done <- c.Follow(t.Context(), u.ID.OID, func(i api.StreamItem) error {
			if i.Output != nil {
				seen <- i.Output.Entries[0].Text
			}
			return nil
		})
	}()
	if line := <-seen; line != "pulling web" { // while it runs
		t.Errorf("followed %q", line)
	}
	close(onward)
	must(t, <-done)
	if len(seen) != 0 {
		t.Errorf("followed more than was written: %q", <-seen)
	}
	u = w.finished(u.ID.OID)
	if len(u.Logs) != 2 || u.Logs[0].Stage != "up: pull" || u.Logs[0].Stdout != "pulling web\n" || u.Logs[1].Stderr != "a warning\n" || !u.Logs[1].Success {
		t.Errorf("logs %+v", u.Logs)
	}
	page := ok[struct {
		Chunks []api.Chunk
		Next   uint64
		More   bool
	}](w, "/read/GetRunOutput", `{"id":"1"}`)
	if len(page.Chunks) != 1 || page.Chunks[0].Seq != page.Next || len(page.Chunks[0].Entries) != 3 || page.More {
		t.Errorf("output %+v", page)
	}
	if _, text := w.post("/read/GetRunOutput", `{"id":"1"}`); strings.Contains(text, "FORGED") {
		t.Error("what another agent wrote counts")
	}
}

func TestFollowGoesOn(t *testing.T) {
	w := newWorld(t)
	onward := make(chan struct{})
	close(onward)
	w.agent(onward)
	u := ok[update](w, "/execute/Talk", `{}`)
	w.finished(u.ID.OID)
	page := ok[struct{ Next uint64 }](w, "/read/GetRunOutput", `{"id":"1"}`)
	for path, chunks := range map[string]int{"?after=0": 1, "?after=" + jsonText(page.Next): 0} {
		h := w.auth()
		status, text := w.send("/stream/runs/1"+path, "GET", h)
		if n := strings.Count(text, `"output":`); status != 200 || n != chunks || !strings.Contains(text, `"state":"succeeded"`) {
			t.Errorf("%s: %d, %d chunks, want %d", path, status, n, chunks)
		}
		h.Set("Accept", "text/event-stream")
		if _, text = w.send("/stream/runs/1"+path, "GET", h); strings.Count(text, "\nid: ")+strings.Count(text[:4], "id: ") != chunks || !strings.Contains(text, "data: {") {
			t.Errorf("%s as events: %s", path, text)
		}
	}
	if status, text := w.send("/stream/runs/99", "GET", w.auth()); status != 404 {
		t.Errorf("unknown run: %d %s", status, text)
	}
	if status, _ := w.send("/stream/runs/1", "GET", nil); status != 401 {
		t.Errorf("nobody: %d", status)
	}
}
