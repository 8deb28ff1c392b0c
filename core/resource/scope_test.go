package resource

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/schema"
)

func TestReasons(t *testing.T) {
	d := newDesk()
	d.do(t, Scope{}, fleet)
	tell(t, `
unchanged variable A: as declared in a.toml:20
unchanged server one: as declared in a.toml:2
unchanged server two: as declared in a.toml:5
update stack web: server_id: one → two; branch: main → x; environment: nothing → 2 lines
unchanged stack db: as declared in a.toml:12
unchanged procedure nightly: as declared in a.toml:16
`, d.planScope(t, Scope{}, strings.Replace(fleet, `config.server = "one"`, `config = { server = "two", branch = "x", environment = "A=1\nB=2" }`, 1)))
	tell(t, `create server x: declared in a.toml:1, not stored`, d.planScope(t, Scope{}, "[[server]]\nname = \"x\"\n"))
}

// Row 42: what is deleted goes before what it refers to.
func TestRow42DeleteOrder(t *testing.T) {
	d := newDesk()
	d.do(t, Scope{}, fleet)
	less := `
[[server]]
name = "one"
tags = ["prod"]
[[stack]]
name = "web"
tags = ["prod"]
config.server = "one"
`
	p := d.planScope(t, Scope{Delete: true}, less)
	tell(t, `
unchanged server one: as declared in a.toml:2
unchanged stack web: as declared in a.toml:5
delete procedure nightly: not declared any more
delete stack db: not declared any more
delete server two: not declared any more
delete variable A: not declared any more
`, p)
	if p.Deletes() != 4 || p.InScope() != 6 {
		t.Error(p.Deletes(), p.InScope())
	}
	d.do(t, Scope{Delete: true}, less)
	if _, err := d.servers.Find("two"); schema.CodeOf(err) != schema.NotFound {
		t.Error(err)
	}
}

func TestDropsReferenceBeforeDelete(t *testing.T) {
	d := newDesk()
	d.do(t, Scope{}, fleet)
	moved := strings.Replace(strings.Replace(fleet, `server = "two"`, `server = "one"`, 1), "[[server]]\nname = \"two\"\ntags = [\"prod\"]\n", "", 1)
	p := d.planScope(t, Scope{Delete: true}, moved)
	var order []string
	for _, c := range p.Changes {
		if c.Op != OpUnchanged {
			order = append(order, c.Op+" "+c.Name)
		}
	}
	if diff := cmp.Diff([]string{"update db", "delete two"}, order); diff != "" {
		t.Error(diff, story(p))
	}
	d.do(t, Scope{Delete: true}, moved)
}

// Row 40: a broken source deletes nothing.
func TestRow40BrokenSource(t *testing.T) {
	d := newDesk()
	d.do(t, Scope{}, fleet)
	for name, texts := range map[string][]string{
		"nothing":            nil,
		"empty":              {""},
		"comment":            {"# nothing\n"},
		"unparsable":         {fleet, "[[stack]]\nname = "},
		"one bad of several": {fleet, "[[stack]]\nname = 3\n"},
		"other kinds only":   {"[[owner]]\nname = \"x\"\n"},
		"wrong tags":         {"[[server]]\nname = \"one\"\ntags = [\"dev\"]\n"},
	} {
		t.Run(name, func(t *testing.T) {
			s := Scope{Delete: true}
			if name == "wrong tags" {
				s.Tags = []string{"prod"}
				texts = []string{"[[server]]\nname = \"three\"\ntags = [\"dev\"]\n"}
			}
			p := d.planScope(t, s, texts...)
			if p.Err() == nil || p.Deletes() != 0 {
				t.Error(story(p))
			}
			want(t, d.Apply(t.Context(), p), schema.Invalid, "nothing was applied")
		})
	}
	if n := len(d.o.Bucket.List("")); n != 6 {
		t.Error("something was deleted:", n)
	}
}

// Rows 38 and 39: a sync keeps itself, and its own change comes last.
func TestRow38And39SyncKeepsItself(t *testing.T) {
	d := newDesk()
	main := "[[resource_sync]]\nname = \"main\"\nconfig.repo = \"x/y\"\n"
	d.do(t, Scope{}, main, fleet)
	self, err := d.syncs.Find("main")
	if err != nil {
		t.Fatal(err)
	}
	p := d.planScope(t, Scope{Delete: true, Self: self}, fleet)
	if p.Deletes() != 0 || len(p.Outside) != 1 || p.Outside[0].Reason != "not declared, and kept: a sync does not delete itself" {
		t.Error(story(p))
	}
	changed := strings.Replace(main, `"x/y"`, `"x/z"`, 1)
	less := "[[server]]\nname = \"new\"\n"
	p = d.planScope(t, Scope{Delete: true, Self: schema.Target{Kind: "resource_sync", Name: "main"}}, changed, less)
	last := p.Changes[len(p.Changes)-1]
	if last.Name != "main" || last.Op != OpUpdate || p.Deletes() != 6 {
		t.Error(story(p))
	}
}

