package api_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestExport(t *testing.T) {
	w := newWorld(t)
	w.fixture()
	type answer struct {
		TOML string `json:"toml"`
	}
	all := ok[answer](w, "/read/ExportAllResourcesToToml", `{}`).TOML
	if strings.Contains(all, "[[variable]]") || strings.Contains(all, "hush") || !strings.Contains(all, "linked_repo = \"homelab\"") {
		t.Error(all)
	}
	plain := ok[answer](w, "/read/ExportAllResourcesToToml", `{"include_resources":false,"include_variables":true,"secrets":true}`).TOML
	if !strings.Contains(plain, "tell nobody") || strings.Contains(plain, "[[stack]]") {
		t.Error(plain)
	}
	tagged := ok[answer](w, "/read/ExportAllResourcesToToml", `{"tags":["prod"],"existing":{"stacks":[{"name":"web","deploy":true,"after":["db"]}]}}`).TOML
	if strings.Count(tagged, "[[") != 1 || !strings.Contains(tagged, "deploy = true\nafter = [\"db\"]\n") {
		t.Error(tagged)
	}
	some := ok[answer](w, "/read/ExportResourcesToToml", `{"targets":[{"type":"Stack","id":"*"},{"type":"Procedure","id":"deploy"}]}`).TOML
	if strings.Count(some, "[[stack]]") != 2 || !strings.Contains(some, `execution.params.stack = "web"`) {
		t.Error(some)
	}
	for body, want := range map[string]int{
		`{"targets":[{"type":"Stack","id":"wbe"}]}`: http.StatusNotFound,
		`{}`: http.StatusUnprocessableEntity,
	} {
		if status, text := w.post("/read/ExportResourcesToToml", body); status != want {
			t.Error(status, text)
		}
	}
	if status, text := w.send("/docs/schema.json?kind=stack", "GET", nil); status != http.StatusOK || !strings.Contains(text, "https://json-schema.org/draft/2020-12/schema") {
		t.Error(status, text)
	}
}
