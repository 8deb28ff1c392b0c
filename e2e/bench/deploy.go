package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"berth/e2e/wire"
	"berth/periphery/compose/composetest"
	"berth/schema"
)

// sizes are how many services the stacks have.
func sizes() []int { return []int{1, 5, 20} }

// stack is a stack of n services whose files lie on the server.
type stack struct {
	s    *stage
	name string
	dir  string
	file string // its compose file as it was first
	n    int
	edit int // how often it was changed
}

// newStack declares a stack and deploys it once.
func (s *stage) newStack(ctx context.Context, n int, config wire.Params) (*stack, error) {
	k := &stack{s: s, name: fmt.Sprintf("bench-%d", n), n: n, file: composetest.Services(s.image, n)}
	k.dir = filepath.Join(s.dir, k.name)
	if err := os.MkdirAll(k.dir, 0o755); err != nil {
		return nil, err
	}
	if err := k.write(k.file); err != nil {
		return nil, err
	}
	all := wire.Params{"server_id": server, "files_on_host": true, "run_directory": k.dir, "auto_pull": false}
	maps.Copy(all, config)
	if err := s.api.Call(ctx, "write", "CreateStack", wire.Params{"name": k.name, "config": all}, nil); err != nil {
		return nil, err
	}
	if _, err := k.deploy(ctx); err != nil {
		return nil, err
	}
	return k, k.settle(ctx)
}

// settle waits until the containers are old enough for nobody to wait for them.
func (k *stack) settle(ctx context.Context) error {
	_, err := k.deploy(ctx)
	return err
}

func (k *stack) set(ctx context.Context, config wire.Params) error {
	return k.s.api.Call(ctx, "write", "UpdateStack", wire.Params{"id": k.name, "config": config}, nil)
}

func (k *stack) write(file string) error {
	return os.WriteFile(filepath.Join(k.dir, "compose.yaml"), []byte(file), 0o644)
}

// change gives one service another environment.
func (k *stack) change() error {
	k.edit++
	return k.write(strings.Replace(k.file, "NAME: s00", fmt.Sprintf("NAME: v%d", k.edit), 1))
}

// remove takes the stack and its containers away.
func (k *stack) remove(ctx context.Context) error {
	return errors.Join(k.s.wipe(ctx, k.name), k.s.api.Call(ctx, "write", "DeleteStack", wire.Params{"id": k.name}, nil))
}

// seen is one run as its caller saw it.
type seen struct {
	*schema.Run
	took time.Duration // request to the last event read
}

// deploy asks for a deploy and follows it to its end.
func (k *stack) deploy(ctx context.Context) (seen, error) {
	return k.s.execute(ctx, "DeployStack", wire.Params{"stack": k.name})
}

func (s *stage) execute(ctx context.Context, request string, params wire.Params) (seen, error) {
	begin := time.Now()
	var u wire.Update
	if err := s.api.Call(ctx, "execute", request, params, &u); err != nil {
		return seen{}, err
	}
	r, err := s.follow(ctx, u.ID.OID)
	if err != nil {
		return seen{}, err
	}
	v := seen{Run: r, took: time.Since(begin)}
	if r.State != schema.StateSucceeded {
		return v, fmt.Errorf("%s: the run %s: %s", request, r.State, r.Note)
	}
	return v, nil
}

// follow reads a run's stream until the run has ended.
func (s *stage) follow(ctx context.Context, id string) (*schema.Run, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/stream/runs/"+id, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Api-Key", s.api.Key)
	req.Header.Set("X-Api-Secret", s.api.Secret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	items := json.NewDecoder(resp.Body)
	for {
		var item struct {
			Run *schema.Run `json:"run"`
		}
		if err := items.Decode(&item); err != nil {
			return nil, fmt.Errorf("follow run %s: %w", id, err)
		}
		if r := item.Run; r != nil && r.ID == id && r.State.Terminal() {
			return r, nil
		}
	}
}

// bare is the floor: the SDK's load and up, in this process.
func (k *stack) bare(ctx context.Context) error {
	return composetest.Up(ctx, k.s.engine.Client, k.name, k.dir)
}

