package execution_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	coresync "berth/core/sync"
	"berth/git/gittest"
	"berth/schema"
)

const oneServer = "[[server]]\nname = \"one\"\n\n"

// stackText declares a stack whose files are in its folder of repository a/b.
func (s *stage) stackText(name, more string) string {
	return fmt.Sprintf("[[stack]]\nname = %q\ndeploy = true\n%s[stack.config]\nserver = \"one\"\ngit_provider = %q\ngit_https = false\nrepo = \"a/b\"\nfile_paths = [\"stacks/%s/compose.yaml\"]\n\n", name, more, s.Forge.URL(), name)
}

func compose(names ...string) map[string]string {
	out := map[string]string{}
	for _, n := range names {
		out["stacks/"+n+"/compose.yaml"] = "services: {web: {image: " + n + "}}\n"
	}
	return out
}

func TestMonorepoDeploysExactlyWhatChanged(t *testing.T) {
	s := newStage(t)
	repo := s.Forge.Repo("a/b")
	files, toml := map[string]string{}, oneServer
	for i := range 100 {
		name := fmt.Sprintf("s%03d", i)
		toml += s.stackText(name, "")
		files["stacks/"+name+"/compose.yaml"] = "services: {}\n"
	}
	files["berth/all.toml"] = toml
	first := repo.Commit(files, "a hundred stacks")
	s.Sync("mono", "a/b", map[string]any{"resource_path": []string{"berth"}, "delete": true})
	r := s.good(s.run("mono", nil, schema.Cause{}))
	if got := s.did(); len(got) != 100 || r.Commit != first {
		t.Fatalf("%d deploys of commit %s", len(got), r.Commit)
	}
	second := repo.Commit(map[string]string{"stacks/s042/nginx/site.conf": "x", "README.md": "y"}, "one folder")
	requests := s.Forge.Requests()
	r = s.good(s.run("mono", nil, schema.Cause{Kind: "webhook", Repo: "a/b", Ref: "main", Commit: second}))
	if got := s.did(); len(got) != 1 || got[0] != "s042@"+second {
		t.Errorf("deployed %v", got)
	}
	if n := s.Forge.Requests() - requests; n > 4 {
		t.Errorf("%d requests for one fetch", n)
	}
	if !slices.ContainsFunc(r.Decision.Changes, func(l string) bool { return l == "deploy stack s042: stacks/s042/nginx/site.conf changed" }) {
		t.Errorf("decisions %q", r.Decision.Changes[:3])
	}
	plan, err := s.Plan(t.Context(), "mono", coresync.Request{})
	s.Must(err)
	if len(plan.Deploys) != 100 || !plan.Empty() {
		t.Errorf("afterwards:\n%s", plan.Text())
	}
	n := 0
	for _, l := range r.Decision.Changes {
		if strings.HasPrefix(l, "unchanged stack ") && strings.Contains(l, fmt.Sprintf("no file that feeds it changed between %.8s and %.8s", first, second)) {
			n++
		}
	}
	if n != 99 {
		t.Errorf("%d of 99 reasons are recorded", n)
	}
}

// A plan of thousands of updates with long settings is recorded and carried out,
// also when core stops in the middle, and what is kept says what was left out.
func TestHugePlan(t *testing.T) {
	s := newStage(t)
	repo := s.Forge.Repo("a/b")
	const many = 1500
	text := func(round int) string {
		var b strings.Builder
		for i := range many {
			fmt.Fprintf(&b, "[[repo]]\nname = \"repo-%04d\"\ndescription = \"%d %s\"\n[repo.config]\nrepo = \"a/r%d\"\nbranch = \"%s\"\n", i, round, strings.Repeat(fmt.Sprint(i*7919), 40), round, strings.Repeat(fmt.Sprint("b", round, i), 40))
		}
		return b.String()
	}
	repo.Commit(map[string]string{"r.toml": text(1)}, "all")
	target := s.Sync("huge", "a/b", nil)
	s.good(s.run("huge", nil, schema.Cause{}))
	repo.Commit(map[string]string{"r.toml": text(2)}, "each is changed")
	if _, err := s.Refresh(t.Context(), "huge"); err != nil {
		t.Fatal(err)
	}
	kept, err := s.Config.States.Get(target.ID)
	s.Must(err)
	if n := len(kept.Value.Plan.Issues); n == 0 || !strings.Contains(kept.Value.Plan.Issues[0].Text, "left out here are") {
		t.Errorf("the state says %+v", kept.Value.Plan.Issues)
	}
	id := s.begin("huge", nil, schema.Cause{})
	s.stop()
	s.start()
	r := s.good(s.wait(id))
	if r.Decision.Reason != "1500 update" {
		t.Errorf("decision %+v", r.Decision.Reason)
	}
	plan, err := s.Plan(t.Context(), "huge", coresync.Request{})
	s.Must(err)
	if !plan.Empty() || len(plan.Changes) != many {
		t.Errorf("afterwards: %s of %d", plan.Counts(), len(plan.Changes))
	}
}

