package webhook

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"berth/bus/bustest"
	"berth/bus/hub"
	"berth/schema"
)

func TestDuplicatesRunOnce(t *testing.T) {
	w := newWorld(t)
	w.run(t)
	h, body := signed(t, "github-push", coreSecret)
	_, first := w.post(t, "/listener/github/procedure/deploy/main", h, body)
	var wg sync.WaitGroup
	for range 99 {
		wg.Go(func() {
			status, a := w.post(t, "/listener/github/procedure/deploy/main", h, body)
			if status != 200 || a.Verdict != schema.VerdictDuplicate || a.Run != first.Run {
				t.Errorf("status %d, %+v", status, a)
			}
		})
	}
	wg.Wait()
	w.engine.wait(t, 1)
	w.stop()
	if n := len(w.engine.list()); n != 1 {
		t.Errorf("%d runs, want 1", n)
	}
	log := w.h.cfg.Journal.Recent(1000)
	if len(log) != 2 {
		t.Fatalf("%d records for 100 deliveries, want the first and one for the rest", len(log))
	}
	if dup := log[slices.IndexFunc(log, func(d schema.Delivery) bool { return d.Verdict == schema.VerdictDuplicate })]; !strings.Contains(dup.Reason, "98 more") {
		t.Errorf("reason %q", dup.Reason)
	}
	// Another target is another delivery.
	status, a := w.post(t, "/listener/github/stack/web/deploy", h, body)
	if status != 200 || a.Verdict != schema.VerdictAccepted {
		t.Errorf("the same push to another target: %d, %+v", status, a)
	}
}

func TestIgnoredMayComeAgain(t *testing.T) {
	w := newWorld(t)
	w.run(t)
	h, body := signed(t, "github-push", coreSecret)
	if _, a := w.post(t, "/listener/github/procedure/disabled/main", h, body); a.Verdict != schema.VerdictIgnored {
		t.Fatalf("%+v", a)
	}
	for id, target := range w.targets {
		target.Enabled = true
		w.targets[id] = target
	}
	if _, a := w.post(t, "/listener/github/procedure/disabled/main", h, body); a.Verdict != schema.VerdictAccepted {
		t.Errorf("after it was enabled: %+v", a)
	}
	w.engine.wait(t, 1)
}

func TestAcceptedSurvivesACrash(t *testing.T) {
	w := newWorld(t) // nobody runs it: as if core died right after the answer
	h, body := signed(t, "github-push", coreSecret)
	_, a := w.post(t, "/listener/github/procedure/deploy/main", h, body)
	if a.Verdict != schema.VerdictAccepted || len(w.engine.list()) != 0 {
		t.Fatalf("%+v", a)
	}
	w.start(t)
	if _, again := w.post(t, "/listener/github/procedure/deploy/main", h, body); again.Verdict != schema.VerdictDuplicate {
		t.Errorf("the same delivery after the restart: %+v", again)
	}
	w.run(t)
	if got := w.engine.wait(t, 1); got[0].ID != a.Run || got[0].Cause.Message != "web: raise the memory limit" {
		t.Errorf("started %+v", got)
	}
	w.stop()
	w.start(t) // settled now: a third start has nothing to do
	if left := w.h.cfg.Journal.unsettled(); slices.ContainsFunc(left, func(e entry) bool { return e.Verdict == schema.VerdictAccepted }) {
		t.Errorf("unsettled %+v", left)
	}
}

func TestStartIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	w.engine.fail = schema.Errorf(schema.Unavailable, "core is starting")
	w.run(t)
	h, body := signed(t, "github-push", coreSecret)
	w.post(t, "/listener/github/procedure/deploy/main", h, body)
	w.engine.mu.Lock()
	w.engine.fail = nil
	w.engine.mu.Unlock()
	w.engine.wait(t, 1)
}

