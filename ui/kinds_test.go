package ui_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/schema"
	"berth/ui/page"
	"berth/ui/uitest"
)

func TestPagesOfKinds(t *testing.T) {
	w := uitest.Homelab()
	for name, c := range map[string]struct {
		path   string
		status int
		has    []string
		hasNot []string
	}{
		"syncs": {"/syncs", 200, []string{"fleet", "1 create, 1 update, 1 delete, 1 deploy", "pending", "lab", "failed"}, nil},
		"sync": {"/syncs/fleet", 200, []string{
			"resources/stacks.toml:41", "did you mean branch?", `value="stack/immich"`, "<del>true</del>", "<ins>false</ins>", "taken down",
			`name="confirm_deletes"`, "its settings change", "lacks the tag home", "nothing in bookstack/ changed", `action="/syncs/fleet/run"`, "+ name = &#34;immich&#34;",
		}, nil},
		"sync that failed": {"/syncs/lab", 200, []string{"stacks.toml:7", "did you mean nexus?", "nothing is planned"}, []string{"Execute what is ticked"}},
		"sync, settings":   {"/syncs/fleet?tab=config", 200, []string{"Berth only", "Max delete", `name="has:resource_path"`, "Rename", "Copy"}, nil},
		"builds":           {"/builds", 200, []string{"caddy", "1.4.2", "nexus-builder"}, nil},
		"build":            {"/builds/caddy", 200, []string{"ghcr.io/matt/caddy", "sha256:3d2f", "1.4.1", "/do/RunBuild?target=caddy"}, nil},
		"build, settings":  {"/builds/caddy?tab=config", 200, []string{`name="image_registry[0].domain"`, `name="del:image_registry[0]"`, `name="image_registry[1].domain"`, `value="0.0.0"`}, nil},
		"deployments":      {"/deployments", 200, []string{"proxy", "running"}, nil},
		"deployment":       {"/deployments/proxy", 200, []string{"443", "newer image", "/do/Deploy?target=proxy"}, nil},
		"deployment, form": {"/deployments/proxy?tab=config", 200, []string{`data-union="image.params"`, `name="image.params.Image.image"`, `name="image.params.Build.version"`}, nil},
		"actions":          {"/actions", 200, []string{"tidy", "Every day at 04:30"}, nil},
		"action":           {"/actions/tidy", 200, []string{"ListStacks", "core was away", `action="/actions/tidy/run"`}, nil},
		"alerters":         {"/alerters", 200, []string{"phone", "Ntfy"}, nil},
		"alerter":          {"/alerters/phone", 200, []string{"waiting after 2 attempts", "503 Service Unavailable"}, nil},
		"alerter, form":    {"/alerters/phone?tab=config", 200, []string{`name="endpoint.params.Ntfy.url"`, `value="ScheduleRun"`}, nil},
		"builder":          {"/builders/nexus-builder", 200, []string{`data-type="Aws"`, `name="params.Server.server_ids"`}, nil},
		"group":            {"/groups/family", 200, []string{"mira", "&#34;Execute&#34;"}, nil},
		"variable":         {"/variables/FORGEJO_TOKEN?tab=config", 200, []string{"leave empty to keep it"}, nil},
		"swarms, none":     {"/swarms", 200, []string{"No Swarms yet"}, nil},
		"alerts":           {"/alerts", 200, []string{"fleet has pending changes", "abandoned after 31 attempts", "connection refused", "/close"}, nil},
		"schedules":        {"/schedules", 200, []string{"Every day at 03:00", "Europe/Berlin", "in 4 h"}, nil},
		"procedure":        {"/procedures/deploy-homelab", 200, []string{"nothing matches now", "waits for an approval", "2 at once", ">bookstack<"}, nil},
		"approval":         {"/runs/1140", 200, []string{`action="/runs/1140/approve"`, "Approve Deploy", "look"}, nil},
		"new":              {"/new/build", 200, []string{`action="/new/build"`}, nil},
		"new what":         {"/new/thing", 404, nil, nil},
		"all as TOML":      {"/apply?all=1", 200, []string{"[[", "Export all"}, nil},
		"unknown build":    {"/builds/nothing", 404, []string{"There is no build called"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := get(t, bundled(t, w), c.path)
			if r.Code != c.status {
				t.Fatalf("status %d, want %d: %s", r.Code, c.status, r.Body)
			}
			checkPage(t, r.Body.String(), c.has, c.hasNot)
		})
	}
}

