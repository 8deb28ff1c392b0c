package resource

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/schema"
)

// TestExportSamples loads all samples, exports them, and loads that: nothing
// changes. The text is kept as a golden file.
func TestExportSamples(t *testing.T) {
	d := newDesk()
	texts := samples(t)
	d.do(t, Scope{}, texts...)
	text, err := d.Export(t.Context(), ExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("testdata/export.golden.toml", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(readFile(t, "testdata/export.golden.toml").Text, text); diff != "" {
		t.Error(diff)
	}
	p := d.planScope(t, Scope{Delete: true}, text)
	for _, i := range p.Issues {
		t.Error(i)
	}
	if !p.Empty() {
		t.Error(p)
	}
	open, err := d.Export(t.Context(), ExportOptions{Secrets: true})
	if err != nil {
		t.Fatal(err)
	}
	other := newDesk()
	other.do(t, Scope{}, open)
	moved, err := other.Export(t.Context(), ExportOptions{Secrets: true})
	if diff := cmp.Diff(open, moved); diff != "" || err != nil {
		t.Error("another core has something else:", diff, err)
	}
}

func TestExportForm(t *testing.T) {
	d := newDesk()
	d.do(t, Scope{}, `
[[server]]
name = "edge-01"
config.enabled = true
[[variable]]
name = "TOKEN"
value = "canary"
is_secret = true
[[variable]]
name = "MOTD"
value = "C:\\new\n\"hello\""
[[stack]]
name = "web"
description = 'a "quoted" \ text'
tags = ["prod", "a-tag-that-is-longer-than-thirty"]
[stack.config]
server = "edge-01"
webhook_secret = "canary"
links = ["https://a.example"]
environment = """
RE = ^\d+\$
"""
pre_deploy = { command = "echo hi" }
config_files = ["a.conf", { path = "b.conf", requires = "Restart" }]
[[builder]]
name = "b"
[[procedure]]
name = "nightly"
config.schedule = "Every day at 03:00"
[[procedure.config.stage]]
name = "deploy"
executions = [
  { execution.type = "DeployStack", execution.params.stack = "web", execution.params.services = ["a"] },
  { execution.type = "None", execution.params = {}, enabled = false },
]
[[user_group]]
name = "ops"
users = ["kim", "ada"]
all.Server = "Read"
all.Stack = { level = "Execute", specific = ["Logs"] }
permissions = [{ target.type = "Stack", target.id = '\^web-.+$\', level = "Write" }]
`)
	have, err := d.Export(t.Context(), ExportOptions{Kept: map[string]Kept{"stack/web": {Deploy: true, After: []string{"db"}}}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(`[[server]]
name = "edge-01"
[server.config]
enabled = true

##

[[stack]]
name = "web"
description = "a \"quoted\" \\ text"
tags = [
  "prod",
  "a-tag-that-is-longer-than-thirty",
]
deploy = true
after = ["db"]
[stack.config]
server = "edge-01"
links = ["https://a.example"]
webhook_secret = "•••"
config_files = [
  { path = "a.conf" },
  { path = "b.conf", requires = "Restart" },
]
pre_deploy.command = """
echo hi
"""
environment = """
RE = ^\d+\$
"""

##

[[procedure]]
name = "nightly"
config.schedule = "Every day at 03:00"

[[procedure.config.stage]]
name = "deploy"
executions = [
  { execution.type = "DeployStack", execution.params.stack = "web", execution.params.services = ["a"] },
  { execution.type = "None", execution.params = {}, enabled = false },
]

##

[[builder]]
name = "b"
[builder.config]
type = "Url"
params = {}

##

[[variable]]
name = "MOTD"
value = "C:\\new\n\"hello\""

##

[[variable]]
name = "TOKEN"
value = "•••"
is_secret = true

##

[[user_group]]
name = "ops"
users = ["ada", "kim"]
all.Server = "Read"
all.Stack = { level = "Execute", specific = ["Logs"] }
permissions = [
  { target.type = "Stack", target.id = "\\^web-.+$\\", level = "Write" },
]
`, have); diff != "" {
		t.Error(diff)
	}
	one, err := d.Export(t.Context(), ExportOptions{Targets: []schema.Target{{Kind: "variable", Name: "TOKEN"}}, Secrets: true})
	if err != nil || !strings.Contains(one, `value = "canary"`) || strings.Contains(one, "##") {
		t.Error(one, err)
	}
	_, err = d.Export(t.Context(), ExportOptions{Targets: []schema.Target{{Kind: "stack", Name: "wev"}}})
	want(t, err, schema.NotFound, `did you mean "web"?`)
}

// TestMaskOfNothing refuses a mask where no secret is stored.
func TestMaskOfNothing(t *testing.T) {
	text := "[[stack]]\nname = \"web\"\n[stack.config]\nwebhook_secret = \"•••\"\n"
	p := newDesk().planScope(t, Scope{}, text)
	if err := p.Err(); err == nil || !strings.Contains(err.Error(), `a.toml:4: stack[0].config.webhook_secret: is the mask of a secret, and nothing is stored that it stands for`) {
		t.Error(err)
	}
}
