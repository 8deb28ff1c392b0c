package schedule_test

import (
	"context"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/core/run"
	"berth/core/schedule"
	"berth/schema"
)

func (w *world) wantDue(id string, want ...string) {
	w.t.Helper()
	w.eventually("runs are started", func() bool { return len(w.due(id)) >= len(want) })
	if diff := cmp.Diff(want, w.due(id)); diff != "" {
		w.t.Errorf("runs of %s (-want +have):\n%s", id, diff)
	}
}

func TestStartsAtItsTimes(t *testing.T) {
	alert := func(it *schedule.Item) { it.Alert = true }
	w := newWorld(t, "2026-03-28 12:00:00",
		item("daily", "Every day at 02:30", alert),
		item("paris", "Every day at 12:30", func(it *schedule.Item) { it.Zone = "America/New_York" }),
		item("off", "Every minute", func(it *schedule.Item) { it.Enabled = false }),
		item("bad", "now and then"), item("none", " "))
	w.start()
	w.goTo("2026-03-30 12:00:00") // over the change to summer time
	w.wantDue("daily", "2026-03-29 03:00:00", "2026-03-30 02:30:00")
	w.wantDue("paris", "2026-03-28 17:30:00", "2026-03-29 18:30:00")
	w.wantDue("off")
	if v := w.view("bad"); v.Problem == "" || v.Next != 0 {
		t.Errorf("a bad schedule: %+v", v)
	}
	v := w.view("daily")
	if v.Next != at(t, "2026-03-31 02:30:00").UnixMilli() || v.Last != at(t, "2026-03-30 02:30:00").UnixMilli() || v.LastRun == "" {
		t.Errorf("view: %+v", v)
	}
	if next, problem := w.runner.Next("procedure", "daily"); next != v.Next || problem != "" {
		t.Errorf("next %d %q", next, problem)
	}
	if len(w.runner.List()) != 4 {
		t.Errorf("%d are listed", len(w.runner.List()))
	}
	if ok := w.alerts.of(schema.SeverityOK); len(ok) != 2 || !has(ok, `procedure "daily" was started by its schedule for 2026-03-29 03:00:00 CEST`) {
		t.Errorf("alerts: %q", ok)
	}
	if bad := w.alerts.of(schema.SeverityWarning); len(bad) != 0 {
		t.Errorf("warnings: %q", bad)
	}
}

func TestChangedSchedule(t *testing.T) {
	w := newWorld(t, "2026-01-10 12:00:00", item("p", "Every hour"))
	w.start()
	w.goTo("2026-01-10 13:30:00")
	w.wantDue("p", "2026-01-10 13:00:00")
	w.change(item("p", "at 13:45"))
	w.eventually("the change is heard", func() bool { return w.view("p").Next == at(t, "2026-01-10 13:45:00").UnixMilli() })
	w.goTo("2026-01-10 14:10:00")
	w.wantDue("p", "2026-01-10 13:00:00", "2026-01-10 13:45:00")
	w.change()
	w.eventually("it is gone", func() bool { return len(w.runner.List()) == 0 })
	w.stop()
	w.source.items = []schedule.Item{item("p", "at 13:45")}
	w.clock.set(at(t, "2026-01-12 12:00:00"))
	w.start()
	if v := w.view("p"); v.Missed != 0 || v.Last != 0 {
		t.Errorf("what was forgotten is remembered: %+v", v)
	}
}

func TestRestart(t *testing.T) {
	for _, c := range []struct {
		name    string
		policy  func(*schedule.Item)
		back    string
		want    []string
		warning []string
	}{
		{"nothing missed", once, "2026-01-11 02:59:00", []string{"2026-01-10 03:00:00"}, nil},
		{"a little late", func(*schedule.Item) {}, "2026-01-11 03:00:05", []string{"2026-01-10 03:00:00", "2026-01-11 03:00:00"}, nil},
		{
			"skip", func(*schedule.Item) {}, "2026-01-13 09:00:00",
			[]string{"2026-01-10 03:00:00"},
			[]string{`procedure "p" did not run at 2026-01-11 03:00:00 CET and 2 more times until 2026-01-13 03:00:00 CET`, "core was not running", "the next time is 2026-01-14 03:00:00 CET"},
		},
		{
			"once", once, "2026-01-13 09:00:00",
			[]string{"2026-01-10 03:00:00", "2026-01-11 03:00:00"},
			[]string{"and 2 more times", "made up for by one run"},
		},
		{
			"missed some, in time for another", once, "2026-01-13 03:00:04",
			[]string{"2026-01-10 03:00:00", "2026-01-13 03:00:00"},
			[]string{"and 1 more times", "The run of 2026-01-13 03:00:00 CET starts now"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, "2026-01-10 02:00:00", item("p", "Every day at 03:00", c.policy))
			w.start()
			w.goTo("2026-01-10 04:00:00")
			w.wantDue("p", "2026-01-10 03:00:00")
			w.ended("p")
			w.stop()
			w.clock.set(at(t, c.back))
			w.start()
			w.wantDue("p", c.want...)
			have := w.alerts.of(schema.SeverityWarning)
			if (len(have) > 0) != (len(c.warning) > 0) || len(have) > 1 || len(have) == 1 && !has(have, c.warning...) {
				t.Errorf("warnings %q, want %q", have, c.warning)
			}
			if v := w.view("p"); (v.Missed != 0) != (len(c.warning) > 0) || v.MissedWhy == "" && v.Missed != 0 {
				t.Errorf("view: %+v", v)
			}
			w.stop() // and once more: nothing comes twice
			w.start()
			w.wantDue("p", c.want...)
			if again := w.alerts.of(schema.SeverityWarning); len(again) != len(have) {
				t.Errorf("warned again: %q", again)
			}
		})
	}
}

