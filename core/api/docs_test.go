package api_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"berth/core/api"
)

func TestDocsPages(t *testing.T) {
	w := newWorld(t)
	for path, want := range map[string][]string{
		"/docs":                            {`id="read"`, `href="/docs/read/ListStacks"`, `href="/docs/kinds/stack"`, `name="q"`, `<script id="api-reference" type="application/json">`},
		"/docs?q=deploy+stack":             {`href="/docs/execute/DeployStack"`},
		"/docs?q=nothing+has+this":         {"No request has these words."},
		"/docs?q=%3Cscript%3E":             {`value="&lt;script&gt;"`},
		"/docs/read/GetStack":              {"Read on the stack", "curl -X POST", `{&#34;stack&#34;:&#34;my-stack&#34;}`, "Also taken: <code>id</code>", "deployed_hash"},
		"/docs/auth/login/GetLoginOptions": {"nobody to be signed in"},
		"/docs/kinds/stack":                {`id="linked_repo"`, `href="#auto_update"`, "a repo"},
	} {
		status, text := w.send(path, "GET", nil)
		if status != http.StatusOK {
			t.Errorf("%s: %d %.300s", path, status, text)
		}
		for _, s := range want {
			if !strings.Contains(text, s) {
				t.Errorf("%s lacks %s", path, s)
			}
		}
		if m := regexp.MustCompile(`(?i)<script>|<script src|\son[a-z]+=|(src|href)="(https?:)?//`).FindString(text[:strings.Index(text+"<script id", "<script id")]); m != "" {
			t.Errorf("%s has %q", path, m)
		}
	}
	for _, r := range w.api.Rows() {
		if status, text := w.send("/docs/"+string(r.Group)+"/"+r.Name, "GET", nil); status != http.StatusOK || !strings.Contains(text, r.Name) {
			t.Errorf("%s/%s: %d", r.Group, r.Name, status)
		}
	}
	for _, path := range []string{"/docs/read/Nonsense", "/docs/kinds/nonsense"} {
		if status, text := w.send(path, "GET", nil); status != http.StatusNotFound || !strings.HasPrefix(text, `{"error":"`) {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
}

func TestTheDocumentStandsInThePage(t *testing.T) {
	w := newWorld(t)
	_, page := w.send("/docs", "GET", nil)
	_, after, _ := strings.Cut(page, `<script id="api-reference" type="application/json">`)
	inPage, _, _ := strings.Cut(after, "</script>")
	_, served := w.send("/docs/openapi.json", "GET", nil)
	var a, b any
	must(t, json.Unmarshal([]byte(inPage), &a))
	must(t, json.Unmarshal([]byte(served), &b))
	if jsonText(a) != jsonText(b) {
		t.Error("the document in the page is another")
	}
}

func TestCORS(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		cors        api.CORS
		origin      string
		allowed     string
		credentials string
	}{
		{api.CORS{}, "https://a.example", "", ""},
		{api.CORS{Origins: []string{"*"}}, "https://a.example", "*", ""},
		{api.CORS{Origins: []string{"*"}, Credentials: true}, "https://a.example", "*", ""},
		{api.CORS{Origins: []string{"https://a.example"}}, "https://a.example", "https://a.example", ""},
		{api.CORS{Origins: []string{"https://a.example"}, Credentials: true}, "https://a.example", "https://a.example", "true"},
		{api.CORS{Origins: []string{"https://a.example"}, Credentials: true}, "https://b.example", "", ""},
		{api.CORS{Origins: []string{"https://a.example"}}, "", "", ""},
	} {
		d := w.deps
		d.CORS = c.cors
		srv := httptest.NewServer(api.New(d))
		for _, method := range []string{http.MethodOptions, http.MethodPost} {
			req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+"/read/GetVersion", strings.NewReader("{}"))
			must(t, err)
			req.Header = w.auth()
			if c.origin != "" {
				req.Header.Set("Origin", c.origin)
			}
			if method == http.MethodOptions {
				req.Header.Set("Access-Control-Request-Method", "POST")
				req.Header.Set("Access-Control-Request-Headers", "x-api-key")
			}
			res, err := srv.Client().Do(req)
			must(t, err)
			_, err = io.Copy(io.Discard, res.Body)
			must(t, err)
			must(t, res.Body.Close())
			h := res.Header
			if h.Get("Access-Control-Allow-Origin") != c.allowed || h.Get("Access-Control-Allow-Credentials") != c.credentials {
				t.Errorf("%s of %q by %+v: %v", method, c.origin, c.cors, h)
			}
			if method == http.MethodOptions && c.allowed != "" && (h.Get("Access-Control-Allow-Headers") != "x-api-key" || h.Get("Access-Control-Allow-Methods") != "POST" || res.StatusCode != http.StatusOK) {
				t.Errorf("before a request of %q by %+v: %d %v", c.origin, c.cors, res.StatusCode, h)
			}
		}
		srv.Close()
	}
}