// Row 12: one push with resources and compose files is one run, in order.
func TestRow12OnePushIsOneRun(t *testing.T) {
	s := newStage(t)
	repo := s.Forge.Repo("a/b")
	files := compose("db", "web")
	files["r.toml"] = oneServer + s.stackText("web", "after = [\"db\"]\n") + s.stackText("db", "")
	repo.Commit(files, "both")
	s.Sync("main", "a/b", map[string]any{"resource_path": []string{"r.toml"}, "delete": true})
	s.good(s.run("main", nil, schema.Cause{}))
	if got := s.did(); len(got) != 2 || !strings.HasPrefix(got[0], "db@") {
		t.Errorf("the order is %v", got)
	}
	// Settings of one, files of the other, in one commit.
	more := compose("db", "web")
	more["stacks/db/compose.yaml"] = "services: {db: {image: newer}}\n"
	more["r.toml"] = oneServer + s.stackText("web", "after = [\"db\"]\n") + s.stackText("db", "") + "environment = \"A=b\"\n"
	commit := repo.Commit(more, "settings and files")
	r := s.good(s.run("main", nil, schema.Cause{Kind: "webhook", Repo: "a/b", Ref: "main", Commit: commit}))
	if got := strings.Join(s.did(), " "); got != "db@"+commit+" web@"+commit {
		t.Errorf("deployed %s\n%s", got, strings.Join(r.Decision.Changes, "\n"))
	}
	if !slices.ContainsFunc(r.Decision.Changes, func(l string) bool { return strings.Contains(l, "web: it comes after db, which is deployed") }) {
		t.Errorf("decisions %q", r.Decision.Changes)
	}
	r = s.good(s.run("main", nil, schema.Cause{}))
	if got := s.did(); len(got) != 0 || r.Decision.What != "unchanged" {
		t.Errorf("the second run deployed %v: %+v", got, r.Decision)
	}
}

func TestFailedParentSkipsItsDependentsOnly(t *testing.T) {
	s := newStage(t)
	files := compose("db", "web", "cache", "shop")
	files["r.toml"] = oneServer + s.stackText("db", "") + s.stackText("web", "after = [\"db\"]\n") + s.stackText("shop", "after = [\"web\"]\n") + s.stackText("cache", "")
	s.Forge.Repo("a/b").Commit(files, "four")
	s.Sync("main", "a/b", map[string]any{"resource_path": []string{"r.toml"}})
	s.fail["db"] = "db is not healthy"
	r := s.run("main", nil, schema.Cause{})
	if r.State != schema.StateFailed || !strings.Contains(r.Problem.Text, "deploy db: db is not healthy") || !strings.Contains(r.Problem.Text, "web (it comes after db, which was not deployed)") ||
		!strings.Contains(r.Problem.Text, "shop (it comes after web, which was skipped)") {
		t.Errorf("%s %+v", r.State, r.Problem)
	}
	if got := s.did(); len(got) != 1 || !strings.HasPrefix(got[0], "cache@") {
		t.Errorf("deployed %v", got)
	}
	delete(s.fail, "db")
	s.good(s.run("main", nil, schema.Cause{}))
	if got := s.did(); len(got) != 3 {
		t.Errorf("the next run deployed %v", got)
	}
}

// Row 42: what is deleted with its server is taken down before.
func TestRow42DeletedStackIsTakenDownFirst(t *testing.T) {
	s := newStage(t)
	repo := s.Forge.Repo("a/b")
	files := compose("web", "rest")
	files["r.toml"] = oneServer + s.stackText("rest", "")
	files["web.toml"] = "[[server]]\nname = \"two\"\n\n" + strings.Replace(s.stackText("web", ""), `server = "one"`, `server = "two"`, 1)
	repo.Commit(files, "both")
	s.Sync("main", "a/b", map[string]any{"resource_path": []string{"r.toml"}, "delete": true, "destroy_on_delete": true, "max_delete": "2"})
	s.Update("resource_sync", "main", map[string]any{"resource_path": []string{"r.toml", "web.toml"}})
	s.good(s.run("main", nil, schema.Cause{}))
	s.did()
	s.Update("resource_sync", "main", map[string]any{"resource_path": []string{"r.toml"}})
	s.fail["web"] = "the engine does not answer"
	r := s.run("main", nil, schema.Cause{})
	if got := s.Names("stack"); r.State != schema.StateFailed || len(got) != 2 || len(s.Names("server")) != 2 {
		t.Errorf("a stack that is not down is deleted: %s, %v %+v", r.State, got, r.Problem)
	}
	delete(s.fail, "web")
	s.good(s.run("main", nil, schema.Cause{}))
	if got := strings.Join(s.did(), " "); got != "-web" {
		t.Errorf("did %s", got)
	}
	if got := s.Names("server"); len(got) != 1 || len(s.Names("stack")) != 1 {
		t.Errorf("servers %v", got)
	}
}

