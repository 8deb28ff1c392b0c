package e2e

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth/e2e/wire"
	"berth/git/gittest"
)

// TestSeed002 is the day of somebody who keeps everything in git: six servers, all
// resources as TOML, one sync with `delete = true`, secrets by sops.
func TestSeed002(t *testing.T) {
	g := newGitOps(t)
	for _, part := range []struct {
		name string
		do   func(*testing.T, *gitOps)
	}{
		{"the sync creates everything", gitOpsCreates},
		{"deploy by the command line", gitOpsDeploys},
		{"a second sync does nothing", gitOpsAgain},
		{"what the command line lists", gitOpsLists},
		{"the custom image", gitOpsBuilds},
		{"what the schedules run", gitOpsScheduled},
		{"Row12 one push of settings and files", gitOpsPush},
		{"Row13 one stack for three hosts", gitOpsTargets},
		{"Row15 a deploy that is not healthy", gitOpsUnhealthy},
		{"Row39 the sync changes itself", gitOpsItself},
		{"a removed file removes what it declared", gitOpsRemoves},
		{"Row38 the sync survives itself", gitOpsSurvives},
		{"Row14 what is not managed survives", gitOpsForeign},
	} {
		if !t.Run(part.name, func(t *testing.T) { g.Use(t); part.do(t, g) }) {
			return // each part stands on the one before
		}
	}
}

// gitOpsCreates makes the sync by hand, as anybody has to once, and runs it.
func gitOpsCreates(t *testing.T, g *gitOps) {
	config := wire.Params{"git_provider": g.GitHost(), "git_https": false, "repo": theSync, "resource_path": []string{strings.TrimSuffix(declared, "/")}}
	if err := g.API.Call(t.Context(), "write", "CreateResourceSync", wire.Params{"name": theSync, "config": config}, nil); err != nil {
		t.Fatal(err)
	}
	// Its own settings come last: that variables count, and what is deleted, is known
	// from the next run on.
	for i := range 2 {
		if r := g.sync(t); r.State != "succeeded" || r.Commit != g.head {
			t.Fatalf("sync %d:\n%s", i+1, g.Tree(t, r, ""))
		}
	}
	for request, want := range map[string][]string{
		"ListServers": hosts(), "ListStacks": slices.Collect(maps.Keys(stacksThere())), "ListBuilds": {"periphery-custom"}, "ListBuilders": {"server04-builder"},
		"ListProcedures": {"auto-update", "backup-core", "deploy-all-stacks", "rebuild-periphery"}, "ListVariables": {"DOMAIN", "TIMEZONE"}, "ListResourceSyncs": {theSync},
	} {
		slices.Sort(want)
		if diff := cmp.Diff(want, g.names(t, request)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", request, diff)
		}
	}
	type scheduled struct {
		Name string
		Next int64 `json:"next_scheduled_run"`
	}
	var schedules []scheduled
	if err := g.API.Call(t.Context(), "read", "ListSchedules", nil, &schedules); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"auto-update", "backup-core", "rebuild-periphery"} {
		if !slices.ContainsFunc(schedules, func(s scheduled) bool { return s.Name == name && s.Next > time.Now().UnixMilli() }) {
			t.Errorf("%s does not run next at a time to come: %v", name, schedules)
		}
	}
}

