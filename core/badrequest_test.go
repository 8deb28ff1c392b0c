package core

import (
	"bytes"
	"encoding/json"
	"flag"
	"hash/fnv"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// badRequests is how many are sent to every request of the table; task fuzz sends
// a thousand, with the race detector on.
var badRequests = flag.Int("bad-requests", 40, "bad requests per row of the table")

// door is a core's HTTP API for one user.
type door struct {
	t           *testing.T
	url         string
	key, secret string
	client      http.Client
}

// post returns status and body.
func (d *door) post(path string, body []byte) (int, []byte) {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodPost, d.url+path, bytes.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if d.key != "" {
		req.Header.Set("X-Api-Key", d.key)
		req.Header.Set("X-Api-Secret", d.secret)
	}
	resp, err := d.client.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return resp.StatusCode, text
}

// call is a request that is answered 200.
func (d *door) call(path string, params, into any) {
	d.t.Helper()
	body, err := json.Marshal(params)
	if err != nil {
		d.t.Fatal(err)
	}
	status, text := d.post(path, body)
	if status != http.StatusOK {
		d.t.Fatalf("%s: %d %s", path, status, text)
	}
	if err := json.Unmarshal(text, into); err != nil {
		d.t.Fatalf("%s: %v", path, err)
	}
}

// openDoor is a door of the first administrator.
func openDoor(t *testing.T, cfg Config) *door {
	t.Helper()
	cfg.AdminUsername, cfg.AdminPassword = "mira", "correct horse battery"
	info, _ := serve(t, cfg)
	d := &door{t: t, url: "http://" + info.Addr}
	var login struct{ Data struct{ JWT string } }
	d.call("/auth/login/LoginLocalUser", map[string]string{"username": cfg.AdminUsername, "password": cfg.AdminPassword}, &login)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.url+"/auth/manage/CreateApiKey", strings.NewReader(`{"name": "test"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", login.Data.JWT)
	resp, err := d.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var made struct{ Key, Secret string }
	if err := json.NewDecoder(resp.Body).Decode(&made); err != nil {
		t.Fatal(err)
	}
	d.key, d.secret = made.Key, made.Secret
	return d
}

// listed is a row of the table as ListRequests shows it.
type listed struct {
	Group  string
	Name   string
	Kind   string
	Params []struct {
		Name     string
		Type     string
		Required bool
	}
	Example map[string]json.RawMessage
}

// TestBadRequests sends generated bad requests to every row of the table: each is
// refused as the caller's mistake, and changes nothing.
func TestBadRequests(t *testing.T) {
	d := openDoor(t, config(t, t.TempDir()))
	var rows []listed
	d.call("/read/ListRequests", struct{}{}, &rows)
	if len(rows) < 200 {
		t.Fatalf("the table has %d rows", len(rows))
	}
	before := d.state()
	for _, row := range rows {
		h := fnv.New64a()
		_, _ = h.Write([]byte(row.Group + row.Name))
		r := rand.New(rand.NewPCG(h.Sum64(), 1))
		for range *badRequests {
			what, body := spoil(r, row)
			path := "/" + row.Group + "/" + row.Name
			if json.Valid(body) && r.IntN(2) == 0 {
				path, body = "/"+row.Group, bodyForm(row.Name, body)
			}
			status, text := d.post(path, body)
			var p struct {
				Error *string
				Trace *[]string
			}
			if err := json.Unmarshal(text, &p); err != nil || p.Error == nil || *p.Error == "" || p.Trace == nil {
				t.Errorf("%s, %s: %s is answered %d without an error body: %s", path, what, clip(body), status, clip(text))
			}
			if status < 400 || status >= 500 && status != http.StatusNotImplemented {
				t.Errorf("%s, %s: %s is answered %d: %s", path, what, clip(body), status, clip(text))
			}
		}
	}
	if after := d.state(); after != before {
		t.Errorf("something changed:\n%s\nbefore:\n%s", after, before)
	}
}

func clip(b []byte) string {
	if len(b) > 200 {
		return string(b[:200]) + "…"
	}
	return string(b)
}

// state is all that requests can change, as far as the API shows it.
func (d *door) state() string {
	var out strings.Builder
	used := regexp.MustCompile(`"last_used_at":\d+`) // it moves with every request
	for path, params := range map[string]any{
		"/read/ExportAllResourcesToToml": map[string]any{"include_resources": true, "include_variables": true, "include_user_groups": true},
		"/read/ListUpdates":              struct{}{}, "/read/ListRuns": struct{}{}, "/read/ListApiKeys": struct{}{}, "/read/ListTags": struct{}{},
	} {
		var v json.RawMessage
		d.call(path, params, &v)
		out.WriteString(path + ": " + used.ReplaceAllString(string(v), "") + "\n")
	}
	lines := strings.Split(out.String(), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func bodyForm(name string, params []byte) []byte {
	return []byte(`{"type": "` + name + `", "params": ` + string(params) + `}`)
}

// spoil makes a bad request of a row from its example: broken JSON, or a parameter
// that is missing, null or of a wrong type.
func spoil(r *rand.Rand, row listed) (what string, body []byte) {
	params := maps.Clone(row.Example)
	if params == nil {
		params = map[string]json.RawMessage{}
	}
	var typed []int
	for i, p := range row.Params {
		if p.Type != "any" {
			typed = append(typed, i)
		}
	}
	kind := r.IntN(10)
	if len(typed) == 0 || kind < 2 {
		return "no JSON object", pick(r, broken())
	}
	p := row.Params[typed[r.IntN(len(typed))]]
	switch {
	case p.Required && kind < 4:
		delete(params, p.Name)
		what = "without " + p.Name
	case p.Required && kind < 5:
		params[p.Name] = json.RawMessage("null")
		what = "null as " + p.Name
	default:
		params[p.Name] = pick(r, wrongType(p.Type))
		what = "a wrong type for " + p.Name
	}
	body, _ = json.Marshal(params) // of valid parts
	return what, body
}

func pick(r *rand.Rand, from []string) []byte { return []byte(from[r.IntN(len(from))]) }

func broken() []string {
	return []string{
		"", "{", "}", "nul", `{"a": }`, `{"a": 1,}`, "[1, 2", "\xff\xfe", `{"a": "\x01"}`, "[]", `"text"`, "17", "true", "[{}]",
		strings.Repeat("[", 20_000), strings.Repeat(`{"a":`, 20_000), `{"a": "` + strings.Repeat("x", 70_000),
	}
}

func wrongType(of string) []string {
	all := map[string]string{
		"string": `"a text"`, "integer": "17", "number": "1.5", "boolean": "true", "object": `{"a": 1}`, "array": `[{"a": [1]}, 2]`,
	}
	switch of {
	case "string":
		return []string{all["integer"], all["boolean"], all["object"], all["array"]}
	case "integer":
		return []string{`"x"`, all["number"], all["boolean"], all["object"], all["array"], "1e400"}
	case "number":
		return []string{`"x"`, all["boolean"], all["object"], all["array"]}
	case "boolean":
		return []string{`"maybe"`, all["integer"], all["object"], all["array"]}
	case "array":
		return []string{all["integer"], all["boolean"], all["object"], all["array"]}
	default:
		return []string{all["integer"], all["boolean"], all["array"]}
	}
}
