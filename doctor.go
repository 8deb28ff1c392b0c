package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"berth/periphery/docker"
	"berth/schema"
)

// verdict is how a check ended.
type verdict string

const (
	healthy verdict = "ok"
	doubt   verdict = "warn"
	broken  verdict = "fail"
)

// finding is what a check found, and what to do about it.
type finding struct {
	Check   string  `json:"check"`
	Verdict verdict `json:"verdict"`
	Found   string  `json:"found"`
	Do      string  `json:"do,omitempty"`
}

// check is one thing that an operator would look at.
type check struct {
	name string
	in   part // of which processes
	look func(ctx context.Context, d *doctor) finding
}

// checks are all there are, in the order in which they are told.
func checks() []check {
	return []check{
		{"engine", agents, checkEngine},
		{"engine API", agents, checkAPI},
		{"compose", agents, checkCompose},
		{"LXC and AppArmor", agents, checkAppArmor},
		{"age key", agents, checkAgeKey},
		{"data folder", every, checkData},
		{"disk", every, checkDisk},
		{"DNS", every, checkDNS},
		{"clock", every, checkClock},
		{"git host", every, checkGit},
		{"registry", every, checkRegistry},
		{"core", inAgent, checkCore},
		{"port", cores, checkPortFree},
		{"TLS certificate", cores, checkTLS},
		{"proxy", cores, checkProxy},
	}
}

// doctor looks at this machine as a process with these settings would find it. What
// it touches of the world are its fields, so that tests can make it ill.
type doctor struct {
	*settings
	root   string // where /proc, /run and /sys are
	now    func() time.Time
	engine func(ctx context.Context) schema.EngineInfo
	lookup func(ctx context.Context, host string) error
	http   *http.Client // does not follow redirects; certificates are judged by TLS alone
	statfs func(dir string) (free, all uint64, err error)
	listen func(ctx context.Context, addr string) error
}

func newDoctor(s *settings) *doctor {
	d := &doctor{settings: s, root: "/", now: time.Now, statfs: diskSpace}
	d.engine = func(ctx context.Context) schema.EngineInfo {
		c, err := docker.Open(s.agent.Engine)
		if err != nil {
			return schema.EngineInfo{Error: schema.SafeText(err)}
		}
		defer c.Close()
		return c.Info(ctx)
	}
	d.lookup = func(ctx context.Context, host string) error {
		_, err := net.DefaultResolver.LookupHost(ctx, host)
		return err
	}
	d.listen = func(ctx context.Context, addr string) error {
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		return l.Close()
	}
	d.http = &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}},
	}
	return d
}

// examine makes all checks of the process, at once, and returns them in order.
func (d *doctor) examine(ctx context.Context) []finding {
	var mine []check
	for _, c := range checks() {
		if c.in&d.part != 0 {
			mine = append(mine, c)
		}
	}
	out := make([]finding, len(mine))
	var g errgroup.Group
	for i, c := range mine {
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			out[i] = c.look(ctx, d)
			out[i].Check = c.name
			return nil
		})
	}
	_ = g.Wait() // none fails
	return out
}

func fine(format string, args ...any) finding {
	return finding{Verdict: healthy, Found: fmt.Sprintf(format, args...)}
}

func warn(do, format string, args ...any) finding {
	return finding{Verdict: doubt, Found: fmt.Sprintf(format, args...), Do: do}
}

func fail(do, format string, args ...any) finding {
	return finding{Verdict: broken, Found: fmt.Sprintf(format, args...), Do: do}
}

// diskSpace is what a file system has.
func diskSpace(dir string) (free, all uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, os.NewSyscallError("statfs", err)
	}
	return st.Bavail * uint64(st.Bsize), st.Blocks * uint64(st.Bsize), nil //nolint:gosec // sizes
}
