package core

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// walk is the whole table with a resource of every kind.
type walk struct {
	*door
	needs map[string]string // by request, as Komodo's reference has it
	rows  []listed
	made  map[string]string // names by type
}

func newWalk(t *testing.T) *walk {
	t.Helper()
	w := &walk{door: openDoor(t, config(t, t.TempDir())), needs: whatNeeds(t), made: map[string]string{}}
	var rows []listed
	w.call("/read/ListRequests", map[string]any{}, &rows)
	for _, row := range rows {
		if _, known := w.needs[row.Name]; known && (row.Group == "read" || row.Group == "write" || row.Group == "execute") {
			w.rows = append(w.rows, row)
		}
	}
	if len(w.rows) < 250 {
		t.Errorf("only %d requests of the reference have a row", len(w.rows))
	}
	for _, kind := range kindsOfRights() {
		w.made[kind] = "walk-" + strings.ToLower(kind)
		w.make(kind)
	}
	return w
}

// make creates the resource of a kind, unless there is one.
func (w *walk) make(kind string) {
	w.t.Helper()
	params := map[string]any{"name": w.made[kind]}
	if kind == "Builder" {
		params["config"] = map[string]any{"type": "Url", "params": map[string]any{"address": "https://builder"}}
	}
	body, err := json.Marshal(params)
	if err != nil {
		w.t.Fatal(err)
	}
	if status, text := w.post("/write/Create"+kind, body); status != http.StatusOK && status != http.StatusConflict {
		w.t.Fatalf("make a %s: %d %s", kind, status, text)
	}
}

// body is the example of a row about the resource that there is.
func (w *walk) body(row listed) []byte {
	params := map[string]any{}
	for name, v := range row.Example {
		params[name] = v
	}
	kind := pascal(row.Kind)
	for _, p := range row.Params {
		if kind != "" && (p.Name == row.Kind || p.Name == "sync" || p.Name == "id" && params[row.Kind] == nil) {
			params[p.Name] = w.made[kind]
		}
	}
	stack := map[string]any{"type": "Stack", "id": w.made["Stack"]}
	switch row.Name {
	case "CreateTerminal", "DeleteTerminal":
		params["target"] = map[string]any{"type": "Server", "params": map[string]any{"server": w.made["Server"]}}
	case "UpdateResourceMeta":
		params["target"] = stack
	case "PushRecentlyViewed":
		params["resource"] = stack
	case "GetPermission":
		params["target"] = stack
	case "ExportResourcesToToml":
		params = map[string]any{"targets": []any{stack}}
	case "ExportAllResourcesToToml":
		params = map[string]any{}
	}
	body, err := json.Marshal(params)
	if err != nil {
		w.t.Fatal(err)
	}
	return body
}

// TestEveryRequestIsRefusedToWhomItIsNotFor walks the whole table as users of every
// level and compares with the reference. A refusal is 403, or 404 when he may not even
// read what it is about, and changes nothing.
func TestEveryRequestIsRefusedToWhomItIsNotFor(t *testing.T) {
	w := newWalk(t)
	users := people(w.door)
	before, tried := everything(w.door), 0
	for _, row := range w.rows {
		need, body := w.needs[row.Name], w.body(row)
		for _, p := range users {
			may, known := p.allowed(need, row.Kind != "")
			if !known || may {
				continue
			}
			tried++
			want := http.StatusForbidden
			if p.rank == 0 && row.Kind != "" && !strings.Contains(need, "admin") && !adminCreates(need, row.Kind) {
				want = http.StatusNotFound
			}
			if status, text := p.door.post("/"+row.Group+"/"+row.Name, body); status != want {
				t.Errorf("%s, which needs %s, by %s: %d %.200s, want %d", row.Name, need, p.name, status, text, want)
			}
		}
	}
	if tried < 500 {
		t.Errorf("only %d refusals were tried", tried)
	}
	if after := everything(w.door); after != before {
		t.Errorf("something changed, from %d to %d characters", len(before), len(after))
	}
}

// adminCreates reports whether a request is refused for what it creates, before
// anybody looks at what it is about.
func adminCreates(need, kind string) bool {
	return strings.Contains(need, "create right") && !strings.Contains(need, "inspect") && strings.Contains(" server build action alerter builder resource_sync ", " "+kind+" ")
}

