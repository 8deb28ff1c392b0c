package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"berth/e2e/forge"
	"berth/e2e/homelab"
	"berth/e2e/wire"
	"berth/e2e/world"
	"berth/periphery/docker/dockertest"
	"berth/periphery/docker/dockertest/rig"
)

// hookTOML takes where the repository is, and the secret.
const hookTOML = `
[[stack]]
name = "web"
[stack.config]
server = "nexus"
%[1]s
auto_pull = false
webhook_secret = "%[2]s"

[[stack]]
name = "off"
[stack.config]
server = "nexus"
%[1]s
auto_pull = false
webhook_enabled = false
webhook_secret = "%[2]s"

[[repo]]
name = "shelf"
[repo.config]
server = "nexus"
%[1]s
webhook_secret = "%[2]s"

[[stack]]
name = "open"
[stack.config]
server = "nexus"
file_contents = "services: {app: {image: 'berth-e2e/app:1'}}"

[[procedure]]
name = "on-push"
[procedure.config]
webhook_secret = "%[2]s"
[[procedure.config.stage]]
name = "Deploy"
executions = [{ execution.type = "DeployStack", execution.params.stack = "web" }]
`

// TestWebhooks holds what deliveries do, and what they must not.
func TestWebhooks(t *testing.T) {
	w := world.New(t, world.Options{Servers: []string{world.Nexus}})
	h := &hookWorld{Homelab: &homelab.Homelab{World: w}, repo: w.Git.Repo("harbour/web")}
	dockertest.BuildImage(t, w.Servers[world.Nexus].Engine, "berth-e2e/app", "1", rig.Behaviour{})
	h.push(0)
	source := fmt.Sprintf("git_provider = %q\ngit_https = false\nrepo = \"harbour/web\"", h.GitHost())
	h.Apply(fmt.Sprintf(hookTOML, source, homelab.Secret))
	for _, part := range []struct {
		name string
		do   func(*testing.T, *hookWorld)
	}{
		{"one of a hundred", hookHundred},
		{"refused and ignored", hookRefused},
		{"four forges", hookForges},
		{"ping, tag, deleted branch", hookNoPush},
		{"sent again from the log", hookAgain},
		{"Row06 a storm ends at the newest commit", hookStorm},
	} {
		t.Run(part.name, func(t *testing.T) { h.Use(t); part.do(t, h) })
	}
}

// hookHundred sends one delivery a hundred times, all at once.
func hookHundred(t *testing.T, h *hookWorld) {
	d := h.delivery(t, forge.Forgejo, forge.Push{Message: "version 0"})
	var mu sync.Mutex
	verdicts, runs := map[string]int{}, map[string]bool{}
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			a, err := forge.Deliver(t.Context(), h.URL+"/listener/github/procedure/on-push/main", homelab.Secret, d)
			var v world.Verdict
			if err == nil {
				err = json.Unmarshal(a.Body, &v)
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil || a.Status != http.StatusOK {
				t.Errorf("answer %d %s (%v)", a.Status, a.Body, err)
			}
			verdicts[v.Verdict]++
			runs[v.Run] = true
		})
	}
	wg.Wait()
	if !maps.Equal(verdicts, map[string]int{"accepted": 1, "duplicate": 99}) || len(runs) != 1 {
		t.Errorf("verdicts %v of runs %v, want one accepted and 99 duplicates of one run", verdicts, runs)
	}
	for id := range runs {
		if r := h.Ended(t, id, minute); r.State != "succeeded" {
			t.Fatalf("the run did not succeed:\n%s", h.Tree(t, r, ""))
		}
	}
	if all := h.runs(t, wire.Params{}); len(all) != 2 {
		t.Errorf("%d runs, want the procedure and its deploy", len(all))
	}
	if got := h.Containers(world.Nexus, "web"); len(got) != 1 {
		t.Errorf("containers %v, want one", got)
	}
}

