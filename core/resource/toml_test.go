package resource

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/schema"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func readFile(t testing.TB, path string) File {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return File{Name: filepath.Base(path), Text: string(b)}
}

// golden is a declaration as the reference's expected files show it.
func golden[C any](t *testing.T, e entry, def C, flat bool) any {
	t.Helper()
	d, r := schema.DecodeDeclaration(e.tree, def, flat)
	if len(r.Errors) > 0 {
		t.Fatal(e.doc.name, e.path, r.Errors)
	}
	var config map[string]any
	if err := json.Unmarshal(jsonOf(d.Config), &config); err != nil {
		t.Fatal(err)
	}
	if flat {
		config["name"], config["description"] = d.Name, d.Description
		if e.kind == "user_group" { // the reference's have none
			delete(config, "description")
		}
		return config
	}
	declared, _ := e.tree["config"].(map[string]any)
	if e.kind == "builder" {
		onlyDeclared(config, declared)
	} else {
		for k := range config {
			if !slices.Contains(schema.Declared[C](declared), k) {
				delete(config, k)
			}
		}
	}
	tags, after := []any{}, []any{}
	for _, s := range d.Tags {
		tags = append(tags, s)
	}
	for _, s := range d.After {
		after = append(after, s)
	}
	return map[string]any{
		"name": d.Name, "description": d.Description, "template": d.Template, "tags": tags,
		"deploy": d.Deploy, "after": after, "config": config,
	}
}

// onlyDeclared leaves of a builder the params that are declared; one without any
// is of the default type.
func onlyDeclared(config, declared map[string]any) {
	given, _ := declared["params"].(map[string]any)
	params, _ := config["params"].(map[string]any)
	for _, f := range schema.Fields(schema.DefaultBuilder())[1].Variants[config["type"].(string)] {
		if !slices.ContainsFunc(append(f.Aliases, f.Name), func(n string) bool { return given[n] != nil }) {
			delete(params, f.Name)
		}
	}
}

func goldenOf(t *testing.T, e entry) any {
	t.Helper()
	switch e.kind {
	case "server":
		return golden(t, e, schema.DefaultServer(), false)
	case "swarm":
		return golden(t, e, schema.DefaultSwarm(), false)
	case "stack":
		return golden(t, e, schema.DefaultStack(), false)
	case "deployment":
		return golden(t, e, schema.DefaultDeployment(), false)
	case "build":
		return golden(t, e, schema.DefaultBuild(), false)
	case "repo":
		return golden(t, e, schema.DefaultRepo(), false)
	case "procedure":
		return golden(t, e, schema.DefaultProcedure(), false)
	case "action":
		return golden(t, e, schema.DefaultAction(), false)
	case "builder":
		return golden(t, e, schema.DefaultBuilder(), false)
	case "alerter":
		return golden(t, e, schema.DefaultAlerter(), false)
	case "resource_sync":
		return golden(t, e, schema.DefaultSync(), false)
	case "user_group":
		return golden(t, e, schema.DefaultUserGroup(), true)
	case "variable":
		return golden(t, e, schema.DefaultVariable(), true)
	}
	t.Fatal("no kind", e.kind)
	return nil
}

func TestSamplesDecodeToGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/samples/*.toml")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("testdata/samples/toml-1.1/*.toml")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	seen := map[string]int{}
	for _, path := range append(files, more...) {
		f := readFile(t, path)
		entries, issues := w.parse(f)
		for _, i := range issues {
			if !i.Warning {
				t.Errorf("%s", i)
			}
		}
		have := map[string][]any{}
		for _, e := range entries {
			v := goldenOf(t, e)
			have[e.kind] = append(have[e.kind], v)
			seen[e.kind]++
		}
		var expected map[string][]any
		b, err := os.ReadFile("testdata/samples/expected/" + strings.TrimSuffix(f.Name, ".toml") + ".json")
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &expected); err != nil {
			t.Fatal(err)
		}
		for _, kind := range w.names() {
			if diff := cmp.Diff(expected[kind], have[kind]); diff != "" {
				t.Errorf("%s %s (-expected +ours):\n%s", f.Name, kind, diff)
			}
		}
	}
	for _, kind := range w.names() {
		if seen[kind] < 3 {
			t.Errorf("the samples hold %d of kind %s only", seen[kind], kind)
		}
	}
}

func TestInvalidSamples(t *testing.T) {
	files, err := filepath.Glob("testdata/samples/invalid/*.toml")
	if err != nil || len(files) != 16 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	var have []string
	w := newWorld(t)
	for _, path := range files {
		f := readFile(t, path)
		f.Text = "[[server]]\nname = \"good\"\n" + f.Text
		if f.Name == "single-table-not-array.toml" || f.Name == "singular-and-plural.toml" {
			f = readFile(t, path)
		}
		p, err := w.Plan(t.Context(), []File{f})
		if err != nil {
			t.Fatal(err)
		}
		if p.Err() == nil {
			t.Errorf("%s is accepted", f.Name)
		}
		for _, i := range p.Issues {
			if i.Line == 0 || i.Key == "" {
				t.Errorf("%s: no line or key", i)
			}
			have = append(have, i.String())
		}
		if schema.CodeOf(w.Apply(t.Context(), p)) != schema.Invalid || len(w.raw.List("")) > 0 {
			t.Errorf("%s: something was applied", f.Name)
		}
	}
	if *update {
		if err := os.WriteFile("testdata/invalid.golden", []byte(strings.Join(have, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := readFile(t, "testdata/invalid.golden").Text
	if diff := cmp.Diff(want, strings.Join(have, "\n")+"\n"); diff != "" {
		t.Errorf("(-want +have):\n%s", diff)
	}
}

func TestLines(t *testing.T) {
	doc, issue := parseDocument(File{"x.toml", `[[procedure]]
name = "p"
[[procedure.config.stage]]
name = "s"
executions = [
  { execution.type = "Sleep",
    execution.params.duration_ms = "x" },
]
[[procedure]]
"odd.key" = 1
config.webhook_enabled = 3
[[procedure.config.stages]]
[[procedure.config.stages.executions]]
[procedure.config.stages.executions.execution]
type = "None"
`})
	if issue != nil {
		t.Fatal(issue)
	}
	for path, want := range map[string]int{
		"procedure[0]":      1,
		"procedure[0].name": 2,
		"procedure[0].config.stage[0].executions[0].execution.type":                6,
		"procedure[0].config.stages[0].executions[0].execution.params.duration_ms": 7,
		"procedure[1].odd.key":                                         10,
		"procedure[1].config.webhook_enabled":                          11,
		"procedure[1].config.stages[0].name":                           12,
		"procedure[1].config.stages[0].executions[0].execution.type":   15,
		"procedure[1].config.stages[0].executions[0].execution.params": 14,
		"nothing": 0,
	} {
		if have := doc.line(path); have != want {
			t.Errorf("%s: line %d, want %d", path, have, want)
		}
	}
}

func TestPrepare(t *testing.T) {
	for in, want := range map[string]string{
		`a = """x\y""" # \`:    `a = """x\\y""" # \`,
		`a = "x\y"`:            `a = "x\y"`,
		"# \"\"\"\na = 'x\\y'": "# \"\"\"\na = 'x\\\\y'",
	} {
		if have := prepare(in); have != want {
			t.Errorf("%q: have %q, want %q", in, have, want)
		}
	}
}

func TestDeepNesting(t *testing.T) {
	w := newWorld(t)
	p, err := w.Plan(t.Context(), []File{{"x.toml", "a = 1\nb = " + strings.Repeat("[", 1<<20)}})
	if err != nil || p.Err() == nil || p.Issues[0].Line != 2 {
		t.Error(p.Issues, err)
	}
}

func FuzzPlan(f *testing.F) {
	files, _ := filepath.Glob("testdata/samples/*.toml")
	bad, _ := filepath.Glob("testdata/samples/invalid/*.toml")
	for _, path := range append(files, bad...) {
		f.Add(readFile(f, path).Text)
	}
	w := newWorld(f)
	f.Fuzz(func(t *testing.T, text string) {
		w.clear(t)
		p, err := w.Plan(t.Context(), []File{{"x.toml", text}})
		if err != nil {
			t.Fatal(err)
		}
		lines := 1 + strings.Count(text, "\n")
		for _, i := range p.Issues {
			if i.Line < 0 || i.Line > lines {
				t.Errorf("%s: the text has %d lines", i, lines)
			}
		}
		if p.Err() != nil {
			return
		}
		if err := w.Apply(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		again, err := w.Plan(t.Context(), []File{{"x.toml", text}})
		if err != nil || !again.Empty() {
			t.Errorf("the second plan is not empty: %+v %v", again.Changes, err)
		}
	})
}

// FuzzDecode reads any text: no panic, and every mistake has a line.
func FuzzDecode(f *testing.F) {
	for _, pattern := range []string{"testdata/samples/*.toml", "testdata/samples/invalid/*.toml", "testdata/samples/toml-1.1/*.toml"} {
		files, _ := filepath.Glob(pattern)
		for _, path := range files {
			f.Add(readFile(f, path).Text)
		}
	}
	d := newDesk()
	f.Fuzz(func(t *testing.T, text string) {
		p, err := d.PlanScope(t.Context(), []File{{"x.toml", text}}, Scope{})
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range p.Issues {
			if i.Line < 1 || i.Line > 1+strings.Count(text, "\n") {
				t.Errorf("%s: no line of the text, which has %d", i, 1+strings.Count(text, "\n"))
			}
		}
	})
}
