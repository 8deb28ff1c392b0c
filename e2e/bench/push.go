package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"berth/e2e/forge"
	"berth/e2e/wire"
	"berth/git/gittest"
	"berth/periphery/compose/composetest"
	"berth/periphery/docker"
)

// pushed is a stack of five services that is deployed from a repository.
const pushed = "bench-push"

// measurePush compares the time from a webhook until the new container runs with
// what a person at the keyboard needs.
func (s *stage) measurePush(ctx context.Context) error {
	repo, err := s.git.Repo(ctx, "harbour/homelab")
	if err != nil {
		return err
	}
	p := &pushes{s: s, repo: repo, started: make(chan string, 64)}
	if err := p.prepare(ctx); err != nil {
		return err
	}
	watch, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); p.watch(watch) }()
	err = p.measure(ctx)
	stop()
	<-ended
	return errors.Join(err, s.wipe(context.WithoutCancel(ctx), pushed))
}

// pushes are pushes to one repository.
type pushes struct {
	s       *stage
	repo    *gittest.Repo
	n       int
	tree    string      // the agent's work tree of it
	started chan string // a container of the stack, as the engine says it
}

func (p *pushes) prepare(ctx context.Context) error {
	if _, err := p.commit(ctx); err != nil {
		return err
	}
	config := wire.Params{
		"server_id": server, "auto_pull": false, "git_provider": strings.TrimPrefix(p.s.git.URL(), "http://"), "git_https": false,
		"repo": "harbour/homelab", "branch": "main", "run_directory": "stacks/web", "webhook_secret": secret,
	}
	if err := p.s.api.Call(ctx, "write", "CreateStack", wire.Params{"name": pushed, "config": config}, nil); err != nil {
		return err
	}
	if _, err := p.s.execute(ctx, "DeployStack", wire.Params{"stack": pushed}); err != nil {
		return err
	}
	p.tree = filepath.Join(p.s.dir, "agent", "periphery", "stacks", pushed)
	_, err := os.Stat(filepath.Join(p.tree, ".git"))
	return err
}

// commit changes one service of the stack.
func (p *pushes) commit(ctx context.Context) (string, error) {
	p.n++
	file := strings.Replace(composetest.Services(p.s.image, 5), "NAME: s00", fmt.Sprintf("NAME: p%d", p.n), 1)
	files := map[string]string{"stacks/web/compose.yaml": file}
	if p.n == 1 {
		for i := range 200 { // a homelab has more than one stack
			files[fmt.Sprintf("stacks/other-%d/compose.yaml", i)] = file
		}
	}
	return p.repo.Commit(ctx, gittest.Change{Files: files, Message: fmt.Sprintf("Change %d", p.n)})
}

func (p *pushes) watch(ctx context.Context) {
	for ctx.Err() == nil {
		_ = p.s.engine.Watch(ctx, func() {}, func(e docker.Event) {
			if e.Action == "start" && e.Project == pushed {
				select {
				case p.started <- e.Name:
				default:
				}
			}
		})
	}
}

func (p *pushes) measure(ctx context.Context) error {
	var ours, byHand sample
	for i := range p.s.rounds + 1 {
		commit, err := p.commit(ctx)
		if err != nil {
			return err
		}
		p.drain()
		begin := time.Now()
		run, err := p.deliver(ctx, commit)
		if err != nil {
			return err
		}
		a, err := p.await(ctx, begin)
		if err != nil {
			return err
		}
		if _, err := p.s.follow(ctx, run); err != nil {
			return err
		}
		if _, err := p.commit(ctx); err != nil {
			return err
		}
		p.drain()
		begin = time.Now()
		if err := p.byHand(ctx); err != nil {
			return err
		}
		z, err := p.await(ctx, begin)
		if err != nil {
			return err
		}
		if i > 0 { // the first warms both up
			ours, byHand = append(ours, a), append(byHand, z)
		}
	}
	p.s.ratio("push: webhook until the new container runs, one service of 5, against fetch, reset and `up` by hand", ours, byHand, 1.2, 0)
	return nil
}

func (p *pushes) drain() {
	for len(p.started) > 0 {
		<-p.started
	}
}

// await returns how long after begin a container of the stack started.
func (p *pushes) await(ctx context.Context, begin time.Time) (time.Duration, error) {
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	select {
	case <-p.started:
		return time.Since(begin), nil
	case <-limit.C:
		return 0, errors.New("no container was started within 30 s")
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// deliver sends the webhook that a forge sends for a push.
func (p *pushes) deliver(ctx context.Context, commit string) (run string, err error) {
	d, err := forge.GitHub.Push(forge.Push{URL: p.s.git.URL(), After: commit, Message: fmt.Sprintf("Change %d", p.n)})
	if err != nil {
		return "", err
	}
	a, err := p.s.deliver(ctx, "github/stack/"+pushed+"/deploy", d)
	return a.Run, err
}

// byHand is what a person types, without the typing.
func (p *pushes) byHand(ctx context.Context) error {
	for _, args := range [][]string{{"fetch", "-q", p.repo.URL(), "main"}, {"reset", "-q", "--hard", "FETCH_HEAD"}} {
		cmd := exec.CommandContext(ctx, "git", append([]string{"-c", "safe.directory=*", "-C", p.tree}, args...)...) //nolint:gosec // our own paths
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	return composetest.Up(ctx, p.s.engine.Client, pushed, filepath.Join(p.tree, "stacks", "web"))
}
