package periphery_test

import (
	"os"
	"strings"
	"testing"

	"berth/git/gittest"
	"berth/schema"
)

// secretOfTheServer is what a link of a repository must never show.
const secretOfTheServer = "kanarienvogel-61"

// outside writes files that are the server's own and returns their folder.
func outside(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir+"/Dockerfile", "FROM berthtest/base:1\nLABEL leak="+secretOfTheServer+"\n")
	write(t, dir+"/compose.yaml", "services: { web: { image: 'berthtest/app:1', labels: { leak: "+secretOfTheServer+" } } }\n")
	write(t, dir+"/.env", "LEAK="+secretOfTheServer+"\n")
	write(t, dir+"/text", secretOfTheServer)
	return dir
}

// A Dockerfile, a context or a further one that is a link out of the clone is not
// followed; one that stays inside is.
func TestBuildLinksOutOfTheClone(t *testing.T) {
	b := newBuild(t, nil)
	dir := outside(t)
	forge := gittest.New(t)
	repo := forge.Repo("team/image")
	repo.Change(gittest.Change{
		Files: map[string]string{"img/Dockerfile": "FROM berthtest/base:1\n", "img/text": "own"},
		Links: map[string]string{
			"img/Stolen": dir + "/Dockerfile", "img/Half": "Dockerfile", "img/Half.dockerignore": dir + "/text", "folder": dir, "fine": "img",
			"img/Ancestor": "../../../../../../../../../../../.." + dir + "/Dockerfile",
		},
	})
	host, _, _ := strings.Cut(strings.TrimPrefix(repo.URL(), "http://"), "/")
	b.req.Source = &schema.GitSource{Provider: host, Repo: "team/image", Branch: "main"}
	c := &b.req.Config
	c.FilesOnHost, c.LinkedRepo, c.BuildPath = false, "linked", "img"
	for _, file := range []string{"Stolen", "Ancestor", "Half"} {
		c.DockerfilePath = file
		out := b.fails(schema.Invalid, "dockerfile_path: img/"+file, "leads out of the repository")
		if strings.Contains(out, secretOfTheServer) {
			t.Errorf("%s: it was read:\n%s", file, out)
		}
	}
	c.BuildPath, c.DockerfilePath = "folder", "Dockerfile"
	b.fails(schema.Invalid, "build_path: folder is a symbolic link")
	c.BuildPath, c.ExtraArgs = "img", schema.StrList{"--build-context more=../folder"}
	b.fails(schema.Invalid, "--build-context more: folder is a symbolic link")
	c.BuildPath, c.ExtraArgs = "fine", nil
	b.build()
}

// What a stack's settings or compose files name is not read through a link of the
// repository that leads out of it; a link that somebody made on the server is.
func TestStackLinksOutOfTheClone(t *testing.T) {
	s := newStack(t)
	dir := outside(t)
	forge := gittest.New(t)
	repo := forge.Repo("team/app")
	service := "services: { web: { image: 'berthtest/app:1', %s } }\n"
	file := func(more string) string { return strings.ReplaceAll(service, "%s", more) }
	repo.Change(gittest.Change{
		Files: map[string]string{
			"compose.yaml": file(""), "env.yaml": file("env_file: [ link.env ]"), "deep.yaml": file("env_file: [ folder/.env ]"),
			"secret.yaml": file("secrets: [ s ]") + "secrets: { s: { file: ./link.env } }\n",
			"config.yaml": file("configs: [ s ]") + "configs: { s: { file: ./link.env } }\n",
			"build.yaml":  file("build: { context: folder }"), "recipe.yaml": file("build: { context: ., dockerfile: Stolen }"),
			"include.yaml": "include: [ link.yaml ]\n", "extends.yaml": file("extends: { file: link.yaml, service: web }"),
			"labels.yaml": file("label_file: [ link.env ]"),
			"nested.yaml": "include: [ sub/part.yaml ]\n", "sub/part.yaml": "include: [ '${NAME:-stolen}.yaml' ]\n",
			"base.yaml": "include: [ sub/more.yaml ]\n", "sub/more.yaml": file("extends: { file: stolen.yaml, service: web }"),
			"beside.yaml": "include: [ enved/part.yaml ]\n", "enved/part.yaml": file("labels: { a: '${LEAK}' }"),
			"named.yaml":     "include: [ { path: compose.yaml, env_file: link.env } ]\n",
			"elsewhere.yaml": "include: [ { path: sub/whole.yaml, project_directory: moved } ]\n", "sub/whole.yaml": "include: [ part.yaml ]\n",
			"moved/x": "", "whole.yaml": "include: [ { path: [ sub/fine.yaml ], env_file: sub/own.env } ]\n", "sub/fine.yaml": file("labels: { a: '${OWN}' }"), "sub/own.env": "OWN=1\n",
			"app.conf": "own",
		},
		Links: map[string]string{
			"link.yaml": dir + "/compose.yaml", "link.env": dir + "/.env", "folder": dir, "Stolen": dir + "/Dockerfile", "linked.conf": dir + "/text",
			"sub/stolen.yaml": dir + "/compose.yaml", "enved/.env": dir + "/.env", "moved/part.yaml": dir + "/compose.yaml",
			"sealed/x.sops.env": dir + "/.env", "fine.yaml": "compose.yaml",
		},
	})
	host, _, _ := strings.Cut(strings.TrimPrefix(repo.URL(), "http://"), "/")
	s.req.Source = &schema.GitSource{Provider: host, Repo: "team/app", Branch: "main"}
	for _, name := range []string{"link", "env", "deep", "secret", "config", "build", "recipe", "include", "extends", "labels", "sealed/compose", "nested", "base", "beside", "named", "elsewhere"} {
		s.req.Config.FilePaths = []string{name + ".yaml"}
		s.fails(schema.Invalid, "leads out of the repository")
	}
	s.req.Config.FilePaths = []string{"whole.yaml"}
	s.up()
	s.req.Config.FilePaths = []string{"fine.yaml"}
	for name, change := range map[string]func(c *schema.StackConfig){
		"run_directory":        func(c *schema.StackConfig) { c.RunDirectory = "folder" },
		"env_file_path":        func(c *schema.StackConfig) { c.EnvFilePath = "folder/.env" },
		"additional_env_files": func(c *schema.StackConfig) { c.AdditionalEnvFiles = []schema.EnvFile{{Path: "link.env"}} },
		"config_files": func(c *schema.StackConfig) {
			c.ConfigFiles = []schema.FileDep{{Path: "linked.conf", Requires: schema.RequiresRedeploy}}
		},
	} {
		was := s.req.Config
		change(&s.req.Config)
		s.fails(schema.Invalid, name+": ", "leads out of the repository")
		s.req.Config = was
	}
	s.up()
	if err := os.Symlink(dir+"/.env", s.dir("own.env")); err != nil {
		t.Fatal(err)
	}
	s.req.Config.AdditionalEnvFiles = []schema.EnvFile{{Path: "own.env"}}
	s.up()
}
