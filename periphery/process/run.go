package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"berth/schema"
)

// defaultGrace is how long a command has between SIGTERM and SIGKILL, and how
// long its output is waited for when it is over but a child keeps the pipe open.
const defaultGrace = 2 * time.Second

// Cmd is a command to run: Argv, or Text for the shell.
type Cmd struct {
	Name      string   // the stage, first word of errors: pre_deploy
	Dir       string   // working folder, must exist
	Argv      []string // program and arguments; visible to all users of the host
	Text      string   // a command field's text, kept out of the process list
	ShellMode bool     // Text goes to the shell as it is, see Parse
	Env       []string // the whole environment, see Env

	Output func(Line)                     // gets every line as it comes; may be nil
	Mask   func(io.Writer) io.WriteCloser // masks output and errors; may be nil
	Grace  time.Duration                  // between SIGTERM and SIGKILL; 0 means 2 s
}

// ExitError says how a command ended that did not succeed.
type ExitError struct {
	Status int    // exit status, -1 if a signal ended it
	Signal string // the signal's name
}

// Error returns "exit status 3" or "ended by signal killed".
func (e *ExitError) Error() string {
	if e.Signal != "" {
		return "ended by signal: " + e.Signal
	}
	return fmt.Sprintf("exit status %d", e.Status)
}

// Run runs the command until it is over or ctx ends; then its process group gets
// SIGTERM and, after the grace time, SIGKILL. Children that a finished command
// leaves behind live on; of a canceled one, and of one whose agent dies, nothing
// is left. A Text without any command is done at once.
//
// Codes: Failed with an *ExitError in the chain when it did not succeed (the
// text has the last lines of the output), Canceled, Expired, Invalid for a
// folder that is missing, Unsupported where there is no shell.
func Run(ctx context.Context, c Cmd) error {
	if c.Grace == 0 {
		c.Grace = defaultGrace
	}
	title := c.title()
	argv, env, err := c.command()
	if err != nil || argv == nil {
		return err
	}
	if info, err := os.Stat(c.Dir); c.Dir != "" && (err != nil || !info.IsDir()) {
		return schema.Errorf(schema.Invalid, "%s: run in %s: the folder does not exist", c.Name, c.mask(c.Dir))
	}
	if err := ctx.Err(); err != nil {
		return c.ended(ctx, title, 0)
	}
	// The kernel sends the parent-death signal when the starting thread ends, so
	// this thread stays ours until the command is over.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	group := newGroup(ctx)
	defer group.close()

	tail := &tail{}
	out := newOutput(c.Output, tail)
	stdout, stderr := out.stream(false, c.Mask), out.stream(true, c.Mask)
	cmd := exec.CommandContext(context.WithoutCancel(ctx), argv[0], argv[1:]...) // wait ends it, with all its group
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = c.Dir, env, stdout, stderr, c.Grace
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: group.id, Pdeathsig: syscall.SIGKILL}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return schema.Errorf(schema.Failed, "%s: start %s: %s", c.Name, title, c.mask(startReason(err)))
	}
	if group.id == 0 {
		group.id = cmd.Process.Pid
	}
	err = wait(ctx, cmd, group, c.Grace)
	if cerr := errors.Join(stdout.Close(), stderr.Close()); err == nil {
		err = cerr
	}
	return c.verdict(ctx, err, verdictOf{title: title, took: time.Since(began), tail: tail})
}

// wait waits for the command, and ends its group when ctx ends first.
func wait(ctx context.Context, cmd *exec.Cmd, group *group, grace time.Duration) error {
	var err error
	done := make(chan struct{})
	go func() { defer close(done); err = cmd.Wait() }() // ends before wait returns
	select {
	case <-done:
		return err
	case <-ctx.Done():
	}
	group.signal(syscall.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-done:
		group.signal(syscall.SIGKILL)
	case <-timer.C:
		group.signal(syscall.SIGKILL)
		<-done
	}
	return ctx.Err()
}

type verdictOf struct {
	title string
	took  time.Duration
	tail  *tail
}