// exactly returns a user who has what a request needs by the reference, and nothing
// more.
func (w *walk) exactly(need string, row listed, have map[string]*door) *door {
	base, rest, _ := strings.Cut(need, "+")
	base, _, _ = strings.Cut(base, ";")
	specific, _, _ := strings.Cut(rest, " ")
	specific, _, _ = strings.Cut(specific, ";")
	level, _, _ := strings.Cut(base, " ")
	if rank := map[string]bool{"Read": true, "Execute": true, "Write": true}; !rank[level] {
		level = "None"
	}
	creates := strings.Contains(need, "create right")
	switch {
	case need == "super admin":
		return w.door
	case strings.HasPrefix(need, "admin") && !strings.Contains(need, "else"), need == "owner or admin",
		creates && strings.Contains("Action Alerter Builder ResourceSync", strings.TrimPrefix(strings.TrimPrefix(row.Name, "Create"), "Copy")):
		if have["admin"] == nil {
			have["admin"] = w.user("walk-admin", nil)
			w.call("/write/UpdateUserAdmin", map[string]any{"user_id": "walk-admin", "admin": true}, &struct{}{})
		}
		return have["admin"]
	}
	key := fmt.Sprint(level, specific, creates)
	if have[key] == nil {
		permission := map[string]any{"level": level, "specific": []string{}}
		if specific != "" {
			permission["specific"] = []string{strings.ToUpper(specific[:1]) + specific[1:]}
		}
		have[key] = w.user(fmt.Sprintf("exact-%d", len(have)), permission)
		if creates {
			name := fmt.Sprintf("exact-%d", len(have)-1)
			w.call("/write/UpdateUserBasePermissions", map[string]any{"user_id": name, "create_servers": true, "create_builds": true}, &struct{}{})
		}
	}
	return have[key]
}

// user makes a user with a permission on all resources.
func (w *walk) user(name string, permission map[string]any) *door {
	w.t.Helper()
	w.call("/write/CreateServiceUser", map[string]any{"username": name, "description": ""}, &struct{}{})
	for _, kind := range kindsOfRights() {
		if permission != nil {
			w.call("/write/UpdatePermissionOnResourceType", map[string]any{
				"user_target": map[string]string{"type": "User", "id": name}, "resource_type": kind, "permission": permission,
			}, &struct{}{})
		}
	}
	var key struct{ Key, Secret string }
	w.call("/write/CreateApiKeyForServiceUser", map[string]any{"user_id": name, "name": "walk"}, &key)
	return &door{t: w.t, url: w.url, key: key.Key, secret: key.Secret}
}

// TestEveryRequestIsLetThroughForWhoMay walks the whole table as users who have just
// what the reference asks for. Whatever else comes of it, they are not refused.
func TestEveryRequestIsLetThroughForWhoMay(t *testing.T) {
	w := newWalk(t)
	users := map[string]*door{}
	for _, row := range w.rows {
		if row.Name == "RotateCoreKeys" { // core would be another to all that follows
			continue
		}
		who := w.exactly(w.needs[row.Name], row, users)
		if kind := pascal(row.Kind); kind != "" {
			w.make(kind) // the one before may have deleted it
		}
		status, text := who.post("/"+row.Group+"/"+row.Name, w.body(row))
		unseen := status == http.StatusNotFound && row.Kind != "" && strings.Contains(string(text), "walk-")
		if status == http.StatusUnauthorized || status == http.StatusForbidden || unseen {
			t.Errorf("%s, which needs %s: %d %.200s", row.Name, w.needs[row.Name], status, text)
		}
	}
	if len(users) < 10 {
		t.Errorf("only %d kinds of users", len(users))
	}
}

// TestWhoIsDisabledMayNothing walks the whole table as a user who could read
// everything, and is disabled.
func TestWhoIsDisabledMayNothing(t *testing.T) {
	w := newWalk(t)
	d := w.user("gone", map[string]any{"level": "Write", "specific": []string{"Terminal", "Attach", "Inspect", "Logs", "Processes"}})
	w.call("/write/UpdateUserBasePermissions", map[string]any{"user_id": "gone", "enabled": false}, &struct{}{})
	before := everything(w.door)
	for _, row := range w.rows {
		if status, text := d.post("/"+row.Group+"/"+row.Name, w.body(row)); status != http.StatusUnauthorized && status != http.StatusTooManyRequests {
			t.Errorf("%s: %d %.200s", row.Name, status, text)
		}
	}
	if after := everything(w.door); after != before {
		t.Errorf("something changed, from %d to %d characters", len(before), len(after))
	}
}

// pascal is a kind as types are written.
func pascal(kind string) string {
	out := ""
	for part := range strings.SplitSeq(kind, "_") {
		if part != "" {
			out += strings.ToUpper(part[:1]) + part[1:]
		}
	}
	return out
}

// everything is all that is declared, as text.
func everything(d *door) string {
	d.t.Helper()
	var toml struct{ TOML string }
	d.call("/read/ExportAllResourcesToToml", map[string]any{"include_variables": true, "include_user_groups": true}, &toml)
	var users, runs json.RawMessage
	d.call("/read/ListUsers", map[string]any{}, &users)
	d.call("/read/ListRuns", map[string]any{}, &runs)
	return toml.TOML + string(users) + string(runs)
}
