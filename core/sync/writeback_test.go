package sync_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth/core/sync/synctest"
	"berth/schema"
)

const written = `# Servers of the house
[[server]]
name = "one" # the first
tags = ["a"]
[server.config]
# where it is
region = "cellar"   # not the attic
address = """
https://one
"""

# The other one
[[server]]
name = "two"
[server.config]
region = "attic"

##

[[stack]]
name = "web"
deploy = true
after = ["db"]
[stack.config]
server = "one"
file_contents = """
services: {}
"""

[[stack]]
name = "db"
deploy = true
[stack.config]
server = "one"
# the files
file_paths = [
  "a.yaml", # first
  "b.yaml",
]
`

// Row 43: what was changed by hand goes back to its file, as a commit.
func TestRow43CommitWritesBackWhatChanged(t *testing.T) {
	w := synctest.New(t)
	repo := w.Forge.Repo("a/b")
	repo.Commit(map[string]string{"dir/r.toml": written, "dir/other.toml": "[[server]]\nname = \"three\"\n", "README.md": "x"}, "all")
	w.Sync("main", "a/b", map[string]any{"resource_path": []string{"dir"}, "delete": true, "match_tags": []string{}})
	w.All("main", false)
	if _, err := w.Commit(t.Context(), "main", "ada"); schema.CodeOf(err) != schema.Conflict {
		t.Errorf("a sync that is not managed: %v", err)
	}
	w.Update("resource_sync", "main", map[string]any{"managed": true})
	if out, err := w.Commit(t.Context(), "main", "ada"); err != nil || out.Commit != "" {
		t.Errorf("nothing to write: %+v, %v", out, err)
	}
	w.Update("server", "one", map[string]any{"region": "roof", "enabled": true, "address": ""})
	w.Update("stack", "db", map[string]any{"file_paths": []string{"c.yaml"}})
	k, _ := w.Registry.Kind("server")
	w.Must(k.Delete(t.Context(), "two"))
	w.Apply("[[server]]\nname = \"four\"\n")
	out, err := w.Commit(t.Context(), "main", "ada")
	if err != nil {
		t.Fatal(err)
	}
	if got := repo.Git("rev-parse", "main"); got != out.Commit || out.Branch != "main" {
		t.Errorf("main is at %s, %+v", got, out)
	}
	want := strings.NewReplacer(
		"region = \"cellar\"   # not the attic\naddress = \"\"\"\nhttps://one\n\"\"\"\n", "region = \"roof\"\nenabled = true\n",
		"[[server]]\nname = \"two\"\n[server.config]\nregion = \"attic\"\n\n##\n\n", "",
		"file_paths = [\n  \"a.yaml\", # first\n  \"b.yaml\",\n]\n", "file_paths = [\"c.yaml\"]\n",
	).Replace(written)
	if got := repo.Git("show", "main:dir/r.toml") + "\n"; got != want {
		t.Errorf("the file is\n%s\nwant\n%s", got, want)
	}
	if got := repo.Git("show", "main:dir/main.toml"); !strings.Contains(got, `name = "four"`) {
		t.Errorf("new resources are in %q", got)
	}
	if got := repo.Git("log", "-1", "--format=%s", "main"); !strings.HasPrefix(got, "sync main: ") || !strings.Contains(got, "server one") {
		t.Errorf("the message is %q", got)
	}
	if p := good(t, w, "main"); p.Counts() != "2 deploy" { // nothing is deployed here
		t.Errorf("afterwards\n%s", p.Text())
	}
}

func TestCommitToABranchAndAgain(t *testing.T) {
	w := synctest.New(t)
	repo := w.Forge.Repo("a/b")
	repo.Commit(map[string]string{"r.toml": written}, "all")
	w.Sync("main", "a/b", map[string]any{"resource_path": []string{"r.toml"}, "managed": true, "commit_branch": "berth/main"})
	w.All("main", false)
	w.Update("server", "one", map[string]any{"region": "roof"})
	first, err := w.Commit(t.Context(), "main", "ada")
	if err != nil || first.Branch != "berth/main" || repo.Git("rev-parse", "berth/main") != first.Commit {
		t.Fatalf("%+v %v", first, err)
	}
	if out, err := w.Commit(t.Context(), "main", "ada"); err != nil || out.Commit != "" {
		t.Errorf("what waits to be merged is written again: %+v, %v", out, err)
	}
	w.Update("server", "two", map[string]any{"region": "shed"})
	second, err := w.Commit(t.Context(), "main", "ada")
	if err != nil || repo.Git("rev-parse", "berth/main~1") != first.Commit {
		t.Fatalf("%+v %v", second, err)
	}
	repo.Git("update-ref", "refs/heads/main", second.Commit) // merged
	w.Update("server", "two", map[string]any{"region": "lake"})
	third, err := w.Commit(t.Context(), "main", "ada")
	if err != nil || repo.Git("rev-parse", "berth/main~1") != second.Commit {
		t.Fatalf("%+v %v", third, err)
	}
}

