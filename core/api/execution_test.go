package api_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"berth/core/api"
	"berth/schema"
)

type update struct {
	ID struct {
		OID string `json:"$oid"`
	} `json:"_id"`
	Operation string
	Status    string
	Success   bool
	Operator  string
	EndTS     *int64 `json:"end_ts"`
	Target    struct{ Type, ID string }
	Logs      []api.Log
	Other     string `json:"other_data"`
}

func (w *world) finished(id string) update {
	w.t.Helper()
	if _, err := w.engine.Wait(w.t.Context(), id); err != nil {
		w.t.Fatal(err)
	}
	return ok[update](w, "/read/GetUpdate", `{"id":"`+id+`"}`)
}

func TestExecution(t *testing.T) {
	w := newWorld(t)
	w.fixture()
	u := ok[update](w, "/execute/DeployStack", `{"stack":"web"}`)
	if u.ID.OID == "" || u.Status == "" || !u.Success || u.Target.Type != "Stack" || !schema.IsID(u.Target.ID) || u.Logs == nil {
		t.Errorf("answer %+v", u)
	}
	u = w.finished(u.ID.OID)
	if u.Status != "Complete" || !u.Success || u.EndTS == nil || u.Operation != "DeployStack" || !strings.Contains(u.Other, "first deploy") {
		t.Errorf("update %+v", u)
	}
	u = ok[update](w, "/execute", `{"type":"PullRepo","params":{"repo":"homelab"}}`)
	u = w.finished(u.ID.OID)
	if u.Success || len(u.Logs) == 0 || u.Logs[len(u.Logs)-1].Stage != "Task Error" || !strings.Contains(u.Logs[len(u.Logs)-1].Stderr, "broken") {
		t.Errorf("a failed one: %+v", u)
	}
	r := ok[schema.Run](w, "/read/GetRun", `{"id":"1"}`)
	if r.Number != 1 || r.Actor.Kind != "key" || r.Cause.Kind != "api" || r.Target.Name != "web" {
		t.Errorf("run %+v", r)
	}
	for query, n := range map[string]int{
		`{}`: 2, `{"success":false}`: 1, `{"operation":"DeployStack"}`: 1, `{"target.type":"Repo"}`: 1,
		`{"$or":[{"operation":"DeployStack"},{"operation":"PullRepo"}]}`: 2, `{"operation":{"$in":["X"]}}`: 0,
		`{"start_ts":{"$gt":1}}`: 2, `{"operator":"` + u.Operator + `","success":{"$ne":true}}`: 1,
	} {
		list := ok[struct {
			Updates []struct{ Username string }
			Next    *int `json:"next_page"`
		}](w, "/read/ListUpdates", `{"query":`+query+`}`)
		if len(list.Updates) != n || list.Next != nil {
			t.Errorf("%s: %d updates, want %d", query, len(list.Updates), n)
		}
	}
}

func TestBatch(t *testing.T) {
	w := newWorld(t)
	w.fixture()
	list := ok[[]struct {
		Status string
		Data   update
	}](w, "/execute/BatchDeployStack", `{"pattern":"w*, nothing"}`)
	if len(list) != 1 || list[0].Status != "Ok" || list[0].Data.Operation != "DeployStack" {
		t.Errorf("%+v", list)
	}
	if list := ok[[]any](w, "/execute/BatchDeployStack", `{"pattern":"*","tags":["prod"]}`); len(list) != 1 {
		t.Errorf("by tag: %v", list)
	}
	if list := ok[[]any](w, "/execute/BatchDeployStack", `{"pattern":"nothing"}`); len(list) != 0 {
		t.Errorf("nothing matches: %v", list)
	}
}

// What contains Berth itself is begun when all others of a batch have ended.
func TestBatchOrder(t *testing.T) {
	w := newWorld(t)
	w.fixture()
	ok[any](w, "/write/ApplyResources", `{"files":[{"name":"b.toml","text":"[[procedure]]\nname='berth'\n[[procedure]]\nname='zebra'\n"}]}`)
	w.deps.Order = func(_ context.Context, targets []schema.Target) (first, last []schema.Target, err error) {
		for _, t := range targets {
			if t.Name == "berth" {
				last = append(last, t)
			} else {
				first = append(first, t)
			}
		}
		return first, last, nil
	}
	w.server.Config.Handler = api.New(w.deps)
	list := ok[[]struct {
		Status string
		Data   update
	}](w, "/execute/BatchRunProcedure", `{"pattern":"*"}`)
	if len(list) != 3 {
		t.Fatalf("%+v", list)
	}
	get := func(i int) schema.Run { return ok[schema.Run](w, "/read/GetRun", `{"id":"`+list[i].Data.ID.OID+`"}`) }
	if r := get(2); r.Target.Name != "berth" || len(r.After) != 2 || r.Started != 0 {
		t.Errorf("the last is %s after %v, started %d", r.Target.Name, r.After, r.Started)
	}
	close(w.release)
	for i := range list {
		w.finished(list[i].Data.ID.OID)
	}
	for i := range 2 {
		if r, last := get(i), get(2); last.Started < r.Ended || last.State != schema.StateSucceeded || len(r.After) > 0 {
			t.Errorf("%s ended at %d, %s (%s) began at %d", r.Target.Name, r.Ended, last.Target.Name, last.State, last.Started)
		}
	}
}

