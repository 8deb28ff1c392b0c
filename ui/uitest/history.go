package uitest

import (
	"fmt"
	"time"

	"berth/schema"
)

func (h homelab) push() schema.Cause {
	return schema.Cause{Kind: "webhook", Delivery: id("d1"), Ref: "refs/heads/main", Repo: "matt/homelab-docker", Commit: "9f31c2e55d8ab0", Message: "tandoor: pin nginx, raise upload limit", By: "matt"}
}

// history fills the past with runs.
func (h homelab) history() {
	stacks := []string{"dashy", "bookstack", "tandoor", "homeassistant", "pinchflat", "dispatcharr"}
	for i := range 40 {
		at := h.now.Add(-time.Duration(i*i/4+i*5+6) * time.Minute)
		r := schema.Run{ID: id(fmt.Sprint("old", i)), Number: uint64(1190 - i), Action: "DeployStackIfChanged", Target: target("stack", stacks[i%6]), Server: target("server", "nexus"), State: schema.StateSucceeded, Queued: at.UnixMilli(), Started: at.UnixMilli() + 120, Ended: at.UnixMilli() + int64(4000+i*1700%50000), Actor: schema.Actor{Kind: "user", Name: "mira"}, Cause: schema.Cause{Kind: "click"}, Commit: "4be1d07a3c99f1", Message: "dashy: new icon set"}
		r.Decision = &schema.Decision{What: "unchanged", Reason: "nothing that feeds the deploy differs from run #1181"}
		switch {
		case i%7 == 2:
			r.Action, r.Target, r.Cause = "RunProcedure", target("procedure", "deploy-homelab"), h.push()
			r.Decision = nil
		case i%9 == 4:
			r.State, r.Problem = schema.StateFailed, &schema.Problem{Code: schema.Failed, Text: "start container tandoor-nginx-1: port 8081 is already in use by container bookstack-app-1"}
			r.Decision = nil
		case i%5 == 3:
			r.Action, r.Target = "PullRepo", target("repo", "homelab")
			r.Decision = nil
		case i%11 == 6:
			r.State, r.Note = schema.StateSuperseded, "run #1187 deploys a newer commit"
		case i%3 == 0:
			r.Decision = &schema.Decision{What: "deploy", Reason: "1 input differs from the last success", Services: []string{"nginx"}, Changes: []string{"tandoor/nginx.conf changed"}}
		}
		h.w.RunList = append(h.w.RunList, r)
	}
	for i := range h.w.StackList {
		for _, r := range h.w.RunList {
			if r.Target.ID == h.w.StackList[i].Resource.ID {
				h.w.StackList[i].LastRun = r.Clone()
				break
			}
		}
	}
}

