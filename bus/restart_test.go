package bus_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"berth/bus"
	"berth/bus/bustest"
	"berth/bus/hub"
	"berth/schema"
)

// freePort returns a port that is free now, for a hub that is started again.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// restart closes the hub and starts it again on the same folder, port and registry.
func restart(t testing.TB, b *bustest.Bus, o hub.Options) *bustest.Bus {
	t.Helper()
	b.Hub.Close()
	return bustest.Reopen(t, o, b.Registry)
}

func TestResultsSurviveCore(t *testing.T) {
	o := hub.Options{Dir: t.TempDir(), Port: freePort(t)}
	b := bustest.Open(t, o)
	a := b.Agent(t, agentA)
	if err := a.Report(t.Context(), "c1", schema.Result{Command: "c1"}); err != nil {
		t.Fatal(err)
	}
	if err := b.Core.Enqueue(t.Context(), agentA, schema.Command{ID: "c9"}, time.Hour); err != nil {
		t.Fatal(err)
	}
	b = restart(t, b, o)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := a.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	for _, c := range []string{"c1", "c2"} { // c1 again: it does not know that it arrived
		if err := a.Report(ctx, c, schema.Result{Command: c}); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	err := b.Core.Results(ctx, func(_ context.Context, _ string, res schema.Result) error {
		if got = append(got, res.Command); len(got) == 2 {
			cancel()
		}
		return nil
	})
	if err != nil || strings.Join(got, " ") != "c1 c2" {
		t.Errorf("results %v, %v", got, err)
	}
	if list, err := b.Core.Pending(t.Context(), agentA); err != nil || len(list) != 1 {
		t.Errorf("pending after the restart: %v, %v", list, err)
	}
}

// lines are the texts of a command's output as a reader sees them: what came
// twice is dropped by its index.
func lines(t testing.TB, c *bus.Conn, run, cmd string) []string {
	t.Helper()
	var out []string
	have := 0
	err := c.Output(t.Context(), run, cmd, 0, func(_ uint64, _ string, o schema.Output) error {
		for i, e := range o.Entries {
			if o.First+i >= have && e.Kind == schema.EntryLine {
				out = append(out, e.Text)
			}
		}
		have = max(have, o.First+len(o.Entries))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func line(text string) schema.Entry { return schema.Entry{Kind: schema.EntryLine, Text: text} }

func TestOutputIsSentAgainInOrder(t *testing.T) {
	o := hub.Options{Dir: t.TempDir(), Port: freePort(t)}
	b := bustest.Open(t, o)
	a := b.Agent(t, agentA)
	const n = 400
	emit := func(i int) {
		t.Helper()
		for _, cmd := range []string{"c1", "c2"} {
			out := schema.Output{Run: "r", Command: cmd, First: i, Entries: []schema.Entry{line(fmt.Sprint(cmd, " ", i))}, End: i == n-1}
			if err := a.Emit(t.Context(), out); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range n / 2 {
		emit(i)
	}
	epoch, err := b.Core.Epoch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.Hub.Close()
	for i := n / 2; i < n; i++ {
		emit(i)
	}
	b = bustest.Reopen(t, o, b.Registry)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := a.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	for _, cmd := range []string{"c1", "c2"} {
		got := lines(t, b.Core, "r", cmd)
		if len(got) != n {
			t.Fatalf("%s: %d lines, want %d", cmd, len(got), n)
		}
		for i, l := range got {
			if l != fmt.Sprint(cmd, " ", i) {
				t.Fatalf("%s: line %d is %q", cmd, i, l)
			}
		}
	}
	if again, err := b.Core.Epoch(t.Context()); err != nil || again == epoch {
		t.Errorf("epoch %s after %s: sequences of an embedded server mean nothing after its end: %v", again, epoch, err)
	}
}

func TestFullOutboxDropsProgressNotLines(t *testing.T) {
	o := hub.Options{Dir: t.TempDir(), Port: freePort(t)}
	b := bustest.Open(t, o)
	a := b.Agent(t, agentA)
	b.Hub.Close()
	bustest.Eventually(t, 20*time.Second, "the agent notices", func() bool { return !a.Connected() })
	big := strings.Repeat("x", 10<<10)
	first := 0
	for i := range 1000 { // 20 MiB of progress, 1,000 lines of 1 KiB
		entries := []schema.Entry{
			{Kind: schema.EntryProgress, Text: big}, line(fmt.Sprint(i, " ", big[:1000])), {Kind: schema.EntryProgress, Text: big},
		}
		if err := a.Emit(t.Context(), schema.Output{Run: "r", Command: "c", First: first, Entries: entries}); err != nil {
			t.Fatalf("chunk %d: %v", i, err)
		}
		first += len(entries)
	}
	began, full := time.Now(), false
	for i := 0; i < 20 && !full; i++ {
		var many []schema.Entry
		for range 100 {
			many = append(many, line(big))
		}
		err := a.Emit(t.Context(), schema.Output{Run: "r", Command: "d", First: 100 * i, Entries: many})
		full = schema.CodeOf(err) == schema.TooMany
	}
	if !full || time.Since(began) > 10*time.Second {
		t.Errorf("lines beyond the buffer: refused %v after %s", full, time.Since(began))
	}
	b = bustest.Reopen(t, o, b.Registry)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if err := a.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	got := lines(t, b.Core, "r", "c")
	for i, l := range got {
		if !strings.HasPrefix(l, fmt.Sprint(i, " ")) {
			t.Fatalf("line %d is %.20q", i, l)
		}
	}
	if len(got) != 1000 {
		t.Errorf("%d lines arrived, want 1000", len(got))
	}
}

func TestTailFollowsFromNow(t *testing.T) {
	b := bustest.New(t)
	a := b.Agent(t, agentA)
	emit := func(i int) {
		if err := a.Emit(t.Context(), schema.Output{Run: "r", Command: "c", First: i, Entries: []schema.Entry{line(fmt.Sprint(i))}}); err != nil {
			t.Fatal(err)
		}
		if err := a.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	emit(0)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var seen atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		err := b.Core.Tail(ctx, func(seq uint64, agent string, out schema.Output) {
			if agent != agentA || out.First == 0 || uint64(out.First+1) != seq {
				t.Errorf("%d %s %+v", seq, agent, out)
			}
			seen.Add(1)
		})
		if err != nil {
			t.Error(err)
		}
	})
	// The tail begins where the stream stood when it was called: see it begin.
	for i := 1; seen.Load() == 0; i++ {
		emit(i)
	}
	cancel()
	wg.Wait()
}

// TestFleetComesBack restarts core under 200 agents on its websocket door.
func TestFleetComesBack(t *testing.T) {
	const n = 200
	o := hub.Options{Dir: t.TempDir()}
	b := bustest.Open(t, o)
	var door atomic.Pointer[http.Handler]
	set := func(h http.Handler) { door.Store(&h) }
	set(b.Hub.Handler())
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*door.Load()).ServeHTTP(w, r) }))
	defer srv.Close()
	var agents [n]*bus.Conn
	for i := range agents {
		opts := b.AgentOptions(t, fmt.Sprintf("%024x", i))
		opts.URL, opts.Log = srv.URL, nil
		agents[i] = b.Dial(t, opts)
	}
	b = restart(t, b, o)
	set(b.Hub.Handler())
	bustest.Eventually(t, 60*time.Second, "all agents are back", func() bool {
		for i, a := range agents {
			if !a.Connected() || !b.Hub.Online(fmt.Sprintf("%024x", i)) {
				return false
			}
		}
		return true
	})
}

// TestKilledCoreKeepsWhatItAcknowledged kills a process with SIGKILL while it
// writes and looks at what is left.
func TestKilledCoreKeepsWhatItAcknowledged(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWriterProcess$", "-test.v", "--", dir)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acked := 0
	for sc := bufio.NewScanner(out); acked < 300 && sc.Scan(); {
		if _, err := fmt.Sscanf(sc.Text(), "acked %d", &acked); err != nil {
			continue
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if acked < 300 {
		t.Fatalf("the writer ended early: %d", acked)
	}
	b := bustest.Open(t, hub.Options{Dir: dir})
	events, _, err := b.Core.History(t.Context(), "r")
	if err != nil || len(events) < acked {
		t.Fatalf("%d events are left of %d acknowledged: %v", len(events), acked, err)
	}
	if _, err := schema.Fold(events[1:2]); err == nil {
		t.Error("a gap in a run's log was not noticed")
	}
	list, err := b.Core.Pending(t.Context(), agentA)
	if err != nil || len(list) < acked {
		t.Errorf("%d commands are left of %d: %v", len(list), acked, err)
	}
}

// TestWriterProcess is the process that is killed; alone it does nothing.
func TestWriterProcess(t *testing.T) {
	if len(os.Args) < 2 || os.Args[len(os.Args)-2] != "--" {
		return
	}
	b := bustest.Open(t, hub.Options{Dir: os.Args[len(os.Args)-1]})
	var last uint64
	for n := 1; ; n++ {
		var err error
		if last, err = b.Core.Append(t.Context(), "r", last, schema.Event{V: 1, N: n, Type: schema.RunNoted}); err != nil {
			t.Fatal(err)
		}
		if err := b.Core.Enqueue(t.Context(), agentA, schema.Command{ID: fmt.Sprint("c", n)}, time.Hour); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(os.Stdout, "acked %d\n", n)
	}
}
