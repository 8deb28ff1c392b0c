package api_test

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/core/api"
	"berth/schema"
)

// schedules are what a runner would know.
type schedules []schema.ScheduleView

func (s schedules) List() []schema.ScheduleView { return s }

func (w *world) withSchedules(list ...schema.ScheduleView) {
	w.t.Helper()
	w.deps.Schedules = schedules(list)
	server := httptest.NewServer(api.New(w.deps))
	w.t.Cleanup(server.Close)
	w.server = server
}

func (w *world) ok(path, body string, into any) string {
	w.t.Helper()
	status, text := w.post(path, body)
	if status != 200 {
		w.t.Fatalf("%s: %d %s", path, status, text)
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		w.t.Fatal(err)
	}
	return text
}

func TestListSchedules(t *testing.T) {
	w := newWorld(t)
	var created struct {
		ID struct {
			OID string `json:"$oid"`
		} `json:"_id"`
	}
	w.ok("/write/CreateProcedure", `{"name":"nightly","config":{"schedule":"Every day at 03:00"}}`, &created)
	id := created.ID.OID
	w.ok("/write/UpdateResourceMeta", `{"target":{"type":"Procedure","id":"nightly"},"tags":["system"]}`, &struct{}{})
	w.withSchedules(
		schema.ScheduleView{
			Target: schema.Target{Kind: "procedure", ID: id, Name: "nightly"}, Tags: []string{"system"}, Format: "English",
			Schedule: "Every day at 03:00", Zone: "Europe/Berlin", Enabled: true, Next: 2000, Last: 1000, Missed: 500, MissedWhy: "core was not running",
		},
		schema.ScheduleView{Target: schema.Target{Kind: "action", ID: "a", Name: "check"}, Format: "Cron", Schedule: "0 0 * * * *", Enabled: true, Next: 1500},
		schema.ScheduleView{Target: schema.Target{Kind: "action", ID: "b", Name: "broken"}, Format: "Cron", Schedule: "x", Problem: "no"},
	)
	var list []struct {
		Name string `json:"name"`
	}
	text := w.ok("/read/ListSchedules", `{"terms":["NIGHT"],"tags":["system"]}`, &list)
	for _, want := range []string{
		`"target":{"type":"Procedure","id":"` + id + `"}`, `"schedule_format":"English"`, `"schedule":"Every day at 03:00"`, `"enabled":true`,
		`"schedule_timezone":"Europe/Berlin"`, `"last_run_at":1000`, `"next_scheduled_run":2000`, `"schedule_error":null`,
		`"last_missed_at":500`, `"last_missed_reason":"core was not running"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the answer lacks %s: %s", want, text)
		}
	}
	for body, want := range map[string][]string{
		`{}`:                    {"broken", "check", "nightly"},
		`{"sort_desc":true}`:    {"nightly", "check", "broken"},
		`{"sort_by":"NextRun"}`: {"check", "nightly", "broken"},
		`{"sort_by":"Enabled"}`: {"check", "nightly", "broken"},
		`{"sort_by":"NextRun","sort_desc":true,"limit":1}`: {"broken"},
		`{"limit":1,"page":1}`:                             {"check"},
		`{"tags":["system"]}`:                              {"nightly"},
	} {
		list = nil
		w.ok("/read/ListSchedules", body, &list)
		var have []string
		for _, s := range list {
			have = append(have, s.Name)
		}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
	}
	var items []json.RawMessage
	if text := w.ok("/read/ListProcedures", `{}`, &items); !strings.Contains(text, `"next_scheduled_run":2000,"schedule_error":null`) {
		t.Errorf("the procedure lacks its next run: %s", text)
	}
	if status, text := w.post("/write/CreateProcedure", `{"name":"bad","config":{"schedule":"now and then"}}`); status != 422 || !strings.Contains(text, "Every day at 03:00") {
		t.Errorf("a bad schedule: %d %s", status, text)
	}
}