// sequence is what a runner of commands does.
func (k *stack) sequence(ctx context.Context) error {
	for _, args := range [][]string{{"config"}, {"pull", "-q"}, {"up", "-d"}, {"ps", "--format", "json"}} {
		args = append([]string{"compose", "-p", k.name, "-f", filepath.Join(k.dir, "compose.yaml")}, args...)
		cmd := exec.CommandContext(ctx, "docker", args...)
		cmd.Env = append(os.Environ(), "DOCKER_HOST="+k.s.engine.Host())
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("docker %s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}

// took times one turn.
func took(to *sample, f func() error) error {
	begin := time.Now()
	err := f()
	*to = append(*to, time.Since(begin))
	return err
}

// duel is how long deploys and their floor took in turns.
type duel struct {
	ours, theirs sample
	runs         []seen // ours
}

// turns deploys in turns with a floor, each as often first as second; before is
// called ahead of each.
func (k *stack) turns(ctx context.Context, rounds int, before func() error, floor func(context.Context) error) (duel, error) {
	var d duel
	deploy := func() error {
		r, err := k.deploy(ctx)
		d.ours, d.runs = append(d.ours, r.took), append(d.runs, r)
		return err
	}
	bare := func() error { return took(&d.theirs, func() error { return floor(ctx) }) }
	for i := range rounds {
		pair := []func() error{deploy, bare}
		if i%2 == 1 {
			pair[0], pair[1] = bare, deploy
		}
		for _, turn := range pair {
			if err := before(); err != nil {
				return duel{}, err
			}
			if err := turn(); err != nil {
				return duel{}, err
			}
		}
	}
	return d, nil
}

func nothing() error { return nil }

// services writes "1 service", "5 services".
func services(n int) string {
	if n == 1 {
		return "1 service"
	}
	return fmt.Sprintf("%d services", n)
}

func (s *stage) eachSize(ctx context.Context, config wire.Params, measure func(*stack) error) error {
	for _, n := range sizes() {
		k, err := s.newStack(ctx, n, config)
		if err != nil {
			return err
		}
		if err := errors.Join(measure(k), k.remove(context.WithoutCancel(ctx))); err != nil {
			return err
		}
	}
	return nil
}

// measureNoop compares deploys in which nothing changed.
func (s *stage) measureNoop(ctx context.Context) error {
	return s.eachSize(ctx, nil, func(k *stack) error {
		d, err := k.turns(ctx, 2*s.rounds, nothing, k.bare)
		if err != nil {
			return err
		}
		what := "no-op deploy, " + services(k.n)
		s.plus(what+", against the SDK's bare `up`", d.ours, d.theirs, 50*time.Millisecond)
		s.split(what, d.runs)
		return nil
	})
}

// measureCLI does so against commands.
func (s *stage) measureCLI(ctx context.Context) error {
	return s.eachSize(ctx, wire.Params{"auto_pull": true}, func(k *stack) error {
		what := fmt.Sprintf("no-op deploy with pull, %s, against `config`, `pull`, `up`, `ps`", services(k.n))
		if s.cli == notInstalled {
			s.plain(what, notInstalled, "≤ 0.2 × floor", false)
			return nil
		}
		d, err := k.turns(ctx, s.rounds, nothing, k.sequence)
		if err != nil {
			return err
		}
		s.ratio(what, d.ours, d.theirs, 0.2, 0)
		s.split("no-op deploy with pull, "+services(k.n), d.runs)
		return nil
	})
}

// measureChanged compares deploys in which one service changed.
func (s *stage) measureChanged(ctx context.Context) error {
	return s.eachSize(ctx, nil, func(k *stack) error {
		for _, health := range []bool{false, true} {
			if err := k.set(ctx, wire.Params{"check_health": health}); err != nil {
				return err
			}
			rounds := 2 * s.rounds
			if health {
				rounds = s.rounds
			}
			d, err := k.turns(ctx, rounds, k.change, k.bare)
			if err != nil {
				return err
			}
			what := fmt.Sprintf("one service of %d changed, without health check", k.n)
			look := time.Duration(0)
			if health {
				what, look = fmt.Sprintf("one service of %d changed, and seen to stay up for a second", k.n), time.Second
			}
			s.ratio(what+", against bare `up`", d.ours, d.theirs, 1.1, look)
			s.split(what, d.runs)
		}
		return nil
	})
}

// split says where the time of runs went, by their own record.
func (s *stage) split(what string, runs []seen) {
	parts := map[string]sample{}
	var names []string
	add := func(name string, d int64) {
		if _, ok := parts[name]; !ok {
			names = append(names, name)
		}
		parts[name] = append(parts[name], time.Duration(d)*time.Millisecond)
	}
	for _, r := range runs {
		step := r.Step("deploy")
		if step == nil {
			continue
		}
		add("begin", step.Started-r.Queued)
		rest := step.Ended - step.Started
		for _, p := range step.Phases {
			add(p.Name, p.Took)
			rest -= p.Took
		}
		add("report", rest)
		add("end", r.Ended-step.Ended)
		add("seen", r.took.Milliseconds()-(r.Ended-r.Queued))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "- %s:", what)
	for _, name := range names {
		fmt.Fprintf(&b, " %s %d,", name, parts[name].median().Milliseconds())
	}
	text := strings.TrimSuffix(b.String(), ",") + "\n"
	s.splits = append(s.splits, text)
	s.say("%s", strings.TrimSpace(text))
}
