package periphery_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"berth/bus/bustest"
	"berth/git/gittest"
	"berth/periphery"
	"berth/schema"
)

// TestMain is an agent to be killed, when told so.
func TestMain(m *testing.M) {
	periphery.LogLibraries(slog.New(slog.DiscardHandler))
	if data := os.Getenv("BERTH_TEST_AGENT"); data != "" {
		err := periphery.Run(context.Background(), periphery.Config{Data: data, Version: "test", Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), AgeKeys: []string{"/nonexistent"}})
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// site is core, an agent, and a repository whose pull runs a command.
type site struct {
	*core
	a    *agent
	repo *gittest.FixtureRepo
	mark string // a file that the commands write to
}

func newSite(t testing.TB) *site {
	c := newCore(t)
	s := &site{core: c, a: c.newAgent(), repo: gittest.New(t).Repo("team/app"), mark: filepath.Join(t.TempDir(), "mark")}
	s.repo.Commit(map[string]string{"a": "1"}, "one")
	return s
}

// pull queues a pull of a clone of its own that runs a command.
func (s *site) pull(id, key, command string) {
	s.t.Helper()
	s.queue(id, key, "repo.sync", schema.RepoSyncReq{
		Name: "app-" + id, Source: s.source(), OnPull: schema.SystemCommand{Command: schema.FileText(command), ShellMode: true}, EnvFile: ".env",
	})
}

func (s *site) source() schema.GitSource {
	host, path, _ := strings.Cut(strings.TrimPrefix(s.repo.URL(), "http://"), "/")
	return schema.GitSource{Provider: host, Repo: strings.TrimSuffix(path, ".git"), Branch: "main", Submodules: true}
}

// waitMark waits until a command has written n lines.
func (s *site) waitMark(n int) {
	s.t.Helper()
	bustest.Eventually(s.t, 20*time.Second, "the command to run", func() bool { return strings.Count(read(s.t, s.mark), "\n") >= n })
}

func TestTwiceRunsOnce(t *testing.T) {
	s := newSite(t)
	s.keep = true // core does not take it off the queue: it is seen again and again
	s.pull("c1", "", "echo ran >> "+s.mark)
	if res := s.wait("c1"); res.Problem != nil {
		t.Fatal(res.Problem)
	}
	for range 3 {
		s.nudge()
		s.pull("after-"+strconv.FormatInt(time.Now().UnixNano(), 36), "", "true")
	}
	s.a.end()
	s.a.start()
	s.pull("last", "", "true")
	s.wait("last")
	if begun, told := s.times("c1"); begun != 1 || told != 1 || read(t, s.mark) != "ran\n" {
		t.Errorf("begun %d times, told %d times, ran %q", begun, told, read(t, s.mark))
	}
}

func TestReportedAfterReconnect(t *testing.T) {
	s := newSite(t)
	s.pull("c1", "", "echo ran >> "+s.mark+"; while [ ! -e "+s.mark+".go ]; do sleep 0.05; done; echo ran >> "+s.mark)
	s.waitMark(1)
	s.down()
	write(t, s.mark+".go", "")
	s.waitMark(2)
	s.up()
	if res := s.wait("c1"); res.Problem != nil || res.Took == 0 || len(res.Phases) != 2 {
		t.Errorf("%+v", res)
	}
	if begun, _ := s.times("c1"); begun != 1 {
		t.Errorf("begun %d times", begun)
	}
	bustest.Eventually(t, 20*time.Second, "the end of the output", func() bool { return strings.Contains(s.text("c1"), "phase on_pull done") })
}

// A result that could not be told is told by the next process.
func TestReportedAfterRestart(t *testing.T) {
	s := newSite(t)
	s.pull("c1", "", "echo ran >> "+s.mark+"; while [ ! -e "+s.mark+".go ]; do sleep 0.05; done")
	s.waitMark(1)
	s.down()
	write(t, s.mark+".go", "")
	bustest.Eventually(t, 20*time.Second, "the result in the journal", func() bool {
		return strings.Contains(read(t, s.a.path("journal", "journal.log")), `"t":"done"`)
	})
	s.a.end()
	s.up()
	s.a.start()
	if res := s.wait("c1"); res.Problem != nil || res.Command != "c1" || res.Run != runID {
		t.Errorf("%+v", res)
	}
}

// group waits for a process id in a file, and returns it.
func group(t testing.TB, file string) int {
	t.Helper()
	var pid int
	bustest.Eventually(t, 20*time.Second, "a process id in "+file, func() bool {
		var err error
		pid, err = strconv.Atoi(strings.TrimSpace(read(t, file)))
		return err == nil
	})
	return pid
}

func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

// stubborn is a command with a child, neither of which ends when asked to.
func (s *site) stubborn() string {
	return `trap '' TERM; (trap '' TERM; echo $BASHPID > ` + s.mark + `.child; sleep 300; sleep 300) & echo $$ > ` + s.mark + `.pid; echo ran >> ` + s.mark + `; wait; sleep 300`
}

func TestCancel(t *testing.T) {
	s := newSite(t)
	s.pull("c1", "", s.stubborn())
	s.waitMark(1)
	pid, child := group(t, s.mark+".pid"), group(t, s.mark+".child")
	began := time.Now()
	s.cancel("c1")
	res := s.wait("c1")
	if took := time.Since(began); took > time.Second {
		t.Errorf("canceled after %s", took)
	}
	if res.Problem == nil || res.Problem.Code != schema.Canceled || !strings.Contains(res.Problem.Text, "on_pull") {
		t.Errorf("%+v", res.Problem)
	}
	if !gone(pid) || !gone(child) {
		t.Error("processes of the command live on")
	}
}

func TestCancelByRenewal(t *testing.T) {
	s := newSite(t)
	s.pull("c1", "", "echo ran >> "+s.mark+"; sleep 300")
	s.waitMark(1)
	s.set(func(c *core) { c.ended["c1"] = "its run was ended" }) // and the notice is lost
	if res := s.wait("c1"); res.Problem == nil || res.Problem.Code != schema.Canceled || !strings.Contains(res.Problem.Text, "its run was ended") {
		t.Errorf("%+v", res.Problem)
	}
}

func TestExpires(t *testing.T) {
	s := newSite(t)
	s.left = time.Second
	s.pull("c1", "", "sleep 300")
	res := s.wait("c1")
	if res.Problem == nil || res.Problem.Code != schema.Expired || !strings.Contains(res.Problem.Text, "not done within 1s") || !strings.Contains(res.Problem.Text, "on_pull") {
		t.Errorf("%+v", res.Problem)
	}
}

// Commands of one key are done in the order in which they were queued, one at a
// time; one that waits for a lease takes no other's place.
func TestOrder(t *testing.T) {
	s := newSite(t)
	s.leases["taken"] = "somebody's"
	for i := range 10 {
		s.pull(fmt.Sprintf("held%d", i), "taken", "true")
	}
	for i := range 6 {
		s.pull(fmt.Sprintf("k%d", i), "key", fmt.Sprintf("echo begin %d >> %[2]s; sleep 0.05; echo end %[1]d >> %[2]s", i, s.mark))
	}
	var want strings.Builder
	for i := range 6 {
		s.wait(fmt.Sprintf("k%d", i))
		fmt.Fprintf(&want, "begin %d\nend %d\n", i, i)
	}
	if got := read(t, s.mark); got != want.String() {
		t.Errorf("order:\n%s", got)
	}
	s.cancel("held0") // unwanted now: the next one's turn comes
	s.set(func(c *core) { delete(c.leases, "taken") })
	for i := 1; i < 10; i++ {
		if res := s.wait(fmt.Sprintf("held%d", i)); res.Problem != nil {
			t.Error(res.Problem)
		}
	}
	if begun, told := s.times("held0"); begun+told != 0 {
		t.Error("an unwanted command was begun")
	}
}

func TestUnknownVerb(t *testing.T) {
	s := newSite(t)
	s.queue("c1", "", "stack.fly", struct{}{})
	if res := s.wait("c1"); res.Problem == nil || res.Problem.Code != schema.Unsupported {
		t.Errorf("%+v", res)
	}
	s.queue("c2", "", "repo.sync", "no object")
	if res := s.wait("c2"); res.Problem == nil || res.Problem.Code != schema.Invalid {
		t.Errorf("%+v", res)
	}
}

func TestStoppedInMidWork(t *testing.T) {
	s := newSite(t)
	s.pull("c1", "", s.stubborn())
	s.waitMark(1)
	pid, child := group(t, s.mark+".pid"), group(t, s.mark+".child")
	s.a.end()
	if !gone(pid) || !gone(child) {
		t.Error("processes of the command outlive the agent")
	}
	s.a.start()
	s.interrupted("c1", "repo.sync")
}

func (s *site) interrupted(id, verb string) {
	s.t.Helper()
	res := s.wait(id)
	if res.Problem == nil || res.Problem.Code != schema.Interrupted || !strings.Contains(res.Problem.Text, verb) {
		s.t.Errorf("%+v", res)
	}
	if begun, told := s.times(id); begun != 1 || told != 1 || strings.Count(read(s.t, s.mark), "\n") != 1 {
		s.t.Errorf("begun %d times, told %d times, ran %q", begun, told, read(s.t, s.mark))
	}
}

func TestKilledInMidWork(t *testing.T) {
	s := newSite(t)
	s.a.end()
	kill := s.a.process()
	s.pull("c1", "", s.stubborn())
	s.waitMark(1)
	pid, child := group(t, s.mark+".pid"), group(t, s.mark+".child")
	kill()
	bustest.Eventually(t, 20*time.Second, "the end of the command's processes", func() bool { return gone(pid) && gone(child) })
	s.a.start()
	s.interrupted("c1", "repo.sync")
}

// process runs the agent as a process of its own; kill ends it as kill -9 does.
func (a *agent) process() (kill func()) {
	a.c.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		a.c.t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "BERTH_TEST_AGENT="+a.cfg.Data)
	cmd.Stderr = a.c.t.Output()
	if err := cmd.Start(); err != nil {
		a.c.t.Fatal(err)
	}
	killed := false
	kill = func() {
		if !killed {
			killed = true
			_ = cmd.Process.Signal(syscall.SIGKILL)
			_ = cmd.Wait()
		}
	}
	a.c.t.Cleanup(kill)
	return kill
}
