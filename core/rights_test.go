package core

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"berth/core/resource"
)

// whatNeeds is what the requests of Komodo's clients need, as its reference has it.
func whatNeeds(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("api/testdata/needs.json")
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]string
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// somebody is a user of the walk with what he may do with every resource.
type somebody struct {
	name  string
	level string
	rank  int
	all   bool // has every specific permission too
	door  *door
}

// kindsOfRights are the types on which there are permissions.
func kindsOfRights() []string {
	return []string{"Swarm", "Server", "Stack", "Deployment", "Build", "Repo", "Procedure", "Action", "Builder", "Alerter", "ResourceSync"}
}

// people makes a user of every level, by name: with and without specifics.
func people(d *door) []*somebody {
	d.t.Helper()
	list := []*somebody{
		{name: "nobody", level: "None"},
		{name: "reader", level: "Read", rank: 1},
		{name: "runner", level: "Execute", rank: 2},
		{name: "writer", level: "Write", rank: 3},
		{name: "looker", level: "Read", rank: 1, all: true},
	}
	for _, p := range list {
		var made struct {
			ID struct {
				OID string `json:"$oid"`
			} `json:"_id"`
		}
		d.call("/write/CreateServiceUser", map[string]any{"username": p.name, "description": ""}, &made)
		specific := []string{}
		if p.all {
			specific = []string{"Terminal", "Attach", "Inspect", "Logs", "Processes"}
		}
		for _, kind := range kindsOfRights() {
			d.call("/write/UpdatePermissionOnResourceType", map[string]any{
				"user_target": map[string]string{"type": "User", "id": p.name}, "resource_type": kind,
				"permission": map[string]any{"level": p.level, "specific": specific},
			}, &struct{}{})
		}
		var key struct{ Key, Secret string }
		d.call("/write/CreateApiKeyForServiceUser", map[string]any{"user_id": made.ID.OID, "name": "walk"}, &key)
		p.door = &door{t: d.t, url: d.url, key: key.Key, secret: key.Secret}
	}
	return list
}

// allowed says whether somebody may make a request by what the reference says.
func (p *somebody) allowed(needs string, aboutOne bool) (may, known bool) {
	base, also, _ := strings.Cut(needs, "+")
	also, creates, _ := strings.Cut(also, "; ")
	if strings.Contains(needs, "; create right") {
		base, creates = strings.TrimSuffix(base, "; create right"), "create right"
	}
	_ = creates
	rank := map[string]int{"Read": 1, "Execute": 2, "Write": 3}[base]
	switch {
	case needs == "admin" || needs == "super admin":
		return false, true
	case rank == 0 || strings.HasPrefix(needs, "any user"):
		return true, false // by its own rules: see what they say below
	case !aboutOne:
		return true, also == "" // lists leave out what one may not see
	}
	return p.rank >= rank && (also == "" || p.all), true
}

