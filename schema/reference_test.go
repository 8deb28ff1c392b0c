package schema

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// reference is the machine readable table of Komodo's settings.
type reference struct {
	Keys       map[string]refField        `json:"resource_keys"`
	Config     map[string]json.RawMessage `json:"config"`
	Variable   []refField                 `json:"variable"`
	UserGroup  []refField                 `json:"user_group"`
	Executions []struct {
		Type   string
		Params []refField
	}
	ResourceTypes []string `json:"resource_types"`
}

type refField struct {
	Name     string
	Aliases  []string
	Type     string
	Required bool
	Default  any
}

func readReference(t *testing.T) reference {
	t.Helper()
	b, err := os.ReadFile("testdata/toml-fields.json")
	if err != nil {
		t.Fatal(err)
	}
	var r reference
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestFieldsEqualReference(t *testing.T) {
	r := readReference(t)
	for kind, fields := range map[string][]Field{
		"server": Fields(DefaultServer()), "swarm": Fields(DefaultSwarm()), "stack": Fields(DefaultStack()),
		"deployment": Fields(DefaultDeployment()), "build": Fields(DefaultBuild()), "repo": Fields(DefaultRepo()),
		"procedure": Fields(DefaultProcedure()), "action": Fields(DefaultAction()), "alerter": Fields(DefaultAlerter()),
		"resource_sync": Fields(DefaultSync()),
	} {
		var want []refField
		if err := json.Unmarshal(r.Config[kind], &want); err != nil {
			t.Fatal(err)
		}
		have := komodoFields(fields)
		for i, f := range want {
			switch f.Default { // what the reference writes for people
			case "0.0.0":
				want[i].Default = plain(Version{})
			case "(starter script)":
				want[i].Default = have[i].Default // given on create, not a default
			}
		}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("%s (-reference +ours):\n%s", kind, diff)
		}
		documented(t, kind, fields)
	}
	var builder map[string][]refField
	if err := json.Unmarshal(r.Config["builder"], &builder); err != nil {
		t.Fatal(err)
	}
	ours := map[string][]refField{}
	for _, f := range Fields(DefaultBuilder()) {
		for name, fields := range f.Variants {
			ours[name] = komodoFields(fields)
			documented(t, "builder "+name, fields)
		}
	}
	if diff := cmp.Diff(builder, ours); diff != "" {
		t.Errorf("builder (-reference +ours):\n%s", diff)
	}
	groups := komodoFields(Fields(DefaultUserGroup()))
	for i, f := range r.UserGroup[1:] { // all but the name
		f.Aliases = append([]string{}, f.Aliases...)
		if diff := cmp.Diff(f, groups[i]); diff != "" {
			t.Errorf("user_group.%s (-reference +ours):\n%s", f.Name, diff)
		}
	}
	var want []refField
	for _, f := range r.Variable {
		if f.Name == "value" || f.Name == "is_secret" {
			f.Aliases = []string{}
			want = append(want, f)
		}
	}
	if diff := cmp.Diff(want, komodoFields(Fields(DefaultVariable()))); diff != "" {
		t.Errorf("variable (-reference +ours):\n%s", diff)
	}
}

// documented wants a doc tag on every field, also on those within.
func documented(t *testing.T, at string, fields []Field) {
	t.Helper()
	for _, f := range fields {
		if f.Doc == "" {
			t.Errorf("%s.%s: no doc tag", at, f.Name)
		}
		documented(t, at+"."+f.Name, f.Fields)
		for name, variant := range f.Variants {
			documented(t, at+"."+f.Name+" "+name, variant)
		}
	}
}

func komodoFields(fields []Field) []refField {
	var out []refField
	for _, f := range fields {
		if !f.Own {
			out = append(out, refField{Name: f.Name, Aliases: append([]string{}, f.Aliases...), Type: f.Type, Default: f.Default})
		}
	}
	return out
}

func TestDeclarationKeysEqualReference(t *testing.T) {
	r := readReference(t)
	for _, f := range Fields(Declaration[VariableConfig]{}) {
		want, ok := r.Keys[f.Name]
		if !ok {
			t.Errorf("%s is not a key of the reference", f.Name)
		}
		if f.Name != "config" && (want.Type != f.Type || want.Required != f.Required) {
			t.Errorf("%s: have %s required %v, want %s required %v", f.Name, f.Type, f.Required, want.Type, want.Required)
		}
		delete(r.Keys, f.Name)
	}
	if len(r.Keys) > 0 {
		t.Errorf("keys of the reference we lack: %v", r.Keys)
	}
}

func TestExecutionsEqualReference(t *testing.T) {
	r := readReference(t)
	if len(r.Executions) != 82 {
		t.Fatalf("the reference has %d executions", len(r.Executions))
	}
	var have []struct {
		Type   string
		Params []refField
	}
	for _, e := range Executions() {
		params := []refField{}
		for _, p := range e.Params {
			typ := p.Type
			if typ == "pattern" {
				typ = "str"
			}
			params = append(params, refField{Name: p.Name, Type: typ, Required: p.Required, Default: plain(p.Default)})
		}
		have = append(have, struct {
			Type   string
			Params []refField
		}{e.Type, params})
	}
	if diff := cmp.Diff(r.Executions, have); diff != "" {
		t.Errorf("executions (-reference +ours):\n%s", diff)
	}
	if diff := cmp.Diff(r.ResourceTypes, ResourceTypes()); diff != "" {
		t.Error(diff)
	}
}