func TestGuardedRunDoesNothingUntilConfirmed(t *testing.T) {
	s := newStage(t)
	repo := s.Forge.Repo("a/b")
	all := ""
	for i := range 10 {
		all += fmt.Sprintf("[[server]]\nname = \"s%d\"\n\n", i)
	}
	repo.Commit(map[string]string{"r.toml": all}, "ten")
	s.Sync("main", "a/b", map[string]any{"delete": true})
	s.good(s.run("main", nil, schema.Cause{}))
	repo.Commit(map[string]string{"r.toml": strings.Join(strings.SplitAfter(all, "\n\n")[:3], "") + "[[server]]\nname = \"new\"\n"}, "few")
	r := s.run("main", nil, schema.Cause{})
	if r.State != schema.StateFailed || !strings.Contains(r.Problem.Text, "nothing was done") || !strings.Contains(r.Problem.Text, "server s9") || len(s.Names("server")) != 10 {
		t.Errorf("%s %+v, %v", r.State, r.Problem, s.Names("server"))
	}
	s.good(s.run("main", map[string]any{"confirm_deletes": true}, schema.Cause{}))
	if got := s.Names("server"); len(got) >= 10 || !slices.Contains(got, "new") {
		t.Errorf("servers %v", got)
	}
}

func TestCrashAtEveryStep(t *testing.T) {
	for k := 1; ; k++ {
		s := newStage(t)
		files := compose("db", "web")
		files["r.toml"] = oneServer + s.stackText("db", "") + s.stackText("web", "after = [\"db\"]\n") + "[[variable]]\nname = \"A\"\nvalue = \"b\"\n"
		s.Forge.Repo("a/b").Commit(files, "all")
		s.Sync("main", "a/b", map[string]any{"resource_path": []string{"r.toml"}, "include_variables": true})
		n, crashed := 0, make(chan struct{})
		s.before = func() {
			s.mu.Lock()
			n++
			now := n == k
			s.mu.Unlock()
			if now { // core dies here: what follows reaches nobody
				close(crashed)
				stop := s.stop
				go stop()
				<-time.After(50 * time.Millisecond)
			}
		}
		id := s.begin("main", nil, schema.Cause{})
		select {
		case <-crashed:
			s.stop()
			s.mu.Lock()
			s.before = nil
			s.mu.Unlock()
			s.start()
		case <-ended(s, id):
			if k < 3 {
				t.Fatalf("only %d steps", n)
			}
			return
		}
		s.good(s.wait(id))
		if got := s.Names("stack"); len(got) != 2 {
			t.Errorf("crash at step %d: stacks %v", k, got)
		}
		if p, err := s.Plan(t.Context(), "main", coresync.Request{}); err != nil || !p.Empty() {
			t.Errorf("crash at step %d: %v left\n%s", k, err, p.Text())
		}
		if k > 20 {
			t.Fatal("it never ends")
		}
	}
}

func ended(s *stage, id string) <-chan struct{} {
	out := make(chan struct{})
	go func() {
		defer close(out)
		_, _ = s.engine.Wait(s.T.Context(), id)
	}()
	return out
}

// §9.1 row 6: every push is deployed at its own commit, or superseded by a newer one.
func TestRow06NewerPushSupersedesAWaitingOne(t *testing.T) {
	s := newStage(t)
	repo := s.Forge.Repo("a/b")
	files := compose("web")
	files["r.toml"] = oneServer + s.stackText("web", "")
	repo.Change(gittest.Change{Files: files})
	s.Sync("main", "a/b", map[string]any{"resource_path": []string{"r.toml"}})
	hold := make(chan struct{})
	s.before = func() { <-hold }
	first := s.begin("main", nil, schema.Cause{})
	var commits []string
	var runs []string
	for i := range 3 {
		commits = append(commits, repo.Commit(map[string]string{"stacks/web/compose.yaml": fmt.Sprint("services: {}\n#", i)}, "push"))
		runs = append(runs, s.begin("main", nil, schema.Cause{Kind: "webhook", Repo: "a/b", Ref: "main", Commit: commits[i]}))
	}
	close(hold)
	s.good(s.wait(first))
	for i, want := range []schema.RunState{schema.StateSuperseded, schema.StateSuperseded, schema.StateSucceeded} {
		if r := s.wait(runs[i]); r.State != want {
			t.Errorf("push %d is %s: %+v", i, r.State, r.Problem)
		}
	}
	if got := s.did(); got[len(got)-1] != "web@"+commits[2] {
		t.Errorf("deployed %v", got)
	}
}