func TestSyncsOfTheirOwnStay(t *testing.T) {
	d := newDesk()
	if _, err := d.syncs.Create(t.Context(), "pasted", []byte(`{"file_contents": "x"}`)); err != nil {
		t.Fatal(err)
	}
	tell(t, `
create server one: declared in a.toml:1, not stored
(resource_sync pasted: not declared, and kept: its files are in Berth itself)
`, d.planScope(t, Scope{Delete: true}, "[[server]]\nname = \"one\"\n"))
}

func TestScopeByTags(t *testing.T) {
	d := newDesk()
	d.do(t, Scope{}, `
[[server]]
name = "one"
tags = ["prod"]
[[server]]
name = "two"
tags = ["dev"]
[[server]]
name = "three"
tags = ["prod", "x"]
[[server]]
name = "four"
tags = ["prod"]
`)
	files := `
[[server]]
name = "one"
tags = ["prod"]
[[server]]
name = "two"
tags = ["prod"]
[[server]]
name = "three"
[[server]]
name = "five"
tags = ["dev"]
`
	s := Scope{Tags: []string{"prod"}, Delete: true}
	tell(t, `
unchanged server one: as declared in a.toml:2
update server two: adopted, the stored one lacks the tag "prod": tags: ["dev"] → ["prod"]
update server three: let go, declared without the tag "prod": tags: ["prod","x"] → []
delete server four: not declared any more
(server five: left alone: it lacks the tag "prod")
`, d.planScope(t, s, files))
	d.do(t, s, files)
}

func TestScopeByKindAndChoice(t *testing.T) {
	d := newDesk()
	d.do(t, Scope{}, fleet)
	changed := strings.NewReplacer(`value = "1"`, `value = "2"`, `config.server = "one"`, `config.server = "two"`).Replace(fleet)
	only := Scope{Kinds: []string{"server", "stack", "procedure"}, Only: []schema.Target{{Kind: "stack", Name: "web"}}, Delete: true}
	p := d.planScope(t, only, changed)
	if len(p.Changes) != 1 || p.Changes[0].Name != "web" || p.Changes[0].Op != OpUpdate || p.InScope() != 1 {
		t.Error(story(p))
	}
	p = d.planScope(t, Scope{Only: []schema.Target{{Kind: "stack", Name: "wbe"}}}, changed)
	if err := p.Err(); err == nil || !strings.Contains(err.Error(), `there is no stack "wbe", declared or stored: did you mean "web"?`) {
		t.Error(story(p))
	}
	p = d.planScope(t, Scope{Only: []schema.Target{{Kind: "stack", Name: "api"}}},
		"[[server]]\nname = \"new\"\n[[stack]]\nname = \"api\"\nconfig.server = \"new\"\n")
	if err := p.Err(); err == nil || !strings.Contains(err.Error(), `a.toml:5: stack[0].config.server_id: server "new" does not exist yet, and this would not create it: it is not among those chosen`) {
		t.Error(story(p))
	}
}

func TestDeleteOfWhatOthersReferTo(t *testing.T) {
	d := newDesk()
	d.do(t, Scope{}, fleet)
	p := d.planScope(t, Scope{Delete: true, Kinds: []string{"server"}}, "[[server]]\nname = \"one\"\ntags = [\"prod\"]\n")
	tell(t, `
unchanged server one: as declared in a.toml:1
delete server two: not declared any more
server.two: is not declared any more and would be deleted, but stack "db", which is not in scope, refers to it at server_id: change that first, or declare this
`, p)
	want(t, d.Apply(t.Context(), p), schema.Invalid, `stack "db"`)
	gone := strings.Replace(fleet, "[[server]]\nname = \"two\"\ntags = [\"prod\"]\n", "", 1)
	p = d.planScope(t, Scope{Delete: true}, gone)
	if err := p.Err(); err == nil || !strings.Contains(err.Error(), `a.toml:12: stack[1].config.server_id: server "two" is stored but not declared any more and would be deleted`) {
		t.Error(story(p))
	}
}

