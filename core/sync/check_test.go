package sync_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"berth/core/resource"
	"berth/core/sync"
	"berth/core/sync/synctest"
	"berth/schema"
)

// §9.1 row 7: what is saved by hand is looked at as well.
func TestRow07WrongPathIsRefusedAtSave(t *testing.T) {
	w := synctest.New(t)
	head := w.Forge.Repo("acme/stacks").Commit(map[string]string{"docker/web/compose.yaml": "services: {}\n", "README.md": "x"}, "one")
	c := schema.DefaultStack()
	c.GitProvider, c.GitHTTPS, c.Repo, c.Branch = w.Forge.URL(), false, "acme/stacks", "main"
	for _, tc := range []struct {
		dir, file, wrong string
	}{
		{"docker/web", "", ""},
		{"docker/web/", "compose.yaml", ""},
		{"/srv/elsewhere", "", ""}, // not in the repository
		{"docker/web", "compose.yml", "docker/web/compose.yml is not in acme/stacks at commit " + head[:8] + ": the folder docker/web has compose.yaml: correct run_directory and file_paths, or add the file"},
		{"docker", "", "docker/compose.yaml is not in acme/stacks at commit " + head[:8] + ": the folder docker has no YAML file: correct run_directory and file_paths, or add the file"},
		{"web", "", "web/compose.yaml is not in acme/stacks at commit " + head[:8] + ": there is no folder web: correct run_directory and file_paths, or add the file"},
		{"", "", "compose.yaml is not in acme/stacks at commit " + head[:8] + ": the root has no YAML file: correct run_directory and file_paths, or add the file"},
	} {
		c.RunDirectory, c.FilePaths = tc.dir, nil
		if tc.file != "" {
			c.FilePaths = schema.StrList{tc.file}
		}
		warning, err := w.CheckStack(t.Context(), c)
		if tc.wrong == "" && err != nil || tc.wrong != "" && (schema.CodeOf(err) != schema.Invalid || schema.SafeText(err) != tc.wrong) || warning != "" {
			t.Errorf("%s %s: %q, %v", tc.dir, tc.file, warning, err)
		}
	}
	// What a command makes cannot be there yet.
	c.PreDeploy.Command = "make compose.yaml"
	if _, err := w.CheckStack(t.Context(), c); err != nil {
		t.Error(err)
	}
	// A save does not depend on the git host.
	c.PreDeploy.Command, c.GitProvider = "", "127.0.0.1:1"
	if warning, err := w.CheckStack(t.Context(), c); err != nil || !strings.Contains(warning, "whether its compose files are there cannot be told") {
		t.Errorf("%q, %v", warning, err)
	}
}

func TestRow07SavingThroughTheKind(t *testing.T) {
	w := synctest.New(t)
	w.Forge.Repo("acme/stacks").Commit(map[string]string{"web/compose.yaml": "services: {}\n"}, "one")
	asked := 0
	w.Stacks.Vet(func(ctx context.Context, was *schema.StackConfig, now schema.StackConfig) error {
		if !sync.SourceChanged(was, now) {
			return nil
		}
		asked++
		_, err := w.CheckStack(ctx, now)
		return err
	})
	k, err := w.Registry.Kind("stack")
	w.Must(err)
	text := func(dir string) []byte {
		return fmt.Appendf(nil, `{"git_provider": %q, "git_https": false, "repo": "acme/stacks", "branch": "main", "run_directory": %q}`, w.Forge.URL(), dir)
	}
	if _, err := k.Create(t.Context(), "web", text("wrong")); schema.CodeOf(err) != schema.Invalid {
		t.Error(err)
	}
	if list, err := w.Stacks.All(); err != nil || len(list) != 0 {
		t.Errorf("%v was saved (%v)", list, err)
	}
	if _, err := k.Create(t.Context(), "web", text("web")); err != nil {
		t.Error(err)
	}
	if _, err := k.Update(t.Context(), "web", []byte(`{"auto_pull": false}`)); err != nil || asked != 2 {
		t.Errorf("%v, asked %d times", err, asked)
	}
	if _, err := k.Update(t.Context(), "web", []byte(`{"run_directory": "wep"}`)); schema.CodeOf(err) != schema.Invalid {
		t.Error(err)
	}
	if r, err := w.Stacks.Get(t.Context(), "web"); err != nil || r.Config.RunDirectory != "web" || r.Config.AutoPull {
		t.Errorf("%+v, %v", r.Config, err)
	}
}

func TestRow07PlanOfFiles(t *testing.T) {
	w := synctest.New(t)
	w.Forge.Repo("acme/stacks").Commit(map[string]string{"web/compose.yaml": "services: {}\n"}, "one")
	text := fmt.Sprintf("[[repo]]\nname = \"r\"\n[repo.config]\ngit_provider = %q\ngit_https = false\nrepo = \"acme/stacks\"\n\n"+
		"[[stack]]\nname = \"web\"\n[stack.config]\nlinked_repo = \"r\"\nrun_directory = \"web\"\n\n[[stack]]\nname = \"wrong\"\n[stack.config]\nlinked_repo = \"r\"\nrun_directory = \"wep\"\n", w.Forge.URL())
	p, err := w.Registry.Plan(t.Context(), []resource.File{{Name: "all.toml", Text: text}})
	w.Must(err)
	w.Must(w.CheckPlan(t.Context(), &p))
	if err := p.Err(); err == nil || !strings.Contains(schema.SafeText(err), "all.toml:14: stack.wrong: wep/compose.yaml is not in acme/stacks") || strings.Contains(schema.SafeText(err), "stack.web") {
		t.Error(err)
	}
}

// §9.4 row 35: a plan names the server that cannot decrypt, and what to do.
func TestRow35PlanNamesTheServerThatCannotDecrypt(t *testing.T) {
	const mine, other = "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq", "age1zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"
	w := synctest.New(t, func(c *sync.Config) { c.Recipients = func(string) []string { return []string{mine} } })
	text := fmt.Sprintf("[[server]]\nname = \"nexus\"\n\n[[stack]]\nname = \"web\"\ndeploy = true\n[stack.config]\nserver = \"nexus\"\ngit_provider = %q\ngit_https = false\nrepo = \"a/b\"\nrun_directory = \"web\"\n", w.Forge.URL())
	repo := w.Forge.Repo("a/b")
	sealed := func(to string) map[string]string {
		return map[string]string{"r.toml": text, "web/compose.yaml": "services: {}\n", "web/.sops.env": "A=ENC[AES256_GCM,data:x]\nsops_age__list_0__map_recipient=" + to + "\n"}
	}
	repo.Commit(sealed(other), "one")
	w.Sync("main", "a/b", map[string]any{"resource_path": []string{"r.toml"}})
	p := plan(t, w, "main")
	want := "web/.sops.env cannot be decrypted on server \"nexus\": it is encrypted for " + other + ": add recipient " + mine + " of server \"nexus\" to .sops.yaml and run: sops updatekeys web/.sops.env"
	if len(p.Deploys) != 1 || p.Deploys[0].What != "failed" || p.Deploys[0].Reason != want {
		t.Errorf("%+v", p.Deploys)
	}
	if len(p.Issues) != 1 || p.Issues[0].Text != want || p.Issues[0].File != "r.toml" {
		t.Errorf("%+v", p.Issues)
	}
	repo.Commit(sealed(mine), "two")
	if p = good(t, w, "main"); len(p.Deploys) != 1 || p.Deploys[0].What != "deploy" || len(p.Issues) != 0 {
		t.Errorf("%+v %+v", p.Deploys, p.Issues)
	}
}
