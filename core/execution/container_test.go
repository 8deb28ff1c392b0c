package execution

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth/schema"
)

// declared are stacks and what they left behind, and a deployment, for managed.
type declared struct {
	Stacks
	Singles
	Resources
	list []schema.Resource[schema.StackConfig]
	last map[string]*schema.Deployed
}

func (d declared) AllStacks(context.Context) ([]schema.Resource[schema.StackConfig], error) {
	return d.list, nil
}

func (d declared) Deployed(_ context.Context, id string) (*schema.Deployed, error) {
	return d.last[id], nil
}

func (d declared) AllDeployments(context.Context) ([]schema.Resource[schema.DeploymentConfig], error) {
	return []schema.Resource[schema.DeploymentConfig]{{ID: "one"}, {ID: "elsewhere"}, {ID: "none"}}, nil
}

func (d declared) DeploymentState(_ context.Context, id string) (*schema.Deployed, error) {
	server, ok := map[string]string{"one": "here", "elsewhere": "there"}[id]
	if !ok {
		return nil, nil //nolint:nilnil // it was never deployed
	}
	return &schema.Deployed{
		Server: server, Services: []schema.DeployedService{{Image: "one-" + server}}, Inputs: map[string]map[string]string{"container": {"image:id": "sha256:" + server, "name": "x"}},
	}, nil
}

func (d declared) DeploymentContainers(_ context.Context, server string) ([]string, error) {
	return []string{"single-" + server}, nil
}

func TestManagedIsOfTheServer(t *testing.T) {
	stack := func(id, name, project, server string) schema.Resource[schema.StackConfig] {
		return schema.Resource[schema.StackConfig]{ID: id, Name: name, Config: schema.StackConfig{ServerID: server, ProjectName: project}}
	}
	at := func(server, project, image string) *schema.Deployed {
		return &schema.Deployed{Server: server, Project: project, Services: []schema.DeployedService{{Name: "web", Image: image}}, Inputs: map[string]map[string]string{"web": {"image:" + image: "sha256:" + image, "env:A": "x"}}}
	}
	renamed := at("here", "before", "c")
	renamed.Earlier = [][]string{{"c0"}}
	have := declared{
		list: []schema.Resource[schema.StackConfig]{
			stack("1", "web", "", "here"), stack("2", "other", "", "there"), stack("3", "now", "after", "here"),
			stack("4", "left", "", "there"), stack("5", "moved", "", "here"), stack("6", "new", "fresh", "here"),
		},
		last: map[string]*schema.Deployed{"1": at("here", "web", "a"), "2": at("there", "other", "b"), "3": renamed, "4": at("here", "left", "d"), "5": at("there", "moved", "e")},
	}
	d := &Deps{Stacks: have, Singles: have, Resources: have}
	got, err := d.managed(t.Context(), "here")
	if err != nil {
		t.Fatal(err)
	}
	want := schema.Managed{
		Projects: []schema.ManagedProject{
			{Name: "web", Stack: "1", Services: []string{"web"}},
			{Name: "before", Stack: "3", Services: []string{"web"}},
			{Name: "left", Stack: "4", Services: []string{"web"}},
			{Name: "moved", Stack: "5"},
			{Name: "fresh", Stack: "6"},
		},
		Images: []string{"a", "c", "c0", "d", "one-here", "sha256:a", "sha256:c", "sha256:d", "sha256:here"}, Containers: []string{"single-here"}, Core: got.Core,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEarlierImagesAreKept(t *testing.T) {
	deploy := func(last *schema.Deployed, image string) *schema.Deployed {
		dep := &schema.Deployed{Server: "here", Services: []schema.DeployedService{{Name: "web", Image: image}}}
		dep.Earlier = earlier(last, dep)
		return dep
	}
	var last *schema.Deployed
	for _, image := range []string{"1", "2", "2", "3", "3", "3", "4"} {
		last = deploy(last, image)
	}
	if diff := cmp.Diff([][]string{{"3"}, {"2"}}, last.Earlier); diff != "" {
		t.Error(diff)
	}
	last.Server = "there"
	if got := deploy(last, "5").Earlier; got != nil {
		t.Errorf("images of another server are kept: %v", got)
	}
}

func TestEngineDecision(t *testing.T) {
	var did, same, none, fault schema.EngineResp
	did.Add("container", "a", "stopped")
	did.Add("container", "b", "stopped")
	did.Add("network", "n", "removed")
	did.Leave("container", "x", "not managed by Berth")
	did.Leave("container", "y", "not managed by Berth")
	did.Reclaimed = 3_250_000
	same.Leave("container", "a", "stopped already")
	same.Leave("container", "x", "not managed by Berth")
	none.Leave("container", "x", "not managed by Berth")
	fault.Failed = []string{"no"}
	for _, tc := range []struct {
		resp         schema.EngineResp
		what, reason string
	}{
		{did, "stop", "2 containers stopped, network n removed; 3.2 MB reclaimed; 2 left alone (2 container: not managed by Berth)"},
		{same, unchanged, "nothing to stop; 2 left alone (1 container: stopped already, 1 container: not managed by Berth)"},
		{none, nothing, "nothing to stop; 1 left alone (1 container: not managed by Berth)"},
		{schema.EngineResp{}, nothing, "nothing to stop"},
		{fault, "stop", ""},
	} {
		got := engineDecision("stop", tc.resp)
		if got.What != tc.what || got.Reason != tc.reason {
			t.Errorf("%s: %q, want %s: %q", got.What, got.Reason, tc.what, tc.reason)
		}
	}
	want := []string{"container a stopped", "container b stopped", "network n removed", "left alone: container x, y: not managed by Berth"}
	if diff := cmp.Diff(want, engineDecision("stop", did).Changes); diff != "" {
		t.Error(diff)
	}
}
