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

func TestFilesAreShownOfTheCommitThatWasDeployed(t *testing.T) {
	file := func(text string) []schema.SeenFile { return []schema.SeenFile{{Path: "compose.yaml", Text: text}} }
	v := schema.StackView{
		Seen:     &schema.Seen{Files: file("new"), FilesOf: "b", Before: file("old"), BeforeOf: "a", Images: map[string]string{"i1": "web@sha256:d"}},
		Deployed: &schema.Deployed{Commit: "a", At: 5, Services: []schema.DeployedService{{Name: "web"}}},
		Services: []schema.ServiceView{{Name: "web", Containers: []schema.Container{{ImageID: "i1"}}}},
	}
	v.Resource.Config.Repo = "ada/app"
	info := stackInfoOf(v)
	if len(info.RemoteContents) != 1 || info.RemoteContents[0].Contents != "new" || len(info.DeployedContents) != 1 || info.DeployedContents[0].Contents != "old" {
		t.Errorf("remote %+v, deployed %+v", info.RemoteContents, info.DeployedContents)
	}
	if d := info.DeployedServices[0].Digest; d == nil || *d != "web@sha256:d" {
		t.Errorf("the image that runs: %v", d)
	}
	v.Deployed.Commit = "c" // at which nobody looked
	if got := stackInfoOf(v).DeployedContents; got != nil {
		t.Errorf("deployed at a commit that was not looked at: %+v", got)
	}
	v.Resource.Config.FilePaths = schema.StrList{"other.yaml"} // what was seen is of no file it has
	if got := stackInfoOf(v).RemoteContents; len(got) != 0 {
		t.Errorf("files that are not in the settings: %+v", got)
	}
}

func TestFilesOfAStackItself(t *testing.T) {
	v := schema.StackView{Deployed: &schema.Deployed{At: 5}}
	v.Resource.Updated, v.Resource.Config.FileContents = 4, "services: {}\n"
	info := stackInfoOf(v)
	if len(info.DeployedContents) != 1 || info.DeployedContents[0].Contents != "services: {}\n" || info.RemoteContents != nil {
		t.Errorf("deployed %+v, remote %+v", info.DeployedContents, info.RemoteContents)
	}
	v.Resource.Updated = 6 // since then it is another
	if got := stackInfoOf(v).DeployedContents; got != nil {
		t.Errorf("changed since it was deployed: %+v", got)
	}
}

func TestTheDockerfileThatWasBuilt(t *testing.T) {
	v := schema.BuildView{Built: schema.BuildState{Commit: "a"}, Seen: &schema.Seen{
		Files: []schema.SeenFile{{Path: "Dockerfile", Problem: "img/Dockerfile is not in the repository", Missing: true}}, FilesOf: "b",
		Before: []schema.SeenFile{{Path: "Dockerfile", Text: "FROM old"}}, BeforeOf: "a",
	}}
	v.Resource.Config.Repo, v.Resource.Config.BuildPath = "ada/app", "img"
	var info buildInfo
	info.showSources(v)
	if info.RemoteContents != nil || info.RemoteError == nil || *info.RemotePath != "img/Dockerfile" || info.BuiltContents == nil || *info.BuiltContents != "FROM old" {
		t.Errorf("%+v", info)
	}
}