func TestCancel(t *testing.T) {
	w := newWorld(t)
	w.fixture()
	u := ok[update](w, "/execute/RunProcedure", `{"procedure":"deploy"}`)
	if st := ok[map[string]bool](w, "/read/GetProcedureActionState", `{"procedure":"deploy"}`); !st["running"] {
		t.Errorf("state %v", st)
	}
	ok[update](w, "/execute/CancelProcedure", `{"procedure":"deploy"}`)
	if u = w.finished(u.ID.OID); u.Success {
		t.Errorf("%+v", u)
	}
	if status, text := w.post("/execute/CancelRun", `{"id":"`+u.ID.OID+`"}`); status != 409 {
		t.Errorf("a run that has ended: %d %s", status, text)
	}
	if status, _ := w.post("/execute/CancelProcedure", `{"procedure":"deploy"}`); status != 409 {
		t.Errorf("nothing runs: %d", status)
	}
}

func TestMetaAndCopy(t *testing.T) {
	w := newWorld(t)
	w.fixture()
	ok[any](w, "/write/UpdateResourceMeta", `{"target":{"type":"Stack","id":"db"},"description":"the data","tags":["prod"]}`)
	status, text := w.post("/read/GetStack", `{"stack":"db"}`)
	if status != 200 || !strings.Contains(text, `"description":"the data"`) {
		t.Error(text)
	}
	ok[any](w, "/write/CopyStack", `{"name":"db2","id":"db"}`)
	ok[any](w, "/write/UpdateStack", `{"id":"db2","config":{"branch":"next"}}`)
	if _, text := w.post("/read/GetStack", `{"stack":"db2"}`); !strings.Contains(text, `"branch":"next"`) || !strings.Contains(text, `"file_contents":"services: {}`) {
		t.Error(text)
	}
	ok[any](w, "/write/DeleteStack", `{"id":"db2"}`)
	if status, _ := w.post("/read/GetStack", `{"stack":"db2"}`); status != 404 {
		t.Error(status)
	}
	v := ok[map[string]any](w, "/write/UpdateVariableValue", `{"name":"TOKEN","value":"new and secret"}`)
	if v["value"] == "new and secret" {
		t.Errorf("the value of a secret comes back: %v", v)
	}
}

func TestApplyKeepsToThePlan(t *testing.T) {
	w := newWorld(t)
	w.fixture()
	files := `"files":[{"name":"a.toml","text":"[[stack]]\nname='db'\nconfig.server='atlas'\nconfig.file_contents='services: {}'\nconfig.branch='next'\n"}]`
	plan := ok[struct {
		Digest  string
		Changes []struct{ Op string }
	}](w, "/read/PlanResources", `{`+files+`}`)
	if len(plan.Changes) != 1 || plan.Changes[0].Op != "update" || plan.Digest == "" {
		t.Fatalf("%+v", plan)
	}
	ok[any](w, "/write/UpdateStack", `{"id":"db","config":{"branch":"other"}}`)
	if status, text := w.post("/write/ApplyResources", `{`+files+`,"digest":"`+plan.Digest+`"}`); status != 409 {
		t.Errorf("%d %s", status, text)
	}
}

func TestClientFollows(t *testing.T) {
	w := newWorld(t)
	w.fixture()
	c := api.NewClient(w.server.URL, w.key, w.secret, w.server.Client(), "test")
	var u api.Update
	must(t, c.Call(t.Context(), api.GroupExecute, "RunProcedure", map[string]any{"procedure": "deploy"}, &u))
	first := make(chan struct{})
	done := make(chan error, 1)
	var last *schema.Run
	go func() {
		once := false
		done <- c.Follow(t.Context(), u.ID.OID, func(i api.StreamItem) error {
			if i.Run != nil {
				last = i.Run
				if !once && i.Run.State == schema.StateRunning {
					once = true
					close(first)
				}
			}
			return nil
		})
	}()
	<-first
	close(w.release)
	must(t, <-done)
	if last == nil || last.State != schema.StateSucceeded {
		t.Errorf("last record %+v", last)
	}
	err := c.Call(t.Context(), api.GroupRead, "GetStack", map[string]any{"stack": "nobody"}, nil)
	var e *schema.Error
	if !errors.As(err, &e) || e.Code != schema.NotFound || !strings.Contains(e.Text, "nobody") {
		t.Errorf("error %v", err)
	}
}
