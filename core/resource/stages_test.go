package resource

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/schema"
)

// TestStagesAreComparedOneByOne reads what a plan says of a procedure's stages.
func TestStagesAreComparedOneByOne(t *testing.T) {
	w := newWorld(t)
	w.apply(t, spine)
	for name, c := range map[string]struct{ from, to, want string }{
		"an execution changes": {
			`"DeployStackIfChanged", execution.params.stack = "web"`, `"DeployStackIfChanged", execution.params.stack = "web", execution.params.stop_time = 3`,
			"stages[deploy].executions[0]: DeployStackIfChanged stack=web → DeployStackIfChanged stack=web stop_time=3",
		},
		"one is added, one is switched off": {
			`{ execution.type = "RunProcedure", execution.params.procedure = "later" },`,
			`{ execution.type = "RunProcedure", execution.params.procedure = "later", enabled = false }, { execution.type = "Sleep", execution.params.duration_ms = 5 },`,
			"stages[deploy].executions[1]: RunProcedure procedure=later → RunProcedure procedure=later, enabled=false\nstages[deploy].executions[2]: added: Sleep duration_ms=5",
		},
		"one is removed": {
			`{ execution.type = "DeployStackIfChanged", execution.params.stack = "web" },`, ``,
			"stages[deploy].executions[0]: removed: DeployStackIfChanged stack=web",
		},
		"a stage is renamed": {
			`name = "pull"`, "name = \"fetch\"\napproval = true",
			"stages[pull]: removed: stage with 1 execution\nstages[pull].executions[0]: removed: PullRepo repo=iac\n" +
				"stages[fetch]: added: stage with 1 execution, approval=true\nstages[fetch].executions[0]: added: PullRepo repo=iac",
		},
		"a bound": {
			`name = "deploy"`, "name = \"deploy\"\ntimeout = \"10m\"\ncontinue_on_failure = true",
			"stages[deploy].continue_on_failure: false → true\nstages[deploy].timeout: \"\" → 10m0s",
		},
		"the order of stages": {
			"name = \"pull\"\n" + `executions = [{ execution.type = "PullRepo", execution.params.repo = "iac" }]` + "\n[[procedure.config.stage]]\nname = \"deploy\"\n",
			"name = \"deploy\"\n", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(spine, c.from, c.to, 1)
			if c.want == "" { // the first stage comes after the second
				text = strings.Replace(text, "]\n\n[[procedure]]\nname = \"later\"", "]\n[[procedure.config.stage]]\nname = \"pull\"\n"+
					`executions = [{ execution.type = "PullRepo", execution.params.repo = "iac" }]`+"\n\n[[procedure]]\nname = \"later\"", 1)
				c.want = "stages[order]: pull, deploy → deploy, pull"
			}
			p := w.plan(t, text)
			var got []string
			for _, ch := range p.Changes {
				for _, f := range ch.Fields {
					if ch.Op != OpUpdate || f.Setting() != "stages" {
						t.Errorf("%s %s: %s", ch.Op, ch.Name, f)
					}
					got = append(got, f.String())
				}
			}
			if diff := cmp.Diff(c.want, strings.Join(got, "\n")); diff != "" {
				t.Error(diff)
			}
			for _, line := range got {
				if !strings.Contains(p.String(), "\n    "+line+"\n") {
					t.Errorf("%q is not in the text\n%s", line, p.String())
				}
			}
		})
	}
}

// TestOrderWithinStage: what a stage does is told whatever changes, if only its order.
func TestOrderWithinStage(t *testing.T) {
	nap := func(ms string) schema.EnabledExecution {
		return schema.EnabledExecution{Enabled: true, Execution: schema.Execution{Type: "Sleep", Params: []byte(`{"duration_ms":` + ms + `}`)}}
	}
	stage := func(list ...schema.EnabledExecution) []schema.ProcedureStage {
		return []schema.ProcedureStage{{Enabled: true, Executions: list}, {Enabled: true, Executions: list}}
	}
	got := stageChanges("stages", stage(nap("1"), nap("2")), stage(nap("2"), nap("1")))
	want := []FieldChange{
		{"stages[0].executions[order]", "Sleep duration_ms=1; Sleep duration_ms=2", "Sleep duration_ms=2; Sleep duration_ms=1"},
		{"stages[1].executions[order]", "Sleep duration_ms=1; Sleep duration_ms=2", "Sleep duration_ms=2; Sleep duration_ms=1"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
