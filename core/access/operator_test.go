package access_test

import (
	"testing"

	"berth/core/access"
	"berth/schema"
)

func TestOperatorsHaveALevelOnEverythingAndNoMore(t *testing.T) {
	web := schema.Target{Kind: "stack", ID: "1", Name: "web"}
	for _, c := range []struct {
		may, needs access.Level
		target     schema.Target
		ok         bool
	}{
		{access.CanRead, access.AnyUser, schema.Target{}, true},
		{access.CanRead, access.CanRead, web, true},
		{access.CanRead, access.CanExec, web, false},
		{access.CanExec, access.CanExec, web, true},
		{access.CanExec, access.CanEdit, web, false},
		{access.CanExec, access.IsAdmin, schema.Target{}, false},
		{"", access.CanRead, web, false},
		{access.IsAdmin, "Nonsense", web, false},
	} {
		ctx := access.WithCaller(t.Context(), access.OperatorCaller("op-ada", "ada", c.may, ""))
		if err := access.Permit(ctx, c.needs, c.target); (err == nil) != c.ok {
			t.Errorf("%q does what needs %s on %q: %v", c.may, c.needs, c.target.Name, err)
		}
	}
}
