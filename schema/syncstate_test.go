package schema

import (
	"strings"
	"testing"
)

// The mistakes of a plan are told once.
func TestPlanTellsMistakesOnce(t *testing.T) {
	p := SyncPlan{
		Issues:  []SyncIssue{{File: "a.toml", Line: 3, Text: "unknown key"}, {File: "b.toml", Text: "odd", Warning: true}},
		Problem: &Problem{Code: Invalid, Text: "the files have mistakes, so nothing is done: a.toml:3: unknown key"},
	}
	want := "a.toml:3: unknown key\nwarning: b.toml: odd\nno plan: the files have mistakes, so nothing is done\n"
	if got := p.Text(); got != want {
		t.Errorf("have %q, want %q", got, want)
	}
	p.Issues = nil
	if got := p.Text(); !strings.Contains(got, "unknown key") {
		t.Errorf("without issues: %q", got)
	}
}