// verdict turns what Wait said into Run's error.
func (c *Cmd) verdict(ctx context.Context, err error, v verdictOf) error {
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay): // the latter: it succeeded and left children
		return nil
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return c.ended(ctx, v.title, v.took)
	case errors.As(err, &exit):
		e := &ExitError{Status: exit.ExitCode()}
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			e.Signal = ws.Signal().String()
		}
		text := fmt.Sprintf("%s: %s: %s", c.Name, v.title, e)
		if last := v.tail.text(); last != "" {
			text += ": " + last
		}
		return &schema.Error{Code: schema.Failed, Text: text, Err: e}
	}
	return schema.Wrap(schema.Failed, err, "%s: %s: read its output", c.Name, v.title)
}

// ended is the error of a command that ctx ended.
func (c *Cmd) ended(ctx context.Context, title string, took time.Duration) error {
	took = took.Round(time.Millisecond)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return schema.Wrap(schema.Expired, ctx.Err(), "%s: %s: ended at its deadline after %s", c.Name, title, took)
	}
	return schema.Wrap(schema.Canceled, ctx.Err(), "%s: %s: canceled after %s", c.Name, title, took)
}

// command returns program, arguments and environment; nil if nothing is to do.
// The shell gets the text through a variable that it drops at once, because
// arguments can be read by every user of the host.
func (c *Cmd) command() (argv, env []string, err error) {
	if len(c.Argv) > 0 {
		return c.Argv, append([]string{}, c.Env...), nil
	}
	text, ok := Parse(c.Text, c.ShellMode)
	if !ok {
		return nil, nil, nil
	}
	shell, err := exec.LookPath("bash")
	if err != nil {
		shell, err = findSh()
	}
	if err != nil {
		return nil, nil, schema.Errorf(schema.Unsupported, "%s: there is neither bash nor sh on this host: install one of them", c.Name)
	}
	const variable = "BERTH_COMMAND"
	env = append(append([]string{}, c.Env...), variable+"="+text)
	return []string{shell, "-c", `eval "unset ` + variable + `; $` + variable + `"`}, env, nil
}

// title names the command in errors: its first line, masked and cut.
func (c *Cmd) title() string {
	text := strings.Join(c.Argv, " ")
	if text == "" {
		text = strings.TrimSpace(c.Text)
		if parsed, ok := Parse(c.Text, c.ShellMode); ok {
			text = strings.TrimSpace(parsed)
		}
	}
	text = c.mask(text)
	text, _, more := strings.Cut(text, "\n")
	if r := []rune(text); len(r) > 80 {
		text, more = string(r[:80]), true
	}
	if more {
		text += "…"
	}
	return `"` + text + `"`
}

func (c *Cmd) mask(s string) string {
	if c.Mask == nil {
		return s
	}
	var b strings.Builder
	w := c.Mask(&b)
	if _, err := io.WriteString(w, s); err != nil || w.Close() != nil {
		return "…"
	}
	return b.String()
}

// startReason says why a program could not be started.
func startReason(err error) string {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err.Error()
	}
	return err.Error()
}

// Env returns what a command may see of the agent's own environment: where
// programs, the home folder and the proxy are, language and time zone. Nothing
// that may hold a secret of the agent is among it.
func Env(environ []string) []string {
	keep := map[string]bool{}
	for k := range strings.FieldsSeq("PATH HOME USER LOGNAME SHELL LANG LANGUAGE TZ TMPDIR XDG_RUNTIME_DIR DOCKER_HOST SOPS_AGE_KEY_FILE " +
		"SSL_CERT_FILE SSL_CERT_DIR HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY http_proxy https_proxy no_proxy all_proxy") {
		keep[k] = true
	}
	var out []string
	path, home := false, false
	for _, kv := range environ {
		key, _, _ := strings.Cut(kv, "=")
		if keep[key] || strings.HasPrefix(key, "LC_") {
			out = append(out, kv)
			path, home = path || key == "PATH", home || key == "HOME"
		}
	}
	if !path {
		out = append(out, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	}
	if !home {
		out = append(out, "HOME=/")
	}
	return out
}
