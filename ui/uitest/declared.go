package uitest

import (
	"time"

	"berth/schema"
	"berth/ui"
)

// declared adds a resource of every kind that homelab has no list for.
func (h homelab) declared() {
	h.builds()
	h.deployments()
	h.syncs()
	h.alerting()
	action := schema.DefaultAction()
	action.Schedule, action.FileContents = "Every day at 04:30", "const stacks = await komodo.read(\"ListStacks\", {});\nconsole.log(`${stacks.length} stacks`);\n"
	group := schema.DefaultUserGroup()
	group.Users, group.All = []string{"mira", "matt"}, schema.Levels{"Stack": {Level: "Execute", Specific: []string{"Logs"}}}
	h.other("action", "tidy", plain(schema.Resource[schema.ActionConfig]{Config: action, Tags: []string{"home"}}))
	h.other("user_group", "family", plain(schema.Resource[schema.UserGroupConfig]{Config: group}))
	h.w.Times = []schema.ScheduleView{
		{Target: target("procedure", "deploy-homelab"), Format: "English", Schedule: "Every day at 03:00", Zone: "Europe/Berlin", Enabled: true, Next: h.now.Add(5 * time.Hour).UnixMilli(), Last: h.ago(19 * time.Hour)},
		{Target: target("action", "tidy"), Format: "English", Schedule: "Every day at 04:30", Enabled: true, Next: h.now.Add(7 * time.Hour).UnixMilli(), Last: h.ago(41 * time.Hour), Missed: h.ago(17 * time.Hour), MissedWhy: "core was away at that time; schedule_missed is Skip"},
	}
}

// other adds a resource of a kind without a list of its own.
func (h homelab) other(kind, name string, r ui.Resource) {
	r.ID, r.Name = id(kind+name), name
	if h.w.Others == nil {
		h.w.Others = map[string][]ui.Resource{}
	}
	h.w.Others[kind] = append(h.w.Others[kind], r)
}

func (h homelab) builds() {
	builder := schema.BuilderConfig{Type: "Server", Server: &schema.ServerBuilder{ServerIDs: schema.StrList{id("servernexus")}}}
	h.other("builder", "nexus-builder", plain(schema.Resource[schema.BuilderConfig]{Config: builder}))
	c := schema.DefaultBuild()
	c.BuilderID, c.Repo, c.GitProvider = id("buildernexus-builder"), "matt/caddy-custom", "git.example.org"
	c.ImageRegistry = schema.ImageRegistries{{Domain: "ghcr.io", Account: "matt"}}
	v := schema.BuildView{Resource: schema.Resource[schema.BuildConfig]{ID: id("buildcaddy"), Name: "caddy", Config: c}, Builder: target("builder", "nexus-builder"), State: "Ok", Version: schema.Version{Major: 1, Minor: 4, Patch: 2}}
	v.Built = schema.BuildState{Version: v.Version, Commit: "77c1e0b4a51d20", Message: "caddy 2.11, with the dns plugin", Image: "ghcr.io/matt/caddy", Digest: "sha256:3d2f0a54e9f5b1c8d9b0c4a7e6f1d2c3b4a5968778695a4b3c2d1e0f9a8b7c6d", BuiltAt: h.ago(26 * time.Hour), Pushed: true}
	for i := range 3 {
		v.Built.Past = append(v.Built.Past, schema.MadeVersion{Version: schema.Version{Major: 1, Minor: 4, Patch: 2 - i}, At: h.ago(time.Duration(26+i*70) * time.Hour)})
	}
	h.w.BuildList = []schema.BuildView{v}
}

func (h homelab) deployments() {
	c := schema.DefaultDeployment()
	c.ServerID, c.Image = id("servernexus"), schema.DeploymentImage{Type: "Build", Build: &schema.BuildImage{BuildID: id("buildcaddy")}}
	c.Ports = "443: 443\n"
	h.w.DeployList = []schema.DeploymentView{{
		Resource: schema.Resource[schema.DeploymentConfig]{ID: id("deploymentproxy"), Name: "proxy", Config: c}, Server: target("server", "nexus"), State: "running", Status: "Up 26 hours",
		Image:     "ghcr.io/matt/caddy:1.4.2",
		Container: &schema.Container{ID: id("proxy"), Name: "proxy", Image: "ghcr.io/matt/caddy:1.4.2", State: "running", Status: "Up 26 hours", Ports: []schema.Port{{Private: 443, Public: 443, Proto: "tcp"}}}, Update: true,
	}}
}