// running adds the procedure that goes on now, with its parts.
func (h homelab) running() {
	root := id("running")
	now, start := h.now.UnixMilli(), h.now.Add(-47*time.Second).UnixMilli()
	p := schema.Run{ID: root, Number: 1191, Action: "RunProcedure", Target: target("procedure", "deploy-homelab"), State: schema.StateRunning, Queued: start - 40, Started: start, Cause: h.push(), Actor: schema.Actor{Kind: "webhook", Name: "webhook"}, Commit: "9f31c2e55d8ab0", Message: "tandoor: pin nginx, raise upload limit"}
	p.Stages = []schema.Stage{{Name: "Pull", State: schema.StateSucceeded, Total: 1, Started: start, Ended: start + 2100}, {Name: "Deploy", State: schema.StateRunning, Total: 6, Started: start + 2100}}
	parts := []struct {
		name, server, action string
		state                schema.RunState
		from, to             int64
		dec                  *schema.Decision
	}{
		{"homelab", "nexus", "PullRepo", schema.StateSucceeded, 60, 2050, &schema.Decision{What: "deploy", Reason: "main moved from 4be1d07 to 9f31c2e", Changes: []string{"tandoor/nginx.conf changed", "tandoor/compose.yaml changed"}}},
		{"dashy", "nexus", "DeployStackIfChanged", schema.StateSucceeded, 2160, 3900, &schema.Decision{What: "unchanged", Reason: "nothing that feeds the deploy differs from run #1181"}},
		{"bookstack", "nexus", "DeployStackIfChanged", schema.StateSucceeded, 2160, 4100, &schema.Decision{What: "unchanged", Reason: "nothing that feeds the deploy differs from run #1180"}},
		{"tandoor", "nexus", "DeployStackIfChanged", schema.StateRunning, 2160, 0, &schema.Decision{What: "deploy", Reason: "2 inputs differ from the last success", Services: []string{"nginx"}, Changes: []string{"tandoor/nginx.conf changed", "service nginx: image docker.io/library/nginx:1.27-alpine → 1.29-alpine"}}},
		{"homeassistant", "nexus", "DeployStackIfChanged", schema.StateFailed, 2200, 31000, nil},
		{"pinchflat", "nexus", "DeployStackIfChanged", schema.StateSucceeded, 2200, 4000, &schema.Decision{What: "unchanged", Reason: "nothing that feeds the deploy differs from run #1178"}},
		{"dispatcharr", "lxc-113", "DeployStackIfChanged", schema.StateWaiting, 0, 0, nil},
	}
	for i, s := range parts {
		kind, stage := "stack", "Deploy"
		if i == 0 {
			kind, stage = "repo", "Pull"
		}
		c := schema.Run{ID: id("part" + s.name), Number: uint64(1192 + i), Action: s.action, Target: target(kind, s.name), Server: target("server", s.server), Parent: root, Root: root, Stage: stage, State: s.state, Queued: start + 2100, Actor: schema.Actor{Kind: "procedure", Name: "deploy-homelab"}, Cause: schema.Cause{Kind: "run"}, Decision: s.dec, Commit: "9f31c2e55d8ab0", Message: "tandoor: pin nginx, raise upload limit"}
		if s.from > 0 {
			c.Started = start + s.from
		}
		if s.to > 0 {
			c.Ended = start + s.to
		}
		if s.name == "homelab" {
			c.Queued = start
		}
		if s.state == schema.StateFailed {
			c.Problem = &schema.Problem{Code: schema.Failed, Text: "wait until healthy: service zigbee2mqtt: container homeassistant-zigbee2mqtt-1 is unhealthy after 28 s: last check said: Error: failed to open /dev/ttyUSB0"}
		}
		if s.state == schema.StateWaiting {
			c.Note = "waiting for server lxc-113 since " + time.UnixMilli(now-40000).Format("15:04")
		}
		h.steps(&c)
		p.Steps = append(p.Steps, schema.Step{Name: fmt.Sprintf("%s/%d", stage, i), Kind: schema.StepChild, Stage: stage, Child: c.ID, Target: c.Target, State: c.State, Queued: c.Queued, Started: c.Started, Ended: c.Ended})
		h.w.RunList = append([]schema.Run{c}, h.w.RunList...)
	}
	h.w.RunList = append([]schema.Run{p}, h.w.RunList...)
	h.w.ProcList[0].LastRun = p.Clone()
	for i := range h.w.StackList {
		for _, r := range h.w.RunList[:8] {
			if r.Target.ID == h.w.StackList[i].Resource.ID {
				h.w.StackList[i].LastRun = r.Clone()
			}
		}
	}
}

// steps gives a part its steps, and output where it is worth a look.
func (h homelab) steps(c *schema.Run) {
	st := schema.Step{Name: "up", Kind: schema.StepJob, Server: c.Server, Verb: "stack.up", Target: c.Target, State: c.State, Queued: c.Queued, Started: c.Started, Ended: c.Ended, Problem: c.Problem, Note: c.Note, Timeout: 1800_000}
	if c.Target.Kind == "repo" {
		st.Verb = "repo.sync"
	}
	if c.State == schema.StateFailed {
		t := c.Started
		for _, p := range []struct {
			n  string
			s  schema.PhaseState
			ms int64
		}{{"source", schema.PhaseDone, 300}, {"secrets", schema.PhaseDone, 40}, {"config", schema.PhaseDone, 90}, {"pull", schema.PhaseDone, 700}, {"build", schema.PhaseSkipped, 0}, {"up", schema.PhaseDone, 2300}, {"health", schema.PhaseFailed, 25300}} {
			st.Phases = append(st.Phases, schema.Phase{Name: p.n, State: p.s, Started: t, Took: p.ms})
			t += p.ms
		}
	}
	c.Steps = []schema.Step{st}
	if c.Target.Name == "tandoor" {
		h.output(c)
	}
	if c.State == schema.StateFailed {
		h.w.Emit(c.ID, "up", schema.Entry{Kind: schema.EntryPhase, At: c.Started, Phase: "health", State: schema.PhaseRunning},
			schema.Entry{Kind: schema.EntryState, At: c.Started + 2600, Service: "zigbee2mqtt", ID: "Container homeassistant-zigbee2mqtt-1", Text: "Waiting"},
			schema.Entry{Kind: schema.EntryLine, At: c.Started + 9000, Service: "zigbee2mqtt", Err: true, Text: "Error: failed to open /dev/ttyUSB0 <no such file>"},
			schema.Entry{Kind: schema.EntryState, At: c.Ended, Service: "zigbee2mqtt", ID: "Container homeassistant-zigbee2mqtt-1", Text: "Unhealthy"},
			schema.Entry{Kind: schema.EntryPhase, At: c.Ended, Phase: "health", State: schema.PhaseFailed})
	}
}

