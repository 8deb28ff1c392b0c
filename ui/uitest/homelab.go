package uitest

import (
	"encoding/json"
	"fmt"
	"time"

	"berth/schema"
)

// id returns a stable id for a name.
func id(name string) string { return schema.DeriveID("uitest", name) }

type homelab struct {
	w   *World
	now time.Time
}

func (h homelab) ago(d time.Duration) int64 { return h.now.Add(-d).UnixMilli() }

// Homelab returns an installation with three servers, seven stacks and one
// procedure that a push started and that goes on now.
func Homelab() *World {
	h := homelab{w: &World{}, now: time.Now()}
	h.w.Base = h.now
	h.servers()
	h.stacks()
	h.procedures()
	h.history()
	h.running()
	h.waiting()
	h.declared()
	h.deliveries()
	h.w.VarList = []schema.Resource[schema.VariableConfig]{
		{ID: id("v1"), Name: "DASHY_ADMIN", Description: "first administrator of dashy", Updated: h.ago(40 * 24 * time.Hour), Config: schema.VariableConfig{Value: "matt"}},
		{ID: id("v2"), Name: "FORGEJO_TOKEN", Updated: h.ago(3 * time.Hour), Config: schema.VariableConfig{IsSecret: true, Value: "canary-secret-value"}},
	}
	return h.w
}

func target(kind, name string) schema.Target {
	return schema.Target{Kind: kind, ID: id(kind + name), Name: name}
}

func (h homelab) servers() {
	for i, n := range []string{"nexus", "lxc-113", "attic"} {
		cfg := schema.DefaultServer()
		cfg.Enabled = true
		v := schema.ServerView{Resource: schema.Resource[schema.ServerConfig]{ID: id("server" + n), Name: n, Config: cfg}, State: schema.ServerOk, Online: true, Joined: true, Since: h.ago(time.Duration(i*40+3) * time.Hour), Address: fmt.Sprintf("192.0.2.%d", 226-i)}
		v.Status = &schema.AgentStatus{Version: "0.1.0", Hostname: n, OS: "Debian GNU/Linux 12 (bookworm)", Arch: "amd64", Engine: schema.EngineInfo{Version: "29.7.2", API: "1.52"}, Started: h.ago(90 * time.Hour), Recipients: []string{"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"}}
		h.w.ServerList = append(h.w.ServerList, v)
	}
	a := &h.w.ServerList[2]
	a.Online, a.State, a.Since, a.Waiting = false, schema.ServerNotOk, h.ago(4*time.Minute), 1
}

type stackSpec struct {
	name, server string
	services     []string
	state        schema.StackState
}

func (h homelab) stacks() {
	specs := []stackSpec{
		{"dashy", "nexus", []string{"app"}, schema.StackRunning},
		{"bookstack", "nexus", []string{"app", "db"}, schema.StackRunning},
		{"tandoor", "nexus", []string{"web", "db", "nginx"}, schema.StackRunning},
		{"homeassistant", "nexus", []string{"hass", "mosquitto", "zigbee2mqtt"}, schema.StackUnhealthy},
		{"pinchflat", "nexus", []string{"app"}, schema.StackRunning},
		{"dispatcharr", "lxc-113", []string{"web", "worker", "redis"}, schema.StackRunning},
		{"camera-nvr", "attic", []string{"frigate", "go2rtc"}, schema.StackUnknown},
		{"paperless", "nexus", []string{"web", "broker"}, schema.StackDown},
	}
	for i, sp := range specs {
		cfg := schema.DefaultStack()
		cfg.ServerID, cfg.LinkedRepo, cfg.RunDirectory = id("server"+sp.server), "homelab", sp.name
		cfg.Links = schema.StrList{"https://" + sp.name + ".example.org"}
		v := schema.StackView{Resource: schema.Resource[schema.StackConfig]{ID: id("stack" + sp.name), Name: sp.name, Tags: []string{"home"}, Config: cfg}, Server: target("server", sp.server), State: sp.state}
		for j, s := range sp.services {
			h.service(&v, s, j)
		}
		v.Deployed = &schema.Deployed{Number: uint64(1188 - i), At: h.ago(time.Duration(i*7+2) * time.Hour), Project: sp.name, Commit: "4be1d07a3c99f1", Message: "dashy: new icon set"}
		v.Latest = schema.CommitInfo{Commit: "9f31c2e55d8ab0", Message: "tandoor: pin nginx, raise upload limit", Author: "matt"}
		for j := range 14 {
			st := schema.StateSucceeded
			if (i+j)%9 == 4 {
				st = schema.StateFailed
			}
			v.Recent = append(v.Recent, st)
		}
		h.w.StackList = append(h.w.StackList, v)
	}
}

