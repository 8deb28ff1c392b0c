// Package rig sets up what tests and the demo need of Docker: an engine on this
// machine, further engines side by side in network namespaces of their own, and
// tiny images that need no registry.
//
// It is the part of dockertest that knows no *testing.T. Values are used by one
// goroutine at a time; Close undoes all that was done.
package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"berth/periphery/docker"
)

// Engine is a Docker engine and how to reach it.
type Engine struct {
	*docker.Client

	// Addr is where ports that containers publish answer: 127.0.0.1, or the
	// address of the engine's network namespace.
	Addr string
	// Gateway is the address under which a container or the namespace reaches
	// this machine; empty for the machine's own engine.
	Gateway string
	// Netns is the path of the engine's network namespace; empty for the
	// machine's own.
	Netns string

	close func() error
}

// Close stops the engine and removes all it had, if it was started by Isolated.
func (e *Engine) Close() error {
	err := e.Client.Close()
	if e.close == nil {
		return err
	}
	return errors.Join(err, e.close())
}

// Machine returns the machine's own engine, which is installed and started first
// where it is missing and that is allowed.
func Machine(ctx context.Context) (*Engine, error) {
	c, err := docker.Open(docker.DefaultHost)
	if err != nil {
		return nil, err
	}
	if err := c.Ping(ctx); err == nil {
		return &Engine{Client: c, Addr: "127.0.0.1"}, nil
	}
	if err := Bare(ctx, "start-engine"); err != nil {
		return nil, err
	}
	if err := c.Ping(ctx); err != nil {
		return nil, err
	}
	return &Engine{Client: c, Addr: "127.0.0.1"}, nil
}

// Bare runs .ci/bare.sh of this module with goals such as "engine" or "chromium".
// Its error carries what the script said, with what to do.
func Bare(ctx context.Context, goals ...string) error {
	root, err := Module()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(root, ".ci", "bare.sh"), goals...)
	cmd.Dir = root
	// A file, not a pipe: the engine that the script starts in the background
	// would keep a pipe open.
	out, err := os.CreateTemp("", "berth-bare-")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(out.Name())
		return fmt.Errorf("prepare this machine (%v): %w\n%s", goals, err, text)
	}
	return nil
}

// Module returns the folder of the module that the working directory is in.
func Module() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("find the module's folder: no go.mod above the working directory")
		}
		dir = up
	}
}

// wait polls done until it is true, ctx ends or the time is up.
func wait(ctx context.Context, limit time.Duration, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}