// TestListsShowWhatOneMayRead looks at lists as one who may read one stack of two.
func TestListsShowWhatOneMayRead(t *testing.T) {
	d := openDoor(t, config(t, t.TempDir()))
	for _, name := range []string{"seen", "hidden"} {
		d.call("/write/CreateStack", map[string]any{"name": name, "config": map[string]any{"file_contents": "services: {}"}}, &struct{}{})
	}
	users := people(d)
	nobody := users[slices.IndexFunc(users, func(p *somebody) bool { return p.name == "nobody" })]
	grant := func(level string) {
		d.call("/write/UpdatePermissionOnTarget", map[string]any{
			"user_target": map[string]string{"type": "User", "id": "nobody"}, "resource_target": map[string]string{"type": "Stack", "id": "seen"},
			"permission": level,
		}, &struct{}{})
	}
	names := func() string {
		var list []struct{ Name string }
		nobody.door.call("/read/ListStacks", map[string]any{}, &list)
		return fmt.Sprint(list)
	}
	if got := names(); got != "[]" {
		t.Errorf("without a permission: %s", got)
	}
	grant("Read")
	if got := names(); got != "[{seen}]" {
		t.Errorf("with Read on one: %s", got)
	}
	var sum struct{ Total int }
	nobody.door.call("/read/GetStacksSummary", map[string]any{}, &sum)
	if sum.Total != 1 {
		t.Errorf("the summary counts %d", sum.Total)
	}
	for path, body := range map[string]string{
		"/read/GetStack": `{"stack":"hidden"}`, "/execute/DeployStack": `{"stack":"seen"}`, "/read/GetStackLog": `{"stack":"seen","services":[]}`,
		"/write/UpdateStack": `{"id":"seen","config":{}}`, "/read/GetStack?": `{"stack":"seen","id":"hidden","STACK":"hidden"}`,
	} {
		status, text := nobody.door.post(path, []byte(body))
		if path == "/read/GetStack?" { // what was checked is what is shown
			if status != http.StatusOK || !strings.Contains(string(text), `"name":"seen"`) {
				t.Errorf("two names: %d %.200s", status, text)
			}
			continue
		}
		want := http.StatusForbidden
		if strings.Contains(body, "hidden") { // as if there were none
			want = http.StatusNotFound
		}
		if status != want {
			t.Errorf("%s %s: %d %.200s", path, body, status, text)
		}
	}
	for _, name := range []string{"hidden", "absent"} { // which of them there is, nobody learns
		var p struct{ Error string }
		_, text := nobody.door.post("/execute/DeployStack", []byte(`{"stack":"`+name+`"}`))
		if err := json.Unmarshal(text, &p); err != nil || p.Error != `there is no stack "`+name+`"` {
			t.Errorf("%s: %s", name, text)
		}
	}
	grant("Execute")
	if status, text := nobody.door.post("/execute/DeployStack", []byte(`{"stack":"seen"}`)); status != http.StatusOK {
		t.Errorf("with Execute: %d %s", status, text)
	}
	var batch []struct{ Status string }
	nobody.door.call("/execute/BatchDeployStack", map[string]any{"pattern": "*"}, &batch)
	if len(batch) != 1 {
		t.Errorf("a batch works on %d", len(batch))
	}
	d.call("/write/UpdateUserBasePermissions", map[string]any{"user_id": "nobody", "enabled": false}, &struct{}{})
	if status, _ := nobody.door.post("/read/ListStacks", []byte(`{}`)); status != http.StatusUnauthorized && status != http.StatusForbidden {
		t.Errorf("disabled: %d", status)
	}
}

// TestAuditSaysWhoDidWhatAndNoSecret changes and is refused, and reads the record.
func TestAuditSaysWhoDidWhatAndNoSecret(t *testing.T) {
	d := openDoor(t, config(t, t.TempDir()))
	users := people(d)
	nobody := users[0]
	d.call("/write/CreateStack", map[string]any{"name": "web", "config": map[string]any{"webhook_secret": "hush-hush-1", "environment": "A=1"}}, &struct{}{})
	d.call("/write/UpdateStack", map[string]any{"id": "web", "config": map[string]any{"webhook_secret": "hush-hush-2", "environment": "A=2"}}, &struct{}{})
	d.call("/write/CreateVariable", map[string]any{"name": "TOKEN", "value": "hush-hush-3", "is_secret": true}, &struct{}{})
	d.call("/write/CreateLocalUser", map[string]any{"username": "kim", "password": "hush-hush-hush"}, &struct{}{})
	for range 3 {
		if status, _ := nobody.door.post("/write/DeleteStack", []byte(`{"id":"web"}`)); status != http.StatusNotFound {
			t.Errorf("a delete by nobody: %d", status)
		}
	}
	var page struct {
		Records []struct {
			Actor         struct{ Name string }
			From, Request string
			Code          string
			Target        struct{ Name string }
			Before, After string
		}
	}
	d.call("/read/ListAudit", map[string]any{"request": "UpdateStack"}, &page)
	if r := page.Records; len(r) != 1 || r[0].Target.Name != "web" || r[0].From == "" || !strings.HasPrefix(r[0].Actor.Name, "mira") ||
		!strings.Contains(r[0].Before, "A=1") || !strings.Contains(r[0].After, "A=2") {
		t.Errorf("the change: %+v", r)
	}
	d.call("/read/ListAudit", map[string]any{"refused": true}, &page)
	if r := page.Records; len(r) != 1 || r[0].Code != "denied" || r[0].Request != "DeleteStack" || !strings.HasPrefix(r[0].Actor.Name, "nobody") {
		t.Errorf("the refusal, once: %+v", r)
	}
	var all json.RawMessage
	d.call("/read/ListAudit", map[string]any{"limit": 1000}, &all)
	if strings.Contains(string(all), "hush") || !strings.Contains(string(all), "CreateLocalUser") {
		t.Errorf("a secret, or something is missing: %s", all)
	}
	if status, _ := nobody.door.post("/read/ListAudit", []byte(`{}`)); status != http.StatusForbidden {
		t.Errorf("the record by nobody: %d", status)
	}
}