func (h homelab) service(v *schema.StackView, name string, j int) {
	images := map[string]string{"app": "ghcr.io/lissy93/dashy:3.1.1", "db": "docker.io/library/mariadb:11.4", "web": "ghcr.io/tandoorrecipes/recipes:2.3", "nginx": "docker.io/library/nginx:1.29-alpine", "redis": "valkey/valkey:8.1-alpine"}
	image := images[name]
	if image == "" {
		image = "ghcr.io/example/" + name + ":2026.11"
	}
	state, status, health := "running", "Up 3 days (healthy)", "healthy"
	switch {
	case v.State == schema.StackUnhealthy && name == "zigbee2mqtt":
		state, status, health = "unhealthy", "Up 14 minutes (unhealthy)", "unhealthy"
	case v.State == schema.StackDown:
		state, status, health = "down", "", ""
	case v.State == schema.StackUnknown:
		state, status, health = "unknown", "", ""
	}
	c := schema.Container{ID: id(v.Resource.Name + name), Name: v.Resource.Name + "-" + name + "-1", Image: image, State: "running", Status: status, Health: health, Project: v.Resource.Name, Service: name, Stack: v.Resource.ID}
	if j == 0 {
		c.Ports = []schema.Port{{Private: 80, Public: uint16(8080 + len(h.w.StackList)), Proto: "tcp"}}
	}
	s := schema.ServiceView{Name: name, Image: image, State: state}
	if v.State != schema.StackDown {
		s.Containers = []schema.Container{c}
		for i := range h.w.ServerList {
			if h.w.ServerList[i].Resource.ID == v.Server.ID {
				h.w.ServerList[i].Status.Containers = append(h.w.ServerList[i].Status.Containers, c)
			}
		}
	}
	v.Services = append(v.Services, s)
	for i := range h.w.ServerList {
		if h.w.ServerList[i].Resource.ID == v.Server.ID && j == 0 {
			h.w.ServerList[i].Stacks++
		}
	}
}

func (h homelab) procedures() {
	rc := schema.DefaultRepo()
	rc.ServerID, rc.GitProvider, rc.Repo = id("servernexus"), "git.example.org", "matt/homelab-docker"
	h.w.RepoList = []schema.RepoView{{Resource: schema.Resource[schema.RepoConfig]{ID: id("repohomelab"), Name: "homelab", Config: rc}, Server: target("server", "nexus"), State: "Ok", Cloned: schema.CommitInfo{Commit: "9f31c2e55d8ab0", Message: "tandoor: pin nginx, raise upload limit", Author: "matt"}, PulledAt: h.ago(30 * time.Second)}}
	pc := schema.DefaultProcedure()
	exec := func(action, param, name string) schema.EnabledExecution {
		p, _ := json.Marshal(map[string]string{param: name})
		return schema.EnabledExecution{Enabled: true, Execution: schema.Execution{Type: action, Params: p}}
	}
	pc.Stages = []schema.ProcedureStage{{Name: "Pull", Enabled: true, Executions: []schema.EnabledExecution{exec("PullRepo", "repo", "homelab")}}, {Name: "Deploy", Enabled: true}, {Name: "Tidy", Enabled: true, Approval: true, Concurrency: 2, Executions: []schema.EnabledExecution{exec("BatchPullStack", "pattern", "book*, dashy"), exec("BatchDestroyStack", "pattern", "old-*")}}}
	for _, s := range []string{"dashy", "bookstack", "tandoor", "homeassistant", "pinchflat", "dispatcharr"} {
		pc.Stages[1].Executions = append(pc.Stages[1].Executions, exec("DeployStackIfChanged", "stack", s))
	}
	h.w.ProcList = []schema.ProcedureView{{Resource: schema.Resource[schema.ProcedureConfig]{ID: id("proceduredeploy-homelab"), Name: "deploy-homelab", Tags: []string{"home"}, Config: pc}, State: "Running", Recent: []schema.RunState{schema.StateSucceeded, schema.StateSucceeded, schema.StateFailed, schema.StateSucceeded, schema.StateSucceeded, schema.StateWarning, schema.StateSucceeded}}}
}
