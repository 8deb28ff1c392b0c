package api_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"berth/core/access"
	"berth/core/api"
)

func TestEveryRowIsDocumented(t *testing.T) {
	w := newWorld(t)
	seen := map[string]bool{}
	for _, r := range w.api.Rows() {
		name := string(r.Group) + "/" + r.Name
		if len(r.Doc) < 5 || !strings.HasSuffix(r.Doc, ".") && r.Group != api.GroupExecute {
			t.Errorf("%s: doc %q is not a sentence", name, r.Doc)
		}
		if r.Needs == "" {
			t.Errorf("%s: no permission", name)
		}
		if r.Needs == access.Public && r.Group != api.GroupLogin {
			t.Errorf("%s is open to everybody", name)
		}
		if r.Example == nil {
			t.Errorf("%s: no example", name)
		}
		if r.Result == nil {
			t.Errorf("%s: no result", name)
		}
		for _, p := range r.Params {
			if p.Required && r.Example[p.Name] == nil {
				t.Errorf("%s: the example lacks %q", name, p.Name)
			}
			if p.Doc == "" && r.Group != api.GroupExecute {
				t.Errorf("%s: parameter %q has no doc", name, p.Name)
			}
		}
		for k := range r.Example {
			known := false
			for _, p := range r.Params {
				known = known || p.Name == k
			}
			if !known {
				t.Errorf("%s: the example has %q, which is no parameter", name, k)
			}
		}
		seen[r.Name] = true
	}
	for name := range strings.FieldsSeq(`GetVersion GetCoreInfo ListServers GetServer GetServerState GetServersSummary ListStacks GetStack
		ListStackServices GetStacksSummary GetStackLog ListRepos GetRepo ListProcedures GetProcedure ListVariables GetVariable
		ListUpdates GetUpdate ListFullServers ListFullStacks ListFullRepos ListFullProcedures GetServerActionState GetStackActionState
		GetRepoActionState GetProcedureActionState ListTags GetContainersSummary ListAllContainers CreateStack UpdateStack DeleteStack
		RenameStack CopyStack CreateServer CreateRepo CreateProcedure CreateVariable UpdateVariableValue DeleteVariable
		UpdateResourceMeta RefreshStackCache CreateApiKey DeleteApiKey GetLoginOptions LoginLocalUser DeployStack BatchDeployStack
		PullRepo RunProcedure CancelProcedure Sleep PlanResources ApplyResources CancelRun GetRun ListRuns GetRunOutput ListDeliveries
		Redeliver CreateJoinToken RevokeServer CreateOperator`) {
		if !seen[name] {
			t.Errorf("no request %s", name)
		}
	}
}

