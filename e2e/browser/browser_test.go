package browser_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth/e2e/browser"
)

func TestMain(m *testing.M) {
	code := m.Run()
	browser.Close()
	os.Exit(code)
}

// sink is a testing.TB that keeps what a page complains of.
type sink struct {
	testing.TB
	said  []string
	after []func()
}

func (s *sink) Errorf(format string, args ...any) {
	for _, a := range args {
		s.said = append(s.said, format+a.(string))
	}
}
func (s *sink) Cleanup(f func()) { s.after = append(s.after, f) }

// TestPage proves that a page is rendered, clicked and watched: an inline script
// that the policy forbids is heard of.
func TestPage(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		body := `<!doctype html><link rel="icon" href="data:,"><input id="name"><a id="go" href="/bad">go</a><p>` + r.URL.Path
		if r.URL.Path == "/bad" {
			w.Header().Set("Content-Security-Policy", "script-src 'self'")
			body += `<script>document.title = "ran"</script>`
		}
		_, _ = w.Write([]byte(body))
	}))
	defer server.Close()

	s := &sink{TB: t}
	p := browser.Open(s, browser.Look{Dark: true, Phone: true})
	p.Visit(server.URL + "/good")
	if got := p.Text("p"); got != "/good" {
		t.Errorf("shows %q", got)
	}
	if !browser.Eval[bool](p, `matchMedia("(prefers-color-scheme: dark)").matches && innerWidth === 390`) {
		t.Error("the page is neither dark nor narrow")
	}
	p.Type("#name", "ada")
	p.Until(`document.querySelector("#name").value === "ada"`)
	png := filepath.Join(t.TempDir(), "page.png")
	p.Screenshot(png)
	if info, err := os.Stat(png); err != nil || info.Size() < 1000 {
		t.Errorf("screenshot: %v, %v", info, err)
	}
	p.Click("#go")
	p.Until(`document.querySelector("p").innerText === "/bad"`)
	p.Until(`document.title !== "ran"`)
	for _, f := range s.after {
		f()
	}
	if said := strings.Join(s.said, "\n"); !strings.Contains(said, "Content Security Policy") {
		t.Errorf("the broken policy was not heard of: %q", said)
	}
}
