package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"berth/cli/profile"
)

func TestKeysDoNotFollowRedirects(t *testing.T) {
	var got string
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("X-Api-Key") }))
	defer other.Close()
	core := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer core.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, core.URL+"/read/GetVersion", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Api-Key", "K_secret_K")
	resp, err := httpClient(profile.Account{Host: core.URL}).Do(req)
	if err == nil {
		resp.Body.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "give that as the host") || got != "" {
		t.Errorf("%v, the other host was shown %q", err, got)
	}
}
