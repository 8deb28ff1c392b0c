package resource

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/schema"
)

// TestGroupsAreWrittenWithNames exports a group that has permissions by id, and loads it
// back: here nothing changes, elsewhere it means the same.
func TestGroupsAreWrittenWithNames(t *testing.T) {
	d := newDesk()
	d.do(t, Scope{}, fleet)
	k, err := d.Kind("user_group")
	if err != nil {
		t.Fatal(err)
	}
	web, db := d.idOf(t, "stack", "web"), d.idOf(t, "stack", "db")
	const gone = "0123456789abcdef01234567"
	config := fmt.Sprintf(`{"users":["kim"],"permissions":[
		{"target":{"type":"Stack","id":%q},"level":"Execute","specific":["Logs"]},
		{"target":{"type":"Stack","id":"web"},"level":"Read","specific":[]},
		{"target":{"type":"Stack","id":%q},"level":"Read","specific":[]},
		{"target":{"type":"Stack","id":"db-*"},"level":"Read","specific":[]},
		{"target":{"type":"Server","id":"one"},"level":"Read","specific":[]},
		{"target":{"type":"Server","id":%q},"level":"Read","specific":[]}]}`, web, db, gone)
	raw, err := k.Create(t.Context(), "ops", []byte(config))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(raw), web) {
		t.Errorf("not stored by id: %s", raw)
	}
	stored := d.Groups()
	text := d.exportGroups(t)
	want := `[[user_group]]
name = "ops"
users = ["kim"]
permissions = [
  { target.type = "Server", target.id = "0123456789abcdef01234567", level = "Read" },
  { target.type = "Server", target.id = "one", level = "Read" },
  { target.type = "Stack", target.id = "db", level = "Read" },
  { target.type = "Stack", target.id = "db-*", level = "Read" },
  { target.type = "Stack", target.id = "web", level = "Execute", specific = ["Logs"] },
  { target.type = "Stack", target.id = "web", level = "Read" },
]
`
	if text != want {
		t.Error(cmp.Diff(want, text))
	}
	d.do(t, Scope{}, fleet, text)
	if diff := cmp.Diff(stored, d.Groups()); diff != "" {
		t.Errorf("loaded back, it is another: %s", diff)
	}
	other := newDesk()
	other.do(t, Scope{}, fleet, text)
	if again := other.exportGroups(t); again != want {
		t.Error(cmp.Diff(want, again))
	}
	if p := other.planScope(t, Scope{}, fleet, text); !p.Empty() {
		t.Errorf("elsewhere: %s", p)
	}
	changed := strings.Replace(text, `"db", level = "Read"`, `"db", level = "Write"`, 1)
	p := d.planScope(t, Scope{}, changed)
	if s := p.String(); p.Empty() || strings.Contains(s, web) || strings.Contains(s, db) {
		t.Errorf("the plan has ids: %s", s)
	}
	d.do(t, Scope{}, changed)
	if g := d.Groups()[0]; level(g.Permissions, db) != "Write" || level(g.Permissions, web) != "Execute" {
		t.Errorf("a changed level: %+v", g.Permissions)
	}
	stacks, err := d.Kind("stack")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stacks.Rename(t.Context(), "db", "data"); err != nil {
		t.Fatal(err)
	}
	if text := d.exportGroups(t); !strings.Contains(text, `target.id = "data", level = "Write"`) {
		t.Errorf("after it was renamed:\n%s", text)
	}
}

func level(list []schema.GroupPermission, id string) string {
	for _, p := range list {
		if p.Target.ID == id {
			return p.Level
		}
	}
	return "none"
}

func (d *desk) idOf(t *testing.T, kind, name string) string {
	t.Helper()
	k, err := d.Kind(kind)
	if err != nil {
		t.Fatal(err)
	}
	target, err := k.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return target.ID
}

func (d *desk) exportGroups(t *testing.T) string {
	t.Helper()
	text, err := d.Export(t.Context(), ExportOptions{Kinds: []string{"user_group"}})
	if err != nil {
		t.Fatal(err)
	}
	return text
}
