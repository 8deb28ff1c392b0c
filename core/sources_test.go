package core

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"berth/bus"
	"berth/bus/bustest"
	"berth/core/resource"
	"berth/core/store"
	"berth/git/gittest"
	"berth/schema"
)

func TestSourcesAreLookedUpAndWritten(t *testing.T) {
	d := newDesk(t)
	forge := gittest.New(t)
	repo := forge.Repo("ada/app")
	repo.Commit(map[string]string{"img/Dockerfile": "FROM scratch\n", "run/compose.yaml": "services: {}\n"}, "begin")
	git := fmt.Sprintf(`"git_provider":%q,"git_https":false,"repo":"ada/app"`, strings.TrimPrefix(forge.URL(), "http://"))
	d.must("write", "CreateRepo", `{"name":"app","config":{`+git+`}}`, nil)
	d.must("write", "CreateBuild", `{"name":"image","config":{`+git+`,"build_path":"img"}}`, nil)
	d.must("write", "CreateStack", `{"name":"web","config":{"linked_repo":"app","run_directory":"run"}}`, nil)
	d.must("write", "CreateStack", `{"name":"own","config":{"file_contents":"services: {}"}}`, nil)
	d.steps(
		step{"write/RefreshRepoCache", `{"repo":"app"}`, 200, `{}`, ""},
		step{"read/GetRepo", `{"repo":"app"}`, 200, `"latest_message":"begin"`, ""},
		step{"read/GetStack", `{"stack":"web"}`, 200, `"latest_message":"begin" & "remote_contents":null & "remote_errors":null`, ""},
		step{"write/RefreshStackCache", `{"stack":"web"}`, 200, `{}`, ""},
		step{"read/GetStack", `{"stack":"web"}`, 200, `"latest_message":"begin" & "remote_contents":[{"path":"compose.yaml","contents":"services: {}\n","services":[],"requires":"Redeploy"}] & "remote_errors":[] & "deployed_contents":null`, ""},
		step{"write/UpdateStack", `{"id":"web","config":{"config_files":[{"path":"web.conf","services":["web"],"requires":"Restart"}]}}`, 200, "web.conf", ""},
		step{"write/RefreshStackCache", `{"stack":"web"}`, 200, `{}`, ""},
		step{"read/GetStack", `{"stack":"web"}`, 200, `"missing_files":["web.conf"] & {"path":"web.conf","contents":"run/web.conf is not in the repository"}`, ""},
		step{"read/ListStacks", `{}`, 200, `"missing_files":["web.conf"]`, ""},
		step{"read/GetBuild", `{"build":"image"}`, 200, `"latest_hash":null`, ""},
		step{"write/RefreshBuildCache", `{"build":"image"}`, 200, `{}`, ""},
		step{"read/GetBuild", `{"build":"image"}`, 200, `"latest_message":"begin" & "remote_path":"img/Dockerfile","remote_contents":"FROM scratch\n","remote_error":null & "built_contents":null`, ""},
		step{"write/RefreshStackCache", `{"stack":"own"}`, 200, `{}`, ""},
		step{"write/RefreshStackCache", `{"stack":"nobody"}`, 404, "nobody", ""},
		step{"write/WriteBuildFileContents", `{"build":"image","contents":"FROM busybox\n"}`, 200, `"operation":"WriteDockerfile" & img/Dockerfile: commit & "_id"`, ""},
		step{"write/WriteStackFileContents", `{"stack":"web","file_path":"compose.yaml","contents":"services:\n"}`, 200, `"operation":"WriteStackContents" & run/compose.yaml: commit`, ""},
		step{"write/WriteStackFileContents", `{"stack":"web","file_path":"../../x","contents":"x"}`, 422, "not in the repository", ""},
		step{"write/WriteStackFileContents", `{"stack":"own","file_path":"compose.yaml","contents":"x"}`, 422, "change file_contents", ""},
		step{"write/WriteStackFileContents", `{"stack":"own","contents":"x"}`, 422, "file_path", ""},
		step{"read/GetStack", `{"stack":"web"}`, 200, `"contents":"services:\n"`, ""},
		step{"read/GetBuild", `{"build":"image"}`, 200, `"remote_contents":"FROM busybox\n"`, ""},
		step{"read/GetRepo", `{"repo":"app"}`, 200, `"latest_message":"Write run/compose.yaml"`, ""},
		step{"read/ListUpdates", `{}`, 200, "WriteDockerfile & WriteStackContents", ""},
	)
	for file, want := range map[string]string{"img/Dockerfile": "FROM busybox", "run/compose.yaml": "services:"} {
		if got := strings.TrimSpace(repo.Git("show", "main:"+file)); got != want {
			t.Errorf("%s is %q", file, got)
		}
	}
	if by := repo.Git("log", "-1", "--format=%b", "main"); !strings.Contains(by, "By mira") {
		t.Errorf("the commit says %q", by)
	}
}

