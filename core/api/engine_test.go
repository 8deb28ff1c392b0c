package api_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"berth/core/access"
)

func TestEngineLists(t *testing.T) {
	w := newWorld(t)
	w.fixture()
	for request, want := range map[string]string{
		"ListDockerImages": `[{"id":"sha256:1","parent_id":"","name":"web:1","tags":["web:1"],"digests":[],"created":0,"size":0,"in_use":true}]`,
		"ListNetworks":     "[]", "ListDockerVolumes": "[]",
		"ListComposeProjects": `[{"name":"web","status":"running(1)","compose_files":[]}]`,
	} {
		if status, got := w.post("/read/"+request, `{"server":"atlas"}`); status != http.StatusOK || strings.TrimSpace(got) != want {
			t.Errorf("%s: %d %s", request, status, got)
		}
	}
	if status, got := w.post("/read/ListImages", `{"server":"nobody"}`); status != http.StatusNotFound {
		t.Errorf("%d %s", status, got)
	}
}

func TestInspections(t *testing.T) {
	w := newWorld(t)
	w.fixture()
	for _, c := range []struct {
		path, body string
		status     int
		want       []string
	}{
		{"/read/InspectDockerContainer", `{"server":"atlas","container":"web-1"}`, 200, []string{
			`"ExposedPorts":["443/tcp","80/tcp"]`, `"Volumes":["/data"]`, `"443/tcp":[]`, `"Args":[]`, `"Mounts":[]`, `"ExecIDs":[]`, `"Aliases":[]`,
			`"Annotations":{}`, `"Driver":null`, `"GraphDriver":null`, `"ConsoleSize":[0,0]`, `"Log":[]`, `"SizeRw":null`, `"Entrypoint":[]`,
		}},
		{"/read/InspectContainer", `{"server":"atlas","container":"gone"}`, 404, []string{`there is no`}},
		{"/read/InspectDockerNetwork", `{"server":"atlas","network":"shared"}`, 200, []string{`"Containers":[{"ContainerID":"c1","Name":"web-1"`, `"ContainerID":"c2"`, `"Config":[]`, `"Labels":{}`}},
		{"/read/InspectImage", `{"server":"atlas","image":"web:1"}`, 200, []string{`"ExposedPorts":["80/tcp"]`, `"Volumes":null`, `"RepoDigests":null`, `"Descriptor":null`}},
		{"/read/ListDockerImageHistory", `{"server":"atlas","image":"web:1"}`, 200, []string{`[{"Id":"sha256:1","Created":1,"CreatedBy":"COPY","Tags":[],"Size":0,"Comment":""}]`}},
		{"/read/InspectVolume", `{"server":"atlas","volume":"data"}`, 200, []string{`"Labels":{}`, `"CreatedAt":null`, `"UsageData":null`, `"Scope":"local"`}},
		{"/write/CreateNetwork", `{"server":"atlas","name":"shared"}`, 200, []string{`"operation":"CreateNetwork"`, `"type":"Server"`}},
		{"/read/GetResourceMatchingContainer", `{"server":"atlas","container":"web-1"}`, 200, []string{`{"resource":null}`}},
		{"/read/InspectStackContainer", `{"stack":"web","service":"web"}`, 200, []string{`"Name":"/web-1"`}},
		{"/read/InspectStackContainer", `{"stack":"web","service":"wbe"}`, 404, []string{`its services are web`}},
		{"/read/ListAllStackServices", `{"terms":"WEB","state":["Healthy"]}`, 200, []string{`"service":"web"`, `"stack_name":"web"`}},
		{"/read/ListStackServices", `{"stack":"web"}`, 200, []string{`"stats":{"name":"web-1","cpu_perc":"0.07%"`, `"image_digests":["nginx@sha256:d1"]`}},
		{"/read/ListAllStackServices", `{"terms":"web"}`, 200, []string{`"stats":{"name":"web-1","cpu_perc":"0.07%"`, `"image_digests":["nginx@sha256:d1"]`}},
		{"/read/ListAllStackServices", `{"stacks":["db"],"state":["Down"]}`, 200, []string{`[]`}},
		{"/read/ListAllContainers", `{"sort_by":"Ports","sort_desc":true}`, 200, []string{`"stats":{"name":"web-1","cpu_perc":"0.07%","mem_perc":"1.35%","mem_usage":"27.3MiB / 1.94GiB"`}},
		{"/read/ListAllContainers", `{"tags":["prod"]}`, 200, []string{`[]`}},
		{"/read/ListAllContainers", `{"sort_by":"Age"}`, 422, []string{`it is Name, Server`}},
		{"/read/GetContainerLog", `{"server":"atlas","container":"web-1"}`, 200, []string{`\"tail\":50`}},
		{"/read/GetContainerLog", `{"server":"atlas","container":"web-1","tail":90000,"timestamps":true}`, 200, []string{`\"tail\":5000`, `\"timestamps\":true`}},
		{"/read/SearchContainerLog", `{"server":"atlas","container":"web-1","terms":["a","b"],"combinator":"And","invert":true}`, 200, []string{`\"search\":{\"terms\":[\"a\",\"b\"],\"all\":true,\"invert\":true}`}},
		{"/read/SearchContainerLog", `{"server":"atlas","container":"web-1","terms":["a"],"combinator":"Xor"}`, 422, []string{`it is Or or And`}},
		{"/read/GetPeripheryInformation", `{"server":"atlas"}`, 200, []string{`{"version":"0.1.0","public_key":"","terminals_disabled":true,"container_terminals_disabled":true,"stats_polling_rate":"15-sec","docker_connected":true,"public_ip":null}`}},
		{"/read/GetSystemInformation", `{"server":"atlas"}`, 200, []string{`{"name":null,"os":null,"kernel":null,"core_count":null,"logical_core_count":null,"host_name":null,"cpu_brand":"fast","cpu_arch":"x86_64"}`}},
		{"/read/GetSystemStats", `{"server":"atlas"}`, 200, []string{`"cpu_perc":12.5`, `"load_average":{"one":0,`, `"mem_free_gb":0`, `"disks":[{"mount":"/","file_system":"","used_gb":1,"total_gb":4}`, `"polling_rate":"15-sec"`, `"refresh_list_ts":0`}},
		{"/read/ListServers", `{}`, 200, []string{`"stats":{"cpu_perc":12.5`, `"disk_total_gb":8,"disk_used_gb":3`}},
		{"/read/ListSystemProcesses", `{"server":"atlas"}`, 200, []string{`[{"pid":1,"name":"init","exe":"","cmd":[],"start_time":0,"cpu_perc":0,"mem_mb":0,"disk_read_kb":0,"disk_write_kb":0}]`}},
		{"/read/GetHistoricalServerStats", `{"server":"atlas","granularity":"5-min"}`, 200, []string{`{"stats":[{"ts":300000,"sid":"`, `"cpu_perc":3`, `"disks":[]`, `"next_page":1}`}},
		{"/read/GetHistoricalServerStats", `{"server":"atlas","granularity":"30-day","page":2}`, 200, []string{`{"stats":[],"next_page":null}`}},
		{"/read/GetHistoricalServerStats", `{"server":"atlas","granularity":"5-mins"}`, 422, []string{`did you mean 5-min?`}},
		{"/read/SearchStackLog", `{"stack":"web","services":[],"terms":["a"]}`, 200, []string{`found {\"terms\":[\"a\"]} in web`}},
	} {
		status, got := w.post(c.path, c.body)
		if status != c.status {
			t.Errorf("%s %s: %d, want %d: %s", c.path, c.body, status, c.status, got)
		}
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s %s: no %s in %s", c.path, c.body, want, got)
			}
		}
	}
}