func TestNeverOverlaps(t *testing.T) {
	w := newWorld(t, "2026-01-10 12:00:00", item("skip", "Every 10 minutes"), item("once", "Every 10 minutes", once))
	release := w.holding()
	defer release()
	w.start()
	w.goTo("2026-01-10 12:45:00")
	w.wantDue("skip", "2026-01-10 12:10:00")
	w.wantDue("once", "2026-01-10 12:10:00")
	bad := w.alerts.of(schema.SeverityWarning)
	if len(bad) != 2 || !has(bad, `"skip" did not run at 2026-01-10 12:20:00 CET`, "which the schedule started for 2026-01-10 12:10:00 CET, was still going on", "skipped") {
		t.Errorf("warnings: %q", bad)
	}
	release()
	w.ended("skip")
	w.ended("once")
	list, err := w.engine.List(t.Context(), schema.RunFilter{Target: "once"})
	must(t, err)
	w.source.changes <- schema.Change{Topic: "run", ID: list[0].ID}
	w.wantDue("once", "2026-01-10 12:10:00", "2026-01-10 12:20:00") // made up for, once
	w.goTo("2026-01-10 12:55:00")
	w.wantDue("skip", "2026-01-10 12:10:00", "2026-01-10 12:50:00")
	w.wantDue("once", "2026-01-10 12:10:00", "2026-01-10 12:20:00", "2026-01-10 12:50:00")
}

// mortal kills the runner when it starts a run: before or after it is recorded.
type mortal struct {
	schedule.Runs
	after bool
	mu    sync.Mutex
	kill  context.CancelFunc
	died  bool
}

func (m *mortal) Start(ctx context.Context, req run.StartReq) (*schema.Run, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.died && m.after {
		if _, err := m.Runs.Start(ctx, req); err != nil {
			return nil, err
		}
	}
	if !m.died {
		m.died = true
		m.kill()
		return nil, context.Canceled
	}
	return m.Runs.Start(ctx, req)
}

func TestKilledWhileStarting(t *testing.T) {
	for name, after := range map[string]bool{"before the run is recorded": false, "after it": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "2026-01-10 02:59:30", item("p", "Every day at 03:00", once))
			killed := make(chan struct{})
			w.runs = &mortal{Runs: w.engine, after: after, kill: func() { w.kill(); close(killed) }}
			w.start()
			w.clock.set(at(t, "2026-01-10 03:00:00"))
			<-killed
			w.stop()
			w.clock.set(at(t, "2026-01-10 05:00:00"))
			w.start()
			w.wantDue("p", "2026-01-10 03:00:00")
			w.ended("p")
			w.goTo("2026-01-11 04:00:00")
			w.wantDue("p", "2026-01-10 03:00:00", "2026-01-11 03:00:00")
			if bad := w.alerts.of(schema.SeverityWarning); len(bad) > 0 == after {
				t.Errorf("warnings: %q", bad)
			}
		})
	}
}

func TestCannotStart(t *testing.T) {
	w := newWorld(t, "2026-01-10 02:00:00", item("gone", "Every day at 03:00", once))
	w.start()
	w.goTo("2026-01-10 04:00:00")
	w.eventually("it is told", func() bool {
		return has(w.alerts.of(schema.SeverityWarning), `it could not start: there is no procedure "gone"`)
	})
	if v := w.view("gone"); v.Next != at(t, "2026-01-11 03:00:00").UnixMilli() || v.Last != 0 {
		t.Errorf("view: %+v", v)
	}
}

func TestClockSetBack(t *testing.T) {
	w := newWorld(t, "2026-01-10 02:00:00", item("p", "Every day at 03:00"))
	w.start()
	w.clock.set(at(t, "2030-06-01 12:00:00"))
	w.eventually("the jump is seen", func() bool { return w.view("p").Missed != 0 })
	if bad := w.alerts.of(schema.SeverityWarning); !has(bad, "and 999 or more times after it", "its clock was set") {
		t.Errorf("warnings: %q", bad)
	}
	w.stop()
	w.clock.set(at(t, "2026-01-10 02:00:00"))
	w.start()
	w.goTo("2026-01-11 02:00:00")
	w.wantDue("p", "2026-01-10 03:00:00")
}

func TestUnknownZone(t *testing.T) {
	if _, err := schedule.New(schedule.Config{Zone: "Mars/Olympus"}); schema.CodeOf(err) != schema.Invalid {
		t.Errorf("have %v", err)
	}
}