func (h homelab) output(c *schema.Run) {
	t := c.Started
	at := func(ms int64) int64 { t += ms; return t }
	phase := func(name string, s schema.PhaseState, ms int64) {
		h.w.Emit(c.ID, "up", schema.Entry{Kind: schema.EntryPhase, At: at(ms), Phase: name, State: s})
	}
	phase("source", schema.PhaseRunning, 10)
	h.w.Emit(c.ID, "up", schema.Entry{Kind: schema.EntryLine, At: at(220), Text: "clone stands at \x1b[1m9f31c2e\x1b[0m \x1b[32m+2\x1b[0m files, 0 local edits"})
	phase("source", schema.PhaseDone, 60)
	phase("secrets", schema.PhaseRunning, 5)
	h.w.Emit(c.ID, "up", schema.Entry{Kind: schema.EntryLine, At: at(30), Text: "decrypted .sops.env for age1ql3z…ac8p, 6 values, in memory"})
	phase("secrets", schema.PhaseDone, 5)
	phase("pull", schema.PhaseRunning, 20)
	for i, layer := range []string{"a3ed95caeb02", "6e771e15690e", "589b7251471a", "186b1aaa4aa6", "b4df32aa5a72"} {
		total := int64(3_200_000 * (i + 2))
		cur, text := total, "Pull complete"
		if i > 2 {
			cur, text = total*int64(9-i)/11, "Downloading"
		}
		h.w.Emit(c.ID, "up", schema.Entry{Kind: schema.EntryProgress, At: at(500), Service: "nginx", ID: layer, Text: text, Current: cur, Total: total})
	}
	h.w.Emit(c.ID, "up", schema.Entry{Kind: schema.EntryState, At: at(900), Service: "web", ID: "Image recipes:2.3", Text: "Pulled"},
		schema.Entry{Kind: schema.EntryState, At: at(20), Service: "db", ID: "Image mariadb:11.4", Text: "Pulled"})
	h.w.Emit(c.ID, "up", schema.Entry{Kind: schema.EntryLine, At: at(600), Service: "web", Text: "applying migration 0218_shopping_list_order … \x1b[32mok\x1b[0m"},
		schema.Entry{Kind: schema.EntryLine, At: at(300), Service: "db", Err: true, Text: "[Warning] Aborted connection 5 to db: 'djangodb' <script>alert(1)</script>"})
}

func (h homelab) deliveries() {
	add := func(n string, v schema.Verdict, reason string, ago time.Duration, run string) {
		h.w.DelivList = append(h.w.DelivList, schema.Delivery{ID: id(n), Received: h.ago(ago), From: "203.0.113.7", Provider: "github", Forge: "Forgejo", Event: "push", Target: target("procedure", "deploy-homelab"), Action: "RunProcedure", Cause: h.push(), Verdict: v, Reason: reason, Run: run, Took: 1840})
	}
	add("d1", schema.VerdictAccepted, "started run", 47*time.Second, id("running"))
	add("d2", schema.VerdictIgnored, "branch renovate/nginx is not main", 9*time.Minute, "")
	add("d3", schema.VerdictDuplicate, "the same delivery came 2 s before", 2*time.Hour, "")
	add("d4", schema.VerdictRefused, "the signature does not fit the secret", 3*time.Hour, "")
	add("d5", schema.VerdictAccepted, "started run", 26*time.Hour, id("old2"))
}
