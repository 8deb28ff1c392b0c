package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/moby/moby/client"

	"berth/e2e/wire"
	"berth/git/gittest"
	"berth/periphery/docker"
	"berth/periphery/docker/dockertest/rig"
)

// stage is what is measured and what it is measured with. Its methods are called
// one after the other.
type stage struct {
	progress io.Writer
	binary   string
	rounds   int
	idle     time.Duration
	verbose  bool

	dir         string
	engine      *rig.Engine
	image       string // in a registry on this machine
	git         *gittest.Server
	url         string
	core, agent *process
	api         *wire.Client
	cli         string // version of docker compose, or notInstalled
	lines       []line
	splits      []string
	undo        []func() error // in the order in which it was done
}

const (
	server = "bench"
	user   = "bench"
	secret = "a-webhook-secret"
)

func (s *stage) say(format string, args ...any) { fmt.Fprintf(s.progress, format+"\n", args...) }

// open prepares everything but core and agent: starting them is measured.
func (s *stage) open(ctx context.Context) (err error) {
	if s.binary, err = filepath.Abs(s.binary); err != nil {
		return err
	}
	if _, err := os.Stat(s.binary); err != nil {
		return fmt.Errorf("%w: run go tool task build first", err)
	}
	if s.dir, err = os.MkdirTemp("", "berth-bench-"); err != nil {
		return err
	}
	s.undo = append(s.undo, func() error { return os.RemoveAll(s.dir) })
	if os.Geteuid() == 0 {
		s.engine, err = rig.Isolated(ctx)
	} else {
		s.engine, err = rig.Machine(ctx)
	}
	if err != nil {
		return err
	}
	s.undo = append(s.undo, s.engine.Close)
	s.cli = s.compose(ctx, "version", "--short")
	stop := s.serveGit(ctx)
	if stop != nil {
		return stop
	}
	return s.images(ctx)
}

// compose asks the CLI for something; notInstalled when there is none.
func (s *stage) compose(ctx context.Context, args ...string) string {
	out, err := exec.CommandContext(ctx, "docker", append([]string{"compose"}, args...)...).Output()
	if err != nil {
		return notInstalled
	}
	return strings.TrimSpace(string(out))
}

func (s *stage) serveGit(ctx context.Context) error {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wait func() error
	var err error
	s.git, wait, err = gittest.Serve(ctx, gittest.Config{Dir: filepath.Join(s.dir, "git"), SSHAddr: "-"})
	if err != nil {
		stop()
		return err
	}
	s.undo = append(s.undo, func() error { stop(); return wait() })
	return nil
}

// images serves a registry and puts one image into it and into the engine.
func (s *stage) images(ctx context.Context) error {
	host := s.engine.Gateway
	if host == "" {
		host = "127.0.0.1"
	}
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		return err
	}
	web := &http.Server{Handler: registry.New(registry.Logger(quiet())), ReadHeaderTimeout: 10 * time.Second, ErrorLog: quiet()}
	done := make(chan struct{})
	go func() { defer close(done); _ = web.Serve(l) }()
	s.undo = append(s.undo, func() error { defer func() { <-done }(); return web.Close() })
	app, err := rig.Compile(ctx)
	if err != nil {
		return err
	}
	name := l.Addr().String() + "/berth-bench/app"
	s.image = name + ":1"
	if err := app.BuildImage(ctx, s.engine.Client, name, "1", rig.Behaviour{}); err != nil {
		return err
	}
	resp, err := s.engine.API().ImagePush(ctx, s.image, client.ImagePushOptions{RegistryAuth: "e30="}) // {}
	if err != nil {
		return err
	}
	defer resp.Close()
	return resp.Wait(ctx)
}

// wipe removes the containers and networks of a project.
func (s *stage) wipe(ctx context.Context, project string) error {
	list, err := s.engine.Containers(ctx, project)
	if err != nil {
		return err
	}
	for _, c := range list {
		if _, err := s.engine.API().ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true}); err != nil {
			return err
		}
	}
	label := client.Filters{}.Add("label", docker.LabelProject+"="+project)
	networks, err := s.engine.API().NetworkList(ctx, client.NetworkListOptions{Filters: label})
	if err != nil {
		return err
	}
	for _, n := range networks.Items {
		if _, err := s.engine.API().NetworkRemove(ctx, n.ID, client.NetworkRemoveOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// close takes away what was built up, last things first.
func (s *stage) close() error {
	var errs []error
	for _, p := range []*process{s.agent, s.core} {
		if p != nil {
			errs = append(errs, p.stop())
		}
	}
	for _, undo := range slices.Backward(s.undo) {
		errs = append(errs, undo())
	}
	return errors.Join(errs...)
}

// process is core or agent.
type process struct {
	name  string
	cmd   *exec.Cmd
	log   string // path
	ended chan struct{}
}

// start runs berth with arguments; nothing of our environment but PATH is passed
// on.
func (s *stage) start(name string, env []string, args ...string) (*process, error) {
	p := &process{name: name, log: filepath.Join(s.dir, name+".log"), ended: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd = exec.Command(s.binary, args...) //nolint:gosec // ended by stop
	p.cmd.Dir = s.dir
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir}, env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if s.verbose {
		p.cmd.Stdout, p.cmd.Stderr = os.Stderr, os.Stderr
	}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() { defer close(p.ended); _ = p.cmd.Wait() }() // its log says how it ended
	return p, nil
}

// stop ends the process as a service manager would.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
		return nil
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		return fmt.Errorf("%s did not end within 20 s and was killed", p.name)
	}
}

// tail is the end of the process's output, for errors.
func (p *process) tail() string {
	text, _ := os.ReadFile(p.log)
	return string(text[max(0, len(text)-2000):])
}

// until asks every few milliseconds until something is so.
func until(ctx context.Context, limit time.Duration, is func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}