func TestActsOnKinds(t *testing.T) {
	alert := schema.DeriveID("uitest", "alert1")
	for name, c := range map[string]struct {
		path string
		form url.Values
		to   string
		want []uitest.Call
	}{
		"create":        {"/new/build", url.Values{"name": {" web "}}, "/builds/web?tab=config", []uitest.Call{{What: "create", Name: "build/web"}}},
		"create, taken": {"/new/build", url.Values{"name": {"taken"}}, "", nil},
		"copy":          {"/copy/alerter/phone", url.Values{"to": {"desk"}}, "/alerters/desk?tab=config", []uitest.Call{{What: "copy", Name: "alerter/phone", Data: "desk"}}},
		"rename":        {"/rename/resource_sync/fleet", url.Values{"to": {"all"}}, "/syncs/all?tab=config", []uitest.Call{{What: "rename", Name: "resource_sync/fleet", Data: "all"}}},
		"describe": {
			path: "/describe/stack/dashy", form: url.Values{"text": {"start page "}, "tags": {"home, web,"}, "template": {"on"}}, to: "/stacks/dashy?tab=config&saved=1",
			want: []uitest.Call{{What: "describe", Name: "stack/dashy", Data: "start page [home web] true"}},
		},
		"sync all":      {"/syncs/fleet/run", url.Values{"do": {"all"}, "confirm_deletes": {"on"}, "pick": {"stack/x"}}, "/runs/1191", []uitest.Call{{What: "start", Name: "RunSync", Data: `{"confirm_deletes":true,"sync":"fleet"}`}}},
		"sync a part":   {"/syncs/fleet/run", url.Values{"do": {"picked"}, "pick": {"stack/immich", "stack/0a"}}, "/runs/1191", []uitest.Call{{What: "start", Name: "RunSync", Data: `{"resource_type":"Stack","resources":["immich","0a"],"sync":"fleet"}`}}},
		"sync mixed":    {"/syncs/fleet/run", url.Values{"do": {"picked"}, "pick": {"stack/immich", "repo/r"}}, "/runs/1191", []uitest.Call{{What: "start", Name: "RunSync", Data: `{"resources":["immich","r"],"sync":"fleet"}`}}},
		"sync nothing":  {"/syncs/fleet/run", url.Values{"do": {"picked"}}, "", nil},
		"refresh":       {"/do/RefreshResourceSyncPending?target=fleet", nil, "/runs/1191", []uitest.Call{{What: "start", Name: "RefreshResourceSyncPending", Data: `{"sync":"fleet"}`}}},
		"run action":    {"/actions/tidy/run", url.Values{"args": {"A = 1\r\n# no\r\nB=x=y"}}, "/runs/1191", []uitest.Call{{What: "start", Name: "RunAction", Data: `{"action":"tidy","args":{"A":"1","B":"x=y"}}`}}},
		"run action, ?": {"/actions/tidy/run", url.Values{"args": {"A"}}, "", nil},
		"test alerter":  {"/do/TestAlerter?target=phone", nil, "/runs/1191", []uitest.Call{{What: "start", Name: "TestAlerter", Data: `{"alerter":"phone"}`}}},
		"close alert":   {"/alerts/" + alert + "/close", nil, "/alerts", []uitest.Call{{What: "close alert", Name: alert}}},
		"approve":       {"/runs/1140/approve", url.Values{"stage": {"Deploy"}}, "/runs/1140", []uitest.Call{{What: "approve", Name: schema.DeriveID("uitest", "approval"), Data: "Deploy"}}},
	} {
		t.Run(name, func(t *testing.T) {
			w := uitest.Homelab()
			r := post(t, bundled(t, w), c.path, c.form)
			if to := r.Header().Get("Location"); to != c.to {
				t.Errorf("status %d, goes to %q, want %q: %s", r.Code, to, c.to, r.Body)
			}
			if d := cmp.Diff(c.want, w.Called()); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestQuestionsOfKinds(t *testing.T) {
	h := bundled(t, uitest.Homelab())
	for _, a := range page.Actions() {
		name := map[string]string{"stack": "dashy", "repo": "homelab", "procedure": "deploy-homelab", "deployment": "proxy", "build": "caddy", "action": "tidy", "resource_sync": "fleet", "alerter": "phone"}[a.Kind]
		if r := get(t, h, "/do/"+a.Name+"?target="+name); r.Code != http.StatusOK || !strings.Contains(r.Body.String(), name) {
			t.Errorf("%s %s: status %d", a.Name, name, r.Code)
		}
	}
}

func TestExportAll(t *testing.T) {
	r := get(t, bundled(t, uitest.Homelab()), "/export.toml")
	if r.Code != http.StatusOK || !strings.Contains(r.Header().Get("Content-Disposition"), "berth.toml") || !strings.HasPrefix(r.Body.String(), "[[") {
		t.Errorf("status %d, %v: %s", r.Code, r.Header(), r.Body)
	}
}

// posted fills a form as a browser does: with what it shows.
func posted(list []page.FormField, post url.Values) {
	for _, f := range list {
		post.Set("has:"+f.ID, "1")
		switch {
		case len(f.Items) > 0:
			post.Set("n:"+f.ID, itoa(len(f.Items)))
			for _, item := range f.Items {
				posted(item, post)
			}
		case f.Shape == "checks":
			post[f.ID] = strings.Fields(f.Value)
		case f.Shape == "bool" && !f.On:
		case f.Shape == "bool":
			post.Set(f.ID, "on")
		default:
			post.Set(f.ID, strings.ReplaceAll(f.Value, "\n", "\r\n"))
		}
		posted(f.Sub, post)
		for _, c := range f.Choices {
			posted(c.Fields, post)
		}
	}
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }

func TestFormsChangeOnlyWhatWasChanged(t *testing.T) {
	w := uitest.Homelab()
	const mask = "••••"
	tree := func(text string) (out map[string]any) {
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	options := map[string][]page.Option{"@type": {{Value: "s1", Label: "stack web"}}, "server": {{Value: "a", Label: "nexus"}, {Value: "b", Label: "attic"}}}
	for name, c := range map[string]struct {
		kind, config string
		change       url.Values
		want         string
	}{
		"alerter, nothing":   {"alerter", `{"endpoint":{"type":"Slack","params":{"url":"` + mask + `"}},"alert_types":["Test"],"resources":[{"type":"Stack","id":"s1"}]}`, nil, ""},
		"alerter, type":      {"alerter", `{"endpoint":{"type":"Slack","params":{"url":"` + mask + `"}}}`, url.Values{"endpoint.type": {"Ntfy"}, "endpoint.params.Ntfy.url": {"https://ntfy.sh/x"}}, `{"endpoint":{"params":{"url":"https://ntfy.sh/x"},"type":"Ntfy"}}`},
		"ntfy, its mail":     {"alerter", `{"endpoint":{"type":"Ntfy","params":{"url":"` + mask + `"}}}`, url.Values{"endpoint.params.Ntfy.email": {"a@b"}}, `{"endpoint":{"params":{"email":"a@b","url":"` + mask + `"},"type":"Ntfy"}}`},
		"alerter, one more":  {"alerter", `{"resources":[{"type":"Stack","id":"s1"}]}`, url.Values{"resources[1].type": {"Server"}, "resources[1].id": {"a"}}, `{"resources":[{"id":"s1","type":"Stack"},{"id":"a","type":"Server"}]}`},
		"alerter, one less":  {"alerter", `{"resources":[{"type":"Stack","id":"s1"}]}`, url.Values{"del:resources[0]": {"on"}}, `{"resources":[]}`},
		"alerter, ticks":     {"alerter", `{"alert_types":["Test"]}`, url.Values{"alert_types": {"Test", "Custom"}}, `{"alert_types":["Test","Custom"]}`},
		"builder, server":    {"builder", `{"type":"Server","params":{"server_ids":["a"]}}`, url.Values{"params.Server.server_ids": {"a", "b"}}, `{"params":{"server_ids":["a","b"]},"type":"Server"}`},
		"build, version":     {"build", `{"version":{"major":1,"minor":2,"patch":3}}`, url.Values{"version": {"2.0.0"}}, `{"version":"2.0.0"}`},
		"deployment, ports":  {"deployment", `{"ports":"80: 80\n"}`, url.Values{"ports": {"81: 80"}}, `{"ports":"81: 80"}`},
		"procedure, a bound": {"procedure", `{"stages":[{"name":"a","enabled":true,"executions":[{"execution":{"type":"Sleep","params":{"duration_ms":1}},"enabled":true}]}]}`, url.Values{"stages[0].timeout": {"10m"}}, `{"stages":[{"enabled":true,"executions":[{"enabled":true,"execution":{"params":{"duration_ms":1},"type":"Sleep"}}],"name":"a","timeout":"10m"}]}`},
		"group, levels":      {"user_group", `{"all":{"Stack":{"level":"Read","specific":[]}}}`, url.Values{"all": {`{"Stack":"Write"}`}}, `{"all":{"Stack":"Write"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			var sections []page.FormSection
			for _, k := range w.Kinds() {
				if k.Name != c.kind {
					continue
				}
				values := map[string]any{}
				for _, f := range k.Fields {
					values[f.Name] = f.Default
				}
				maps.Copy(values, tree(c.config))
				sections = page.Form(k.Fields, values, options)
			}
			post := url.Values{}
			for _, s := range sections {
				posted(s.Fields, post)
			}
			maps.Copy(post, c.change)
			got, err := page.Patch(sections, post)
			if err != nil || string(got) != c.want {
				t.Errorf("patch %s, %v\nwant  %s", got, err, c.want)
			}
		})
	}
}
