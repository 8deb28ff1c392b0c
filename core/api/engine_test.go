package api_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestEngineLists(t *testing.T) {
	w := newWorld(t)
	w.fixture()
	for request, want := range map[string]string{
		"ListDockerImages": `[{"id":"sha256:1","parent_id":"","name":"web:1","tags":["web:1"],"digests":[],"created":0,"size":0,"in_use":true}]`,
		"ListNetworks":     "[]", "ListDockerVolumes": "[]",
	} {
		if status, got := w.post("/read/"+request, `{"server":"atlas"}`); status != http.StatusOK || strings.TrimSpace(got) != want {
			t.Errorf("%s: %d %s", request, status, got)
		}
	}
	if status, got := w.post("/read/ListImages", `{"server":"nobody"}`); status != http.StatusNotFound {
		t.Errorf("%d %s", status, got)
	}
}