// TestAuditSaysWhoSignedIn signs in by API and on the page, well and badly, and is refused
// at the doors beside the table.
func TestAuditSaysWhoSignedIn(t *testing.T) {
	d := openDoor(t, config(t, t.TempDir()))
	stranger := &door{t: t, url: d.url}
	stranger.post("/auth/login/LoginLocalUser", []byte(`{"username":"mira","password":"wrong horse hush-1"}`))
	stranger.post("/auth/login/LoginLocalUser", []byte(`{"username":"hush-2-in-the-wrong-field","password":"hush-3"}`))
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, password := range []string{"wrong hush-4", "correct horse battery"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.url+"/login", strings.NewReader("username=mira&password="+strings.ReplaceAll(password, " ", "+")))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", d.url)
		res, err := browser.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
	}
	stranger.post("/backup", []byte(`{"recipients":["hush-5"]}`))
	var page struct {
		Records []struct {
			Actor, Target      struct{ Name string }
			Via, Request, Code string
		}
	}
	d.call("/read/ListAudit", map[string]any{"limit": 1000}, &page)
	seen := map[string]int{}
	for _, r := range page.Records {
		seen[strings.TrimSpace(r.Request+" "+r.Code+" "+r.Via+" by "+r.Actor.Name+" on "+r.Target.Name)]++
	}
	for _, want := range []string{
		"LoginLocalUser   by mira on mira", "LoginLocalUser  click by mira on mira", "LoginLocalUser unauthenticated  by  on mira", "TakeBackup unauthenticated  by  on",
	} {
		if seen[want] == 0 {
			t.Errorf("no record %q of %v", want, seen)
		}
	}
	var all json.RawMessage
	d.call("/read/ListAudit", map[string]any{"limit": 1000}, &all)
	if strings.Contains(string(all), "hush") || strings.Contains(string(all), "horse") {
		t.Errorf("a secret: %s", all)
	}
}

// TestAuditIsNotFlooded asks as a stranger, in all the ways that a stranger can: what
// was done must stay in the record.
func TestAuditIsNotFlooded(t *testing.T) {
	d := openDoor(t, config(t, t.TempDir()))
	stranger := &door{t: t, url: d.url}
	for range 20 {
		for _, name := range []string{"GetLoginOptions", "LoginLocalUser", "OnboardServer"} {
			stranger.post("/auth/login/"+name, []byte(`{}`))
		}
		d.call("/auth/manage/GetUserId", struct{}{}, &struct{}{})
	}
	var rows []struct{ Group, Name string }
	d.call("/read/ListRequests", struct{}{}, &rows)
	for _, r := range rows {
		if r.Group != "auth/login" {
			stranger.post("/"+r.Group+"/"+r.Name, []byte(`{}`))
		}
	}
	var page struct {
		Records []struct{ Group, Request, Code string }
	}
	d.call("/read/ListAudit", map[string]any{"limit": 1000}, &page)
	if n := len(page.Records); n == 0 || n > 35 {
		t.Errorf("%d records of a stranger who asked for %d requests", n, len(rows))
	}
	for _, r := range page.Records {
		done := r.Code == "" && (r.Request == "LoginLocalUser" || r.Request == "CreateApiKey") // how the administrator came in
		if !done && r.Code != "unauthenticated" && r.Code != "too_many" {
			t.Errorf("nothing was done, and it is recorded: %+v", r)
		}
	}
}

