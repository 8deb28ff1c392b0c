package core

import (
	"slices"
	"testing"
	"time"

	"berth/bus/bustest"
	"berth/schema"
)

// late is a clock that is ahead of the machine's.
type late time.Duration

func (l late) Now() time.Time { return time.Now().Add(time.Duration(l)) }

func (l late) At(t time.Time) (<-chan time.Time, func()) {
	timer := time.NewTimer(t.Sub(l.Now()))
	return timer.C, func() { timer.Stop() }
}

// Row 56: a time at which nothing ran is an alert, also when nobody was there to
// notice.
func TestRow56MissedScheduleIsAnAlert(t *testing.T) {
	d := newDesk(t)
	d.must("write", "CreateProcedure", `{"name":"backup","config":{"schedule":"Every 2 seconds","schedule_missed":"Once",
		"stage":[{"name":"one","execution":[{"execution":{"type":"Sleep","params":{"duration_ms":1}}}]}]}}`, &struct{}{})
	var runs []schema.Run
	bustest.Eventually(t, 20*time.Second, "the schedule starts runs", func() bool {
		d.must("read", "ListRuns", `{"kind":"procedure","limit":50}`, &runs)
		return len(runs) >= 2 && !slices.ContainsFunc(runs, func(r schema.Run) bool { return !r.State.Terminal() })
	})
	if r := runs[0]; r.Cause.Kind != "schedule" || r.Cause.Due%2000 != 0 || r.Actor.Kind != "schedule" || r.Action != "RunProcedure" || r.Target.Name != "backup" {
		t.Errorf("run: %+v", r)
	}
	var list []struct {
		Name    string `json:"name"`
		NextRun int64  `json:"next_scheduled_run"`
		LastRun int64  `json:"last_run_at"`
		Missed  int64  `json:"last_missed_at"`
		Why     string `json:"last_missed_reason"`
	}
	d.must("read", "ListSchedules", `{}`, &list)
	if len(list) != 1 || list[0].Name != "backup" || list[0].NextRun == 0 || list[0].LastRun == 0 || list[0].Missed != 0 {
		t.Fatalf("schedules: %+v", list)
	}
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	d.cfg.clock = late(time.Hour)
	d.start()
	bustest.Eventually(t, 20*time.Second, "the missed time is told", func() bool {
		d.must("read", "ListSchedules", `{}`, &list)
		return len(list) == 1 && list[0].Missed != 0
	})
	if list[0].Why != "core was not running" {
		t.Errorf("why: %q", list[0].Why)
	}
	var alerts struct {
		Alerts []struct {
			Level   string `json:"level"`
			Message string `json:"message"`
			Data    struct {
				Type string `json:"type"`
			} `json:"data"`
		} `json:"alerts"`
	}
	d.must("read", "ListAlerts", `{"query":{"level":"WARNING"}}`, &alerts)
	if len(alerts.Alerts) != 1 || alerts.Alerts[0].Data.Type != "ScheduleRun" {
		t.Errorf("alerts: %+v", alerts.Alerts)
	}
	due := map[int64]bool{}
	d.must("read", "ListRuns", `{"kind":"procedure","limit":100}`, &runs)
	for _, r := range runs {
		if due[r.Cause.Due] {
			t.Errorf("two runs for %d", r.Cause.Due)
		}
		due[r.Cause.Due] = true
	}
}

// Row 9: a stack that only its schedule may deploy is not deployed on push, and the
// run says so.
func TestRow09CronOnlyStackIsNotDeployedOnPush(t *testing.T) {
	d := newDesk(t)
	d.must("write", "CreateServer", `{"name":"atlas"}`, &struct{}{})
	d.must("write", "CreateStack", `{"name":"renovate","config":{"server_id":"atlas","triggers":["schedule"],"file_contents":"services: {a: {image: x}}"}}`, &struct{}{})
	if status, text := d.call("write", "CreateStack", `{"name":"bad","config":{"triggers":["moon"]}}`); status == 200 {
		t.Errorf("an unknown trigger: %s", text)
	}
	stages := `"stage":[{"name":"one","execution":[{"execution":{"type":"BatchDeployStackIfChanged","params":{"pattern":"*"}}}]}]`
	d.must("write", "CreateProcedure", `{"name":"all","config":{`+stages+`}}`, &struct{}{})
	d.push("github/procedure/all/main", "main")
	var runs []schema.Run
	deploy := func(cause string) func() bool {
		return func() bool {
			runs = nil
			d.must("read", "ListRuns", `{"kind":"stack","limit":50}`, &runs)
			runs = slices.DeleteFunc(runs, func(r schema.Run) bool { return r.Cause.Kind != cause })
			return len(runs) > 0 && (runs[0].State.Terminal() || len(runs[0].Steps) > 0)
		}
	}
	bustest.Eventually(t, 20*time.Second, "the deploy by a push", deploy("webhook"))
	if r := runs[0]; r.State != schema.StateSucceeded || r.Decision == nil || r.Decision.What != "skip" || r.Decision.Reason != "its triggers are schedule, this was push" {
		t.Errorf("by a push: %+v %+v", r, r.Decision)
	}
	d.must("execute", "RunProcedure", `{"procedure":"all"}`, &struct{}{})
	bustest.Eventually(t, 20*time.Second, "the deploy by hand", deploy("api"))
	if r := runs[0]; r.State != schema.StateSucceeded || r.Decision == nil || r.Decision.What != "skip" || r.Decision.Reason != "its triggers are schedule, this was manual" {
		t.Errorf("by hand: %+v %+v", r, r.Decision)
	}
	d.must("write", "UpdateProcedure", `{"id":"all","config":{"schedule":"Every 2 seconds"}}`, &struct{}{})
	bustest.Eventually(t, 20*time.Second, "the deploy by schedule", deploy("schedule"))
	if r := runs[0]; r.Decision != nil || r.State != schema.StateFailed { // tried: no agent has joined the server
		t.Errorf("by schedule: %+v", r)
	}
}
