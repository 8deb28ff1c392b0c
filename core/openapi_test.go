package core

import (
	_ "embed"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"berth/schema"
)

// reply is what core answers to a browser.
type reply struct {
	Status int
	Header http.Header
	Text   string
	Path   string // whence it came in the end
}

// get reads a page of core.
func (c *client) get(path string) reply {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.url+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, string(text), res.Request.URL.Path}
}

func administered(t *testing.T) *client {
	t.Helper()
	cfg := config(t, t.TempDir())
	cfg.AdminUsername, cfg.AdminPassword, cfg.Version = "mira", "correct horse battery", "0.9.0"
	info, _ := serve(t, cfg)
	return signIn(t, info.Addr)
}

//go:embed testdata/openapi-3.1.schema.json
var openAPISchema string

// openAPI is the document of the whole table, with a compiler of the schemas in it.
func (c *client) openAPI() (doc any, compile func(pointer string) *jsonschema.Schema) {
	c.t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(c.get("/docs/openapi.json").Text))
	if err != nil {
		c.t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("openapi.json", doc); err != nil {
		c.t.Fatal(err)
	}
	return doc, func(pointer string) *jsonschema.Schema {
		c.t.Helper()
		s, err := compiler.Compile("openapi.json#" + pointer)
		if err != nil {
			c.t.Fatal(err)
		}
		return s
	}
}

// TestOpenAPIIsValid holds the document to the schema that the OpenAPI Initiative
// publishes of its version 3.1, which leaves the schemas within it to JSON Schema:
// each of them is compiled, and with it checked against its own meta-schema.
func TestOpenAPIIsValid(t *testing.T) {
	c := administered(t)
	doc, compile := c.openAPI()
	official, err := jsonschema.UnmarshalJSON(strings.NewReader(openAPISchema))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("https://spec.openapis.org/oas/3.1/schema/2022-10-07", official); err != nil {
		t.Fatal(err)
	}
	s, err := compiler.Compile("https://spec.openapis.org/oas/3.1/schema/2022-10-07")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(doc); err != nil {
		t.Error(err)
	}
	root := doc.(map[string]any)
	components := root["components"].(map[string]any)
	for name := range components["schemas"].(map[string]any) {
		compile("/components/schemas/" + name)
	}
	ids := map[string]bool{}
	for path, item := range root["paths"].(map[string]any) {
		for method, op := range item.(map[string]any) {
			op := op.(map[string]any)
			if id := op["operationId"].(string); ids[id] {
				t.Errorf("two operations are called %s", id)
			} else {
				ids[id] = true
			}
			at := "/paths/" + strings.ReplaceAll(path, "/", "~1") + "/" + method
			for status, answer := range op["responses"].(map[string]any) {
				if ref, ok := answer.(map[string]any)["$ref"].(string); ok && components["responses"].(map[string]any)[ref[strings.LastIndex(ref, "/")+1:]] == nil {
					t.Errorf("%s: %s leads nowhere", path, ref)
				} else if !ok && path != "/version" {
					compile(at + "/responses/" + status + "/content/application~1json/schema")
				}
			}
			if method == "post" {
				compile(at + "/requestBody/content/application~1json/schema")
			}
		}
	}
	if len(ids) < 100 {
		t.Errorf("only %d operations", len(ids))
	}
}

// TestOpenAPIKnowsTheSettingsOfEveryKind creates one of each and holds what core
// answers to the document.
func TestOpenAPIKnowsTheSettingsOfEveryKind(t *testing.T) {
	c := administered(t)
	_, compile := c.openAPI()
	config := map[string]string{
		"Alerter":   `{"endpoint":{"type":"Slack","params":{"url":"https://slack.example/x"}}}`,
		"Builder":   `{"type":"Url","params":{"address":"wss://builder.example"}}`,
		"Procedure": `{"stages":[{"name":"one","executions":[{"execution":{"type":"Sleep","params":{"duration_ms":1}}}]}]}`,
	}
	for _, kind := range []string{"Server", "Swarm", "Builder", "Repo", "Build", "Stack", "Deployment", "Action", "ResourceSync", "Alerter", "Procedure"} {
		body := json.RawMessage(config[kind])
		if len(body) == 0 {
			body = json.RawMessage(`{}`)
		}
		var made json.RawMessage
		c.post("/write/Create"+kind, map[string]any{"name": "one", "config": body}, &made)
		param := map[string]string{"ResourceSync": "sync"}[kind]
		if param == "" {
			param = strings.ToLower(kind)
		}
		for path, params := range map[string]any{"Get" + kind: map[string]string{param: "one"}, "List" + kind + "s": struct{}{}, "ListFull" + kind + "s": struct{}{}} {
			var answer json.RawMessage
			c.post("/read/"+path, params, &answer)
			s := compile("/paths/~1read~1" + path + "/post/responses/200/content/application~1json/schema")
			v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(answer)))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Validate(v); err != nil {
				t.Errorf("%s answers %s: %v", path, answer, err)
			}
		}
	}
	if len(schema.ResourceTypes()) != 12 { // and System
		t.Errorf("there are more kinds: %v", schema.ResourceTypes())
	}
}