func TestScenarios(t *testing.T) {
	w := newWorld(t)
	w.fixture()
	for _, c := range []struct {
		name, path, body string
		status           int
		want             []string
		not              string
	}{
		{"path form", "/read/GetVersion", `{}`, 200, []string{`{"version":"0.1.0"}`}, ""},
		{"body form", "/read", `{"type":"GetVersion","params":{}}`, 200, []string{`{"version":"0.1.0"}`}, ""},
		{"old name", "/read", `{"type":"GetDockerContainersSummary","params":{}}`, 200, []string{`"running":1`, `"total":1`, `"unknown":0`}, ""},
		{"unknown, path form", "/read/ListStack", `{}`, 404, []string{"did you mean ListStacks?", `"trace":[]`}, ""},
		{"unknown, body form", "/read", `{"type":"ListStack","params":{}}`, 422, []string{"did you mean ListStacks?"}, ""},
		{"wrong group", "/read/DeployStack", `{"stack":"web"}`, 404, []string{"it is posted to /execute"}, ""},
		{"no params", "/read", `{"type":"ListStacks"}`, 422, []string{"params is missing"}, ""},
		{"no type", "/read", `{"params":{}}`, 422, []string{"type is missing"}, ""},
		{"not JSON", "/read/ListStacks", `{`, 400, []string{"not JSON"}, ""},
		{"missing parameter", "/read/GetStack", `{}`, 422, []string{`parameter \"stack\" is missing`}, ""},
		{"misspelt parameter", "/read/GetStackLog", `{"stak":"hello"}`, 422, []string{`"error":"GetStackLog: parameter \"stack\" is missing, and there is none \"stak\": did you mean \"stack\"?"`}, ""},
		{"misspelt parameter of a resource", "/read/GetStack", `{"Stack":"web"}`, 422, []string{`"error":"GetStack: parameter \"stack\" is missing, and there is none \"Stack\": did you mean`}, ""},
		{"misspelt parameter of an execution", "/execute/DeployStack", `{"stcak":"web"}`, 422, []string{`"error":"DeployStack: parameter \"stack\" is missing, and there is none \"stcak\"`}, ""},
		{"a parameter that is nothing like it", "/read/GetStackLog", `{"tail":5,"whatever":1}`, 422, []string{`"error":"GetStackLog: parameter \"stack\" is missing"`}, "did you mean"},
		{"unknown level", "/write/UpdatePermissionOnTarget", `{"user_target":{"type":"User","id":"ada"},"resource_target":{"type":"Stack","id":"web"},"permission":"Exec"}`, 422, []string{`"error":"UpdatePermissionOnTarget: parameter \"permission\": level: \"Exec\" is none of None, Read, Execute, Write`}, "want an object"},
		{"wrong type of parameter", "/read/ListStacks", `{"page":"one"}`, 422, []string{`parameter \"page\": want a whole number`}, ""},
		{"unknown keys are ignored", "/read/GetStack", `{"stack":"web","whatever":1}`, 200, []string{`"name":"web"`}, ""},
		{"by alias", "/read/GetStack", `{"id":"web"}`, 200, []string{`"_id":{"$oid":"`, `"config":{`, `"deployed_hash":"1481a2d"`, `"base_permission":"None"`}, "hush"},
		{"not found", "/read/GetStack", `{"stack":"wbe"}`, 404, []string{`did you mean \"web\"?`}, ""},
		{"list", "/read/ListStacks", `{}`, 200, []string{`"state":"running"`, `"server_name":"atlas"`, `"linked_repo_name":"homelab"`, `"type":"Stack"`}, "hush"},
		{"list by tag", "/read/ListStacks", `{"query":{"tags":["prod"]}}`, 200, []string{`"name":"web"`}, `"name":"db"`},
		{"list by term", "/read/ListStacks", `{"query":{"terms":"D"}}`, 200, []string{`"name":"db"`}, `"name":"web"`},
		{"list by server", "/read/ListStacks", `{"query":{"specific":{"server_ids":["atlas"],"states":["down"]}}}`, 200, []string{`[]`}, ""},
		{"list page", "/read/ListStacks", `{"limit":1,"page":1}`, 200, []string{`"name":"web"`}, `"name":"db"`},
		{"procedure has no info", "/read/GetProcedure", `{"procedure":"deploy"}`, 200, []string{`"info":null`, `"stages":[`}, ""},
		{"full list", "/read/ListFullServers", `{"limit":0}`, 200, []string{`"config":{`, `"attempted_public_key":""`}, ""},
		{"server state", "/read/GetServerState", `{"server":"atlas"}`, 200, []string{`{"status":"Ok"}`}, ""},
		{"summary", "/read/GetStacksSummary", `{}`, 200, []string{`"running":2`, `"down":0`, `"total":2`}, ""},
		{"servers summary", "/read/GetServersSummary", `{}`, 200, []string{`"healthy":1`, `"warning":0`}, ""},
		{"action state", "/read/GetStackActionState", `{"stack":"web"}`, 200, []string{`"deploying":false`, `"destroying":false`}, ""},
		{"services", "/read/ListStackServices", `{"stack":"web"}`, 200, []string{`"service":"web"`, `"state":"Healthy"`, `"swarm_service":null`}, ""},
		{"stack log", "/read/GetStackLog", `{"stack":"web","services":[]}`, 200, []string{`"stdout":"lines of web"`, `"success":true`}, ""},
		{"containers", "/read/ListAllContainers", `{}`, 200, []string{`"PublicPort":8080`, `"IP":null`, `"server_name":"atlas"`}, ""},
		{"tags", "/read/ListTags", `{"query":{"name":"prod"}}`, 200, []string{`"name":"prod"`}, "edge"},
		{"variables", "/read/ListVariables", `{}`, 200, []string{`"name":"TOKEN"`, `"is_secret":true`}, "tell nobody"},
		{"core info", "/read/GetCoreInfo", `{}`, 200, []string{`"default_pagination_limit":50`}, ""},
		{"rename answers an update", "/write/RenameRepo", `{"id":"homelab","name":"homelab"}`, 200, []string{`"operation":"RenameRepo"`, `"status":"Complete"`}, ""},
		{"name in use", "/write/CreateStack", `{"name":"web"}`, 409, []string{"already"}, ""},
		{"bad setting", "/write/CreateStack", `{"name":"x","config":{"brunch":"main"}}`, 422, []string{"did you mean branch?"}, ""},
		{"in use", "/write/DeleteServer", `{"id":"atlas"}`, 409, []string{"is used by"}, ""},
		{"bad variable name", "/write/CreateVariable", `{"name":"9x"}`, 422, []string{"9x"}, ""},
		{"unknown resource", "/execute/DeployStack", `{"stack":"nobody"}`, 404, []string{`there is no stack`}, ""},
		{"execution without its target", "/execute/DeployStack", `{}`, 422, []string{`parameter \"stack\" is missing`}, ""},
		{"execution with a wrong type", "/execute/DeployStack", `{"stack":"web","services":"one"}`, 422, []string{"parameters"}, ""},
		{"unknown run", "/read/GetUpdate", `{"id":"66c33c7c1a2b3c4d5e6f7a8b"}`, 404, []string{"no run"}, ""},
		{"filter operator", "/read/ListUpdates", `{"query":{"x":{"$where":"1"}}}`, 422, []string{"$where"}, ""},
		{"plan with a mistake", "/read/PlanResources", `{"files":[{"name":"a.toml","text":"[[stack]]\nname='x'\nconfig.brunch='y'\n"}]}`, 200, []string{`"line":3`, "did you mean branch"}, ""},
		{"apply with a mistake", "/write/ApplyResources", `{"files":[{"name":"a.toml","text":"[[stack]]\nname='x'\nname='y'\n"}]}`, 422, []string{"a.toml:3"}, ""},
		{"join token", "/write/CreateJoinToken", `{"server":"vault"}`, 200, []string{"for-vault-by-ada"}, ""},
		{"redeliver", "/execute/Redeliver", `{"id":"d1"}`, 200, []string{`"again":"d1"`}, ""},
		{"requests", "/read/ListRequests", `{}`, 200, []string{`"name":"DeployStack"`, `"own":true`}, ""},
		{"empty body", "/read/GetVersion", ``, 400, []string{"not JSON"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, text := w.post(c.path, c.body)
			if status != c.status {
				t.Errorf("status %d: %s", status, text)
			}
			for _, s := range c.want {
				if !strings.Contains(text, s) {
					t.Errorf("the answer lacks %s: %s", s, text)
				}
			}
			if c.not != "" && strings.Contains(text, c.not) {
				t.Errorf("the answer has %s: %s", c.not, text)
			}
			if c.status != 200 {
				var p struct {
					Error string   `json:"error"`
					Trace []string `json:"trace"`
				}
				if err := json.Unmarshal([]byte(text), &p); err != nil || p.Error == "" || p.Trace == nil {
					t.Errorf("not an error of the wire: %s", text)
				}
			}
		})
	}
}