func (h homelab) syncs() {
	c := schema.DefaultSync()
	c.GitProvider, c.Repo, c.Delete, c.ResourcePath = "git.example.org", "matt/homelab-docker", true, schema.StrList{"resources"}
	h.other("resource_sync", "fleet", plain(schema.Resource[schema.SyncConfig]{Config: c}))
	bad := c
	bad.Repo = "matt/lab"
	h.other("resource_sync", "lab", plain(schema.Resource[schema.SyncConfig]{Config: bad}))
	st := schema.SyncState{Status: schema.SyncPending, CheckedAt: h.ago(20 * time.Second), Last: &schema.SyncDone{Run: id("synced"), At: h.ago(3 * time.Hour), Commit: "4be1d07a3c99f1"}}
	st.Plan = schema.SyncPlan{
		Sync: target("resource_sync", "fleet"), Commit: "9f31c2e55d8ab0", Message: "immich: new stack; paperless goes", Guard: "1 of 4 stacks would be deleted, more than 20%: a run needs a confirmation of its deletes",
		Issues: []schema.SyncIssue{{File: "resources/stacks.toml", Line: 41, Key: "stack[3].config.branhc", Text: "unknown key: did you mean branch?", Warning: true}},
		Changes: []schema.SyncChange{
			{Kind: "stack", Name: "immich", Op: "create", Reason: "declared, and there is none", File: "resources/stacks.toml", Line: 52, Proposed: "[[stack]]\nname = \"immich\"\n[stack.config]\nserver = \"nexus\"\n"},
			{Kind: "stack", ID: id("stackdashy"), Name: "dashy", Op: "update", Reason: "2 settings differ", Fields: []schema.SyncField{{Key: "auto_pull", Old: "true", New: "false"}, {Key: "environment", Old: "TZ = Europe/Berlin", New: "TZ = Europe/Berlin\nPORT = 8080"}}, File: "resources/stacks.toml", Line: 3},
			{Kind: "stack", ID: id("stackpaperless"), Name: "paperless", Op: "delete", Reason: "in scope and not declared any more", Server: target("server", "nexus"), Destroy: true},
			{Kind: "server", ID: id("serverattic"), Name: "attic", Op: "keep", Reason: "lacks the tag home"},
			{Kind: "stack", ID: id("stacktandoor"), Name: "tandoor", Op: "unchanged", Reason: "as declared"},
		},
		Deploys: []schema.SyncDeploy{
			{Kind: "stack", ID: id("stackdashy"), Name: "dashy", What: "deploy", Reason: "its settings change", Changes: []string{"environment changed"}},
			{Kind: "stack", ID: id("stackbookstack"), Name: "bookstack", What: "unchanged", Reason: "nothing in bookstack/ changed since run #1180"},
		},
	}
	failed := schema.SyncState{Status: schema.SyncFailed, CheckedAt: h.ago(time.Minute)}
	failed.Plan.Problem = &schema.Problem{Code: schema.Invalid, Text: "1 mistake in the files: nothing is planned before it is put right"}
	failed.Plan.Issues = []schema.SyncIssue{{File: "stacks.toml", Line: 7, Key: "stack[0].config.server", Text: `there is no server "nexsus": did you mean nexus?`}}
	h.w.SyncStates = map[string]schema.SyncState{id("resource_syncfleet"): st, id("resource_synclab"): failed}
}

func (h homelab) alerting() {
	c := schema.DefaultAlerter()
	c.Enabled, c.Endpoint = true, schema.AlerterEndpoint{Type: "Ntfy", Ntfy: &schema.NtfyEndpoint{URL: "canary-secret-value"}}
	h.other("alerter", "phone", plain(schema.Resource[schema.AlerterConfig]{Config: c}))
	h.w.AlertList = []schema.Alert{
		{ID: id("alert1"), At: h.ago(40 * time.Second), Level: schema.SeverityOK, Target: target("resource_sync", "fleet"), Type: schema.AlertSyncPending, Message: "fleet has pending changes: 1 create, 1 update, 1 delete, 1 deploy"},
		{ID: id("alert2"), At: h.ago(17 * time.Hour), Level: schema.SeverityWarning, Target: target("action", "tidy"), Type: schema.AlertScheduleRun, Message: "tidy missed its time: core was away"},
		{ID: id("alert3"), At: h.ago(30 * time.Hour), Level: schema.SeverityWarning, Target: target("stack", "homeassistant"), Type: schema.AlertRunFailed, Message: "DeployStackIfChanged homeassistant failed (run #1196): port 8081 is already in use", Resolved: true, ResolvedAt: h.ago(29 * time.Hour)},
	}
	delivery := func(alert, state string, attempts int, problem string) schema.AlertDelivery {
		return schema.AlertDelivery{Alert: id(alert), Alerter: id("alerterphone"), Name: "phone", State: state, Attempts: attempts, Problem: problem, Queued: h.ago(time.Minute), Next: h.now.Add(90 * time.Second).UnixMilli()}
	}
	h.w.Outbox = []schema.AlertDelivery{
		delivery("alert1", schema.AlertWaiting, 2, "ntfy answered 503 Service Unavailable"), delivery("alert2", schema.AlertSent, 1, ""), delivery("alert3", schema.AlertAbandoned, 31, "dial tcp 192.0.2.9:443: connection refused"),
	}
}

// waiting adds a run that waits for somebody to approve its second stage.
func (h homelab) waiting() {
	start := h.ago(3 * time.Minute)
	run := schema.Run{
		ID: id("approval"), Number: 1140, Action: "RunProcedure", Target: target("procedure", "deploy-homelab"), State: schema.StateWaiting, Queued: start, Started: start,
		Actor: schema.Actor{Kind: "user", Name: "mira"}, Cause: schema.Cause{Kind: "schedule"}, Note: `stage "Deploy" waits for an approval: approve it here, or with "berth runs approve 1140"`,
		Stages: []schema.Stage{{Name: "Pull", State: schema.StateSucceeded, Total: 1, Started: start, Ended: start + 2000}, {Name: "Deploy", State: schema.StateWaiting, Total: 6, Started: start + 2000}},
	}
	run.Steps = []schema.Step{
		{Name: "look", Kind: schema.StepCore, Stage: "Pull", State: schema.StateSucceeded, Queued: start, Started: start, Ended: start + 1900},
		{Name: "Deploy/approval", Kind: schema.StepApproval, Stage: "Deploy", State: schema.StateWaiting, Note: run.Note, Queued: start + 2000, Started: start + 2000},
	}
	h.w.RunList = append(h.w.RunList, run)
}