func TestStartThatCannotBe(t *testing.T) {
	w := newWorld(t)
	w.engine.fail = schema.Errorf(schema.NotFound, `unknown execution "RunProcedure"`)
	w.run(t)
	h, body := signed(t, "github-push", coreSecret)
	_, a := w.post(t, "/listener/github/procedure/deploy/main", h, body)
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		d, err := w.h.cfg.Journal.Get(t.Context(), a.Delivery)
		if err != nil {
			t.Fatal(err)
		}
		if d.Verdict == schema.VerdictRefused && strings.Contains(d.Reason, "unknown execution") {
			return
		}
	}
	t.Error("the delivery still says accepted")
}

// A delivery whose start is refused again and again ends with a verdict, and those
// behind it go on.
func TestStartInConflictEnds(t *testing.T) {
	for _, code := range []schema.Code{schema.Conflict, schema.Internal} {
		t.Run(string(code), func(t *testing.T) {
			w := newWorld(t)
			h, body := signed(t, "github-push", coreSecret)
			_, first := w.post(t, "/listener/github/procedure/deploy/main", h, body)
			w.engine.never = map[string]error{first.Run: schema.Errorf(code, "somebody else was first")}
			_, second := w.post(t, "/listener/github/stack/web/deploy", h, body)
			w.run(t)
			if got := w.engine.wait(t, 1); got[0].ID != second.Run {
				t.Errorf("started %+v, want the later delivery's run %s", got, second.Run)
			}
			d, err := w.h.cfg.Journal.Get(t.Context(), first.Delivery)
			if err != nil || d.Verdict != schema.VerdictRefused || !strings.HasPrefix(d.Reason, "could not start: ") || d.Run != "" {
				t.Errorf("the delivery that could not start says %+v (%v)", d, err)
			}
		})
	}
}

func TestStormKeepsOrder(t *testing.T) {
	w := newWorld(t)
	w.run(t)
	var want []string
	for i := range 20 {
		body := fmt.Appendf(nil, `{"ref":"refs/heads/main","after":"%040d","repository":{"full_name":"a/b"}}`, i+1)
		h := http.Header{"X-Github-Event": {"push"}, "X-Github-Delivery": {fmt.Sprint(i)}, "X-Hub-Signature-256": {sign(coreSecret, body)}}
		if status, a := w.post(t, "/listener/github/procedure/deploy/main", h, body); status != 200 || a.Verdict != schema.VerdictAccepted {
			t.Fatalf("%d %+v", status, a)
		}
		want = append(want, fmt.Sprintf("%040d", i+1))
	}
	var got []string
	for _, r := range w.engine.wait(t, 20) {
		got = append(got, r.Cause.Commit)
	}
	if !slices.Equal(got, want) {
		t.Errorf("started in the order %v", got)
	}
}

func TestRedeliver(t *testing.T) {
	w := newWorld(t)
	w.run(t)
	h, body := signed(t, "github-push", coreSecret)
	_, a := w.post(t, "/listener/github/procedure/deploy/main", h, body)
	w.engine.wait(t, 1)
	by := schema.Actor{Kind: "user", Name: "ada"}
	d, err := w.h.Redeliver(t.Context(), by, a.Delivery)
	if err != nil {
		t.Fatal(err)
	}
	if d.Verdict != schema.VerdictAccepted || d.Again != a.Delivery || d.Run == a.Run || d.Cause.Message != "web: raise the memory limit" {
		t.Errorf("%+v", d)
	}
	w.engine.wait(t, 2)
	h.Set("X-Hub-Signature-256", "00")
	_, refused := w.post(t, "/listener/github/procedure/deploy/main", h, body)
	if _, err := w.h.Redeliver(t.Context(), by, refused.Delivery); schema.CodeOf(err) != schema.Invalid {
		t.Errorf("a refused one: %v", err)
	}
	if _, err := w.h.Redeliver(t.Context(), by, schema.NewID()); schema.CodeOf(err) != schema.NotFound {
		t.Errorf("an unknown one: %v", err)
	}
}

