package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"berth/e2e/program"
	"berth/e2e/world"
	"berth/periphery/docker/dockertest"
	"berth/periphery/docker/dockertest/rig"
)

// TestApply runs the text scripts of testdata/apply, in which `berth` talks to a
// running core with one server, nexus, and so does `km`, the same program; $URL is core's, and @GIT@ in files the git
// server's. The scripts run side by side: their resources have names of their own.
// `code N cmd…` runs a command that must end with that exit code.
func TestApply(t *testing.T) {
	w := world.New(t, world.Options{Servers: []string{world.Nexus}})
	dockertest.BuildImage(t, w.Servers[world.Nexus].Engine, "berth-e2e/app", "1", rig.Behaviour{})
	w.Git.Repo("matt/homelab-docker").Commit(map[string]string{"README.md": "# Home\n"}, "Begin")
	if _, err := exec.LookPath("curl"); err != nil {
		if err := rig.Bare(t.Context(), "curl"); err != nil {
			t.Fatalf("install curl: %v", err)
		}
	}
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "apply"), RequireUniqueNames: true, RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"code": exitCode},
		Setup: func(env *testscript.Env) error {
			as := filepath.Join(env.WorkDir, ".bin")
			if err := errors.Join(os.Mkdir(as, 0o700), os.Symlink(program.Binary(t), filepath.Join(as, "km"))); err != nil {
				return err
			}
			env.Setenv("PATH", strings.Join([]string{filepath.Dir(program.Binary(t)), as, env.Getenv("PATH")}, string(os.PathListSeparator)))
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("URL", w.URL)
			env.Setenv("KOMODO_ADDRESS", w.URL)
			env.Setenv("KOMODO_API_KEY", w.API.Key)
			env.Setenv("KOMODO_API_SECRET", w.API.Secret)
			path := filepath.Join(env.WorkDir, "homelab.toml")
			text, err := os.ReadFile(path)
			if errors.Is(err, os.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			return os.WriteFile(path, []byte(strings.ReplaceAll(string(text), "@GIT@", w.GitHost())), 0o600)
		},
	})
}

// exitCode is the script's command `code`.
func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N command…")
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		e, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = e.ExitCode()
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}
