package uitest_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"berth/schema"
	"berth/ui"
	"berth/ui/uitest"
)

var shots = flag.String("shots", "", "folder to write a picture of every page into")

// pages are the addresses worth a look.
func pages() map[string]string {
	return map[string]string{
		"overview": "/", "runs": "/runs", "run": "/runs/1191", "run-deploy": "/runs/1195", "run-failed": "/runs/1196", "run-waiting": "/runs/1198",
		"servers": "/servers", "server": "/servers/nexus", "server-away": "/servers/attic", "join": "/servers/join",
		"stacks": "/stacks", "stack": "/stacks/tandoor", "stack-config": "/stacks/tandoor?tab=config", "stack-toml": "/stacks/tandoor?tab=toml",
		"repos": "/repos", "repo": "/repos/homelab", "procedures": "/procedures", "procedure": "/procedures/deploy-homelab",
		"variables": "/variables", "webhooks": "/webhooks", "apply": "/apply", "destroy": "/do/DestroyStack?target=tandoor", "missing": "/stacks/nowhere", "more": "/more",
		"run-approval": "/runs/1140", "syncs": "/syncs", "sync": "/syncs/fleet", "sync-failed": "/syncs/lab", "sync-config": "/syncs/fleet?tab=config",
		"builds": "/builds", "build": "/builds/caddy", "build-config": "/builds/caddy?tab=config", "deployments": "/deployments", "deployment": "/deployments/proxy", "deployment-config": "/deployments/proxy?tab=config",
		"actions": "/actions", "action": "/actions/tidy", "alerters": "/alerters", "alerter": "/alerters/phone", "alerter-config": "/alerters/phone?tab=config",
		"builders": "/builders", "builder": "/builders/nexus-builder", "groups": "/groups", "group": "/groups/family", "variable": "/variables/DASHY_ADMIN?tab=config", "swarms": "/swarms",
		"alerts": "/alerts", "schedules": "/schedules", "new": "/new/build", "procedure-config": "/procedures/deploy-homelab?tab=config",
	}
}

func TestPictures(t *testing.T) {
	if *shots == "" {
		return // pictures are for people: go test ./ui/uitest -run TestPictures -shots DIR
	}
	s := serve(t, uitest.Homelab())
	needBundle(t, s)
	empty := serve(t, &uitest.World{})
	b := browser(t)
	for _, size := range [][2]int64{{1440, 900}, {390, 844}} {
		for _, theme := range []string{"light", "dark"} {
			p := open(b, t, s, size[0], size[1], theme)
			for name, path := range pages() {
				p.visit(path)
				if strings.HasPrefix(path, "/do") || name == "missing" || name == "join" {
					p.until(`document.readyState === "complete"`)
				}
				p.picture(fmt.Sprintf("%s-%s-%d", name, theme, size[0]))
			}
			e := open(b, t, empty, size[0], size[1], theme)
			e.visit("/")
			e.picture(fmt.Sprintf("empty-%s-%d", theme, size[0]))
			p.visit("/")
			p.live()
			p.do(chromedp.KeyEvent("k", chromedp.KeyModifiers(chromedp.ModifierCtrl)))
			p.until(`document.getElementById("palette").open && document.querySelectorAll("#pal-list [role=option]").length > 3`)
			p.picture(fmt.Sprintf("palette-%s-%d", theme, size[0]))
			p.do(call(network.ClearBrowserCookies, cdp.Empty{}))
			p.visit("/login")
			p.picture(fmt.Sprintf("login-%s-%d", theme, size[0]))
			p.visit("/setup?token=" + uitest.Token)
			p.picture(fmt.Sprintf("setup-%s-%d", theme, size[0]))
		}
	}
}