// hookRefused sends what must change nothing.
func hookRefused(t *testing.T, h *hookWorld) {
	const secret = homelab.Secret
	main := forge.Push{Branch: "main"}
	before, runs := h.Containers(world.Nexus, ""), len(h.runs(t, wire.Params{}))
	garbage := forge.GitHub.Ping()
	garbage.Event, garbage.Body = "push", []byte("\x00\xff{{{ not JSON")
	huge := forge.GitHub.Ping()
	huge.Event, huge.Body = "push", bytes.Repeat([]byte("a"), 10<<20)
	empty := forge.GitHub.Ping()
	empty.Event, empty.Body = "push", nil
	for _, c := range []struct {
		name, path, secret string
		d                  forge.Delivery
		status             int
		verdict, reason    string
	}{
		{"wrong signature", "github/procedure/on-push/main", "guessed", h.delivery(t, forge.GitHub, main), 401, "refused", "signature wrong"},
		{"no signature", "github/procedure/on-push/main", "", h.delivery(t, forge.Forgejo, main), 401, "refused", "signature missing"},
		{"wrong token", "gitlab/procedure/on-push/main", "guessed", h.delivery(t, forge.GitLab, main), 401, "refused", "signature wrong"},
		{"no token", "gitlab/procedure/on-push/main", "", h.delivery(t, forge.GitLab, main), 401, "refused", "signature missing"},
		{"a signature where a token belongs", "gitlab/procedure/on-push/main", secret, h.delivery(t, forge.GitHub, main), 401, "refused", "signature missing"},
		{"target without a secret", "github/stack/open/deploy", "", h.delivery(t, forge.GitHub, main), 403, "refused", "no webhook secret"},
		{"wrong branch", "github/procedure/on-push/main", secret, h.delivery(t, forge.Gitea, forge.Push{Branch: "dev"}), 200, "ignored", "branch: pushed dev, listening to main"},
		{"branch of another case", "github/procedure/on-push/Main", secret, h.delivery(t, forge.Gitea, main), 200, "ignored", "branch: pushed main, listening to Main"},
		{"wrong branch of a stack", "github/stack/web/deploy", secret, h.delivery(t, forge.GitHub, forge.Push{Branch: "dev"}), 200, "ignored", "branch: pushed dev"},
		{"disabled", "github/stack/off/deploy", secret, h.delivery(t, forge.GitHub, main), 200, "ignored", "disabled: webhook_enabled"},
		{"unknown target", "github/procedure/nobody/main", secret, h.delivery(t, forge.GitHub, main), 404, "refused", "nobody"},
		{"unknown id", "github/procedure/0123456789abcdef01234567/main", secret, h.delivery(t, forge.GitHub, main), 404, "refused", "0123456789abcdef01234567"},
		{"unknown kind", "github/server/nexus/reboot", secret, h.delivery(t, forge.GitHub, main), 404, "refused", "no webhook address"},
		{"unknown option", "github/stack/web/destroy", secret, h.delivery(t, forge.GitHub, main), 404, "refused", "no webhook address"},
		{"unknown provider", "bitbucket/stack/web/deploy", secret, h.delivery(t, forge.GitHub, main), 404, "refused", "no webhook address"},
		{"garbage", "github/procedure/on-push/main", secret, garbage, 422, "refused", ""},
		{"nothing", "github/procedure/on-push/main", secret, empty, 422, "refused", ""},
		{"10 MB", "github/procedure/on-push/main", secret, huge, 413, "refused", "larger than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h.Use(t)
			v := h.Deliver(c.path, c.secret, c.d)
			if v.Status != c.status || v.Verdict != c.verdict || !strings.Contains(v.Reason, c.reason) || v.Reason == "" || v.Run != "" {
				t.Errorf("answered %+v, want %d %s: …%s…", v, c.status, c.verdict, c.reason)
			}
			if got := h.log(t)[v.Delivery]; got.Verdict != v.Verdict || got.Reason != v.Reason || got.Run != "" {
				t.Errorf("the log says %+v, want what was answered: %+v", got, v)
			}
		})
	}
	if after := h.Containers(world.Nexus, ""); !maps.Equal(before, after) {
		t.Errorf("containers were %v and are %v", before, after)
	}
	if all := h.runs(t, wire.Params{}); len(all) != runs {
		t.Errorf("%d runs were started", len(all)-runs)
	}
}