// parts is a core of which only the stores are open.
func parts(t *testing.T) (*core, *bustest.Bus) {
	t.Helper()
	b := bustest.New(t)
	sealer, err := store.OpenSealer(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	docs, err := store.Open[json.RawMessage](t.Context(), b.Core, bus.BucketResources, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := &core{conn: b.Core, sealer: sealer, cfg: config(t, t.TempDir()), changes: newChanges()}
	c.registry = resource.NewRegistry(resource.Options{Bucket: docs, Sealer: sealer, Now: time.Now, Log: c.cfg.Log})
	c.kinds = register(c.registry)
	if c.deployed, err = store.Open[schema.Deployed](t.Context(), b.Core, bus.BucketDeployed, store.Options{History: 1}); err != nil {
		t.Fatal(err)
	}
	return c, b
}

func TestADeploymentsContainerIsRenamedWithIt(t *testing.T) {
	c, b := parts(t)
	server, err := c.kinds.servers.Put(t.Context(), schema.Resource[schema.ServerConfig]{Name: "atlas", Config: schema.DefaultServer()})
	if err != nil {
		t.Fatal(err)
	}
	var asked []schema.ContainerRenameReq
	agent := b.Agent(t, server.ID)
	err = bus.Answer(agent, schema.ContainerRename, func(_ context.Context, req schema.ContainerRenameReq) (struct{}, error) {
		asked = append(asked, req)
		if req.To == "taken" {
			return struct{}{}, schema.Errorf(schema.Conflict, "there is a container %q already", req.To)
		}
		return struct{}{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := bus.Answer(agent, schema.Ping, func(context.Context, struct{}) (schema.AgentStatus, error) { return schema.AgentStatus{}, nil }); err != nil {
		t.Fatal(err)
	}
	bustest.Eventually(t, 20*time.Second, "the agent answers", func() bool {
		_, err := bus.Ask(t.Context(), c.conn, server.ID, schema.Ping, struct{}{})
		return err == nil
	})
	cfg := schema.DefaultDeployment()
	cfg.ServerID = server.ID
	r, err := c.kinds.deployments.Put(t.Context(), schema.Resource[schema.DeploymentConfig]{Name: "proxy", Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	target, s := r.Target("deployment"), sources{c}
	if _, err := s.RenameContainer(t.Context(), target, "front"); err != nil || len(asked) > 0 {
		t.Errorf("what was never deployed: %v, asked %v", err, asked)
	}
	if _, err := c.deployed.Put(t.Context(), r.ID, schema.Deployed{Project: "proxy"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.RenameContainer(t.Context(), target, "taken"); schema.CodeOf(err) != schema.Conflict {
		t.Errorf("a taken name: %v", err)
	}
	undo, err := s.RenameContainer(t.Context(), target, "front")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.deployed.Get(r.ID); err != nil || got.Value.Project != "front" {
		t.Errorf("the deployed container is %q (%v)", got.Value.Project, err)
	}
	undo(t.Context())
	want := []schema.ContainerRenameReq{{From: "proxy", To: "taken"}, {From: "proxy", To: "front"}, {From: "front", To: "proxy"}}
	if got, err := c.deployed.Get(r.ID); err != nil || got.Value.Project != "proxy" || !slices.Equal(asked, want) {
		t.Errorf("taken back: %q (%v), asked %v", got.Value.Project, err, asked)
	}
}
