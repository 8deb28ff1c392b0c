package core

import (
	"slices"
	"testing"

	"berth/core/execution"
	"berth/schema"
)

func TestWhatIsAboutCoreIsForAdministratorsAndOneAfterTheOther(t *testing.T) {
	about := []string{"BackupCoreDatabase", "ClearRepoCache", "GlobalAutoUpdate", "RotateAllServerKeys", "RotateCoreKeys"}
	var have []string
	for _, a := range actions(&execution.Deps{}) {
		if !a.Admin {
			continue
		}
		have = append(have, a.Name)
		if a.Queue == nil || a.Queue(schema.Target{}) == "" {
			t.Errorf("%s is in no queue: two at once undo each other", a.Name)
		}
	}
	slices.Sort(have)
	if !slices.Equal(have, about) {
		t.Errorf("for administrators are %v, want %v", have, about)
	}
}
