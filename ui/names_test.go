package ui_test

import (
	"encoding/json"
	"testing"

	"berth/ui/uitest"
)

// What is stored names resources by id; pages call them by name.
func TestPagesShowNamesInsteadOfIDs(t *testing.T) {
	w := uitest.Homelab()
	repo := w.RepoList[0].Resource.ID
	for i := range w.StackList {
		w.StackList[i].Resource.Config.LinkedRepo = repo
	}
	pull := &w.ProcList[0].Resource.Config.Stages[0].Executions[0].Execution
	pull.Params = json.RawMessage(`{"repo":"` + repo + `"}`)
	h := bundled(t, w)
	checkPage(t, get(t, h, "/stacks/dashy").Body.String(), []string{"homelab"}, []string{repo})
	checkPage(t, get(t, h, "/procedures/deploy-homelab").Body.String(), []string{"Pull homelab"}, []string{repo})
	if w.StackList[0].Resource.Config.LinkedRepo != repo || string(pull.Params) != `{"repo":"`+repo+`"}` {
		t.Error("drawing a page changed what is stored")
	}
}

func TestRevokedServerSaysSo(t *testing.T) {
	w := uitest.Homelab()
	w.ServerList[0].Joined, w.ServerList[0].Online = false, false
	body := get(t, bundled(t, w), "/servers/"+w.ServerList[0].Resource.Name).Body.String()
	checkPage(t, body, []string{"revoked", "join it again"}, []string{"systemctl", "unreachable"})
}
