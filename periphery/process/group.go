package process

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// group is the process group of a command. Its first member is a guard, a shell
// that reads a pipe of ours: when the agent dies, however it dies, the pipe ends
// and the guard kills the group, grandchildren included. (The parent-death
// signal alone reaches only the command itself.)
type group struct {
	id    int // 0 when there is no guard: the command then leads the group
	guard *exec.Cmd
	pipe  *os.File
}

// newGroup starts a guard. Without a shell, or when it does not start, the group
// has none. The guard outlives ctx: it ends with close.
func newGroup(ctx context.Context) *group {
	sh, err := findSh()
	if err != nil {
		return &group{}
	}
	r, w, err := os.Pipe()
	if err != nil {
		return &group{}
	}
	defer func() { _ = r.Close() }() // the guard has its own
	guard := exec.CommandContext(context.WithoutCancel(ctx), sh, "-c", "trap '' TERM INT HUP QUIT; read -r _; kill -KILL 0")
	guard.Env = []string{}
	guard.Stdin = r
	guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := guard.Start(); err != nil {
		_ = w.Close()
		return &group{}
	}
	return &group{id: guard.Process.Pid, guard: guard, pipe: w}
}

// signal sends to all processes of the group. With a guard the id cannot belong
// to somebody else: dead or alive, it is not reaped before close.
func (g *group) signal(s syscall.Signal) {
	if g.id > 0 {
		_ = syscall.Kill(-g.id, s) // none left is as good
	}
}

// close ends the guard and reaps it. Where the agent is the init of its
// container, it reaps what died in the group as well.
func (g *group) close() {
	if g.guard != nil {
		_ = g.guard.Process.Kill() // it may have died with the group
		_ = g.guard.Wait()
		_ = g.pipe.Close()
	}
	for os.Getpid() == 1 && g.id > 0 {
		pid, err := syscall.Wait4(-g.id, nil, syscall.WNOHANG, nil)
		if pid <= 0 && !errors.Is(err, syscall.EINTR) {
			return
		}
	}
}

func findSh() (string, error) {
	if _, err := os.Stat("/bin/sh"); err == nil {
		return "/bin/sh", nil
	}
	return exec.LookPath("sh")
}
