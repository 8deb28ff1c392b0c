// Package program runs the real binary, built once, as processes of its own that a
// test may kill at any moment.
//
// A Process may be used from several goroutines. Whatever a test started is ended
// with it, and when the test failed the end of its output is shown.
package program

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Options say what to run and where. Only Args is needed.
type Options struct {
	Name  string   // for messages; the first argument unless set
	Path  string   // what to run; berth unless set
	Args  []string //
	Env   []string // NAME=value: all the process gets beside PATH, HOME and TMPDIR
	Dir   string   // working directory; a fresh folder unless set
	Netns string   // path of a network namespace to run in
}

// Process is one running program. Restart makes a new one with the same Options.
type Process struct {
	Options

	cmd    *exec.Cmd
	output *output
	ended  chan struct{}
	err    error // of Wait, once ended is closed
}

// Start runs a program until the test's end.
func Start(t testing.TB, o Options) *Process {
	t.Helper()
	if o.Path == "" {
		o.Path = Binary(t)
	}
	if o.Name == "" {
		o.Name = strings.Join(o.Args[:min(1, len(o.Args))], "")
	}
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	p := &Process{Options: o, output: &output{changed: make(chan struct{})}, ended: make(chan struct{})}
	args := append([]string{o.Path}, o.Args...)
	if o.Netns != "" {
		args = append([]string{"nsenter", "--net=" + o.Netns}, args...)
	}
	p.cmd = exec.Command(args[0], args[1:]...)
	p.cmd.Dir = o.Dir
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + o.Dir, "TMPDIR=" + os.TempDir()}, o.Env...)
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	// Its own group, so that a Ctrl-C meant for the test does not reach it; and an end
	// with us, should we be killed.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", o.Name, err)
	}
	go func() { p.err = p.cmd.Wait(); close(p.ended) }()
	t.Cleanup(func() {
		p.Stop(t)
		if t.Failed() {
			t.Logf("the last output of %s:\n%s", o.Name, p.tail(80))
		}
	})
	return p
}

// Restart starts the same program again, after the process has ended.
func (p *Process) Restart(t testing.TB) *Process {
	t.Helper()
	select {
	case <-p.ended:
	default:
		t.Fatalf("restart %s: it has not ended; Kill or Stop it first", p.Name)
	}
	return Start(t, p.Options)
}

// Kill ends the process as a power cut would, and returns when it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// Stop asks the process to end, and returns its exit code. One that takes longer
// than 20 s is killed, which fails the test.
func (p *Process) Stop(t testing.TB) int {
	t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		t.Errorf("%s did not end within 20 s of SIGTERM", p.Name)
		_ = p.cmd.Process.Signal(syscall.SIGQUIT) // shows what it hangs on
		select {
		case <-p.ended:
		case <-time.After(5 * time.Second):
			p.Kill()
		}
	}
	return p.cmd.ProcessState.ExitCode()
}

// Ended is closed when the process is gone.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Output returns all that the process has written.
func (p *Process) Output() string {
	text, _ := p.output.read()
	return text
}

// Await waits until the output matches a pattern, and returns the match with its
// groups. It fails the test when the time is up or the process ends before.
func (p *Process) Await(t testing.TB, pattern string, within time.Duration) []string {
	t.Helper()
	want := regexp.MustCompile(pattern)
	deadline := time.After(within)
	for {
		ended := false
		select {
		case <-p.ended:
			ended = true // what it wrote last is read below
		default:
		}
		text, changed := p.output.read()
		if m := want.FindStringSubmatch(text); m != nil {
			return m
		}
		if ended {
			t.Fatalf("%s ended (%v) before it said %q", p.Name, p.err, pattern)
		}
		select {
		case <-changed:
		case <-p.ended:
		case <-t.Context().Done():
			t.Fatalf("%s has not said %q until the test ended", p.Name, pattern)
		case <-deadline:
			t.Fatalf("%s has not said %q within %s", p.Name, pattern, within)
		}
	}
}

func (p *Process) tail(n int) string {
	lines := strings.Split(strings.TrimRight(p.Output(), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// output collects what a process writes and wakes who waits for more.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

// Write implements io.Writer.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.changed)
	o.changed = make(chan struct{})
	return o.text.Write(b)
}

func (o *output) read() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String(), o.changed
}

// built is the binary, built once for a test binary.
var built = sync.OnceValues(func() (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	path := filepath.Join(root, ".cache", "e2e", "berth")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, ".")
	cmd.Dir = root
	cmd.Env = append(slices.Clone(os.Environ()), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build berth: %w\n%s", err, out)
	}
	return path, nil
})

// Binary returns the path of the binary under test.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Root returns the module's folder.
func Root() (string, error) {
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if _, missing := os.Stat(filepath.Join(dir, "go.mod")); missing == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("find the module's folder: no go.mod above the working directory")
		}
	}
	return "", err
}
