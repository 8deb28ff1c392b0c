package periphery_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth/git/gittest"
	"berth/schema"
)

func TestContentsInBerth(t *testing.T) {
	s := newStack(t)
	s.req.Config.RunDirectory = "ignored"
	s.req.Config.FileContents = schema.FileText(shows("A", "B"))
	s.req.Config.Environment = "A = 1\nB: \"two\" # quotes stay in the file, and compose takes them off\n"
	resp := s.up()
	s.has(map[string]string{"web": "running"})
	if got := s.log("web"); !strings.Contains(got, "A=1\nB=two\n") {
		t.Error(got)
	}
	if got := read(t, s.dir(".env")); got != "A=1\nB=\"two\"\n" {
		t.Errorf("env file %q", got)
	}
	if info, err := os.Stat(s.dir(".env")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if resp.Decision.What != "deploy" || !strings.HasPrefix(resp.Decision.Reason, "asked for: new containers") || len(resp.Recreated) != 1 {
		t.Errorf("%+v", resp)
	}
	if resp = s.up(); resp.Decision.Reason != "asked for: every container was up to date" || resp.Deployed == nil {
		t.Errorf("%+v", resp)
	}
	s.req.Config.FileContents = " \n"
	s.fails(schema.Invalid, "has no source")
}

// Row 32: with secrets in them neither the compose file nor the environment is
// written.
func TestRow32SecretsStayInMemory(t *testing.T) {
	const secret = "kanarienvogel-18"
	s := newStack(t)
	s.vars["DB_PW"] = schema.VariableValue{Value: secret, Secret: true}
	s.vars["INNER"] = schema.VariableValue{Value: "x-[[DB_PW]]-y"}
	s.req.Config.FileContents = schema.FileText(shows("PW", "OTHER"))
	s.req.Config.Environment = "OTHER = plain\n"
	s.up()
	s.req.Config.Environment = "PW = [[INNER]]\nOTHER = plain\n"
	s.req.Config.FileContents += "    labels: { pw: '[[DB_PW]]' }\n"
	s.up()
	if got := s.log("web"); !strings.Contains(got, "PW=x-"+secret+"-y\nOTHER=plain") {
		t.Error(got)
	}
	noSecret(t, s.a.cfg.Data, secret)
	if read(t, s.dir(".env")) != "" || read(t, s.dir("compose.yaml")) != "" {
		t.Error("what was written before is still there")
	}
	s.req.Config.SkipSecretInterp = true
	s.up()
	if got := s.log("web"); !strings.Contains(got, "PW=[[INNER]]") {
		t.Error(got)
	}
}

// noSecret looks for a value in all files below a folder.
func noSecret(t testing.TB, dir, value string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() && strings.Contains(read(t, path), value) {
			t.Errorf("%s holds a secret", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFilesOnHost(t *testing.T) {
	s := newStack(t)
	s.req.Config.FilesOnHost = true
	s.req.Config.RunDirectory = "app"
	s.fails(schema.Invalid, s.dir("app"), "does not exist")
	s.onHost(map[string]string{
		"app/base.yaml": shows("A", "B", "C"), "app/sub/more.yaml": "services: { web: { labels: { more: '1' } } }\n",
		"app/one.env": "A=one\nB=one\nC=one\n", "app/two.env": "B=two\nC=two\n",
	})
	s.fails(schema.NotFound, "compose.yaml")
	s.req.Config.FilePaths = schema.StrList{"base.yaml", "sub/more.yaml"}
	s.req.Config.AdditionalEnvFiles = []schema.EnvFile{{Path: "one.env", Track: true}, {Path: "two.env", Track: true}, {Path: "my.env"}}
	s.req.Config.EnvFilePath = "my.env"
	s.req.Config.Environment = "C = three\n"
	s.up()
	if got := s.log("web"); !strings.Contains(got, "A=one\nB=two\nC=three\n") {
		t.Error(got)
	}
	s.req.Config.AdditionalEnvFiles = []schema.EnvFile{{Path: "two.env", Track: true}, {Path: "one.env", Track: true}}
	s.req.Config.Environment = ""
	if err := os.Remove(s.dir("app", "my.env")); err != nil {
		t.Fatal(err)
	}
	s.up()
	if got := s.log("web"); !strings.Contains(got, "A=one\nB=one\nC=one\n") {
		t.Error(got)
	}
	write(t, s.dir("app", "my.env"), "C=by hand\n") // it is there, so it counts
	s.up()
	if got := s.log("web"); !strings.Contains(got, "B=one\nC=by hand\n") {
		t.Error(got)
	}
	s.req.Config.Environment = "B = four\n" // a file that is not ours is not replaced
	s.up()
	if got := s.log("web"); !strings.Contains(got, "A=one\nB=four\n") || read(t, s.dir("app", "my.env")) != "C=by hand\n" {
		t.Errorf("%s; file %q", got, read(t, s.dir("app", "my.env")))
	}
	s.req.Config.AdditionalEnvFiles = append(s.req.Config.AdditionalEnvFiles, schema.EnvFile{Path: "gone.env"})
	s.fails(schema.NotFound, "gone.env")
}

func TestInlineRepo(t *testing.T) {
	s := newStack(t)
	forge := gittest.New(t, gittest.Config{Username: "ada", Password: "kanarienvogel-19"})
	repo := forge.Repo("team/app")
	repo.Commit(map[string]string{"deploy/compose.yaml": shows("A"), "deploy/.env": "A=tracked\n"}, "one\n\nand more")
	host, _, _ := strings.Cut(strings.TrimPrefix(repo.URL(), "http://"), "/")
	s.req.Source = &schema.GitSource{Provider: host, HTTPS: true, Account: "ada", Repo: "team/app", Branch: "main", Submodules: true}
	s.req.Config.ClonePath, s.req.Config.RunDirectory = "clone", "deploy"
	s.fails(schema.NotFound, "no token for account", "ada")
	s.git = []schema.AccountToken{{AccountRef: schema.AccountRef{Provider: host, Account: "ada"}, Token: "kanarienvogel-19", HTTP: true}}
	two := repo.Commit(map[string]string{"deploy/other": "2"}, "two\n\nand more")
	resp := s.up()
	if resp.Commit.Commit != two || resp.Commit.Message != "two" || s.req.Last.Commit != two {
		t.Errorf("%+v", resp.Commit)
	}
	if got := s.log("web"); !strings.Contains(got, "A=tracked") {
		t.Error(got)
	}
	write(t, s.dir("clone", "deploy", "data", "db"), "rows")
	write(t, s.dir("clone", "deploy", "compose.yaml"), "edited by hand")
	s.req.Config.Environment = "A = berth\n"
	s.req.Source.Commit = two
	resp = s.up()
	if got := s.log("web"); !strings.Contains(got, "A=berth") || read(t, s.dir("clone", "deploy", ".env")) != "A=tracked\n" {
		t.Errorf("%s; a tracked file was overwritten: %q", got, read(t, s.dir("clone", "deploy", ".env")))
	}
	if len(resp.Warnings) != 1 || !strings.Contains(resp.Warnings[0], "deploy/compose.yaml") || read(t, s.dir("clone", "deploy", "data", "db")) != "rows" {
		t.Errorf("%q", resp.Warnings)
	}
	noSecret(t, s.a.cfg.Data, "kanarienvogel-19")
	s.req.Config.RunDirectory = "elsewhere"
	s.fails(schema.Invalid, "elsewhere", two[:8])
	s.req.Source.Commit = strings.Repeat("1", 40)
	s.fails(schema.NotFound, "11111111")
}

func TestLinkedRepo(t *testing.T) {
	s := newStack(t)
	repo := gittest.New(t).Repo("team/stacks")
	repo.Change(gittest.Change{Files: map[string]string{
		"web/compose.yaml": shows("A", "FROM_HOOK"), "web/hook.sh": "echo FROM_HOOK=$SECRET_SEEN > web/made.env; echo hook >> hooks\n",
	}})
	host, _, _ := strings.Cut(strings.TrimPrefix(repo.URL(), "http://"), "/")
	s.vars["PW"] = schema.VariableValue{Value: "kanarienvogel-20", Secret: true}
	s.req.Repo = &schema.RepoSyncReq{
		Name: "my stacks", Path: "at", Source: schema.GitSource{Provider: host, Repo: "team/stacks", Branch: "main"}, EnvFile: "web/.env",
		Env: "A = repo\nSECRET_SEEN = [[PW]]\n", OnClone: schema.SystemCommand{Command: "echo clone >> hooks"}, OnPull: schema.SystemCommand{Command: "sh web/hook.sh"},
	}
	s.req.Config.RunDirectory = "web"
	s.req.Config.AdditionalEnvFiles = []schema.EnvFile{{Path: "made.env"}}
	s.up()
	root := s.a.path("repos", "my_stacks", "at")
	if got := s.log("web"); !strings.Contains(got, "A=repo\nFROM_HOOK=kanarienvogel-20") || read(t, filepath.Join(root, "hooks")) != "clone\nhook\n" {
		t.Errorf("%s; hooks %q", got, read(t, filepath.Join(root, "hooks")))
	}
	if read(t, filepath.Join(root, "web/.env")) != "" {
		t.Error("an environment with secrets was written")
	}
	s.req.Repo.Env = "A = again\n"
	s.up()
	if got := read(t, filepath.Join(root, "hooks")); got != "clone\nhook\nhook\n" {
		t.Errorf("hooks %q", got)
	}
	if got := read(t, filepath.Join(root, "web/.env")); got != "A=again\n" {
		t.Errorf("env %q", got)
	}
	s.req.Repo.OnPull.Command = "exit 7"
	s.fails(schema.Failed, "on_pull", "exit status 7")
}

func TestNoSubmodules(t *testing.T) {
	s := newSite(t)
	lib := gittest.New(t).Repo("team/lib")
	h := lib.Commit(map[string]string{"x": "1"}, "one")
	s.repo.Change(gittest.Change{Files: map[string]string{".gitmodules": "[submodule \"lib\"]\n\tpath = lib\n\turl = " + lib.URL() + "\n"}, Modules: map[string]string{"lib": h}})
	src := s.source()
	src.Submodules = false
	s.queue("c1", "", "repo.sync", schema.RepoSyncReq{Name: "app", Source: src})
	if res := s.wait("c1"); res.Problem != nil || read(t, s.a.path("repos", "app", "lib", "x")) != "" {
		t.Errorf("%+v", res.Problem)
	}
	src.Submodules = true
	s.queue("c2", "", "repo.sync", schema.RepoSyncReq{Name: "app", Source: src})
	if res := s.wait("c2"); res.Problem != nil || read(t, s.a.path("repos", "app", "lib", "x")) != "1" {
		t.Errorf("%+v", res.Problem)
	}
}