// TestNobodyGetsRightsByNamesAndTags changes that by which groups know resources.
func TestNobodyGetsRightsByNamesAndTags(t *testing.T) {
	d := openDoor(t, config(t, t.TempDir()))
	users := people(d)
	by := func(name string) *somebody {
		return users[slices.IndexFunc(users, func(p *somebody) bool { return p.name == name })]
	}
	post := func(who *somebody, path string, params any, want int) {
		t.Helper()
		body, err := json.Marshal(params)
		if err != nil {
			t.Fatal(err)
		}
		if status, text := who.door.post(path, body); status != want {
			t.Errorf("%s by %s: %d %s, want %d", path, who.name, status, text, want)
		}
	}
	meta := func(tags ...string) any {
		return map[string]any{"target": map[string]string{"type": "Server", "id": "attic"}, "tags": tags}
	}
	d.call("/write/CreateServer", map[string]any{"name": "attic"}, &struct{}{})
	d.call("/write/CreateUserGroup", map[string]any{"name": "ops"}, &struct{}{})
	d.call("/write/SetUsersInUserGroup", map[string]any{"user_group": "ops", "users": []string{"writer", "nobody"}}, &struct{}{})
	d.call("/write/UpdateUserGroup", map[string]any{"id": "ops", "config": map[string]any{"permissions": []any{
		map[string]any{"target": map[string]string{"type": "Server", "id": "tag:prod"}, "level": "Write", "specific": []string{"Terminal"}},
		map[string]any{"target": map[string]string{"type": "Server", "id": "web-*"}, "level": "Read", "specific": []string{"Processes"}},
	}}}, &struct{}{})
	post(by("nobody"), "/write/CreateTag", map[string]any{"name": "mine"}, http.StatusOK)
	post(by("writer"), "/write/UpdateResourceMeta", meta("mine"), http.StatusOK)
	post(by("writer"), "/write/UpdateResourceMeta", meta("mine", "prod"), http.StatusForbidden)
	post(by("writer"), "/write/RenameServer", map[string]any{"id": "attic", "name": "web-1"}, http.StatusForbidden)
	post(by("writer"), "/write/RenameServer", map[string]any{"id": "attic", "name": "loft"}, http.StatusOK)
	post(by("nobody"), "/write/RenameTag", map[string]any{"id": "mine", "name": "prod"}, http.StatusForbidden)
	post(by("nobody"), "/read/GetServer", map[string]any{"server": "loft"}, http.StatusNotFound)
	post(by("nobody"), "/write/RenameTag", map[string]any{"id": "mine", "name": "ours"}, http.StatusOK)
	post(by("nobody"), "/write/DeleteTag", map[string]any{"id": "ours"}, http.StatusOK)
}

