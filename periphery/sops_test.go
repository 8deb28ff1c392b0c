package periphery_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth/schema"
)

// Row 30: the agent as it is decrypts; no script and no image of one's own is
// needed.
func TestRow30StockAgentDecrypts(t *testing.T) {
	s := newStack(t)
	s.onHost(map[string]string{"compose.yaml": shows("DB_USER", "DB_PASS", "EXTRA")})
	s.a.copy("secrets/testdata/app.sops.env", s.dir(".sops.env"))
	s.fails(schema.Denied, ".sops.env", "add recipient age1") // it has made a key for itself
	s.a.useKey()                                              // counts without a restart
	s.req.Config.PreDeploy.Command = "sops-decrypt.sh"
	resp := s.up()
	if len(resp.Warnings) != 1 || !strings.Contains(resp.Warnings[0], "`DB_PASS` in .env: ") || strings.Contains(resp.Warnings[0], "with\"") {
		t.Errorf("warnings = %q", resp.Warnings) // of the $ in the value
	}
	const secret = "p@ss word"
	if got := s.log("web"); !strings.Contains(got, "DB_USER=app\n") || !strings.Contains(got, "DB_PASS="+secret) {
		t.Error(got)
	}
	s.req.Config.Environment = "EXTRA = more\n"
	s.up()
	if got := s.log("web"); !strings.Contains(got, "DB_USER=app\n") || !strings.Contains(got, "EXTRA=more") {
		t.Error(got)
	}
	leak := filepath.Join(t.TempDir(), "leak")
	write(t, leak, secret+"$with\"quotes'and=eq")
	s.req.Config.PreDeploy.Command = schema.FileText("/usr/local/bin/sops-decrypt.sh && echo ran > ran\ncat " + leak)
	id, _, problem := s.try()
	if problem != nil || read(t, s.dir("ran")) != "ran\n" {
		t.Fatalf("%+v %q", problem, read(t, s.dir("ran")))
	}
	if text := s.text(id); strings.Contains(text, secret) || !strings.Contains(text, "decrypted .sops.env in memory") || !strings.Contains(text, "<DB_PASS>") {
		t.Error(text)
	}
	noSecret(t, s.a.cfg.Data, secret)
	if err := os.Chmod(s.a.cfg.AgeKeys[0], 0o644); err != nil {
		t.Fatal(err)
	}
	s.fails(schema.Denied, "chmod 600", s.a.cfg.AgeKeys[0])
}

// Row 31: no command says where the sops file is: it lies beside the compose file,
// in whatever folder of the repository.
func TestRow31SopsFilesBesideTheComposeFile(t *testing.T) {
	s := newStack(t)
	s.a.useKey()
	const dir = "docker/stacks/nvr/frigate"
	s.onHost(map[string]string{dir + "/compose.yaml": "services: { web: { image: '" + image + "', env_file: .env, command: [ -show, DB_USER ] } }\n"})
	s.a.copy("secrets/testdata/app.sops.env", s.dir(dir, ".sops.env"))
	s.req.Config.FilePaths = schema.StrList{dir + "/compose.yaml"}
	s.up()
	if got := s.log("web"); !strings.Contains(got, "DB_USER=app\n") {
		t.Error(got)
	}
	if _, err := os.Stat(s.dir(dir, ".env")); !os.IsNotExist(err) {
		t.Errorf("a decrypted file lies beside the compose file: %v", err)
	}
}

// Row 33: files are looked for after they were decrypted, not before.
func TestRow33DecryptedBeforeValidated(t *testing.T) {
	s := newStack(t)
	s.a.useKey()
	s.onHost(map[string]string{"compose.yaml": shows("DB_USER")})
	s.a.copy("secrets/testdata/app.sops.env", s.dir("app.sops.env"))
	s.req.Config.AdditionalEnvFiles = []schema.EnvFile{{Path: "app.env", Track: true}}
	s.req.Config.PreDeploy.Command = "sops-decrypt.sh"
	s.up()
	if got := s.log("web"); !strings.Contains(got, "DB_USER=app\n") {
		t.Error(got)
	}
	s.req.Config.AdditionalEnvFiles = append(s.req.Config.AdditionalEnvFiles, schema.EnvFile{Path: "other.env", Track: true})
	s.fails(schema.NotFound, "other.env")
}