func TestLargeBodyIsKeptDeflated(t *testing.T) {
	w := newWorld(t)
	body := fmt.Appendf(nil, `{"ref":"refs/heads/main","pad":"%s"}`, strings.Repeat("pad ", 400_000))
	h := http.Header{"X-Hub-Signature-256": {sign(coreSecret, body)}}
	_, a := w.post(t, "/listener/github/procedure/deploy/main", h, body)
	d, err := w.h.cfg.Journal.Get(t.Context(), a.Delivery)
	if err != nil || !bytes.Equal(d.Body, body) {
		t.Errorf("%d of %d bytes are kept: %v", len(d.Body), len(body), err)
	}
}

func TestFloodIsBounded(t *testing.T) {
	w := newWorld(t)
	for i := range 500 {
		h, body := signed(t, "github-push", fmt.Sprint("guess", i))
		r := httptest.NewRequest(http.MethodPost, "/listener/github/procedure/deploy/main", bytes.NewReader(body))
		r.Header, r.RemoteAddr = h, fmt.Sprintf("203.0.%d.%d:1", i/256, i%256)
		w.h.ServeHTTP(httptest.NewRecorder(), r)
	}
	log := w.h.cfg.Journal.Recent(1000)
	if len(log) > minorKinds+1 {
		t.Errorf("%d records of 500 refused deliveries", len(log))
	}
	for _, d := range log {
		if got, err := w.h.cfg.Journal.Get(t.Context(), d.ID); err != nil || len(got.Body) != 0 {
			t.Errorf("body of a refused delivery is kept: %v", err)
		}
	}
}

// laps are the times of a benchmark's rounds.
type laps struct {
	last time.Time
	all  []time.Duration
}

func (l *laps) lap() {
	now := time.Now()
	l.all = append(l.all, now.Sub(l.last))
	l.last = now
}

// report prints the median and the slowest hundredth.
func (l *laps) report(b *testing.B) {
	slices.Sort(l.all)
	b.ReportMetric(float64(l.all[len(l.all)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(l.all[len(l.all)*99/100].Microseconds()), "p99-µs")
}

func BenchmarkAccept(b *testing.B) {
	live := bustest.Open(b, hub.Options{Dir: b.TempDir()}) // every accepted write is synced
	j, err := OpenJournal(b.Context(), live.Core.JetStream())
	if err != nil {
		b.Fatal(err)
	}
	h := New(Config{
		Targets: someTargets(), Runs: &engine{}, Journal: j, Secret: coreSecret,
		Peer: func(*http.Request) string { return "203.0.113.7" }, Log: bustest.Log(b),
	})
	b.Run("publish", func(b *testing.B) {
		data := bytes.Repeat([]byte("x"), 1024)
		l := laps{last: time.Now()}
		defer l.report(b)
		for i := 0; b.Loop(); i++ {
			if _, err := live.Core.JetStream().Publish(b.Context(), "delivery.bench"+fmt.Sprint(i), data); err != nil {
				b.Fatal(err)
			}
			l.lap()
		}
	})
	b.Run("accept", func(b *testing.B) {
		l := laps{last: time.Now()}
		defer l.report(b)
		for i := 0; b.Loop(); i++ {
			body := fmt.Appendf(nil, `{"ref":"refs/heads/main","after":"%040d","repository":{"full_name":"a/b"}}`, i)
			r := httptest.NewRequest(http.MethodPost, "/listener/github/procedure/deploy/main", bytes.NewReader(body))
			r.Header = http.Header{"X-Github-Event": {"push"}, "X-Github-Delivery": {fmt.Sprint(b.N, i)}, "X-Hub-Signature-256": {sign(coreSecret, body)}}
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			if rec.Code != http.StatusOK {
				b.Fatal(rec.Body)
			}
			l.lap()
		}
	})
}
