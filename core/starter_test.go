package core

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"berth/bus/bustest"
	"berth/core/api"
	"berth/schema"
)

// member makes a user with a key and permissions on resources, by "Stack/web".
func (d *desk) member(name string, levels map[string]string) *door {
	d.t.Helper()
	d.must("write", "CreateServiceUser", fmt.Sprintf(`{"username":%q,"description":""}`, name), nil)
	for what, level := range levels {
		kind, id, _ := strings.Cut(what, "/")
		d.must("write", "UpdatePermissionOnTarget", fmt.Sprintf(`{"user_target":{"type":"User","id":%q},"resource_target":{"type":%q,"id":%q},"permission":%q}`, name, kind, id, level), nil)
	}
	return d.keyOf(name, 0)
}

// keyOf makes another key of a service user, which expires and has scopes.
func (d *desk) keyOf(name string, expires int64, scopes ...string) *door {
	d.t.Helper()
	text, err := json.Marshal(map[string]any{"user_id": name, "name": "x", "expires": expires, "scopes": scopes})
	if err != nil {
		d.t.Fatal(err)
	}
	var key struct{ Key, Secret string }
	d.must("write", "CreateApiKeyForServiceUser", string(text), &key)
	return &door{t: d.t, url: strings.Replace(d.url, "https:", "http:", 1), key: key.Key, secret: key.Secret}
}

// fates are what became of the children of a run and of the runs below, by both names:
// denied, or let, which is that there was a run, however it ended.
func (d *desk) fates(run string, into map[string]string) map[string]string {
	d.t.Helper()
	r := d.ended(run)
	below := d.children(run)
	for _, s := range r.Steps {
		if s.Kind != schema.StepChild {
			continue
		}
		fate := "let"
		if s.Problem != nil && s.Problem.Code == schema.Denied {
			if fate = "denied"; !strings.Contains(s.Problem.Text, s.Target.Name) || !strings.Contains(s.Problem.Text, "Execute") {
				d.t.Errorf("%s on %s is refused without a reason: %s", s.Name, s.Target.Name, s.Problem.Text)
			}
		}
		into[r.Target.Name+" > "+s.Target.Name] = fate
		if slices.ContainsFunc(below, func(c schema.Run) bool { return c.ID == s.Child }) {
			d.fates(s.Child, into)
		} else if fate != "denied" {
			d.t.Errorf("%s has no run", s.Name)
		}
	}
	return into
}

// TestWhatARunStartsHasTheRightsOfItsStarter runs a procedure with another and a batch in
// it as somebody who may not execute all of it, and by a push and a schedule as core.
func TestWhatARunStartsHasTheRightsOfItsStarter(t *testing.T) {
	d := newDesk(t)
	for _, name := range []string{"mine", "theirs", "unknown"} {
		d.must("write", "CreateStack", fmt.Sprintf(`{"name":%q,"config":{"file_contents":"services: {a: {image: x}}"}}`, name), nil)
	}
	step := func(request, params string) string {
		return fmt.Sprintf(`{"execution":{"type":%q,"params":%s}}`, request, params)
	}
	sleep, theirs := step("Sleep", `{"duration_ms":1}`), step("DeployStack", `{"stack":"theirs"}`)
	d.procedure("quick", sleep)
	d.procedure("closed", sleep)
	d.procedure("inner", theirs, step("RunProcedure", `{"procedure":"quick"}`))
	d.procedure("outer", theirs, step("DeployStack", `{"stack":"mine"}`), step("RunProcedure", `{"procedure":"inner"}`), step("RunProcedure", `{"procedure":"closed"}`), step("BatchDeployStack", `{"pattern":"*"}`))
	kim := d.member("kim", map[string]string{"Stack/mine": "Execute", "Stack/theirs": "Read", "Procedure/outer": "Execute", "Procedure/inner": "Execute", "Procedure/quick": "Execute", "Procedure/closed": "Read"})
	want := map[string]string{
		"outer > theirs": "denied", "outer > mine": "let", "outer > inner": "let", "outer > closed": "denied", "outer > system": "let",
		"inner > theirs": "denied", "inner > quick": "let", "system > mine": "let", // a batch leaves out what he may not
	}
	var u struct {
		ID struct {
			OID string `json:"$oid"`
		} `json:"_id"`
	}
	kim.call("/execute/RunProcedure", map[string]any{"procedure": "outer"}, &u)
	d.compare("kim", u.ID.OID, want)
	for what := range want { // core itself may
		want[what] = "let"
	}
	want["system > theirs"], want["system > unknown"] = "let", "let"
	d.compare("a push", d.push("github/procedure/outer/main", "main"), want)
	d.must("write", "UpdateProcedure", `{"id":"outer","config":{"schedule":"Every 2 seconds"}}`, nil)
	var runs []schema.Run
	bustest.Eventually(t, 20*time.Second, "the schedule runs it", func() bool {
		d.must("read", "ListRuns", `{"kind":"procedure","limit":100}`, &runs)
		runs = slices.DeleteFunc(runs, func(r schema.Run) bool { return r.Cause.Kind != "schedule" })
		return len(runs) > 0
	})
	d.must("write", "UpdateProcedure", `{"id":"outer","config":{"schedule_enabled":false}}`, nil)
	d.compare("the schedule", runs[len(runs)-1].ID, want)
}

