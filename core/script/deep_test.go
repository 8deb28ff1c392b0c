package script

import (
	"strings"
	"testing"

	"berth/schema"
)

func TestDeepScriptsAreRefused(t *testing.T) {
	for _, open := range []string{"(", "[", "{", "f("} {
		if _, err := Compile(strings.Repeat(open, 60<<10)); schema.CodeOf(err) != schema.Invalid {
			t.Errorf("60 Ki times %s: %v", open, err)
		}
	}
	if _, err := Compile(strings.Repeat("[", 100) + strings.Repeat("]", 100)); err != nil {
		t.Errorf("a hundred: %v", err)
	}
}
