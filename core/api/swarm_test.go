package api_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestSwarmsAreDeclaredAndSayWhatIsNotBuilt(t *testing.T) {
	w := newWorld(t)
	w.fixture()
	ok[any](w, "/write/CreateSwarm", `{"name":"herd","config":{"server_ids":["atlas"]}}`)
	for path, want := range map[string]string{
		"/read/ListSwarms":          `"state":"Unknown"`,
		"/read/ListFullSwarms":      `"info":{}`,
		"/read/GetSwarmsSummary":    `{"down":0,"healthy":0,"total":1,"unhealthy":0,"unknown":1}`,
		"/read/GetSwarmActionState": `{}`,
	} {
		if status, body := w.post(path, `{"swarm":"herd"}`); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	for _, c := range []struct {
		path, body string
		status     int
	}{
		{"/read/ListSwarmNodes", `{"swarm":"herd"}`, 501},
		{"/read/ListSwarmNodes", `{"id":"herd"}`, 501},
		{"/read/ListSwarmNodes", `{"swarm":"nobody"}`, 404},
		{"/read/ListSwarmNodes", `{}`, 422},
		{"/read/InspectSwarmNode", `{"swarm":"herd"}`, 422},
		{"/read/InspectStackSwarmService", `{"stack":"web","service":"web"}`, 501},
		{"/execute/RemoveSwarmNodes", `{"swarm":"herd","nodes":["one"]}`, 501},
		{"/execute/RemoveSwarmNodes", `{"swarm":"herd"}`, 422},
		{"/read/ListTerminals", `{}`, 501},
		{"/write/CreateTerminal", `{"target":{"type":"Server","params":{"server":"atlas"}}}`, 501},
		{"/write/CreateTerminal", `{}`, 422},
	} {
		status, body := w.post(c.path, c.body)
		if status != c.status || c.status == 501 && !strings.Contains(body, "not built into Berth yet") {
			t.Errorf("%s %s: %d %s", c.path, c.body, status, body)
		}
	}
}
