package uitest_test

import (
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"berth/ui"
	"berth/ui/uitest"
)

// site is the pages of a world, served.
type site struct {
	*httptest.Server
	world *uitest.World
	ui    *ui.Server
}

func serve(t *testing.T, w *uitest.World) *site {
	t.Helper()
	s, err := ui.New(w.Deps())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Run(ctx) }()
	srv := httptest.NewServer(s)
	t.Cleanup(func() { stop(); <-done; srv.Close() })
	until(t, "the feed is watched", func() bool { a, b := w.Listeners(); return a > 0 && b > 0 })
	return &site{srv, w, s}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline, tick := time.After(15*time.Second), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("waited 15 s, still not: %s", what)
		case <-tick.C:
		}
	}
}

// browser starts Chromium once for a test.
func browser(t *testing.T) context.Context {
	t.Helper()
	path := ""
	for _, n := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(n); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Fatal("Chromium is not installed. Run: .ci/bare.sh chromium")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.Flag("no-sandbox", true), chromedp.Flag("disable-gpu", true),
		chromedp.Flag("disable-quic", true), chromedp.Flag("font-render-hinting", "none"), chromedp.Flag("force-color-profile", "srgb"), chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("disable-backgrounding-occluded-windows", true), chromedp.Flag("disable-renderer-backgrounding", true))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(cancel)
	ctx, cancel2 := chromedp.NewContext(ctx)
	t.Cleanup(cancel2)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	return ctx
}

// tab is a page of the browser that complains about everything on its console.
type tab struct {
	t    *testing.T
	ctx  context.Context //nolint:containedctx // a tab of chromedp is its context
	site *site

	mu  sync.Mutex
	bad []string
}

func open(parent context.Context, t *testing.T, s *site, width, height int64, theme string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(parent, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	p := &tab{t: t, ctx: ctx, site: s}
	p.do(call(page.BringToFront, cdp.Empty{}), chromedp.EmulateViewport(width, height))
	p.do(call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: "reduce"}, {Name: "prefers-color-scheme", Value: theme}}}))
	p.do(call(network.SetCookie, network.SetCookieParams{Name: "berth_session", Value: uitest.Session, URL: s.URL}))
	go func() {
		for m, err := range chromedp.Console(ctx) {
			if err != nil {
				return
			}
			if m.IsException() || m.Type == "error" || m.Type == "warning" {
				p.mu.Lock()
				p.bad = append(p.bad, m.String())
				p.mu.Unlock()
			}
		}
	}()
	return p
}

func (p *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.t.Fatalf("browser: %v", err)
	}
}

// call is a command of the browser's protocol as an action.
func call[P, R any](c cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, c, params)
		return chromedp.Void{}, err
	}
}

func (p *tab) visit(path string) {
	p.t.Helper()
	p.do(chromedp.Navigate(p.site.URL + path))
}

func eval[T any](p *tab, js string) T {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("evaluate %.80s: %v", js, err)
	}
	return v
}

func (p *tab) until(js string) {
	p.t.Helper()
	until(p.t, js, func() bool {
		v, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool](js))
		return err == nil && v
	})
}

func (p *tab) clean() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.bad {
		p.t.Errorf("console: %s", m)
	}
	p.bad = nil
}

// forgive drops the complaints so far, and reports whether there were any.
func (p *tab) forgive() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	some := len(p.bad) > 0
	p.bad = nil
	return some
}

func (p *tab) live() {
	p.t.Helper()
	p.until(`document.getElementById("conn")?.dataset.state === "on"`)
}

func needBundle(t *testing.T, s *site) {
	t.Helper()
	if !s.ui.Bundled() {
		t.Fatal("The browser bundle is missing. Run: go tool task gen")
	}
}

// picture takes pictures until two are the same.
func (p *tab) picture(name string) {
	p.t.Helper()
	var last string
	for range 12 {
		png, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
		if err != nil {
			p.t.Fatal(err)
		}
		if string(png) == last {
			break
		}
		last = string(png)
	}
	if err := os.MkdirAll(*shots, 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*shots, name+".png"), []byte(last), 0o644); err != nil {
		p.t.Fatal(err)
	}
}
