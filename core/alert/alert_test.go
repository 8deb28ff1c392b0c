package alert

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth/bus"
	"berth/bus/bustest"
	"berth/core/store"
	"berth/schema"
)

// world is the alerts over a live store, with alerters that a test sets.
type world struct {
	*Alerts
	mu       sync.Mutex
	alerters []schema.Resource[schema.AlerterConfig]
	now      time.Time
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	w.now = w.now.Add(d)
	w.mu.Unlock()
	w.nudge()
}

func newWorld(t *testing.T, alerters ...schema.Resource[schema.AlerterConfig]) *world {
	t.Helper()
	conn := bustest.New(t).Core
	alerts, err := store.Open[Stored](t.Context(), conn, bus.BucketAlerts, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	outbox, err := store.Open[schema.AlertDelivery](t.Context(), conn, bus.BucketOutbox, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{alerters: alerters, now: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)}
	w.Alerts = New(Config{
		Alerts: alerts, Outbox: outbox, Now: w.clock, Zone: time.UTC, Log: slog.New(slog.DiscardHandler),
		Alerters: func(context.Context) ([]schema.Resource[schema.AlerterConfig], error) { return w.alerters, nil },
		Reveal: func(_ context.Context, text string) (string, error) {
			return strings.ReplaceAll(text, "[[HOOK]]", "s3cret"), nil
		},
	})
	return w
}

// run starts the sending; it ends with the test.
func (w *world) run(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func alerter(name string, e schema.AlerterEndpoint) schema.Resource[schema.AlerterConfig] {
	c := schema.DefaultAlerter()
	c.Enabled, c.Endpoint = true, e
	return schema.Resource[schema.AlerterConfig]{ID: schema.DeriveID("alerter", name), Name: name, Config: c}
}

func custom(url string) schema.AlerterEndpoint {
	return schema.AlerterEndpoint{Type: "Custom", Custom: &schema.CustomEndpoint{URL: url}}
}

// request is what an endpoint was sent.
type request struct {
	path, body string
	header     http.Header
}

// endpoint is an HTTP server that answers with the statuses it is given, then 200.
func endpoint(t *testing.T, statuses ...int) (url string, got <-chan request) {
	t.Helper()
	ch := make(chan request, 16)
	var mu sync.Mutex
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		mu.Lock()
		if len(statuses) > 0 {
			w.WriteHeader(statuses[0])
			statuses = statuses[1:]
		}
		mu.Unlock()
		ch <- request{r.URL.RequestURI(), string(b), r.Header}
	}))
	t.Cleanup(srv.Close)
	return srv.URL, ch
}

