package process

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth/schema"
)

// TestMain lets the test binary stand for an agent that runs one command.
func TestMain(m *testing.M) {
	if text := os.Getenv("BERTH_TEST_AGENT"); text != "" {
		err := Run(context.Background(), Cmd{Name: "x", Text: text, ShellMode: true, Env: Env(os.Environ()), Output: func(l Line) { fmt.Fprintln(os.Stdout, l.Text) }})
		fmt.Fprintln(os.Stdout, "over", err)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// run runs text and returns its lines, those of standard error behind a "!".
func run(t *testing.T, c Cmd) ([]string, error) {
	t.Helper()
	var lines []string
	c.Output = func(l Line) {
		if l.Stderr {
			l.Text = "!" + l.Text
		}
		lines = append(lines, l.Text)
	}
	if c.Name == "" {
		c.Name = "pre_deploy"
	}
	if c.Env == nil {
		c.Env = Env(os.Environ())
	}
	err := Run(t.Context(), c)
	return lines, err
}

// eventually waits until cond holds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited 10 s until %s", what)
		}
	}
}

func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat[bytes.LastIndexByte(stat, ')'):]), " Z ")
}

func TestRunOutput(t *testing.T) {
	long := strconv.Itoa(MaxLine + 10)
	for _, tc := range []struct {
		text string
		want []string
	}{
		{"echo a; echo b", []string{"a", "b"}},
		{"printf 'no end'", []string{"no end"}},
		{"printf 'a\\n\\nb\\r\\n'", []string{"a", "", "b"}},
		{"printf '10%%\\r20%%\\r100%%\\n'", []string{"100%"}},
		{"echo e >&2", []string{"!e"}},
		{"printf '\\xff\\n'", []string{"\uFFFD"}},
		{"head -c " + long + " /dev/zero | tr '\\0' x; echo; echo after", []string{strings.Repeat("x", MaxLine) + " … (10 bytes cut)", "after"}},
		{"cat; echo eof", []string{"eof"}},
		{"# nothing", nil},
		{"a=1\necho $a \\\n  x", []string{"1 x"}},
		{"echo \"$BERTH_COMMAND|\"; tr '\\0' ' ' </proc/$$/cmdline | grep -c CANARY", []string{"|", "0"}},
	} {
		got, err := run(t, Cmd{Text: strings.ReplaceAll(tc.text, "# nothing", "\n# nothing")})
		if err != nil && !strings.Contains(tc.text, "grep -c") {
			t.Errorf("%q: %v", tc.text, err)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%q: %s", tc.text, diff)
		}
	}
}

func TestRunShellMode(t *testing.T) {
	dir := t.TempDir()
	got, err := run(t, Cmd{Dir: dir, ShellMode: true, Text: "if true; then\n  cat <<X\n a # b\nX\nfi\npwd\n[[ -n $BASH_VERSION ]] && echo bash\nexit 0\n"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{" a # b", dir, "bash"}, got); diff != "" {
		t.Error(diff)
	}
	got, err = run(t, Cmd{Argv: []string{"printf", "%s|", "a b", "$c"}})
	if err != nil || !cmp.Equal(got, []string{"a b|$c|"}) {
		t.Error(got, err)
	}
}

func TestRunFails(t *testing.T) {
	_, err := run(t, Cmd{Text: "echo one\necho two >&2\nexit 3"})
	var exit *ExitError
	if !errors.As(err, &exit) || exit.Status != 3 || schema.CodeOf(err) != schema.Failed {
		t.Fatal(err)
	}
	// Both streams are read at once, so their order in the text may differ.
	text := schema.SafeText(err)
	if !strings.HasPrefix(text, `pre_deploy: "echo one && echo two >&2 && exit 3": exit status 3: `) || !strings.Contains(text, "two") {
		t.Error(text)
	}
	_, err = run(t, Cmd{Text: "kill -9 $$"})
	if !errors.As(err, &exit) || exit.Signal != "killed" {
		t.Error(err)
	}
	_, err = run(t, Cmd{Text: "true", Dir: "/nonexistent/x"})
	if schema.CodeOf(err) != schema.Invalid || !strings.Contains(err.Error(), "/nonexistent/x") {
		t.Error(err)
	}
	_, err = run(t, Cmd{Argv: []string{"/nonexistent/tool"}})
	if schema.CodeOf(err) != schema.Failed || !strings.Contains(schema.SafeText(err), "no such file") {
		t.Error(err)
	}
	_, err = run(t, Cmd{Argv: []string{"berth-no-such-tool"}})
	if schema.CodeOf(err) != schema.Failed || !strings.Contains(schema.SafeText(err), "not found") {
		t.Error(err)
	}
}

// upper stands for a mask: it replaces a word even where writes split it.
type upper struct {
	bytes.Buffer
	out io.Writer
}

func (u *upper) Close() error {
	_, err := io.WriteString(u.out, strings.ReplaceAll(u.String(), "canary", "<K>"))
	return err
}

func TestRunMasks(t *testing.T) {
	mask := func(w io.Writer) io.WriteCloser { return &upper{out: w} }
	got, err := run(t, Cmd{Mask: mask, ShellMode: true, Text: "echo can''ary; printf can >&2; printf ary >&2; exit 1 # canary"})
	if err == nil || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "<K>") {
		t.Error(err)
	}
	if s := strings.Join(got, "\n"); strings.Contains(s, "canary") || strings.Count(s, "<K>") != 2 {
		t.Error(got)
	}
}