// Cycles are spelled out.
func TestCycles(t *testing.T) {
	stack := func(name, after string) string {
		return fmt.Sprintf("[[stack]]\nname = %q\nafter = [%q]\n", name, after)
	}
	procedure := func(name, runs string) string {
		return fmt.Sprintf("[[procedure]]\nname = %q\nconfig.stage = [{ name = \"s\", executions = [{ execution.type = \"RunProcedure\", execution.params.procedure = %q }] }]\n", name, runs)
	}
	for name, c := range map[string]struct {
		texts []string
		want  string
	}{
		"itself": {[]string{stack("a", "a")}, `a.toml:3: stack[0].after: stack "a" → stack "a": each would wait for the other to be deployed (a.toml:1)`},
		"two":    {[]string{stack("a", "b"), stack("b", "a")}, `a.toml:3: stack[0].after: stack "a" → stack "b" → stack "a": each would wait for the other to be deployed (a.toml:1, b.toml:1)`},
		"kinds": {
			[]string{stack("a", "b") + "[[deployment]]\nname = \"b\"\nafter = [\"A\"]\n"},
			`a.toml:3: stack[0].after: stack "a" → deployment "b" → stack "a": each would wait for the other to be deployed (a.toml:1, a.toml:4)`,
		},
		"procedures": {
			[]string{procedure("p", "q"), procedure("q", "r") + procedure("r", "p")},
			`a.toml:3: procedure[0].config.stages: procedure "p" → procedure "q" → procedure "r" → procedure "p": they would run each other for ever (a.toml:1, b.toml:1, b.toml:4)`,
		},
		"unknown": {[]string{stack("a", "bb"), stack("bbb", "zz")}, "a.toml:3: stack[0].after: there is no stack and no deployment \"bb\": did you mean \"bbb\"?\nb.toml:3: stack[0].after: there is no stack and no deployment \"zz\""},
	} {
		t.Run(name, func(t *testing.T) {
			p := newDesk().planScope(t, Scope{}, c.texts...)
			var have []string
			for _, i := range p.Issues {
				have = append(have, i.String())
			}
			if diff := cmp.Diff(c.want, strings.Join(have, "\n")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDuplicateNames(t *testing.T) {
	p := newDesk().planScope(t, Scope{}, "[[stack]]\nname = \"a\"\n", "\n[[stack]]\nname = \"A\"\n")
	if err := p.Err(); err == nil || !strings.Contains(err.Error(), `b.toml:3: stack[0].name: there is a stack "a" already at a.toml:1`) {
		t.Error(err)
	}
}

func TestAfterIsResolvedAcrossKinds(t *testing.T) {
	d := newDesk()
	text := readFile(t, "testdata/samples/16-deploy-order.toml").Text + "[[server]]\nname = \"edge-01\"\n"
	p := d.planScope(t, Scope{}, text)
	if p.Err() != nil {
		t.Fatal(p.Err())
	}
	at := map[string]int{}
	for i, c := range p.Changes {
		at[c.Name] = i
		if c.Name == "app" && (len(c.After) != 1 || c.After[0].Kind != "deployment" || c.After[0].ID != p.Changes[at["db"]].ID || !c.Deploy) {
			t.Errorf("%+v", c)
		}
	}
	if at["db"] > at["app"] || at["app"] > at["proxy"] || at["db"] > at["queue"] || at["edge-01"] > at["db"] {
		t.Error(story(p))
	}
	d.do(t, Scope{}, text)
}

// TestChangeByChange applies part of a plan: the next plan holds the rest.
func TestChangeByChange(t *testing.T) {
	d := newDesk()
	p := d.planScope(t, Scope{}, fleet)
	for i := range 3 {
		if err := d.ApplyChange(t.Context(), p, i); err != nil {
			t.Fatal(err)
		}
	}
	want(t, d.ApplyChange(t.Context(), p, 0), schema.Conflict, "plan again")
	rest := d.planScope(t, Scope{}, fleet)
	if n := len(rest.Changes) - rest.Count(OpUnchanged); n != len(p.Changes)-3 {
		t.Error(story(rest))
	}
	for i := range rest.Changes {
		if err := d.ApplyChange(t.Context(), rest, i); err != nil {
			t.Error(err)
		}
	}
	if last := d.planScope(t, Scope{}, fleet); !last.Empty() {
		t.Error(story(last))
	}
	fresh := newDesk()
	p = fresh.planScope(t, Scope{}, fleet)
	at := slices.IndexFunc(p.Changes, func(c Change) bool { return c.Name == "web" })
	want(t, fresh.ApplyChange(t.Context(), p, at), schema.Conflict, `server "one", which it refers to, was not created`)
}

func TestMutualReferencesAreNoCycle(t *testing.T) {
	newDesk().do(t, Scope{}, `
[[alerter]]
name = "ops"
config.resources = [{ type = "Procedure", id = "p" }]
[[procedure]]
name = "p"
config.stage = [{ name = "s", executions = [{ execution.type = "SendAlert", execution.params = { alerters = ["ops"], message = "x" } }] }]
`)
}