func wait(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestEndpoints(t *testing.T) {
	url, got := endpoint(t)
	for _, c := range []struct {
		name string
		e    schema.AlerterEndpoint
		want func(r request) bool
	}{
		{"custom", custom(url + "/hook/[[HOOK]]"), func(r request) bool {
			var w schema.AlertWire
			return r.path == "/hook/s3cret" && json.Unmarshal([]byte(r.body), &w) == nil && w.Data.Type == "BuildFailed" && w.Target.Type == "Build"
		}},
		{"slack", schema.AlerterEndpoint{Type: "Slack", Slack: &schema.SlackEndpoint{URL: url + "/s"}}, func(r request) bool {
			return r.path == "/s" && strings.Contains(r.body, `"text"`) && strings.Contains(r.body, "the disk is full")
		}},
		{"discord", schema.AlerterEndpoint{Type: "Discord", Discord: &schema.DiscordEndpoint{URL: url + "/d"}}, func(r request) bool {
			return r.path == "/d" && strings.Contains(r.body, `"content"`) && strings.Contains(r.body, "the disk is full")
		}},
		{"ntfy", schema.AlerterEndpoint{Type: "Ntfy", Ntfy: &schema.NtfyEndpoint{URL: url + "/topic", Email: "a@example.test"}}, func(r request) bool {
			return r.path == "/topic" && r.body == "the disk is full" && r.header.Get("X-Email") == "a@example.test" && r.header.Get("X-Priority") == "5"
		}},
		{"pushover", schema.AlerterEndpoint{Type: "Pushover", Pushover: &schema.PushoverEndpoint{URL: url + "/1/messages.json?token=t&user=u"}}, func(r request) bool {
			return r.path == "/1/messages.json?token=t&user=u" && strings.Contains(r.body, "message=the+disk+is+full") && strings.Contains(r.body, "priority=1")
		}},
		{"shoutrrr", schema.AlerterEndpoint{Type: "Shoutrrr", Shoutrrr: &schema.ShoutrrrEndpoint{URL: "generic+" + url + "/g/[[HOOK]]"}}, func(r request) bool {
			return strings.HasPrefix(r.path, "/g/s3cret") && strings.Contains(r.body, "the disk is full")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, alerter(c.name, c.e))
			w.run(t)
			al := schema.Alert{
				ID: schema.NewID(), Type: schema.AlertBuildFailed, Level: schema.SeverityCritical, Once: true, Message: "the disk is full",
				Target: schema.Target{Kind: "build", ID: schema.NewID(), Name: "web"},
			}
			if err := w.Raise(t.Context(), al); err != nil {
				t.Fatal(err)
			}
			list, err := w.Wait(wait(t), al.ID)
			if err != nil || len(list) != 1 || list[0].State != schema.AlertSent {
				t.Fatalf("deliveries %+v, err %v", list, err)
			}
			if r := <-got; !c.want(r) {
				t.Errorf("sent %+v", r)
			}
		})
	}
}

func TestRefusedIsTriedAgainAndSurvivesARestart(t *testing.T) {
	url, got := endpoint(t, 500, 503)
	w := newWorld(t, alerter("hook", custom(url)))
	stop := w.run(t)
	al := schema.Alert{ID: schema.NewID(), Type: schema.AlertCustom, Message: "hello", Once: true}
	if err := w.Raise(t.Context(), al); err != nil {
		t.Fatal(err)
	}
	<-got
	list, err := w.Wait(wait(t), al.ID)
	if err != nil || list[0].State != schema.AlertWaiting || !strings.Contains(list[0].Problem, "500") {
		t.Fatalf("after a refusal: %+v, err %v", list, err)
	}
	stop() // core ends, and starts again later
	w.advance(time.Minute)
	w.run(t)
	<-got
	w.until(t, al.ID, func(d schema.AlertDelivery) bool { return d.Attempts == 2 })
	w.advance(time.Minute)
	<-got
	w.until(t, al.ID, func(d schema.AlertDelivery) bool { return d.State == schema.AlertSent && d.Attempts == 3 })
}

// until waits for a delivery of an alert to be as wanted.
func (w *world) until(t *testing.T, id string, ok func(schema.AlertDelivery) bool) {
	t.Helper()
	moved := make(chan struct{}, 1)
	stop := w.cfg.Outbox.Watch(func(store.Change[schema.AlertDelivery]) {
		select {
		case moved <- struct{}{}:
		default:
		}
	})
	defer stop()
	deadline := time.After(10 * time.Second)
	for {
		list := w.Deliveries(id)
		if len(list) == 1 && ok(list[0]) {
			return
		}
		select {
		case <-moved:
		case <-deadline:
			t.Fatalf("deliveries stay %+v", list)
		}
	}
}

func TestGivenUpAfterADay(t *testing.T) {
	url, got := endpoint(t, 500, 500)
	w := newWorld(t, alerter("hook", custom(url)))
	w.run(t)
	al := schema.Alert{ID: schema.NewID(), Type: schema.AlertCustom, Message: "hello", Once: true}
	if err := w.Raise(t.Context(), al); err != nil {
		t.Fatal(err)
	}
	<-got
	w.until(t, al.ID, func(d schema.AlertDelivery) bool { return d.Attempts == 1 })
	w.advance(25 * time.Hour)
	<-got
	w.until(t, al.ID, func(d schema.AlertDelivery) bool { return d.State == schema.AlertAbandoned && d.Problem != "" })
}