func TestPagesAreAccessibleAndQuiet(t *testing.T) {
	axe, err := os.ReadFile("../node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Fatal("axe-core is missing. Run: go tool task gen")
	}
	s := serve(t, uitest.Homelab())
	needBundle(t, s)
	b := browser(t)
	for theme, size := range map[string][2]int64{"light": {1440, 900}, "dark": {390, 844}} {
		p := open(b, t, s, size[0], size[1], theme)
		for name, path := range pages() {
			p.visit(path)
			if name == "missing" {
				until(t, "the browser itself reports the 404", p.forgive)
				continue
			}
			eval[json.RawMessage](p, string(axe)+"; null")
			got := eval[[]string](p, `axe.run(document, {runOnly: ["wcag2a","wcag2aa","wcag21a","wcag21aa","wcag22aa","best-practice"]}).then(r =>
				r.violations.map(v => v.id + " (" + v.impact + "): " + v.nodes.slice(0,3).map(n => n.target.join(" ") + " " + (n.failureSummary||"").split("\n").slice(1,3).join(" ")).join(" | ")))`)
			for _, v := range got {
				t.Errorf("%s (%s): %s", name, theme, v)
			}
			p.clean()
		}
	}
}

func TestLiveUpdates(t *testing.T) {
	w := uitest.Homelab()
	s := serve(t, w)
	needBundle(t, s)
	p := open(browser(t), t, s, 1440, 900, "light")
	p.visit("/runs/1195")
	p.live()
	rows := eval[int](p, `document.querySelectorAll("log-view .l").length`)
	if eval[bool](p, `document.querySelector("log-view script") !== null`) {
		t.Error("output became markup")
	}
	run := w.RunList[4]
	if run.Number != 1195 {
		t.Fatalf("the world's fourth run is #%d", run.Number)
	}
	p.until(`!!document.querySelector("log-view")._htmx?.sse`)
	w.Emit(run.ID, "up", schema.Entry{Kind: schema.EntryLine, At: time.Now().UnixMilli(), Service: "web", Text: "listening on :8080"},
		schema.Entry{Kind: schema.EntryProgress, At: time.Now().UnixMilli(), ID: "186b1aaa4aa6", Text: "Pull complete", Current: 9, Total: 9})
	p.until(fmt.Sprintf(`document.querySelectorAll("log-view .l").length === %d && document.querySelector("log-view").textContent.includes("listening on :8080")`, rows+1))
	p.until(`document.querySelector('[data-id$=" 186b1aaa4aa6"] progress').value === 100`)

	w.Change("run", run.ID, func() {
		w.RunList[4].State, w.RunList[4].Ended = schema.StateSucceeded, time.Now().UnixMilli()
	})
	p.until(`document.querySelector("#run-head .chip").textContent.trim() === "finished"`)
	p.until(`!document.querySelector("log-view")._htmx?.sse`)

	p.visit("/stacks")
	p.live()
	p.do(chromedp.SendKeys(chromedp.CSS("#flt"), "tando"))
	p.until(`[...document.querySelectorAll("#stacks tbody tr")].filter(r => !r.hidden).length === 1`)
	w.Change("stack", "", func() {
		w.StackList[2].Services[0].State = "unhealthy"
		w.StackList[2].State = schema.StackUnhealthy
		w.StackList[2].LastRun = nil
	})
	p.until(`document.querySelector("#stacks").textContent.includes("degraded")`)
	p.until(`document.activeElement.id === "flt" && document.activeElement.value === "tando" && [...document.querySelectorAll("#stacks tbody tr")].filter(r => !r.hidden).length === 1`)
	p.clean()
}

