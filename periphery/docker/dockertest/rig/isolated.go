package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"berth/periphery/docker"
)

// cell is a network namespace with one engine in it. Number n has the namespace
// berthN, the addresses 10.99.N.1 (machine) and 10.99.N.2 (engine), and the folder
// below base; its name is taken by creating the namespace, which only one
// process can.
type cell struct {
	n      int
	dir    string
	daemon *exec.Cmd
	done   chan struct{} // closed when the daemon has ended
}

// Cells is how many engines may stand side by side on a machine.
const Cells = 60

// Isolated starts an engine in a network namespace of its own: it sees neither the
// machine's ports nor other engines. It needs root and .ci/bare.sh engine. Cells
// that a killed process left behind are removed on the way.
func Isolated(ctx context.Context) (*Engine, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("start an engine in a network namespace: this needs root")
	}
	if err := Bare(ctx, "engine"); err != nil {
		return nil, err
	}
	base := filepath.Join(os.TempDir(), "berth-cells")
	if err := os.MkdirAll(base, 0o755); err != nil {
		return nil, err
	}
	c, err := takeCell(ctx, base)
	if err != nil {
		return nil, err
	}
	e, err := c.start(ctx)
	if err != nil {
		return nil, errors.Join(err, c.remove(ctx))
	}
	return e, nil
}

func takeCell(ctx context.Context, base string) (*cell, error) {
	var last error
	for n := 1; n <= Cells; n++ {
		c := &cell{n: n, dir: filepath.Join(base, strconv.Itoa(n))}
		if c.stale() {
			if err := c.remove(ctx); err != nil {
				last = err
				continue
			}
		}
		if last = run(ctx, "ip", "netns", "add", c.name()); last == nil {
			if err := os.MkdirAll(c.dir, 0o755); err != nil {
				return nil, errors.Join(err, c.remove(ctx))
			}
			return c, os.WriteFile(c.owner(), []byte(strconv.Itoa(os.Getpid())), 0o644)
		}
	}
	return nil, fmt.Errorf("find a free network namespace: %w", last)
}

func (c *cell) name() string  { return "berth" + strconv.Itoa(c.n) }
func (c *cell) netns() string { return "/var/run/netns/" + c.name() }
func (c *cell) owner() string { return filepath.Join(c.dir, "owner") }
func (c *cell) addr(host int) string {
	return fmt.Sprintf("10.99.%d.%d", c.n, host)
}

// stale reports whether the process that made the cell is gone.
func (c *cell) stale() bool {
	pid, err := readPid(c.owner())
	return err == nil && syscall.Kill(pid, 0) != nil
}