func TestEnv(t *testing.T) {
	got := Env([]string{"PATH=/bin", "AWS_SECRET=x", "BERTH_TOKEN=y", "LC_ALL=C", "HOME=/root", "TZ=UTC"})
	if diff := cmp.Diff([]string{"PATH=/bin", "LC_ALL=C", "HOME=/root", "TZ=UTC"}, got); diff != "" {
		t.Error(diff)
	}
	if got := Env(nil); len(got) != 2 {
		t.Error(got)
	}
	t.Setenv("BERTH_CANARY", "leak")
	lines, err := run(t, Cmd{Text: "env", Env: append(Env(os.Environ()), "MINE=1")})
	if err != nil {
		t.Fatal(err)
	}
	s := strings.Join(lines, "\n")
	if strings.Contains(s, "leak") || strings.Contains(s, "BERTH_COMMAND") || !strings.Contains(s, "MINE=1") {
		t.Error(s)
	}
	if lines, err := run(t, Cmd{Argv: []string{"/usr/bin/env"}, Env: []string{}}); err != nil || len(lines) != 0 {
		t.Error(lines, err)
	}
}

// cancelAt runs text, cancels when it prints "ready" and returns the pids that
// it printed before.
func cancelAt(t *testing.T, text string, grace time.Duration) (pids []int, took time.Duration, err error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var at time.Time
	err = Run(ctx, Cmd{Name: "pre_deploy", Text: text, ShellMode: true, Env: Env(os.Environ()), Grace: grace, Output: func(l Line) {
		if pid, err := strconv.Atoi(l.Text); err == nil {
			pids = append(pids, pid)
		}
		if l.Text == "ready" {
			at = time.Now()
			cancel()
		}
	}})
	return pids, time.Since(at), err
}

func TestCancel(t *testing.T) {
	for name, tc := range map[string]struct {
		text       string
		grace, max time.Duration
	}{
		"polite":                {"echo $$; sleep 100 & echo $!; echo ready; wait", 5 * time.Second, time.Second},
		"deaf":                  {"trap '' TERM; echo $$; echo ready; while :; do sleep 0.05; done", 200 * time.Millisecond, time.Second},
		"deaf grandchild":       {"(trap '' TERM; echo $BASHPID; echo ready; while :; do sleep 0.05; done) & wait", 200 * time.Millisecond, time.Second},
		"deaf without our pipe": {"(trap '' TERM; exec >/dev/null 2>&1; while :; do sleep 0.05; done) & echo $!; echo ready; wait", 200 * time.Millisecond, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			pids, took, err := cancelAt(t, tc.text, tc.grace)
			if schema.CodeOf(err) != schema.Canceled || !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			if took > tc.max {
				t.Errorf("took %s", took)
			}
			for _, pid := range pids {
				eventually(t, fmt.Sprintf("%d is gone", pid), func() bool { return !alive(pid) })
			}
			if len(pids) == 0 {
				t.Error("no pids")
			}
		})
	}
}

