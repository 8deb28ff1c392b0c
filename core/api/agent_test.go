package api_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"time"

	"berth/core/api"
	"berth/core/resource"
	"berth/schema"
)

// ask plays the agent of every server: it answers what a small engine would.
func (w *world) ask(_ context.Context, server, question string, req any) (json.RawMessage, error) {
	name := ""
	if r, ok := req.(schema.NamedReq); ok {
		name = r.Name
	}
	say := func(v any) (json.RawMessage, error) { return json.Marshal(v) }
	switch r := req.(type) {
	case schema.StackLogReq:
		if r.Search != nil {
			return say(schema.StackLogResp{Stdout: "found " + jsonText(r.Search) + " in " + r.Project})
		}
		return say(schema.StackLogResp{Stdout: "lines of " + r.Project})
	case schema.ContainerLogReq:
		return say(schema.StackLogResp{Stdout: jsonText(r)})
	case schema.ContainerStatsReq:
		return say([]schema.ContainerUse{{ID: "c1", Stats: schema.Stats{Name: "web-1", CPU: "0.07%", Mem: "1.35%", Usage: "27.3MiB / 1.94GiB", Net: "0B / 0B", Block: "0B / 0B", PIDs: "3"}}})
	case schema.ImageDigestsReq:
		return say(schema.ImageDigestsResp{Images: map[string]schema.LocalImage{"sha256:1": {Digests: []string{"nginx@sha256:d1"}}}})
	case schema.EngineListReq:
		if r.Kind == schema.EngineImages {
			return say(schema.EngineListResp{Images: []schema.EngineImage{{ID: "sha256:1", Name: "web:1", Tags: []string{"web:1"}, Digests: []string{}, InUse: true}}})
		}
		return say(schema.EngineListResp{})
	}
	if name == "gone" {
		return nil, schema.Errorf(schema.NotFound, "there is no %q on this server", name)
	}
	switch question {
	case schema.InspectContainer.Name: // as the engine says it, read by the agent
		return read[schema.ContainerDetail](inspected)
	case schema.InspectNetwork.Name:
		return read[schema.NetworkDetail](`{"Name":"shared","Id":"n1","Containers":{"c2":{"Name":"db-1"},"c1":{"Name":"web-1","IPv4Address":"172.18.0.2/16"}},"IPAM":{"Driver":"default","Config":null}}`)
	case schema.InspectImage.Name:
		return read[schema.ImageDetail](`{"Id":"sha256:1","RepoTags":["web:1"],"Config":{"Env":["PATH=/bin"],"Cmd":["serve"],"ExposedPorts":{"80/tcp":{}},"Labels":{"made":"here"}}}`)
	case schema.ImageHistory.Name:
		return say([]schema.ImageLayer{{ID: "sha256:1", Created: 1, CreatedBy: "COPY"}})
	case schema.InspectVolume.Name:
		return read[schema.VolumeDetail](`{"Name":"data","Driver":"local","Mountpoint":"/v","Scope":"local","Labels":null,"Options":null}`)
	case schema.ComposeProjects.Name:
		status := "running(1)"
		return say(schema.List[schema.ComposeProject]{{Name: "web", Status: &status}})
	case schema.HostProcesses.Name:
		return say(schema.List[schema.HostProcess]{{PID: 1, Name: "init"}})
	case schema.NetworkCreate.Name:
		return say(struct{}{})
	}
	return nil, schema.Errorf(schema.Unsupported, "server %s does not know %s", server, question)
}

// Page has one record for every server, and there is always more.
func (*world) Page(_ context.Context, server string, length time.Duration, page int) ([]schema.HostRecord, bool, error) {
	if page > 1 {
		return nil, false, nil
	}
	return []schema.HostRecord{{At: length.Milliseconds(), Server: server, HostUse: schema.HostUse{CPU: 3}}}, true, nil
}

// singles are deployments of which each runs.
type singles struct {
	kind *resource.Kind[schema.DeploymentConfig]
}

func (s singles) Deployments(context.Context) ([]schema.DeploymentView, error) {
	list, err := s.kind.All()
	var out []schema.DeploymentView
	for _, r := range list {
		out = append(out, schema.DeploymentView{
			Resource: r, State: "running", Server: schema.Target{Kind: "server", ID: r.Config.ServerID, Name: "atlas"}, Container: &schema.Container{ID: "c1", Name: "web-1", State: "running"}, Latest: "nginx@sha256:d2",
		})
	}
	return out, err
}

// withDeployments adds them to the world.
func (w *world) withDeployments() {
	w.t.Helper()
	w.deps.Singles = singles{resource.Register(w.deps.Kinds, "deployment", schema.DefaultDeployment, resource.Named(schema.DeploymentName))}
	w.api = api.New(w.deps)
	w.server = httptest.NewServer(w.api)
	w.t.Cleanup(w.server.Close)
}

func read[T any](text string) (json.RawMessage, error) {
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

// inspected is shortened from what an engine says.
const inspected = `{"Id":"c1","Name":"/web-1","Image":"sha256:1","Args":null,"Mounts":null,
	"State":{"Status":"running","Running":true,"Health":{"Status":"healthy","Log":null}},
	"Config":{"Image":"web:1","Env":["PATH=/bin","GREETING=hello","QUOTED=it's \"so\""],"Cmd":["serve","--to","a b"],"Entrypoint":null,
		"ExposedPorts":{"80/tcp":{},"443/tcp":{}},"Volumes":{"/data":{}},"User":"1000","StopSignal":"SIGINT","StopTimeout":30,
		"Labels":{"made":"here","mine":"yes","com.docker.compose.project":"x"}},
	"HostConfig":{"NetworkMode":"default","Binds":["/srv/web:/srv:ro"],"RestartPolicy":{"Name":"unless-stopped","MaximumRetryCount":0},
		"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8080"}],"443/tcp":[{"HostIp":"127.0.0.1","HostPort":"8443"}]},"CapAdd":["NET_ADMIN"],"ConsoleSize":[0,0]},
	"NetworkSettings":{"Ports":{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"}],"443/tcp":null},"Networks":{"bridge":{"IPAddress":"172.17.0.2","Aliases":null}}}}`
