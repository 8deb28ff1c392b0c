package schema

import "testing"

func TestStackAdmits(t *testing.T) {
	for _, c := range []struct {
		triggers []string
		cause    string
		want     string
	}{
		{nil, "webhook", ""},
		{[]string{"push"}, "webhook", ""},
		{[]string{"schedule", "manual"}, "webhook", "its triggers are schedule and manual, this was push"},
		{[]string{"push"}, "schedule", "its triggers are push, this was schedule"},
		{[]string{"schedule"}, "schedule", ""},
		{[]string{"push", "manual"}, "click", ""},
		{[]string{"push"}, "cli", "its triggers are push, this was manual"},
	} {
		ok, why := StackConfig{Triggers: c.triggers}.Admits(Cause{Kind: c.cause})
		if why != c.want || ok != (c.want == "") {
			t.Errorf("%v by %s: %v %q", c.triggers, c.cause, ok, why)
		}
	}
}
