package sync_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth/core/resource"
	"berth/core/sync"
	"berth/core/sync/synctest"
	"berth/schema"
)

// seed returns the tree of testdata/seed: six servers, their stacks, one sync, as a
// user has them.
func seed(t testing.TB) map[string]string {
	t.Helper()
	files := map[string]string{}
	root := filepath.Join("testdata", "seed")
	err := filepath.WalkDir(root, func(p string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		rel, _ := filepath.Rel(root, p)
		files[filepath.ToSlash(rel)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// seedSync commits the seed and makes its sync, as a user begins.
func seedSync(t testing.TB, w *synctest.World) {
	t.Helper()
	files := seed(t)
	for name, text := range files {
		files[name] = strings.ReplaceAll(strings.ReplaceAll(text, "GIT_PROVIDER", w.Forge.URL()), "git_https = true", "git_https = false")
	}
	w.Forge.Repo("mohitsharma44/homeops").Commit(files, "homeops")
	w.Sync("homeops", "mohitsharma44/homeops", map[string]any{"resource_path": []string{"docker/komodo-resources"}, "delete": true, "include_variables": true})
}

func plan(t testing.TB, w *synctest.World, key string) schema.SyncPlan {
	t.Helper()
	p, err := w.Plan(t.Context(), key, sync.Request{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func good(t testing.TB, w *synctest.World, key string) schema.SyncPlan {
	t.Helper()
	p := plan(t, w, key)
	if p.Problem != nil {
		t.Fatalf("no plan: %s", p.Problem.Text)
	}
	return p
}

func deletes(p schema.SyncPlan) []string {
	var out []string
	for _, c := range p.Changes {
		if c.Op == "delete" {
			out = append(out, c.Kind+"/"+c.Name)
		}
	}
	return out
}

func TestSeedIsCreatedAndThenUnchanged(t *testing.T) {
	w := synctest.New(t)
	seedSync(t, w)
	p := good(t, w, "homeops")
	w.All("homeops", false)
	if got := w.Names("server"); len(got) != 6 {
		t.Errorf("servers %v", got)
	}
	if got := w.Names("stack"); len(got) < 8 {
		t.Errorf("stacks %v", got)
	}
	if !strings.Contains(p.Text(), "+ stack frigate") {
		t.Errorf("the plan says\n%s", p.Text())
	}
	for _, s := range w.Names("stack") {
		w.SetDeployed(s, &schema.Deployed{Commit: p.Commit})
	}
	if again := good(t, w, "homeops"); !again.Empty() {
		t.Errorf("the second plan is\n%s", again.Text())
	}
}

// Row 38: a sync with delete that does not list itself is still there.
func TestRow38SyncKeepsItself(t *testing.T) {
	w := synctest.New(t)
	repo := w.Forge.Repo("a/b")
	repo.Commit(map[string]string{"r.toml": "[[server]]\nname = \"one\"\n"}, "no sync in it")
	w.Sync("main", "a/b", map[string]any{"delete": true})
	p := w.All("main", false)
	if got := w.Names("resource_sync"); len(got) != 1 {
		t.Fatalf("syncs %v", got)
	}
	if !strings.Contains(p.Text(), "! resource_sync main: not declared, and kept") {
		t.Errorf("the plan says\n%s", p.Text())
	}
}

// Row 39: a sync changes its own settings last, and they count from the next run.
func TestRow39SyncChangesItself(t *testing.T) {
	w := synctest.New(t)
	repo := w.Forge.Repo("a/b")
	own := func(branch string) string {
		return fmt.Sprintf("[[resource_sync]]\nname = \"main\"\n[resource_sync.config]\ngit_provider = %q\ngit_https = false\nrepo = \"a/b\"\nbranch = %q\nresource_path = [\".\"]\ndelete = true\n", w.Forge.URL(), branch)
	}
	repo.Commit(map[string]string{"sync.toml": own("next"), "r.toml": "[[server]]\nname = \"one\"\n"}, "to another branch")
	repo.Change(change("next", map[string]string{"sync.toml": own("next"), "r.toml": "[[server]]\nname = \"one\"\n\n[[server]]\nname = \"two\"\n"}))
	w.Sync("main", "a/b", map[string]any{"delete": true})
	p := w.All("main", false)
	if last := p.Changes[len(p.Changes)-1]; last.Kind != "resource_sync" || last.Op != "update" {
		t.Errorf("its own settings are not last: %+v", last)
	}
	if got := w.Names("server"); len(got) != 1 {
		t.Errorf("the new branch counts at once: %v", got)
	}
	w.All("main", false)
	if got := w.Names("server"); len(got) != 2 {
		t.Errorf("the next run is not of the new branch: %v", got)
	}
}

// Row 40: a source that is broken deletes nothing.
func TestRow40BrokenSourceDeletesNothing(t *testing.T) {
	w := synctest.New(t)
	repo := w.Forge.Repo("a/b")
	stacks := ""
	for i := range 10 {
		stacks += fmt.Sprintf("[[stack]]\nname = \"s%d\"\n\n", i)
	}
	repo.Commit(map[string]string{"dir/r.toml": stacks, "empty/README.md": "nothing", "docs/book.toml": "# nothing\n"}, "all")
	repo.Change(change("partial", map[string]string{"dir/r.toml": strings.Join(strings.SplitAfter(stacks, "\n\n")[:3], ""), "x/y.toml": "[[server]]\nname = \"x\"\n"}))
	w.Sync("main", "a/b", map[string]any{"delete": true, "resource_path": []string{"dir"}})
	w.All("main", false)
	w.Forge.Repo("c/d").Commit(map[string]string{"dir/r.toml": "[[stack]]\nname = \"s0\"\n"}, "another repository")
	for _, tc := range []struct {
		name string
		set  map[string]any
		says string
	}{
		{"empty folder", map[string]any{"resource_path": []string{"empty"}}, "holds no .toml file"},
		{"no such folder", map[string]any{"resource_path": []string{"dri"}}, "no such file or folder"},
		{"a file that is none", map[string]any{"resource_path": []string{"empty/README.md"}}, "not .toml"},
		{"nothing declared", map[string]any{"resource_path": []string{"docs"}}, "an empty source deletes nothing"},
		{"no path", map[string]any{"resource_path": []string{}}, "an empty source deletes nothing"},
		{"out of the source", map[string]any{"resource_path": []string{"../x"}}, "leads out of the source"},
		{"a branch that is not there", map[string]any{"branch": "mian"}, `branch "mian" not found`},
		{"a branch with less", map[string]any{"branch": "partial"}, "would be deleted"},
		{"another repository", map[string]any{"repo": "c/d"}, "another repository"},
		{"a host that does not answer", map[string]any{"git_provider": "127.0.0.1:1"}, "127.0.0.1:1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w.Update("resource_sync", "main", tc.set)
			defer w.Update("resource_sync", "main", map[string]any{"resource_path": []string{"dir"}, "branch": "main", "repo": "a/b", "git_provider": w.Forge.URL()})
			p := plan(t, w, "main")
			says := p.Guard
			if p.Problem != nil {
				says = p.Problem.Text
				if len(p.Changes) > 0 {
					t.Errorf("a plan with a problem changes %+v", p.Changes)
				}
			}
			if !strings.Contains(says, tc.says) {
				t.Errorf("it says %q", says)
			}
		})
	}
	repo.Commit(map[string]string{"dir/bad.toml": "[[stack]]\nname = \n"}, "one file is broken")
	if p := plan(t, w, "main"); p.Problem == nil || !strings.Contains(p.Problem.Text, "dir/bad.toml:2") {
		t.Errorf("an unparsable file: %+v", p.Problem)
	}
	if got := w.Names("stack"); len(got) != 10 {
		t.Errorf("stacks %v", got)
	}
}

func TestDeletesBeyondTheLimitNeedAConfirmation(t *testing.T) {
	w := synctest.New(t)
	repo := w.Forge.Repo("a/b")
	stacks := func(n int) string {
		out := ""
		for i := range n {
			out += fmt.Sprintf("[[stack]]\nname = \"s%02d\"\n\n", i)
		}
		return out
	}
	repo.Commit(map[string]string{"r.toml": stacks(20)}, "twenty")
	w.Sync("main", "a/b", map[string]any{"delete": true})
	w.All("main", false)
	for _, tc := range []struct {
		left    int
		max     string
		guarded bool
	}{
		{19, "", false}, {17, "", false}, {15, "", true}, {15, "5", false}, {15, "4", true}, {15, "50%", false}, {15, "10%", true}, {19, "0", true},
	} {
		w.Update("resource_sync", "main", map[string]any{"max_delete": tc.max})
		repo.Commit(map[string]string{"r.toml": stacks(tc.left)}, "fewer")
		p := good(t, w, "main")
		if (p.Guard != "") != tc.guarded || len(deletes(p)) != 20-tc.left {
			t.Errorf("%d left, max_delete %q: %q", tc.left, tc.max, p.Guard)
		}
		if tc.guarded && (!strings.Contains(p.Guard, "stack s19") || !strings.Contains(p.Guard, "confirm_deletes")) {
			t.Errorf("it does not list them or say how to confirm: %q", p.Guard)
		}
	}
}

// Row 41: what TOML does not allow, or what is declared twice, is named with file
// and line, and nothing is done.
func TestRow41DuplicatesAreNamed(t *testing.T) {
	w := synctest.New(t)
	repo := w.Forge.Repo("a/b")
	w.Sync("main", "a/b", map[string]any{"delete": true})
	for _, tc := range []struct{ name, text, says string }{
		{"duplicate key", "[[stack]]\nname = \"a\"\n[stack.config]\nbranch = \"x\"\nbranch = \"y\"\n", "r.toml:5"},
		{"duplicate name", "[[stack]]\nname = \"a\"\n\n[[stack]]\nname = \"a\"\n", "already at r.toml:1"},
		{"wrong type", "[[stack]]\nname = \"a\"\n[stack.config]\nauto_pull = \"yes\"\n", "r.toml:4"},
		{"single table", "[build]\npublish = \"public\"\n", "if this file is not Berth's"},
		{"dangling reference", "[[stack]]\nname = \"a\"\n[stack.config]\nserver = \"nvr\"\n", `no server "nvr"`},
		{"cycle", "[[stack]]\nname = \"a\"\ndeploy = true\nafter = [\"b\"]\n\n[[stack]]\nname = \"b\"\ndeploy = true\nafter = [\"a\"]\n", `stack "a" → stack "b" → stack "a"`},
	} {
		repo.Commit(map[string]string{"r.toml": tc.text}, tc.name)
		p := plan(t, w, "main")
		if p.Problem == nil || !strings.Contains(p.Problem.Text, tc.says) || len(p.Changes) != 0 {
			t.Errorf("%s: %+v", tc.name, p.Problem)
		}
	}
	repo.Commit(map[string]string{"r.toml": "[[stack]]\nname = \"a\"\n[stack.config]\nautopull = true\n"}, "a key that is unknown")
	p := good(t, w, "main")
	if len(p.Issues) != 1 || !p.Issues[0].Warning || !strings.Contains(p.Issues[0].String(), "auto_pull") {
		t.Errorf("an unknown key: %+v", p.Issues)
	}
}

// Row 42: a server and its stack that are removed together go in the right order.
func TestRow42StackGoesBeforeItsServer(t *testing.T) {
	w := synctest.New(t)
	repo := w.Forge.Repo("a/b")
	rest := "[[server]]\nname = \"one\"\n"
	repo.Commit(map[string]string{"r.toml": rest + "\n[[server]]\nname = \"two\"\n\n[[stack]]\nname = \"web\"\n[stack.config]\nserver = \"two\"\nfile_contents = \"services: {}\"\n"}, "both")
	w.Sync("main", "a/b", map[string]any{"delete": true, "max_delete": "5", "destroy_on_delete": true})
	w.All("main", false)
	w.SetDeployed("web", &schema.Deployed{})
	repo.Commit(map[string]string{"r.toml": rest}, "server and stack are gone")
	p := good(t, w, "main")
	if got := strings.Join(deletes(p), " "); got != "stack/web server/two" {
		t.Errorf("the order is %s", got)
	}
	for _, c := range p.Changes {
		if c.Kind == "stack" && (!c.Destroy || c.Server.Name != "two" || !strings.Contains(c.Reason, "volumes stay")) {
			t.Errorf("%+v", c)
		}
	}
	w.Update("resource_sync", "main", map[string]any{"destroy_on_delete": false})
	p = good(t, w, "main")
	for _, c := range p.Changes {
		if c.Kind == "stack" && (c.Destroy || !strings.Contains(c.Reason, "goes on running")) {
			t.Errorf("%+v", c)
		}
	}
	w.All("main", false)
	if got := w.Names("server"); len(got) != 1 {
		t.Errorf("servers %v", got)
	}
}

// Row 43: what somebody changes by hand shows as drift, field by field.
func TestRow43DriftIsShown(t *testing.T) {
	w := synctest.New(t)
	seedSync(t, w)
	w.All("homeops", false)
	for _, s := range w.Names("stack") {
		w.SetDeployed(s, &schema.Deployed{Commit: good(t, w, "homeops").Commit})
	}
	w.Update("stack", "frigate", map[string]any{"branch": "dev"})
	st, err := w.Refresh(t.Context(), "homeops")
	if err != nil {
		t.Fatal(err)
	}
	if st.Status != schema.SyncPending {
		t.Errorf("the state is %s", st.Status)
	}
	var got []string
	for _, c := range st.Plan.Changes {
		if c.Pending() {
			got = append(got, fmt.Sprint(c.Op, " ", c.Name, " ", c.Fields))
			if !strings.Contains(c.Current, `branch = "dev"`) || !strings.Contains(c.Proposed, "frigate") {
				t.Errorf("texts are %q and %q", c.Current, c.Proposed)
			}
		}
	}
	if want := "update frigate [{branch dev main}]"; strings.Join(got, "; ") != want {
		t.Errorf("drift is %v, want %s", got, want)
	}
}

func TestRemovedFileRemovesExactlyWhatItDeclared(t *testing.T) {
	w := synctest.New(t)
	seedSync(t, w)
	w.All("homeops", false)
	before := len(w.Names("stack"))
	w.Forge.Repo("mohitsharma44/homeops").Change(gone("docker/komodo-resources/stacks-kasm.toml"))
	p := w.All("homeops", false)
	if got := strings.Join(deletes(p), " "); got != "stack/newt stack/kasm-alloy" && got != "stack/kasm-alloy stack/newt" {
		t.Errorf("deleted %s", got)
	}
	if got := len(w.Names("stack")); got != before-2 {
		t.Errorf("%d stacks are left of %d", got, before)
	}
	if got := w.Names("resource_sync"); len(got) != 1 {
		t.Errorf("syncs %v", got)
	}
}

func TestOtherSyncsKeepWhatTheyDeclare(t *testing.T) {
	w := synctest.New(t)
	w.Forge.Repo("a/b").Commit(map[string]string{"r.toml": "[[server]]\nname = \"one\"\n"}, "one")
	w.Forge.Repo("c/d").Commit(map[string]string{"r.toml": "[[server]]\nname = \"two\"\n"}, "two")
	w.Sync("first", "a/b", nil)
	w.Sync("second", "c/d", map[string]any{"delete": true, "max_delete": "100%"})
	w.All("first", false)
	if _, err := w.Refresh(t.Context(), "first"); err != nil {
		t.Fatal(err)
	}
	p := good(t, w, "second")
	if got := deletes(p); strings.Join(got, " ") != "resource_sync/first" {
		t.Errorf("deletes %v\n%s", got, p.Text())
	}
	if !strings.Contains(p.Text(), `! server one: not declared here, and kept: sync "first" declares it`) {
		t.Errorf("the plan says\n%s", p.Text())
	}
	// Also while the other one's file cannot be read.
	w.Forge.Repo("a/b").Commit(map[string]string{"r.toml": "[[server]\n"}, "oops")
	if st, err := w.Refresh(t.Context(), "first"); err != nil || st.Plan.Problem == nil {
		t.Fatalf("a broken file is no problem: %v", err)
	}
	if p := good(t, w, "second"); strings.Contains(strings.Join(deletes(p), " "), "server/one") {
		t.Errorf("deletes %v", deletes(p))
	}
}

func TestSelection(t *testing.T) {
	w := synctest.New(t)
	seedSync(t, w)
	for _, tc := range []struct {
		q    sync.Request
		want string
	}{
		{sync.Request{Kind: "server"}, "6 create"},
		{sync.Request{Names: []string{"nvr"}}, "1 create"},
		{sync.Request{Kind: "server", Names: []string{"nvr", "kasm"}}, "2 create"},
	} {
		p, err := w.Plan(t.Context(), "homeops", tc.q)
		if err != nil {
			t.Fatal(err)
		}
		if p.Problem != nil || p.Counts() != tc.want {
			t.Errorf("%+v: %s %+v", tc.q, p.Counts(), p.Problem)
		}
	}
	p, err := w.Plan(t.Context(), "homeops", sync.Request{Names: []string{"nrv"}})
	if err != nil || p.Problem == nil || !strings.Contains(p.Problem.Text, `did you mean "nvr"?`) {
		t.Errorf("%+v %v", p.Problem, err)
	}
}

func TestPlanIsOfTheRegistrysOps(t *testing.T) {
	if resource.OpCreate != "create" || resource.OpUpdate != "update" || resource.OpDelete != "delete" || resource.OpUnchanged != "unchanged" {
		t.Error("schema.SyncChange counts on these words")
	}
}

// A server that somebody joined by hand and no file declares is not deleted without a
// confirmation while its agent is here, and one that files switch off by declaring
// nothing is warned of.
func TestJoinedServers(t *testing.T) {
	online := true
	w := synctest.New(t, func(c *sync.Config) {
		c.Joined = func(id string) (bool, bool) {
			r, err := c.Registry.Kind("server")
			if err != nil {
				return false, false
			}
			t, err := r.Find(id)
			return err == nil && t.Name != "planned", err == nil && t.Name == "nexus" && online
		}
	})
	w.Apply("[[server]]\nname = \"nexus\"\nconfig.enabled = true\n[[server]]\nname = \"planned\"\nconfig.enabled = true\n[[server]]\nname = \"bare\"\nconfig.enabled = true\n[[server]]\nname = \"off\"\nconfig.enabled = true\n")
	w.Forge.Repo("a/b").Commit(map[string]string{"r.toml": "[[server]]\nname = \"bare\"\n[[server]]\nname = \"off\"\nconfig.enabled = false\n"}, "two")
	w.Sync("s", "a/b", map[string]any{"delete": true, "max_delete": "100%"})
	p := good(t, w, "s")
	var said string
	for _, i := range p.Issues {
		if !i.Warning {
			t.Errorf("%s", i)
		}
		said += i.String() + "\n"
	}
	for _, word := range []string{"server.nexus: is not declared, so it is deleted, although its agent is connected", "r.toml:1: server.bare: an agent has joined it, and this switches it off"} {
		if !strings.Contains(said, word) {
			t.Errorf("%q is not in:\n%s", word, said)
		}
	}
	if strings.Contains(said, "server.off") || strings.Contains(said, "planned") {
		t.Errorf("too much is said:\n%s", said)
	}
	if got := deletes(p); len(got) != 2 || !strings.Contains(p.Guard, "nexus is connected") || !strings.Contains(p.Guard, "confirm_deletes") {
		t.Errorf("deletes %v, guard %q", got, p.Guard)
	}
	online = false
	if p = good(t, w, "s"); p.Guard != "" {
		t.Errorf("its agent is away: %q", p.Guard)
	}
}
