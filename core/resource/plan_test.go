package resource

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/schema"
)

// spine is the seed's shape: a push pulls a repo and deploys stacks on two servers.
const spine = `
[[procedure]]
name = "on push"
tags = ["ci"]
config.webhook_secret = "hook-secret"
[[procedure.config.stage]]
name = "pull"
executions = [{ execution.type = "PullRepo", execution.params.repo = "iac" }]
[[procedure.config.stage]]
name = "deploy"
executions = [
  { execution.type = "DeployStackIfChanged", execution.params.stack = "web" },
  { execution.type = "RunProcedure", execution.params.procedure = "later" },
]

[[procedure]]
name = "later"
[[procedure.config.stage]]
name = "back"
executions = [{ execution.type = "RunProcedure", execution.params.procedure = "on push", enabled = false }]

[[stack]]
name = "web"
[stack.config]
server = "edge-02"
linked_repo = "iac"
run_directory = "web"
environment = """
A = 1 & <2>
"""

[[repo]]
name = "iac"
[repo.config]
server = "edge-02"
repo = "acme/iac"
on_pull.command = "echo a & b"

[[server]]
name = "edge-01"
config.enabled = true
[[server]]
name = "edge-02"
config.enabled = true

[[variable]]
name = "TOKEN"
value = "canary-1"
is_secret = true
`

func ops(p Plan) string {
	var out []string
	for _, c := range p.Changes {
		out = append(out, fmt.Sprintf("%s %s %s", c.Op, c.Kind, c.Name))
		for _, f := range c.Fields {
			if c.Op == OpUpdate {
				out = append(out, fmt.Sprintf("  %s: %s -> %s", f.Key, f.Old, f.New))
			}
		}
	}
	return strings.Join(out, "\n")
}

func TestPlanThenApplyThenNothing(t *testing.T) {
	w := newWorld(t)
	p := w.plan(t, spine)
	if diff := cmp.Diff(`create variable TOKEN
create server edge-01
create server edge-02
create repo iac
create stack web
create procedure later
create procedure on push`, ops(p)); diff != "" {
		t.Error(diff)
	}
	if w.raw.Len() != 0 {
		t.Error("a plan wrote something")
	}
	w.apply(t, spine)

	stack, err := w.stacks.Get(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	repo, err := w.repos.Find("iac")
	if err != nil || stack.Config.LinkedRepo != repo.ID {
		t.Error("references are stored as ids:", stack.Config.LinkedRepo, repo, err)
	}
	shown, err := w.stacks.Shown(stack.Config)
	if err != nil || shown.LinkedRepo != "iac" || shown.ServerID != "edge-02" {
		t.Error("references are shown as names:", shown.LinkedRepo, shown.ServerID, err)
	}
	changed := strings.NewReplacer(
		`server = "edge-02"`+"\nlinked", `server = "edge-01"`+"\nlinked", `"canary-1"`, `"canary-2"`, `"hook-secret"`, `"other"`,
		`run_directory = "web"`, ``, `tags = ["ci"]`, `tags = ["ci", "x"]`, `stack = "web"`, `stack = "web", execution.params.stop_time = 3`,
	).Replace(spine)
	have := ops(w.plan(t, changed))
	for _, secret := range []string{"canary", "hook-secret", "other"} {
		if strings.Contains(have, secret) {
			t.Error("the plan shows a secret")
		}
	}
	back := `unchanged procedure later
update procedure on push
  tags: ["ci"] -> ["ci","x"]
  stages[deploy].executions[0]: DeployStackIfChanged stack=web -> DeployStackIfChanged stack=web stop_time=3
  webhook_secret: ••• -> •••`
	if diff := cmp.Diff(`update variable TOKEN
  value: ••• -> •••
unchanged server edge-01
unchanged server edge-02
unchanged repo iac
update stack web
  server_id: edge-02 -> edge-01
  run_directory: web -> 
`+back, have); diff != "" {
		t.Error(diff)
	}
	w.apply(t, changed)
}

func TestPlanMistakes(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"dangling": {
			"[[stack]]\nname = \"a\"\n[stack.config]\nserver = \"edge-O1\"\n[[server]]\nname = \"edge-01\"\n",
			[]string{`x.toml:4: stack[0].config.server_id: there is no server "edge-O1": did you mean "edge-01"?`},
		},
		"dangling in a stage": {
			"[[procedure]]\nname = \"p\"\n[[procedure.config.stage]]\nname = \"s\"\nexecutions = [\n {execution.type=\"None\",execution.params={}},\n {execution.type=\"PullRepo\",\n execution.params.repo=\"gone\"}]\n",
			[]string{`x.toml:8: procedure[0].config.stages[0].executions[1].execution.params.repo: there is no repo "gone"`},
		},
		"twice": {
			"[[stack]]\nname = \"a\"\n[[stack]]\nname = \"A\"\n",
			[]string{`x.toml:4: stack[1].name: "A" is stored as "a"`, `x.toml:4: stack[1].name: there is a stack "a" already at x.toml:1`},
		},
		"duplicate key": {"[[stack]]\nname = \"a\"\nname = \"b\"\n", []string{`x.toml:3: name: key name is already defined`}},
		"every mistake at once": {
			"[[server]]\nname = \"\"\n[[variable]]\nname = \"A B\"\n[[stack]]\nname = \"s\"\ntags = [\"\"]\n[[procedure]]\nname = \"p\"\nconfig.stages = 3\n",
			[]string{
				`x.toml:2: server[0].name: name "": nothing is left of it that may stand in a name`,
				`x.toml:4: variable[0].name: name "A B": a variable's name has letters, digits and _, does not begin with a digit, and has at most 500 characters`,
				`x.toml:7: stack[0].tags: a tag is empty`,
				`x.toml:10: procedure[0].config.stages: want a list, have the number 3`,
			},
		},
		"itself": {
			"[[procedure]]\nname = \"p\"\n[[procedure.config.stage]]\nname = \"s\"\nexecutions = [{execution.type=\"RunProcedure\",execution.params.procedure=\"p\"}]\n",
			[]string{`x.toml:5: procedure[0].config.stages[0].executions[0].execution.params.procedure: a procedure cannot run itself`},
		},
		"pattern": {
			"[[procedure]]\nname = \"p\"\n[[procedure.config.stage]]\nname = \"s\"\nexecutions = [{execution.type=\"BatchDeployStack\",execution.params.pattern='\\'}]\n",
			[]string{`x.toml:5: procedure[0].config.stage[0].executions[0].execution.params.pattern: pattern "\\": nothing between the backslashes`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p, err := w.Plan(t.Context(), []File{{"x.toml", c.text}})
			if err != nil {
				t.Fatal(err)
			}
			var have []string
			for _, i := range p.Issues {
				have = append(have, i.String())
			}
			if diff := cmp.Diff(c.want, have); diff != "" {
				t.Error(diff)
			}
			want(t, w.Apply(t.Context(), p), schema.Invalid, "nothing was applied")
			if w.raw.Len() > 0 {
				t.Error("something was stored")
			}
		})
	}
}

