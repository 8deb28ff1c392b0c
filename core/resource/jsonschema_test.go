package resource

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"berth/schema"
)

// editor is the JSON Schema as an editor reads it.
func editor(t *testing.T, strict bool) *jsonschema.Schema {
	t.Helper()
	made, err := newDesk().JSONSchema(strict)
	if err != nil {
		t.Fatal(err)
	}
	var doc any
	if err := json.Unmarshal(jsonOf(made), &doc); err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("berth.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("berth.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestJSONSchemaTakesTheSamples(t *testing.T) {
	files, _ := filepath.Glob("testdata/samples/*.toml")
	more, _ := filepath.Glob("testdata/samples/toml-1.1/*.toml")
	files = append(append(files, more...), "testdata/export.golden.toml")
	if len(files) != 20 {
		t.Fatal(files)
	}
	loose, strict := editor(t, false), editor(t, true)
	for _, path := range files {
		doc, issue := parseDocument(readFile(t, path))
		if issue != nil {
			t.Fatal(issue)
		}
		var tree any
		if err := json.Unmarshal(jsonOf(doc.tree), &tree); err != nil {
			t.Fatal(err)
		}
		if err := loose.Validate(tree); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		unknown := filepath.Base(path) == "17-unknown-keys.toml"
		if err := strict.Validate(tree); (err != nil) != unknown {
			t.Errorf("%s, strictly: %v", path, err)
		}
	}
}

func TestJSONSchemaRefusesInvalidSamples(t *testing.T) {
	files, _ := filepath.Glob("testdata/samples/invalid/*.toml")
	s := editor(t, false)
	caught := 0
	for _, path := range files {
		doc, issue := parseDocument(readFile(t, path))
		if issue != nil { // the syntax is wrong: the parser of the editor says so
			continue
		}
		var tree any
		if err := json.Unmarshal(jsonOf(doc.tree), &tree); err != nil {
			t.Fatal(err)
		}
		if s.Validate(tree) == nil {
			t.Errorf("%s is accepted", path)
			continue
		}
		caught++
	}
	if caught != 14 {
		t.Errorf("%d caught", caught)
	}
}

// TestJSONSchemaHasEverySetting holds the schema to the fields.
func TestJSONSchemaHasEverySetting(t *testing.T) {
	d := newDesk()
	for _, k := range d.Kinds() {
		s, err := d.JSONSchema(false, k.Name())
		if err != nil {
			t.Fatal(err)
		}
		var doc struct {
			Defs map[string]struct {
				Properties map[string]struct {
					Properties map[string]struct {
						Description string
						Default     any
					}
					Description string
				}
			} `json:"$defs"`
		}
		if err := json.Unmarshal(jsonOf(s), &doc); err != nil {
			t.Fatal(err)
		}
		if k.Name() == "builder" {
			continue
		}
		for _, f := range k.Fields() {
			for _, name := range slices.Concat([]string{f.Name}, f.Aliases) {
				def := doc.Defs[k.Name()].Properties["config"].Properties[name]
				text := def.Description
				if k.flatKind() {
					text = doc.Defs[k.Name()].Properties[name].Description
				}
				if text != f.Doc {
					t.Errorf("%s.%s: %q", k.Name(), name, text)
				}
			}
		}
	}
	_, err := d.JSONSchema(false, "stakc")
	want(t, err, schema.NotFound, "there is no kind")
}
