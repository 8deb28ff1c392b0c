package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth/e2e/wire"
	"berth/e2e/world"
)

const (
	backupSecret = "canary-of-the-backup-51c0"
	backupPass   = "correct horse battery staple"
)

// TestRow36And54BackupDuringLoadAndRestore takes a backup while things are written,
// loses core's machine, and builds core again from one file and one passphrase: what
// is declared, kept and remembered is the same, and the agent that was joined comes
// back by itself.
func TestRow36And54BackupDuringLoadAndRestore(t *testing.T) {
	dir := t.TempDir()
	pass, wrong := filepath.Join(dir, "pass"), filepath.Join(dir, "wrong")
	writeAll(t, map[string]string{pass: backupPass + "\n", wrong: "not it\n"})
	w := world.New(t, world.Options{Servers: []string{world.Nexus}, Env: []string{"BERTH_BACKUP_PASSPHRASE_FILE=" + pass, "BERTH_WEBHOOK_SECRET=" + backupSecret}})
	w.Apply(fmt.Sprintf(`
[[variable]]
name = "CANARY"
value = %q
is_secret = true

[[repo]]
name = "home"
[repo.config]
server = "nexus"
git_provider = %q
git_https = false
repo = "ada/home"

[[procedure]]
name = "nightly"
[[procedure.config.stage]]
name = "backup"
executions = [{ execution = { type = "BackupCoreDatabase", params = {} } }]
`, backupSecret, w.GitHost()))
	w.Git.Repo("ada/home").Commit(map[string]string{"README.md": "# Home\n"}, "Begin")
	mustExecute(t, w, "PullRepo", wire.Params{"repo": "home"})

	stop := writeOn(t, w)
	loaded := filepath.Join(dir, "loaded.age")
	if _, err := w.CLI("backup", loaded, "--passphrase-file", pass); err != nil {
		t.Fatal(err)
	}
	stop()
	scheduledBackup(t, w)
	file := filepath.Join(dir, "core.age")
	out, err := w.CLI("backup", file, "--passphrase-file", pass)
	if err != nil || !strings.Contains(out, "verified") {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{loaded, file} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{backupSecret, backupPass, "AGE-SECRET-KEY", "PRIVATE KEY", "README"} {
			if bytes.Contains(text, []byte(secret)) {
				t.Errorf("%s holds %q in clear", name, secret)
			}
		}
		if st, err := os.Stat(name); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", st, err)
		}
	}
	if out, code := w.Berth("restore", loaded, "--check", "--passphrase-file", pass); code != 0 {
		t.Errorf("a backup during load cannot be read: %s", out)
	}
	want := remembered(t, w)
	addr := strings.TrimPrefix(w.URL, "http://")
	w.Core.Kill()
	old := w.Data
	if err := os.RemoveAll(old); err != nil {
		t.Fatal(err)
	}

	w.Data = filepath.Join(dir, "new machine")
	if out, code := w.Berth("restore", file, "--data", w.Data, "--passphrase-file", wrong); code != 2 || !strings.Contains(out, "does not open this backup") {
		t.Errorf("a wrong passphrase: exit code %d: %s", code, out)
	}
	if _, err := os.Stat(w.Data); err == nil {
		t.Error("a wrong passphrase left a folder behind")
	}
	if out, code := w.Berth("restore", file, "--data", w.Data, "--passphrase-file", pass); code != 0 || !strings.Contains(out, "berth core --config") {
		t.Fatalf("exit code %d: %s", code, out)
	}
	if out, code := w.Berth("restore", file, "--data", w.Data, "--passphrase-file", pass); code != 5 || !strings.Contains(out, "not empty") {
		t.Errorf("restored twice: exit code %d: %s", code, out)
	}
	settings, err := os.ReadFile(filepath.Join(w.Data, "berth.toml"))
	if err != nil || !strings.Contains(string(settings), backupSecret) {
		t.Errorf("the configuration is not restored: %v\n%s", err, settings)
	}
	w.StartCore(addr)
	if got := remembered(t, w); !cmp.Equal(want, got) {
		t.Errorf("the restored core differs: %s", cmp.Diff(want, got))
	}
	// With the key it has, without a new token; by now it tries every half minute.
	w.Until(90*time.Second, "the agent is back", func() bool {
		var got []struct{ Info struct{ State string } }
		return w.API.Call(t.Context(), "read", "ListServers", nil, &got) == nil && len(got) == 1 && got[0].Info.State == "Ok"
	})
	r := mustExecute(t, w, "PullRepo", wire.Params{"repo": "home"})
	if !r.Success {
		t.Errorf("%+v", r)
	}
}

// writeOn changes variables one after the other until stop.
func writeOn(t *testing.T, w *world.World) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	warm := make(chan struct{})
	var once sync.Once
	for n := range 4 {
		name := fmt.Sprintf("LOAD_%d", n)
		if err := w.API.Call(t.Context(), "write", "CreateVariable", wire.Params{"name": name, "value": "0"}, nil); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for i := 1; ctx.Err() == nil; i++ {
				err := w.API.Call(context.WithoutCancel(ctx), "write", "UpdateVariableValue", wire.Params{"name": name, "value": fmt.Sprint(i)}, nil)
				if err != nil {
					t.Errorf("change %s during a backup: %v", name, err)
					return
				}
				if i == 20 {
					once.Do(func() { close(warm) })
				}
			}
		})
	}
	select {
	case <-warm:
	case <-time.After(30 * time.Second):
		t.Fatal("nothing is written")
	}
	return func() { cancel(); wg.Wait() }
}

// scheduledBackup lets core write a backup by itself, as a procedure does it.
func scheduledBackup(t *testing.T, w *world.World) {
	t.Helper()
	mustExecute(t, w, "RunProcedure", wire.Params{"procedure": "nightly"})
	list, err := w.API.Runs(t.Context(), wire.Params{"limit": 20})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(r wire.Run) bool { return r.Action == "BackupCoreDatabase" })
	if i < 0 {
		t.Fatalf("no run of BackupCoreDatabase among %+v", list)
	}
	for _, word := range []string{filepath.Join(w.Data, "backups", "berth-core-"), "sha256 ", " in "} {
		if !strings.Contains(list[i].Note, word) {
			t.Errorf("the run's note lacks %q: %q", word, list[i].Note)
		}
	}
	files, err := filepath.Glob(filepath.Join(w.Data, "backups", "berth-core-*.age"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	pass := filepath.Join(t.TempDir(), "pass")
	writeAll(t, map[string]string{pass: backupPass})
	if out, code := w.Berth("restore", files[0], "--check", "--passphrase-file", pass); code != 0 {
		t.Errorf("%s", out)
	}
}

// remembered is what core answers about everything that it keeps.
func remembered(t *testing.T, w *world.World) map[string]any {
	t.Helper()
	out := map[string]any{}
	for _, request := range []string{"ListVariables", "ListRepos", "ListProcedures", "ListRuns", "ListDeliveries"} {
		var answer any
		if err := w.API.Call(t.Context(), "read", request, wire.Params{}, &answer); err != nil {
			t.Fatal(err)
		}
		out[request] = answer
	}
	return out
}

func mustExecute(t *testing.T, w *world.World, request string, params wire.Params) wire.Update {
	t.Helper()
	u, err := w.API.Execute(w.Context(time.Minute), request, params)
	if err != nil || !u.Success {
		t.Fatalf("%s: %v %+v", request, err, u)
	}
	return u
}

func writeAll(t *testing.T, files map[string]string) {
	t.Helper()
	for path, text := range files {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
