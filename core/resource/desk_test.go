package resource

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// desk is a registry of all kinds in memory.
type desk struct {
	*Registry
	kindsOf
}

func newDesk() *desk {
	g := Offline()
	return &desk{Registry: g, kindsOf: registerAll(g)}
}

func (d *desk) planScope(t *testing.T, s Scope, texts ...string) Plan {
	t.Helper()
	p, err := d.PlanScope(t.Context(), filesOf(texts), s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func filesOf(texts []string) []File {
	var out []File
	for i, text := range texts {
		out = append(out, File{Name: string(rune('a'+i)) + ".toml", Text: text})
	}
	return out
}

// do applies a plan and expects the next one to be empty.
func (d *desk) do(t *testing.T, s Scope, texts ...string) {
	t.Helper()
	if err := d.Apply(t.Context(), d.planScope(t, s, texts...)); err != nil {
		t.Fatal(err)
	}
	if again := d.planScope(t, s, texts...); !again.Empty() || again.Err() != nil {
		t.Errorf("the second plan is not empty: %s", again)
	}
}

// story is a plan as lines: op kind name: reason.
func story(p Plan) string {
	var out []string
	for _, c := range p.Changes {
		out = append(out, fmt.Sprintf("%s %s %s: %s", c.Op, c.Kind, c.Name, c.Reason))
	}
	for _, c := range p.Outside {
		out = append(out, fmt.Sprintf("(%s %s: %s)", c.Kind, c.Name, c.Reason))
	}
	for _, i := range p.Issues {
		out = append(out, i.String())
	}
	return strings.Join(out, "\n")
}

func tell(t *testing.T, want string, p Plan) {
	t.Helper()
	if diff := cmp.Diff(strings.TrimSpace(want), story(p)); diff != "" {
		t.Error(diff)
	}
}

const fleet = `
[[server]]
name = "one"
tags = ["prod"]
[[server]]
name = "two"
tags = ["prod"]
[[stack]]
name = "web"
tags = ["prod"]
config.server = "one"
[[stack]]
name = "db"
tags = ["prod"]
config.server = "two"
[[procedure]]
name = "nightly"
tags = ["prod"]
config.stage = [{ name = "s", executions = [{ execution.type = "DeployStack", execution.params.stack = "db" }] }]
[[variable]]
name = "A"
value = "1"
`
