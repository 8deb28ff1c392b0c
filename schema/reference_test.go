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
		"server": Fields(DefaultServer()), "stack": Fields(DefaultStack()),
		"repo": Fields(DefaultRepo()), "procedure": Fields(DefaultProcedure()),
	} {
		var want []refField
		if err := json.Unmarshal(r.Config[kind], &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, komodoFields(fields)); diff != "" {
			t.Errorf("%s (-reference +ours):\n%s", kind, diff)
		}
		for _, f := range fields {
			if f.Doc == "" {
				t.Errorf("%s.%s: no doc tag", kind, f.Name)
			}
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