func TestPlanWarnings(t *testing.T) {
	w := newWorld(t)
	p := w.plan(t, `[owner]
name = "x"
[[sever]]
[[swarm]]
name = "s"
[[stack]]
name = "a"
auto_update = true
colour = "green"
[stack.config]
enviroment = "A=1"
swarm = "s"
pre_deploy = { command = "x [[ y", args = 1 }
`)
	var have []string
	for _, i := range p.Issues {
		have = append(have, i.String())
	}
	if diff := cmp.Diff([]string{
		`x.toml:1: owner: unknown table, ignored`,
		`x.toml:3: sever: unknown table, ignored: did you mean [[server]]?`,
		`x.toml:8: stack[0].auto_update: unknown key, ignored: it belongs into config, as config.auto_update`,
		`x.toml:9: stack[0].colour: unknown key, ignored`,
		`x.toml:11: stack[0].config.enviroment: unknown key, ignored: did you mean environment?`,
		`x.toml:13: stack[0].config.pre_deploy.args: unknown key, ignored`,
		`x.toml:13: stack[0].config.pre_deploy.command: line 1: [[ is not closed by ]]: this will fail when it is used`,
	}, have); diff != "" {
		t.Error(diff)
	}
}

func TestApplyRefusesAnOldPlan(t *testing.T) {
	w := newWorld(t)
	text := "[[stack]]\nname = \"a\"\nconfig.branch = \"x\"\n"
	p := w.plan(t, text)
	if _, err := w.stacks.Create(t.Context(), "a", nil); err != nil {
		t.Fatal(err)
	}
	want(t, w.Apply(t.Context(), p), schema.Conflict, "plan again")
	p = w.plan(t, text)
	if _, err := w.stacks.Update(t.Context(), "a", []byte(`{"repo": "x/y"}`)); err != nil {
		t.Fatal(err)
	}
	want(t, w.Apply(t.Context(), p), schema.Conflict, "plan again")
	w.apply(t, text)
	s, err := w.stacks.Get(t.Context(), "a")
	if err != nil || s.Config.Branch != "x" || s.Config.Repo != "" {
		t.Error("what is not declared goes back to its default:", s.Config, err)
	}
}

// samples are the texts of the samples that declare what the others refer to, but
// for the executions on swarms, which are refused.
func samples(t testing.TB) []string {
	t.Helper()
	var out []string
	for _, n := range []string{
		"01-servers", "02-swarms", "03-builders", "04-repos", "05-builds", "06-stacks", "07-deployments", "08-actions", "09-procedures",
		"10-procedure-all-executions", "11-alerters", "12-resource-syncs", "13-variables", "14-user-groups",
	} {
		lines := strings.Split(readFile(t, "testdata/samples/"+n+".toml").Text, "\n")
		lines = slices.DeleteFunc(lines, func(l string) bool { return strings.Contains(l, "execution.type") && strings.Contains(l, "Swarm") })
		out = append(out, strings.Join(lines, "\n"))
	}
	return out
}

func TestApplyAllSamplesTogether(t *testing.T) {
	w := newWorld(t)
	files := filesOf(samples(t))
	p, err := w.Plan(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Apply(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	p, err = w.Plan(t.Context(), files)
	if err != nil || !p.Empty() || p.Err() != nil {
		t.Error(ops(p), p.Err(), err)
	}
}
