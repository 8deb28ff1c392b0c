package core

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"berth/schema"
)

// mailbox is an alerter's other side.
func mailbox(t *testing.T) (url string, got <-chan schema.AlertWire) {
	t.Helper()
	ch := make(chan schema.AlertWire, 16)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		var w schema.AlertWire
		if err != nil || r.URL.Path != "/hook/s3cret" || json.Unmarshal(b, &w) != nil {
			t.Errorf("sent to %s: %s (%v)", r.URL.Path, b, err)
			return
		}
		ch <- w
	}))
	t.Cleanup(srv.Close)
	return srv.URL, ch
}

func next(t *testing.T, got <-chan schema.AlertWire) schema.AlertWire {
	t.Helper()
	select {
	case w := <-got:
		return w
	case <-time.After(20 * time.Second):
		t.Fatal("no alert arrives")
		return schema.AlertWire{}
	}
}

func TestAlerts(t *testing.T) {
	d := newDesk(t)
	url, got := mailbox(t)
	d.variable("HOOK", "s3cret", true)
	d.must("write", "CreateAlerter", fmt.Sprintf(`{"name":"chat","config":{"enabled":true,"endpoint":{"type":"Custom","params":{"url":"%s/hook/[[HOOK]]"}}}}`, url), nil)
	t.Run("test", func(t *testing.T) { alertTest(t, d, got) })
	t.Run("custom", func(t *testing.T) { alertCustom(t, d, got) })
	t.Run("failed procedure", func(t *testing.T) { alertFailedProcedure(t, d, got) })
	t.Run("address is a secret", func(t *testing.T) { alertAddress(t, d) })
	t.Run("nobody takes it", func(t *testing.T) { alertNobody(t, d) })
}

func alertTest(t *testing.T, d *desk, got <-chan schema.AlertWire) {
	if r := d.execute("TestAlerter", `{"alerter":"chat"}`); r.State != schema.StateSucceeded || r.Note != "sent by chat" {
		t.Errorf("%s: %s %v", r.State, r.Note, r.Problem)
	}
	if w := next(t, got); w.Data.Type != "Test" || w.Target.Type != "Alerter" {
		t.Errorf("sent %+v", w)
	}
}

func alertCustom(t *testing.T, d *desk, got <-chan schema.AlertWire) {
	if r := d.execute("SendAlert", `{"level":"WARNING","message":"the roof leaks","details":"in room 3","alerters":["chat"]}`); r.State != schema.StateSucceeded {
		t.Errorf("%s: %v", r.State, r.Problem)
	}
	if w := next(t, got); w.Level != "WARNING" || string(w.Data.Data) != `{"details":"in room 3","message":"the roof leaks"}` {
		t.Errorf("sent %+v %s", w, w.Data.Data)
	}
	if status, body := d.call("execute", "SendAlert", `{"message":"x","alerters":["nobody"]}`); status == http.StatusOK {
		if r := d.execute("SendAlert", `{"message":"x","alerters":["nobody"]}`); r.State != schema.StateFailed || !strings.Contains(r.Problem.Text, `no alerter "nobody"`) {
			t.Errorf("%s: %v (%s)", r.State, r.Problem, body)
		}
	}
}

func alertFailedProcedure(t *testing.T, d *desk, got <-chan schema.AlertWire) {
	stages := `[{"name":"one","executions":[{"execution":{"type":"BatchDeployStack","params":{"pattern":"\\[\\"}}}]}]`
	d.must("write", "CreateVariable", `{"name":"UNUSED","value":"x"}`, nil)
	status, body := d.call("write", "CreateProcedure", fmt.Sprintf(`{"name":"bad","config":{"stages":%s}}`, stages))
	if status == http.StatusOK {
		t.Fatalf("a pattern that is none is saved: %s", body)
	}
	d.must("write", "CreateStack", `{"name":"homeless","config":{"file_contents":"services: {}"}}`, nil)
	d.must("write", "CreateProcedure", `{"name":"nightly","config":{"stages":[{"name":"one","executions":[{"execution":{"type":"DeployStack","params":{"stack":"homeless"}}}]}]}}`, nil)
	if r := d.execute("RunProcedure", `{"procedure":"nightly"}`); r.State != schema.StateFailed {
		t.Fatalf("%s", r.State)
	}
	w := next(t, got)
	if w.Data.Type != "ProcedureFailed" || !strings.Contains(w.Message, "has no server") {
		t.Errorf("sent %+v", w)
	}
	var list struct {
		Alerts []schema.AlertWire `json:"alerts"`
	}
	d.must("read", "ListAlerts", `{"query":{"data.type":"ProcedureFailed"}}`, &list)
	if len(list.Alerts) != 1 || !list.Alerts[0].Resolved {
		t.Errorf("stored: %+v", list)
	}
	var deliveries []schema.AlertDelivery
	deadline := time.Now().Add(20 * time.Second)
	for len(deliveries) != 1 || deliveries[0].State != schema.AlertSent { // what was not recorded as sent is sent again
		d.must("read", "ListAlertDeliveries", fmt.Sprintf(`{"id":%q}`, list.Alerts[0].ID.OID), &deliveries)
		if time.Now().After(deadline) {
			t.Fatalf("deliveries: %+v", deliveries)
		}
	}
	if deliveries[0].Name != "chat" {
		t.Errorf("deliveries: %+v", deliveries)
	}
	// A restart of core tells nobody twice.
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	d.start()
	d.must("execute", "SendAlert", `{"message":"after the restart"}`, nil)
	if w := next(t, got); w.Data.Type != "Custom" {
		t.Errorf("sent again: %+v", w)
	}
}

func alertAddress(t *testing.T, d *desk) {
	_, body := d.call("read", "GetAlerter", `{"alerter":"chat"}`)
	if strings.Contains(body, "[[HOOK]]") || strings.Contains(body, "127.0.0.1") {
		t.Errorf("the address is shown: %s", body)
	}
	d.must("write", "UpdateAlerter", `{"id":"chat","config":{"alert_types":["Custom"]}}`, nil)
	if r := d.execute("TestAlerter", `{"alerter":"chat"}`); r.State != schema.StateSucceeded {
		t.Errorf("the address did not stay: %v", r.Problem)
	}
}

func alertNobody(t *testing.T, d *desk) {
	d.must("write", "UpdateAlerter", `{"id":"chat","config":{"enabled":false}}`, nil)
	if r := d.execute("TestAlerter", `{"alerter":"chat"}`); r.State != schema.StateFailed || !strings.Contains(r.Problem.Text, "not enabled") {
		t.Errorf("%s: %v", r.State, r.Problem)
	}
	if r := d.execute("SendAlert", `{"message":"anybody?"}`); r.State != schema.StateFailed || !strings.Contains(r.Problem.Text, "no alerter took it") {
		t.Errorf("%s: %v", r.State, r.Problem)
	}
}
