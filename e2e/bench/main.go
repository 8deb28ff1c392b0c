// Command bench measures Berth on this machine, each figure beside a floor taken
// in the same run, in turns with it: the SDK's bare load and `up`, the CLI where
// there is one, a fetch and `up` by hand, one synced publish.
//
//	go run ./e2e/bench -berth bin/berth -out docs/benchmarks.md
//
// Core and agent are processes of the real binary on an engine of their own (the
// machine's, without root); everything is taken away at the end. One goroutine
// does it all, but for the clients of the webhook row.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

// row measures one part of the table.
type row struct {
	name string
	do   func(*stage, context.Context) error
}

func rows() []row {
	return []row{
		{"start", (*stage).measureStart}, // first: what it starts is idle next
		{"memory", (*stage).measureMemory},
		{"noop", (*stage).measureNoop},
		{"cli", (*stage).measureCLI},
		{"changed", (*stage).measureChanged},
		{"push", (*stage).measurePush},
		{"webhook", (*stage).measureWebhook},
		{"plan", (*stage).measurePlans},
		{"api", (*stage).measureAPI}, // last: core has many stacks then
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	s := &stage{progress: os.Stderr}
	flags.StringVar(&s.binary, "berth", "bin/berth", "the binary to measure")
	flags.IntVar(&s.rounds, "n", 15, "rounds of each comparison")
	flags.DurationVar(&s.idle, "idle", 30*time.Second, "how long to be idle before memory is read")
	flags.BoolVar(&s.verbose, "v", false, "print the output of core and agent")
	only := flags.String("run", "", "measure only rows whose name matches: start, memory, noop, cli, changed, push, webhook, plan, api")
	to := flags.String("out", "", "write the document here as well, when all rows are measured")
	if err := flags.Parse(args); err != nil {
		return err
	}
	want, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.open(ctx); err != nil {
		return err
	}
	for _, r := range rows() {
		if r.name != "start" && !want.MatchString(r.name) {
			continue
		}
		s.say("%s …", r.name)
		if err := r.do(s, ctx); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	text := s.document(ctx)
	fmt.Fprint(out, text)
	if *to == "" || *only != "" { // a part is no document
		return nil
	}
	return os.WriteFile(*to, []byte(text), 0o644)
}