// What somebody needs beside reading is what the reference says.
func TestEngineRowsNeed(t *testing.T) {
	w := newWorld(t)
	want := map[string]access.Specific{
		"InspectContainer": access.Inspect, "GetContainerLog": access.Logs, "SearchContainerLog": access.Logs, "InspectStackContainer": access.Inspect,
		"InspectStackSwarmService": access.Inspect, "GetStackLog": access.Logs, "SearchStackLog": access.Logs, "ListContainers": "", "ListSystemProcesses": access.Processes, "GetSystemStats": "", "InspectNetwork": "",
	}
	for _, r := range w.api.Rows() {
		if also, ok := want[r.Name]; ok && (r.Also != also || r.Needs != access.CanRead) {
			t.Errorf("%s needs %s and %q, want %q", r.Name, r.Needs, r.Also, also)
		}
	}
}

func TestDeploymentFromContainer(t *testing.T) {
	w := newWorld(t)
	w.withDeployments()
	w.fixture()
	made := ok[struct {
		Name   string `json:"name"`
		Config struct {
			Image struct {
				Params struct{ Image string } `json:"params"`
			} `json:"image"`
			Network, Restart, Command, Ports, Volumes, Environment, Labels string
			ExtraArgs                                                      []string `json:"extra_args"`
			Signal                                                         string   `json:"termination_signal"`
			Timeout                                                        int      `json:"termination_timeout"`
		} `json:"config"`
	}](w, "/write/CreateDeploymentFromContainer", `{"server":"atlas","name":"web-1"}`)
	c := made.Config
	for what, pair := range map[string][2]string{
		"name": {made.Name, "web-1"}, "image": {c.Image.Params.Image, "web:1"}, "network": {c.Network, "bridge"}, "restart": {c.Restart, "unless-stopped"},
		"command": {c.Command, "serve --to 'a b'"}, "ports": {c.Ports, "8080: 80"}, "volumes": {c.Volumes, "/srv/web: /srv:ro"},
		"environment": {c.Environment, "GREETING=hello"}, "labels": {c.Labels, "mine: yes"}, "signal": {c.Signal, "SIGINT"},
	} {
		if strings.TrimSpace(pair[0]) != pair[1] {
			t.Errorf("%s: %q, want %q", what, pair[0], pair[1])
		}
	}
	flags := []string{"--cap-add NET_ADMIN", `--env 'QUOTED=it'\''s "so"'`, "--publish 127.0.0.1:8443:443", "--user 1000"}
	if !slices.Equal(c.ExtraArgs, flags) || c.Timeout != 30 {
		b, _ := json.Marshal(c)
		t.Errorf("%s", b)
	}
	if status, got := w.post("/write/CreateDeploymentFromContainer", `{"server":"atlas","name":"gone"}`); status != http.StatusNotFound {
		t.Errorf("%d %s", status, got)
	}
}