func TestTransport(t *testing.T) {
	w := newWorld(t)
	js := "application/json"
	good := func() http.Header {
		return http.Header{"Content-Type": {js}, "X-Api-Key": {w.key}, "X-Api-Secret": {w.secret}}
	}
	with := func(key, value string) http.Header {
		h := good()
		h.Set(key, value)
		return h
	}
	for _, c := range []struct {
		name, path, body string
		h                http.Header
		status           int
		want             string
	}{
		{"nobody", "/read/GetVersion", `{}`, http.Header{"Content-Type": {js}}, 401, "no credentials"},
		{"wrong secret", "/read/GetVersion", `{}`, with("X-Api-Secret", "S_x_S"), 401, "wrong"},
		{"wrong secret on manage", "/auth/manage/CreateApiKey", `{"name":"x"}`, with("X-Api-Secret", "S_x_S"), 401, "wrong"},
		{"no content type", "/read/GetVersion", `{}`, with("Content-Type", ""), 415, "content-type"},
		{"text", "/read/GetVersion", `{}`, with("Content-Type", "text/plain"), 415, "content-type"},
		{"charset", "/read/GetVersion", `{}`, with("Content-Type", "application/json; charset=utf-8"), 200, "0.1.0"},
		{"too large", "/read/GetVersion", `{"x":"` + strings.Repeat("x", 3<<20) + `"}`, good(), 413, "2 MB"},
		{"version for all", "/version", "GET", http.Header{}, 200, "0.1.0"},
		{"login options for all", "/auth/login/GetLoginOptions", `{}`, http.Header{"Content-Type": {js}}, 200, `"local":true`},
		{"wrong password", "/auth/login/LoginLocalUser", `{"username":"ada","password":"x"}`, http.Header{"Content-Type": {js}}, 401, "wrong"},
		{"user", "/user", "GET", good(), 200, `"username":"ada"`},
		{"nobody's user", "/user", "GET", http.Header{}, 401, "no credentials"},
		{"docs", "/docs", "GET", http.Header{}, 200, "ListStacks"},
		{"docs of a request", "/docs/read/GetStack", "GET", http.Header{}, 200, "curl -X POST"},
		{"docs of a login", "/docs/auth/login/LoginLocalUser", "GET", http.Header{}, 200, "curl -X POST"},
		{"OpenAPI", "/docs/openapi.json", "GET", http.Header{}, 200, `"openapi":"3.1.0"`},
		{"get instead of post", "/read/GetVersion", "GET", good(), 405, ""},
		{"slash at the end", "/read/", `{}`, good(), 404, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, text := w.send(c.path, c.body, c.h)
			if status != c.status || !strings.Contains(text, c.want) {
				t.Errorf("%d %.300s", status, text)
			}
		})
	}
}

