package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth/e2e/wire"
	"berth/e2e/world"
)

// TestRow07WrongPath saves a stack whose run_directory is wrong, by the API and by
// the command line: it is refused with path and commit, and nothing is saved. When
// the git host is away, it is saved.
func TestRow07WrongPath(t *testing.T) {
	w := world.New(t, world.Options{Servers: []string{world.Nexus}})
	commit := w.Git.Repo("acme/stacks").Commit(map[string]string{"docker/web/compose.yaml": "services: { web: { image: 'berth-e2e/app:1' } }\n"}, "one")
	config := func(dir, file string) wire.Params {
		return wire.Params{
			"server_id": world.Nexus, "git_provider": w.GitHost(), "git_https": false, "repo": "acme/stacks", "branch": "main",
			"run_directory": dir, "file_paths": []string{file},
		}
	}
	want := "docker/web/compose.yml is not in acme/stacks at commit " + commit[:8] + ": the folder docker/web has compose.yaml"
	refused := func(what string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", what, err, want)
		}
	}
	refused("CreateStack", w.API.Call(w.Context(minute), "write", "CreateStack", wire.Params{"name": "web", "config": config("docker/web", "compose.yml")}, nil))
	stacks := func() []struct{ Name string } {
		var list []struct{ Name string }
		if err := w.API.Call(w.Context(minute), "read", "ListStacks", nil, &list); err != nil {
			t.Fatal(err)
		}
		return list
	}
	if list := stacks(); len(list) != 0 {
		t.Errorf("saved: %+v", list)
	}
	if err := w.API.Call(w.Context(minute), "write", "CreateStack", wire.Params{"name": "web", "config": config("docker/web", "compose.yaml")}, nil); err != nil {
		t.Fatal(err)
	}
	refused("UpdateStack", w.API.Call(w.Context(minute), "write", "UpdateStack", wire.Params{"id": "web", "config": wire.Params{"file_paths": []string{"compose.yml"}}}, nil))

	file := filepath.Join(t.TempDir(), "stacks.toml")
	text := "[[stack]]\nname = \"other\"\n[stack.config]\nserver = \"nexus\"\ngit_provider = \"" + w.GitHost() + "\"\ngit_https = false\nrepo = \"acme/stacks\"\nrun_directory = \"docker/web\"\nfile_paths = [\"compose.yml\"]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := w.CLI("apply", "--yes", file)
	refused("berth apply", err)
	if list := stacks(); len(list) != 1 {
		t.Errorf("%+v\n%s", list, out)
	}

	away := config("docker/web", "compose.yml")
	away["git_provider"] = "127.0.0.1:1"
	if err := w.API.Call(w.Context(minute), "write", "CreateStack", wire.Params{"name": "later", "config": away}, nil); err != nil {
		t.Errorf("a save depends on the git host: %v", err)
	}
}