func TestSourcesOnHostAndInBerth(t *testing.T) {
	w := synctest.New(t)
	dir := filepath.Join(w.Files, "host_files")
	w.Must(os.MkdirAll(dir, 0o755))
	w.Must(os.WriteFile(filepath.Join(dir, "r.toml"), []byte(written), 0o644))
	w.Must(os.Symlink("/etc/passwd", filepath.Join(dir, "out.toml")))
	w.Sync("host files", "", map[string]any{"files_on_host": true, "resource_path": []string{"r.toml"}, "managed": true})
	w.All("host files", false)
	w.Update("server", "one", map[string]any{"region": "roof"})
	if _, err := w.Commit(t.Context(), "host files", "ada"); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "r.toml"))
	w.Must(err)
	if !strings.Contains(string(b), `region = "roof"`) || !strings.Contains(string(b), "# where it is") {
		t.Errorf("the file is\n%s", b)
	}
	w.Update("resource_sync", "host files", map[string]any{"resource_path": []string{"out.toml"}})
	if p := plan(t, w, "host files"); p.Problem == nil || strings.Contains(p.Problem.Text, "root:") {
		t.Errorf("a link out of the folder: %+v", p.Problem)
	}
	if _, err := w.WriteFile(t.Context(), "host files", "../x", "x", "ada"); schema.CodeOf(err) != schema.Invalid {
		t.Errorf("%v", err)
	}
	w.Update("resource_sync", "host files", map[string]any{"resource_path": []string{"r.toml"}})

	w.Sync("inside", "", map[string]any{"match_tags": []string{"mine"}, "managed": true})
	w.Apply("[[server]]\nname = \"mine\"\ntags = [\"mine\"]\n")
	if _, err := w.Commit(t.Context(), "inside", "ada"); err != nil {
		t.Fatal(err)
	}
	r, err := w.Syncs.Get(t.Context(), "inside")
	w.Must(err)
	if got := string(r.Config.FileContents); !strings.Contains(got, `name = "mine"`) || strings.Contains(got, `name = "one"`) {
		t.Errorf("the contents are\n%s", got)
	}
	if p := good(t, w, "inside"); !p.Empty() {
		t.Errorf("afterwards\n%s", p.Text())
	}
}

func TestAlertsOncePerChange(t *testing.T) {
	w := synctest.New(t)
	repo := w.Forge.Repo("a/b")
	repo.Commit(map[string]string{"r.toml": "[[server]]\nname = \"one\"\n"}, "one")
	id := w.Sync("main", "a/b", nil).ID
	look := func() schema.SyncState {
		st, err := w.Refresh(t.Context(), "main")
		w.Must(err)
		return st
	}
	look()
	look()
	repo.Commit(map[string]string{"README.md": "x"}, "not ours")
	if st := look(); st.Status != schema.SyncPending {
		t.Errorf("the state is %s", st.Status)
	}
	if raised, _ := w.Alerts(); len(raised) != 1 || raised[0].Type != schema.AlertSyncPending || !strings.HasPrefix(raised[0].Key, "sync-pending/"+id) {
		t.Fatalf("raised %+v", raised)
	}
	repo.Commit(map[string]string{"s.toml": "[[server]]\nname = \"two\"\n"}, "another")
	look()
	w.All("main", false)
	if st := look(); st.Status != schema.SyncOk {
		t.Errorf("the state is %s", st.Status)
	}
	raised, resolved := w.Alerts()
	if len(raised) != 2 || len(resolved) != 2 || resolved[1] != raised[1].Key {
		t.Errorf("raised %d, resolved %v", len(raised), resolved)
	}
}
