package api

import (
	"encoding/json"
	"strings"
	"testing"

	"berth/schema"
)

func TestAnUpdateOfABuildSaysItsVersion(t *testing.T) {
	for plan, want := range map[string]string{
		`{"place":{},"version":{"major":1,"minor":2,"patch":3}}`: `"version":{"major":1,"minor":2,"patch":3}`,
		``: "", `"packed"`: "", `{"version":{"major":0,"minor":0,"patch":0}}`: "",
	} {
		r := &schema.Run{ID: "r", Action: "RunBuild", Plan: json.RawMessage(plan)}
		for _, v := range []any{updateOf(r), itemOf(r)} {
			text, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			if has := strings.Contains(string(text), `"version"`); has != (want != "") || !strings.Contains(string(text), want) {
				t.Errorf("with plan %s: %s", plan, text)
			}
		}
	}
	other := &schema.Run{Action: "RunProcedure", Plan: json.RawMessage(`{"version":{"major":1,"minor":0,"patch":0}}`)}
	if v := updateOf(other).Version; v != nil {
		t.Errorf("a run of no build says version %s", v)
	}
}

func TestAStackSaysWhichImagesAreKnown(t *testing.T) {
	v := schema.StackView{
		Services: []schema.ServiceView{{Name: "web", Image: "reg:5000/web:1"}, {Name: "db", Image: "pg"}},
		Deployed: &schema.Deployed{Project: "p", Services: []schema.DeployedService{{Name: "web", Image: "reg:5000/web:1", Container: "p-web-1"}}},
		Update: &schema.UpdateState{Services: []schema.ServiceUpdate{
			{Service: "web", Image: "reg:5000/web:1", Running: "sha256:old", Latest: "sha256:new", Newer: true},
		}},
	}
	info := stackInfoOf(v)
	if d := info.LatestServices[0].Digest; d == nil || *d != "reg:5000/web@sha256:new" {
		t.Errorf("latest: %+v", info.LatestServices[0])
	}
	if d := info.LatestServices[1].Digest; d != nil {
		t.Errorf("nobody looked for db, and it has digest %s", *d)
	}
	if d := info.DeployedServices[0].Digest; d == nil || *d != "reg:5000/web@sha256:old" {
		t.Errorf("deployed: %+v", info.DeployedServices[0])
	}
	item := stackItemOf(v, nil)
	if s := item.Services[0]; !s.Available || s.Latest == nil || item.Services[1].Available || item.Services[1].Latest != nil {
		t.Errorf("services of the list: %+v", item.Services)
	}
}