// gitOpsDeploys deploys by the handbook: all by the procedure, core on its own.
func gitOpsDeploys(t *testing.T, g *gitOps) {
	g.km(t, "km execute run-procedure deploy-all-stacks --yes")
	g.km(t, "km execute deploy-stack komodo-core --yes")
	g.km(t, `for stack in kasm-alloy komodo-alloy; do
  km execute deploy-stack "$stack" --yes
done`)
	r := g.newest(t, "RunProcedure")
	if r.State != "succeeded" {
		t.Fatalf("the procedure did not succeed:\n%s", g.Tree(t, r, ""))
	}
	if got := len(g.ids(t)); got != 15 {
		t.Errorf("%d containers, want 15: %v", got, g.ids(t))
	}
	for _, host := range hosts() {
		env := g.environment(t, host, host+"-alloy", "alloy")
		if env["HOST"] != host || env["PROMETHEUS_PASSWORD"] != "metrics-of-all-hosts" {
			t.Errorf("%s-alloy has %v", host, env)
		}
	}
	for _, c := range []struct{ host, stack, service, name, want string }{
		{"nvr", "frigate", "frigate", "FRIGATE_TZ", "America/New_York"},
		{"server04", "vaultwarden", "vaultwarden", "VAULT", "vault.example.org"},
		{"server04", "vaultwarden", "vaultwarden", "ADMIN_TOKEN", "keeper-of-keys"},
		{"komodo", "komodo-core", "core", "KOMODO_DB_PASSWORD", "a-database-of-documents"},
	} {
		if got := g.environment(t, c.host, c.stack, c.service)[c.name]; got != c.want {
			t.Errorf("%s of %s is %q, want %q", c.name, c.stack, got, c.want)
		}
	}
	g.printed(t, "omni", "omni", "omni", "talos-behind-the-hedge")
	g.printed(t, "seaweedfs", "seaweedfs", "s3", "fish-and-buckets")
}

// gitOpsAgain runs the sync once more: nothing is planned, nothing recreated.
func gitOpsAgain(t *testing.T, g *gitOps) {
	before := g.ids(t)
	r := g.sync(t)
	if r.State != "succeeded" || r.Decision == nil || r.Decision.What != "unchanged" {
		t.Errorf("the second sync: %+v\n%s", r.Decision, g.Tree(t, r, ""))
	}
	var s struct {
		Info struct {
			Resources []any `json:"resource_updates"`
			Variables []any `json:"variable_updates"`
			Deploys   []any `json:"pending_deploys"`
		}
	}
	if err := g.API.Call(t.Context(), "read", "GetResourceSync", wire.Params{"sync": theSync}, &s); err != nil {
		t.Fatal(err)
	}
	if n := len(s.Info.Resources) + len(s.Info.Variables) + len(s.Info.Deploys); n != 0 {
		t.Errorf("pending is %+v, want nothing", s.Info)
	}
	if diff := cmp.Diff(before, g.ids(t)); diff != "" {
		t.Errorf("containers (-before +after):\n%s", diff)
	}
}

// gitOpsLists looks by the handbook's commands.
func gitOpsLists(t *testing.T, g *gitOps) {
	rows := func(line string) map[string][]string {
		out := map[string][]string{}
		for _, row := range strings.Split(strings.TrimSpace(g.km(t, line)), "\n")[1:] {
			words := strings.Fields(row)
			out[words[0]] = words[1:]
		}
		return out
	}
	g.World.Until(minute, "all stacks run", func() bool {
		var list []struct{ Info struct{ State string } }
		err := g.API.Call(t.Context(), "read", "ListStacks", nil, &list)
		for _, s := range list {
			if s.Info.State != "running" {
				return false
			}
		}
		return err == nil
	})
	stacks := rows("km list stacks -a")
	for stack, host := range stacksThere() {
		if row := stacks[stack]; len(row) < 3 || row[0] != "running" || row[1] != host || !strings.HasPrefix(g.head, row[2]) {
			t.Errorf("km list stacks says of %s: %q", stack, row)
		}
	}
	for host, row := range rows("km list servers -a") {
		if len(row) == 0 || row[0] != "ok" {
			t.Errorf("km list servers says of %s: %q", host, row)
		}
	}
	out := g.km(t, `curl -s -H "X-API-KEY: $KEY" -H "X-API-SECRET: $SECRET" \
  -H "Content-Type: application/json" \
  -d '{"type":"ListUpdates","params":{"query":{}}}' \
  `+g.URL+"/read")
	var updates struct {
		Updates []struct{ Operation, Status, Username string }
	}
	if err := json.Unmarshal([]byte(out), &updates); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	seen := map[string]int{}
	for _, u := range updates.Updates {
		seen[u.Operation]++
	}
	for _, want := range []string{"RunSync", "RunProcedure", "DeployStack"} {
		if seen[want] == 0 {
			t.Errorf("ListUpdates has %v, want a %s", seen, want)
		}
	}
}