func (c *cell) start(ctx context.Context) (*Engine, error) {
	outer, inner := c.name()+"a", c.name()+"b"
	steps := [][]string{
		{"ip", "link", "add", outer, "type", "veth", "peer", "name", inner},
		{"ip", "link", "set", inner, "netns", c.name()},
		{"ip", "addr", "add", c.addr(1) + "/24", "dev", outer},
		{"ip", "link", "set", outer, "up"},
		{"ip", "-n", c.name(), "addr", "add", c.addr(2) + "/24", "dev", inner},
		{"ip", "-n", c.name(), "link", "set", inner, "up"},
		{"ip", "-n", c.name(), "link", "set", "lo", "up"},
		{"ip", "-n", c.name(), "route", "add", "default", "via", c.addr(1)},
	}
	for _, step := range steps {
		if err := run(ctx, step[0], step[1:]...); err != nil {
			return nil, err
		}
	}
	log, err := os.Create(filepath.Join(c.dir, "dockerd.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	socket := filepath.Join(c.dir, "docker.sock")
	// Not `ip netns exec`: that hides the cgroup mounts.
	c.daemon = exec.Command("nsenter", "--net="+c.netns(), "dockerd", //nolint:gosec // our own paths
		"--host", "unix://"+socket, "--data-root", filepath.Join(c.dir, "data"), "--exec-root", filepath.Join(c.dir, "run"),
		"--pidfile", filepath.Join(c.dir, "docker.pid"), "--cgroup-parent", "/"+c.name(),
		"--insecure-registry", "10.99.0.0/16")
	c.daemon.Stdout, c.daemon.Stderr = log, log
	c.daemon.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.daemon.Start(); err != nil {
		return nil, err
	}
	c.done = make(chan struct{})
	go func() { _ = c.daemon.Wait(); close(c.done) }()
	client, err := docker.Open("unix://" + socket)
	if err != nil {
		return nil, err
	}
	err = wait(ctx, 60*time.Second, func() bool { return c.ended() || client.Ping(ctx) == nil })
	if err != nil || c.ended() {
		text, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("start engine in namespace %s: no answer; the end of its log:\n%s", c.name(), lastLines(string(text), 10))
	}
	return &Engine{Client: client, Addr: c.addr(2), Gateway: c.addr(1), Netns: c.netns(), close: func() error { return c.remove(ctx) }}, nil
}

func (c *cell) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// remove ends all that runs in the cell and removes every trace of it.
func (c *cell) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 60*time.Second)
	defer cancel()
	if pid, err := readPid(filepath.Join(c.dir, "docker.pid")); err == nil && c.isDaemon(pid) {
		_ = syscall.Kill(pid, syscall.SIGTERM)
		gone := func() bool { return syscall.Kill(pid, 0) != nil }
		if wait(ctx, 20*time.Second, gone) != nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			_ = wait(ctx, 5*time.Second, gone)
		}
	}
	c.killLeftovers(ctx)
	_ = run(ctx, "ip", "link", "del", c.name()+"a")
	var errs []error
	if _, err := os.Stat(c.netns()); err == nil {
		errs = append(errs, run(ctx, "ip", "netns", "del", c.name()))
	}
	c.unmount()
	if err := wait(ctx, 5*time.Second, func() bool { return os.RemoveAll(c.dir) == nil }); err != nil {
		errs = append(errs, os.RemoveAll(c.dir))
	}
	c.removeCgroups()
	return errors.Join(errs...)
}

// isDaemon guards against a pid that was given to somebody else since.
func (c *cell) isDaemon(pid int) bool {
	cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return strings.Contains(string(cmdline), c.dir+"/")
}

// killLeftovers ends shims and containers that outlived their engine: processes
// in the cell's cgroups, and those whose arguments name its folder.
func (c *cell) killLeftovers(ctx context.Context) {
	find := func() []int {
		var pids []int
		dirs, _ := filepath.Glob("/proc/[0-9]*")
		for _, dir := range dirs {
			pid, _ := strconv.Atoi(filepath.Base(dir))
			group, _ := os.ReadFile(filepath.Join(dir, "cgroup"))
			if pid != os.Getpid() && (c.isDaemon(pid) || strings.Contains(string(group), "/"+c.name()+"/")) {
				pids = append(pids, pid)
			}
		}
		return pids
	}
	_ = wait(ctx, 10*time.Second, func() bool {
		pids := find()
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		return len(pids) == 0
	})
}

// unmount lets go of what a killed engine left mounted below the cell's folder.
func (c *cell) unmount() {
	mounts, _ := os.ReadFile("/proc/self/mounts")
	lines := strings.Split(string(mounts), "\n")
	for _, line := range slices.Backward(lines) {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[1], c.dir+"/") {
			_ = syscall.Unmount(f[1], syscall.MNT_DETACH)
		}
	}
}

func (c *cell) removeCgroups() {
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		tops, _ := filepath.Glob(pattern + c.name())
		for _, top := range tops {
			below, _ := filepath.Glob(top + "/*")
			for _, dir := range append(below, top) {
				_ = syscall.Rmdir(dir) // files in it answer ENOTDIR
			}
		}
	}
}

func readPid(path string) (int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

func run(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