func TestDocsLoadNothingFromElsewhere(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/docs", "/docs/read/GetStack"} {
		_, text := w.send(path, "GET", http.Header{})
		text = regexp.MustCompile(`<script id="api-reference" type="application/json">[^<]*</script>`).ReplaceAllString(text, "") // data
		for _, bad := range []string{"<script", "src=", "@import", "<link"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s has %s", path, bad)
			}
		}
	}
}

func TestOpenAPIIsWhole(t *testing.T) {
	w := newWorld(t)
	_, text := w.send("/docs/openapi.json", "GET", http.Header{})
	var doc struct {
		Paths      map[string]any
		Components struct{ Schemas map[string]any }
	}
	must(t, json.Unmarshal([]byte(text), &doc))
	for _, r := range w.api.Rows() {
		if doc.Paths["/"+string(r.Group)+"/"+r.Name] == nil {
			t.Errorf("no path for %s", r.Name)
		}
	}
	for part := range strings.SplitSeq(text, `"$ref":"#/components/schemas/`) {
		name, _, _ := strings.Cut(part, `"`)
		if !strings.HasPrefix(part, "{") && doc.Components.Schemas[name] == nil {
			t.Errorf("a reference to %q, which is not there", name)
		}
	}
}

func TestLoginAndToken(t *testing.T) {
	w := newWorld(t)
	_, text := w.send("/auth/login", `{"type":"LoginLocalUser","params":{"username":"ada","password":"correct horse"}}`, http.Header{"Content-Type": {"application/json"}})
	var a struct {
		Type string
		Data struct{ JWT string }
	}
	must(t, json.Unmarshal([]byte(text), &a))
	if a.Type != "Jwt" || strings.Count(a.Data.JWT, ".") != 2 {
		t.Fatal(text)
	}
	status, text := w.send("/user", "GET", http.Header{"Authorization": {a.Data.JWT}})
	if status != 200 || strings.Contains(text, "argon") {
		t.Errorf("%d %s", status, text)
	}
}

func TestKeyOverTheWire(t *testing.T) {
	w := newWorld(t)
	k := ok[struct{ Key, Secret string }](w, "/auth/manage/CreateApiKey", `{"name":"second"}`)
	if _, text := w.post("/read/ListApiKeys", `{}`); !strings.Contains(text, k.Key) || strings.Contains(text, k.Secret) {
		t.Error(text)
	}
	h := http.Header{"Content-Type": {"application/json"}, "X-Api-Key": {k.Key}, "X-Api-Secret": {k.Secret}}
	if status, text := w.send("/read/GetVersion", `{}`, h); status != 200 {
		t.Error(status, text)
	}
	ok[any](w, "/auth/manage/DeleteApiKey", `{"key":"`+k.Key+`"}`)
	if status, text := w.send("/read/GetVersion", `{}`, h); status != 401 {
		t.Error(status, text)
	}
}