// gitOpsBuilds builds the agent's image on the build server and pushes it.
func gitOpsBuilds(t *testing.T, g *gitOps) {
	g.km(t, "km execute run-build periphery-custom --yes")
	r := g.newest(t, "RunBuild")
	if r.State != "succeeded" || r.Commit != g.head || !strings.Contains(r.Note, "latest") {
		t.Errorf("the build:\n%s", g.Tree(t, r, ""))
	}
	if out := g.km(t, "km list builds; km list syncs"); !strings.Contains(out, "periphery-custom  ok ") || !strings.Contains(out, " 0.0.1 ") || !strings.Contains(out, theSync+"  ok ") {
		t.Errorf("km lists\n%s", out)
	}
	image := g.Registry.Host(g.Servers["server04"].Engine.Gateway) + "/" + g.Registry.User + "/komodo-periphery-sops:latest"
	if _, err := g.Servers["server04"].Engine.API().ImageInspect(t.Context(), image); err != nil {
		t.Errorf("image %s: %v", image, err)
	}
	if digest := g.Registry.Digest(t, g.Registry.User+"/komodo-periphery-sops", "latest"); !strings.HasPrefix(digest, "sha256:") {
		t.Errorf("the registry holds %q", digest)
	}
}

// gitOpsScheduled runs by hand what else runs by night.
func gitOpsScheduled(t *testing.T, g *gitOps) {
	before := g.ids(t)
	for _, name := range []string{"backup-core", "rebuild-periphery", "auto-update"} {
		g.km(t, "km execute run-procedure "+name+" --yes")
		if r := g.newest(t, "RunProcedure"); r.Target.Name != name || r.State != "succeeded" && r.State != "warning" {
			t.Errorf("%s:\n%s", name, g.Tree(t, r, ""))
		}
	}
	if r := g.newest(t, "BackupCoreDatabase"); r.State != "succeeded" || r.Decision == nil || r.Decision.What != "backup" {
		t.Errorf("the backup:\n%s", g.Tree(t, r, ""))
	}
	if diff := cmp.Diff(before, g.ids(t)); diff != "" {
		t.Errorf("containers (-before +after):\n%s", diff)
	}
}

// gitOpsRemoves removes a file: what it declared goes, and nothing else; what runs
// stays until somebody takes it down. While a procedure still refers to it, nothing
// is done.
func gitOpsRemoves(t *testing.T, g *gitOps) {
	stacks, containers := g.names(t, "ListStacks"), g.ids(t)
	r := g.push(t, gittest.Change{Message: "No more tunnels", Delete: []string{declared + "stacks-kasm.toml"}})
	if r.State != "failed" || !strings.Contains(r.Why(), declared+"procedures.toml:") || !strings.Contains(r.Why(), `stack "newt"`) {
		t.Errorf("a procedure refers to newt:\n%s", g.Tree(t, r, ""))
	}
	if diff := cmp.Diff(stacks, g.names(t, "ListStacks")); diff != "" {
		t.Errorf("stacks after a refusal (-before +after):\n%s", diff)
	}
	const file = declared + "procedures.toml"
	lines := slices.DeleteFunc(strings.SplitAfter(g.files[file], "\n"), func(l string) bool { return strings.Contains(l, `"newt"`) })
	r = g.push(t, gittest.Change{Message: "Nor their deploys", Files: map[string]string{file: strings.Join(lines, "")}})
	if r.State != "succeeded" {
		t.Fatalf("the run:\n%s", g.Tree(t, r, ""))
	}
	want := slices.DeleteFunc(stacks, func(s string) bool { return s == "newt" || s == "kasm-alloy" })
	if diff := cmp.Diff(want, g.names(t, "ListStacks")); diff != "" {
		t.Errorf("stacks (-want +got):\n%s", diff)
	}
	for _, request := range []string{"ListServers", "ListBuilds", "ListProcedures", "ListVariables", "ListResourceSyncs"} {
		if len(g.names(t, request)) == 0 {
			t.Errorf("%s is empty", request)
		}
	}
	if diff := cmp.Diff(containers, g.ids(t)); diff != "" {
		t.Errorf("containers (-before +after):\n%s", diff)
	}
}