func TestStoredButNotQueuedIsSentAfterARestart(t *testing.T) {
	url, got := endpoint(t)
	w := newWorld(t, alerter("hook", custom(url)))
	al := schema.Alert{ID: schema.NewID(), Type: schema.AlertCustom, Message: "hello", Once: true, Resolved: true, At: w.now.UnixMilli()}
	if _, err := w.cfg.Alerts.Create(t.Context(), al.ID, Stored{Alert: al}); err != nil {
		t.Fatal(err)
	}
	w.run(t)
	<-got
	w.until(t, al.ID, func(d schema.AlertDelivery) bool { return d.State == schema.AlertSent })
}

func TestOneOpenAlertPerKey(t *testing.T) {
	url, got := endpoint(t)
	w := newWorld(t, alerter("hook", custom(url)))
	w.run(t)
	raise := func(level schema.Severity, text string) {
		t.Helper()
		if err := w.Raise(t.Context(), schema.Alert{Type: schema.AlertSyncPending, Level: level, Message: text, Key: "k"}); err != nil {
			t.Fatal(err)
		}
	}
	raise(schema.SeverityOK, "1 change")
	<-got
	raise(schema.SeverityOK, "2 changes")
	if all := w.All(); len(all) != 1 || all[0].Message != "2 changes" || all[0].Resolved {
		t.Fatalf("alerts %+v", all)
	}
	raise(schema.SeverityCritical, "worse")
	if r := <-got; !strings.Contains(r.body, "worse") {
		t.Errorf("sent %s", r.body)
	}
	if err := w.Resolve(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	raise(schema.SeverityOK, "again")
	if r := <-got; !strings.Contains(r.body, "again") {
		t.Errorf("sent %s", r.body)
	}
	if all := w.All(); len(all) != 2 {
		t.Errorf("have %d alerts", len(all))
	}
}

func TestTakes(t *testing.T) {
	web := schema.Target{Kind: "stack", ID: schema.DeriveID("x", "web"), Name: "web"}
	about := []schema.ResourceTarget{{Type: "Stack", ID: web.ID}}
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		change func(c *schema.AlerterConfig)
		kind   string
		takes  bool
		why    string
	}{
		"plain":          {func(*schema.AlerterConfig) {}, schema.AlertCustom, true, ""},
		"disabled":       {func(c *schema.AlerterConfig) { c.Enabled = false }, schema.AlertCustom, false, ""},
		"other type":     {func(c *schema.AlerterConfig) { c.AlertTypes = []string{"BuildFailed"} }, schema.AlertCustom, false, ""},
		"test is exempt": {func(c *schema.AlerterConfig) { c.AlertTypes = []string{"BuildFailed"} }, schema.AlertTest, true, ""},
		"excepted":       {func(c *schema.AlerterConfig) { c.ExceptResources = about }, schema.AlertCustom, false, ""},
		"for it":         {func(c *schema.AlerterConfig) { c.Resources = about }, schema.AlertCustom, true, ""},
		"except wins":    {func(c *schema.AlerterConfig) { c.Resources, c.ExceptResources = about, about }, schema.AlertCustom, false, ""},
		"for another":    {func(c *schema.AlerterConfig) { c.Resources = []schema.ResourceTarget{{Type: "Server", ID: web.ID}} }, schema.AlertCustom, false, ""},
		"in a window": {func(c *schema.AlerterConfig) {
			c.MaintenanceWindows = []schema.MaintenanceWindow{{Name: "noon", ScheduleType: "Daily", Hour: 11, Minute: 55, DurationMinutes: 10, Enabled: true}}
		}, schema.AlertCustom, false, "maintenance window noon"},
		"window is over": {func(c *schema.AlerterConfig) {
			c.MaintenanceWindows = []schema.MaintenanceWindow{{ScheduleType: "Daily", Hour: 11, DurationMinutes: 10, Enabled: true}}
		}, schema.AlertCustom, true, ""},
		"window disabled": {func(c *schema.AlerterConfig) {
			c.MaintenanceWindows = []schema.MaintenanceWindow{{ScheduleType: "Daily", Hour: 11, DurationMinutes: 600}}
		}, schema.AlertCustom, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := New(Config{Now: func() time.Time { return now }, Zone: time.UTC})
			r := alerter("a", custom("http://localhost"))
			c.change(&r.Config)
			takes, why := a.takes(r, schema.Alert{Type: c.kind, Target: web})
			if takes != c.takes || why != c.why {
				t.Errorf("takes %v because %q, want %v because %q", takes, why, c.takes, c.why)
			}
		})
	}
}

