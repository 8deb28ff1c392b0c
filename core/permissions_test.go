package core

import (
	"encoding/json"
	"strings"
	"testing"

	"berth/core/resource"
	"berth/schema"
)

// TestWhatAGroupIsGivenIsExportedByName gives a group a permission as clients do, by the id,
// and loads what is exported.
func TestWhatAGroupIsGivenIsExportedByName(t *testing.T) {
	d := openDoor(t, config(t, t.TempDir()))
	var made struct {
		ID struct {
			OID string `json:"$oid"`
		} `json:"_id"`
	}
	d.call("/write/CreateStack", map[string]any{"name": "web"}, &made)
	d.call("/write/CreateUserGroup", map[string]any{"name": "ops"}, &struct{}{})
	give := func(level string) {
		d.call("/write/UpdatePermissionOnTarget", map[string]any{
			"user_target": map[string]string{"type": "UserGroup", "id": "ops"}, "resource_target": map[string]string{"type": "Stack", "id": made.ID.OID},
			"permission": map[string]any{"level": level, "specific": []string{"Logs"}},
		}, &struct{}{})
	}
	give("Execute")
	give("Read")
	var out struct{ TOML string }
	d.call("/read/ExportAllResourcesToToml", map[string]any{"include_user_groups": true}, &out)
	const line = `{ target.type = "Stack", target.id = "web", level = "Read", specific = ["Logs"] }`
	if !strings.Contains(out.TOML, line) || strings.Contains(out.TOML, made.ID.OID) {
		t.Errorf("exported as\n%s", out.TOML)
	}
	files := map[string]any{"files": []any{map[string]string{"name": "all.toml", "text": out.TOML}}}
	for _, path := range []string{"/read/PlanResources", "/write/ApplyResources", "/read/PlanResources"} {
		var plan resource.Plan
		if d.call(path, files, &plan); !plan.Empty() || plan.Err() != nil {
			t.Errorf("%s: %s", path, plan)
		}
	}
	d.call("/write/RenameStack", map[string]any{"id": "web", "name": "site"}, &struct{}{}) // it stays with the stack
	var list []struct {
		Target struct{ ID string } `json:"resource_target"`
		Level  string
	}
	d.call("/read/ListUserTargetPermissions", map[string]any{"user_target": map[string]string{"type": "UserGroup", "id": "ops"}}, &list)
	if len(list) != 1 || list[0].Target.ID != made.ID.OID || list[0].Level != "Read" {
		t.Errorf("after it was renamed: %+v", list)
	}
	var page struct{ Records []json.RawMessage }
	d.call("/read/ListAudit", map[string]any{"target": "ops", "request": "UpdatePermissionOnTarget", "limit": 1}, &page)
	var rec schema.Audit
	if len(page.Records) != 1 || json.Unmarshal(page.Records[0], &rec) != nil || !strings.Contains(rec.Before, `level = "Execute"`) || !strings.Contains(rec.After, line) {
		t.Errorf("recorded: %s", page.Records)
	}
}