// hookForges deploys by the payload of each git host.
func hookForges(t *testing.T, h *hookWorld) {
	names := map[forge.Forge]string{forge.GitHub: "GitHub", forge.GitLab: "GitLab", forge.Gitea: "Gitea", forge.Forgejo: "Forgejo"}
	for i, f := range forge.All() {
		message := fmt.Sprintf("version %d", 100+i)
		commit := h.push(100 + i)
		v := h.Deliver(f.Provider()+"/procedure/on-push/main", homelab.Secret, h.delivery(t, f, forge.Push{Message: message, Login: "grace"}))
		if v.Status != 200 || v.Verdict != "accepted" || v.Run == "" || !strings.Contains(v.URL, "/runs/"+v.Run) {
			t.Fatalf("%s: answered %+v", f, v)
		}
		r := h.Ended(t, v.Run, minute)
		if r.State != "succeeded" {
			t.Fatalf("%s: the run did not succeed:\n%s", f, h.Tree(t, r, ""))
		}
		c := r.Cause
		if c.Kind != "webhook" || c.Commit != commit || c.Message != message || c.Ref != "main" || c.Repo != "harbour/web" || c.By != "grace" || c.Delivery != v.Delivery {
			t.Errorf("%s: cause is %+v", f, c)
		}
		if r.Actor.Name != names[f] {
			t.Errorf("%s: actor is %+v", f, r.Actor)
		}
		if d := h.log(t)[v.Delivery]; d.Forge != names[f] || d.Event != "push" || d.Run != v.Run || d.Target.Name != "on-push" {
			t.Errorf("%s: the log says %+v", f, d)
		}
		if child := h.Children(t, v.Run)["web"]; child.Commit != commit {
			t.Errorf("%s: deployed %s, want %s", f, child.Commit, commit)
		}
	}
	// The other doors of the same push.
	for path, action := range map[string]string{
		"github/stack/web/deploy": "DeployStackIfChanged", "github/repo/shelf/pull": "PullRepo", "github/repo/shelf/clone": "CloneRepo",
	} {
		v := h.Deliver(path, homelab.Secret, h.delivery(t, forge.Gitea, forge.Push{Message: "once more"}))
		if v.Verdict != "accepted" {
			t.Errorf("%s: answered %+v", path, v)
			continue
		}
		if r := h.Ended(t, v.Run, minute); r.State != "succeeded" || r.Action != action {
			t.Errorf("%s: the run is %s of %s: %s", path, r.State, r.Action, r.Why())
		}
	}
}

// hookNoPush sends what forges send beside pushes of commits.
func hookNoPush(t *testing.T, h *hookWorld) {
	runs := len(h.runs(t, wire.Params{}))
	for _, f := range forge.All() {
		for name, c := range map[string]struct {
			d      forge.Delivery
			reason string
		}{
			"tag":     {h.delivery(t, f, forge.Push{Ref: "refs/tags/v1.0"}), "tag: refs/tags/v1.0"},
			"deleted": {h.delivery(t, f, forge.Push{Branch: "main", Before: h.head, After: forge.Zero}), "deleted: refs/heads/main"},
			"ping":    {f.Ping(), "ping"},
		} {
			if name == "ping" && f == forge.GitLab {
				continue // it tries a webhook out with a push
			}
			v := h.Deliver(f.Provider()+"/procedure/on-push/main", homelab.Secret, c.d)
			if v.Status != 200 || v.Verdict != "ignored" || !strings.HasPrefix(v.Reason, c.reason) || v.Run != "" {
				t.Errorf("%s of %s: answered %+v, want ignored: %s", name, f, v, c.reason)
			}
			if got := h.log(t)[v.Delivery]; got.Verdict != "ignored" || got.Reason != v.Reason {
				t.Errorf("%s of %s: the log says %+v", name, f, got)
			}
		}
	}
	if all := h.runs(t, wire.Params{}); len(all) != runs {
		t.Errorf("%d runs were started", len(all)-runs)
	}
}