func TestResumeAfterRestart(t *testing.T) {
	w := uitest.Homelab()
	first, err := ui.New(w.Deps())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = first.Run(ctx) }()
	var mu sync.Mutex
	var ids []string
	cur := http.Handler(first)
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		mu.Lock()
		h := cur
		if strings.HasSuffix(r.URL.Path, "/output") {
			ids = append(ids, r.Header.Get("Last-Event-ID"))
		}
		mu.Unlock()
		h.ServeHTTP(rw, r)
	}))
	t.Cleanup(srv.Close)
	s := &site{srv, w, first}
	needBundle(t, s)
	until(t, "the feed is watched", func() bool { a, b := w.Listeners(); return a > 0 && b > 0 })
	p := open(browser(t), t, s, 1440, 900, "light")
	p.visit("/runs/1195")
	p.live()
	p.until(`!!document.querySelector("log-view")._htmx?.sse`)
	run := w.RunList[4].ID
	w.Emit(run, "up", schema.Entry{Kind: schema.EntryLine, At: time.Now().UnixMilli(), Text: "before the restart"})
	p.until(`document.querySelector("log-view").textContent.includes("before the restart")`)

	stop()
	<-done
	w.Emit(run, "up", schema.Entry{Kind: schema.EntryLine, At: time.Now().UnixMilli(), Text: "while core was away"})
	w.RunList[4].Note = "new note"
	second, err := ui.New(w.Deps())
	if err != nil {
		t.Fatal(err)
	}
	ctx2, stop2 := context.WithCancel(t.Context())
	done2 := make(chan struct{})
	go func() { defer close(done2); _ = second.Run(ctx2) }()
	t.Cleanup(func() { stop2(); <-done2 })
	mu.Lock()
	cur = second
	mu.Unlock()
	p.until(`document.querySelector("log-view").textContent.includes("while core was away")`)
	p.until(`document.querySelector("#run-why").textContent.includes("new note")`) // fetched again: another epoch
	if n := eval[int](p, `[...document.querySelectorAll("log-view .l")].filter(l => l.textContent.includes("before the restart")).length`); n != 1 {
		t.Errorf("a line from before the restart stands %d times", n)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(ids) < 2 || ids[len(ids)-1] == "" {
		t.Errorf("Last-Event-ID of the output streams: %q", ids)
	}
}

func TestManyLinesDoNotFreeze(t *testing.T) {
	w := uitest.Homelab()
	s := serve(t, w)
	needBundle(t, s)
	p := open(browser(t), t, s, 1440, 900, "light")
	p.visit("/runs/1195")
	p.live()
	p.until(`!!document.querySelector("log-view")._htmx?.sse`)
	eval[json.RawMessage](p, `window.worst = 0; window.at = performance.now(); (function f() { const n = performance.now(); worst = Math.max(worst, n - at); at = n; requestAnimationFrame(f) })(); null`)
	entries := make([]schema.Entry, 500)
	for i := range 200 {
		for j := range entries {
			entries[j] = schema.Entry{Kind: schema.EntryLine, At: time.Now().UnixMilli(), Service: "web", Text: fmt.Sprintf("line %d of a hundred thousand", i*500+j)}
		}
		w.Emit(w.RunList[4].ID, "up", append([]schema.Entry(nil), entries...)...)
	}
	p.until(`document.querySelector("log-view").lastElementChild.textContent.includes("line 99999 ")`)
	if n := eval[int](p, `document.querySelectorAll("log-view .l").length`); n > 5000 {
		t.Errorf("%d rows are kept, at most 5000 should be", n)
	}
	p.until(`document.querySelector(".cutmark") !== null`)
	t.Logf("longest frame: %.0f ms", eval[float64](p, `worst`))
	p.clean()
}

func TestSignInAndDestroy(t *testing.T) {
	w := uitest.Homelab()
	s := serve(t, w)
	needBundle(t, s)
	p := open(browser(t), t, s, 1440, 900, "light")
	p.do(call(network.ClearBrowserCookies, cdp.Empty{}))
	p.visit("/stacks/tandoor")
	p.do(chromedp.SendKeys(chromedp.CSS("#username"), uitest.Username), chromedp.SendKeys(chromedp.CSS("#password"), uitest.Password+"\r"))
	p.until(`location.pathname === "/stacks/tandoor"`)
	p.live()
	p.do(chromedp.Click(chromedp.CSS("details.menu summary")))
	p.do(chromedp.Click(chromedp.CSS(`.menu a[href*="DestroyStack"]`)))
	p.until(`document.getElementById("sheet").open`)
	p.do(chromedp.SendKeys(chromedp.CSS("#typed"), "tandoor\r"))
	p.until(`location.pathname.startsWith("/runs/")`)
	if c := w.Called(); len(c) != 1 || c[0].Name != "DestroyStack" || c[0].Data != `{"stack":"tandoor"}` {
		t.Errorf("calls: %+v", c)
	}
	p.clean()
}