func TestDeploymentQuestions(t *testing.T) {
	w := newWorld(t)
	w.withDeployments()
	w.fixture()
	made := ok[struct {
		ID struct {
			OID string `json:"$oid"`
		} `json:"_id"`
	}](w, "/write/CreateDeployment", `{"name":"web-1","config":{"server_id":"atlas"}}`)
	for _, c := range []struct {
		path, body string
		status     int
		want       string
	}{
		{"/read/GetResourceMatchingContainer", `{"server":"atlas","container":"web-1"}`, 200, `{"resource":{"type":"Deployment","id":"` + made.ID.OID + `"}}`},
		{"/read/InspectDeploymentContainer", `{"deployment":"web-1"}`, 200, `"Name":"/web-1"`},
		{"/read/GetDeploymentLog", `{"deployment":"web-1"}`, 200, `\"container\":\"web-1\",\"tail\":50`},
		{"/read/SearchDeploymentLog", `{"deployment":"web-1","terms":["a"]}`, 200, `\"search\":{\"terms\":[\"a\"]}`},
		{"/read/GetDeploymentStats", `{"deployment":"web-1"}`, 200, `{"name":"web-1","cpu_perc":"0.07%","mem_perc":"1.35%","mem_usage":"27.3MiB / 1.94GiB","net_io":"0B / 0B","block_io":"0B / 0B","pids":"3"}`},
		{"/read/GetDeploymentContainer", `{"deployment":"web-1"}`, 200, `{"state":"running","container":{`},
		{"/read/GetDeploymentContainer", `{"deployment":"web-1"}`, 200, `"stats":{"name":"web-1","cpu_perc":"0.07%"`},
		{"/read/GetDeployment", `{"deployment":"web-1"}`, 200, `"latest_image_digest":"nginx@sha256:d2"`},
	} {
		if status, got := w.post(c.path, c.body); status != c.status || !strings.Contains(got, c.want) {
			t.Errorf("%s %s: %d %s", c.path, c.body, status, got)
		}
	}
}
