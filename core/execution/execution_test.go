package execution

import (
	"testing"

	"berth/schema"
)

func TestSameRepo(t *testing.T) {
	for _, tc := range []struct {
		source, pushed string
		want           bool
	}{
		{"matt/homelab-docker", "matt/homelab-docker", true},
		{"Matt/Homelab-Docker.git", "matt/homelab-docker", true},
		{"https://git.example/matt/homelab-docker.git", "matt/homelab-docker", true},
		{"git@git.example:matt/homelab-docker.git", "matt/homelab-docker", true},
		{"other/homelab-docker", "matt/homelab-docker", false},
		{"notmatt/homelab-docker", "matt/homelab-docker", false},
		{"matt/homelab-docker", "", false},
		{"", "", false},
	} {
		if got := sameRepo(tc.source, tc.pushed); got != tc.want {
			t.Errorf("sameRepo(%q, %q) = %v", tc.source, tc.pushed, got)
		}
	}
}

func TestCoversDeploy(t *testing.T) {
	for _, tc := range []struct {
		newer, older string
		want         bool
	}{
		{`{"stack":"web"}`, `{"stack":"web"}`, true},
		{`{"stack":"web"}`, `{"stack":"web","services":["a"]}`, true},
		{`{"stack":"web","services":["a"]}`, `{"stack":"web"}`, false},
		{`{"stack":"web","services":["a","b"]}`, `{"stack":"web","services":["a"]}`, true},
		{`{"stack":"web","services":["b"]}`, `{"stack":"web","services":["a"]}`, false},
		{`nonsense`, `{}`, false},
	} {
		if got := CoversDeploy([]byte(tc.newer), []byte(tc.older)); got != tc.want {
			t.Errorf("CoversDeploy(%s, %s) = %v", tc.newer, tc.older, got)
		}
	}
}

func TestPlanStagesNamesAreDistinct(t *testing.T) {
	ex := schema.EnabledExecution{Enabled: true}
	got := planStages([]schema.ProcedureStage{
		{Name: "deploy", Executions: []schema.EnabledExecution{ex, {}}}, {Name: "deploy", Executions: []schema.EnabledExecution{ex}},
	})
	if got[0].Name != "deploy" || got[0].Total != 1 || got[1].Name != "deploy (2)" {
		t.Fatalf("%+v", got)
	}
}

func TestTallyTellsWhatHappened(t *testing.T) {
	var all tally
	all.count("a", &schema.Run{State: schema.StateSucceeded, Decision: &schema.Decision{What: "deploy"}})
	all.count("b", &schema.Run{State: schema.StateSucceeded, Decision: &schema.Decision{What: "unchanged"}})
	all.count("c", &schema.Run{State: schema.StateSuperseded})
	if got := all.outcome().Note; got != "1 done, 1 unchanged, 1 superseded by newer runs" {
		t.Error(got)
	}
	if all.err() != nil {
		t.Error(all.err())
	}
	all.count("d", &schema.Run{State: schema.StateWarning})
	if got := all.outcome(); got.State != schema.StateWarning {
		t.Errorf("%+v", got)
	}
	all.count("DeployStack web", &schema.Run{State: schema.StateFailed, Problem: &schema.Problem{Text: "pull: no route"}})
	if err := all.err(); err == nil || schema.SafeText(err) != "1 of 5 failed: DeployStack web: pull: no route" {
		t.Error(err)
	}
}