// A command that cleans up on SIGTERM gets its grace, its last words are heard.
func TestCancelGraceful(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var lines []string
	err := Run(ctx, Cmd{
		Name: "x", ShellMode: true, Grace: 5 * time.Second, Env: Env(os.Environ()),
		Text: "trap 'sleep 0.1; echo bye; exit 7' TERM; echo ready; while :; do sleep 0.02; done",
		Output: func(l Line) {
			lines = append(lines, l.Text)
			if l.Text == "ready" {
				cancel()
			}
		},
	})
	if schema.CodeOf(err) != schema.Canceled || len(lines) < 2 || lines[len(lines)-1] != "bye" {
		t.Error(err, lines)
	}
}

func TestDeadline(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := Run(ctx, Cmd{Name: "post_deploy", Text: "sleep 100", Env: Env(os.Environ())})
	if schema.CodeOf(err) != schema.Expired || !strings.Contains(schema.SafeText(err), `post_deploy: "sleep 100": ended at its deadline`) {
		t.Error(err)
	}
	err = Run(ctx, Cmd{Name: "post_deploy", Text: "sleep 100"})
	if schema.CodeOf(err) != schema.Expired {
		t.Error(err)
	}
}

// A child that keeps the pipe open neither hangs us nor is killed.
func TestChildKeepsPipe(t *testing.T) {
	began := time.Now()
	lines, err := run(t, Cmd{Text: "sleep 100 & echo $!", ShellMode: true, Grace: 100 * time.Millisecond})
	if err != nil || len(lines) != 1 || time.Since(began) > 3*time.Second {
		t.Fatal(lines, err, time.Since(began))
	}
	pid, err := strconv.Atoi(lines[0])
	if err != nil {
		t.Fatal(err)
	}
	if !alive(pid) {
		t.Error("the child was killed")
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
}

// When the agent is killed, nothing of the command's group is left.
func TestAgentDies(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	agent := exec.Command(self)
	agent.Env = append(os.Environ(), "BERTH_TEST_AGENT=echo $$; (trap '' TERM; sleep 1000) & echo $!; sleep 1000 & echo $!; echo ready; wait")
	out, err := agent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	var pids []int
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "ready" {
		pid, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatal(lines.Text())
		}
		pids = append(pids, pid)
	}
	if len(pids) != 3 {
		t.Fatal(pids)
	}
	if err := agent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		eventually(t, fmt.Sprintf("%d is gone", pid), func() bool { return !alive(pid) })
	}
	_ = agent.Wait()
}

// zombies lists our dead children that nobody waited for.
func zombies(t *testing.T) (pids []string) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range stats {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if f[0] == "Z" && f[1] == strconv.Itoa(os.Getpid()) {
			pids = append(pids, file)
		}
	}
	return pids
}

func TestNoZombies(t *testing.T) {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, 8)
	for i := range 200 {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			err := Run(ctx, Cmd{
				Name: "h", Text: fmt.Sprintf("(exit 0) & (exit 1) & echo %d; [ %d = 3 ] && sleep 100; exit %d", i, i%4, i%3), ShellMode: true, Env: Env(os.Environ()),
				Output: func(Line) {
					if i%4 == 3 {
						cancel()
					}
				},
			})
			if (err == nil) != (i%4 != 3 && i%3 == 0) {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if z := zombies(t); len(z) > 0 {
		t.Errorf("%d zombies", len(z))
	}
	after, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	if len(after) > len(fds)+3 {
		t.Errorf("%d open files before, %d after", len(fds), len(after))
	}
}

func BenchmarkRun(b *testing.B) {
	for b.Loop() {
		if err := Run(b.Context(), Cmd{Name: "x", Text: "true", Env: Env(nil)}); err != nil {
			b.Fatal(err)
		}
	}
}
