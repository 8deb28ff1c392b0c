package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"berth/core/api"
)

// openAPI is the document with a compiler of the schemas in it.
func (w *world) openAPI() func(pointer ...string) *jsonschema.Schema {
	w.t.Helper()
	status, text := w.send("/docs/openapi.json", "GET", nil)
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if status != http.StatusOK || err != nil {
		w.t.Fatalf("%d %v", status, err)
	}
	c := jsonschema.NewCompiler()
	must(w.t, c.AddResource("openapi.json", doc))
	return func(pointer ...string) *jsonschema.Schema {
		w.t.Helper()
		for i, p := range pointer {
			pointer[i] = strings.NewReplacer("~", "~0", "/", "~1").Replace(p)
		}
		s, err := c.Compile("openapi.json#/" + strings.Join(pointer, "/"))
		must(w.t, err)
		return s
	}
}

func parsed(t *testing.T, text string) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	must(t, err)
	return v
}

// given are parameters that name what the fixture has.
func given(r api.Row) map[string]any {
	names := map[string]any{
		"server": "atlas", "stack": "web", "repo": "homelab", "procedure": "deploy", "container": "web-1", "service": "web",
		"services": []string{}, "terms": []string{"web"}, "id": "1", "name": "TOKEN", "query": map[string]any{}, "target": map[string]any{"type": "Stack", "id": "web"},
	}
	out := map[string]any{}
	for _, p := range r.Params {
		if v, ok := names[p.Name]; ok && (p.Required || p.Name == "query") {
			out[p.Name] = v
		} else if p.Required {
			out[p.Name] = r.Example[p.Name]
		}
	}
	return out
}

// TestAnswersAreWhatOpenAPISays asks everything that can be read, and some that
// changes things, and holds the answers to the document.
func TestAnswersAreWhatOpenAPISays(t *testing.T) {
	w := newWorld(t)
	w.fixture()
	w.finished(ok[update](w, "/execute/DeployStack", `{"stack":"web"}`).ID.OID)
	schemaAt := w.openAPI()
	check := func(path, method, body string) bool {
		status, text := w.post(path, body)
		if method == "get" {
			status, text = w.send(path, "GET", w.auth())
		}
		if status != http.StatusOK {
			fail := schemaAt("components", "responses", "Failed", "content", "application/json", "schema")
			if err := fail.Validate(parsed(t, text)); err != nil {
				t.Errorf("%s answers %d: %s: %v", path, status, text, err)
			}
			return false
		}
		s := schemaAt("paths", path, method, "responses", "200", "content", "application/json", "schema")
		if err := s.Validate(parsed(t, text)); err != nil {
			t.Errorf("%s %s answers %.1500s: %v", path, body, text, err)
		}
		return true
	}
	good := 0
	for _, r := range w.api.Rows() {
		path := "/" + string(r.Group) + "/" + r.Name
		s := schemaAt("paths", path, "post", "requestBody", "content", "application/json", "schema")
		if err := s.Validate(parsed(t, jsonText(r.Example))); err != nil {
			t.Errorf("the example of %s: %v", path, err)
		}
		if r.Group == api.GroupRead && check(path, "post", jsonText(given(r))) {
			good++
		}
	}
	if good < 50 {
		t.Errorf("only %d requests were answered", good)
	}
	check("/user", "get", "")
	for _, c := range [][2]string{
		{"/write/CreateStack", `{"name":"another","config":{"environment":[{"variable":"A","value":"1"}],"links":"https://example.com"}}`},
		{"/write/UpdateStack", `{"id":"another","config":{"auto_update":true}}`},
		{"/write/RenameStack", `{"id":"db","name":"database"}`},
		{"/write/CreateVariable", `{"name":"PLAIN","value":"1"}`},
		{"/write/CreateJoinToken", `{"server":"vault"}`},
		{"/auth/login/GetLoginOptions", `{}`},
		{"/execute/DeployStack", `{"stack":"web"}`},
		{"/execute/BatchDeployStack", `{"pattern":"*"}`},
		{"/auth/manage/CreateApiKey", `{"name":"another"}`},
		{"/write/CopyStack", `{"id":"web","name":"copy"}`},
		{"/write/CreateProcedure", `{"name":"empty"}`},
		{"/read/GetStack", `{"stack":"web"}`},
		{"/read/GetRun", `{"id":"1"}`},
		{"/read/GetUpdate", `{"id":"` + ok[update](w, "/execute/DeployStack", `{"stack":"web"}`).ID.OID + `"}`},
		{"/read/ListStackServices", `{"stack":"web"}`},
		{"/read/ExportResourcesToToml", `{"targets":[{"type":"Stack","id":"web"}]}`},
		{"/read/ExportAllResourcesToToml", `{}`},
	} {
		if path, body := c[0], c[1]; !check(path, "post", body) {
			status, text := w.post(path, body)
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
}

// TestOpenAPIHasEveryRequest holds the document to the table.
func TestOpenAPIHasEveryRequest(t *testing.T) {
	w := newWorld(t)
	_, text := w.send("/docs/openapi.json", "GET", nil)
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			Summary     string
			Description string
			RequestBody struct {
				Content map[string]struct{ Example, Schema map[string]any }
			}
			Responses map[string]any
		}
		Components struct{ Schemas map[string]any }
	}
	must(t, json.Unmarshal([]byte(text), &doc))
	if doc.OpenAPI != "3.1.0" || doc.Components.Schemas["Stack"] == nil || doc.Components.Schemas["StackListItem"] == nil || doc.Components.Schemas["UpdateListItem"] == nil {
		t.Errorf("the document is %s with %d components", doc.OpenAPI, len(doc.Components.Schemas))
	}
	for _, r := range w.api.Rows() {
		op, there := doc.Paths["/"+string(r.Group)+"/"+r.Name]["post"]
		body := op.RequestBody.Content["application/json"]
		if !there || op.Summary != r.Doc || !strings.HasPrefix(op.Description, "Needs ") || body.Schema["type"] != "object" || body.Example == nil || op.Responses["200"] == nil || op.Responses["404"] == nil && r.Group != api.GroupLogin {
			t.Errorf("%s/%s: %+v", r.Group, r.Name, op)
		}
	}
}
