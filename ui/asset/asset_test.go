package asset_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/fstest"

	"berth/ui/asset"
)

func TestServe(t *testing.T) {
	s, err := asset.New(fstest.MapFS{
		"manifest.json": {Data: []byte(`{"files":{"app.ts":{"path":"app-1.js","br":2,"gz":3,"imports":["chunk-2.js"]},"f.woff2":{"path":"f-3.woff2"}}}`)},
		"app-1.js":      {Data: []byte("plain")}, "app-1.js.br": {Data: []byte("br")}, "app-1.js.gz": {Data: []byte("gz!")},
		"f-3.woff2": {Data: []byte("font")}, ".gitignore": {Data: []byte("*")},
	}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !s.Built() || s.URL("app.ts") != "/static/app-1.js" || s.URL("nope") != "" || s.Imports("app.ts")[0] != "/static/chunk-2.js" {
		t.Errorf("addresses: %q %q", s.URL("app.ts"), s.Imports("app.ts"))
	}
	for _, c := range []struct{ path, accept, body, encoding, kind string }{
		{"app-1.js", "gzip, deflate, br, zstd", "br", "br", "text/javascript; charset=utf-8"},
		{"app-1.js", "gzip", "gz!", "gzip", "text/javascript; charset=utf-8"},
		{"app-1.js", "br;q=0, identity", "plain", "", "text/javascript; charset=utf-8"},
		{"app-1.js", "", "plain", "", "text/javascript; charset=utf-8"},
		{"f-3.woff2", "br", "font", "", "font/woff2"},
	} {
		w := get(t, s, c.path, c.accept)
		h := w.Header()
		if w.Code != 200 || w.Body.String() != c.body || h.Get("Content-Encoding") != c.encoding || h.Get("Content-Type") != c.kind {
			t.Errorf("%s for %q: %d %q %v", c.path, c.accept, w.Code, w.Body, h)
		}
		if h.Get("Cache-Control") != "public, max-age=31536000, immutable" || h.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s: %v", c.path, h)
		}
	}
	for _, path := range []string{".gitignore", "manifest.json", "app-1.js.br", "../asset.go", "app.ts", "own.css"} {
		if w := get(t, s, path, ""); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func TestBrokenManifest(t *testing.T) {
	if _, err := asset.New(fstest.MapFS{"manifest.json": {Data: []byte("{")}}, nil, nil); err == nil {
		t.Error("a broken manifest is accepted")
	}
	if _, err := asset.New(fstest.MapFS{}, fstest.MapFS{}, []string{"base"}); err == nil {
		t.Error("a missing style sheet is accepted")
	}
}

func get(t *testing.T, s *asset.Set, path, accept string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/static/x", http.NoBody)
	r.URL.Path = "/static/" + path
	r.Header.Set("Accept-Encoding", accept)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}