// TestGroupsAndCreators asks what a group's patterns and tags give, and what the
// creator of something may.
func TestGroupsAndCreators(t *testing.T) {
	d := openDoor(t, config(t, t.TempDir()))
	d.call("/write/CreateStack", map[string]any{"name": "web-1"}, &struct{}{})
	d.call("/write/CreateStack", map[string]any{"name": "theirs"}, &struct{}{})
	d.call("/write/UpdateResourceMeta", map[string]any{"target": map[string]string{"type": "Stack", "id": "web-1"}, "tags": []string{"prod"}}, &struct{}{})
	users := people(d)
	nobody := users[slices.IndexFunc(users, func(p *somebody) bool { return p.name == "nobody" })]
	may := func(who *somebody, name string) string {
		status, text := who.door.post("/read/GetPermission", []byte(`{"target":{"type":"Stack","id":"`+name+`"}}`))
		if status != http.StatusOK {
			t.Fatalf("%d %s", status, text)
		}
		return string(text)
	}
	d.call("/write/CreateUserGroup", map[string]any{"name": "ops"}, &struct{}{})
	d.call("/write/AddUserToUserGroup", map[string]any{"user_group": "ops", "user": "nobody"}, &struct{}{})
	for _, c := range []struct{ id, level, want string }{
		{"web-*", "Execute", `"Execute"`}, {"db-*", "Execute", `"None"`}, {"tag:prod", "Write", `"Write"`}, {"tag:test", "Write", `"None"`}, {`\^web-[0-9]{1,2}$\`, "Read", `"Read"`},
	} {
		d.call("/write/UpdateUserGroup", map[string]any{"id": "ops", "config": map[string]any{"permissions": []any{
			map[string]any{"target": map[string]string{"type": "Stack", "id": c.id}, "level": c.level},
		}}}, &struct{}{})
		if got := may(nobody, "web-1"); got != c.want {
			t.Errorf("by %s: %s, want %s", c.id, got, c.want)
		}
		refused := map[string]int{`"None"`: 404, `"Read"`: 403}[c.want]
		if status, _ := nobody.door.post("/execute/DeployStack", []byte(`{"stack":"web-1"}`)); status != cmp.Or(refused, 200) {
			t.Errorf("by %s he deploys: %d", c.id, status)
		}
	}
	d.call("/write/RemoveUserFromUserGroup", map[string]any{"user_group": "ops", "user": "nobody"}, &struct{}{})
	if got := may(nobody, "web-1"); got != `"None"` {
		t.Errorf("out of the group: %s", got)
	}
	if status, text := nobody.door.post("/write/CreateStack", []byte(`{"name":"own"}`)); status != http.StatusOK {
		t.Fatalf("create: %d %s", status, text)
	}
	if got := may(nobody, "own"); got != `{"level":"Write","specific":["Terminal","Inspect","Logs"]}` {
		t.Errorf("of his own: %s", got)
	}
	for kind, want := range map[string]int{"Server": 403, "Build": 403, "Action": 403, "Alerter": 403, "ResourceSync": 403, "Builder": 403, "Repo": 200, "Procedure": 200} {
		if status, text := nobody.door.post("/write/Create"+kind, []byte(`{"name":"of-`+strings.ToLower(kind)+`"}`)); status != want {
			t.Errorf("Create%s: %d %s", kind, status, text)
		}
	}
	steps := `{"id":"of-procedure","config":{"stages":[{"name":"a","executions":[{"execution":{"type":"%s","params":%s}}]}]}}`
	for body, want := range map[string]int{
		fmt.Sprintf(steps, "BackupCoreDatabase", "{}"):              403,
		fmt.Sprintf(steps, "BatchDeployStack", `{"pattern":"*"}`):   403,
		fmt.Sprintf(steps, "DestroyStack", `{"stack":"own"}`):       200,
		fmt.Sprintf(steps, "RunProcedure", `{"procedure":"other"}`): 422,
		fmt.Sprintf(steps, "DeployStack", `{"stack":"theirs"}`):     422, // of what he may not read there is none
	} {
		if status, text := nobody.door.post("/write/UpdateProcedure", []byte(body)); status != want {
			t.Errorf("%s: %d %s", body, status, text)
		}
	}
}

// TestPlansWarnOfStrangers plans, applies and syncs a group that names nobody there is.
func TestPlansWarnOfStrangers(t *testing.T) {
	d := openDoor(t, config(t, t.TempDir()))
	d.call("/write/CreateLocalUser", map[string]any{"username": "lee", "password": "correct horse battery"}, &struct{}{})
	text := "[[user_group]]\nname = \"ops\"\nusers = [\"leo\", \"lee\", \"a-stranger\"]\n"
	want := []string{`ops.toml:3: user_group[0].users: there is no user "a-stranger"; it counts once there is one`, `ops.toml:3: user_group[0].users: there is no user "leo": did you mean "lee"?`}
	files := map[string]any{"files": []any{map[string]string{"name": "ops.toml", "text": text}}}
	var plan resource.Plan
	for _, path := range []string{"/read/PlanResources", "/write/ApplyResources", "/read/PlanResources"} { // the last has nothing to change
		plan = resource.Plan{}
		d.call(path, files, &plan)
		var got []string
		for _, i := range plan.Issues {
			if !i.Warning {
				t.Errorf("%s: no warning: %s", path, i)
			}
			got = append(got, i.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s says %q", path, got)
		}
	}
	if plan.Err() != nil || !plan.Empty() {
		t.Errorf("after it was applied: %v", plan)
	}
}
