// Package browser opens pages in a real headless Chromium, one for a test binary
// and a fresh profile for each page's test.
//
// A Page belongs to one test. Its test fails when the page logs an error, throws,
// or breaks its content security policy, unless the test allows it.
package browser

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// chromium is the browser, started at the first use and ended with the process.
var chromium = sync.OnceValues(func() (context.Context, error) {
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, // we are root
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("no-pings", true),
		chromedp.Flag("font-render-hinting", "none"),
	)
	if path := os.Getenv("CHROMIUM"); path != "" {
		options = append(options, chromedp.ExecPath(path))
	}
	ctx, _ := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, _ = chromedp.NewContext(ctx)
	return ctx, chromedp.Do(ctx)
})

// Close ends the browser; call it when all tests of the binary have ended.
func Close() {
	if ctx, err := chromium(); err == nil {
		_ = chromedp.Cancel(ctx)
	}
}

// Page is one tab with cookies of its own.
type Page struct {
	t      testing.TB
	ctx    context.Context //nolint:containedctx // a tab of chromedp is its context
	mu     sync.Mutex
	errors []string
}

// Look is how a page is shown. Zero is a light desktop.
type Look struct {
	Dark  bool
	Phone bool
}

// Open opens an empty tab that is closed at the test's end.
func Open(t testing.TB, look Look) *Page {
	t.Helper()
	root, err := chromium()
	if err != nil {
		t.Fatalf("start Chromium (.ci/bare.sh chromium installs it, CHROMIUM= names another): %v", err)
	}
	p := &Page{t: t}
	ctx, cancel := chromedp.NewContext(root, chromedp.WithNewBrowserContext())
	p.ctx = ctx
	t.Cleanup(func() {
		if t.Failed() {
			p.keep()
		}
		cancel()
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, e := range p.errors {
			t.Errorf("the page logged: %s", e)
		}
	})
	p.watch()
	scheme, width, height := "light", int64(1440), int64(900)
	if look.Dark {
		scheme = "dark"
	}
	if look.Phone {
		width, height = 390, 844
	}
	p.Do(chromedp.EmulateViewport(width, height))
	_, err = chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// watch collects what the page complains of.
func (p *Page) watch() {
	if err := chromedp.Do(p.ctx); err != nil { // opens the tab
		p.t.Fatal(err)
	}
	messages := chromedp.Console(p.ctx)
	go func() { // ends with the tab
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.Type == chromedp.ConsoleError || m.Type == chromedp.ConsoleException {
				p.complain(m.Text + " (" + m.URL + ")")
			}
		}
	}()
}

func (p *Page) complain(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.errors = append(p.errors, text)
}

// limit bounds what any one action may take.
const limit = 30 * time.Second

// Do runs actions one after the other.
func (p *Page) Do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, limit)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatalf("in the page: %v", err)
	}
}

// Visit opens an address and waits until it is loaded.
func (p *Page) Visit(url string) {
	p.t.Helper()
	p.Do(chromedp.Navigate(url))
}

// Click clicks what a CSS selector finds, once it is visible.
func (p *Page) Click(selector string) {
	p.t.Helper()
	p.Do(chromedp.Click(chromedp.CSS(selector)))
}

// Type types into what a CSS selector finds.
func (p *Page) Type(selector, text string) {
	p.t.Helper()
	p.Do(chromedp.SendKeys(chromedp.CSS(selector), text))
}

// Text returns the visible text of what a CSS selector finds.
func (p *Page) Text(selector string) string {
	p.t.Helper()
	return Eval[string](p, `document.querySelector(`+quote(selector)+`)?.innerText ?? ""`)
}

// Eval evaluates an expression in a page.
func Eval[T any](p *Page, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, limit)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("evaluate %s: %v", expression, err)
	}
	return v
}

// Until waits until an expression is true. It may span a change of page, which is
// why it asks again and again instead of waiting inside the page.
func (p *Page) Until(expression string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, limit)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+expression+")"))
		if err == nil && ok {
			return
		}
		select {
		case <-ctx.Done():
			p.t.Fatalf("in the page, %s is not so within %s (last error: %v); it shows:\n%s", expression, limit, err, p.shown())
		case <-tick.C:
		}
	}
}

func (p *Page) shown() string {
	ctx, cancel := context.WithTimeout(p.ctx, 2*time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("location.href + '\\n' + document.body.innerText"))
	if err != nil {
		return err.Error()
	}
	return text
}

// Screenshot writes the visible part of the page to a PNG file.
func (p *Page) Screenshot(path string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, limit)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o755)
	}
	if err == nil {
		err = os.WriteFile(path, png, 0o644)
	}
	if err != nil {
		p.t.Errorf("take a screenshot: %v", err)
	}
}

// keep saves what a failed test's page shows.
func (p *Page) keep() {
	if p.ctx.Err() != nil {
		return
	}
	path := filepath.Join(os.TempDir(), "berth-e2e", regexp.MustCompile(`\W+`).ReplaceAllString(p.t.Name(), "-")+".png")
	p.Screenshot(path)
	p.t.Logf("the page as it was: %s", path)
}

// quote returns a text as a JavaScript string.
func quote(text string) string {
	b, _ := json.Marshal(text) // a string always has a JSON form
	return string(b)
}

// Authenticator gives the page an authenticator that says yes to everything.
func (p *Page) Authenticator() {
	p.t.Helper()
	_, err := chromedp.Call(p.ctx, webauthn.Enable, webauthn.EnableParams{})
	if err == nil {
		_, err = chromedp.Call(p.ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
			HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
		}})
	}
	if err != nil {
		p.t.Fatal(err)
	}
}
