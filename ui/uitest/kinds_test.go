package uitest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"berth/schema"
	"berth/ui/uitest"
)

// change is one thing that happens, and what then must show on a page that is open.
type change struct {
	path, topic string
	do          func(w *uitest.World)
	shows       string // JavaScript that is true then
}

func text(selector, want string) string {
	return fmt.Sprintf("document.querySelector(%q).textContent.includes(%q)", selector, want)
}

func TestPagesOfKindsAreLive(t *testing.T) {
	w := uitest.Homelab()
	s := serve(t, w)
	needBundle(t, s)
	p := open(browser(t), t, s, 1440, 900, "light")
	sync := schema.DeriveID("uitest", "resource_syncfleet")
	inSync := func(w *uitest.World) {
		st := w.SyncStates[sync]
		st.Status, st.Plan.Changes, st.Plan.Deploys, st.Plan.Guard = schema.SyncOk, nil, nil, ""
		w.SyncStates[sync] = st
	}
	for _, c := range []change{
		{"/alerts", "alert", func(w *uitest.World) {
			w.Outbox[0].State, w.Outbox[0].Problem = schema.AlertSent, ""
			w.AlertList[0].Resolved, w.AlertList[0].ResolvedAt = true, time.Now().UnixMilli()
		}, text("#alerts section:last-child", "fleet has pending changes") + " && " + text("#alerts section:last-child", "phone: sent")},
		{"/syncs", "resource_sync", func(w *uitest.World) {
			st := w.SyncStates[sync]
			st.Plan.Changes = st.Plan.Changes[:1]
			w.SyncStates[sync] = st
		}, text("#things", "1 create, 1 deploy")},
		{"/syncs/fleet", "resource_sync", inSync, text("#sync-plan", "Nothing to do") + " && " + text("#thing-head", "in sync")},
		{"/builds/caddy", "build", func(w *uitest.World) {
			w.BuildList[0].State, w.BuildList[0].Version = "Building", schema.Version{Major: 1, Minor: 4, Patch: 3}
		}, text("#thing-head", "building") + " && " + text("#thing-facts", "1.4.3")},
		{"/deployments/proxy", "deployment", func(w *uitest.World) {
			w.DeployList[0].State, w.DeployList[0].Container, w.DeployList[0].Status = "not_deployed", nil, "there is no container called proxy"
		}, text("#deployment-main", "there is no container called proxy") + " && " + text("#thing-head", "not deployed")},
		{"/actions/tidy", "run", func(w *uitest.World) {
			w.RunList = append(w.RunList, schema.Run{ID: schema.NewID(), Number: 7, Action: "RunAction", Target: schema.Target{Kind: "action", ID: schema.DeriveID("uitest", "actiontidy"), Name: "tidy"}, State: schema.StateRunning, Queued: time.Now().UnixMilli()})
		}, text("#thing-head", "running") + " && " + text("#thing-runs", "#7")},
		{"/alerters/phone", "alert", func(w *uitest.World) { w.Outbox[0].Name = "the phone" }, text("#alerter-main", "the phone: sent")},
		{"/schedules", "schedule", func(w *uitest.World) { w.Times[1].Schedule = "Every monday at 05:00" }, text("#schedules", "Every monday")},
		{"/procedures/deploy-homelab", "stack", func(w *uitest.World) {
			old := w.StackList[0]
			old.Resource.Name, old.Resource.ID = "old-dashy", schema.NewID()
			w.StackList = append(w.StackList, old)
		}, text("#procedure-stages", "old-dashy") + " && !" + text("#procedure-stages", "nothing matches")},
		{"/runs/1140", "run", func(w *uitest.World) {
			for i := range w.RunList {
				if r := &w.RunList[i]; r.Number == 1140 {
					r.Steps[1].State, r.State, r.Note = schema.StateSucceeded, schema.StateRunning, ""
				}
			}
		}, `!document.querySelector('form[action$="/approve"]') && ` + text("#run-head", "running")},
	} {
		p.visit(c.path)
		p.live()
		w.Change(c.topic, "", func() { c.do(w) })
		p.until(c.shows)
		p.clean()
	}
}

func TestTypeChoosesSettings(t *testing.T) {
	w := uitest.Homelab()
	s := serve(t, w)
	needBundle(t, s)
	p := open(browser(t), t, s, 1440, 900, "dark")
	p.visit("/alerters/phone?tab=config")
	shown := func(name string) string {
		return fmt.Sprintf(`document.querySelector('[data-type=%q]').checkVisibility()`, name)
	}
	p.until(shown("Ntfy") + " && !" + shown("Slack"))
	eval[any](p, `{ const s = document.querySelector('[data-union="endpoint.params"]'); s.value = "Slack"; s.dispatchEvent(new Event("change", {bubbles: true})); null }`)
	p.until("!" + shown("Ntfy") + " && " + shown("Slack"))
	p.do(chromedp.SendKeys(chromedp.CSS(`[name="endpoint.params.Slack.url"]`), "https://hooks.example.org/x"))
	p.do(chromedp.Click(chromedp.CSS(`.config .savebar .primary`)))
	p.until(`location.search.includes("saved")`)
	if c := w.Called(); len(c) != 1 || c[0].Data != `{"endpoint":{"params":{"url":"https://hooks.example.org/x"},"type":"Slack"}}` {
		t.Errorf("calls: %+v", c)
	}
	p.clean()
}

func TestSelectionOfSync(t *testing.T) {
	w := uitest.Homelab()
	s := serve(t, w)
	needBundle(t, s)
	p := open(browser(t), t, s, 1440, 900, "light")
	p.visit("/syncs/fleet")
	p.live()
	p.do(chromedp.Click(chromedp.CSS(`[value="stack/immich"]`)), chromedp.Click(chromedp.CSS(`button[value=picked]`)))
	p.until(`location.pathname.startsWith("/runs/")`)
	if c := w.Called(); len(c) != 1 || c[0].Name != "RunSync" || c[0].Data != `{"resource_type":"Stack","resources":["immich"],"sync":"fleet"}` {
		t.Errorf("calls: %+v", c)
	}
	p.clean()
}