// hookAgain sends deliveries again from the log.
func hookAgain(t *testing.T, h *hookWorld) {
	d := h.delivery(t, forge.Forgejo, forge.Push{Message: "again and again"})
	first := h.Deliver("github/procedure/on-push/main", homelab.Secret, d)
	h.Ended(t, first.Run, minute)
	if v := h.Deliver("github/procedure/on-push/main", homelab.Secret, d); v.Verdict != "duplicate" || v.Run != first.Run {
		t.Errorf("the forge's own second try was answered %+v", v)
	}
	var again logged
	if err := h.API.Call(t.Context(), "execute", "Redeliver", wire.Params{"id": first.Delivery}, &again); err != nil {
		t.Fatal(err)
	}
	if again.Verdict != "accepted" || again.Again != first.Delivery || again.Run == "" || again.Run == first.Run {
		t.Fatalf("sent again: %+v", again)
	}
	if r := h.Ended(t, again.Run, minute); r.State != "succeeded" || r.Cause.Message != "again and again" || r.Cause.Delivery != again.ID {
		t.Errorf("the run of it: %s, cause %+v", r.State, r.Cause)
	}
	// Also by what a person has: the command line.
	if out, err := h.CLI("hooks", "redeliver", first.Delivery); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	bad := h.Deliver("github/procedure/on-push/main", "guessed", d)
	if err := h.API.Call(t.Context(), "execute", "Redeliver", wire.Params{"id": bad.Delivery}, nil); err == nil || !strings.Contains(err.Error(), "not authentic") {
		t.Errorf("a refused delivery sent again: %v, want that it was not authentic", err)
	}
	h.idle(t)
}

// hookStorm is row 6: twenty commits in a row are few deploys, each of the commit
// that was announced, the newest one last.
func hookStorm(t *testing.T, h *hookWorld) {
	const pushes = 20
	for _, path := range []string{"github/stack/web/deploy", "github/procedure/on-push/main"} {
		var started []string
		for i := range pushes {
			h.push(1000 + i)
			v := h.Deliver(path, homelab.Secret, h.delivery(t, forge.Gitea, forge.Push{Message: fmt.Sprint("version ", 1000+i)}))
			if v.Verdict != "accepted" && v.Verdict != "coalesced" {
				t.Fatalf("push %d was answered %+v", i, v)
			}
			started = append(started, v.Run)
		}
		h.idle(t)
		worked, superseded := 0, 0
		for _, id := range slices.Compact(slices.Clone(started)) {
			r, err := h.API.Run(context.WithoutCancel(t.Context()), id)
			switch {
			case err != nil:
				t.Fatal(err)
			case r.State == "superseded":
				superseded++
				if !strings.Contains(r.Why(), "superseded by run #") {
					t.Errorf("run #%d does not say by what it was superseded: %s", r.Number, r.Why())
				}
			case r.State == "succeeded":
				worked++
				if r.Commit != r.Cause.Commit {
					t.Errorf("run #%d deployed %s, announced was %s", r.Number, r.Commit, r.Cause.Commit)
				}
			default:
				t.Errorf("a run of the storm:\n%s", h.Tree(t, r, ""))
			}
		}
		last, _ := h.API.Run(t.Context(), started[len(started)-1])
		if last.State != "succeeded" {
			t.Errorf("%s: the last push's run is %s: %s", path, last.State, last.Why())
		}
		if worked > pushes/2 {
			t.Errorf("%s: %d of %d pushes were worked on, want few", path, worked, pushes)
		}
		t.Logf("%s: %d worked, %d superseded", path, worked, superseded)
		var stack struct {
			Info struct {
				Hash string `json:"deployed_hash"`
			}
		}
		if err := h.API.Call(t.Context(), "read", "GetStack", wire.Params{"stack": "web"}, &stack); err != nil || stack.Info.Hash != h.head && !strings.HasPrefix(h.head, stack.Info.Hash) || stack.Info.Hash == "" {
			t.Errorf("%s: %q is deployed, want %s (%v)", path, stack.Info.Hash, h.head, err)
		}
		if n := len(h.Containers(world.Nexus, "web")); n != 1 {
			t.Errorf("%d containers, want 1", n)
		}
	}
}
