package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"berth/e2e/wire"
)

// starts is how often core and agent are started again.
const starts = 5

// measureStart starts core and agent, and starts them again with what they have.
func (s *stage) measureStart(ctx context.Context) error {
	info, err := os.Stat(s.binary)
	if err != nil {
		return err
	}
	if err := s.join(ctx); err != nil {
		return err
	}
	var core, agent sample
	for range starts {
		if err := errors.Join(s.agent.stop(), s.core.stop()); err != nil {
			return err
		}
		took, err := s.startCore(ctx)
		if err != nil {
			return err
		}
		core = append(core, took)
		if took, err = s.startAgent(ctx, nil); err != nil {
			return err
		}
		agent = append(agent, took)
	}
	s.plain("core: process start until it serves", ms(core.median()), "", true)
	s.plain("agent: process start until core shows it online", ms(agent.median()), "", true)
	s.plain("size of the one binary, stripped", fmt.Sprintf("%.1f MB", float64(info.Size())/1e6), "", true)
	return nil
}

// join brings up core, makes the administrator's key, and lets the agent in.
func (s *stage) join(ctx context.Context) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.url = "http://" + l.Addr().String()
	if err := l.Close(); err != nil {
		return err
	}
	if _, err := s.startCore(ctx); err != nil {
		return err
	}
	if s.api, err = wire.Login(ctx, s.url, user, "a-password-for-the-bench"); err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	cmd := exec.CommandContext(ctx, s.binary, "server", "join-token", server) //nolint:gosec // the binary that is measured
	cmd.Env = []string{"HOME=" + s.dir, "KOMODO_ADDRESS=" + s.url, "KOMODO_API_KEY=" + s.api.Key, "KOMODO_API_SECRET=" + s.api.Secret}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("make a join token: %w: %s", err, out)
	}
	_, args, found := strings.Cut(string(out), "berth periphery ")
	if !found {
		return fmt.Errorf("join-token printed no command line: %q", out)
	}
	_, err = s.startAgent(ctx, strings.Fields(args))
	return err
}

func (s *stage) startCore(ctx context.Context) (took time.Duration, err error) {
	begin := time.Now()
	s.core, err = s.start("core", []string{"KOMODO_INIT_ADMIN_USERNAME=" + user, "KOMODO_INIT_ADMIN_PASSWORD=a-password-for-the-bench"},
		"core", "--data", filepath.Join(s.dir, "core"), "--listen", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		return 0, err
	}
	c := &wire.Client{URL: s.url}
	err = until(ctx, 30*time.Second, func() bool { _, err := c.Get(ctx, "/version"); return err == nil })
	if err != nil {
		return 0, fmt.Errorf("core does not answer: %w\n%s", err, s.core.tail())
	}
	return time.Since(begin), nil
}

func (s *stage) startAgent(ctx context.Context, args []string) (took time.Duration, err error) {
	begin := time.Now()
	args = append([]string{"periphery", "--data", filepath.Join(s.dir, "agent")}, args...)
	if s.agent, err = s.start("agent", []string{"DOCKER_HOST=" + s.engine.Host()}, args...); err != nil {
		return 0, err
	}
	err = until(ctx, 30*time.Second, func() bool {
		var got []struct {
			Info struct{ State string }
		}
		return s.api.Call(ctx, "read", "ListServers", nil, &got) == nil && len(got) == 1 && got[0].Info.State == "Ok"
	})
	if err != nil {
		return 0, fmt.Errorf("the agent does not come online: %w\n%s", err, s.agent.tail())
	}
	return time.Since(begin), nil
}

// measureMemory reads how much is resident when nothing is to be done.
func (s *stage) measureMemory(ctx context.Context) error {
	select {
	case <-time.After(s.idle):
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, p := range []struct {
		*process
		goal int // MB
	}{{s.core, 60}, {s.agent, 50}} {
		m, err := resident(p.cmd.Process.Pid)
		if err != nil {
			return err
		}
		s.plain(fmt.Sprintf("%s, idle for %s: resident memory", p.name, s.idle),
			fmt.Sprintf("%s (%s its own, %s of the binary)", mb(m.all), mb(m.anon), mb(m.file)), fmt.Sprintf("≤ %d MB", p.goal), m.all*1024 <= p.goal*1e6)
	}
	return nil
}

// residency is what of a process is in memory, in kB.
type residency struct{ all, anon, file int }

// resident reads VmRSS, RssAnon and RssFile of a process.
func resident(pid int) (residency, error) {
	var m residency
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return m, err
	}
	for l := range strings.Lines(string(text)) {
		for name, to := range map[string]*int{"VmRSS": &m.all, "RssAnon": &m.anon, "RssFile": &m.file} {
			if rest, ok := strings.CutPrefix(l, name+":"); ok {
				if _, err := fmt.Sscanf(rest, "%d kB", to); err != nil {
					return m, err
				}
			}
		}
	}
	return m, nil
}