func (d *desk) compare(who, run string, want map[string]string) {
	d.t.Helper()
	got := d.fates(run, map[string]string{})
	for what, fate := range want {
		if got[what] != fate {
			d.t.Errorf("by %s: %s: %q, want %q", who, what, got[what], fate)
		}
	}
	for what, fate := range got {
		if want[what] == "" {
			d.t.Errorf("by %s: %s: %q, want none", who, what, fate)
		}
	}
}

// TestKeysAreLimitedOverTheWire asks with keys of an administrator that may only read, only
// something with stacks, or nothing any more.
func TestKeysAreLimitedOverTheWire(t *testing.T) {
	d := newDesk(t)
	d.must("write", "CreateStack", `{"name":"web","config":{"file_contents":"services: {a: {image: x}}"}}`, nil)
	d.procedure("p", `{"execution":{"type":"Sleep","params":{"duration_ms":1}}}`)
	d.member("root", nil)
	d.must("write", "UpdateUserAdmin", `{"user_id":"root","admin":true}`, nil)
	ago := time.Now().Add(-time.Hour).UnixMilli()
	const yes, no, out = http.StatusOK, http.StatusForbidden, http.StatusUnauthorized
	ask := []struct{ path, body string }{
		{"/read/GetStack", `{"stack":"web"}`},
		{"/execute/RunProcedure", `{"procedure":"p"}`},
		{"/execute/DeployStack", `{"stack":"web"}`},
		{"/write/UpdateStack", `{"id":"web","config":{"environment":"A=1"}}`},
		{"/write/CreateVariable", `{"name":"%s","value":"1"}`},
		{"/write/CreateStack", `{"name":"%s"}`},
		{"/read/ListUsers", `{}`},
		{"/auth/manage/CreateApiKey", `{"name":"more"}`},
	}
	for name, c := range map[string]struct {
		door *door
		want []int
	}{
		"all":    {d.keyOf("root", 0), []int{yes, yes, yes, yes, yes, yes, yes, yes}},
		"later":  {d.keyOf("root", time.Now().Add(time.Hour).UnixMilli()), []int{yes, yes, yes, yes, yes, yes, yes, yes}},
		"read":   {d.keyOf("root", 0, "Read"), []int{yes, no, no, no, no, no, no, no}},
		"runs":   {d.keyOf("root", 0, "Procedure:Execute"), []int{http.StatusNotFound, yes, http.StatusNotFound, http.StatusNotFound, no, no, no, no}},
		"stacks": {d.keyOf("root", 0, "Read", "Stack:Execute"), []int{yes, no, yes, no, no, no, no, no}},
		"old":    {d.keyOf("root", ago), []int{out, out, out, out}},
	} {
		for i, want := range c.want { // the old one fewer times than make the door wait
			body := strings.ReplaceAll(ask[i].body, "%s", "by_"+name)
			if status, text := c.door.post(ask[i].path, []byte(body)); status != want {
				t.Errorf("%s by the key %s: %d %.200s, want %d", ask[i].path, name, status, text, want)
			}
		}
	}
}

// TestLiveUpdatesAreOfWhatOneMayRead listens as somebody who may read one stack of two.
func TestLiveUpdatesAreOfWhatOneMayRead(t *testing.T) {
	d := newDesk(t)
	for _, name := range []string{"seen", "hidden"} {
		d.must("write", "CreateStack", fmt.Sprintf(`{"name":%q,"config":{"file_contents":"services: {a: {image: x}}"}}`, name), nil)
	}
	kim := d.member("kim", map[string]string{"Stack/seen": "Read"})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c, _, err := websocket.Dial(ctx, strings.Replace(kim.url, "http", "ws", 1)+"/ws/update", nil) //nolint:bodyclose // the library closes it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.CloseNow() })
	login := fmt.Sprintf(`{"type":"ApiKeys","params":{"key":%q,"secret":%q}}`, kim.key, kim.secret)
	if err := c.Write(ctx, websocket.MessageText, []byte(login)); err != nil {
		t.Fatal(err)
	}
	if _, text, err := c.Read(ctx); err != nil || string(text) != "LOGGED_IN" {
		t.Fatal(string(text), err)
	}
	for _, name := range []string{"hidden", "seen"} { // what is last is told last
		d.execute("DeployStack", fmt.Sprintf(`{"stack":%q}`, name))
		d.must("write", "UpdateStack", fmt.Sprintf(`{"id":%q,"config":{"environment":"A=1"}}`, name), nil)
	}
	var seen struct {
		ID struct {
			OID string `json:"$oid"`
		} `json:"_id"`
	}
	kim.call("/read/GetStack", map[string]any{"stack": "seen"}, &seen)
	for ran, changed := false, false; !ran || !changed; {
		var u api.UpdateItem
		_, text, err := c.Read(ctx)
		if err != nil || json.Unmarshal(text, &u) != nil {
			t.Fatalf("%s %v: ran %v, changed %v", text, err, ran, changed)
		}
		if u.Target.ID != seen.ID.OID {
			t.Errorf("told of what he may not read: %s", text)
		}
		ran, changed = ran || u.Operation == "DeployStack" && u.Status == "Complete", changed || u.Operation == "UpdateStack"
	}
}
