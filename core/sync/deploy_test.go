package sync_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"berth/core/sync/synctest"
	"berth/schema"
)

// §9.1 row 7: a path that is wrong is found before anything is saved.
func TestRow07WrongPathIsFoundBeforeItIsSaved(t *testing.T) {
	w := synctest.New(t)
	text := fmt.Sprintf("[[server]]\nname = \"one\"\n\n[[stack]]\nname = \"web\"\ndeploy = true\n[stack.config]\nserver = \"one\"\ngit_provider = %q\ngit_https = false\nrepo = \"a/b\"\n", w.Forge.URL())
	repo := w.Forge.Repo("a/b")
	w.Sync("main", "a/b", map[string]any{"resource_path": []string{"r.toml"}})
	for _, wrong := range []string{`run_directory = "stack/web"`, `file_paths = ["stacks/web/docker-compose.yaml"]`} {
		repo.Commit(map[string]string{"r.toml": text + wrong, "stacks/web/compose.yaml": "services: {}\n"}, wrong)
		p := plan(t, w, "main")
		if p.Problem == nil || !strings.Contains(p.Problem.Text, "r.toml:4: stack.web: ") || !strings.Contains(p.Problem.Text, "correct run_directory and file_paths") || len(p.Changes) != 0 {
			t.Errorf("%s: %+v", wrong, p.Problem)
		}
	}
	repo.Commit(map[string]string{"r.toml": text + `run_directory = "stacks/web"`}, "right")
	good(t, w, "main")
}

// §9.1 row 4, of a sync: what cannot be looked at is never called unchanged, and
// every other input is named.
func TestRow04DecisionsNameTheirReason(t *testing.T) {
	w := synctest.New(t)
	repo, own := w.Forge.Repo("a/b"), w.Forge.Repo("c/d")
	stack := func(name, repo, more string) string {
		return fmt.Sprintf("[[stack]]\nname = %q\ndeploy = true\n[stack.config]\nserver = \"one\"\ngit_provider = %q\ngit_https = false\nrepo = %q\n%s\n\n", name, w.Forge.URL(), repo, more)
	}
	text := "[[server]]\nname = \"one\"\n\n[[variable]]\nname = \"TAG\"\nvalue = \"1\"\n\n" +
		stack("web", "a/b", "run_directory = \"web\"\nenvironment = \"TAG=[[TAG]]\"\nconfig_files = [{ path = \"../shared/nginx.conf\" }]") + stack("other", "c/d", "")
	own.Commit(map[string]string{"compose.yaml": "services: {}\n"}, "one")
	repo.Commit(map[string]string{"r.toml": text, "web/compose.yaml": "services: {}\n", "shared/nginx.conf": "a", "shared/mounted.txt": "a", "README.md": "a"}, "one")
	w.Sync("main", "a/b", map[string]any{"resource_path": []string{"r.toml"}, "include_variables": true})
	first := w.All("main", false)
	second := own.Git("rev-parse", "main")
	last := func() {
		w.SetDeployed("web", &schema.Deployed{Commit: first.Commit, Inputs: map[string]map[string]string{"web": {"file:../shared/mounted.txt": "x"}}})
		w.SetDeployed("other", &schema.Deployed{Commit: second})
	}
	last()
	decision := func(name string) string {
		for _, d := range good(t, w, "main").Deploys {
			if d.Name == name {
				return d.What + ": " + d.Reason
			}
		}
		return "none"
	}
	for _, tc := range []struct {
		name  string
		do    func()
		stack string
		says  string
	}{
		{"nothing", func() {}, "web", "unchanged: it was deployed from this very commit"},
		{"a file nobody uses", func() { repo.Commit(map[string]string{"README.md": "b"}, "x") }, "web", "unchanged: no file that feeds it changed between"},
		{"compose file", func() { repo.Commit(map[string]string{"web/compose.yaml": "services: {a: {}}\n"}, "x") }, "web", "deploy: web/compose.yaml changed"},
		{"config file", func() {
			repo.Commit(map[string]string{"web/compose.yaml": "services: {}\n", "shared/nginx.conf": "b"}, "x")
		}, "web", "deploy: shared/nginx.conf changed"},
		{"mounted file", func() { repo.Commit(map[string]string{"shared/nginx.conf": "a", "shared/mounted.txt": "b"}, "x") }, "web", "deploy: shared/mounted.txt changed"},
		{"variable", func() {
			repo.Commit(map[string]string{"shared/mounted.txt": "a", "r.toml": strings.Replace(text, `value = "1"`, `value = "2"`, 1)}, "x")
		}, "web", "deploy: variable TAG changes"},
		{"setting", func() { repo.Commit(map[string]string{"r.toml": strings.Replace(text, "TAG=[[TAG]]", "A=b", 1)}, "x") }, "web", "deploy: settings that feed it change: environment"},
		{"idle setting", func() {
			repo.Commit(map[string]string{"r.toml": strings.Replace(text, "run_directory", "auto_update = true\nrun_directory", 1)}, "x")
		}, "web", "unchanged: "},
		{"down", func() { w.Stands("web", "down") }, "web", "deploy: stack is down"},
		{"server offline and nothing changed", func() { w.Stands("web", "unknown"); w.Offline("one") }, "web", "unchanged: "},
		{"failed before", func() { w.SetDeployed("web", &schema.Deployed{Commit: first.Commit, Dirty: "run #3 did not finish"}) }, "web", "deploy: what runs is not what was deployed last: run #3 did not finish; it waits for server one, which is offline"},
		{"its own repository", func() { own.Commit(map[string]string{"compose.yaml": "services: {b: {}}\n"}, "x") }, "other", "deploy: compose.yaml changed"},
		{"gone from its repository", func() { last(); own.ForcePush(map[string]string{"compose.yaml": "services: {}\n"}, "x") }, "other", ""},
		{"its repository is gone", func() { w.Must(os.Rename(own.Dir(), own.Dir()+"-gone")) }, "other", "failed: whether it changed cannot be told"},
	} {
		tc.do()
		if got := decision(tc.stack); !strings.HasPrefix(got, tc.says) {
			t.Errorf("%s: %s", tc.name, got)
		}
	}
	if st, err := w.Refresh(t.Context(), "main"); err != nil || st.Status != schema.SyncFailed {
		t.Errorf("the state is %s, %v", st.Status, err)
	}
}
