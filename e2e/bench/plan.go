package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"time"
)

// planRow is a line of the table: two benchmarks and how they compare.
type planRow struct {
	what, ours, floor string
	goal              time.Duration // 0 for none
}

func planRows() []planRow {
	const one, plan, decode = "BenchmarkPlan/one_of_%d_stacks_changed/", "BenchmarkPlan1000/", "BenchmarkDecode10000/"
	hundred, thousand := fmt.Sprintf(one, 100), fmt.Sprintf(one, 1000)
	return []planRow{
		{"plan of 1,000 stacks in one file, all new, against reading the TOML", plan + "new", plan + "floor", 200 * time.Millisecond},
		{"plan of 1,000 stacks in one file, none changed, against reading the TOML", plan + "unchanged", plan + "floor", 200 * time.Millisecond},
		{"plan of 1,000 stacks in one file, each changed, against reading the TOML", plan + "changed", plan + "floor", 200 * time.Millisecond},
		{"declarations of 10,000 stacks read and checked, against reading the TOML", decode + "ours", decode + "floor", 0},
		{"sync of 100 stacks: which of them does a commit deploy, against `git diff-tree` and reading the TOML", hundred + "ours", hundred + "floor", 0},
		{"sync of 1,000 stacks: which of them does a commit deploy, against `git diff-tree` and reading the TOML", thousand + "ours", thousand + "floor", 200 * time.Millisecond},
	}
}

// measurePlans runs the benchmarks of plans, which need core's insides, as tests.
func (s *stage) measurePlans(ctx context.Context) error {
	took := map[string]sample{}
	for range max(s.rounds/5, 1) {
		if err := benchmarks(ctx, took); err != nil {
			return err
		}
	}
	for _, r := range planRows() {
		ours, floor := took[r.ours], took[r.floor]
		if len(ours) == 0 || len(floor) == 0 {
			return fmt.Errorf("no result of %s or %s", r.ours, r.floor)
		}
		a, z := ours.median(), floor.median()
		l := line{what: r.what, measured: ms(a), floor: ms(z), ratio: fmt.Sprintf("%.1f", float64(a)/float64(z)), good: a <= r.goal}
		if r.goal > 0 {
			l.goal = "≤ " + r.goal.String()
		}
		s.add(l)
	}
	return nil
}

// benchmarks runs each once and adds how long it took.
func benchmarks(ctx context.Context, took map[string]sample) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-benchtime", "5x", "-bench", "^Benchmark(Plan1000|Decode10000|Plan)$/^(new|unchanged|changed|ours|floor|one of .*)$", "./core/resource", "./core/sync")
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", cmd, err, out)
	}
	for _, m := range regexp.MustCompile(`(?m)^(Benchmark\S+?)(?:-\d+)?\s+\d+\s+([\d.]+) ns/op`).FindAllSubmatch(bytes.TrimSpace(out), -1) {
		d, err := time.ParseDuration(string(m[2]) + "ns")
		if err != nil {
			return err
		}
		took[string(m[1])] = append(took[string(m[1])], d)
	}
	return nil
}