func TestWindows(t *testing.T) {
	at := func(text string) time.Time {
		v, err := time.ParseInLocation("2006-01-02 15:04", text, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	night := schema.MaintenanceWindow{ScheduleType: "Weekly", DayOfWeek: "Tuesday", Hour: 23, DurationMinutes: 120, Enabled: true}
	short := night
	short.DayOfWeek = "tue"
	once := schema.MaintenanceWindow{ScheduleType: "OneTime", Date: "2026-03-03", Hour: 23, Minute: 30, DurationMinutes: 60, Enabled: true}
	berlin := schema.MaintenanceWindow{ScheduleType: "Daily", Hour: 3, DurationMinutes: 30, Timezone: "Europe/Berlin", Enabled: true}
	odd := berlin
	odd.Timezone = "Mars/Olympus"
	for _, c := range []struct {
		w    schema.MaintenanceWindow
		now  string
		want bool
	}{
		{night, "2026-03-03 22:59", false}, // a Tuesday
		{night, "2026-03-03 23:00", true},
		{night, "2026-03-04 00:59", true}, // belongs to the day it starts on
		{night, "2026-03-04 01:01", false},
		{night, "2026-03-03 00:30", false},
		{short, "2026-03-03 23:10", true},
		{once, "2026-03-04 00:10", true},
		{once, "2026-03-03 00:10", false},
		{berlin, "2026-03-03 02:10", true}, // 03:10 there
		{berlin, "2026-07-03 01:10", true}, // summer time
		{berlin, "2026-07-03 02:10", false},
		{odd, "2026-03-03 02:10", false},
	} {
		if got := active(c.w, at(c.now), time.UTC); got != c.want {
			t.Errorf("%s of %+v: active is %v", c.now, c.w, got)
		}
	}
}

func TestErrorsHideTheAddress(t *testing.T) {
	w := newWorld(t)
	for _, e := range []schema.AlerterEndpoint{
		custom("http://127.0.0.1:1/hook/[[HOOK]]"),
		custom("http://\x7f/[[HOOK]]"),
		{Type: "Shoutrrr", Shoutrrr: &schema.ShoutrrrEndpoint{URL: "nosuch://[[HOOK]]@host"}},
	} {
		err := w.post(t.Context(), e, schema.Alert{})
		if err == nil {
			t.Fatalf("%+v: no error", e)
		}
		for x := err; x != nil; x = errors.Unwrap(x) {
			if strings.Contains(x.Error(), "s3cret") {
				t.Errorf("the address is in %q", x)
			}
		}
	}
}

func TestWireOfAForeignType(t *testing.T) {
	al := schema.Alert{ID: "67f0c0ffee0123456789abcd", Type: schema.AlertRunFailed, Level: schema.SeverityWarning, Message: "m", At: 7}
	b, err := json.Marshal(al.Wire())
	if err != nil {
		t.Fatal(err)
	}
	want := `{"_id":{"$oid":"67f0c0ffee0123456789abcd"},"ts":7,"resolved":false,"level":"WARNING","target":{"type":"System","id":"system"},` +
		`"data":{"type":"Custom","data":{"details":"","message":"m"}},"resolved_ts":null,"message":"m"}`
	if diff := cmp.Diff(want, string(b)); diff != "" {
		t.Error(diff)
	}
}
